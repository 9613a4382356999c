//! What we send, as the platform writes it: JSON in camel case (RBM reference, v1).
//!
//! Limits were checked when the content was made. Surprising: the platform refuses an expiry of more than 15 days, so ours is cut to it.

use jiff::{SignedDuration, Timestamp, Unit};
use musubi_domain::{
    content::{Action, Card, Content, Suggestion},
    phone_number::PhoneNumber,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::gateway::{OutgoingMessage, Traffic};

/// The longest time that the platform keeps a message.
const LONGEST: SignedDuration = SignedDuration::from_hours(15 * 24);
/// The shortest that it advises.
const SHORTEST: SignedDuration = SignedDuration::from_secs(10);

/// `AgentMessage`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentMessage<'a> {
    content_message: ContentMessage<'a>,
    message_traffic_type: &'static str,
    expire_time: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentMessage<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rich_card: Option<RichCard<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    suggestions: Vec<Chip<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RichCard<'a> {
    standalone_card: StandaloneCard<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StandaloneCard<'a> {
    card_orientation: &'static str,
    card_content: CardContent<'a>,
}

#[derive(Serialize)]
struct CardContent<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<Media<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Media<'a> {
    height: &'static str,
    content_info: ContentInfo<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentInfo<'a> {
    file_url: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Chip<'a> {
    #[serde(rename_all = "camelCase")]
    Reply { text: &'a str, postback_data: &'a str },
    #[serde(rename_all = "camelCase")]
    Action {
        text: &'a str,
        postback_data: &'a str,
        #[serde(flatten)]
        does: Does<'a>,
    },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Does<'a> {
    #[serde(rename_all = "camelCase")]
    OpenUrlAction {
        url: &'a str,
        application: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        webview_view_mode: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<&'a str>,
    },
    #[serde(rename_all = "camelCase")]
    DialAction { phone_number: &'a str },
}

/// Writes a message.
pub(super) fn agent_message(message: &OutgoingMessage, now: Timestamp) -> AgentMessage<'_> {
    let within = |wait| now.checked_add(wait).unwrap_or(Timestamp::MAX);
    let until = message.expire_time.clamp(within(SHORTEST), within(LONGEST));
    let Content { text, card, .. } = &message.content;
    AgentMessage {
        content_message: ContentMessage {
            text: card.is_none().then_some(text.as_str()),
            rich_card: card.as_ref().map(|card| rich_card(card, text)),
            suggestions: message.content.suggestions.iter().map(chip).collect(),
        },
        message_traffic_type: match message.traffic {
            Traffic::ServiceRequest => "SERVICEREQUEST",
            Traffic::Transaction => "TRANSACTION",
            Traffic::Promotion => "PROMOTION",
        },
        expire_time: until.round(Unit::Millisecond).unwrap_or(until).to_string(),
    }
}

/// The text stands below title and picture, and the buttons below the card, where there may be more of them than in it.
fn rich_card<'a>(card: &'a Card, text: &'a str) -> RichCard<'a> {
    let media = |url: &'a String| Media { height: "MEDIUM", content_info: ContentInfo { file_url: url } };
    let card_content = CardContent {
        title: card.title.as_deref(),
        description: text,
        media: card.image_url.as_ref().map(media),
    };
    RichCard { standalone_card: StandaloneCard { card_orientation: "VERTICAL", card_content } }
}

fn chip(suggestion: &Suggestion) -> Chip<'_> {
    let Suggestion { label, postback, action } = suggestion;
    let (text, postback_data) = (label.as_str(), postback.as_str());
    let does = match action {
        None => return Chip::Reply { text, postback_data },
        Some(Action::OpenUrl { url, webview: true }) => Does::OpenUrlAction {
            url,
            application: "WEBVIEW",
            webview_view_mode: Some("FULL"),
            description: Some(text),
        },
        Some(Action::OpenUrl { url, webview: false }) => {
            Does::OpenUrlAction { url, application: "BROWSER", webview_view_mode: None, description: None }
        }
        Some(Action::Dial(number)) => Does::DialAction { phone_number: number.as_str() },
    };
    Chip::Action { text, postback_data, does }
}

/// `AgentEvent`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AgentEvent<'a> {
    event_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    message_id: Option<&'a str>,
}

impl<'a> AgentEvent<'a> {
    /// We have read a person's message.
    pub(super) const fn read(message: &'a str) -> Self {
        Self { event_type: "READ", message_id: Some(message) }
    }

    /// An answer is being written.
    pub(super) const fn typing() -> Self {
        Self { event_type: "IS_TYPING", message_id: None }
    }

    /// The same for the same message of the same person, so that it is shown once.
    pub(super) fn id(&self, number: &PhoneNumber, message: &str) -> String {
        let name = format!("{}\n{}\n{message}", self.event_type, number.as_str());
        Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string()
    }
}

/// What `users:batchGet` takes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Users<'a> {
    pub(super) users: Vec<&'a str>,
    pub(super) agent_id: &'a str,
}

/// What it gives; there is more.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reach {
    #[serde(default)]
    pub(super) reachable_users: Vec<String>,
}
