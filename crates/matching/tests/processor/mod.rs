//! How long a test has kept a processor busy, which a machine that does much else doesn't change.

use std::{fs, time::Duration};

/// The processor time of this thread until now, where Linux tells it.
pub(crate) fn time() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    told.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
