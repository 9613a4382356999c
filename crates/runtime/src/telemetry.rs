//! What a process says: lines on standard error, as text for people or as JSON for machines.
//!
//! No personal data and no secret ever stands in an event. Surprising: a panic's message is never logged, only where it
//! happened, because messages carry values; and the libraries under gRPC never log below `info`, whatever the filter says,
//! because there they print headers and frames.

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::Once,
};

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

impl TelemetryConfig {
    /// Checks what [`init`] would refuse.
    ///
    /// # Errors
    /// When the filter can't be read.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.filter().map(drop)
    }

    fn filter(&self) -> Result<EnvFilter, TelemetryError> {
        Ok(EnvFilter::builder().parse(&self.filter)?)
    }
}

/// Sends events to standard error and makes panics log their place. In one process the first call decides; a later one checks
/// its configuration and changes nothing.
///
/// # Errors
/// When the filter can't be read.
pub fn init(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    static ONCE: Once = Once::new();
    let filter = config.filter()?;
    ONCE.call_once(|| {
        // Where nobody hears, as on a full disk, an event is lost: to complain of that there would panic.
        let lines = fmt::layer().with_writer(io::stderr).log_internal_errors(false);
        let lines = match config.format {
            Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
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

#[cfg(test)]
mod tests {
    use std::{env, process::Command};

    use super::*;

    /// libtest takes this argument and does nothing with it; it tells the test below that it is the process to be watched.
    const WATCHED: &str = "--skip=no-test-has-this-name";

    fn config(format: Format, filter: &str) -> TelemetryConfig {
        TelemetryConfig { format, filter: filter.to_owned() }
    }

    #[test]
    fn where_nobody_hears_events_are_lost_and_nothing_else() {
        const UNHEARD: &str = "--skip=no-test-has-that-name-either";
        if env::args().any(|argument| argument == UNHEARD) {
            init(&config(Format::Text, "info")).unwrap();
            tracing::info!("an event");
            assert!(panic::catch_unwind(|| panic!("caught")).is_err());
            return;
        }
        let name = "telemetry::tests::where_nobody_hears_events_are_lost_and_nothing_else";
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut this = Command::new(env::current_exe().unwrap());
        let this = this.args(["--exact", name, "--nocapture", UNHEARD]).stderr(full);
        let output = this.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    /// What a process of its own says, because a subscriber and a panic hook are for the whole process.
    #[test]
    fn events_go_to_stderr_and_a_panic_says_only_where() {
        if env::args().any(|argument| argument == WATCHED) {
            init(&config(Format::Json, "trace")).unwrap();
            init(&config(Format::Text, "off")).unwrap();
            tracing::debug!(count = 3, "an event");
            tracing::trace!(target: "h2::codec", "a frame with a token");
            tracing::info!(target: "h2::codec", "a connection ended");
            assert!(panic::catch_unwind(|| panic!("a secret")).is_err());
            return;
        }
        let name = "telemetry::tests::events_go_to_stderr_and_a_panic_says_only_where";
        let this = env::current_exe().unwrap();
        let output = Command::new(this).args(["--exact", name, "--nocapture", WATCHED]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let lines: Vec<&str> = said.lines().filter(|line| line.starts_with('{')).collect();
        assert_eq!(lines.len(), 3, "{said}");
        assert!(lines[0].contains(r#""message":"an event","count":3"#), "{said}");
        assert!(lines[1].contains("a connection ended"), "{said}");
        assert!(lines[2].contains(&format!("panic at {}:", file!())), "{said}");
        assert!(!said.contains("a secret"), "{said}");
    }

    #[test]
    fn filter_that_can_not_be_read_is_refused() {
        let error = init(&config(Format::Text, "musubi=loud")).unwrap_err().to_string();
        assert!(error.starts_with("telemetry.filter: ") && error.contains("; write it as info"), "{error}");
    }
}
