//! One's own session, and for administrators the people and machines who may call this server.
//!
//! An invitation and a machine's key are shown once, on the page that answers the form that made them. Surprising: so these forms answer with a page and not with another address,
//! and a page that is loaded again makes nothing: the browser asks first.

use askama::Template;
use axum::{
    Form, Router,
    extract::Path,
    response::{Html, Redirect},
    routing::{get, post},
};
use musubi_domain::{Error, caller::Role};
use musubi_proto::{
    company::v1::{
        CreateMachineRequest, InviteOperatorRequest, ListOperatorsRequest, Operator, RemoveOperatorRequest,
        UnlockOperatorRequest, operator::Way,
    },
    convert::people::{roles, wire_roles},
};
use prost_types::Timestamp;

use super::{Console, failure::Failure, shell::Shell, visitor::Visitor};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/settings", get(page))
        .route("/settings/invite", post(invite))
        .route("/settings/machine", post(create_machine))
        .route("/settings/operators/{name}/unlock", post(unlock))
        .route("/settings/operators/{name}/remove", post(remove))
}

#[derive(Template)]
#[template(path = "settings.html")]
struct Page {
    s: Shell,
    operators: Vec<Operator>,
    all_roles: [Role; 5],
    /// Whether people may be invited by what the company's provider calls them.
    has_openid: bool,
    made: Option<Made>,
}

/// Something that is shown once.
struct Made {
    name: String,
    secret: String,
    is_machine: bool,
    end_time: Option<Timestamp>,
}

impl Page {
    fn way(&self, operator: &Operator) -> &'static str {
        match operator.way() {
            Way::Unspecified => "—",
            Way::Certificate => self.s.say("証明書", "certificate"),
            Way::Password => self.s.say("パスワードとコード", "password and code"),
            Way::Key => self.s.say("機械の鍵", "machine's key"),
            Way::Openid => self.s.say("会社のアカウント", "company's account"),
        }
    }

    fn roles_of(&self, operator: &Operator) -> String {
        let words = roles(&operator.roles).unwrap_or_default();
        let words: Vec<_> = words.into_iter().map(|role| self.s.language.role(role)).collect();
        words.join(self.s.say("、", ", "))
    }

    fn is_certified(&self, operator: &Operator) -> bool {
        operator.way() == Way::Certificate
    }
}

async fn page(visitor: Visitor) -> Result<Html<String>, Failure> {
    Ok(Html(page_with(visitor, None).await?.render()?))
}

async fn page_with(visitor: Visitor, made: Option<Made>) -> Result<Page, Failure> {
    let operators = match visitor.s.may("ListOperators") {
        true => visitor.operators().list_operators(ListOperatorsRequest {}).await?.into_inner().operators,
        false => Vec::new(),
    };
    Ok(Page { has_openid: visitor.has_openid(), s: visitor.s, operators, all_roles: Role::ALL, made })
}

/// A name and the roles that were ticked.
fn named(fields: &[(String, String)]) -> Result<(String, Vec<i32>), Error> {
    let name = fields.iter().find(|(field, _)| field == "name").map(|(_, value)| value.trim().to_owned());
    let ticked = fields.iter().filter(|(field, _)| field == "role").map(|(_, role)| role.parse::<Role>());
    let ticked = ticked.collect::<Result<Vec<_>, _>>()?;
    Ok((name.unwrap_or_default(), wire_roles(&ticked)))
}

async fn invite(
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Html<String>, Failure> {
    let (name, roles) = named(&fields)?;
    let openid = fields.iter().find(|(field, _)| field == "openid").map(|(_, who)| who.trim().to_owned());
    let openid = openid.unwrap_or_default();
    let request = InviteOperatorRequest { name: name.clone(), roles, openid };
    let made = visitor.operators().invite_operator(request).await?.into_inner();
    let made = Made { name, secret: made.invitation, is_machine: false, end_time: made.end_time };
    Ok(Html(page_with(visitor, Some(made)).await?.render()?))
}

async fn create_machine(
    visitor: Visitor,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Html<String>, Failure> {
    let (name, roles) = named(&fields)?;
    let days =
        fields.iter().find(|(field, _)| field == "days").and_then(|(_, days)| days.trim().parse().ok());
    let request = CreateMachineRequest { name: name.clone(), roles, days: days.unwrap_or_default() };
    let made = visitor.operators().create_machine(request).await?.into_inner();
    let made = Made { name, secret: made.key, is_machine: true, end_time: made.end_time };
    Ok(Html(page_with(visitor, Some(made)).await?.render()?))
}

async fn unlock(visitor: Visitor, Path(name): Path<String>) -> Result<Redirect, Failure> {
    visitor.operators().unlock_operator(UnlockOperatorRequest { name }).await?;
    Ok(Redirect::to("/settings?done=unlocked"))
}

async fn remove(visitor: Visitor, Path(name): Path<String>) -> Result<Redirect, Failure> {
    visitor.operators().remove_operator(RemoveOperatorRequest { name }).await?;
    Ok(Redirect::to("/settings?done=removed"))
}
