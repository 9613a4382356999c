//! Normalise, compare, decide: whether a follower is a customer. Pure.
//!
//! A company finds every master row whose account number has the typed text's normal form ([`parse_account_text`],
//! [`account_key`]) and asks [`decide()`] what to make of them and of the attested identity. Names, addresses and birth
//! dates are compared as structured normal forms: a part that is missing is neutral, a part that contradicts is
//! different, and **similarity never decides**.
//!
//! What must never live here: IO, a clock, randomness, a score that turns a row into a match, personal data in an
//! error, a reason or a `Debug`.
//!
//! The surprising thing: kanji variants are a relation between two characters, not a key. 斉 and 斎 are each a form of
//! something, and folding to keys would sooner or later make them one.

mod blind;
mod compare;
mod customer;
mod decide;
mod normalise;
mod reason;
mod record;

pub use blind::{BlindCandidates, MAX_DIGESTS_BYTES, blinded, check_digests, decide_blind};
pub use compare::{
    Compared, Comparison, compare_accounts, compare_addresses, compare_birth_dates, compare_days,
    compare_kana, compare_names,
};
pub use customer::{Candidates, keyed, keys_of, prepare};
pub use decide::{Decision, Outcome, Policy, decide, decide_prepared};
pub use normalise::account::{AccountFormat, AccountText, AccountTextError, account_key, parse_account_text};
pub use normalise::address::AddressForm;
pub use normalise::bytes::FormError;
pub use normalise::date::{BirthDateError, parse_birth_date};
pub use normalise::kana::KanaForm;
pub use normalise::name::NameForm;
pub use reason::Reason;
pub use record::{CustomerRecord, Identity, PreparedIdentity, PreparedRecord, Strength};

/// Grows with every change that can change a normal form, or what of it is digested. A store keeps it beside forms and makes them again when it
/// differs.
pub const RULES_VERSION: u32 = 2;

/// The longest input that is read, in bytes of UTF-8. A longer account text or birth date is an error, a longer name or
/// reading is different from every other, a longer address counts as missing.
pub const MAX_INPUT_BYTES: usize = 4096;
