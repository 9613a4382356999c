//! The store of the carrier node: what it must do, whatever the database.
