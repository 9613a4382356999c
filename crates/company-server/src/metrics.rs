//! What the company server measures beside what every node does: the table that it registers, and what dashboards and alerts may name.

use musubi_runtime::telemetry::metrics::{Kind, Metric};

/// Inquiries that this company's master decided, by outcome.
pub(crate) static DECISIONS: Metric = Metric::new(
    "musubi_company_decisions",
    Kind::Counter,
    &["outcome"],
    "Inquiries that this company's master decided, by outcome",
);

/// All of it.
pub static METRICS: &[&Metric] = &[&DECISIONS];
