//! The store of the company node: what it must do, whatever the database.
