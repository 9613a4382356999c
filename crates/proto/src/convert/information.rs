//! The words of `musubi.information.v1`: templates, where distributions and followers stand, purposes of messages.
//!
//! Surprising: reports know fewer purposes than the server does. A question that was asked again is a question, and whatever
//! told a result is a result.

use musubi_domain::{
    Error,
    approval::{Act, ApprovalState},
    content::Content,
    delivery::Purpose,
    distribution::State,
    outcome::FollowerOutcome,
    review::{ReviewState, Verdict},
    template::{Template, Variable, VariableKind},
};

use crate::{information::v1 as wire, r#type::v1 as word};

impl TryFrom<wire::Template> for Template {
    type Error = Error;

    /// Checks the template; the error names the field by its path inside it.
    fn try_from(template: wire::Template) -> Result<Self, Error> {
        let variables = template.variables.into_iter().enumerate().map(|(index, variable)| {
            let kind = variable.kind();
            kind_from(kind, index).map(|kind| Variable { name: variable.name, kind })
        });
        let variables = variables.collect::<Result<_, _>>()?;
        let word =
            word::Content { text: template.text, suggestions: template.suggestions, card: template.card };
        let Content { text, suggestions, card } = word.try_into()?;
        Self::parse(&text, suggestions, variables)?.with_card(card)
    }
}

impl From<Template> for wire::Template {
    fn from(template: Template) -> Self {
        let variable = |variable: &Variable| wire::Variable {
            name: variable.name.clone(),
            kind: wire::VariableKind::from(variable.kind).into(),
        };
        Self {
            text: template.text().to_owned(),
            suggestions: template.suggestions().iter().cloned().map(Into::into).collect(),
            card: template.card().cloned().map(Into::into),
            variables: template.variables().iter().map(variable).collect(),
        }
    }
}

impl From<VariableKind> for wire::VariableKind {
    fn from(kind: VariableKind) -> Self {
        match kind {
            VariableKind::Text => Self::Text,
            VariableKind::Integer => Self::Integer,
            VariableKind::Yen => Self::Yen,
            VariableKind::Date => Self::Date,
        }
    }
}

fn kind_from(kind: wire::VariableKind, index: usize) -> Result<VariableKind, Error> {
    match kind {
        wire::VariableKind::Unspecified => Err(Error::invalid(
            format!("variables[{index}].kind"),
            "no kind is said",
            "name text, integer, yen or date",
        )),
        wire::VariableKind::Text => Ok(VariableKind::Text),
        wire::VariableKind::Integer => Ok(VariableKind::Integer),
        wire::VariableKind::Yen => Ok(VariableKind::Yen),
        wire::VariableKind::Date => Ok(VariableKind::Date),
    }
}

impl From<State> for wire::DistributionState {
    fn from(state: State) -> Self {
        match state {
            State::Draft => Self::Draft,
            State::Running => Self::Running,
            State::Paused => Self::Paused,
            State::Completed => Self::Completed,
            State::Cancelled => Self::Cancelled,
            State::Submitted => Self::Submitted,
        }
    }
}

impl From<FollowerOutcome> for wire::FollowerOutcome {
    fn from(outcome: FollowerOutcome) -> Self {
        match outcome {
            FollowerOutcome::Waiting => Self::Waiting,
            FollowerOutcome::Unanswered => Self::Unanswered,
            FollowerOutcome::Underway => Self::Underway,
            FollowerOutcome::Confirmed => Self::Confirmed,
            FollowerOutcome::Rejected => Self::Rejected,
            FollowerOutcome::Review => Self::Review,
            FollowerOutcome::NoAccount => Self::NoAccount,
            FollowerOutcome::Declined => Self::Declined,
            FollowerOutcome::Abandoned => Self::Abandoned,
            FollowerOutcome::Locked => Self::Locked,
            FollowerOutcome::Unfollowed => Self::Unfollowed,
        }
    }
}

/// The outcome that a request names; none when it names none.
///
/// # Errors
/// At `outcome` when the number is no outcome.
pub fn outcome(number: i32) -> Result<Option<FollowerOutcome>, Error> {
    let named = wire::FollowerOutcome::try_from(number).map_err(|_| {
        Error::invalid("outcome", format!("{number} is no outcome"), "name a FollowerOutcome, or none")
    })?;
    Ok(match named {
        wire::FollowerOutcome::Unspecified => None,
        wire::FollowerOutcome::Waiting => Some(FollowerOutcome::Waiting),
        wire::FollowerOutcome::Unanswered => Some(FollowerOutcome::Unanswered),
        wire::FollowerOutcome::Underway => Some(FollowerOutcome::Underway),
        wire::FollowerOutcome::Confirmed => Some(FollowerOutcome::Confirmed),
        wire::FollowerOutcome::Rejected => Some(FollowerOutcome::Rejected),
        wire::FollowerOutcome::Review => Some(FollowerOutcome::Review),
        wire::FollowerOutcome::NoAccount => Some(FollowerOutcome::NoAccount),
        wire::FollowerOutcome::Declined => Some(FollowerOutcome::Declined),
        wire::FollowerOutcome::Abandoned => Some(FollowerOutcome::Abandoned),
        wire::FollowerOutcome::Locked => Some(FollowerOutcome::Locked),
        wire::FollowerOutcome::Unfollowed => Some(FollowerOutcome::Unfollowed),
    })
}

impl From<ReviewState> for wire::ReviewState {
    fn from(state: ReviewState) -> Self {
        match state {
            ReviewState::Open => Self::Open,
            ReviewState::ApprovedOnce => Self::ApprovedOnce,
            ReviewState::Approved => Self::Approved,
            ReviewState::Rejected => Self::Rejected,
            ReviewState::Expired => Self::Expired,
            ReviewState::Withdrawn => Self::Withdrawn,
        }
    }
}

impl From<Verdict> for wire::ReviewVerdict {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Approved => Self::Approved,
            Verdict::Rejected => Self::Rejected,
        }
    }
}

impl From<Act> for wire::ApprovalAct {
    fn from(act: Act) -> Self {
        match act {
            Act::Export => Self::Export,
            Act::Erase => Self::Erase,
            Act::Release => Self::Release,
        }
    }
}

impl From<ApprovalState> for wire::ApprovalState {
    fn from(state: ApprovalState) -> Self {
        match state {
            ApprovalState::Waiting => Self::Waiting,
            ApprovalState::Approved => Self::Approved,
            ApprovalState::Done => Self::Done,
            ApprovalState::Rejected => Self::Rejected,
            ApprovalState::Expired => Self::Expired,
        }
    }
}

/// The state of distributions that a request names; none when it names none.
///
/// # Errors
/// At `state` when the number is no state.
pub fn distribution_state(number: i32) -> Result<Option<State>, Error> {
    let named = wire::DistributionState::try_from(number).map_err(|_| {
        Error::invalid("state", format!("{number} is no state"), "name a DistributionState, or none")
    })?;
    Ok(State::ALL.into_iter().find(|state| wire::DistributionState::from(*state) == named))
}

/// The state of approvals that a request names; none when it names none.
///
/// # Errors
/// At `state` when the number is no state.
pub fn approval_state(number: i32) -> Result<Option<ApprovalState>, Error> {
    let named = wire::ApprovalState::try_from(number).map_err(|_| {
        Error::invalid("state", format!("{number} is no state"), "name an ApprovalState, or none")
    })?;
    Ok(match named {
        wire::ApprovalState::Unspecified => None,
        wire::ApprovalState::Waiting => Some(ApprovalState::Waiting),
        wire::ApprovalState::Approved => Some(ApprovalState::Approved),
        wire::ApprovalState::Done => Some(ApprovalState::Done),
        wire::ApprovalState::Rejected => Some(ApprovalState::Rejected),
        wire::ApprovalState::Expired => Some(ApprovalState::Expired),
    })
}

/// The state of reviews that a request names; none when it names none.
///
/// # Errors
/// At `state` when the number is no state.
pub fn review_state(number: i32) -> Result<Option<ReviewState>, Error> {
    let named = wire::ReviewState::try_from(number).map_err(|_| {
        Error::invalid("state", format!("{number} is no state"), "name a ReviewState, or none")
    })?;
    Ok(match named {
        wire::ReviewState::Unspecified => None,
        wire::ReviewState::Open => Some(ReviewState::Open),
        wire::ReviewState::ApprovedOnce => Some(ReviewState::ApprovedOnce),
        wire::ReviewState::Approved => Some(ReviewState::Approved),
        wire::ReviewState::Rejected => Some(ReviewState::Rejected),
        wire::ReviewState::Expired => Some(ReviewState::Expired),
        wire::ReviewState::Withdrawn => Some(ReviewState::Withdrawn),
    })
}

/// The word for a message's purpose in reports.
#[must_use]
pub const fn purpose(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Undecided
        | Purpose::Individual
        | Purpose::Uniform
        | Purpose::Question
        | Purpose::Identity
        | Purpose::Renewal => purpose.as_str(),
        Purpose::Account | Purpose::AccountAgain => Purpose::Account.as_str(),
        Purpose::Confirmed | Purpose::NotConfirmed | Purpose::ReviewRejected => "result",
        Purpose::EraseAsked | Purpose::Erasing => "erasure",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template() -> wire::Template {
        let button = word::Suggestion { text: "見る".to_owned(), postback: "p".to_owned(), action: None };
        let yen = wire::Variable { name: "due".to_owned(), kind: wire::VariableKind::Yen.into() };
        let card = word::Card { title: "題".to_owned(), image_url: String::new() };
        wire::Template {
            text: "{due} です".to_owned(),
            suggestions: vec![button],
            variables: vec![yen],
            card: Some(card),
        }
    }

    #[test]
    fn a_template_comes_in_with_buttons_and_variables() {
        let template = Template::try_from(template()).unwrap();
        assert_eq!(template.text(), "{due} です");
        assert_eq!(template.suggestions()[0].label, "見る");
        assert_eq!(template.variables()[0].kind, VariableKind::Yen);
        assert!(wire::Template::from(template) == self::template(), "and goes out as it came");
    }

    #[test]
    fn a_bad_template_names_its_fault_by_path() {
        type Edit = fn(&mut wire::Template);
        let edits: [(Edit, &str); 5] = [
            (|template| template.text.clear(), "text"),
            (|template| template.text = "{other}".to_owned(), "text"),
            (|template| template.suggestions[0].text.clear(), "suggestions[0].text"),
            (|template| template.variables[0].name = "Due".to_owned(), "variables[0].name"),
            (|template| template.variables[0].kind = 99, "variables[0].kind"),
        ];
        for (edit, field) in edits {
            let mut bad = template();
            edit(&mut bad);
            assert_eq!(Template::try_from(bad).unwrap_err().field, field);
        }
    }

    #[test]
    fn outcomes_survive_the_wire() {
        for number in 1..=11 {
            let known = outcome(number).unwrap().unwrap();
            assert_eq!(i32::from(wire::FollowerOutcome::from(known)), number);
        }
        assert_eq!(outcome(0), Ok(None));
        assert_eq!(outcome(99).unwrap_err().field, "outcome");
    }

    #[test]
    fn states_of_reviews_survive_the_wire_and_keep_their_names() {
        for state in ReviewState::ALL {
            let shown = wire::ReviewState::from(state);
            assert_eq!(review_state(shown.into()), Ok(Some(state)));
            assert_eq!(shown.as_str_name().to_ascii_lowercase(), format!("review_state_{}", state.as_str()));
        }
        assert_eq!(review_state(0), Ok(None));
        assert_eq!(review_state(99).unwrap_err().field, "state");
    }

    #[test]
    fn states_of_approvals_survive_the_wire_and_keep_their_names() {
        for state in ApprovalState::ALL {
            let shown = wire::ApprovalState::from(state);
            assert_eq!(approval_state(shown.into()), Ok(Some(state)));
            assert_eq!(
                shown.as_str_name().to_ascii_lowercase(),
                format!("approval_state_{}", state.as_str())
            );
        }
        assert_eq!(approval_state(0), Ok(None));
        assert_eq!(approval_state(99).unwrap_err().field, "state");
        for act in Act::ALL {
            let name = wire::ApprovalAct::from(act).as_str_name();
            assert_eq!(name.to_ascii_lowercase(), format!("approval_act_{}", act.as_str()));
        }
    }

    #[test]
    fn states_of_distributions_survive_the_wire_and_keep_their_names() {
        assert_eq!(distribution_state(0), Ok(None));
        assert_eq!(distribution_state(99).unwrap_err().field, "state");
        for state in State::ALL {
            let shown = wire::DistributionState::from(state);
            assert_eq!(distribution_state(shown.into()), Ok(Some(state)));
            let name = shown.as_str_name();
            assert_eq!(name.to_ascii_lowercase(), format!("distribution_state_{}", state.as_str()));
        }
    }

    #[test]
    fn reports_know_seven_purposes_and_undecided() {
        let mut words: Vec<_> = Purpose::ALL.into_iter().map(purpose).collect();
        words.dedup();
        assert_eq!(
            words,
            [
                "undecided",
                "individual",
                "uniform",
                "question",
                "account",
                "identity",
                "result",
                "renewal",
                "erasure"
            ]
        );
    }
}
