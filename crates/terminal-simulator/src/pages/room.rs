//! A talk room: bubbles, cards, suggestions, marks of what was sent and read, and whether an answer is on its way.
//!
//! Pure but for reading the lines. Surprising: a message whose buttons all open something is a card with its buttons inside, which
//! stays; any other button stands below the last message and goes with the next line, as RCS shows them.

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{Error, ErrorKind, id::OfficialAccountId};
use musubi_proto::{
    convert::content::instant,
    terminal::v1::{Line, ShownMessage, line},
    r#type::v1::{Suggestion, TrafficType, suggestion},
};

use super::{
    Pages,
    phone::{follows, time_of_day},
    wall::{hue, initial},
    words::Words,
};
use crate::{
    fleet::{self, Account, Opening},
    hand::{Follows, Stand},
};

/// For how long after something was said an answer may be on its way.
const AWAITED: SignedDuration = SignedDuration::from_secs(12);

/// A talk room.
pub(super) struct RoomView {
    pub(super) name: String,
    pub(super) initial: String,
    pub(super) hue: u8,
    pub(super) items: Vec<Item>,
    /// Below the last message.
    pub(super) chips: Vec<Button>,
    /// Whose chips they are.
    pub(super) chips_of: String,
    pub(super) follows: bool,
    /// Nothing was ever shown or said.
    pub(super) is_new: bool,
    pub(super) typing: bool,
    /// Messages in all; none when all were seen.
    pub(super) unseen: Option<usize>,
    /// Somebody holds the phone and it is on.
    pub(super) in_hand: bool,
    /// Of a phone of a story.
    pub(super) step: &'static str,
}

/// A line.
pub(super) enum Item {
    Message(Bubble),
    Said { text: String, time: String, mark: Mark },
    Note { text: String, host: String, time: String },
}

/// What became of something that was said.
pub(super) enum Mark {
    Sending,
    Sent,
    Read,
}

/// A message.
pub(super) struct Bubble {
    pub(super) id: String,
    pub(super) text: String,
    pub(super) time: String,
    /// Why it was sent.
    pub(super) kind: &'static str,
    /// For the look of it.
    pub(super) class: &'static str,
    /// A card's; empty: none.
    pub(super) title: String,
    /// What stands above a card's text.
    pub(super) banner: Banner,
    /// A card's.
    pub(super) buttons: Vec<Button>,
}

impl Bubble {
    /// Whether it looks like a card.
    pub(super) fn is_rich(&self) -> bool {
        !self.buttons.is_empty() || !self.title.is_empty() || !matches!(self.banner, Banner::None)
    }
}

/// What stands above a card's text.
pub(super) enum Banner {
    /// Nothing.
    None,
    /// A sign that it is about who one is.
    Shield,
    /// A picture of this host; pages of ours load nothing of others, so it is named.
    Picture(String),
}

/// A suggestion.
pub(super) struct Button {
    pub(super) place: usize,
    pub(super) text: String,
    /// It opens a page, in the phone's browser.
    pub(super) opens: bool,
}

impl Button {
    fn of((place, suggestion): (usize, &Suggestion)) -> Self {
        Self { place, text: suggestion.text.clone(), opens: url(suggestion).is_some() }
    }
}

/// What a suggestion opens.
pub(super) fn url(suggestion: &Suggestion) -> Option<&str> {
    match &suggestion.action {
        Some(suggestion::Action::OpenUrl(open)) => Some(&open.url),
        Some(suggestion::Action::Dial(_)) | None => None,
    }
}

/// The end of a talk room, for the list.
pub(super) struct Last {
    /// Its text and time.
    pub(super) shown: Option<(String, String)>,
    /// Messages in all.
    pub(super) messages: usize,
}

/// The end of a talk room.
pub(super) async fn last(pages: &Pages, account: &Account) -> Result<Last, Error> {
    let lines = lines(pages, account.talk_room).await?;
    let messages = lines.iter().filter(|line| matches!(line.what, Some(line::What::Message(_)))).count();
    let text = |line: &Line| match &line.what {
        Some(line::What::Message(message)) => message.content.as_ref().map(|content| content.text.clone()),
        Some(line::What::Said(text)) => Some(text.clone()),
        Some(line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_)) | None => None,
    };
    let shown = lines.iter().rev().find_map(|line| Some((text(line)?, time(line))));
    Ok(Last { shown: shown.map(|(text, time)| (text.chars().take(60).collect(), time)), messages })
}

async fn lines(pages: &Pages, talk_room: Option<i64>) -> Result<Vec<Line>, Error> {
    let Some(talk_room) = talk_room else { return Ok(Vec::new()) };
    let stored = pages.fleet.store().list_lines(&[talk_room]).await?;
    stored
        .into_iter()
        .map(|stored| {
            fleet::shown(stored.line)
                .map_err(|_| Error::new(ErrorKind::Internal, "a line of the store can not be read", ""))
        })
        .collect()
}

fn at(line: &Line) -> Timestamp {
    instant(line.line_time.as_ref(), "line_time").unwrap_or(Timestamp::UNIX_EPOCH)
}

fn time(line: &Line) -> String {
    time_of_day(at(line))
}

/// Draws the talk room of a phone with an account.
pub(super) async fn draw(
    pages: &Pages,
    words: &'static Words,
    opening: &Opening,
    account: Option<&Account>,
    id: &OfficialAccountId,
    now: Timestamp,
) -> Result<RoomView, Error> {
    let missing = || Error::new(ErrorKind::NotFound, "this phone has no such talk room", "choose another");
    if account.is_none() && !opening.is_held {
        return Err(missing());
    }
    let stand = account.and_then(|account| account.stand);
    let (unsent, seen) = account.map_or((0, 0), |account| (account.unsent, account.seen));
    let name = account.map_or(id.as_str(), |account| account.name.as_str());
    let lines = lines(pages, account.and_then(|account| account.talk_room)).await?;
    let follows = follows(stand);
    let is_followed = matches!(follows, Follows::Joining | Follows::Yes);
    let in_hand = opening.is_held && opening.is_on;
    let of_message = |line: &Line| matches!(line.what, Some(line::What::Message(_)));
    let messages = lines.iter().filter(|line| of_message(line)).count();
    let said = lines.iter().filter(|line| matches!(line.what, Some(line::What::Said(_)))).count();
    let answered = lines.iter().rposition(of_message);
    let mut said_so_far = 0;
    let items = lines.iter().enumerate().filter_map(|(index, line)| {
        let item = match line.what.as_ref()? {
            line::What::Message(message) => Item::Message(bubble(message, time(line), words)?),
            line::What::Said(text) => {
                said_so_far += 1;
                let mark = match answered {
                    Some(answered) if answered > index => Mark::Read,
                    _ if said_so_far > said - unsent.min(said) => Mark::Sending,
                    _ => Mark::Sent,
                };
                Item::Said { text: text.clone(), time: time(line), mark }
            }
            line::What::Opened(page) => note(words.opened, host(page), line),
            line::What::Proved(page) => note(words.proved, host(page), line),
            line::What::Followed(true) => note(words.followed, "", line),
            line::What::Followed(false) => note(words.unfollowed, "", line),
        };
        Some(item)
    });
    let items = items.collect();
    let last = lines.last();
    let last_message = last.and_then(|line| match &line.what {
        Some(line::What::Message(message)) => Some(message),
        Some(
            line::What::Said(_) | line::What::Opened(_) | line::What::Followed(_) | line::What::Proved(_),
        )
        | None => None,
    });
    let chips = last_message.filter(|_| in_hand && is_followed).map(chips);
    let awaits = last.is_some_and(|line| {
        let may_be_answered = match &line.what {
            Some(line::What::Said(_) | line::What::Proved(_) | line::What::Followed(true)) => true,
            Some(line::What::Message(_) | line::What::Opened(_) | line::What::Followed(false)) | None => {
                false
            }
        };
        may_be_answered && now.duration_since(at(line)) < AWAITED
    });
    Ok(RoomView {
        name: name.to_owned(),
        initial: initial(name),
        hue: hue(id.as_str()),
        is_new: lines.is_empty(),
        items,
        chips: chips.unwrap_or_default(),
        chips_of: last_message.map(|message| message.message_id.clone()).unwrap_or_default(),
        follows: is_followed,
        typing: in_hand && is_followed && awaits,
        unseen: (in_hand && messages > seen).then_some(messages),
        in_hand,
        step: stand.map_or("", |stand| match stand {
            Stand::Story(_) => words.step(stand.word()),
            Stand::Hand(_) => "",
        }),
    })
}

fn note(text: &str, host: &str, line: &Line) -> Item {
    Item::Note { text: text.to_owned(), host: host.to_owned(), time: time(line) }
}

/// The host of an address.
pub(super) fn host(page: &str) -> &str {
    let rest = page.split_once("://").map_or(page, |(_, rest)| rest);
    rest.split(['/', '?', '#']).next().unwrap_or_default()
}

/// Whether all buttons open something, so that they stand in the message.
fn is_card(suggestions: &[Suggestion]) -> bool {
    !suggestions.is_empty() && suggestions.iter().all(|suggestion| suggestion.action.is_some())
}

fn bubble(message: &ShownMessage, time: String, words: &Words) -> Option<Bubble> {
    let content = message.content.as_ref()?;
    let (kind, class) = match message.traffic_type() {
        TrafficType::ServiceRequest | TrafficType::Unspecified => (words.service, "service"),
        TrafficType::Transaction => (words.individual, "individual"),
        TrafficType::Promotion => (words.uniform, "uniform"),
    };
    let is_card = is_card(&content.suggestions);
    let buttons = content.suggestions.iter().enumerate().filter(|_| is_card).map(Button::of).collect();
    let card = content.card.as_ref();
    let banner = match card.map_or("", |card| &card.image_url) {
        "" if class == "service" && is_card => Banner::Shield,
        "" => Banner::None,
        image => Banner::Picture(host(image).to_owned()),
    };
    Some(Bubble {
        id: message.message_id.clone(),
        text: content.text.clone(),
        time,
        kind,
        class,
        title: card.map(|card| card.title.clone()).unwrap_or_default(),
        banner,
        buttons,
    })
}

fn chips(message: &ShownMessage) -> Vec<Button> {
    let suggestions = message.content.as_ref().map_or(&[][..], |content| &content.suggestions);
    if is_card(suggestions) {
        return Vec::new();
    }
    suggestions.iter().enumerate().map(Button::of).collect()
}
