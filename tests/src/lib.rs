//! Starts a whole cluster in one process, or as real processes.
