//! Where people are signed in: one's own sessions, and for administrators everybody's and the keys of machines.
//!
//! Surprising: the session that looks can't be ended here, because signing out does that and tells the browser, too.

use askama::Template;
use axum::{
    Form, Router,
    extract::Path,
    response::{Html, Redirect},
    routing::{get, post},
};
use musubi_proto::company::v1::{
    EndOwnSessionsRequest, EndSessionsRequest, ListOwnSessionsRequest, ListSessionsRequest, Session,
    SessionWay,
};
use serde::Deserialize;

use super::{Console, failure::Failure, shell::Shell, visitor::Visitor};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/settings/sessions", get(page))
        .route("/settings/sessions/end", post(end_own))
        .route("/settings/sessions/{name}/end", post(end))
}

#[derive(Template)]
#[template(path = "sessions.html")]
struct Page {
    s: Shell,
    own: Vec<Session>,
    /// Everybody's but one's own.
    others: Vec<Session>,
}

impl Page {
    fn way(&self, session: &Session) -> &'static str {
        match session.way() {
            SessionWay::Unspecified => "—",
            SessionWay::Console => self.s.say("この画面", "this console"),
            SessionWay::CommandLine => self.s.say("コマンド", "command line"),
            SessionWay::Key => self.s.say("機械の鍵", "machine's key"),
        }
    }
}

/// Which session; empty: all.
#[derive(Default, Deserialize)]
struct Which {
    #[serde(default)]
    session_id: String,
}

async fn page(visitor: Visitor) -> Result<Html<String>, Failure> {
    let mut sessions = visitor.sessions();
    let own = sessions.list_own_sessions(ListOwnSessionsRequest {}).await?.into_inner().sessions;
    let mut others = match visitor.s.may("ListSessions") {
        true => sessions.list_sessions(ListSessionsRequest {}).await?.into_inner().sessions,
        false => Vec::new(),
    };
    others.retain(|session| session.name != visitor.s.name);
    Ok(Html(Page { s: visitor.s, own, others }.render()?))
}

async fn end_own(visitor: Visitor, Form(Which { session_id }): Form<Which>) -> Result<Redirect, Failure> {
    visitor.sessions().end_own_sessions(EndOwnSessionsRequest { session_id }).await?;
    Ok(Redirect::to("/settings/sessions?done=sessions-ended"))
}

async fn end(
    visitor: Visitor,
    Path(name): Path<String>,
    Form(Which { session_id }): Form<Which>,
) -> Result<Redirect, Failure> {
    visitor.sessions().end_sessions(EndSessionsRequest { name, session_id }).await?;
    Ok(Redirect::to("/settings/sessions?done=sessions-ended"))
}
