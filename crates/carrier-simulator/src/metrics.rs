//! What the carrier simulator measures beside what every node does: the table that it registers, and what dashboards and alerts may name.

use musubi_runtime::telemetry::metrics::{Kind, Metric};

/// Messages that senders gave, by what was decided about them.
pub(crate) static VERDICTS: Metric = Metric::new(
    "musubi_simulated_sends",
    Kind::Counter,
    &["decision"],
    "Messages that senders gave, by what was decided about them",
);

/// All of it.
pub static METRICS: &[&Metric] = &[&VERDICTS];
