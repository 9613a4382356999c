//! A collector of spans: the service of OpenTelemetry, and everything that nodes told it.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::any_value,
    trace::v1::Span,
};
use tokio::task::JoinHandle;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// A collector. Dropped, it hears nothing more.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<ExportTraceServiceRequest>>>,
    served: JoinHandle<()>,
}

/// A span, with the service that told it.
#[derive(Clone, Debug)]
pub struct Told {
    /// `musubi-information` and so on.
    pub service: String,
    /// Which of them: `carrier/nami` and so on.
    pub party: String,
    /// The span.
    pub span: Span,
}

impl Told {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.span.name
    }

    /// The text of an attribute; empty when there is none.
    #[must_use]
    pub fn attribute(&self, key: &str) -> &str {
        text(&self.span.attributes, key)
    }
}

impl Collector {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
        let address = incoming.local_addr().unwrap();
        let heard: Arc<Mutex<Vec<ExportTraceServiceRequest>>> = Arc::default();
        let service = TraceServiceServer::new(Hears(Arc::clone(&heard))).max_decoding_message_size(1 << 26);
        let served = tokio::spawn(async move {
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { address, heard, served }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Everything that it heard, as it came.
    #[must_use]
    pub fn heard(&self) -> Vec<ExportTraceServiceRequest> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Every span that it heard of, by trace.
    #[must_use]
    pub fn traces(&self) -> HashMap<Vec<u8>, Vec<Told>> {
        let mut traces: HashMap<Vec<u8>, Vec<Told>> = HashMap::new();
        for resource in self.heard().into_iter().flat_map(|request| request.resource_spans) {
            let attributes = resource.resource.map(|resource| resource.attributes).unwrap_or_default();
            let [service, party] =
                ["service.name", "musubi.party"].map(|name| text(&attributes, name).to_owned());
            for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let told = Told { service: service.clone(), party: party.clone(), span };
                traces.entry(told.span.trace_id.clone()).or_default().push(told);
            }
        }
        traces
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.served.abort();
    }
}

fn text<'a>(attributes: &'a [opentelemetry_proto::tonic::common::v1::KeyValue], key: &str) -> &'a str {
    let value = attributes.iter().find(|attribute| attribute.key == key).and_then(|it| it.value.as_ref());
    match value.and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text,
        _ => "",
    }
}

struct Hears(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

#[tonic::async_trait]
impl TraceService for Hears {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(request.into_inner());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
