//! A distribution is composed: both messages side by side, their buttons and variables, and what a talk room makes of them while one types.
//!
//! Checked by the very rules of the server that takes the draft. Variables are read out of the text; only their kinds are chosen. Surprising: without a script the same form has a
//! button that shows the preview.

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use jiff::{civil::DateTime, tz::offset};
use musubi_domain::{
    Error, ErrorKind,
    content::{Action, Card, SUGGESTIONS_LIMIT, Suggestion},
    error::shape,
    template::{Template as Message, Variable, VariableKind},
};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        self as wire, CreateDistributionRequest, GetDistributionRequest, ListAccountsRequest, OfficialAccount,
    },
    r#type::v1::suggestion,
};
use musubi_runtime::{entropy, grpc::status::from_status};
use serde::Deserialize;
use uuid::Builder;

use super::{Bubble, Failure, Shell, Visitor, back};

/// Rows of buttons at first.
const ROWS: usize = 3;
const KINDS: [wire::VariableKind; 4] = [
    wire::VariableKind::Text,
    wire::VariableKind::Integer,
    wire::VariableKind::Yen,
    wire::VariableKind::Date,
];

/// What stands in the form.
#[derive(Default)]
struct Typed {
    request_id: String,
    account: String,
    name: String,
    uniform: Side,
    individual: Side,
    start: String,
    expire: String,
    rate: String,
    rows: usize,
}

/// One of the two messages.
#[derive(Clone, Default)]
struct Side {
    /// A card's title and picture, if it is one.
    title: String,
    image: String,
    text: String,
    buttons: Vec<TypedButton>,
    /// Kinds that were chosen, by the variable's name.
    kinds: Vec<(String, String)>,
}

/// A button's row.
#[derive(Clone, Default)]
struct TypedButton {
    label: String,
    /// reply, url, dial.
    does: String,
    target: String,
}

/// A variable as the preview shows it.
struct Chosen {
    name: String,
    kinds: Vec<(&'static str, &'static str, bool)>,
}

/// What becomes of a side.
struct Shown {
    bubble: Option<Bubble>,
    fault: Option<Error>,
    variables: Vec<Chosen>,
}

#[derive(Template)]
#[template(path = "compose.html")]
struct FormPage {
    s: Shell,
    accounts: Vec<OfficialAccount>,
    link_hosts: Vec<String>,
    t: Typed,
    uniform: Shown,
    individual: Option<Shown>,
    failed: Option<Error>,
    sender: String,
}

#[derive(Template)]
#[template(path = "compose_preview.html")]
struct PreviewPart {
    s: Shell,
    uniform: Shown,
    individual: Option<Shown>,
    sender: String,
}

/// A draft that is like another.
#[derive(Deserialize)]
pub(super) struct Like {
    #[serde(default)]
    like: String,
}

pub(super) async fn form(visitor: Visitor, Query(like): Query<Like>) -> Result<Html<String>, Failure> {
    let mut typed = Typed { rows: ROWS, ..Typed::default() };
    if !like.like.is_empty() {
        let request = GetDistributionRequest { distribution_id: like.like };
        let answer = visitor.distributions().get_distribution(request).await?.into_inner();
        let distribution = answer.distribution.unwrap_or_default();
        typed.account = distribution.official_account;
        typed.name = distribution.name;
        typed.uniform = answer.uniform.map(Side::of).unwrap_or_default();
        typed.individual = answer.individual.map(Side::of).unwrap_or_default();
    }
    typed.request_id = Builder::from_random_bytes(entropy::bytes()).into_uuid().to_string();
    Ok(Html(page(visitor, typed, None).await?.render()?))
}

pub(super) async fn preview(
    visitor: Visitor,
    headers: HeaderMap,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Html<String>, Failure> {
    let mut typed = Typed::read(&fields);
    if headers.contains_key("hx-request") {
        let listed = visitor.accounts().list_accounts(ListAccountsRequest {}).await?.into_inner();
        let sender = sender(&listed.official_accounts, &typed.account);
        let s = visitor.s;
        let (uniform, individual) = typed.shown(&s);
        return Ok(Html(PreviewPart { s, uniform, individual, sender }.render()?));
    }
    if fields.iter().any(|(name, _)| name == "more") {
        typed.rows = (typed.rows + ROWS).min(SUGGESTIONS_LIMIT);
    }
    Ok(Html(page(visitor, typed, None).await?.render()?))
}

pub(super) async fn create(
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Failure> {
    let typed = Typed::read(&fields);
    let request = match typed.request() {
        Ok(request) => request,
        Err(error) => return refused(visitor, typed, error).await,
    };
    match visitor.distributions().create_distribution(request).await {
        Ok(made) => {
            let made = made.into_inner().distribution.unwrap_or_default();
            Ok(back(&made.distribution_id, "drafted")?.into_response())
        }
        Err(status) => {
            let error = from_status(&status);
            match error.kind {
                ErrorKind::InvalidArgument | ErrorKind::NotFound | ErrorKind::AlreadyExists => {
                    refused(visitor, typed, error).await
                }
                ErrorKind::FailedPrecondition
                | ErrorKind::Unauthenticated
                | ErrorKind::PermissionDenied
                | ErrorKind::ResourceExhausted
                | ErrorKind::Unavailable
                | ErrorKind::Internal => Err(error.into()),
            }
        }
    }
}

async fn refused(visitor: Visitor, typed: Typed, error: Error) -> Result<Response, Failure> {
    let page = page(visitor, typed, Some(error)).await?;
    Ok((StatusCode::BAD_REQUEST, Html(page.render()?)).into_response())
}

async fn page(visitor: Visitor, mut t: Typed, failed: Option<Error>) -> Result<FormPage, Failure> {
    let listed = visitor.accounts().list_accounts(ListAccountsRequest {}).await?.into_inner();
    let accounts = listed.official_accounts;
    if t.account.is_empty()
        && let Some(first) = accounts.first()
    {
        t.account.clone_from(&first.official_account);
    }
    let sender = sender(&accounts, &t.account);
    for side in [&mut t.uniform, &mut t.individual] {
        side.buttons.resize_with(t.rows.max(side.buttons.len()).min(SUGGESTIONS_LIMIT), TypedButton::default);
    }
    let (uniform, individual) = t.shown(&visitor.s);
    let link_hosts = listed.link_hosts;
    Ok(FormPage { s: visitor.s, accounts, link_hosts, t, uniform, individual, failed, sender })
}

/// Who the talk room says has sent it.
fn sender(accounts: &[OfficialAccount], account: &str) -> String {
    let account = accounts.iter().find(|it| it.official_account == account);
    account.map(|it| it.display_name.clone()).unwrap_or_default()
}

impl Typed {
    fn read(fields: &[(String, String)]) -> Self {
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

    fn request(&self) -> Result<CreateDistributionRequest, Error> {
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

    fn shown(&self, s: &Shell) -> (Shown, Option<Shown>) {
        let individual = (!self.individual.is_empty()).then(|| self.individual.shown(true, s));
        (self.uniform.shown(false, s), individual)
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
    fn of(template: wire::Template) -> Self {
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

    fn is_empty(&self) -> bool {
        [&self.text, &self.title, &self.image].iter().all(|text| text.trim().is_empty())
            && self.buttons.iter().all(|button| button.label.is_empty())
    }

    /// Whether the form opens what a plain message has not: a card's parts and rows of buttons.
    fn has_more(&self) -> bool {
        let has_card = !self.title.is_empty() || !self.image.is_empty();
        has_card || self.buttons.iter().any(|button| !button.label.is_empty())
    }

    fn kind_of(&self, name: &str) -> wire::VariableKind {
        let chosen = self.kinds.iter().find(|(variable, _)| variable == name).map(|(_, kind)| kind.as_str());
        KINDS.into_iter().find(|kind| Some(word(*kind)) == chosen).unwrap_or(wire::VariableKind::Text)
    }

    /// The message, by the rules of the server that takes it.
    fn message(&self, with_variables: bool) -> Result<Message, Error> {
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

    fn shown(&self, with_variables: bool, s: &Shell) -> Shown {
        let names = if with_variables { variables(&self.text) } else { Vec::new() };
        let chosen = names.iter().map(|name| Chosen {
            name: name.clone(),
            kinds: KINDS.map(|kind| (word(kind), s.language.kind(kind), kind == self.kind_of(name))).to_vec(),
        });
        let variables = chosen.collect();
        if self.text.is_empty() {
            return Shown { bubble: None, fault: None, variables };
        }
        let made = self.message(with_variables).and_then(|message| {
            let samples: Vec<_> = message.variables().iter().map(|it| sample(it.kind).to_owned()).collect();
            message.render(&samples)
        });
        match made {
            Ok(content) => Shown { bubble: Some(Bubble::of(&content.into())), fault: None, variables },
            Err(error) => Shown { bubble: None, fault: Some(error), variables },
        }
    }
}

/// The variables of a text, each once, in their order; what is no name is left to the template's own check.
fn variables(text: &str) -> Vec<String> {
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

const fn word(kind: wire::VariableKind) -> &'static str {
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

/// A value to look at.
const fn sample(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Text => "結 花子",
        VariableKind::Integer => "12345",
        VariableKind::Yen => "12800",
        VariableKind::Date => "2026-12-24",
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
