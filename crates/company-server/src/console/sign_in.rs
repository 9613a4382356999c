//! The way in and out: name, password and code; a session that was begun elsewhere; an invitation; the language.
//!
//! Every wrong try at signing in gets one answer, after the time that the call takes for it. A session is begun anew at each sign-in, so that none can be planted. Surprising: a session's token may be
//! given as it is, because whoever has one has already proved all of it; nobody else can have one.

use askama::Template;
use axum::{
    Form, Router,
    extract::{Query, State},
    http::{HeaderValue, StatusCode, header::SET_COOKIE},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use musubi_domain::{Error, ErrorKind, sign_in::Token};
use musubi_proto::company::v1::{
    AcceptInvitationRequest, SessionWay, SignInRequest, SignOutRequest,
    sign_in_service_client::SignInServiceClient,
};
use musubi_runtime::grpc::status::from_status;
use qrcode::{Color, QrCode};
use serde::Deserialize;

use super::{
    Console,
    failure::Failure,
    language::{COOKIE, Language},
    shell::Shell,
    visitor::{self, Stranger, Visitor, cookie_header},
};

/// For how long a browser keeps the choice of a language: a year.
const LANGUAGE_KEPT: &str = "; Max-Age=31536000";

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/sign-in", get(form).post(begin))
        .route("/sign-in/token", get(token_form).post(take_token))
        .route("/sign-out", post(end))
        .route("/invitation", get(invitation_form).post(accept))
        .route("/language", post(choose))
}

/// Where to go afterwards.
#[derive(Deserialize)]
pub(super) struct Back {
    #[serde(default)]
    pub(super) to: String,
}

/// A path of this console; the overview for whatever is none.
pub(super) fn own(to: &str) -> &str {
    let is_plain = to.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_own = to.starts_with('/') && !to.starts_with("//") && is_plain;
    if is_own { to } else { "/" }
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    s: Shell,
    to: String,
    /// The way by the company's provider, where it has one.
    openid: Option<String>,
    /// What was typed as a name.
    name: String,
    has_failed: bool,
}

impl SignInPage {
    fn new(console: &Console, s: Shell, to: &str, name: String, has_failed: bool) -> Self {
        let to = own(to).to_owned();
        let way = || format!("/sign-in/openid?to={}", visitor::encoded(&to));
        Self { openid: console.0.has_openid.then(way), s, to, name, has_failed }
    }
}

async fn form(
    State(console): State<Console>,
    Stranger(s): Stranger,
    Query(back): Query<Back>,
) -> Result<Html<String>, Failure> {
    Ok(Html(SignInPage::new(&console, s, &back.to, String::new(), false).render()?))
}

#[derive(Deserialize)]
struct Typed {
    name: String,
    password: String,
    code: String,
    #[serde(default)]
    to: String,
}

async fn begin(
    State(console): State<Console>,
    Stranger(s): Stranger,
    Form(typed): Form<Typed>,
) -> Result<Response, Failure> {
    let Typed { name, password, code, to } = typed;
    let mut calls = SignInServiceClient::new(console.0.door.inside(None));
    let request = SignInRequest { name: name.clone(), password, code, way: SessionWay::Console.into() };
    match calls.sign_in(request).await {
        Ok(begun) => Ok(enter(&console, &begun.into_inner().token, &to)),
        Err(status) => match from_status(&status).kind {
            ErrorKind::InvalidArgument | ErrorKind::Unauthenticated => {
                let page = SignInPage::new(&console, s, &to, name, true);
                Ok((StatusCode::UNAUTHORIZED, Html(page.render()?)).into_response())
            }
            ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::FailedPrecondition
            | ErrorKind::PermissionDenied
            | ErrorKind::ResourceExhausted
            | ErrorKind::Unavailable
            | ErrorKind::Internal => Err(status.into()),
        },
    }
}

fn enter(console: &Console, token: &str, to: &str) -> Response {
    let cookie = visitor::remembered(console, token);
    ([(SET_COOKIE, cookie)], Redirect::to(own(to))).into_response()
}

#[derive(Template)]
#[template(path = "token.html")]
struct TokenPage {
    s: Shell,
    has_failed: bool,
}

async fn token_form(Stranger(s): Stranger) -> Result<Html<String>, Failure> {
    Ok(Html(TokenPage { s, has_failed: false }.render()?))
}

#[derive(Deserialize)]
struct TypedToken {
    token: String,
}

async fn take_token(
    State(console): State<Console>,
    Stranger(s): Stranger,
    Form(typed): Form<TypedToken>,
) -> Result<Response, Failure> {
    if let Ok(token) = typed.token.trim().parse::<Token>()
        && visitor::who(&console, &token).await.is_ok()
    {
        return Ok(enter(&console, token.expose(), "/"));
    }
    Ok((StatusCode::UNAUTHORIZED, Html(TokenPage { s, has_failed: true }.render()?)).into_response())
}

async fn end(State(console): State<Console>, visitor: Visitor) -> Result<Response, Failure> {
    visitor.session().sign_out(SignOutRequest {}).await?;
    let cookie = visitor::forgotten(&console);
    Ok(([(SET_COOKIE, cookie)], Redirect::to("/sign-in?done=signed-out")).into_response())
}

#[derive(Template)]
#[template(path = "invitation.html")]
struct InvitationPage {
    s: Shell,
    failed: Option<Error>,
    taken: Option<Taken>,
}

/// What an authenticator needs, once.
struct Taken {
    name: String,
    /// The secret, to be typed where no camera is.
    secret: String,
    /// Modules on a side, with the margin that readers want.
    side: usize,
    /// The dark modules as a path of SVG.
    path: String,
}

impl Taken {
    fn of(name: String, uri: &str) -> Result<Self, Error> {
        const MARGIN: usize = 4;
        let failed = |_| Error::new(ErrorKind::Internal, "the code can not be drawn", "");
        let code = QrCode::new(uri.as_bytes()).map_err(failed)?;
        let width = code.width();
        let dark = code.to_colors().into_iter().enumerate().filter(|(_, color)| *color == Color::Dark);
        let path =
            dark.map(|(place, _)| format!("M{} {}h1v1h-1z", place % width + MARGIN, place / width + MARGIN));
        let secret = uri.split(['?', '&']).find_map(|part| part.strip_prefix("secret=")).unwrap_or_default();
        Ok(Self { name, secret: secret.to_owned(), side: width + 2 * MARGIN, path: path.collect() })
    }
}

async fn invitation_form(Stranger(s): Stranger) -> Result<Html<String>, Failure> {
    Ok(Html(InvitationPage { s, failed: None, taken: None }.render()?))
}

#[derive(Deserialize)]
struct TypedInvitation {
    invitation: String,
    password: String,
    again: String,
}

async fn accept(
    State(console): State<Console>,
    Stranger(s): Stranger,
    Form(typed): Form<TypedInvitation>,
) -> Result<Response, Failure> {
    let TypedInvitation { invitation, password, again } = typed;
    let refused = |s, error: Error| -> Result<Response, Failure> {
        let page = InvitationPage { s, failed: Some(error), taken: None };
        Ok((StatusCode::BAD_REQUEST, Html(page.render()?)).into_response())
    };
    if password != again {
        return refused(
            s,
            Error::invalid("again", "the two are not the same", "type the same password twice"),
        );
    }
    let mut calls = SignInServiceClient::new(console.0.door.inside(None));
    let request = AcceptInvitationRequest { invitation: invitation.trim().to_owned(), password };
    let taken = match calls.accept_invitation(request).await {
        Ok(taken) => taken.into_inner(),
        Err(status) => {
            let error = from_status(&status);
            return if error.kind == ErrorKind::InvalidArgument {
                refused(s, error)
            } else {
                Err(error.into())
            };
        }
    };
    let taken = Some(Taken::of(taken.name, &taken.authenticator_uri)?);
    Ok(Html(InvitationPage { s, failed: None, taken }.render()?).into_response())
}

#[derive(Deserialize)]
struct Choice {
    language: String,
    #[serde(default)]
    to: String,
}

async fn choose(State(console): State<Console>, Form(choice): Form<Choice>) -> Response {
    let language = Language::of(&choice.language).unwrap_or(Language::Japanese);
    let cookie: HeaderValue = cookie_header(COOKIE, language.code(), &console, LANGUAGE_KEPT);
    ([(SET_COOKIE, cookie)], Redirect::to(own(&choice.to))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_sent_to_pages_of_this_console_and_nowhere_else() {
        for path in ["/", "/reviews/rev_1", "/followers?account=a"] {
            assert_eq!(own(path), path);
        }
        for elsewhere in
            ["", "https://evil.example", "//evil.example", "/\\evil.example", "reviews", "/a\r\nb"]
        {
            assert_eq!(own(elsewhere), "/", "{elsewhere}");
        }
    }

    #[test]
    fn an_authenticators_secret_is_drawn_and_can_be_typed() {
        let taken = Taken::of("sato".to_owned(), "otpauth://totp/a:sato?secret=GEZDGNBV&issuer=a").unwrap();
        assert_eq!(taken.secret, "GEZDGNBV");
        assert!(taken.path.starts_with("M4 4h1v1h-1z") && taken.side > 21);
    }
}
