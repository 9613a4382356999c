//! What a phone's browser shows: the page of an authority, where the holder proves who they are, or a page outside of the simulator,
//! which only a click of the person's own opens.
//!
//! Whether a credential is good is the carrier's to say; it is asked while the person waits. Surprising: the address of a
//! verification is never in an address of ours, nor in a page: it stands in the message, and is read there.

use std::sync::Arc;

use axum::{
    Form,
    extract::{Path, Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use musubi_domain::{Error, ErrorKind, id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_proto::carrier::v1::{
    AuthenticateRequest, Authentication, verification_service_client::VerificationServiceClient,
};
use musubi_runtime::{entropy, grpc::status::from_status};
use serde::Deserialize;

use super::{
    Pages,
    deeds::{Tap, button},
    digits, parse_room,
    phone::{self, Wanted},
    room,
    visitor::Visitor,
    words::Words,
};
use crate::{
    hand::{Leads, leads},
    story::IdentityMethod,
};

/// A page in a phone's browser.
pub(super) struct PageView {
    pub(super) id: String,
    pub(super) host: String,
    pub(super) message: String,
    pub(super) suggestion: usize,
    pub(super) to: To,
    /// What the authority said of the last try.
    pub(super) fault: String,
}

/// What the page is.
pub(super) enum To {
    /// An authority's.
    Authority {
        title: &'static str,
        lead: &'static str,
        method: IdentityMethod,
        /// The card was held to the phone, or needn't be.
        touched: bool,
        /// The next try's, so that the same form sent twice is one try.
        batch: String,
    },
    /// Somebody else's, and where it is.
    Outside(String),
    /// None.
    Nowhere,
}

/// Where somebody is at an authority's page.
#[derive(Default)]
pub(super) struct Trial {
    touched: bool,
    fault: Option<Fault>,
}

/// Why an authority refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    Pin,
    Other,
}

/// Where the page of a suggestion is.
pub(super) fn address(number: &str, account: &str, tap: &Tap) -> String {
    let message: String = tap
        .message
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'-' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect();
    format!("/phones/{number}/with/{account}/page?message={message}&suggestion={}", tap.suggestion)
}

/// Which page, and whether the card was held to the phone.
#[derive(Deserialize)]
pub(super) struct Visit {
    message: String,
    suggestion: usize,
    #[serde(default)]
    touched: bool,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Query(visit): Query<Visit>,
) -> Response {
    let Visit { message, suggestion, touched } = visit;
    match parse_room(&number, &account) {
        Ok((phone_number, id)) => {
            let trial = Trial { touched, fault: None };
            open(&pages, &visitor, phone_number, id, Tap { message, suggestion }, trial).await
        }
        Err(error) => visitor.refuse(&error),
    }
}

/// Shows the page of a suggestion in the phone.
pub(super) async fn open(
    pages: &Pages,
    visitor: &Visitor,
    phone_number: PhoneNumber,
    id: OfficialAccountId,
    tap: Tap,
    trial: Trial,
) -> Response {
    let drawn = async {
        let (opening, button) = button(pages, phone_number, &id, &tap).await?;
        if !opening.is_held {
            return Err(phone::no_phone());
        }
        let url = room::url(&button).ok_or_else(no_page)?;
        let words = visitor.words();
        let to = match leads(url, &opening.carrier) {
            Leads::Verification(method) => authority(words, method, &trial),
            Leads::Outside => To::Outside(url.to_owned()),
            Leads::Nowhere => To::Nowhere,
        };
        let fault = match trial.fault {
            Some(Fault::Pin) => words.wrong_pin,
            Some(Fault::Other) => words.proof_refused,
            None => "",
        };
        let page = PageView {
            id: id.to_string(),
            host: room::host(url).to_owned(),
            message: tap.message,
            suggestion: tap.suggestion,
            to,
            fault: fault.to_owned(),
        };
        phone::draw(pages, visitor, phone_number, Wanted::Page(id, Box::new(page))).await
    };
    phone::answer(visitor, drawn.await, "")
}

fn authority(words: &Words, method: IdentityMethod, trial: &Trial) -> To {
    let (title, lead) = words.authority(method);
    let touched = trial.touched || trial.fault.is_some() || method != IdentityMethod::Jpki;
    let batch = uuid::Builder::from_random_bytes(entropy::bytes()).into_uuid().to_string();
    To::Authority { title, lead, method, touched, batch }
}

fn no_page() -> Error {
    Error::new(ErrorKind::NotFound, "the suggestion opens no page", "tap another")
}

/// What somebody shows an authority.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Proof {
    message: String,
    suggestion: usize,
    batch: String,
    #[serde(default)]
    pin: String,
    /// Which document; the authority sees it on the photograph.
    #[serde(default, rename = "document")]
    _document: String,
}

pub(super) async fn prove(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Form(proof): Form<Proof>,
) -> Response {
    let (phone_number, id) = match parse_room(&number, &account) {
        Ok(parsed) => parsed,
        Err(error) => return visitor.refuse(&error),
    };
    let tap = Tap { message: proof.message.clone(), suggestion: proof.suggestion };
    match try_proof(&pages, phone_number, &id, &proof).await {
        Err(error) => visitor.refuse(&error),
        Ok(fault @ Some(_)) => {
            open(&pages, &visitor, phone_number, id, tap, Trial { touched: true, fault }).await
        }
        Ok(None) if visitor.partial => {
            let drawn = phone::draw(&pages, &visitor, phone_number, Wanted::Room(id)).await;
            phone::answer(&visitor, drawn, "")
        }
        Ok(None) => Redirect::to(&format!("/phones/{}/with/{id}", digits(phone_number))).into_response(),
    }
}

/// Shows the credential to the authority; none when it was taken.
async fn try_proof(
    pages: &Pages,
    phone_number: PhoneNumber,
    id: &OfficialAccountId,
    proof: &Proof,
) -> Result<Option<Fault>, Error> {
    let tap = Tap { message: proof.message.clone(), suggestion: proof.suggestion };
    let (opening, button) = button(pages, phone_number, id, &tap).await?;
    let url = room::url(&button).ok_or_else(no_page)?;
    let Leads::Verification(method) = leads(url, &opening.carrier) else { return Err(no_page()) };
    let wallet = opening.wallet.as_ref().ok_or_else(phone::no_phone)?;
    if !opening.is_on {
        return Err(Error::new(ErrorKind::FailedPrecondition, "the phone is off", "switch it on"));
    }
    let credential = wallet.credential(method).ok_or_else(no_page)?;
    let pin = match method {
        IdentityMethod::Jpki | IdentityMethod::Carrier => proof.pin.trim().to_owned(),
        // What is photographed has no secret to be typed.
        IdentityMethod::Document => credential.pin.clone(),
    };
    let channel = pages.channels.get(usize::from(opening.place)).ok_or_else(no_page)?;
    let request = AuthenticateRequest {
        batch_id: proof.batch.clone(),
        authentications: vec![Authentication {
            url: url.to_owned(),
            msisdn: phone_number.as_str().to_owned(),
            credential_id: credential.id.clone(),
            pin,
        }],
    };
    let answer = VerificationServiceClient::new(channel.clone()).authenticate(request).await;
    let refused = answer.map_err(|status| from_status(&status))?.into_inner().refused;
    match refused.first() {
        Some(refusal) if refusal.field == "pin" => Ok(Some(Fault::Pin)),
        Some(_) => Ok(Some(Fault::Other)),
        None => {
            pages.fleet.proved(phone_number, id, url, pages.clock.now()).await?;
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_holds_any_id_of_a_message() {
        let tap = Tap { message: "msg_1&x=<\"あ".to_owned(), suggestion: 2 };
        assert_eq!(
            address("8190", "bank", &tap),
            "/phones/8190/with/bank/page?message=msg_1%26x%3D%3C%22%E3%81%82&suggestion=2"
        );
    }
}
