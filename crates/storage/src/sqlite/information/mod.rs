//! The information store on SQLite.
