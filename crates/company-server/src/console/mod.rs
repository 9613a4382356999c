//! The company's console: pages for the company's people, as a face over the calls that the `musubi` command makes.
//!
//! A page does what a call does and nothing else: it enters this server's own [door](musubi_runtime::grpc::door) with the token of its visitor's session, so who may
//! do what stands in one table, and whoever looks or decides is written down as with any call (docs/adr/0030). No page reads a store. Surprising: a page hides
//! what its visitor may not do, by that table, and still nothing depends on that; who asks all the same is refused at the door.

mod approvals;
mod audit;
mod days;
mod dialogue;
mod distributions;
mod failure;
mod fault_words;
mod followers;
mod language;
mod master;
mod openid;
mod overview;
mod reason_words;
mod reviews;
mod sessions;
mod settings;
mod shell;
mod sign_in;
mod uploaded;
mod visitor;
mod words;

use std::{
    hash::Hasher as _,
    sync::{Arc, LazyLock},
};

use axum::{
    Router,
    http::{
        HeaderValue,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    response::{IntoResponse, Response},
    routing::get,
};
use musubi_domain::id::CompanyId;
use musubi_runtime::{
    Clock,
    grpc::{denials::Denial, door::Door},
    http::pages,
};

use self::failure::dressed;
pub(crate) use self::visitor::encoded;

/// What every page needs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Console(Arc<Inner>);

struct Inner {
    door: Door,
    company: CompanyId,
    /// Browsers reach it over TLS.
    is_secure: bool,
    /// People may come from the company's provider of OpenID Connect.
    has_openid: bool,
    /// The largest file that may be uploaded, in bytes.
    largest_file: usize,
    clock: Arc<dyn Clock>,
}

impl Console {
    /// Pages of this company, which call through this door.
    pub(crate) fn new(
        door: Door,
        company: CompanyId,
        is_secure: bool,
        has_openid: bool,
        largest_file_mib: u64,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let largest_file = usize::try_from(largest_file_mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        Self(Arc::new(Inner { door, company, is_secure, has_openid, largest_file, clock }))
    }

    /// The time, in milliseconds.
    fn now(&self) -> i64 {
        self.0.clock.now().as_millisecond()
    }

    /// All pages, under the policy that binds browsers.
    pub(crate) fn router(self) -> Router {
        let denials = self.0.door.denials();
        let pages = Router::new()
            .merge(sign_in::router())
            .merge(openid::router())
            .merge(overview::router())
            .merge(distributions::router(self.0.largest_file))
            .merge(reviews::router())
            .merge(approvals::router())
            .merge(followers::router())
            .merge(master::router(self.0.largest_file))
            .merge(dialogue::router())
            .merge(audit::router())
            .merge(settings::router())
            .merge(sessions::router())
            .route("/console/{name}", get(asset))
            .fallback(failure::nothing_here)
            .layer(axum::middleware::from_fn_with_state(self.clone(), dressed))
            .with_state(self);
        pages::guard_and_count(pages.merge(pages::assets()), move || {
            let door = "the console".to_owned();
            denials.count(Denial::Posted { door, why: "a request of another site's page" });
        })
    }
}

const STYLE: &str = include_str!("../../assets/console.css");
const SCRIPT: &str = include_str!("../../assets/console.js");
const ICON: &str = include_str!("../../assets/icon.svg");

/// The addresses of these hold this; it changes with their text.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = std::hash::DefaultHasher::new();
    [STYLE, SCRIPT, ICON].iter().for_each(|text| hasher.write(text.as_bytes()));
    format!("{:016x}", hasher.finish())
});

/// The console's own style, script and icon, which a browser keeps for good.
async fn asset(axum::extract::Path(name): axum::extract::Path<String>) -> Response {
    let (kind, text) = match name.as_str() {
        "console.css" => ("text/css; charset=utf-8", STYLE),
        "icon.svg" => ("image/svg+xml", ICON),
        "console.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return failure::nothing_here().await.into_response(),
    };
    let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
    ([(CONTENT_TYPE, HeaderValue::from_static(kind)), (CACHE_CONTROL, forever)], text).into_response()
}
