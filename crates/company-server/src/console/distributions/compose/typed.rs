//! What stands in the form of a distribution: read out of its fields, made from a distribution that there is, and made into the request of a draft.
//!
//! Surprising: variables are no fields; they are read out of the text, and only their kinds are chosen.

use jiff::{civil::DateTime, tz::offset};
use musubi_domain::{
    Error,
    content::{Action, Card, SUGGESTIONS_LIMIT, Suggestion},
    error::shape,
    template::{Template as Message, Variable, VariableKind},
};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{self as wire, CreateDistributionRequest},
    r#type::v1::suggestion,
};

/// Rows of buttons at first.
pub(super) const ROWS: usize = 3;
pub(super) const KINDS: [wire::VariableKind; 4] = [
    wire::VariableKind::Text,
    wire::VariableKind::Integer,
    wire::VariableKind::Yen,
    wire::VariableKind::Date,
];

/// What stands in the form.
#[derive(Default)]
pub(super) struct Typed {
    pub(super) request_id: String,
    pub(super) account: String,
    pub(super) name: String,
    pub(super) uniform: Side,
    pub(super) individual: Side,
    pub(super) start: String,
    pub(super) expire: String,
    pub(super) rate: String,
    pub(super) rows: usize,
}

/// One of the two messages.
#[derive(Clone, Default)]
pub(super) struct Side {
    /// A card's title and picture, if it is one.
    pub(super) title: String,
    pub(super) image: String,
    pub(super) text: String,
    pub(super) buttons: Vec<TypedButton>,
    /// Kinds that were chosen, by the variable's name.
    pub(super) kinds: Vec<(String, String)>,
}

/// A button's row.
#[derive(Clone, Default)]
pub(super) struct TypedButton {
    pub(super) label: String,
    /// reply, url, dial.
    pub(super) does: String,
    pub(super) target: String,
}

impl Typed {
    pub(super) fn read(fields: &[(String, String)]) -> Self {
        let one = |name: &str| {
            let found = fields.iter().find(|(field, _)| field == name);
            found.map(|(_, value)| value.replace("\r\n", "\n")).unwrap_or_default()
        };
        let side = |name: &str| {
            let all = |part: &str| {
                let wanted = format!("{name}_{part}");
                fields
                    .iter()
                    .filter(|(field, _)| *field == wanted)
                    .map(|(_, value)| value.trim().to_owned())
                    .collect::<Vec<_>>()
            };
            let (labels, does, targets) = (all("label"), all("does"), all("target"));
            let buttons = labels.into_iter().enumerate().map(|(place, label)| TypedButton {
                label,
                does: does.get(place).cloned().unwrap_or_default(),
                target: targets.get(place).cloned().unwrap_or_default(),
            });
            let kinds = fields.iter().filter_map(|(field, value)| {
                let variable = field.strip_prefix("kind_")?;
                Some((variable.to_owned(), value.clone()))
            });
            Side {
                title: one(&format!("{name}_title")).trim().to_owned(),
                image: one(&format!("{name}_image")).trim().to_owned(),
                text: one(&format!("{name}_text")),
                buttons: buttons.take(SUGGESTIONS_LIMIT).collect(),
                kinds: kinds.collect(),
            }
        };
        Self {
            request_id: one("request_id"),
            account: one("account"),
            name: one("name"),
            uniform: side("uniform"),
            individual: side("individual"),
            start: one("start"),
            expire: one("expire"),
            rate: one("rate"),
            rows: one("rows").parse().unwrap_or(ROWS).min(SUGGESTIONS_LIMIT),
        }
    }

    pub(super) fn request(&self) -> Result<CreateDistributionRequest, Error> {
        let within = |side: &str, error: Error| {
            let field = format!("{side}.{}", error.field);
            error.at(field)
        };
        let uniform = self.uniform.message(false).map_err(|error| within("uniform", error))?;
        let individual = match self.individual.is_empty() {
            true => None,
            false => Some(self.individual.message(true).map_err(|error| within("individual", error))?),
        };
        let rate = match self.rate.trim() {
            "" => 0,
            rate => rate.parse().map_err(|_| {
                Error::invalid(
                    "messages_per_second",
                    shape(rate),
                    "write a whole number, or nothing for as fast as carriers may",
                )
            })?,
        };
        Ok(CreateDistributionRequest {
            request_id: self.request_id.clone(),
            official_account: self.account.clone(),
            name: self.name.trim().to_owned(),
            uniform: Some(uniform.into()),
            individual: individual.map(Into::into),
            start_time: instant("start_time", &self.start)?,
            expire_time: instant("expire_time", &self.expire)?,
            messages_per_second: rate,
            operator: String::new(),
        })
    }
}

/// Date and time in Japan, as a browser's field gives them; none when it is empty.
fn instant(field: &str, typed: &str) -> Result<Option<prost_types::Timestamp>, Error> {
    if typed.trim().is_empty() {
        return Ok(None);
    }
    let read = typed.trim().parse::<DateTime>().ok().and_then(|time| offset(9).to_timestamp(time).ok());
    let wrong =
        || Error::invalid(field, shape(typed), "write date and time as 2026-12-01T09:00, in Japanese time");
    read.map(timestamp).map(Some).ok_or_else(wrong)
}

impl Side {
    pub(super) fn of(template: wire::Template) -> Self {
        let kinds =
            template.variables.iter().map(|it| (it.name.clone(), word(it.kind()).to_owned())).collect();
        let button = |it: musubi_proto::r#type::v1::Suggestion| {
            let (does, target) = match it.action {
                None => ("reply", String::new()),
                Some(suggestion::Action::OpenUrl(open)) => ("url", open.url),
                Some(suggestion::Action::Dial(dial)) => ("dial", dial.phone_number),
            };
            TypedButton { label: it.text, does: does.to_owned(), target }
        };
        let card = template.card.unwrap_or_default();
        let buttons = template.suggestions.into_iter().map(button).collect();
        Self { title: card.title, image: card.image_url, text: template.text, buttons, kinds }
    }

    pub(super) fn is_empty(&self) -> bool {
        [&self.text, &self.title, &self.image].iter().all(|text| text.trim().is_empty())
            && self.buttons.iter().all(|button| button.label.is_empty())
    }

    /// Whether the form opens what a plain message has not: a card's parts and rows of buttons.
    pub(super) fn has_more(&self) -> bool {
        let has_card = !self.title.is_empty() || !self.image.is_empty();
        has_card || self.buttons.iter().any(|button| !button.label.is_empty())
    }

    pub(super) fn kind_of(&self, name: &str) -> wire::VariableKind {
        let chosen = self.kinds.iter().find(|(variable, _)| variable == name).map(|(_, kind)| kind.as_str());
        KINDS.into_iter().find(|kind| Some(word(*kind)) == chosen).unwrap_or(wire::VariableKind::Text)
    }

    /// The message, by the rules of the server that takes it.
    pub(super) fn message(&self, with_variables: bool) -> Result<Message, Error> {
        let names = if with_variables { variables(&self.text) } else { Vec::new() };
        let variables = names.into_iter().map(|name| Variable { kind: domain(self.kind_of(&name)), name });
        let buttons =
            self.buttons.iter().filter(|button| !button.label.is_empty() || !button.target.is_empty());
        let suggestions = buttons.enumerate().map(|(place, button)| {
            let action = match button.does.as_str() {
                "url" => Some(Action::OpenUrl { url: button.target.clone(), webview: false }),
                "dial" => {
                    let number = button.target.parse().map_err(|error: Error| {
                        error.at(format!("suggestions[{place}].dial.phone_number"))
                    })?;
                    Some(Action::Dial(number))
                }
                _ => None,
            };
            Ok(Suggestion { label: button.label.clone(), postback: format!("button-{}", place + 1), action })
        });
        let suggestions = suggestions.collect::<Result<Vec<_>, Error>>()?;
        let some = |text: &String| (!text.is_empty()).then(|| text.clone());
        let card = Card { title: some(&self.title), image_url: some(&self.image) };
        let card = (card.title.is_some() || card.image_url.is_some()).then_some(card);
        Message::parse(&self.text, suggestions, variables.collect())?.with_card(card)
    }
}

/// The variables of a text, each once, in their order; what is no name is left to the template's own check.
pub(super) fn variables(text: &str) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(place) = rest.find(['{', '}']) {
        let brace = &rest[place..];
        if brace.starts_with("{{") || brace.starts_with("}}") {
            rest = &brace[2..];
            continue;
        }
        rest = &brace[1..];
        if brace.starts_with('{')
            && let Some((name, after)) = rest.split_once('}')
            && !name.contains('{')
        {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
            rest = after;
        }
    }
    names
}

pub(super) const fn word(kind: wire::VariableKind) -> &'static str {
    match kind {
        wire::VariableKind::Unspecified | wire::VariableKind::Text => "text",
        wire::VariableKind::Integer => "integer",
        wire::VariableKind::Yen => "yen",
        wire::VariableKind::Date => "date",
    }
}

const fn domain(kind: wire::VariableKind) -> VariableKind {
    match kind {
        wire::VariableKind::Unspecified | wire::VariableKind::Text => VariableKind::Text,
        wire::VariableKind::Integer => VariableKind::Integer,
        wire::VariableKind::Yen => VariableKind::Yen,
        wire::VariableKind::Date => VariableKind::Date,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn variables_are_read_out_of_a_text_once_each() {
        assert_eq!(variables("{name}様 {points}点 {{x}} {name} }{due"), ["name", "points"]);
        assert_eq!(variables("{a{b}} {}"), ["b", ""]);
    }

    #[test]
    fn what_was_typed_becomes_the_request_of_a_draft() {
        let typed = Typed::read(&fields(&[
            ("request_id", "r"),
            ("account", "bank"),
            ("name", " 12月 "),
            ("uniform_text", "みなさまへ\r\n以上"),
            ("uniform_label", ""),
            ("uniform_does", "reply"),
            ("uniform_target", ""),
            ("individual_text", "{name}様 {due}"),
            ("individual_label", "見る"),
            ("individual_does", "url"),
            ("individual_target", "https://bank.example/"),
            ("kind_due", "yen"),
            ("start", "2026-12-01T09:00"),
            ("rate", "20"),
        ]));
        let request = typed.request().unwrap();
        assert_eq!((request.name.as_str(), request.messages_per_second), ("12月", 20));
        let uniform = request.uniform.unwrap();
        assert!(uniform.text == "みなさまへ\n以上" && uniform.suggestions.is_empty());
        let individual = request.individual.unwrap();
        let kinds: Vec<_> = individual.variables.iter().map(|it| (it.name.as_str(), it.kind())).collect();
        assert!(kinds == [("name", wire::VariableKind::Text), ("due", wire::VariableKind::Yen)]);
        assert_eq!(individual.suggestions[0].text, "見る");
        assert_eq!(request.start_time.unwrap().seconds, 1_796_083_200);
        assert!(request.expire_time.is_none());
    }

    #[test]
    fn what_is_wrong_is_named_by_its_side_and_field() {
        let wrong = |pairs: &[(&str, &str)]| Typed::read(&fields(pairs)).request().err().unwrap().field;
        assert_eq!(wrong(&[]), "uniform.text");
        assert_eq!(wrong(&[("uniform_text", "{name}")]), "uniform.text");
        assert_eq!(
            wrong(&[("uniform_text", "a"), ("individual_text", "{Name}")]),
            "individual.variables[0].name"
        );
        assert_eq!(wrong(&[("uniform_text", "a"), ("start", "tomorrow")]), "start_time");
        assert_eq!(wrong(&[("uniform_text", "a"), ("rate", "fast")]), "messages_per_second");
        let dial = [
            ("uniform_text", "a"),
            ("uniform_label", "b"),
            ("uniform_does", "dial"),
            ("uniform_target", "110"),
        ];
        assert_eq!(wrong(&dial), "uniform.suggestions[0].dial.phone_number");
    }
}
