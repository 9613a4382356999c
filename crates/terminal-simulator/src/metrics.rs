//! What the terminal simulator measures beside what every node does: the table that it registers, and what dashboards and alerts may name.

use musubi_runtime::telemetry::metrics::{Kind, Metric};

/// Messages that phones show, by carrier.
pub(crate) static SHOWN: Metric = Metric::new(
    "musubi_simulated_messages_shown",
    Kind::Counter,
    &["carrier"],
    "Messages that phones show, by carrier",
);

/// All of it.
pub static METRICS: &[&Metric] = &[&SHOWN];
