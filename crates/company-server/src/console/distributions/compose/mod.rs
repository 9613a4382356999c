//! A distribution is composed: both messages side by side, their buttons and variables, and what a talk room makes of them while one types.
//!
//! Checked by the very rules of the server that takes the draft; what stands in the form is [`typed`]'s. Surprising: without a script the same form has a button that shows the
//! preview.

mod typed;

use askama::Template;
use axum::{
    Form,
    extract::Query,
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
};
use musubi_domain::{Error, ErrorKind, content::SUGGESTIONS_LIMIT, template::VariableKind};
use musubi_proto::information::v1::{GetDistributionRequest, ListAccountsRequest, OfficialAccount};
use musubi_runtime::{entropy, grpc::status::from_status};
use serde::Deserialize;
use uuid::Builder;

use self::typed::{KINDS, ROWS, Side, Typed, TypedButton, variables, word};
use super::{Bubble, Failure, Shell, Visitor, back};

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
    fn shown(&self, s: &Shell) -> (Shown, Option<Shown>) {
        let individual = (!self.individual.is_empty()).then(|| self.individual.shown(true, s));
        (self.uniform.shown(false, s), individual)
    }
}

impl Side {
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

/// A value to look at.
const fn sample(kind: VariableKind) -> &'static str {
    match kind {
        VariableKind::Text => "結 花子",
        VariableKind::Integer => "12345",
        VariableKind::Yen => "12800",
        VariableKind::Date => "2026-12-24",
    }
}
