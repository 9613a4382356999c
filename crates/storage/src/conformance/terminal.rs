//! Facts about every terminal store.
