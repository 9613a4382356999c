//! Spans on their way to a collector, over OTLP: in batches, from a thread of their own, and dropped when it can't be reached.
//!
//! Nothing waits for a collector. What is exported are the spans of [`TARGET`] and the [steps](super::story) of stories; everything else
//! that `tracing` hears stays in the log. Surprising: of two spans with the same id a collector keeps what it likes, so that a step
//! that is told twice, by a worker that died in between, is one step.

use std::{
    str::FromStr as _,
    sync::{Arc, OnceLock},
    time::Duration,
};

use hmac::{Hmac, KeyInit as _};
use musubi_domain::{Error, caller::Caller};
use opentelemetry::{
    Context, InstrumentationScope, KeyValue,
    trace::{TraceId, TracerProvider as _},
};
use opentelemetry_otlp::{SpanExporter, WithTonicConfig as _};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider, Span, SpanData,
        SpanProcessor,
    },
};
use serde::Deserialize;
use sha2::Sha256;
use tonic::transport::Channel;
use url::Url;

use crate::{
    config::{Endpoint, Secret, duration},
    grpc::client::{self, ClientOptions},
    http::safe_address,
    tls::Identity,
};

/// The target of spans that are exported: `info_span!(target: TARGET, "send batch", …)`, of few values and nothing personal.
pub const TARGET: &str = "musubi::trace";
/// Spans that wait for the collector; more are dropped.
const WAITING: usize = 16_384;
/// Spans of one call.
const BATCH: usize = 2_048;
/// How long the collector has for a batch, and for the last ones of a process that ends.
const DEADLINE: Duration = Duration::from_secs(5);
/// What names this program as the maker of spans.
const SCOPE: &str = "musubi";
/// The shortest key of stories, in bytes.
const KEY: usize = 16;

/// `[telemetry.export]`; without it nothing is exported.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportConfig {
    /// The collector: `https://host:4317`, believed as other servers are; or `http://` at a loopback address.
    pub endpoint: String,
    /// Takes an address without TLS anywhere, for a network that is this system's own.
    #[serde(default)]
    pub plain: bool,
    /// Which share of the traces, 0 to 1. Nodes that have the same share choose the same traces.
    pub traces: f64,
    /// What makes the ids of stories; nodes that have the same tell the same ones. Without it this node tells only what callers name.
    #[serde(default)]
    pub key: Option<Secret>,
    /// How long spans are gathered.
    #[serde(default = "five_seconds", with = "duration")]
    pub every: Duration,
}

const fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

impl ExportConfig {
    /// Checks what no type tells.
    ///
    /// # Errors
    /// Names the key of `[telemetry.export]`.
    pub(super) fn check(&self) -> Result<(), Error> {
        let at = |key: &str, problem: String, remedy: &str| {
            Err(Error::invalid(format!("telemetry.export.{key}"), problem, remedy))
        };
        if let Err(error) = self.address() {
            return Err(error.at("telemetry.export.endpoint"));
        }
        if !(0.0..=1.0).contains(&self.traces) {
            return at("traces", "is no share".to_owned(), "write 0 to 1, as 0.001");
        }
        if let Some(key) = self.key.as_ref().filter(|key| key.expose().len() < KEY) {
            return at("key", format!("has {} bytes", key.expose().len()), "give at least 16 random bytes");
        }
        if self.every.is_zero() || self.every > Duration::from_secs(3600) {
            return at("every", "is zero or longer than an hour".to_owned(), "write 1s to 1h");
        }
        Ok(())
    }

    /// Where the collector is. In a network of one's own it needs no TLS.
    fn address(&self) -> Result<Url, Error> {
        let bare =
            |url: &Url| url.host_str().is_some() && url.username().is_empty() && url.password().is_none();
        if self.plain
            && let Some(url) =
                Url::parse(&self.endpoint).ok().filter(|url| url.scheme() == "http" && bare(url))
        {
            return Ok(url);
        }
        let url = safe_address(&self.endpoint)?;
        let has_port = url.scheme() == "http" || Endpoint::from_str(&self.endpoint).is_ok();
        let remedy = "write https://host:4317, or http:// at a loopback address";
        has_port.then_some(url).ok_or_else(|| Error::invalid("", "is no address of a collector", remedy))
    }

    fn channel(&self, identity: Option<&Identity>) -> Result<Channel, Error> {
        let url = self.address()?;
        let wrong = || Error::invalid("telemetry.export.endpoint", "is no URL", "write https://host:4317");
        if url.scheme() == "http" {
            let endpoint = Channel::from_shared(url.as_str().to_owned()).map_err(|_| wrong())?;
            return Ok(endpoint.connect_timeout(DEADLINE).timeout(DEADLINE).connect_lazy());
        }
        let endpoint = Endpoint::from_str(&self.endpoint).map_err(|_| wrong())?;
        let identity = identity.ok_or_else(|| {
            let problem = "needs a certificate, and this process has none";
            Error::invalid("telemetry.export.endpoint", problem, "write http:// at a loopback address")
        })?;
        Ok(client::connect(identity, &endpoint, None, ClientOptions { deadline: DEADLINE })?.channel)
    }
}

/// The way of this process to its collector.
#[derive(Debug)]
pub(super) struct Export {
    provider: SdkTracerProvider,
    pub(super) processor: Arc<BatchSpanProcessor>,
    pub(super) scope: InstrumentationScope,
    /// What makes ids of stories.
    pub(super) key: Option<Hmac<Sha256>>,
    share: f64,
}

static EXPORT: OnceLock<Export> = OnceLock::new();

/// The way of this process to its collector, when it has one.
pub(super) fn export() -> Option<&'static Export> {
    EXPORT.get()
}

impl Export {
    /// Begins, once for a process: a party's with its identity, or one that plays all of them. Gives what makes spans of `tracing` spans.
    /// Needs a tokio runtime; the collector needn't be there.
    ///
    /// # Errors
    /// Names the key of `[telemetry.export]`.
    pub(super) fn begin(
        config: &ExportConfig,
        party: Option<(&Caller, &Identity)>,
    ) -> Result<SdkTracer, Error> {
        let unbuilt = |error: opentelemetry_otlp::ExporterBuildError| {
            Error::invalid("telemetry.export", error.to_string(), "see the endpoint")
        };
        let exporter = SpanExporter::builder().with_tonic();
        let exporter = exporter.with_channel(config.channel(party.map(|(_, identity)| identity))?);
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(config.every)
            .build();
        let mut processor = BatchSpanProcessor::builder(exporter.build().map_err(unbuilt)?)
            .with_batch_config(batches)
            .build();
        let resource =
            Resource::builder_empty().with_attributes(named(party.map(|(party, _)| party))).build();
        processor.set_resource(&resource);
        let processor = Arc::new(processor);
        let key = config.key.as_ref().map(|key| Hmac::new_from_slice(key.expose().as_bytes()));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(Shared(Arc::clone(&processor)))
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.traces))))
            .with_resource(resource)
            .build();
        let tracer = provider.tracer(SCOPE);
        let scope = InstrumentationScope::builder(SCOPE).build();
        let export = Self { provider, processor, scope, key: key.and_then(Result::ok), share: config.traces };
        let _one_for_a_process = EXPORT.set(export);
        Ok(tracer)
    }

    /// Whether a trace is told, as every sampler of OpenTelemetry decides it by its id.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of 63 bits, which needn't be exact"
    )]
    pub(super) fn tells(&self, trace: TraceId) -> bool {
        let [.., a, b, c, d, e, f, g, h] = trace.to_bytes();
        let place = u64::from_be_bytes([a, b, c, d, e, f, g, h]) >> 1;
        self.share >= 1.0 || place < (self.share * (1_u64 << 63) as f64) as u64
    }

    /// Sends what waits, and ends; what is told later is dropped.
    pub(super) fn end(&self) -> OTelSdkResult {
        self.provider.shutdown_with_timeout(DEADLINE)
    }
}

/// Who tells, by the conventions for resources.
fn named(party: Option<&Caller>) -> [KeyValue; 3] {
    let kind = match party {
        Some(Caller::Company(_)) => "musubi-company",
        Some(Caller::Carrier(_)) => "musubi-carrier",
        Some(Caller::Information) => "musubi-information",
        Some(Caller::Terminal) => "musubi-terminal",
        Some(
            Caller::CompanyOperator(..)
            | Caller::CompanyMachine(..)
            | Caller::TerminalOperator(_)
            | Caller::Stranger,
        )
        | None => "musubi",
    };
    [
        KeyValue::new("service.name", kind),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("musubi.party", party.map_or_else(|| "everybody".to_owned(), Caller::to_string)),
    ]
}

/// One processor for the spans of `tracing` and the steps of stories.
#[derive(Debug)]
struct Shared(Arc<BatchSpanProcessor>);

impl SpanProcessor for Shared {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.0.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        self.0.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }
}
