//! What a process says: lines on standard error, as text for people or as JSON for machines.
//!
//! No personal data and no secret ever stands in an event. Surprising: a panic's message is never logged, only where it
//! happened, because messages carry values; and the libraries under gRPC never log below `info`, whatever the filter says,
//! because there they print headers and frames.

use std::{io, panic, sync::Once};

use serde::Deserialize;
use tracing::{Level, Metadata, error};
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _,
};

/// Libraries that print what they carry, by the beginning of their targets.
const CARRIERS: [&str; 7] = ["h2", "hyper", "tonic", "tower", "rustls", "tokio_util", "axum"];

/// How events look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object a line.
    Json,
}

/// The `[telemetry]` section of a node's configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TelemetryConfig {
    /// `text` or `json`.
    pub format: Format,
    /// Which events: `info`, or `info,musubi_storage=debug`.
    pub filter: String,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
#[error("telemetry.filter: {0}; write it as info, or info,musubi_storage=debug")]
pub struct TelemetryError(#[from] tracing_subscriber::filter::ParseError);

/// Sends events to standard error and makes panics log their place. In one process the first call decides; a later one checks
/// its configuration and changes nothing.
///
/// # Errors
/// When the filter can't be read.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    static ONCE: Once = Once::new();
    let filter: EnvFilter = EnvFilter::builder().parse(&config.filter)?;
    ONCE.call_once(|| {
        let lines = fmt::layer().with_writer(io::stderr);
        let lines = match config.format {
            Format::Text => lines.with_ansi(false).boxed(),
            Format::Json => lines.json().boxed(),
        };
        let lines = lines.with_filter(filter_fn(is_safe));
        // Refused only when a test harness installed a subscriber of its own; then that one decides.
        let _other_decides = tracing_subscriber::registry().with(lines).with(filter).try_init();
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            error!(place, "panic at {place}");
        }));
    });
    Ok(())
}

fn is_safe(metadata: &Metadata<'_>) -> bool {
    let carries = CARRIERS.iter().any(|target| metadata.target().starts_with(target));
    !carries || *metadata.level() <= Level::INFO
}
