//! The context of a trace over gRPC: `traceparent` as the W3C has it, and beside it, in calls that carry many people's work, the places
//! in the stories of those few that are told.
//!
//! A context is believed from whoever has a certificate, and dropped from anybody else. Surprising: a call for a thousand inquiries
//! names at most a hundred stories, so that a share of 1 makes no header too large; the others go untold by the called node.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState},
};
use tonic::metadata::MetadataValue;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::{
    export::export,
    story::{Began, Place, Step, Story, Telling},
};

/// `00-TRACE-SPAN-FLAGS`, <https://www.w3.org/TR/trace-context/>.
const TRACEPARENT: &str = "traceparent";
/// `INDEX-TRACE-SPAN`, with commas between them.
const STORIES: &str = "musubi-stories";
/// The most stories that one call names; each is some 55 bytes of its headers.
const MOST: usize = 100;

/// Where the present span stands, when it is exported.
pub(super) fn current() -> Option<SpanContext> {
    export()?;
    let context = Span::current().context();
    let span = context.span();
    Some(span.span_context()).filter(|it| it.is_valid() && it.is_sampled()).cloned()
}

/// The trace of the present span, when it is exported: for an exemplar.
pub(super) fn current_trace() -> Option<String> {
    current().map(|context| context.trace_id().to_string())
}

/// Names the span in a call that goes out.
pub(crate) fn inject(span: &Span, headers: &mut HeaderMap) {
    if export().is_none() {
        return;
    }
    let context = span.context();
    let span = context.span();
    let it = span.span_context();
    if it.is_valid() {
        let flags = it.trace_flags().to_u8();
        let text = format!("00-{}-{}-{flags:02x}", it.trace_id(), it.span_id());
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(TRACEPARENT, value);
        }
    }
}

/// Puts a span of a call that came in under the one that its caller named.
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    if export().is_none() {
        return;
    }
    let parent = headers.get(TRACEPARENT).and_then(|value| parse(value.to_str().ok()?));
    if let Some(parent) = parent {
        // Refused only when this span is told to nobody.
        let _told = span.set_parent(Context::new().with_remote_span_context(parent));
    }
}

/// Drops what a caller says of traces.
pub(crate) fn forget(headers: &mut HeaderMap) {
    for name in [TRACEPARENT, "tracestate", "baggage", STORIES] {
        headers.remove(name);
    }
}

fn parse(text: &str) -> Option<SpanContext> {
    let mut parts = text.split('-');
    let [version, trace, span, flags] = [parts.next()?, parts.next()?, parts.next()?, parts.next()?];
    if version != "00" || parts.next().is_some() {
        return None;
    }
    let Place { trace, span } = place(trace, span)?;
    let flags = (flags.len() == 2).then(|| u8::from_str_radix(flags, 16).ok()).flatten()?;
    let context = SpanContext::new(trace, span, TraceFlags::new(flags), true, TraceState::NONE);
    context.is_valid().then_some(context)
}

fn place(trace: &str, span: &str) -> Option<Place> {
    let lower = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let good = trace.len() == 32 && span.len() == 16 && lower(trace) && lower(span);
    let (trace, span) = good.then(|| (TraceId::from_hex(trace), SpanId::from_hex(span)))?;
    Some(Place { trace: trace.ok()?, span: span.ok()? })
}

/// Names in a call the stories of some of what it carries: each by the index of its item, and the step that led to the call.
pub fn name<T>(request: &mut tonic::Request<T>, stories: impl IntoIterator<Item = (usize, Place)>) {
    let named: Vec<String> = stories
        .into_iter()
        .take(MOST)
        .map(|(index, Place { trace, span })| format!("{index}-{trace}-{span}"))
        .collect();
    if !named.is_empty()
        && let Ok(value) = MetadataValue::try_from(named.join(","))
    {
        request.metadata_mut().insert(STORIES, value);
    }
}

/// The stories that a call names.
#[derive(Debug, Default)]
pub struct Named(HashMap<usize, Place>);

/// Reads the stories that a call names. What can't be read is left out.
#[must_use]
pub fn named<T>(request: &tonic::Request<T>) -> Named {
    if export().is_none() {
        return Named::default();
    }
    let text = request.metadata().get(STORIES).and_then(|value| value.to_str().ok()).unwrap_or_default();
    Named(text.split(',').take(MOST).filter_map(item).collect())
}

fn item(text: &str) -> Option<(usize, Place)> {
    let (index, rest) = text.split_once('-')?;
    let (trace, span) = rest.split_once('-')?;
    Some((index.parse().ok()?, place(trace, span)?))
}

impl Named {
    /// Each item whose story is told, with a step under the one that was named.
    pub fn steps(&self, step: Step, began: Began) -> impl Iterator<Item = (usize, Telling)> {
        self.0.iter().filter_map(move |(index, place)| {
            let story = Story::at(*place)?;
            Some((*index, story.step(step, index.to_be_bytes(), began).under_place(*place)))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    const SPAN: &str = "b7ad6b7169203331";

    #[test]
    fn a_context_is_read_as_the_w3c_writes_it_and_junk_is_none() {
        let read = parse(&format!("00-{TRACE}-{SPAN}-01")).unwrap();
        assert_eq!((read.trace_id().to_string(), read.span_id().to_string()), (TRACE.into(), SPAN.into()));
        assert!(read.is_sampled() && !parse(&format!("00-{TRACE}-{SPAN}-00")).unwrap().is_sampled());
        let zero = format!("00-{}-{SPAN}-01", "0".repeat(32));
        let upper = format!("00-{}-{SPAN}-01", TRACE.to_uppercase());
        let long = format!("00-{TRACE}-{SPAN}-01-x");
        let next = format!("01-{TRACE}-{SPAN}-01");
        for bad in ["", "00", "00-あ-い-01", &zero, &upper, &long, &next, &format!("00-{TRACE}-{SPAN}-1")] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn stories_are_named_by_index_up_to_a_limit() {
        let place = place(TRACE, SPAN).unwrap();
        let mut request = tonic::Request::new(());
        name(&mut request, (0..1_000).map(|index| (index, place)));
        let text = request.metadata().get(STORIES).unwrap().to_str().unwrap().to_owned();
        let read: HashMap<usize, Place> = text.split(',').filter_map(item).collect();
        assert!(read.len() == MOST && read.values().all(|it| *it == place));
        assert!(text.len() < 8 * 1024, "{} bytes", text.len());
        for bad in ["", "1", "1-", "x-0-0", &format!("-1-{TRACE}-{SPAN}"), &format!("1-{SPAN}-{TRACE}")] {
            assert!(item(bad).is_none(), "{bad}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(STORIES, HeaderValue::from_str(&text).unwrap());
        headers.insert(TRACEPARENT, HeaderValue::from_static("00"));
        forget(&mut headers);
        assert!(headers.is_empty());
    }
}
