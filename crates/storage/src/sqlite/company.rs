//! The company store on SQLite.
