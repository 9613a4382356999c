//! Normal forms, one module for each kind of text.
//!
//! Here live the characters and their kanji variants, kana, the account text, the birth date and the grammar of
//! addresses. Nothing here compares or decides, and nothing takes more than linear time.
//!
//! The surprising thing: a normal form forgets only what no register would distinguish (width, spaces, 番地 or
//! hyphen). What might distinguish two people stays in it and is left to `compare`.

pub(crate) mod account;
pub(crate) mod address;
pub(crate) mod bytes;
pub(crate) mod characters;
pub(crate) mod date;
pub(crate) mod folds;
mod japan_post;
pub(crate) mod kana;
pub(crate) mod kanji;
pub(crate) mod name;
