//! A distribution is tried: sent to some followers who are typed or pasted, and what became of it for each.
//!
//! What was typed is never part of an address, and is forgotten with the page that answers. Surprising: the form brings the id of its request along, so that sending it twice
//! sends nothing twice.

use askama::Template;
use axum::{
    Form,
    extract::Path,
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use musubi_domain::{Error, ErrorKind, phone_number::masked};
use musubi_proto::information::v1::{
    Distribution, DistributionState, ListTrialsRequest, Trial, TrialRecipient, TryDistributionRequest,
};
use musubi_runtime::{entropy, grpc::status::from_status};
use serde::Deserialize;
use uuid::Builder;

use super::{Console, Failure, Shell, State, Visitor, get_one};

/// Trials of a page.
const SHOWN: usize = 5;

/// What the page of a distribution shows of trials.
pub(super) struct Trials {
    pub(super) id: String,
    pub(super) trials: Vec<Trial>,
    /// Something of them may still change.
    pub(super) is_live: bool,
    /// The form that tries it, if the visitor may, and it is not sent yet.
    pub(super) form: Option<Typed>,
}

/// What stands in the form.
#[derive(Default, Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) numbers: String,
}

impl Trials {
    /// Of this distribution, as they stand now.
    pub(super) async fn of(visitor: &Visitor, d: &Distribution, now: i64) -> Result<Self, Failure> {
        let mut shown = Self::list(visitor, &d.distribution_id, now).await?;
        let waits = d.state() == DistributionState::Running
            && d.start_time.is_some_and(|start| start.seconds.saturating_mul(1_000) > now);
        let is_before =
            [DistributionState::Draft, DistributionState::Submitted].contains(&d.state()) || waits;
        let request_id = || Builder::from_random_bytes(entropy::bytes()).into_uuid().to_string();
        shown.form = (is_before && visitor.s.may("TryDistribution"))
            .then(|| Typed { request_id: request_id(), numbers: String::new() });
        Ok(shown)
    }

    async fn list(visitor: &Visitor, id: &str, now: i64) -> Result<Self, Failure> {
        let mut trials = Vec::new();
        if visitor.s.may("ListTrials") {
            let request = ListTrialsRequest { distribution_id: id.to_owned() };
            trials = visitor.distributions().list_trials(request).await?.into_inner().trials;
        }
        trials.truncate(SHOWN);
        // Receipts still come for a while.
        let is_live = trials.iter().any(|trial| {
            let ends = trial.expire_time.map_or(0, |end| end.seconds.saturating_mul(1_000));
            now < ends && trial.recipients.iter().any(|it| !is_over(it))
        });
        Ok(Self { id: id.to_owned(), trials, is_live, form: None })
    }
}

/// Whether nothing more will be heard of it.
fn is_over(recipient: &TrialRecipient) -> bool {
    ["displayed", "rejected", "expired", "revoked", "dead"].contains(&recipient.state.as_str())
}

#[derive(Template)]
#[template(path = "trials.html")]
struct Part {
    s: Shell,
    trials: Trials,
}

#[derive(Template)]
#[template(path = "trial.html")]
struct Page {
    s: Shell,
    name: String,
    trials: Trials,
    /// The numbers as they were typed, masked, and whether each follows; none: nothing was sent.
    named: Vec<(String, bool)>,
    failed: Option<Error>,
}

pub(super) async fn part(
    visitor: Visitor,
    State(console): State<Console>,
    Path(id): Path<String>,
) -> Result<Html<String>, Failure> {
    let trials = Trials::list(&visitor, &id, console.now()).await?;
    Ok(Html(Part { s: visitor.s, trials }.render()?))
}

pub(super) async fn send(
    visitor: Visitor,
    State(console): State<Console>,
    Path(id): Path<String>,
    Form(typed): Form<Typed>,
) -> Result<Response, Failure> {
    let numbers = numbers(&typed.numbers);
    let request = TryDistributionRequest {
        request_id: typed.request_id.clone(),
        distribution_id: id.clone(),
        phone_numbers: numbers.clone(),
        operator: String::new(),
    };
    let sent = visitor.distributions().try_distribution(request).await;
    let (named, failed) = match sent {
        Ok(answer) => {
            let absent = answer.into_inner().not_following;
            let named = (0..).zip(&numbers).map(|(place, number)| (masked(number), !absent.contains(&place)));
            (named.collect(), None)
        }
        Err(status) => {
            let error = from_status(&status);
            match error.kind {
                ErrorKind::InvalidArgument | ErrorKind::FailedPrecondition | ErrorKind::ResourceExhausted => {
                    (Vec::new(), Some(error))
                }
                ErrorKind::NotFound
                | ErrorKind::AlreadyExists
                | ErrorKind::Unauthenticated
                | ErrorKind::PermissionDenied
                | ErrorKind::Unavailable
                | ErrorKind::Internal => return Err(error.into()),
            }
        }
    };
    let d = get_one(&visitor, id).await?.distribution.unwrap_or_default();
    let mut trials = Trials::of(&visitor, &d, console.now()).await?;
    let status = match (&failed, &mut trials.form) {
        (Some(_), Some(form)) => {
            *form = typed;
            StatusCode::BAD_REQUEST
        }
        (Some(_), None) => StatusCode::CONFLICT,
        (None, _) => StatusCode::OK,
    };
    let page = Page { s: visitor.s, name: d.name, trials, named, failed };
    Ok((status, Html(page.render()?)).into_response())
}

/// The numbers of a text: whatever stands between spaces, commas and ends of lines, each as E.164. Japanese ones may begin with 0, and have hyphens.
fn numbers(text: &str) -> Vec<String> {
    let parts = text.split(|c: char| c.is_whitespace() || [',', ';', '、', '，'].contains(&c));
    let number = |part: &str| {
        let bare: String = part
            .chars()
            .filter(|c| !['-', '‐', '－', '(', ')'].contains(c))
            .map(|c| match c {
                '０'..='９' => char::from_digit(c as u32 - '０' as u32, 10).unwrap_or(c),
                '＋' => '+',
                other => other,
            })
            .collect();
        match bare.strip_prefix('0') {
            Some(rest) => format!("+81{rest}"),
            None => bare,
        }
    };
    parts.filter(|part| !part.is_empty()).map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_people_write_them() {
        let typed = "+819012345678, 090-1234-5679\n０８０－１２３４－５６７８、x\n\n";
        assert_eq!(numbers(typed), ["+819012345678", "+819012345679", "+818012345678", "x"]);
        assert_eq!(numbers(" \n"), [""; 0]);
    }
}
