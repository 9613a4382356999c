//! What somebody does with a phone: each a request that changes something, answered by what the phone shows then.
//!
//! The fleet does it; here only words become deeds. Surprising: to our own script the answer is nothing but a sign that there is
//! news, since the part that looks for news draws the phone, and only that part.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::{HeaderName, HeaderValue, StatusCode};
use musubi_domain::{Error, ErrorKind, id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_proto::r#type::v1::Suggestion;
use serde::Deserialize;

use super::{Pages, authority, parse_number, parse_room, phone::no_phone, room, visitor::Visitor};
use crate::{fleet::Opening, hand::parse_typed};

/// Tells our script to look for news at once.
const NEWS: (HeaderName, HeaderValue) =
    (HeaderName::from_static("hx-trigger"), HeaderValue::from_static("news"));

/// A suggestion of a message.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tap {
    /// The message's id.
    pub(super) message: String,
    /// The suggestion's place in it, from 0.
    pub(super) suggestion: usize,
}

/// A text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    text: String,
}

/// The switch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    on: bool,
}

/// How many messages were seen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seen {
    count: usize,
}

/// The answer to a deed: back to where the phone shows it.
fn done(visitor: &Visitor, done: Result<(), Error>, address: &str) -> Response {
    match done {
        Err(error) => visitor.refuse(&error),
        Ok(()) if visitor.partial => (StatusCode::NO_CONTENT, [NEWS]).into_response(),
        Ok(()) => Redirect::to(address).into_response(),
    }
}

fn room_address(number: &str, account: &str) -> String {
    format!("/phones/{number}/with/{account}")
}

pub(super) async fn switch(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(number): Path<String>,
    Form(switch): Form<Switch>,
) -> Response {
    let switched = async { pages.fleet.switch(parse_number(&number)?, switch.on).await };
    done(&visitor, switched.await, &format!("/phones/{number}"))
}

pub(super) async fn follow(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
) -> Response {
    let followed = async {
        let (phone_number, id) = parse_room(&number, &account)?;
        pages.fleet.follow(phone_number, &id, pages.clock.now()).await
    };
    done(&visitor, followed.await, &room_address(&number, &account))
}

pub(super) async fn unfollow(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
) -> Response {
    let left = async {
        let (phone_number, id) = parse_room(&number, &account)?;
        pages.fleet.unfollow(phone_number, &id, pages.clock.now()).await
    };
    done(&visitor, left.await, &room_address(&number, &account))
}

pub(super) async fn type_text(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Form(typed): Form<Typed>,
) -> Response {
    let said = async {
        let (phone_number, id) = parse_room(&number, &account)?;
        pages.fleet.type_text(phone_number, &id, parse_typed(&typed.text)?, pages.clock.now()).await
    };
    done(&visitor, said.await, &room_address(&number, &account))
}

pub(super) async fn see(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Query(seen): Query<Seen>,
) -> Response {
    let seen = async {
        let (phone_number, id) = parse_room(&number, &account)?;
        pages.fleet.see(phone_number, &id, seen.count, pages.clock.now()).await
    };
    done(&visitor, seen.await, &room_address(&number, &account))
}

pub(super) async fn tap(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Form(tap): Form<Tap>,
) -> Response {
    let tapped = async {
        let (phone_number, id) = parse_room(&number, &account)?;
        let (_, button) = button(&pages, phone_number, &id, &tap).await?;
        pages.fleet.tap(phone_number, &id, &tap.message, &button, pages.clock.now()).await?;
        Ok::<_, Error>((phone_number, id, room::url(&button).is_some()))
    };
    match tapped.await {
        Ok((phone_number, id, true)) if visitor.partial => {
            authority::open(&pages, &visitor, phone_number, id, tap, authority::Trial::default()).await
        }
        Ok((_, _, true)) => Redirect::to(&authority::address(&number, &account, &tap)).into_response(),
        Ok((_, _, false)) => done(&visitor, Ok(()), &room_address(&number, &account)),
        Err(error) => visitor.refuse(&error),
    }
}

/// A suggestion of a message that the phone shows, and the phone.
pub(super) async fn button(
    pages: &Pages,
    phone_number: PhoneNumber,
    account: &OfficialAccountId,
    tap: &Tap,
) -> Result<(Opening, Suggestion), Error> {
    let opening = pages.fleet.open(phone_number).await?.ok_or_else(no_phone)?;
    let known = opening.accounts.iter().find(|known| known.id == *account);
    let talk_room = known.and_then(|known| known.talk_room).ok_or_else(no_phone)?;
    let message = pages.fleet.message(talk_room, &tap.message).await?;
    let missing = || Error::new(ErrorKind::NotFound, "the message has no such suggestion", "open it again");
    let mut suggestions = message.content.map(|content| content.suggestions).unwrap_or_default();
    if tap.suggestion >= suggestions.len() {
        return Err(missing());
    }
    Ok((opening, suggestions.swap_remove(tap.suggestion)))
}
