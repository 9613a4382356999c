//! The words of `musubi.type.v1`: contents, methods of verification, instants.
//!
//! A content that passes here keeps every limit of RCS. Surprising: the way in takes the wire's message by value, so that a
//! batch of a thousand texts is moved and not copied.

use jiff::Timestamp;
use musubi_domain::{
    Error,
    content::{Action, Card, Content, Suggestion},
    identity::IdentityMethod,
};

use crate::r#type::v1 as wire;

impl TryFrom<wire::Content> for Content {
    type Error = Error;

    /// Checks every limit; the error names the field by its path inside the content.
    fn try_from(content: wire::Content) -> Result<Self, Error> {
        let suggestions = content
            .suggestions
            .into_iter()
            .enumerate()
            .map(|(index, suggestion)| suggestion_from(suggestion, index))
            .collect::<Result<_, _>>()?;
        let content = Self { text: content.text, suggestions, card: content.card.map(Card::from) };
        content.check()?;
        Ok(content)
    }
}

fn suggestion_from(suggestion: wire::Suggestion, index: usize) -> Result<Suggestion, Error> {
    let action = match suggestion.action {
        None => None,
        Some(wire::suggestion::Action::OpenUrl(open)) => {
            Some(Action::OpenUrl { url: open.url, webview: open.webview })
        }
        Some(wire::suggestion::Action::Dial(dial)) => Some(Action::Dial(
            dial.phone_number
                .parse()
                .map_err(|error: Error| error.at(format!("suggestions[{index}].dial.phone_number")))?,
        )),
    };
    Ok(Suggestion { label: suggestion.text, postback: suggestion.postback, action })
}

impl From<Content> for wire::Content {
    fn from(content: Content) -> Self {
        Self {
            text: content.text,
            suggestions: content.suggestions.into_iter().map(Into::into).collect(),
            card: content.card.map(Into::into),
        }
    }
}

impl From<wire::Card> for Card {
    /// Unchecked; a content that has it checks it.
    fn from(card: wire::Card) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Self { title: given(card.title), image_url: given(card.image_url) }
    }
}

impl From<Card> for wire::Card {
    fn from(card: Card) -> Self {
        Self { title: card.title.unwrap_or_default(), image_url: card.image_url.unwrap_or_default() }
    }
}

impl From<Suggestion> for wire::Suggestion {
    fn from(suggestion: Suggestion) -> Self {
        let action = suggestion.action.map(|action| match action {
            Action::OpenUrl { url, webview } => {
                wire::suggestion::Action::OpenUrl(wire::OpenUrl { url, webview })
            }
            Action::Dial(number) => {
                wire::suggestion::Action::Dial(wire::Dial { phone_number: number.as_str().to_owned() })
            }
        });
        Self { text: suggestion.label, postback: suggestion.postback, action }
    }
}

impl From<IdentityMethod> for wire::IdentityMethod {
    fn from(method: IdentityMethod) -> Self {
        match method {
            IdentityMethod::Jpki => Self::Jpki,
            IdentityMethod::Carrier => Self::Carrier,
            IdentityMethod::Document => Self::Document,
        }
    }
}

impl TryFrom<wire::IdentityMethod> for IdentityMethod {
    type Error = Error;

    /// Refuses the one that says nothing.
    fn try_from(method: wire::IdentityMethod) -> Result<Self, Error> {
        match method {
            wire::IdentityMethod::Unspecified => {
                Err(Error::invalid("method", "no method is said", "name jpki, carrier or document"))
            }
            wire::IdentityMethod::Jpki => Ok(Self::Jpki),
            wire::IdentityMethod::Carrier => Ok(Self::Carrier),
            wire::IdentityMethod::Document => Ok(Self::Document),
        }
    }
}

/// The refusal of one item of a batch, by its place in the request.
#[must_use]
pub fn item_error(index: usize, error: Error) -> wire::ItemError {
    let Error { kind: _, field, problem, remedy } = error;
    wire::ItemError { index: u32::try_from(index).unwrap_or(u32::MAX), field, problem, remedy }
}

/// An instant as the wire writes it, to the nanosecond.
#[must_use]
pub fn timestamp(time: Timestamp) -> prost_types::Timestamp {
    let (seconds, nanos) = (time.as_second(), time.subsec_nanosecond());
    // The wire counts nanoseconds forward from the second, also before 1970.
    if nanos < 0 {
        prost_types::Timestamp { seconds: seconds - 1, nanos: nanos + 1_000_000_000 }
    } else {
        prost_types::Timestamp { seconds, nanos }
    }
}

/// An instant of the wire.
///
/// # Errors
/// When it is absent or out of the range of years −9999 to 9999; names `field`.
pub fn instant(time: Option<&prost_types::Timestamp>, field: &str) -> Result<Timestamp, Error> {
    let time = time.ok_or_else(|| Error::invalid(field, "is absent", "give an instant"))?;
    let whole = (0..1_000_000_000).contains(&time.nanos);
    whole.then(|| Timestamp::new(time.seconds, time.nanos).ok()).flatten().ok_or_else(|| {
        Error::invalid(field, "is no instant", "give seconds since 1970 and 0 to 999999999 nanoseconds")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        let button =
            |label: &str, action| Suggestion { label: label.to_owned(), postback: "p".to_owned(), action };
        Content {
            text: "質問".to_owned(),
            suggestions: vec![
                button("はい", None),
                button("開く", Some(Action::OpenUrl { url: "https://a.example/".to_owned(), webview: true })),
                button("電話", Some(Action::Dial("+818012345678".parse().unwrap()))),
            ],
            card: Some(Card { title: Some("題".to_owned()), image_url: None }),
        }
    }

    #[test]
    fn content_survives_the_wire() {
        assert_eq!(Content::try_from(wire::Content::from(content())), Ok(content()));
    }

    #[test]
    fn content_past_a_limit_is_refused_with_its_path() {
        let mut long = wire::Content::from(content());
        long.suggestions[1].text = "b".repeat(26);
        assert_eq!(Content::try_from(long).unwrap_err().field, "suggestions[1].text");
        let mut dial = wire::Content::from(content());
        let number = wire::Dial { phone_number: "110".to_owned() };
        dial.suggestions[2].action = Some(wire::suggestion::Action::Dial(number));
        assert_eq!(Content::try_from(dial).unwrap_err().field, "suggestions[2].dial.phone_number");
    }

    #[test]
    fn methods_survive_the_wire_and_none_is_refused() {
        for method in IdentityMethod::ALL {
            assert_eq!(IdentityMethod::try_from(wire::IdentityMethod::from(method)), Ok(method));
        }
        assert!(IdentityMethod::try_from(wire::IdentityMethod::Unspecified).is_err());
    }

    #[test]
    fn instants_survive_the_wire_also_before_1970() {
        for text in ["2026-11-23T01:02:03.000000004Z", "1969-12-31T23:59:59.25Z", "1970-01-01T00:00:00Z"] {
            let time: Timestamp = text.parse().unwrap();
            assert!((0..1_000_000_000).contains(&timestamp(time).nanos));
            assert_eq!(instant(Some(&timestamp(time)), "t"), Ok(time));
        }
        assert_eq!(instant(None, "expire_time").unwrap_err().field, "expire_time");
        for (seconds, nanos) in [(i64::MAX, 0), (i64::MIN, 0), (1, -1), (1, 1_000_000_000)] {
            assert!(instant(Some(&prost_types::Timestamp { seconds, nanos }), "t").is_err());
        }
    }
}
