//! An agent message: what it has to be, and what a phone shows of it. Pure.
//!
//! The limits are those that the documents give (`docs/adr/0028` says where they contradict one another, and what is taken then).
//! Surprising: phones here show one card, or text, and buttons; so carousels and files become text, and what a button does beyond opening
//! a page or calling a number is left to the sender's own copy, which is kept whole.

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    content::{
        Action, Card, Content, LABEL_LIMIT, POSTBACK_LIMIT, SUGGESTIONS_LIMIT, Suggestion, TEXT_LIMIT,
    },
    error::shape,
};
use musubi_proto::r#type::v1::TrafficType;
use musubi_storage::carrier::AgentTraffic;
use serde_json::Value;

use super::{config::UseCase, error::ApiError};

/// The longest message, in bytes of its JSON.
pub(crate) const MESSAGE_BYTES: usize = 250_000;
/// How far in the future a message's end may be.
const LONGEST_TTL: SignedDuration = SignedDuration::from_hours(15 * 24);
/// How long a message without an end waits for its phone.
const HELD: SignedDuration = SignedDuration::from_hours(30 * 24);
/// The most suggestions of a card: the guide's number, and that of the client libraries' comments.
const CARD_SUGGESTIONS: (usize, usize) = (4, 10);

/// A message that is well formed.
#[derive(Debug)]
pub(crate) struct Draft {
    pub(crate) traffic: AgentTraffic,
    pub(crate) expires: Timestamp,
    /// Its sender said until when.
    pub(crate) timed: bool,
    pub(crate) content: Content,
    /// Names of uploaded files, with the field that names each; they have to be there.
    pub(crate) files: Vec<(String, String)>,
}

/// Reads a message that the [discovery document](super::discovery) has taken.
pub(crate) fn read(
    message: &Value,
    use_case: UseCase,
    strict: bool,
    now: Timestamp,
) -> Result<Draft, ApiError> {
    let (expires, timed) = end(message, now)?;
    let mut reading = Reading { strict, lines: Vec::new(), suggestions: Vec::new(), files: Vec::new() };
    reading.content(&message["contentMessage"])?;
    let content = match shown_card(&message["contentMessage"]["richCard"]["standaloneCard"]["cardContent"]) {
        Some((text, card)) => shown(text, Some(card), reading.suggestions),
        None => shown(reading.lines.join("\n"), None, reading.suggestions),
    };
    Ok(Draft { traffic: traffic(message, use_case)?, expires, timed, content, files: reading.files })
}

/// What a phone shows, within its limits: what a carousel says may be longer than a text may be, and a button may open what no phone
/// here can, which answers all the same.
fn shown(mut text: String, card: Option<Card>, mut suggestions: Vec<Suggestion>) -> Content {
    if let Some((end, _)) = text.char_indices().nth(TEXT_LIMIT) {
        text.truncate(end);
    }
    suggestions.truncate(SUGGESTIONS_LIMIT);
    for suggestion in &mut suggestions {
        let alone = Content { text: "a".to_owned(), suggestions: vec![suggestion.clone()], card: None };
        if alone.check().is_err() {
            suggestion.action = None;
        }
    }
    Content { text, suggestions, card }
}

/// A card that has a text, with its title and its picture.
fn shown_card(card: &Value) -> Option<(String, Card)> {
    let part = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let text = part(&card["description"])?;
    let (title, image_url) = (part(&card["title"]), part(&card["media"]["contentInfo"]["fileUrl"]));
    let card = Card { title, image_url };
    let content = Content { text, suggestions: Vec::new(), card: Some(card) };
    content.check().ok()?;
    content.card.map(|card| (content.text, card))
}

fn traffic(message: &Value, use_case: UseCase) -> Result<AgentTraffic, ApiError> {
    let said = match message["messageTrafficType"].as_str() {
        Some("AUTHENTICATION") => AgentTraffic::Authentication,
        Some("TRANSACTION") => AgentTraffic::Transaction,
        Some("PROMOTION") => AgentTraffic::Promotion,
        Some("SERVICEREQUEST") => AgentTraffic::ServiceRequest,
        Some("ACKNOWLEDGEMENT") => AgentTraffic::Acknowledgement,
        Some(_) | None => AgentTraffic::Unspecified,
    };
    if said != AgentTraffic::Unspecified {
        return Ok(said);
    }
    match use_case {
        UseCase::Otp => Ok(AgentTraffic::Authentication),
        UseCase::Transactional => Ok(AgentTraffic::Transaction),
        UseCase::Promotional => Ok(AgentTraffic::Promotion),
        UseCase::MultiUse => Err(ApiError::invalid(
            "messageTrafficType",
            "is not said; an agent of use case MULTI_USE says with each message what it is sent for",
        )),
    }
}

/// How the other nodes call a type of traffic.
pub(crate) const fn shown_as(traffic: AgentTraffic) -> TrafficType {
    match traffic {
        AgentTraffic::Promotion => TrafficType::Promotion,
        AgentTraffic::Unspecified | AgentTraffic::Authentication | AgentTraffic::Transaction => {
            TrafficType::Transaction
        }
        AgentTraffic::ServiceRequest | AgentTraffic::Acknowledgement => TrafficType::ServiceRequest,
    }
}

/// Until when it may be delivered, and whether its sender said so.
fn end(message: &Value, now: Timestamp) -> Result<(Timestamp, bool), ApiError> {
    let (field, expires) = match (message["expireTime"].as_str(), message["ttl"].as_str()) {
        (None, None) => return Ok((now.saturating_add(HELD).unwrap_or(Timestamp::MAX), false)),
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid("expireTime", "is given beside ttl; give one of them"));
        }
        (Some(text), None) => ("expireTime", instant(text, "expireTime")?),
        (None, Some(text)) => {
            let seconds = text.strip_suffix('s').and_then(|seconds| seconds.parse::<f64>().ok());
            let seconds = seconds.filter(|seconds| (0.0..1e9).contains(seconds));
            let ttl = seconds.map(SignedDuration::from_secs_f64);
            let problem = || ApiError::invalid("ttl", "is no duration; write seconds and s, as 60s");
            ("ttl", now.saturating_add(ttl.ok_or_else(problem)?).unwrap_or(Timestamp::MAX))
        }
    };
    if expires <= now {
        return Err(ApiError::invalid(field, "has passed already"));
    }
    if expires.duration_since(now) > LONGEST_TTL {
        return Err(ApiError::invalid(field, "is more than 15 days from now"));
    }
    Ok((expires, true))
}

fn instant(text: &str, field: &str) -> Result<Timestamp, ApiError> {
    text.parse().map_err(|_| ApiError::invalid(field, "is no instant; write it as 2026-11-28T09:00:00Z"))
}

struct Reading {
    strict: bool,
    /// What the phone shows.
    lines: Vec<String>,
    suggestions: Vec<Suggestion>,
    files: Vec<(String, String)>,
}

impl Reading {
    fn content(&mut self, content: &Value) -> Result<(), ApiError> {
        let path = "contentMessage";
        if !content.is_object() {
            return Err(ApiError::invalid(path, "is absent"));
        }
        let one = one_of(content, path, &["text", "fileName", "uploadedRbmFile", "richCard", "contentInfo"])?;
        let at = format!("{path}.{one}");
        match one {
            "text" => {
                let text = content["text"].as_str().unwrap_or_default();
                check_length(text, 1, TEXT_LIMIT, &at)?;
                self.lines.push(text.to_owned());
            }
            "fileName" => self.file(content["fileName"].as_str().unwrap_or_default(), &at)?,
            "uploadedRbmFile" => self.uploaded(&content[one], &at)?,
            "contentInfo" => self.content_info(&content[one], &at)?,
            _ => self.rich_card(&content[one], &at)?,
        }
        self.suggestions(&content["suggestions"], SUGGESTIONS_LIMIT, &format!("{path}.suggestions"))
    }

    fn file(&mut self, name: &str, at: &str) -> Result<(), ApiError> {
        check_length(name, 1, 1000, at)?;
        self.files.push((name.to_owned(), at.to_owned()));
        self.lines.push(format!("[{name}]"));
        Ok(())
    }

    fn uploaded(&mut self, file: &Value, at: &str) -> Result<(), ApiError> {
        self.file(file["fileName"].as_str().unwrap_or_default(), &format!("{at}.fileName"))?;
        if let Some(name) = file["thumbnailName"].as_str() {
            self.files.push((name.to_owned(), format!("{at}.thumbnailName")));
        }
        Ok(())
    }

    fn content_info(&mut self, info: &Value, at: &str) -> Result<(), ApiError> {
        let url = info["fileUrl"].as_str().unwrap_or_default();
        self.url(url, &format!("{at}.fileUrl"))?;
        if let Some(url) = info["thumbnailUrl"].as_str().filter(|url| !url.is_empty()) {
            self.url(url, &format!("{at}.thumbnailUrl"))?;
        }
        self.lines.push(url.to_owned());
        Ok(())
    }

    fn rich_card(&mut self, card: &Value, path: &str) -> Result<(), ApiError> {
        match one_of(card, path, &["standaloneCard", "carouselCard"])? {
            "standaloneCard" => {
                let (card, at) = (&card["standaloneCard"], format!("{path}.standaloneCard"));
                let orientation = card["cardOrientation"].as_str();
                self.wanted(orientation, &format!("{at}.cardOrientation"))?;
                if orientation == Some("HORIZONTAL") {
                    self.wanted(
                        card["thumbnailImageAlignment"].as_str(),
                        &format!("{at}.thumbnailImageAlignment"),
                    )?;
                }
                self.card(&card["cardContent"], &format!("{at}.cardContent"))
            }
            _ => {
                let (carousel, at) = (&card["carouselCard"], format!("{path}.carouselCard"));
                self.wanted(carousel["cardWidth"].as_str(), &format!("{at}.cardWidth"))?;
                let cards = carousel["cardContents"].as_array().map(Vec::as_slice).unwrap_or_default();
                if !(2..=10).contains(&cards.len()) {
                    let problem = format!("holds {} cards; give 2 to 10", cards.len());
                    return Err(ApiError::invalid(format!("{at}.cardContents"), problem));
                }
                cards
                    .iter()
                    .enumerate()
                    .try_for_each(|(index, card)| self.card(card, &format!("{at}.cardContents[{index}]")))
            }
        }
    }

    fn card(&mut self, card: &Value, at: &str) -> Result<(), ApiError> {
        if !["title", "description", "media"].iter().any(|part| !card[*part].is_null()) {
            return Err(ApiError::invalid(
                at,
                "has no title, no description and no media; give one at least",
            ));
        }
        for (part, limit) in [("title", 200), ("description", 2000)] {
            if let Some(text) = card[part].as_str().filter(|text| !text.is_empty()) {
                check_length(text, 1, limit, &format!("{at}.{part}"))?;
                self.lines.push(text.to_owned());
            }
        }
        let media = &card["media"];
        if media.is_object() {
            let at = format!("{at}.media");
            self.wanted(media["height"].as_str(), &format!("{at}.height"))?;
            match one_of(media, &at, &["contentInfo", "uploadedRbmFile", "fileName"])? {
                "contentInfo" => self.content_info(&media["contentInfo"], &format!("{at}.contentInfo"))?,
                "uploadedRbmFile" => {
                    self.uploaded(&media["uploadedRbmFile"], &format!("{at}.uploadedRbmFile"))?;
                }
                _ => self.file(media["fileName"].as_str().unwrap_or_default(), &format!("{at}.fileName"))?,
            }
        }
        let limit = if self.strict { CARD_SUGGESTIONS.0 } else { CARD_SUGGESTIONS.1 };
        self.suggestions(&card["suggestions"], limit, &format!("{at}.suggestions"))
    }

    fn suggestions(&mut self, list: &Value, limit: usize, path: &str) -> Result<(), ApiError> {
        let list = list.as_array().map(Vec::as_slice).unwrap_or_default();
        if list.len() > limit {
            let problem = format!("holds {} suggestions; give at most {limit}", list.len());
            return Err(ApiError::invalid(path, problem));
        }
        list.iter().enumerate().try_for_each(|(index, suggestion)| {
            let at = format!("{path}[{index}]");
            let kind = one_of(suggestion, &at, &["reply", "action"])?;
            let (it, at) = (&suggestion[kind], format!("{at}.{kind}"));
            let label = it["text"].as_str().unwrap_or_default();
            check_length(label, 1, LABEL_LIMIT, &format!("{at}.text"))?;
            let postback = it["postbackData"].as_str().unwrap_or_default();
            check_bytes(postback, &format!("{at}.postbackData"))?;
            if postback.is_empty() && self.strict {
                return Err(ApiError::invalid(format!("{at}.postbackData"), "is absent"));
            }
            let action = if kind == "action" { self.action(it, &at)? } else { None };
            self.suggestions.push(Suggestion {
                label: label.to_owned(),
                postback: postback.to_owned(),
                action,
            });
            Ok(())
        })
    }

    /// What a phone here does at a tap, if it is something that it can do.
    fn action(&self, action: &Value, at: &str) -> Result<Option<Action>, ApiError> {
        const ACTIONS: [&str; 6] = [
            "openUrlAction",
            "dialAction",
            "viewLocationAction",
            "shareLocationAction",
            "createCalendarEventAction",
            "composeAction",
        ];
        if let Some(url) = action["fallbackUrl"].as_str().filter(|url| !url.is_empty()) {
            self.url(url, &format!("{at}.fallbackUrl"))?;
        }
        let kind = one_of(action, at, &ACTIONS)?;
        let (it, at) = (&action[kind], format!("{at}.{kind}"));
        match kind {
            "openUrlAction" => {
                let url = it["url"].as_str().unwrap_or_default();
                self.url(url, &format!("{at}.url"))?;
                let webview = it["application"] == "WEBVIEW";
                if webview {
                    self.wanted(it["webviewViewMode"].as_str(), &format!("{at}.webviewViewMode"))?;
                }
                Ok(Some(Action::OpenUrl { url: url.to_owned(), webview }))
            }
            "dialAction" => {
                let number = it["phoneNumber"].as_str().unwrap_or_default();
                match number.parse() {
                    Ok(number) => Ok(Some(Action::Dial(number))),
                    Err(_) if number.starts_with('+') && !self.strict => Ok(None),
                    Err(_) => {
                        let problem = format!("{} is not E.164", shape(number));
                        Err(ApiError::invalid(format!("{at}.phoneNumber"), problem))
                    }
                }
            }
            "viewLocationAction" => {
                let (place, query) = (&it["latLong"], it["query"].as_str());
                if !place.is_object() && query.is_none_or(str::is_empty) {
                    return Err(ApiError::invalid(at, "has neither latLong nor query; give one"));
                }
                for (part, most) in [("latitude", 90.0), ("longitude", 180.0)] {
                    let degrees = place[part].as_f64().unwrap_or_default();
                    if !(-most..=most).contains(&degrees) {
                        let problem = format!("is not from -{most} to {most}");
                        return Err(ApiError::invalid(format!("{at}.latLong.{part}"), problem));
                    }
                }
                Ok(None)
            }
            "createCalendarEventAction" => {
                let time =
                    |part: &str| instant(it[part].as_str().unwrap_or_default(), &format!("{at}.{part}"));
                if time("startTime")? > time("endTime")? {
                    return Err(ApiError::invalid(format!("{at}.endTime"), "is before startTime"));
                }
                check_length(it["title"].as_str().unwrap_or_default(), 1, 100, &format!("{at}.title"))?;
                let description = it["description"].as_str().unwrap_or_default();
                check_length(description, 0, 500, &format!("{at}.description"))?;
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// What the documents ask for, and a tolerant face does without.
    fn wanted(&self, value: Option<&str>, at: &str) -> Result<(), ApiError> {
        let said = value.is_some_and(|value| !value.is_empty() && !value.ends_with("_UNSPECIFIED"));
        if said || !self.strict { Ok(()) } else { Err(ApiError::invalid(at, "is absent")) }
    }

    fn url(&self, url: &str, at: &str) -> Result<(), ApiError> {
        check_bytes(url, at)?;
        let scheme = url.split_once("://").filter(|(_, rest)| !rest.is_empty()).map(|(scheme, _)| scheme);
        let spaces = url.chars().any(|c| c.is_control() || c.is_whitespace());
        match scheme {
            Some("https" | "http") if !spaces => Ok(()),
            // A phone opens other addresses, too, as those of apps.
            Some(_) if !spaces && !self.strict => Ok(()),
            Some(_) | None => Err(ApiError::invalid(at, format!("{} is no address", shape(url)))),
        }
    }
}

/// Which one of these is there; none and several are refused.
fn one_of<'a>(value: &Value, path: &str, names: &[&'a str]) -> Result<&'a str, ApiError> {
    let mut there = names.iter().filter(|name| !value[**name].is_null());
    match (there.next(), there.next()) {
        (Some(one), None) => Ok(*one),
        (None, _) => Err(ApiError::invalid(path, format!("has none of {}", names.join(", ")))),
        (Some(one), Some(other)) => {
            Err(ApiError::invalid(path, format!("has both {one} and {other}; give one of them")))
        }
    }
}

fn check_length(text: &str, least: usize, most: usize, at: &str) -> Result<(), ApiError> {
    let length = text.chars().count();
    if (least..=most).contains(&length) && !text.contains('\0') {
        return Ok(());
    }
    let problem = format!("is {}; write {least} to {most} characters, none of them NUL", shape(text));
    Err(ApiError::invalid(at, problem))
}

fn check_bytes(text: &str, at: &str) -> Result<(), ApiError> {
    if text.len() <= POSTBACK_LIMIT && !text.contains('\0') {
        return Ok(());
    }
    let problem = format!("is {} bytes; write at most {POSTBACK_LIMIT}, none of them NUL", text.len());
    Err(ApiError::invalid(at, problem))
}

/// Whether the suggestion of this message that has this postback and label does something, beyond answering.
pub(crate) fn is_action(body: &str, postback: &str, label: &str) -> bool {
    fn find(value: &Value, postback: &str, label: &str) -> Option<bool> {
        let is =
            |it: &Value| it["postbackData"].as_str().unwrap_or_default() == postback && it["text"] == label;
        match value {
            Value::Object(fields) => {
                if fields.get("reply").is_some_and(is) {
                    return Some(false);
                }
                if fields.get("action").is_some_and(is) {
                    return Some(true);
                }
                fields.values().find_map(|value| find(value, postback, label))
            }
            Value::Array(items) => items.iter().find_map(|value| find(value, postback, label)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    let body: Value = serde_json::from_str(body).unwrap_or_default();
    find(&body, postback, label).unwrap_or_default()
}
