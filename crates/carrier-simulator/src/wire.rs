//! The door: wire messages into what the store takes, and events into what the information server takes.
//!
//! Past here there are no raw strings. Nothing is decided here but whether something is well formed. Surprising: a message is
//! stored as the terminal will get it, so that it is taken apart once, when it comes.

use jiff::Timestamp;
use musubi_domain::{
    Error,
    content::{Content, LABEL_LIMIT, POSTBACK_LIMIT, TEXT_LIMIT},
    id::MessageId,
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};
use musubi_proto::{
    carrier::v1::{self as wire, IncomingMessage, action::What},
    convert::content::{instant, timestamp},
    information::v1::{self as information, CarrierEvent, PushEventsRequest, ReceiptKind as WireReceipt},
    r#type::v1::{IdentityMethod as WireMethod, TrafficType},
};
use musubi_storage::carrier::{
    Action, ActionBatch, ActionKind, BATCH, Event, EventKind, NewMessage, Person, ReceiptKind, Response,
    RoomAction, TenureChange,
};
use prost::Message as _;
use uuid::Uuid;

/// Refuses more than a batch of `count` items in `field`.
pub(crate) fn check_count(count: usize, field: &str) -> Result<(), Error> {
    if count <= BATCH {
        return Ok(());
    }
    Err(Error::invalid(field, format!("{count} items"), format!("send at most {BATCH} at once")))
}

pub(crate) fn batch_id(text: &str) -> Result<Uuid, Error> {
    Uuid::try_parse(text).map_err(|_| {
        let problem = format!("{} is no UUID", musubi_domain::error::shape(text));
        Error::invalid("batch_id", problem, "give each batch a new UUID, and the same when it is repeated")
    })
}

fn absent(field: &str) -> Error {
    Error::invalid(field, "is absent", "give exactly one")
}

fn check_length(text: &str, least: usize, most: usize, field: &str) -> Result<(), Error> {
    let length = text.chars().count();
    if (least..=most).contains(&length) && !text.contains('\0') {
        return Ok(());
    }
    let problem = musubi_domain::error::shape(text);
    Err(Error::invalid(field, problem, format!("write {least} to {most} characters, none of them NUL")))
}

/// A display name of an official account: 1 to 100 characters.
pub(crate) fn display_name(text: &str) -> Result<&str, Error> {
    check_length(text, 1, 100, "display_name").map(|()| text)
}

/// A batch of actions; the error names `actions[i].field`.
pub(crate) fn actions(request: wire::SubmitActionsRequest) -> Result<ActionBatch, Error> {
    let batch_id = batch_id(&request.batch_id)?;
    let fleet = request.fleet.parse()?;
    check_count(request.actions.len(), "actions")?;
    let numbered = request.actions.into_iter().enumerate();
    let actions = numbered.map(|(index, wire)| {
        action(wire).map_err(|error| {
            let field = format!("actions[{index}].{}", error.field);
            error.at(field)
        })
    });
    Ok(ActionBatch { batch_id, fleet, actions: actions.collect::<Result<_, _>>()? })
}

fn action(wire: wire::Action) -> Result<Action, Error> {
    let number = number(&wire.msisdn)?;
    let within = |error: Error, part: &str| {
        let field = format!("{part}.{}", error.field);
        error.at(field)
    };
    let message_id = |text: &str, part| text.parse::<MessageId>().map_err(|error| within(error, part));
    let tenure = |change| Ok(Action { number, kind: ActionKind::Tenure(change) });
    let in_room = match wire.what.ok_or_else(|| absent("what"))? {
        What::Surrendered(_) => return Ok(Action { number, kind: ActionKind::Surrendered }),
        What::Released(_) => return tenure(TenureChange::Released),
        What::Assigned(_) => return tenure(TenureChange::Assigned),
        What::PortedIn(_) => return tenure(TenureChange::PortedIn),
        What::Follow(_) => RoomAction::Follow,
        What::Unfollow(_) => RoomAction::Unfollow,
        What::Delivered(it) => RoomAction::Delivered(message_id(&it.message_id, "delivered")?),
        What::Displayed(it) => RoomAction::Displayed(message_id(&it.message_id, "displayed")?),
        What::Tapped(it) => {
            let message_id = message_id(&it.message_id, "tapped")?;
            if it.postback.len() > POSTBACK_LIMIT {
                let problem = format!("{} bytes", it.postback.len());
                let remedy = format!("give it back as it was received, at most {POSTBACK_LIMIT} bytes");
                return Err(Error::invalid("tapped.postback", problem, remedy));
            }
            check_length(&it.text, 1, LABEL_LIMIT, "tapped.text")?;
            RoomAction::Responded(Response::Tapped { message_id, postback: it.postback, label: it.text })
        }
        What::Typed(it) => {
            check_length(&it.text, 1, TEXT_LIMIT, "typed.text")?;
            RoomAction::Responded(Response::Text(it.text))
        }
    };
    let account = wire.official_account.parse()?;
    Ok(Action { number, kind: ActionKind::InRoom(account, in_room) })
}

fn number(msisdn: &str) -> Result<PhoneNumber, Error> {
    msisdn.parse().map_err(|error: Error| error.at("msisdn"))
}

/// A message that is well formed and not too late, to be stored. Without an expire time it expires at `default_expiry`.
pub(crate) fn new_message(
    wire: wire::OutgoingMessage,
    official_account: &str,
    now: Timestamp,
    default_expiry: Timestamp,
) -> Result<NewMessage, Error> {
    let number = number(&wire.msisdn)?;
    if matches!(wire.traffic_type(), TrafficType::Unspecified) {
        return Err(Error::invalid("traffic_type", "is not said", "say why the message is sent"));
    }
    let expires = match &wire.expire_time {
        None => default_expiry,
        some => instant(some.as_ref(), "expire_time")?,
    };
    if expires <= now {
        return Err(Error::invalid(
            "expire_time",
            "has passed",
            "do not send it, or send it with a later one",
        ));
    }
    let content = wire.content.ok_or_else(|| Error::invalid("content", "is absent", "give a content"))?;
    let content = Content::try_from(content).map_err(|error| {
        let field = format!("content.{}", error.field);
        error.at(field)
    })?;
    let incoming = IncomingMessage {
        message_id: wire.message_id,
        msisdn: wire.msisdn,
        official_account: official_account.to_owned(),
        // Read with the account when it is delivered, because it may change.
        display_name: String::new(),
        content: Some(content.into()),
        traffic_type: wire.traffic_type,
    };
    Ok(NewMessage { number, expires, payload: incoming.encode_to_vec() })
}

/// A person's credential; the error names the person's field.
pub(crate) fn person(wire: wire::Person) -> Result<Person, Error> {
    let method = wire.method();
    for (text, least, most, field) in [
        (&wire.credential_id, 1, 100, "credential_id"),
        (&wire.pin, 4, 16, "pin"),
        (&wire.name, 0, 200, "name"),
        (&wire.name_kana, 0, 200, "name_kana"),
        (&wire.birth_date, 0, 100, "birth_date"),
        (&wire.address, 0, 500, "address"),
    ] {
        check_length(text, least, most, field)?;
    }
    Ok(Person {
        number: number(&wire.msisdn)?,
        credential_id: wire.credential_id,
        pin: wire.pin,
        identity: AttestedIdentity {
            method: IdentityMethod::try_from(method)?,
            name: wire.name,
            name_kana: Some(wire.name_kana).filter(|kana| !kana.is_empty()),
            birth_date: wire.birth_date,
            address: wire.address,
        },
    })
}

/// Events as the payload of an outbox row: a `PushEventsRequest`. Several payloads, one after the other, are one request with
/// all their events, as protobuf merges repeated fields.
pub(crate) fn encode_events(events: &[Event]) -> Vec<u8> {
    PushEventsRequest { events: events.iter().map(event).collect() }.encode_to_vec()
}

fn event(event: &Event) -> CarrierEvent {
    use information::carrier_event::What;
    let what = match &event.kind {
        EventKind::Followed => What::Followed(information::Followed {}),
        EventKind::Unfollowed => What::Unfollowed(information::Unfollowed {}),
        EventKind::NumberReassigned => What::NumberReassigned(information::NumberReassigned {}),
        EventKind::Responded(response) => {
            use information::responded::How;
            let how = match response {
                Response::Tapped { postback, .. } => How::Postback(postback.clone()),
                Response::Text(text) => How::Text(text.clone()),
            };
            What::Responded(information::Responded { how: Some(how) })
        }
        EventKind::Receipt(message_id, kind) => {
            let kind = match kind {
                ReceiptKind::Delivered => WireReceipt::Delivered,
                ReceiptKind::Displayed => WireReceipt::Displayed,
                ReceiptKind::Expired => WireReceipt::Expired,
                ReceiptKind::Revoked => WireReceipt::Revoked,
            };
            What::Receipt(information::Receipt { message_id: message_id.to_string(), kind: kind.into() })
        }
    };
    CarrierEvent {
        event_id: event.id.to_string(),
        official_account: event.account.to_string(),
        msisdn: event.number.as_str().to_owned(),
        event_time: Some(timestamp(event.time)),
        what: Some(what),
    }
}

/// A method on the wire.
pub(crate) fn method(method: IdentityMethod) -> i32 {
    WireMethod::from(method).into()
}
