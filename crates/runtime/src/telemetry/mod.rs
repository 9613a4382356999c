//! What a process says: lines on standard error, as text for people or as JSON for machines; spans to a collector; metrics to whoever
//! scrapes them.
//!
//! [`story`] tells what becomes of one person's follow and of one message, over all nodes; [`context`] carries a trace over a call; [`metrics`]
//! counts. No personal data and no secret ever stands in an event, a span or a metric. Surprising: a panic's message is never logged, only where it
//! happened, because messages carry values; and the libraries under gRPC never log below `info`, whatever the filter says,
//! because there they print headers and frames.

pub mod context;
mod export;
mod lines;
pub mod metrics;
pub mod story;

use std::{
    io::{self, IsTerminal as _},
    panic,
    sync::Once,
};

use musubi_domain::{Error, caller::Caller};
use opentelemetry_sdk::trace::SdkTracer;
use serde::Deserialize;
use tracing::{Level, Metadata, error};
use tracing_subscriber::{
    EnvFilter, Layer as _, Registry, filter::filter_fn, fmt, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

use self::{
    export::{Export, export},
    lines::Traced,
    metrics::{EVERY_NODE, Metric, Metrics, MetricsConfig},
};
use crate::{grpc::server::ServerError, tls::Identity};

pub use self::export::{ExportConfig, TARGET};

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
    /// Where spans go; none: nowhere.
    #[serde(default)]
    pub export: Option<ExportConfig>,
    /// Where metrics are served; none: nowhere.
    #[serde(default)]
    pub metrics: Option<MetricsConfig>,
}

/// Why a process says nothing.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter can't be read.
    #[error("telemetry.filter: {0}; write it as info, or info,musubi_storage=debug")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Another key is wrong.
    #[error(transparent)]
    Config(#[from] Error),
    /// The address of the metrics can't be taken.
    #[error("telemetry.metrics: {0}")]
    Metrics(#[from] ServerError),
}

impl TelemetryConfig {
    /// Lines for people, and nothing else.
    #[must_use]
    pub fn text(filter: &str) -> Self {
        Self { format: Format::Text, filter: filter.to_owned(), export: None, metrics: None }
    }

    /// Checks what [`init`] and [`start`] would refuse.
    ///
    /// # Errors
    /// When the filter can't be read, or a key of `[telemetry.export]` or `[telemetry.metrics]` is wrong.
    pub fn check(&self) -> Result<(), TelemetryError> {
        self.filter()?;
        self.export.as_ref().map_or(Ok(()), ExportConfig::check)?;
        Ok(self.metrics.as_ref().map_or(Ok(()), MetricsConfig::check)?)
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
    let filter = config.filter()?;
    install(config.format, filter, || Ok(None))
}

/// As [`init`]; also exports spans, of all the nodes that one process plays. Needs a tokio runtime.
///
/// # Errors
/// When the configuration is wrong, or wants a certificate.
pub fn start_for_all(config: &TelemetryConfig) -> Result<(), TelemetryError> {
    config.check()?;
    let begin = |export: &ExportConfig| Export::begin(export, None);
    install(config.format, config.filter()?, || config.export.as_ref().map(begin).transpose())
}

/// As [`init`]; also exports spans as this party, over TLS as the identity, and gives the metrics to be served: those of every node and of
/// these tables. Needs a tokio runtime.
///
/// # Errors
/// When the configuration is wrong, or the address of the metrics can't be taken.
pub async fn start(
    config: &TelemetryConfig,
    party: &Caller,
    identity: &Identity,
    table: &'static [&'static Metric],
) -> Result<Option<Metrics>, TelemetryError> {
    config.check()?;
    let filter = config.filter()?;
    let begin = |export: &ExportConfig| Export::begin(export, Some((party, identity)));
    install(config.format, filter, || config.export.as_ref().map(begin).transpose())?;
    match &config.metrics {
        Some(metrics) => Ok(Some(Metrics::bind(metrics, &[EVERY_NODE, table]).await?)),
        None => Ok(None),
    }
}

/// Sends the spans that wait, when a process ends. Takes at most some seconds.
pub async fn end() {
    if let Some(export) = export() {
        let ended = tokio::task::spawn_blocking(|| export.end()).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::warn!("the last spans did not reach the collector");
        }
    }
}

fn install(
    format: Format,
    filter: EnvFilter,
    tracer: impl FnOnce() -> Result<Option<SdkTracer>, Error>,
) -> Result<(), TelemetryError> {
    static ONCE: Once = Once::new();
    let mut installed = Ok(());
    ONCE.call_once(|| {
        let tracer = match tracer() {
            Ok(tracer) => tracer,
            Err(error) => {
                installed = Err(error.into());
                return;
            }
        };
        // Where nobody hears, as on a full disk, an event is lost: to complain of that there would panic.
        let lines = fmt::layer::<Registry>().with_writer(io::stderr).log_internal_errors(false);
        let lines = match format {
            Format::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
            Format::Json => lines.json().event_format(Traced::new()).boxed(),
        };
        let lines = lines.with_filter(filter_fn(is_safe)).with_filter(filter);
        let spans = tracer.map(|tracer| {
            let spans = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false);
            let spans = spans.with_threads(false).with_tracked_inactivity(false);
            spans.with_filter(filter_fn(|it| it.is_span() && it.target() == TARGET))
        });
        // Refused only when a test harness installed a subscriber of its own; then that one decides.
        let _other_decides = tracing_subscriber::registry().with(lines).with(spans).try_init();
        panic::set_hook(Box::new(|panic| {
            let place = panic.location().map(ToString::to_string).unwrap_or_default();
            error!(place, "panic at {place}");
        }));
    });
    installed
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
        TelemetryConfig { format, ..TelemetryConfig::text(filter) }
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
