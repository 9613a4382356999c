//! What the information-management server measures: the table that it registers, and what dashboards and alerts may name.
//!
//! Labels are accounts, carriers, companies and words of the domain. Surprising: what counts followers and messages is read from the
//! store's own counts now and then, see [`gauges`](crate::gauges); everything else is counted where it happens, after it was stored.

use musubi_runtime::telemetry::metrics::{Kind, Metric};

/// How many followers came how far, by the furthest stage of their present dialogue.
pub(crate) static FUNNEL: Metric = Metric::new(
    "musubi_funnel_followers",
    Kind::Gauge,
    &["official_account", "carrier", "stage"],
    "Followers by the furthest stage of their present dialogue, and no further",
);
/// How many followers stand where now.
pub(crate) static FOLLOWERS: Metric = Metric::new(
    "musubi_followers",
    Kind::Gauge,
    &["official_account", "carrier", "outcome"],
    "Followers by where they stand now",
);
/// How many messages stand where.
pub(crate) static MESSAGES: Metric = Metric::new(
    "musubi_messages",
    Kind::Gauge,
    &["official_account", "carrier", "state"],
    "Messages by state",
);
/// Lists that are quarantined.
pub(crate) static QUARANTINED: Metric = Metric::new(
    "musubi_list_quarantined",
    Kind::Gauge,
    &["official_account", "carrier"],
    "1 while the subscriber list is kept as it was because the new one lacks too many",
);
/// How old lists are.
pub(crate) static LIST_AGE: Metric = Metric::new(
    "musubi_list_age",
    Kind::GaugeOfSeconds,
    &["official_account", "carrier"],
    "Since the subscriber list was last acquired in full",
);
/// How long the longest waits.
pub(crate) static BACKLOG_AGE: Metric = Metric::new(
    "musubi_backlog_age",
    Kind::GaugeOfSeconds,
    &["queue"],
    "How long the oldest of what is due has been due",
);
/// When gauges were last read.
pub(crate) static GAUGED: Metric = Metric::new(
    "musubi_gauges_read_time",
    Kind::GaugeOfSeconds,
    &[],
    "When the store was last read for what is gauged, in seconds since 1970",
);
/// Events that carriers pushed.
pub(crate) static EVENTS: Metric = Metric::new(
    "musubi_carrier_events",
    Kind::Counter,
    &["carrier", "outcome"],
    "Events that carriers reported: taken, repeated or refused",
);
/// Messages that dialogues said.
pub(crate) static STEPS: Metric = Metric::new(
    "musubi_dialogue_messages",
    Kind::Counter,
    &["official_account", "purpose"],
    "Messages that dialogues said, by what they say",
);
/// Assertions that carriers passed on.
pub(crate) static ASSERTIONS: Metric = Metric::new(
    "musubi_assertions",
    Kind::Counter,
    &["carrier", "outcome"],
    "Assertions of identities: taken or refused",
);
/// Companies whose tries are used up.
pub(crate) static ALARMS: Metric = Metric::new(
    "musubi_guess_alarms",
    Kind::Counter,
    &["company"],
    "How often tries at account numbers reached the company's limit",
);
/// Decided inquiries.
pub(crate) static MATCHES: Metric = Metric::new(
    "musubi_match_decisions",
    Kind::Counter,
    &["company", "outcome"],
    "Inquiries decided, by outcome",
);
/// What became of attempts, and what receipts said.
pub(crate) static ATTEMPTS: Metric = Metric::new(
    "musubi_delivery_outcomes",
    Kind::Counter,
    &["carrier", "outcome"],
    "What became of attempts at deliveries, and what receipts say of them",
);
/// Waits for a limit.
pub(crate) static WAITS: Metric = Metric::new(
    "musubi_limit_wait",
    Kind::Seconds,
    &["carrier"],
    "How long a limit of messages a second made a batch wait",
);
/// Batches without an answer.
pub(crate) static FAILURES: Metric = Metric::new(
    "musubi_carrier_failures",
    Kind::Counter,
    &["carrier"],
    "Batches of messages whose outcome nobody knows, as the carrier did not answer",
);

/// All of it.
pub static METRICS: &[&Metric] = &[
    &FUNNEL,
    &FOLLOWERS,
    &MESSAGES,
    &QUARANTINED,
    &LIST_AGE,
    &BACKLOG_AGE,
    &GAUGED,
    &EVENTS,
    &STEPS,
    &ASSERTIONS,
    &ALARMS,
    &MATCHES,
    &ATTEMPTS,
    &WAITS,
    &FAILURES,
];
