//! A trial: a distribution sent to a few followers who were named, before it is sent to everybody.
//!
//! It is a distribution of its own, of the draft's texts under a label, which walks nobody and is over soon. So whatever holds for
//! deliveries holds for it, the gate before all: nobody is ever shown another person's message, only their own. Surprising: that is
//! why nobody can see the individual message who is no confirmed customer with values; the preview shows samples of it.

use jiff::{SignedDuration, Timestamp};

use crate::{
    Error, ErrorKind,
    distribution::State,
    eligibility::{Held, Tie},
    quiet_hours::QuietHours,
    template::Template,
};

/// The most followers of one trial.
pub const MOST: usize = 20;
/// The most trials of a company in an hour.
pub const AN_HOUR: u64 = 30;
/// How long a trial may take: who looks at a phone doesn't wait longer, and nothing comes after the distribution itself.
pub const LASTS: SignedDuration = SignedDuration::from_mins(10);
/// What stands above the text.
pub const LABEL: &str = "【テスト配信】";

/// The template as a trial says it.
///
/// # Errors
/// Names `text`, when it has no room for the label.
pub fn labelled(template: &Template) -> Result<Template, Error> {
    let text = format!("{LABEL}\n{}", template.text());
    let labelled = Template::parse(&text, template.suggestions().to_vec(), template.variables().to_vec());
    labelled.and_then(|labelled| labelled.with_card(template.card().cloned())).map_err(|error| {
        let room = LABEL.chars().count() + 1;
        Error { remedy: format!("{}; a trial needs {room} more for its label", error.remedy), ..error }
    })
}

/// Whether a distribution may be tried: before it is sent.
///
/// # Errors
/// [`ErrorKind::FailedPrecondition`].
pub fn check(state: State, start_time: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    let waits = state == State::Running && start_time.is_some_and(|start| now < start);
    if state.is_before_start() || waits {
        return Ok(());
    }
    let problem = format!("can not try a {} distribution", state.as_str());
    Err(Error::new(ErrorKind::FailedPrecondition, problem, "try it before it is sent"))
}

/// Whether anybody is tried at this hour.
///
/// # Errors
/// [`ErrorKind::FailedPrecondition`].
pub fn check_hours(quiet_hours: &QuietHours, now: Timestamp) -> Result<(), Error> {
    if quiet_hours.allows(now) {
        return Ok(());
    }
    let remedy = format!("try it from {} on", quiet_hours.next_allowed(now));
    Err(Error::new(ErrorKind::FailedPrecondition, "these are the account's quiet hours", remedy))
}

/// Whether there may be one more, after so many in the last hour.
///
/// # Errors
/// [`ErrorKind::ResourceExhausted`].
pub fn check_rate(in_last_hour: u64) -> Result<(), Error> {
    if in_last_hour < AN_HOUR {
        return Ok(());
    }
    let problem = format!("{in_last_hour} trials in an hour");
    Err(Error::new(ErrorKind::ResourceExhausted, problem, "wait until fewer lie within an hour"))
}

/// Why a follower gets the uniform message and not the individual one, in the words of the wire.
#[must_use]
pub fn why_uniform(
    tie: Option<&Tie>,
    (suspended, has_values): (bool, bool),
    now: Timestamp,
) -> Option<&'static str> {
    match tie {
        None => Some("not_confirmed"),
        Some(_) if !has_values => Some("no_values"),
        Some(tie) => Held::of(tie, suspended, now).map(Held::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{content::Card, template::Variable, template::VariableKind};

    #[test]
    fn a_trial_says_the_same_under_a_label() {
        let variables = vec![Variable { name: "due".to_owned(), kind: VariableKind::Yen }];
        let card = Some(Card { title: Some("題".to_owned()), image_url: None });
        let template =
            Template::parse("{due}です{{", Vec::new(), variables).unwrap().with_card(card.clone()).unwrap();
        let said = labelled(&template).unwrap().render(&["1200".to_owned()]).unwrap();
        assert_eq!((said.text.as_str(), said.card), ("【テスト配信】\n1,200円です{", card));
        let full = Template::parse(&"あ".repeat(3_070), Vec::new(), Vec::new()).unwrap();
        let error = labelled(&full).unwrap_err();
        assert!(error.field == "text" && error.remedy.contains("a trial needs 8 more"), "{error}");
    }

    #[test]
    fn a_distribution_is_tried_before_it_is_sent() {
        let now: Timestamp = "2026-11-29T00:00:00Z".parse().unwrap();
        let (later, before) = (Some(now + SignedDuration::from_secs(1)), Some(now));
        for (state, start, may) in [
            (State::Draft, None, true),
            (State::Submitted, None, true),
            (State::Running, later, true),
            (State::Running, before, false),
            (State::Running, None, false),
            (State::Paused, later, false),
            (State::Completed, before, false),
            (State::Cancelled, None, false),
        ] {
            assert_eq!(check(state, start, now).is_ok(), may, "{state:?} {start:?}");
        }
        // It is nine in the morning in Tokyo.
        let hours = |span| QuietHours::parse(span, "Asia/Tokyo").unwrap();
        assert!(check_hours(&hours(""), now).is_ok() && check_hours(&hours("21:00-08:00"), now).is_ok());
        let quiet = check_hours(&hours("21:00-12:00"), now).unwrap_err();
        assert_eq!(quiet.remedy, "try it from 2026-11-29T03:00:00Z on");
        assert!(check_rate(AN_HOUR - 1).is_ok());
        assert_eq!(check_rate(AN_HOUR).unwrap_err().kind, ErrorKind::ResourceExhausted);
    }
}
