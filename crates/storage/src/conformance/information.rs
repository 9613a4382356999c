//! Facts about every information store.
