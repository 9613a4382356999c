//! A phone as it lies on the table: its frame, the list of accounts, and which of its screens is shown.
//!
//! Nothing is done here. Surprising: every screen of a phone is the same part with the same id, so any of them can take the place
//! of any other, alone on a page or beside other phones.

use std::sync::Arc;

use askama::{Template, filters::HtmlSafe};
use axum::{
    extract::{Path, Query, RawQuery, State},
    response::{IntoResponse as _, Response},
};
use http::StatusCode;
use jiff::{Timestamp, tz::Offset};
use musubi_domain::{Error, ErrorKind, id::OfficialAccountId, phone_number::PhoneNumber};

use super::{
    Pages,
    authority::{PageView, To},
    digits, parse_number, parse_room,
    room::{self, Banner, Item, Mark, RoomView},
    visitor::{Frame, Visitor},
    wall::{Asked, hue, initial, mark},
    words::Words,
    written,
};
use crate::{
    fleet::{Account, Opening},
    hand::{Follows, Stand, Wallet},
    story::IdentityMethod,
};

/// The most phones that lie side by side.
const MOST: usize = 8;

/// Phones on a page.
#[derive(Template)]
#[template(path = "phones.html")]
struct PhonesPage {
    frame: Frame,
    phones: Vec<PhoneView>,
}

/// One phone, as a part.
#[derive(Template)]
#[template(path = "phone.html")]
pub(super) struct PhoneView {
    pub(super) words: &'static Words,
    pub(super) digits: String,
    number: String,
    carrier: String,
    is_on: bool,
    is_held: bool,
    alone: bool,
    clock: String,
    /// Where this screen is found.
    address: String,
    mark: String,
    pub(super) screen: Screen,
    wallet: Option<WalletView>,
}

/// It escaped what stands in it when it was drawn.
impl HtmlSafe for PhoneView {}

/// What a phone shows.
pub(super) enum Screen {
    /// Whom it can talk to.
    List(Vec<AccountView>),
    /// A talk room.
    Room(Box<RoomView>),
    /// Its browser.
    Page(Box<PageView>),
}

/// An account in the list.
pub(super) struct AccountView {
    id: String,
    name: String,
    initial: String,
    hue: u8,
    text: String,
    time: String,
    unread: usize,
}

/// What the holder has at hand.
struct WalletView {
    name: String,
    name_kana: String,
    birth_date: String,
    address: String,
    account_text: String,
    /// What it is, and its PIN; a document has none.
    credentials: Vec<(&'static str, String)>,
}

impl WalletView {
    fn of(wallet: Wallet, words: &Words) -> Self {
        let credentials = wallet.credentials.into_iter().map(|credential| {
            let pin = match credential.method {
                IdentityMethod::Jpki | IdentityMethod::Carrier => credential.pin,
                IdentityMethod::Document => String::new(),
            };
            (words.credential(credential.method), pin)
        });
        Self {
            credentials: credentials.collect(),
            name: wallet.name,
            name_kana: wallet.name_kana,
            birth_date: wallet.birth_date,
            address: wallet.address,
            account_text: wallet.account_text,
        }
    }
}

/// Which screen is wanted.
pub(super) enum Wanted {
    List,
    Room(OfficialAccountId),
    Page(OfficialAccountId, Box<PageView>),
}

/// An instant's time of day in Japan.
pub(super) fn time_of_day(at: Timestamp) -> String {
    Offset::constant(9).to_datetime(at).strftime("%H:%M").to_string()
}

pub(super) fn no_phone() -> Error {
    Error::new(ErrorKind::NotFound, "there is no phone of this number", "pick one up")
}

/// Draws a phone.
pub(super) async fn draw(
    pages: &Pages,
    visitor: &Visitor,
    phone_number: PhoneNumber,
    wanted: Wanted,
) -> Result<PhoneView, Error> {
    let words = visitor.words();
    let now = pages.clock.now();
    let opening = pages.fleet.open(phone_number).await?.ok_or_else(no_phone)?;
    let digits = digits(phone_number);
    let at = format!("/phones/{digits}");
    let (address, screen) = match wanted {
        Wanted::List => (at, Screen::List(list(pages, &opening, words).await?)),
        Wanted::Room(id) => {
            let account = opening.accounts.iter().find(|account| account.id == id);
            let room = room::draw(pages, words, &opening, account, &id, now).await?;
            (format!("{at}/with/{id}"), Screen::Room(Box::new(room)))
        }
        Wanted::Page(id, page) => (format!("{at}/with/{id}"), Screen::Page(page)),
    };
    let mut view = PhoneView {
        words,
        digits,
        number: written(phone_number),
        carrier: opening.carrier.to_string(),
        is_on: opening.is_on,
        is_held: opening.is_held,
        alone: visitor.alone,
        clock: time_of_day(now),
        address,
        mark: String::new(),
        screen,
        wallet: opening.wallet.map(|wallet| WalletView::of(wallet, words)),
    };
    view.mark = mark(&view)?;
    Ok(view)
}

async fn list(pages: &Pages, opening: &Opening, words: &Words) -> Result<Vec<AccountView>, Error> {
    let mut views = Vec::new();
    for account in &opening.accounts {
        let last = room::last(pages, account).await?;
        let Account { id, name, stand, seen, .. } = account;
        let is_new = match stand {
            None | Some(Stand::Hand(_)) => true,
            Some(Stand::Story(_)) => false,
        };
        let (text, time) = match last.shown {
            Some(shown) => shown,
            None => (words.follows(follows(*stand)).to_owned(), String::new()),
        };
        views.push(AccountView {
            id: id.to_string(),
            name: name.clone(),
            initial: initial(name),
            hue: hue(id.as_str()),
            text,
            time,
            unread: if is_new { last.messages.saturating_sub(*seen) } else { 0 },
        });
    }
    Ok(views)
}

/// Whether a talk room's person follows.
pub(super) fn follows(stand: Option<Stand>) -> Follows {
    match stand {
        Some(Stand::Hand(grip)) => grip.follows,
        Some(Stand::Story(_)) => Follows::Yes,
        None => Follows::No,
    }
}

/// Gives the part, or nothing when the browser has it already, or a page around it.
pub(super) fn answer(visitor: &Visitor, drawn: Result<PhoneView, Error>, asked: &str) -> Response {
    match drawn {
        Err(error) => visitor.refuse(&error),
        Ok(view) if visitor.partial && view.mark == asked => StatusCode::NO_CONTENT.into_response(),
        Ok(view) if visitor.partial => visitor.show(&view),
        Ok(view) => visitor.show(&PhonesPage { frame: visitor.frame(), phones: vec![view] }),
    }
}

pub(super) async fn accounts(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path(number): Path<String>,
    Query(asked): Query<Asked>,
) -> Response {
    let drawn = async { draw(&pages, &visitor, parse_number(&number)?, Wanted::List).await };
    answer(&visitor, drawn.await, &asked.mark)
}

pub(super) async fn room(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Path((number, account)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Response {
    let drawn = async {
        let (phone_number, account) = parse_room(&number, &account)?;
        draw(&pages, &visitor, phone_number, Wanted::Room(account)).await
    };
    answer(&visitor, drawn.await, &asked.mark)
}

pub(super) async fn side_by_side(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let numbers = query.split('&').filter_map(|pair| pair.strip_prefix("n=")).take(MOST);
    let mut phones: Vec<PhoneView> = Vec::new();
    for number in numbers {
        let drawn = async { draw(&pages, &visitor, parse_number(number)?, Wanted::List).await };
        match drawn.await {
            Ok(view) if phones.iter().any(|phone| phone.digits == view.digits) => {}
            Ok(view) => phones.push(view),
            Err(error) => return visitor.refuse(&error),
        }
    }
    if phones.is_empty() {
        return visitor.refuse(&no_phone());
    }
    visitor.show(&PhonesPage { frame: visitor.frame(), phones })
}
