//! The store of the terminal node: what it must do, whatever the database.
