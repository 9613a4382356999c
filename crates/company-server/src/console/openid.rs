//! The way in by the company's provider of OpenID Connect: there, and back.
//!
//! The ticket of a sign-in stands in a cookie that comes back with the browser (`SameSite=Lax`: the way back begins at the provider) and is
//! gone then. Surprising: who has come back gets a page that sends them on, and no redirection; the session's cookie is this site's
//! own pages' alone (`SameSite=Strict`), and a redirection would still count as the provider's.

use askama::Template;
use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, HeaderValue, StatusCode, header::SET_COOKIE},
    response::{AppendHeaders, Html, IntoResponse, Redirect, Response},
    routing::get,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use musubi_domain::ErrorKind;
use musubi_proto::company::v1::{
    BeginOpenIdRequest, FinishOpenIdRequest, sign_in_service_client::SignInServiceClient,
};
use musubi_runtime::grpc::status::from_status;
use serde::Deserialize;

use super::{
    Console,
    failure::Failure,
    shell::Shell,
    sign_in::{Back, own},
    visitor::{self, Stranger, cookie},
};
use crate::config::BACK;

/// For how long a browser keeps a ticket, in seconds: as long as it is good.
const KEPT: u32 = 600;

pub(super) fn router() -> Router<Console> {
    Router::new().route("/sign-in/openid", get(leave)).route(BACK, get(come_back))
}

fn cookie_name(console: &Console) -> String {
    let prefix = if console.0.is_secure { "__Host-" } else { "" };
    format!("{prefix}musubi-openid-{}", console.0.company)
}

fn ticket_header(console: &Console, value: &str, seconds: u32) -> HeaderValue {
    let secure = if console.0.is_secure { "; Secure" } else { "" };
    let name = cookie_name(console);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let mut header = HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    header.set_sensitive(true);
    header
}

/// Sends somebody to the provider, with a ticket and where they wanted to go.
async fn leave(State(console): State<Console>, Query(back): Query<Back>) -> Result<Response, Failure> {
    let mut calls = SignInServiceClient::new(console.0.door.inside(None));
    let begun = calls.begin_open_id(BeginOpenIdRequest {}).await?.into_inner();
    let kept = format!("{}:{}", begun.ticket, URL_SAFE_NO_PAD.encode(own(&back.to)));
    let cookie = ticket_header(&console, &kept, KEPT);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&begun.url)).into_response())
}

/// What the provider sends back; an error in place of the code when it doesn't know the person, or they went away.
#[derive(Deserialize)]
struct Came {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
}

#[derive(Template)]
#[template(path = "openid.html")]
struct Page {
    s: Shell,
    /// Where to go on; none: nobody has signed in.
    to: Option<String>,
    /// The provider knows them, and nobody has invited them.
    is_uninvited: bool,
}

async fn come_back(
    State(console): State<Console>,
    Stranger(s): Stranger,
    headers: HeaderMap,
    Query(Came { code, state }): Query<Came>,
) -> Result<Response, Failure> {
    let name = cookie_name(&console);
    let (ticket, to) = cookie(&headers, &name).and_then(|kept| kept.split_once(':')).unwrap_or_default();
    let to = URL_SAFE_NO_PAD.decode(to).ok().and_then(|to| String::from_utf8(to).ok()).unwrap_or_default();
    let mut calls = SignInServiceClient::new(console.0.door.inside(None));
    let request = FinishOpenIdRequest { ticket: ticket.to_owned(), state, code };
    let used = (SET_COOKIE, ticket_header(&console, "", 0));
    // The address holds the code; a page of it shows neither that nor the ways that keep it.
    let s = Shell { path: "/sign-in".to_owned(), ..s };
    match calls.finish_open_id(request).await {
        Ok(begun) => {
            let session = visitor::remembered(&console, &begun.into_inner().token);
            let page = Page { s, to: Some(own(&to).to_owned()), is_uninvited: false };
            Ok((AppendHeaders([used, (SET_COOKIE, session)]), Html(page.render()?)).into_response())
        }
        Err(status) => {
            let (code, is_uninvited) = match from_status(&status).kind {
                ErrorKind::InvalidArgument | ErrorKind::Unauthenticated => (StatusCode::UNAUTHORIZED, false),
                ErrorKind::PermissionDenied => (StatusCode::FORBIDDEN, true),
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::FailedPrecondition
                | ErrorKind::ResourceExhausted
                | ErrorKind::Unavailable
                | ErrorKind::Internal => return Err(status.into()),
            };
            let page = Page { s, to: None, is_uninvited };
            Ok((code, AppendHeaders([used]), Html(page.render()?)).into_response())
        }
    }
}
