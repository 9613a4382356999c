//! The carrier store on SQLite.
