//! What a page can't do, as a page: the refusal of a call with its remedy, a way to sign in, nothing here.
//!
//! What is shown is what a call's error says, which holds nobody's data. Surprising: whoever fails knows nothing of languages; a layer around all pages dresses it.

use askama::Template;
use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header::SET_COOKIE},
    middleware::Next,
    response::{Html, IntoResponse, Redirect, Response},
};
use musubi_domain::{Error, ErrorKind};
use musubi_runtime::grpc::status::from_status;
use tonic::Status;

use super::{Console, language::Language, shell::Shell, visitor};

/// Why there is no page.
#[derive(Clone, Debug)]
pub(super) struct Failure(Box<Error>);

impl Failure {
    /// What went wrong.
    pub(super) fn error(&self) -> &Error {
        &self.0
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(Box::new(error))
    }
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        from_status(&status).into()
    }
}

impl From<askama::Error> for Failure {
    fn from(error: askama::Error) -> Self {
        Error::new(ErrorKind::Internal, format!("a page can not be written: {error}"), "").into()
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = code(self.0.kind).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

pub(super) const fn code(kind: ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::InvalidArgument => StatusCode::BAD_REQUEST,
        ErrorKind::NotFound => StatusCode::NOT_FOUND,
        ErrorKind::AlreadyExists | ErrorKind::FailedPrecondition => StatusCode::CONFLICT,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        ErrorKind::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// There is no such page.
pub(super) async fn nothing_here() -> Failure {
    Error::new(ErrorKind::NotFound, "there is no such page", "go back, or begin at the overview").into()
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Page {
    s: Shell,
    title: &'static str,
    error: Error,
}

/// Writes the page of a failure, and sends away whoever has to sign in.
pub(super) async fn dressed(State(console): State<Console>, request: Request, next: Next) -> Response {
    let language = Language::asked(request.headers());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let (by_script, reads) = (request.headers().contains_key("hx-request"), request.method().is_safe());
    let response = next.run(request).await;
    let Some(failure) = response.extensions().get::<Failure>().cloned() else { return response };
    if failure.0.kind == ErrorKind::Unauthenticated {
        let back = if reads && !by_script { visitor::encoded(&path) } else { String::from("%2F") };
        return away(&console, &format!("/sign-in?to={back}"), by_script);
    }
    let error = Error { kind: failure.0.kind, ..*failure.0 };
    let title = title(error.kind, language);
    let company = console.0.company.to_string();
    let s = Shell { language, company, name: String::new(), roles: vec![], path, done: None };
    let status = response.status();
    match (Page { s, title, error }).render() {
        Ok(page) => (status, Html(page)).into_response(),
        Err(_) => status.into_response(),
    }
}

/// To where one signs in; a session that there was is forgotten by the browser.
fn away(console: &Console, to: &str, by_script: bool) -> Response {
    let mut response = match by_script {
        true => {
            let to = HeaderValue::try_from(to).unwrap_or(HeaderValue::from_static("/sign-in"));
            (StatusCode::UNAUTHORIZED, [("hx-redirect", to)]).into_response()
        }
        false => Redirect::to(to).into_response(),
    };
    response.headers_mut().append(SET_COOKIE, visitor::forgotten(console));
    response
}

const fn title(kind: ErrorKind, language: Language) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => {
            language.say("入力を確認してください", "Something in the form is wrong")
        }
        ErrorKind::NotFound => language.say("見つかりません", "Not found"),
        ErrorKind::AlreadyExists => language.say("すでに存在します", "It is there already"),
        ErrorKind::FailedPrecondition => language.say("いまはできません", "Not now"),
        ErrorKind::Unauthenticated => language.say("サインインしてください", "Please sign in"),
        ErrorKind::PermissionDenied => language.say("権限がありません", "You may not do this"),
        ErrorKind::ResourceExhausted => language.say("混み合っています", "Too much at once"),
        ErrorKind::Unavailable => language.say("いま応答がありません", "No answer at the moment"),
        ErrorKind::Internal => language.say("システムのエラーです", "A fault of ours"),
    }
}
