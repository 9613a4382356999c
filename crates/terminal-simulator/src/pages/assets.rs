//! The pages' own files: their look, the little script that they have, their sign. A browser keeps them for good, since their
//! addresses change with their text.

use std::{hash::Hasher as _, sync::LazyLock};

use axum::{
    Router,
    routing::{MethodRouter, get},
};
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use musubi_runtime::http::pages;

const STYLE: &str = include_str!("../../assets/phones.css");
const SCRIPT: &str = include_str!("../../assets/phones.js");
const SIGN: &str = include_str!("../../assets/sign.svg");

/// Where the files are.
pub(super) struct Addresses {
    pub(super) base: String,
    pub(super) htmx: String,
    pub(super) style: String,
    pub(super) script: String,
    pub(super) sign: String,
}

/// Where the files are.
pub(super) fn addresses() -> &'static Addresses {
    static ADDRESSES: LazyLock<Addresses> = LazyLock::new(|| {
        let at = |path: &str, text: &str| {
            let mut hasher = std::hash::DefaultHasher::new();
            hasher.write(text.as_bytes());
            format!("{path}?{:016x}", hasher.finish())
        };
        Addresses {
            base: pages::asset("base.css"),
            htmx: pages::asset("htmx.js"),
            style: at("/phones.css", STYLE),
            script: at("/phones.js", SCRIPT),
            sign: at("/sign.svg", SIGN),
        }
    });
    &ADDRESSES
}

/// Serves them, and those that all pages share.
pub(super) fn router() -> Router {
    Router::new()
        .route("/phones.css", file("text/css; charset=utf-8", STYLE))
        .route("/phones.js", file("text/javascript; charset=utf-8", SCRIPT))
        .route("/sign.svg", file("image/svg+xml", SIGN))
        .merge(pages::assets())
}

fn file(kind: &'static str, text: &'static str) -> MethodRouter {
    let forever = "public, max-age=31536000, immutable";
    get(move || async move { ([(CONTENT_TYPE, kind), (CACHE_CONTROL, forever)], text) })
}
