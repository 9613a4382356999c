//! Lines of JSON that name their trace: what the log says of a call is found from its trace, and the other way round.

use std::fmt;

use opentelemetry::trace::TraceContextExt as _;
use tracing::{Event, Subscriber, dispatcher};
use tracing_opentelemetry::get_otel_context;
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Json, Writer},
    },
    registry::LookupSpan,
};

use super::export::export;

/// One object a line, with `trace_id` and `span_id` in front when the event is within a span that is exported.
pub(super) struct Traced(Format<Json>);

impl Traced {
    pub(super) fn new() -> Self {
        Self(Format::default().json())
    }
}

impl<S, N> FormatEvent<S, N> for Traced
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some((trace, span)) = export().and_then(|_| within(context)) else {
            return self.0.format_event(context, writer, event);
        };
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        let rest = line.strip_prefix('{').unwrap_or(&line);
        write!(writer, r#"{{"trace_id":"{trace}","span_id":"{span}",{rest}"#)
    }
}

/// The innermost span around the event that is exported.
fn within<S, N>(context: &FmtContext<'_, S, N>) -> Option<(String, String)>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    context.event_scope()?.find_map(|span| {
        let context = dispatcher::get_default(|dispatch| get_otel_context(&span.id(), dispatch))?;
        let span = context.span();
        let it = span.span_context();
        (it.is_valid() && it.is_sampled()).then(|| (it.trace_id().to_string(), it.span_id().to_string()))
    })
}
