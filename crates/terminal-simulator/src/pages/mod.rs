//! The phones as people see them, in a browser: a wall of the whole fleet, and phones that one picks up and holds.
//!
//! Pages are made here and in `templates`; what is done with a phone is the fleet's, and what a carrier's authority says is the
//! carrier's. No text of anybody's is ever markup: templates escape, the policy of the pages forbids scripts in text, and a link of a
//! company's leads out of the simulator only as https and only by a person's own click. Surprising: a phone is drawn anew as a
//! whole whenever anything of it changes, and the browser puts in only what differs, so that focus and half a text stay.
//!
//! | file | what |
//! |---|---|
//! | `wall` | all phones, finding one, picking one up |
//! | `phone`, `room` | what a phone shows |
//! | `authority` | the pages that its browser opens |
//! | `deeds` | what one does with it |
//! | `visitor`, `words`, `assets` | who looks, in which language, with which files |

mod assets;
mod authority;
mod deeds;
mod phone;
mod room;
mod visitor;
mod wall;
mod words;

use std::sync::Arc;

use axum::{
    Router,
    routing::{get, post},
};
use musubi_domain::{Error, id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_runtime::{Clock, grpc::client::PeerChannel, http::pages};

use crate::{fleet::Fleet, hand::Holder};

/// The pages of a fleet.
pub(crate) struct Pages {
    /// Whose phones.
    pub fleet: Arc<Fleet>,
    /// The ways to its carriers, for what a person waits for an answer to.
    pub channels: Vec<PeerChannel>,
    /// Who waits for their phones to be picked up.
    pub people: Vec<Holder>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

impl Pages {
    /// Everything that is served, guarded.
    pub(crate) fn router(self) -> Router {
        let router = Router::new()
            .route("/", get(wall::show))
            .route("/find", get(wall::find))
            .route("/phones", get(phone::side_by_side).post(wall::pick_up))
            .route("/phones/{number}", get(phone::accounts))
            .route("/phones/{number}/power", post(deeds::switch))
            .route("/phones/{number}/with/{account}", get(phone::room))
            .route("/phones/{number}/with/{account}/follow", post(deeds::follow))
            .route("/phones/{number}/with/{account}/unfollow", post(deeds::unfollow))
            .route("/phones/{number}/with/{account}/tap", post(deeds::tap))
            .route("/phones/{number}/with/{account}/type", post(deeds::type_text))
            .route("/phones/{number}/with/{account}/see", post(deeds::see))
            .route("/phones/{number}/with/{account}/page", get(authority::show).post(authority::prove))
            .with_state(Arc::new(self));
        pages::guard(router.merge(assets::router()))
    }
}

/// A phone number as an address of these pages has it: without its plus sign.
fn parse_number(digits: &str) -> Result<PhoneNumber, Error> {
    format!("+{digits}").parse()
}

/// A phone number in an address.
fn digits(phone_number: PhoneNumber) -> String {
    phone_number.as_str().trim_start_matches('+').to_owned()
}

/// A phone number as people write it.
fn written(phone_number: PhoneNumber) -> String {
    let number = phone_number.as_str();
    match number.strip_prefix("+81") {
        Some(rest) if rest.len() == 10 && rest.is_ascii() => {
            format!("0{}-{}-{}", &rest[..2], &rest[2..6], &rest[6..])
        }
        Some(_) | None => number.to_owned(),
    }
}

/// A phone and an account of an address.
fn parse_room(number: &str, account: &str) -> Result<(PhoneNumber, OfficialAccountId), Error> {
    Ok((parse_number(number)?, account.parse()?))
}
