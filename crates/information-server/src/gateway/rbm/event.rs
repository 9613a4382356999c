//! What the platform reports, read: messages and events of people, and what became of ours (RBM guide "webhooks").
//!
//! Pure. Surprising: a person who unsubscribes comes twice, as a word in the talk room and as an event; both say the same, and the
//! second changes nothing.

use jiff::Timestamp;
use musubi_domain::{Error, error::shape, id::rbm_event_id, keyword::Keyword, phone_number::PhoneNumber};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        CarrierEvent, Followed, Receipt, ReceiptKind, Responded, Unfollowed, carrier_event::What,
        responded::How,
    },
};
use serde::Deserialize;

/// Stands for what is no text, as Unicode has it.
const OBJECT: &str = "\u{fffc}";

/// What was reported, by which agent.
pub(crate) struct Heard {
    /// The agent's id.
    pub(crate) agent: String,
    /// When, by the platform's clock.
    pub(crate) at: Timestamp,
    /// As carriers report it; the account is still to be written. None: it concerns nobody here.
    pub(crate) event: Option<CarrierEvent>,
    /// What a person wrote or tapped, to be marked as read.
    pub(crate) message: Option<(PhoneNumber, String)>,
}

/// All that may stand in the data; what may come besides is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    agent_id: String,
    /// A person's.
    #[serde(default)]
    sender_phone_number: Option<String>,
    /// In notices about messages of ours.
    #[serde(default)]
    phone_number: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
    #[serde(default)]
    event_id: Option<String>,
    #[serde(default)]
    message_id: Option<String>,
    #[serde(default)]
    send_time: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    suggestion_response: Option<SuggestionResponse>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SuggestionResponse {
    #[serde(default)]
    postback_data: String,
}

/// Reads the data of an envelope whose signature was good.
///
/// # Errors
/// `InvalidArgument`, names the field and never says what stands in it.
pub(crate) fn read(data: &[u8]) -> Result<Heard, Error> {
    let data: Data = serde_json::from_slice(data)
        .map_err(|_| Error::invalid("data", "is no event as JSON", "send it as the reference has it"))?;
    let at = data.send_time.as_deref().ok_or_else(|| missing("sendTime"))?;
    let at: Timestamp = at
        .parse()
        .map_err(|_| Error::invalid("sendTime", shape(at), "write RFC 3339, as 2026-11-28T09:00:00Z"))?;
    let number = data.sender_phone_number.as_deref().or(data.phone_number.as_deref());
    let Some(number) = number else {
        // About an agent, not about a person: as that it was launched.
        return Ok(Heard { agent: data.agent_id, at, event: None, message: None });
    };
    let number: PhoneNumber = number.parse().map_err(|error: Error| error.at("senderPhoneNumber"))?;
    let what = what(&data)?;
    let written = data.event_type.is_none().then(|| data.message_id.clone()).flatten();
    let event = match what {
        None => None,
        Some(what) => {
            let id = match data.event_type {
                Some(_) => data.event_id.as_deref().ok_or_else(|| missing("eventId"))?,
                None => data.message_id.as_deref().ok_or_else(|| missing("messageId"))?,
            };
            Some(CarrierEvent {
                event_id: rbm_event_id(&data.agent_id, data.event_type.is_none(), id),
                official_account: String::new(),
                msisdn: number.as_str().to_owned(),
                event_time: Some(timestamp(at)),
                what: Some(what),
            })
        }
    };
    Ok(Heard { agent: data.agent_id, at, event, message: written.map(|message| (number, message)) })
}

fn what(data: &Data) -> Result<Option<What>, Error> {
    let receipt = |kind: ReceiptKind| {
        let message_id = data.message_id.clone().ok_or_else(|| missing("messageId"))?;
        Ok(Some(What::Receipt(Receipt { message_id, kind: kind.into() })))
    };
    match data.event_type.as_deref() {
        Some("DELIVERED") => receipt(ReceiptKind::Delivered),
        Some("READ") => receipt(ReceiptKind::Displayed),
        Some("TTL_EXPIRATION_REVOKED") => receipt(ReceiptKind::Expired),
        Some("SUBSCRIBE") => Ok(Some(What::Followed(Followed {}))),
        Some("UNSUBSCRIBE") => Ok(Some(What::Unfollowed(Unfollowed {}))),
        // Typing, a notice that leaves open what became of the message, and whatever comes one day.
        Some(_) => Ok(None),
        None => Ok(match (&data.suggestion_response, &data.text) {
            (Some(tapped), _) => {
                Some(What::Responded(Responded { how: Some(How::Postback(tapped.postback_data.clone())) }))
            }
            (None, Some(text)) => Some(match Keyword::read(text) {
                Some(Keyword::Stop) => What::Unfollowed(Unfollowed {}),
                Some(Keyword::Start) => What::Followed(Followed {}),
                None => What::Responded(Responded { how: Some(How::Text(text.clone())) }),
            }),
            // A file or a place is an answer that can't be read.
            (None, None) => Some(What::Responded(Responded { how: Some(How::Text(OBJECT.to_owned())) })),
        }),
    }
}

fn missing(field: &str) -> Error {
    Error::invalid(field, "is not there", "send it as the reference has it")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn heard(more: Value) -> Result<Heard, Error> {
        let mut data = json!({
            "agentId": "bank_agent",
            "senderPhoneNumber": "+819012345678",
            "sendTime": "2026-11-28T09:00:00.123Z",
        });
        let (Value::Object(data), Value::Object(more)) = (&mut data, more) else { unreachable!() };
        data.extend(more);
        data.retain(|_, value| !value.is_null());
        read(&serde_json::to_vec(data).unwrap())
    }

    fn said(more: Value) -> Option<What> {
        heard(more).unwrap().event.map(|event| event.what.unwrap())
    }

    #[test]
    fn what_people_and_phones_do_is_read() {
        let responded = |how| Some(What::Responded(Responded { how: Some(how) }));
        let receipt = |kind: ReceiptKind| {
            Some(What::Receipt(Receipt { message_id: "m".to_owned(), kind: kind.into() }))
        };
        let event = |kind: &str| json!({ "eventType": kind, "eventId": "e", "messageId": "m" });
        let text = |text: &str| json!({ "messageId": "m", "text": text });
        let unfollowed = Some(What::Unfollowed(Unfollowed {}));
        for (data, what) in [
            (event("DELIVERED"), receipt(ReceiptKind::Delivered)),
            (event("READ"), receipt(ReceiptKind::Displayed)),
            (event("TTL_EXPIRATION_REVOKED"), receipt(ReceiptKind::Expired)),
            (event("TTL_EXPIRATION_REVOKE_FAILED"), None),
            (event("IS_TYPING"), None),
            (event("SOMETHING_NEW"), None),
            (event("SUBSCRIBE"), Some(What::Followed(Followed {}))),
            (event("UNSUBSCRIBE"), unfollowed.clone()),
            (text("1234567"), responded(How::Text("1234567".to_owned()))),
            (text("STOP"), unfollowed.clone()),
            (text("配信停止"), unfollowed),
            (text("START"), Some(What::Followed(Followed {}))),
            (
                json!({ "messageId": "m", "suggestionResponse": { "postbackData": "p", "text": "はい", "type": "REPLY" } }),
                responded(How::Postback("p".to_owned())),
            ),
            (
                json!({ "messageId": "m", "location": { "latitude": 35.0, "longitude": 139.0 } }),
                responded(How::Text(OBJECT.to_owned())),
            ),
        ] {
            assert!(said(data.clone()) == what, "{data}");
        }
    }

    #[test]
    fn a_notice_about_a_message_of_ours_names_its_number_otherwise() {
        let data = json!({
            "senderPhoneNumber": null, "phoneNumber": "+819012345678",
            "eventType": "TTL_EXPIRATION_REVOKED", "eventId": "e", "messageId": "m",
        });
        assert_eq!(heard(data).unwrap().event.unwrap().msisdn, "+819012345678");
        let launched = json!({ "senderPhoneNumber": null, "eventId": "e", "newLaunchState": "LAUNCHED" });
        assert!(heard(launched).unwrap().event.is_none());
    }

    #[test]
    fn what_has_a_name_is_named_by_it_and_by_its_agent() {
        let id = |more: Value| heard(more).unwrap().event.unwrap().event_id;
        let event = |id: &str| json!({ "eventType": "SUBSCRIBE", "eventId": id });
        assert_eq!(id(event("e")), id(event("e")));
        let mut others = vec![
            id(event("e")),
            id(event("f")),
            id(json!({ "messageId": "e", "text": "a" })),
            id(json!({ "agentId": "other_agent", "eventType": "SUBSCRIBE", "eventId": "e" })),
            id(event(&"long".repeat(1000))),
        ];
        assert!(others.iter().all(|id| id.len() == 68));
        others.sort();
        others.dedup();
        assert_eq!(others.len(), 5);
    }

    #[test]
    fn what_is_missing_or_malformed_is_named_and_never_shown() {
        for (more, field) in [
            (json!({ "agentId": null }), "data"),
            (json!({ "sendTime": null }), "sendTime"),
            (json!({ "sendTime": "tomorrow" }), "sendTime"),
            (json!({ "senderPhoneNumber": "09012345678" }), "senderPhoneNumber"),
            (json!({ "text": "a" }), "messageId"),
            (json!({ "eventType": "DELIVERED", "eventId": "e" }), "messageId"),
            (json!({ "eventType": "SUBSCRIBE" }), "eventId"),
            (json!({ "text": 5, "messageId": "m" }), "data"),
        ] {
            let Err(error) = heard(more.clone()) else { panic!("{more} was read") };
            assert_eq!(error.field, field, "{more}");
            assert!(!error.to_string().contains("090"), "{error}");
        }
        let twice = br#"{"agentId":"a","agentId":"b","sendTime":"2026-11-28T09:00:00Z"}"#;
        assert!(read(twice).is_err());
    }
}
