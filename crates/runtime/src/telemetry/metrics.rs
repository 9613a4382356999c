//! Metrics: what a node counts, gauges and times, served to Prometheus as OpenMetrics text.
//!
//! Each node has one table of [`Metric`]s; registration, help and the check of dashboards and alerts are made from it. Labels are names of
//! few values: accounts, carriers, outcomes; never a number, an id or anything of a person. A metric that nobody scrapes costs a look
//! at an empty cell. Surprising: an observation within a span that is exported leaves the span's trace as an exemplar, which Prometheus
//! takes over this format only.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use axum::{Router, extract::State, response::IntoResponse, routing::get};
use http::{StatusCode, header::CONTENT_TYPE};
use musubi_domain::Error;
use prometheus_client::{
    encoding::text::encode,
    metrics::{
        exemplar::{CounterWithExemplar, HistogramWithExemplars},
        family::{Family, MetricConstructor},
        gauge::Gauge,
    },
    registry::{Registry, Unit},
};
use serde::Deserialize;
use tokio::time::Instant;

use super::context;
use crate::{
    Shutdown,
    config::ListenAddress,
    grpc::server::ServerError,
    http::{BoundHttp, HttpConfig, HttpServer},
};

/// What OpenMetrics text is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Upper bounds in seconds, from a statement to a batch that waits for a limit.
const SECONDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// `[telemetry.metrics]`; without it nothing is counted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsConfig {
    /// Where `/metrics` is served, without TLS.
    pub listen: ListenAddress,
    /// Serves whoever reaches it at an address beyond loopback, for a network that is this system's own.
    #[serde(default)]
    pub plain: bool,
}

impl MetricsConfig {
    /// Checks what no type tells.
    ///
    /// # Errors
    /// Names the key of `[telemetry.metrics]`.
    pub(super) fn check(&self) -> Result<(), Error> {
        if self.plain || self.listen.get().ip().is_loopback() {
            return Ok(());
        }
        let problem = "is no loopback address, and /metrics has no TLS";
        let remedy = "listen on 127.0.0.1, or say plain = true in a network that is this system's own";
        Err(Error::invalid("telemetry.metrics.listen", problem, remedy))
    }
}

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows; its series ends in `_total`.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A gauge of seconds.
    GaugeOfSeconds,
    /// How long something took; its series end in `_seconds_bucket`, `_seconds_sum` and `_seconds_count`.
    Seconds,
}

type Labels = Vec<(&'static str, String)>;
type Exemplar = Vec<(&'static str, String)>;

/// One metric of a table.
#[derive(Debug)]
pub struct Metric {
    name: &'static str,
    kind: Kind,
    labels: &'static [&'static str],
    help: &'static str,
    instrument: OnceLock<Instrument>,
}

/// What a metric is kept in, once it is registered.
#[derive(Debug)]
enum Instrument {
    Counter(Family<Labels, CounterWithExemplar<Exemplar>>),
    Gauge(Family<Labels, Gauge<f64, AtomicU64>>),
    Seconds(Family<Labels, HistogramWithExemplars<Exemplar>, Buckets>),
}

#[derive(Clone, Copy, Debug)]
struct Buckets;

impl MetricConstructor<HistogramWithExemplars<Exemplar>> for Buckets {
    fn new_metric(&self) -> HistogramWithExemplars<Exemplar> {
        HistogramWithExemplars::new(SECONDS.into_iter())
    }
}

impl Metric {
    /// A metric: its name without the ending that its [`Kind`] gives it, its labels, and a sentence without its full stop.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kind: Kind,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self { name, kind, labels, help, instrument: OnceLock::new() }
    }

    /// Adds to a counter, or to nothing where nobody scrapes. A value for each label, in order. Add 0 at the start where a rise from
    /// nothing matters: what appears as 1 has not risen, as Prometheus sees it.
    pub fn add<const N: usize>(&self, count: u64, values: [&str; N]) {
        if let Some(Instrument::Counter(family)) = self.instrument.get() {
            let exemplar = if count > 0 { exemplar() } else { None };
            family.get_or_create(&self.labelled(values)).inc_by(count, exemplar, None);
        }
    }

    /// Sets a gauge.
    pub fn set<const N: usize>(&self, value: f64, values: [&str; N]) {
        if let Some(Instrument::Gauge(family)) = self.instrument.get() {
            family.get_or_create(&self.labelled(values)).set(value);
        }
    }

    /// Observes how long something took.
    pub fn observe<const N: usize>(&self, took: Duration, values: [&str; N]) {
        if let Some(Instrument::Seconds(family)) = self.instrument.get() {
            family.get_or_create(&self.labelled(values)).observe(took.as_secs_f64(), exemplar(), None);
        }
    }

    /// Observes how long a future takes.
    pub async fn time<T, const N: usize>(&self, values: [&str; N], future: impl Future<Output = T>) -> T {
        let began = Instant::now();
        let output = future.await;
        self.observe(began.elapsed(), values);
        output
    }

    /// Whether anybody scrapes it: for who would have to look something up for it.
    #[must_use]
    pub fn is_scraped(&self) -> bool {
        self.instrument.get().is_some()
    }

    /// The names of its series, as queries have them.
    #[must_use]
    pub fn series(&self) -> Vec<String> {
        let name = self.name;
        match self.kind {
            Kind::Counter => vec![format!("{name}_total")],
            Kind::Gauge => vec![name.to_owned()],
            Kind::GaugeOfSeconds => vec![format!("{name}_seconds")],
            Kind::Seconds => {
                ["bucket", "sum", "count"].iter().map(|end| format!("{name}_seconds_{end}")).collect()
            }
        }
    }

    fn labelled<const N: usize>(&self, values: [&str; N]) -> Labels {
        debug_assert_eq!(self.labels.len(), N, "{} has the labels {:?}", self.name, self.labels);
        self.labels.iter().copied().zip(values.map(str::to_owned)).collect()
    }

    /// Once for a process; a later call changes nothing.
    fn register(&self, registry: &mut Registry) {
        let Self { name, help, .. } = *self;
        let made = match self.kind {
            Kind::Counter => {
                let family = Family::default();
                registry.register(name, help, family.clone());
                Instrument::Counter(family)
            }
            Kind::Gauge => {
                let family = Family::default();
                registry.register(name, help, family.clone());
                Instrument::Gauge(family)
            }
            Kind::GaugeOfSeconds => {
                let family = Family::default();
                registry.register_with_unit(name, help, Unit::Seconds, family.clone());
                Instrument::Gauge(family)
            }
            Kind::Seconds => {
                let family = Family::new_with_constructor(Buckets);
                registry.register_with_unit(name, help, Unit::Seconds, family.clone());
                Instrument::Seconds(family)
            }
        };
        let _registered_before = self.instrument.set(made);
    }
}

fn exemplar() -> Option<Exemplar> {
    context::current_trace().map(|trace| vec![("trace_id", trace)])
}

/// How long calls took that came in, by the method called and its outcome. Whoever was refused at the door called `refused`.
pub(crate) static CALL: Metric = Metric::new(
    "musubi_call_duration",
    Kind::Seconds,
    &["method", "code"],
    "Calls that came in, from the door to the beginning of the answer",
);
/// How long calls took that went out.
pub(crate) static PEER_CALL: Metric = Metric::new(
    "musubi_peer_call_duration",
    Kind::Seconds,
    &["method", "code"],
    "Calls that went out, to the beginning of the answer",
);
/// How long a node's store took, by what it did. Every node times its own.
pub static STORE: Metric = Metric::new(
    "musubi_store_duration",
    Kind::Seconds,
    &["operation"],
    "What the store was asked to do, with the wait for a connection",
);

/// What every node measures.
pub static EVERY_NODE: &[&Metric] = &[&CALL, &PEER_CALL, &STORE];

/// What is served to Prometheus.
#[derive(Debug)]
pub struct Metrics {
    bound: BoundHttp,
    registry: Arc<Registry>,
}

impl Metrics {
    /// Registers these tables, and takes the address.
    ///
    /// # Errors
    /// When the address is not allowed, or can't be taken.
    pub(super) async fn bind(
        config: &MetricsConfig,
        tables: &[&'static [&'static Metric]],
    ) -> Result<Self, ServerError> {
        config.check()?;
        let bound = match config.plain {
            true => HttpServer::bind_plain(config.listen).await?,
            false => HttpServer::bind(&HttpConfig::plain(config.listen)).await?,
        };
        let mut registry = Registry::default();
        for metric in tables.iter().copied().flatten() {
            metric.register(&mut registry);
        }
        Ok(Self { bound, registry: Arc::new(registry) })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_address(&self) -> SocketAddr {
        self.bound.local_address()
    }

    /// Serves until the shutdown has drained it.
    ///
    /// # Errors
    /// When the transport gives up.
    pub async fn serve(self, shutdown: Shutdown) -> Result<(), ServerError> {
        let router = Router::new().route("/metrics", get(scrape)).with_state(self.registry);
        self.bound.serve(router, shutdown).await
    }
}

async fn scrape(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "the metrics can not be written\n").into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static COUNTED: Metric = Metric::new("test_things", Kind::Counter, &["colour"], "Things");
    static UNSCRAPED: Metric = Metric::new("test_nothing", Kind::Counter, &[], "Nothing");
    static TIMED: Metric = Metric::new("test_wait", Kind::Seconds, &[], "Waits");
    static GAUGED: Metric = Metric::new("test_age", Kind::GaugeOfSeconds, &["queue"], "Ages");

    #[tokio::test]
    async fn what_is_counted_is_served_under_the_names_of_the_table() {
        static TABLE: &[&Metric] = &[&COUNTED, &TIMED, &GAUGED];
        let config = MetricsConfig { listen: ListenAddress::loopback(), plain: false };
        let metrics = Metrics::bind(&config, &[TABLE]).await.unwrap();
        let (url, shutdown) =
            (format!("http://{}/metrics", metrics.local_address()), Shutdown::new(Duration::from_secs(1)));
        shutdown.spawn("metrics", metrics.serve(shutdown.clone()));
        COUNTED.add(2, ["red"]);
        COUNTED.add(0, ["blue"]);
        UNSCRAPED.add(1, []);
        TIMED.observe(Duration::from_millis(3), []);
        GAUGED.set(1.5, ["inquiries"]);
        let answer = reqwest::get(&url).await.unwrap();
        assert_eq!(answer.headers()[CONTENT_TYPE], OPEN_METRICS);
        let text = answer.text().await.unwrap();
        for line in [
            "test_things_total{colour=\"red\"} 2\n",
            "test_wait_seconds_bucket{le=\"0.005\"} 1\n",
            "test_age_seconds{queue=\"inquiries\"} 1.5\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
        assert!(
            text.ends_with("# EOF\n")
                && text.contains("{colour=\"blue\"} 0\n")
                && !text.contains("test_nothing")
        );
        for metric in [&COUNTED, &TIMED, &GAUGED] {
            assert!(metric.series().iter().all(|series| text.contains(series.as_str())), "{text}");
        }
        assert!(!UNSCRAPED.is_scraped() && COUNTED.is_scraped());
        shutdown.begin();
        shutdown.drained().await.unwrap();
    }

    #[test]
    fn metrics_leave_the_machine_only_when_that_is_said() {
        let at = |listen: &str, plain| MetricsConfig { listen: listen.parse().unwrap(), plain }.check();
        assert_eq!(at("0.0.0.0:9464", false).unwrap_err().field, "telemetry.metrics.listen");
        at("127.0.0.1:9464", false).unwrap();
        at("0.0.0.0:9464", true).unwrap();
    }
}
