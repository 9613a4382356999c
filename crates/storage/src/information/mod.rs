//! The store of the information node: what it must do, whatever the database.
