//! What people do with a distribution from its submission to its end: what is offered to whom, and the forms that do it.
//!
//! Surprising: a page renews its counts and not its messages, so the form that starts it says when that was submitted which the page shows. What was sent back
//! and submitted anew behind somebody's eyes is not started by them.

use axum::{
    Form, Router,
    extract::Path,
    response::{IntoResponse, Redirect, Response},
    routing::post,
};
use jiff::Timestamp;
use musubi_domain::{Error, ErrorKind};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        CancelDistributionRequest, Distribution, DistributionState, GetDistributionResponse,
        PauseDistributionRequest, ResumeDistributionRequest, ReturnDistributionRequest,
        StartDistributionRequest, SubmitDistributionRequest,
    },
};
use serde::Deserialize;

use super::{Console, Failure, Shell, Visitor};

pub(super) fn router() -> Router<Console> {
    Router::new()
        .route("/distributions/{id}/submit", post(submit))
        .route("/distributions/{id}/return", post(send_back))
        .route("/distributions/{id}/start", post(start))
        .route("/distributions/{id}/pause", post(pause))
        .route("/distributions/{id}/resume", post(resume))
        .route("/distributions/{id}/cancel", post(cancel))
}

/// What this visitor may do with it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Commands {
    pub(super) upload: bool,
    pub(super) submit: bool,
    pub(super) send_back: bool,
    pub(super) start: bool,
    pub(super) pause: bool,
    pub(super) resume: bool,
    pub(super) cancel: bool,
    /// It is submitted, and somebody else has to start it.
    pub(super) waits: bool,
    /// It is no draft.
    pub(super) is_submitted: bool,
    /// It was submitted or sent back since the page was made.
    pub(super) is_stale: bool,
}

/// When it was submitted, in microseconds since 1970; 0: it was not.
pub(super) fn submitted(d: &Distribution) -> i64 {
    d.submit_time.map_or(0, |time| time.seconds.saturating_mul(1_000_000) + i64::from(time.nanos) / 1_000)
}

impl Commands {
    /// With what the page shows, which was submitted then.
    pub(super) fn of(s: &Shell, answer: &GetDistributionResponse, shown: i64) -> Self {
        let d = &answer.distribution.clone().unwrap_or_default();
        let alone = !answer.needs_second_person;
        let is_stale = submitted(d) != shown;
        let begun = Self { cancel: s.may("CancelDistribution"), ..Self::default() };
        match d.state() {
            DistributionState::Draft => Self {
                upload: s.may("UploadValues"),
                submit: s.may("SubmitDistribution"),
                start: alone && !is_stale && s.may("StartDistribution"),
                is_stale,
                ..begun
            },
            DistributionState::Submitted => {
                let may_start = (alone || !d.prepared_by.contains(&s.name)) && s.may("StartDistribution");
                Self {
                    send_back: s.may("ReturnDistribution"),
                    start: may_start && !is_stale,
                    waits: !may_start,
                    is_submitted: true,
                    is_stale,
                    ..begun
                }
            }
            DistributionState::Running => Self { pause: s.may("PauseDistribution"), ..begun },
            DistributionState::Paused => Self { resume: s.may("ResumeDistribution"), ..begun },
            DistributionState::Unspecified | DistributionState::Completed | DistributionState::Cancelled => {
                Self::default()
            }
        }
    }
}

macro_rules! command {
    ($name:ident: $method:ident($request:ident), $done:literal) => {
        async fn $name(visitor: Visitor, Path(id): Path<String>) -> Result<Response, Failure> {
            let request = $request { distribution_id: id.clone(), operator: String::new() };
            visitor.distributions().$method(request).await?;
            Ok(back(&id, $done)?.into_response())
        }
    };
}

command!(submit: submit_distribution(SubmitDistributionRequest), "submitted");
command!(send_back: return_distribution(ReturnDistributionRequest), "returned");
command!(pause: pause_distribution(PauseDistributionRequest), "paused");
command!(resume: resume_distribution(ResumeDistributionRequest), "resumed");
command!(cancel: cancel_distribution(CancelDistributionRequest), "cancelled");

/// What was looked at.
#[derive(Deserialize)]
struct LookedAt {
    /// As [`submitted`] gives it.
    #[serde(default)]
    submitted: i64,
}

async fn start(
    visitor: Visitor,
    Path(id): Path<String>,
    Form(looked_at): Form<LookedAt>,
) -> Result<Response, Failure> {
    let submit_time = match looked_at.submitted {
        0 => None,
        micros => Some(Timestamp::from_microsecond(micros).map(timestamp).map_err(|_| {
            let problem = format!("{micros} is no instant");
            Error::invalid("submit_time", problem, "open the page anew, and start it there")
        })?),
    };
    let request =
        StartDistributionRequest { distribution_id: id.clone(), operator: String::new(), submit_time };
    visitor.distributions().start_distribution(request).await?;
    Ok(back(&id, "started")?.into_response())
}

/// To the distribution's page. Its id came out of an address.
pub(super) fn back(id: &str, done: &str) -> Result<Redirect, Failure> {
    if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err(Error::new(ErrorKind::NotFound, "no such distribution", "see the list").into());
    }
    Ok(Redirect::to(&format!("/distributions/{id}?done={done}")))
}

#[cfg(test)]
mod tests {
    use musubi_domain::caller::Role;

    use super::*;
    use crate::console::shell::tests::shell;

    /// What is offered of a distribution that somebody else than `also` has prepared, too.
    fn offered(role: Role, state: DistributionState, needs_second_person: bool, also: &str) -> Commands {
        let submit_time = (state == DistributionState::Submitted)
            .then_some(timestamp(Timestamp::from_microsecond(1_500_000).unwrap()));
        let prepared_by = vec!["kato".to_owned(), also.to_owned()];
        let d = Distribution { state: state.into(), prepared_by, submit_time, ..Default::default() };
        let shown = submitted(&d);
        let d = GetDistributionResponse { distribution: Some(d), needs_second_person, ..Default::default() };
        Commands::of(&shell(&[role], "/"), &d, shown)
    }

    #[test]
    fn a_start_is_offered_where_it_would_be_taken() {
        use DistributionState::{Draft, Submitted};
        for (role, state, two, also, expected) in [
            (Role::Approver, Draft, false, "sato", [false, false, true, false]),
            (Role::Approver, Draft, true, "ito", [false, false, false, false]),
            (Role::Approver, Submitted, false, "sato", [false, true, true, false]),
            (Role::Approver, Submitted, true, "ito", [false, true, true, false]),
            (Role::Approver, Submitted, true, "sato", [false, true, false, true]),
            (Role::Editor, Draft, true, "sato", [true, false, false, false]),
            (Role::Editor, Draft, false, "sato", [true, false, false, false]),
            (Role::Editor, Submitted, false, "sato", [false, true, false, true]),
            (Role::Viewer, Submitted, true, "ito", [false, false, false, true]),
        ] {
            let can = offered(role, state, two, also);
            assert_eq!(
                [can.submit, can.send_back, can.start, can.waits],
                expected,
                "{role:?} {} {two}",
                state.as_str_name()
            );
            assert_eq!(can.upload, can.submit, "values are given until it is submitted");
        }
    }

    #[test]
    fn what_was_submitted_anew_since_is_not_started_from_the_old_page() {
        let submit_time = Some(timestamp(Timestamp::from_microsecond(1_500_000).unwrap()));
        let state = DistributionState::Submitted.into();
        let d = Distribution { state, submit_time, ..Default::default() };
        assert_eq!((submitted(&d), submitted(&Distribution::default())), (1_500_000, 0));
        let answer = GetDistributionResponse { distribution: Some(d), ..Default::default() };
        let of = |shown| Commands::of(&shell(&[Role::Approver], "/"), &answer, shown);
        for (shown, is_stale) in [(1_500_000, false), (1_400_000, true), (0, true)] {
            let can = of(shown);
            assert_eq!((can.start, can.is_stale, can.waits), (!is_stale, is_stale, false), "{shown}");
        }
    }
}
