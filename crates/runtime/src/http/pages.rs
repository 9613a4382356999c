//! What all pages for people share: the headers that bind browsers, the refusal of foreign pages, the look.
//!
//! No page has a script or a style of its own in its text: the policy forbids both. Surprising: a request that changes
//! something and doesn't say where it comes from is refused, too; every browser says it.

use std::{hash::Hasher as _, sync::LazyLock};

use axum::{
    Router,
    extract::{Path, Request},
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::get,
};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, ORIGIN, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS,
    },
};

/// What a browser may load and do on a page.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
);

/// Files that all pages use: name, type, text. htmx is version 4.
const ASSETS: [(&str, &str, &str); 2] = [
    ("base.css", "text/css; charset=utf-8", include_str!("assets/base.css")),
    ("htmx.js", "text/javascript; charset=utf-8", include_str!("assets/htmx.js")),
];

/// Their addresses hold this; it changes with their text.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = std::hash::DefaultHasher::new();
    ASSETS.iter().for_each(|(_, _, text)| hasher.write(text.as_bytes()));
    format!("{:016x}", hasher.finish())
});

/// Pages for people: strict headers on every answer, no change at the request of another origin's page.
pub fn guard(router: Router) -> Router {
    guard_and_count(router, || {})
}

/// The same; `count` is called for each request of another origin's page that would have changed something.
pub fn guard_and_count(router: Router, count: impl Fn() + Clone + Send + Sync + 'static) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| guarded(count.clone(), request, next)))
}

/// `/assets/base.css` and `/assets/htmx.js`, which a browser keeps for good.
pub fn assets() -> Router {
    Router::new().route("/assets/{name}", get(serve_asset))
}

/// The address of a shared file.
#[must_use]
pub fn asset(name: &str) -> String {
    format!("/assets/{name}?{}", *VERSION)
}

async fn serve_asset(Path(name): Path<String>) -> Response {
    let Some((_, kind, text)) = ASSETS.iter().find(|(known, _, _)| *known == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    ([(CONTENT_TYPE, HeaderValue::from_static(kind)), (CACHE_CONTROL, forever)], *text).into_response()
}

async fn guarded(count: impl Fn(), request: Request, next: Next) -> Response {
    let mut response = match changes(request.method())
        && !from_here(request.headers(), request.uri().authority().map(http::uri::Authority::as_str))
    {
        true => {
            count();
            (StatusCode::FORBIDDEN, "this page takes no requests of other sites\n").into_response()
        }
        false => next.run(request).await,
    };
    let fixed = |name, value| (HeaderName::from_static(name), HeaderValue::from_static(value));
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.extend([
        fixed("cross-origin-opener-policy", "same-origin"),
        fixed("cross-origin-resource-policy", "same-origin"),
        fixed("permissions-policy", "camera=(), microphone=(), geolocation=()"),
    ]);
    response
}

fn changes(method: &Method) -> bool {
    ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Whether the page that asks is one of ours: the browser says so itself, or it names an origin that is the host asked.
fn from_here(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    match (text(HeaderName::from_static("sec-fetch-site")), text(ORIGIN)) {
        (Some(site), _) => site == "same-origin",
        (None, Some(origin)) => {
            let host = text(HOST).or(authority);
            let named = origin.split_once("://").map(|(_, named)| named);
            named.is_some() && named == host
        }
        (None, None) => false,
    }
}
