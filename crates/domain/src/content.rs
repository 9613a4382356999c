//! What a talk room shows: a text and buttons, within the limits of RCS Business Messaging.
//!
//! The limits are checked when a content is made, not when it is sent (RBM guide "send messages": text 3072, suggestions 11,
//! label 25, postback and address 2048; a card's title 200, its text 2000).

use crate::{Error, error::shape, phone_number::PhoneNumber};

/// The longest text, in characters.
pub const TEXT_LIMIT: usize = 3072;
/// The longest text of a card, in characters.
pub const CARD_TEXT_LIMIT: usize = 2000;
/// The longest title of a card, in characters.
pub const TITLE_LIMIT: usize = 200;
/// The most suggestions below one message.
pub const SUGGESTIONS_LIMIT: usize = 11;
/// The longest label, in characters.
pub const LABEL_LIMIT: usize = 25;
/// The longest postback and the longest address, in bytes.
pub const POSTBACK_LIMIT: usize = 2048;

/// What a talk room shows for one message. May carry personal data: has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Content {
    /// The text, 1 to [`TEXT_LIMIT`] characters.
    pub text: String,
    /// The buttons, at most [`SUGGESTIONS_LIMIT`].
    pub suggestions: Vec<Suggestion>,
    /// A picture and a title above the text, which then has at most [`CARD_TEXT_LIMIT`] characters.
    pub card: Option<Card>,
}

/// What makes a message a card: a title, a picture, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Card {
    /// 1 to [`TITLE_LIMIT`] characters.
    pub title: Option<String>,
    /// Where the picture is: https, at most [`POSTBACK_LIMIT`] bytes.
    pub image_url: Option<String>,
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Content({} characters, {} suggestions)", self.text.chars().count(), self.suggestions.len())
    }
}

/// One button below a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    /// The label, 1 to [`LABEL_LIMIT`] characters.
    pub label: String,
    /// What comes back when it is tapped: at most [`POSTBACK_LIMIT`] bytes, opaque to carrier and terminal.
    pub postback: String,
    /// What a tap does besides answering.
    pub action: Option<Action>,
}

/// What a tap does besides answering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Opens an https page, inside the talk room (`webview`) or in the browser.
    OpenUrl {
        /// At most [`POSTBACK_LIMIT`] bytes.
        url: String,
        /// Inside the talk room.
        webview: bool,
    },
    /// Calls a number.
    Dial(PhoneNumber),
}

impl Content {
    /// Checks every limit.
    ///
    /// # Errors
    /// The first limit that is broken, with the field's path, the size and the limit.
    pub fn check(&self) -> Result<(), Error> {
        let limit = if self.card.is_some() { CARD_TEXT_LIMIT } else { TEXT_LIMIT };
        check_text(&self.text, limit)?;
        self.card.as_ref().map_or(Ok(()), Card::check)?;
        if self.suggestions.len() > SUGGESTIONS_LIMIT {
            return Err(Error::invalid(
                "suggestions",
                format!("{} suggestions", self.suggestions.len()),
                format!("give at most {SUGGESTIONS_LIMIT}"),
            ));
        }
        self.suggestions.iter().enumerate().try_for_each(|(index, suggestion)| {
            suggestion.check().map_err(|error| {
                let field = format!("suggestions[{index}].{}", error.field);
                error.at(field)
            })
        })
    }
}

impl Card {
    fn check(&self) -> Result<(), Error> {
        let Self { title, image_url } = self;
        if title.is_none() && image_url.is_none() {
            return Err(Error::invalid(
                "card",
                "has neither title nor picture",
                "give one of them, or no card",
            ));
        }
        if let Some(title) = title {
            check_text(title, TITLE_LIMIT).map_err(|error| error.at("card.title"))?;
        }
        image_url.as_deref().map_or(Ok(()), check_url).map_err(|error| error.at("card.image_url"))
    }
}

impl Suggestion {
    fn check(&self) -> Result<(), Error> {
        check_text(&self.label, LABEL_LIMIT)?;
        if self.postback.len() > POSTBACK_LIMIT {
            return Err(Error::invalid(
                "postback",
                format!("{} bytes", self.postback.len()),
                format!("give at most {POSTBACK_LIMIT} bytes"),
            ));
        }
        match &self.action {
            Some(Action::OpenUrl { url, .. }) => check_url(url),
            Some(Action::Dial(_)) | None => Ok(()),
        }
    }
}

fn check_text(text: &str, limit: usize) -> Result<(), Error> {
    if (1..=limit).contains(&text.chars().count()) && !text.contains('\0') {
        return Ok(());
    }
    Err(Error::invalid("text", shape(text), format!("write 1 to {limit} characters, none of them NUL")))
}

fn check_url(url: &str) -> Result<(), Error> {
    if url.len() > POSTBACK_LIMIT {
        return Err(Error::invalid(
            "open_url.url",
            format!("{} bytes", url.len()),
            format!("give at most {POSTBACK_LIMIT} bytes"),
        ));
    }
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    if host.is_none_or(str::is_empty) || url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::invalid(
            "open_url.url",
            "not an https address",
            "write https://, a host and a path",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(text: &str, suggestions: Vec<Suggestion>) -> Content {
        Content { text: text.to_owned(), suggestions, card: None }
    }

    fn button(label: &str, postback: &str, url: Option<&str>) -> Suggestion {
        let action = url.map(|url| Action::OpenUrl { url: url.to_owned(), webview: true });
        Suggestion { label: label.to_owned(), postback: postback.to_owned(), action }
    }

    #[test]
    fn the_limits_themselves_are_allowed() {
        let suggestions = vec![button(&"あ".repeat(25), &"p".repeat(2048), Some("https://a.example/x")); 11];
        assert_eq!(content(&"あ".repeat(3072), suggestions).check(), Ok(()));
    }

    #[test]
    fn a_card_has_limits_of_its_own() {
        let card = |title: Option<&str>, url: Option<&str>| {
            Some(Card { title: title.map(str::to_owned), image_url: url.map(str::to_owned) })
        };
        let of = |text: &str, card| Content { card, ..content(text, vec![]) };
        let (long, picture) = ("あ".repeat(200), Some("https://a.example/x.png"));
        assert_eq!(of(&"あ".repeat(2000), card(Some(&long), picture)).check(), Ok(()));
        assert_eq!(of("a", card(None, picture)).check(), Ok(()));
        for (content, field) in [
            (of(&"あ".repeat(2001), card(Some("a"), None)), "text"),
            (of("a", card(None, None)), "card"),
            (of("a", card(Some(""), None)), "card.title"),
            (of("a", card(Some(&"あ".repeat(201)), None)), "card.title"),
            (of("a", card(None, Some("http://a.example/x.png"))), "card.image_url"),
        ] {
            assert_eq!(content.check().unwrap_err().field, field);
        }
    }

    #[test]
    fn one_past_a_limit_is_refused_with_its_field() {
        let long_url = format!("https://a.example/{}", "x".repeat(2048));
        for (content, field) in [
            (content("", vec![]), "text"),
            (content(&"あ".repeat(3073), vec![]), "text"),
            (content("a\0", vec![]), "text"),
            (content("a", vec![button("b", "", None); 12]), "suggestions"),
            (content("a", vec![button("", "", None)]), "suggestions[0].text"),
            (
                content("a", vec![button("b", "", None), button(&"b".repeat(26), "", None)]),
                "suggestions[1].text",
            ),
            (content("a", vec![button("b", &"p".repeat(2049), None)]), "suggestions[0].postback"),
            (content("a", vec![button("b", "", Some("http://a.example"))]), "suggestions[0].open_url.url"),
            (content("a", vec![button("b", "", Some("https:///x"))]), "suggestions[0].open_url.url"),
            (
                content("a", vec![button("b", "", Some("https://a.example/ x"))]),
                "suggestions[0].open_url.url",
            ),
            (content("a", vec![button("b", "", Some(&long_url))]), "suggestions[0].open_url.url"),
        ] {
            assert_eq!(content.check().unwrap_err().field, field);
        }
    }
}
