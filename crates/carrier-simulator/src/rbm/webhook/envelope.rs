//! What a webhook gets: the envelope, what stands in it, and its signature. Pure.
//!
//! Surprising: the signature is over the bytes of the data as they are before base64, and not over the envelope around them.

use aws_lc_rs::hmac::{HMAC_SHA512, Key, sign};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use jiff::Timestamp;
use musubi_domain::phone_number::PhoneNumber;
use musubi_storage::carrier::{AgentEvent, AgentEventKind};
use serde_json::{Value, json};

use crate::rbm::{
    config::AgentConfig,
    keys::{PROJECT, PROJECT_NUMBER},
    message::is_action,
    messages::instant,
};

/// A request to a webhook.
pub(crate) struct Post {
    /// The envelope.
    pub(crate) body: Vec<u8>,
    /// `X-Goog-Signature`.
    pub(crate) signature: String,
    /// `X-Goog-Webhook-Type`.
    pub(crate) kind: &'static str,
}

/// What is posted for an event; nothing of one that RBM doesn't tell of. `failed_revocation`: what became of an expired message is not
/// known.
pub(crate) fn post(
    agent: &AgentConfig,
    client_token: &str,
    event: &AgentEvent,
    failed_revocation: bool,
    now: Timestamp,
) -> Option<Post> {
    let (data, kind, name) = data(agent, event, failed_revocation)?;
    let data = data.to_string().into_bytes();
    let id = event.event_id.to_string();
    let mut attributes = json!({
        "type": kind,
        "business_id": agent.id,
        "product": "RBM",
        "project_number": PROJECT_NUMBER,
    });
    if !name.is_empty() {
        attributes["event_type"] = name.into();
    }
    let body = json!({
        "message": {
            "attributes": attributes,
            "data": BASE64.encode(&data),
            "messageId": id,
            "message_id": id,
            "publishTime": instant(now),
            "publish_time": instant(now),
        },
        "subscription": format!("projects/{PROJECT}/subscriptions/rbm-agent-{}", agent.id),
    });
    Some(Post {
        body: body.to_string().into_bytes(),
        signature: signature(client_token, &data),
        kind: if kind == LAUNCH { "agent_callback" } else { "message_callback" },
    })
}

/// The signature of data under a client token.
fn signature(client_token: &str, data: &[u8]) -> String {
    BASE64.encode(sign(&Key::new(HMAC_SHA512, client_token.as_bytes()), data))
}

/// By which the API calls an event of a launch.
const LAUNCH: &str = "agent_launch_event";

/// The data, its type and its event type.
fn data(
    agent: &AgentConfig,
    event: &AgentEvent,
    failed_revocation: bool,
) -> Option<(Value, &'static str, &'static str)> {
    let (id, time) = (event.event_id.to_string(), instant(event.time));
    let phone = event.number.as_ref().map(PhoneNumber::as_str).unwrap_or_default();
    let message = |part: &str, content: Value| {
        let mut data = json!({
            "senderPhoneNumber": phone, "messageId": id, "sendTime": time, "agentId": agent.id,
        });
        data[part] = content;
        Some((data, "message", ""))
    };
    let user = |kind: &'static str, message: Option<&str>| {
        let mut data = json!({
            "senderPhoneNumber": phone, "eventType": kind, "eventId": id, "sendTime": time, "agentId": agent.id,
        });
        if let Some(message) = message {
            data["messageId"] = message.into();
        }
        Some((data, "event", kind))
    };
    match &event.kind {
        AgentEventKind::Subscribed => user("SUBSCRIBE", None),
        AgentEventKind::Left => message("text", keyword(phone).into()),
        AgentEventKind::Unsubscribed => user("UNSUBSCRIBE", None),
        AgentEventKind::Typed(text) => message("text", text.as_str().into()),
        AgentEventKind::Tapped { postback, label, body } => {
            let action = body.as_ref().is_some_and(|body| is_action(body, postback, label));
            let kind = if action { "ACTION" } else { "REPLY" };
            message("suggestionResponse", json!({ "postbackData": postback, "text": label, "type": kind }))
        }
        AgentEventKind::Delivered(message) => user("DELIVERED", Some(message)),
        AgentEventKind::Displayed(message) => user("READ", Some(message)),
        AgentEventKind::Expired { timed: false, .. } => None,
        AgentEventKind::Expired { client_id, timed: true } => {
            let kind =
                if failed_revocation { "TTL_EXPIRATION_REVOKE_FAILED" } else { "TTL_EXPIRATION_REVOKED" };
            let data = json!({
                "phoneNumber": phone, "agentId": agent.id, "messageId": client_id, "eventType": kind,
                "eventId": id, "sendTime": time,
            });
            Some((data, "event", kind))
        }
        AgentEventKind::Launched { from, to } => {
            let data = json!({
                "eventId": id, "agentId": agent.id, "botDisplayName": agent.display_name, "brandId": agent.brand,
                "regionId": "", "oldLaunchState": from, "newLaunchState": to, "actingParty": "CARRIER",
                "comment": "", "sendTime": time,
            });
            Some((data, LAUNCH, ""))
        }
    }
}

/// The word by which one leaves, where the person's number is from.
fn keyword(phone: &str) -> &'static str {
    match phone {
        _ if phone.starts_with("+34") || phone.starts_with("+52") => "BAJA",
        _ if phone.starts_with("+55") => "parar",
        _ => "STOP",
    }
}
