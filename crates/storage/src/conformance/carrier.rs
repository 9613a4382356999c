//! Facts about every carrier store.
