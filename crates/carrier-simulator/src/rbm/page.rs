//! The page: agents, messages and tries to tell webhooks, as they are now; and what a person does with a phone of the simulator's own.
//!
//! For this machine alone: it asks nobody who he is. Numbers are masked where the phone is somebody's. Surprising: the lists come again
//! every two seconds as a whole, which is less to get wrong than telling what changed.

use askama::Template;
use axum::{
    Router,
    extract::{Form, State},
    response::{Html, IntoResponse as _, Redirect, Response},
    routing::{get, post},
};
use http::StatusCode;
use musubi_domain::{Error, content::TEXT_LIMIT, phone_number::PhoneNumber};
use musubi_runtime::http::pages::{asset, assets, guard};
use musubi_storage::{
    StoreError,
    carrier::{ReceiptKind, Response as Answer, RoomAction, SentMessage},
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Face,
    phones::in_room,
    webhook::{Try, masked},
};

/// How many messages are shown.
const MESSAGES: u32 = 50;

pub(super) fn router(face: Face) -> Router {
    let pages = Router::new()
        .route("/", get(show))
        .route("/state", get(state))
        .route("/phone", post(act))
        .route("/rbm.css", get(style))
        .with_state(face);
    guard(pages.merge(assets()))
}

#[derive(Template)]
#[template(path = "rbm.html")]
struct Page<'a> {
    base: String,
    htmx: String,
    origin: &'a str,
    phones: bool,
    agents: Vec<&'a str>,
    seen: Seen,
}

/// The part of it that comes again.
#[derive(Template)]
#[template(path = "rbm_state.html")]
struct Part {
    seen: Seen,
}

/// What changes.
struct Seen {
    agents: Vec<AgentRow>,
    messages: Vec<MessageRow>,
    tries: Vec<Try>,
    away: Vec<String>,
}

struct AgentRow {
    id: String,
    name: String,
    launch: &'static str,
    webhook: String,
    waiting: u64,
}

struct MessageRow {
    time: String,
    agent: String,
    number: String,
    id: String,
    state: &'static str,
    good: bool,
    text: String,
    /// By a tap on a phone of the simulator's own: the number, and what comes back.
    taps: Vec<Tap>,
}

struct Tap {
    agent: String,
    number: String,
    message: String,
    label: String,
    postback: String,
}

async fn show(State(face): State<Face>) -> Response {
    let seen = match face.seen().await {
        Ok(seen) => seen,
        Err(error) => return failed(&error.into()),
    };
    let page = Page {
        base: asset("base.css"),
        htmx: asset("htmx.js"),
        origin: &face.origin,
        phones: face.phones,
        agents: face.agents.iter().map(|agent| agent.id.as_str()).collect(),
        seen,
    };
    rendered(page.render())
}

async fn state(State(face): State<Face>) -> Response {
    match face.seen().await {
        Ok(seen) => rendered(Part { seen }.render()),
        Err(error) => failed(&error.into()),
    }
}

async fn style() -> impl axum::response::IntoResponse {
    ([(http::header::CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("../../assets/rbm.css"))
}

fn rendered(page: askama::Result<String>) -> Response {
    match page {
        Ok(page) => Html(page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn failed(error: &Error) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

impl Face {
    async fn seen(&self) -> Result<Seen, StoreError> {
        let mut agents = Vec::with_capacity(self.agents.len());
        for agent in &self.agents {
            agents.push(AgentRow {
                id: agent.id.clone(),
                name: agent.display_name.clone(),
                launch: agent.launch_state.as_str(),
                webhook: agent.webhook.clone().unwrap_or_else(|| "none: nobody is told".to_owned()),
                waiting: self.store.count_webhook_events(&agent.account).await?,
            });
        }
        let messages = self.store.list_agent_messages(MESSAGES).await?;
        let messages = messages.into_iter().map(|message| self.row(message)).collect();
        let away = self.store.list_away().await?;
        let away = away.iter().map(|number| number.as_str().to_owned()).collect();
        Ok(Seen { agents, messages, tries: self.journal.last(), away })
    }

    fn row(&self, message: SentMessage) -> MessageRow {
        let SentMessage { account, message_id, client_id, number, state, time, body } = message;
        let agent = self.agents.iter().find(|agent| agent.account == account);
        let agent = agent.map(|agent| agent.id.clone()).unwrap_or_default();
        let body: Value = serde_json::from_str(&body).unwrap_or_default();
        let mut taps = Vec::new();
        if self.phones && !matches!(state, Some(ReceiptKind::Revoked | ReceiptKind::Expired)) {
            suggestions(&body["contentMessage"], &mut |label, postback| {
                taps.push(Tap {
                    agent: agent.clone(),
                    number: number.as_str().to_owned(),
                    message: message_id.to_string(),
                    label: label.to_owned(),
                    postback: postback.to_owned(),
                });
            });
        }
        let (state, good) = match state {
            None => ("waits", false),
            Some(ReceiptKind::Delivered) => ("delivered", true),
            Some(ReceiptKind::Displayed) => ("read", true),
            Some(ReceiptKind::Expired) => ("expired", false),
            Some(ReceiptKind::Revoked) => ("taken back", false),
        };
        let number = if self.phones { number.as_str().to_owned() } else { masked(number.as_str()) };
        // A person's message is not for whoever looks at the page.
        let text = if self.phones { summary(&body["contentMessage"]) } else { String::new() };
        let time = format!("{time:.0}");
        MessageRow { time, agent, number, id: client_id, state, good, text, taps }
    }
}

/// What a message says, in a line.
fn summary(content: &Value) -> String {
    let kind = |kind: &str| format!("[{kind}]");
    let text = match content["text"].as_str() {
        Some(text) => text.to_owned(),
        None if content["richCard"]["standaloneCard"].is_object() => kind("card"),
        None if content["richCard"].is_object() => kind("carousel"),
        None => kind("file"),
    };
    text.chars().take(200).collect()
}

/// Every suggestion of a message and its cards.
fn suggestions(value: &Value, found: &mut impl FnMut(&str, &str)) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if matches!(name.as_str(), "reply" | "action") {
                    let part = |part: &str| value[part].as_str().unwrap_or_default();
                    found(part("text"), part("postbackData"));
                } else {
                    suggestions(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| suggestions(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What a person does with a phone of the simulator's own.
#[derive(Deserialize)]
struct Act {
    agent: String,
    number: String,
    what: What,
    #[serde(default)]
    text: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    postback: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum What {
    Type,
    Tap,
    Subscribe,
    Unsubscribe,
    Away,
    Back,
}

async fn act(State(face): State<Face>, Form(act): Form<Act>) -> Response {
    match face.perform(act).await {
        Ok(()) => Redirect::to("/").into_response(),
        Err(error) => failed(&error),
    }
}

impl Face {
    async fn perform(&self, act: Act) -> Result<(), Error> {
        if !self.phones {
            return Err(Error::invalid(
                "number",
                "is somebody's phone",
                "use that phone, at the terminal simulator",
            ));
        }
        let number: PhoneNumber = act.number.trim().parse().map_err(|error: Error| error.at("number"))?;
        let agent = self.agents.iter().find(|agent| agent.id == act.agent);
        let agent =
            agent.ok_or_else(|| Error::invalid("agent", "there is none of this name", "choose one"))?;
        let text = || {
            let length = act.text.chars().count();
            if (1..=TEXT_LIMIT).contains(&length) && !act.text.contains('\0') {
                return Ok(act.text.clone());
            }
            let problem = musubi_domain::error::shape(&act.text);
            Err(Error::invalid("text", problem, format!("write 1 to {TEXT_LIMIT} characters")))
        };
        let action = match act.what {
            What::Type => RoomAction::Responded(Answer::Text(text()?)),
            What::Tap => RoomAction::Responded(Answer::Tapped {
                message_id: act.message.parse()?,
                postback: act.postback.clone(),
                label: text()?,
            }),
            What::Subscribe => RoomAction::Follow,
            What::Unsubscribe => RoomAction::Unfollow,
            What::Away => return self.store.put_away(number, true).await.map_err(Error::from),
            What::Back => {
                self.store.put_away(number, false).await?;
                self.fleets.wake(&super::phones::fleet()?);
                return Ok(());
            }
        };
        self.act(vec![in_room(number, agent.account.clone(), action)]).await
    }
}
