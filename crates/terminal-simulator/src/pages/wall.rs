//! The wall: how far the fleet is, the talk rooms where something just happened, phones in hand, and people whose phones wait.
//!
//! Only looks at the fleet, and hands out phones. Surprising: who was given a phone is told by the fleet alone, so a person of the
//! file whose number has a phone waits no longer.

use std::{collections::HashMap, hash::Hasher as _, sync::Arc};

use askama::{Template, filters::HtmlSafe};
use axum::{
    Form,
    extract::{Query, State},
    response::{IntoResponse as _, Redirect, Response},
};
use http::StatusCode;
use musubi_domain::{Error, ErrorKind, phone_number::PhoneNumber};
use musubi_proto::terminal::v1::{self as wire, line};
use serde::Deserialize;

use super::{
    Pages, digits, parse_number,
    visitor::{Frame, Visitor},
    words::Words,
    written,
};
use crate::{
    fleet::{self, Glimpse},
    hand::Holder,
    intake,
    script::Step,
};

/// The most people who are shown as they wait.
const MOST_PEOPLE: usize = 24;

/// The page.
#[derive(Template)]
#[template(path = "wall.html")]
struct Wall {
    frame: Frame,
    live: Live,
    held: Vec<Held>,
    together: String,
    people: Vec<Waiting>,
    carriers: Vec<String>,
    fault: String,
}

/// What of it changes by itself.
#[derive(Template)]
#[template(path = "live.html")]
struct Live {
    words: &'static Words,
    mark: String,
    figures: [(&'static str, u64); 6],
    steps: Vec<Bar>,
    tiles: Vec<Tile>,
}

/// It escaped what stands in it when it was drawn.
impl HtmlSafe for Live {}

/// How many stories are at one step.
struct Bar {
    word: &'static str,
    count: u64,
    most: u64,
}

/// A talk room as one passes by.
struct Tile {
    address: String,
    number: String,
    name: String,
    initial: String,
    hue: u8,
    text: String,
    step: &'static str,
}

/// A phone in somebody's hand.
struct Held {
    digits: String,
    number: String,
    carrier: String,
    name: String,
}

/// Somebody whose phone waits.
struct Waiting {
    person: usize,
    name: String,
    number: String,
    carrier: String,
    account: String,
}

pub(super) async fn show(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Query(asked): Query<Asked>,
) -> Response {
    let wall = match visitor.partial {
        false => page(&pages, &visitor, String::new()).await.map(|page| visitor.show(&page)),
        true => live(&pages, visitor.words()).await.map(|live| match live.mark == asked.mark {
            true => StatusCode::NO_CONTENT.into_response(),
            false => visitor.show(&live),
        }),
    };
    wall.unwrap_or_else(|error| visitor.refuse(&error))
}

/// What a browser says of what it has.
#[derive(Deserialize)]
pub(super) struct Asked {
    /// Of the part that it shows.
    #[serde(default)]
    pub(super) mark: String,
}

async fn page(pages: &Pages, visitor: &Visitor, fault: String) -> Result<Wall, Error> {
    let fleet = &pages.fleet;
    let mut held = Vec::new();
    for phone_number in fleet.held().await? {
        if let Some(opening) = fleet.open(phone_number).await? {
            held.push(Held {
                digits: digits(phone_number),
                number: written(phone_number),
                carrier: opening.carrier.to_string(),
                name: opening.wallet.map(|wallet| wallet.name).unwrap_or_default(),
            });
        }
    }
    let together = held.iter().map(|phone| format!("n={}", phone.digits)).collect::<Vec<_>>().join("&");
    let mut people = Vec::new();
    for person in fleet.waiting(&pages.people, MOST_PEOPLE).await? {
        let holder = &pages.people[person];
        people.push(Waiting {
            person,
            name: holder.wallet.name.clone(),
            number: written(holder.phone_number),
            carrier: holder.carrier.to_string(),
            account: fleet.name_of(&holder.carrier, &holder.official_account).await?,
        });
    }
    let carriers = fleet.places().map(|place| fleet.carrier(place).id.to_string()).collect();
    let live = live(pages, visitor.words()).await?;
    Ok(Wall { frame: visitor.frame(), live, held, together, people, carriers, fault })
}

async fn live(pages: &Pages, words: &'static Words) -> Result<Live, Error> {
    let progress = pages.fleet.progress();
    let tally = progress.tally;
    let figures = [
        (words.stories, progress.steps.iter().sum()),
        (words.shown, tally.shown),
        (words.tapped, tally.tapped),
        (words.typed, tally.typed),
        (words.pages, tally.pages),
        (words.pending, progress.pending),
    ];
    let most = progress.steps.iter().copied().max().unwrap_or_default().max(1);
    let bar = |(word, count): (&&str, u64)| Bar { word: words.step(word), count, most };
    let steps = Step::WORDS.iter().zip(progress.steps).map(bar).collect();
    let latest = pages.fleet.latest().await?;
    let numbers: Vec<i64> = latest.iter().map(|glimpse| glimpse.talk_room).collect();
    let mut last: HashMap<i64, wire::Line> = HashMap::new();
    for stored in pages.fleet.store().list_lines(&numbers).await? {
        if let Ok(line) = fleet::shown(stored.line) {
            last.insert(stored.talk_room, line);
        }
    }
    let tiles = latest.iter().map(|glimpse| tile(glimpse, last.get(&glimpse.talk_room), words)).collect();
    let mut live = Live { words, mark: String::new(), figures, steps, tiles };
    live.mark = mark(&live)?;
    Ok(live)
}

/// What tells a part from what it was before.
pub(super) fn mark(part: &impl Template) -> Result<String, Error> {
    let text = part.render().map_err(|_| Error::new(ErrorKind::Internal, "a page can not be drawn", ""))?;
    let mut hasher = std::hash::DefaultHasher::new();
    hasher.write(text.as_bytes());
    Ok(format!("{:016x}", hasher.finish()))
}

fn tile(glimpse: &Glimpse, last: Option<&wire::Line>, words: &'static Words) -> Tile {
    let text = match last.and_then(|line| line.what.as_ref()) {
        Some(line::What::Message(message)) => {
            message.content.as_ref().map(|content| content.text.clone()).unwrap_or_default()
        }
        Some(line::What::Said(text)) => format!("{}: {text}", words.you),
        Some(line::What::Opened(_)) => words.opened.to_owned(),
        Some(line::What::Proved(_)) => words.proved.to_owned(),
        Some(line::What::Followed(true)) => words.followed.to_owned(),
        Some(line::What::Followed(false)) => words.unfollowed.to_owned(),
        None => String::new(),
    };
    Tile {
        address: format!("/phones/{}/with/{}", digits(glimpse.phone_number), glimpse.official_account),
        number: written(glimpse.phone_number),
        name: glimpse.name.clone(),
        initial: initial(&glimpse.name),
        hue: hue(glimpse.official_account.as_str()),
        text: text.chars().take(90).collect(),
        step: words.step(glimpse.stand.word()),
    }
}

/// What stands in the circle of an account.
pub(super) fn initial(name: &str) -> String {
    name.chars().find(|c| !c.is_whitespace() && !c.is_control()).into_iter().collect()
}

/// Which of the six colours an account has.
pub(super) fn hue(account: &str) -> u8 {
    account.bytes().fold(0_u8, |hue, byte| hue.wrapping_mul(31).wrapping_add(byte)) % 6
}

/// Whom somebody looks for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    number: String,
}

pub(super) async fn find(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Query(wanted): Query<Wanted>,
) -> Response {
    let missing = || Error::new(ErrorKind::NotFound, "there is no phone of this number", "");
    let found = async {
        let phone_number = parse_written(&wanted.number)?;
        pages.fleet.open(phone_number).await?.ok_or_else(missing)?;
        Ok::<_, Error>(phone_number)
    };
    let error = match found.await {
        Ok(phone_number) => {
            return Redirect::to(&format!("/phones/{}", digits(phone_number))).into_response();
        }
        Err(error) => error,
    };
    if !matches!(error.kind, ErrorKind::NotFound | ErrorKind::InvalidArgument) {
        return visitor.refuse(&error);
    }
    let fault = visitor.words().find_none.to_owned();
    match page(&pages, &visitor, fault).await {
        Ok(page) => visitor.show(&page),
        Err(error) => visitor.refuse(&error),
    }
}

/// A number as somebody writes it: in E.164, or as it is dialled in Japan.
fn parse_written(text: &str) -> Result<PhoneNumber, Error> {
    let digit = |c: char| match c {
        '０'..='９' => char::from_u32(u32::from(c) - u32::from('０') + u32::from('0')),
        '0'..='9' => Some(c),
        _ => None,
    };
    let digits: String = text.chars().take(100).filter_map(digit).collect();
    match digits.strip_prefix('0') {
        Some(national) => parse_number(&format!("81{national}")),
        None => parse_number(&digits),
    }
}

/// Whose phone is picked up: one of the people who wait, or somebody made up.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    person: Option<usize>,
    #[serde(default)]
    phone_number: String,
    #[serde(default)]
    carrier: String,
    #[serde(default)]
    official_account: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    name_kana: String,
    #[serde(default)]
    birth_date: String,
    #[serde(default)]
    address: String,
    #[serde(default)]
    account_text: String,
}

pub(super) async fn pick_up(
    State(pages): State<Arc<Pages>>,
    visitor: Visitor,
    Form(wish): Form<Wish>,
) -> Response {
    let picked = async {
        let holder = holder(&pages, wish)?;
        pages.fleet.pick_up(&holder, pages.clock.now()).await?;
        Ok::<_, Error>(holder)
    };
    match picked.await {
        Ok(holder) => {
            let (number, account) = (digits(holder.phone_number), holder.official_account);
            Redirect::to(&format!("/phones/{number}/with/{account}")).into_response()
        }
        Err(error) => visitor.refuse(&error),
    }
}

fn holder(pages: &Pages, wish: Wish) -> Result<Holder, Error> {
    if let Some(person) = wish.person {
        let nobody =
            || Error::new(ErrorKind::NotFound, "nobody of this number waits", "choose one of the list");
        return pages.people.get(person).cloned().ok_or_else(nobody);
    }
    intake::parse_holder(&wire::Story {
        phone_number: parse_written(&wish.phone_number)?.as_str().to_owned(),
        carrier: wish.carrier,
        official_account: wish.official_account,
        account_text: wish.account_text,
        identity_name: wish.name,
        identity_name_kana: wish.name_kana,
        identity_birth_date: wish.birth_date,
        identity_address: wish.address,
        ..wire::Story::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_as_people_write_them() {
        for text in ["+818012345678", "080-1234-5678", "０８０－１２３４－５６７８", " 81 8012345678 "]
        {
            assert_eq!(parse_written(text).unwrap().as_str(), "+818012345678", "{text}");
        }
        assert!(parse_written("").is_err() && parse_written("<script>").is_err());
        assert_eq!(written(parse_written("080-1234-5678").unwrap()), "080-1234-5678");
        assert_eq!(written("+12025550100".parse().unwrap()), "+12025550100");
    }

    #[test]
    fn any_name_has_an_initial_and_any_account_a_colour() {
        assert_eq!(
            (initial(" 青葉銀行"), initial("<b>"), initial("")),
            ("青".into(), "<".into(), String::new())
        );
        assert!(["aoba-bank", "hinata-gas", ""].iter().all(|account| hue(account) < 6));
    }
}
