//! The door of a server: who comes in, how many at once, for how long.
//!
//! Every call passes here before any handler. Health is for every known caller and takes no place, so that an overloaded or
//! draining server still answers it.
//! Surprising: a place is held while the handler works, and not while its response streams, so that long streams don't
//! starve the rest; the drain waits for both.

use std::{
    collections::HashMap,
    convert::Infallible,
    panic::AssertUnwindSafe,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use http::{HeaderMap, HeaderValue, Request, Response, header::AUTHORIZATION, request::Parts};
use musubi_domain::{
    Error, ErrorKind,
    caller::{Caller, CallerKind},
};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, body::Body, service::Routes};
use tower::Service;
use tracing::{Instrument as _, Span, info_span, warn};

use super::{
    auth::{Authenticator, Identified, Roles},
    body::EndingBody,
    denials::Denials,
    status,
};
use crate::{
    telemetry::{TARGET, context, metrics::CALL},
    tls::connection::Peer,
};

/// A call whose caller gave no deadline ends after this.
const DEFAULT_DEADLINE: Duration = Duration::from_secs(30);
/// No call has longer than this to answer, whatever its caller asked for: long uploads ask for more than the default.
const LONGEST_DEADLINE: Duration = Duration::from_secs(3600);
/// A handler ends this long before its caller's deadline, so that the caller still hears so; tonic's own timer, which can't
/// be turned off, would say CANCELLED.
const MARGIN: Duration = Duration::from_millis(20);
/// How many handlers work at once; further calls are refused at once, which costs less than to let them wait.
const MOST_AT_ONCE: usize = 1024;
/// How many of them for one caller, so that none takes the places of all others.
const MOST_OF_ONE: usize = 256;
/// How many calls at once of those who have no certificate and are not known yet: each costs a look into the database, or a password's
/// hash.
const MOST_OF_STRANGERS: usize = 64;
const HEALTH: &str = "/grpc.health.v1.Health/";

/// The door, before `routes`.
#[derive(Clone)]
pub(crate) struct Admission {
    routes: Routes,
    rules: Arc<Rules>,
}

/// A call that a handler has.
struct Permitted {
    caller: Caller,
    method: String,
    span: Span,
}

struct Rules {
    auth: Authenticator,
    places: Semaphore,
    of_each: HashMap<Caller, Semaphore>,
    /// Of all whom a token names.
    of_bearers: Semaphore,
    of_strangers: Semaphore,
    soft: CancellationToken,
    hard: CancellationToken,
    calls: TaskTracker,
}

impl Admission {
    /// `calls` counts the calls under way, their responses included.
    pub(crate) fn new(
        routes: Routes,
        auth: Authenticator,
        soft: CancellationToken,
        hard: CancellationToken,
        calls: TaskTracker,
    ) -> Self {
        let places = Semaphore::new(MOST_AT_ONCE);
        let of_each = auth.known().map(|caller| (caller.clone(), Semaphore::new(MOST_OF_ONE))).collect();
        let (of_bearers, of_strangers) = (Semaphore::new(MOST_OF_ONE), Semaphore::new(MOST_OF_STRANGERS));
        let rules = Rules { auth, places, of_each, of_bearers, of_strangers, soft, hard, calls };
        Self { routes: routes.prepare(), rules: Arc::new(rules) }
    }

    /// Whom it refused.
    pub(crate) fn denials(&self) -> Denials {
        self.rules.auth.denials()
    }

    /// Whether it lets somebody in without a certificate.
    pub(crate) fn takes_bearers(&self) -> bool {
        self.rules.auth.takes_bearers()
    }
}

impl Service<Request<Body>> for Admission {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        <Routes as Service<Request<Body>>>::poll_ready(&mut self.routes, context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut routes = self.routes.clone();
        let rules = Arc::clone(&self.rules);
        if request.uri().path().starts_with(HEALTH) {
            return Box::pin(async move {
                let (head, body) = request.into_parts();
                match rules.identify(&head).await {
                    Ok(_known) => routes.call(Request::from_parts(head, body)).await,
                    Err(refused) => Ok(refused.into_http()),
                }
            });
        }
        Box::pin(async move {
            let (began, mut permitted) = (Instant::now(), None);
            let answer = rules.run(routes, request, &mut permitted).await;
            if let (Some(Permitted { caller, method, .. }), Some(why)) =
                (&permitted, status::refusal(&answer))
            {
                rules.auth.refused(caller, method, why);
            }
            // Whoever is refused may have called anything.
            let (method, span) = permitted
                .map_or_else(|| ("refused".to_owned(), Span::none()), |it: Permitted| (it.method, it.span));
            span.in_scope(|| CALL.observe(began.elapsed(), [&method, status::word(&answer)]));
            Ok(answer.unwrap_or_else(Status::into_http))
        })
    }
}

impl Rules {
    /// Who calls: by the certificate of the connection, and where it names nobody, by a token of the call.
    async fn identify(&self, head: &Parts) -> Result<Identified, Status> {
        let peer = head.extensions.get::<Peer>();
        // Whose certificate was taken back is nobody.
        let parties = peer.filter(|peer| !peer.is_revoked()).map_or(&[][..], |peer| &peer.parties);
        let (address, path) = (peer.map(|peer| peer.address), head.uri.path());
        let ip = address.map(|address| address.ip());
        let mut by_token = None;
        if !self.auth.knows_any(parties) {
            let _place = self.of_strangers.try_acquire().map_err(|_full| full())?;
            let authorization = head.headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
            by_token = self.auth.identify_bearer(authorization, path, ip).await;
        }
        let identified = by_token.unwrap_or_else(|| self.auth.identify(parties, ip));
        identified.map_err(|error| {
            warn!(method = path, ?address, "refused: {}", error.problem);
            status::to_status(error)
        })
    }

    /// `permitted` is set once the method is known to be one that the caller may call, and has a place.
    async fn run(
        &self,
        mut routes: Routes,
        request: Request<Body>,
        permitted: &mut Option<Permitted>,
    ) -> Result<Response<Body>, Status> {
        let call = self.calls.token();
        if self.soft.is_cancelled() {
            return Err(stopping());
        }
        let end = Instant::now() + deadline(request.headers());
        let (head, body) = request.into_parts();
        let identified = tokio::select! {
            biased;
            () = self.hard.cancelled() => return Err(stopping()),
            identified = self.identify(&head) => identified?,
            () = tokio::time::sleep_until(end) => return Err(status::deadline_exceeded()),
        };
        let mut request = Request::from_parts(head, body);
        let method = request.uri().path();
        let turn = self.auth.take_turn(&identified.caller, method, Instant::now().into_std());
        turn.map_err(status::too_often)?;
        self.auth.permit(&identified, method).map_err(|error| {
            warn!(method, "denied: {}", error.problem);
            status::to_status(error)
        })?;
        let Identified { caller, roles } = identified;
        let others = || if caller == Caller::Stranger { &self.of_strangers } else { &self.of_bearers };
        let own = self.of_each.get(&caller).unwrap_or_else(others);
        let refused = |_full| {
            self.auth.refused(&caller, method, "too many at once");
            full()
        };
        let _own = own.try_acquire().map_err(refused)?;
        let _place = self.places.try_acquire().map_err(refused)?;
        let span =
            info_span!(target: TARGET, "call", otel.kind = "server", otel.name = method, method, %caller);
        *permitted =
            Some(Permitted { caller: caller.clone(), method: method.to_owned(), span: span.clone() });
        // A person's word, or a program's, is not taken for which trace this is; a node's is.
        match caller.kind() {
            CallerKind::Company | CallerKind::Carrier | CallerKind::Information | CallerKind::Terminal => {
                context::adopt(&span, request.headers());
            }
            CallerKind::Operator | CallerKind::Machine | CallerKind::Anybody => {
                context::forget(request.headers_mut());
            }
        }
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(Roles(roles));
        let handler =
            AssertUnwindSafe(async move { routes.call(request).await }.instrument(span)).catch_unwind();
        let response = tokio::select! {
            biased;
            () = self.hard.cancelled() => return Err(stopping()),
            response = handler => response,
            () = tokio::time::sleep_until(end) => return Err(status::deadline_exceeded()),
        };
        let Ok(Ok(response)) = response else {
            return Err(status::to_status(Error::new(ErrorKind::Internal, "the handler panicked", "")));
        };
        let hard = self.hard.clone();
        let end = async move {
            hard.cancelled().await;
            stopping()
        };
        Ok(response.map(|body| EndingBody::wrap(body, Box::pin(end), call)))
    }
}

fn full() -> Status {
    let problem = "too many calls at once";
    status::to_status(Error::new(ErrorKind::ResourceExhausted, problem, "slow down and repeat"))
}

fn stopping() -> Status {
    status::to_status(Error::new(ErrorKind::Unavailable, "the server is stopping", "repeat it"))
}

fn deadline(headers: &HeaderMap) -> Duration {
    let asked = headers.get("grpc-timeout").and_then(|value| parse_timeout(value.to_str().ok()?));
    asked.map_or(DEFAULT_DEADLINE, |asked| asked.min(LONGEST_DEADLINE).saturating_sub(MARGIN))
}

/// The gRPC wire's timeout: one to eight digits and a unit.
pub(crate) fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if !(1..=8).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(number * 3600)),
        "M" => Some(Duration::from_secs(number * 60)),
        "S" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_millis(number)),
        "u" => Some(Duration::from_micros(number)),
        "n" => Some(Duration::from_nanos(number)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_of_the_wire_are_read_and_junk_is_not() {
        let good =
            [("1H", 3_600_000), ("2M", 120_000), ("3S", 3000), ("4m", 4), ("5000u", 5), ("99999999n", 99)];
        for (text, millis) in good {
            assert_eq!(parse_timeout(text).map(|timeout| timeout.as_millis()), Some(millis), "{text}");
        }
        for bad in ["", "S", "1", "1s", "+1S", "-1S", "123456789S", "1.5S", "1Ｓ", "1あ"] {
            assert_eq!(parse_timeout(bad), None, "{bad}");
        }
    }

    #[test]
    fn deadline_is_the_callers_within_limits() {
        let with = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("grpc-timeout", HeaderValue::from_static(text));
            deadline(&headers)
        };
        assert_eq!(deadline(&HeaderMap::new()), DEFAULT_DEADLINE);
        assert_eq!(with("nonsense"), DEFAULT_DEADLINE);
        assert_eq!(with("10M"), Duration::from_secs(600) - MARGIN);
        assert_eq!(with("99999999H"), LONGEST_DEADLINE - MARGIN);
        assert_eq!(with("1m"), Duration::ZERO);
    }
}
