//! The terminal store on SQLite.
