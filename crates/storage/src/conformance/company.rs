//! Facts about every company store.
