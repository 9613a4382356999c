//! A distribution: what a company asked to be sent, and how its state moves.
//!
//! [`command`] is the whole rule:
//!
//! | stands | submit | return | start | pause | resume | cancel |
//! |---|---|---|---|---|---|---|
//! | draft | submitted | draft | running | – | – | cancelled |
//! | submitted | submitted | draft | running | – | – | cancelled |
//! | running | – | – | running | paused | running | cancelled |
//! | paused | – | – | – | paused | running | cancelled |
//! | completed | – | – | – | – | – | – |
//! | cancelled | – | – | – | – | – | cancelled |
//!
//! Commands may be repeated: starting what runs changes nothing. Who may start which draft is
//! [`approval::check_starter`](crate::approval::check_starter)'s. Surprising: starting a paused one is refused, so that a start whose answer was lost can't undo
//! the pause that came after it; so is submitting what runs.

use jiff::{SignedDuration, Timestamp};

use crate::{Error, ErrorKind};

/// How long a distribution may take when nobody says.
pub const DEFAULT_DURATION: SignedDuration = SignedDuration::from_hours(24);

/// Where a distribution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Takes values, sends nothing.
    Draft,
    /// Sends, or waits for its start time.
    Running,
    /// Held.
    Paused,
    /// No delivery waits or is being attempted; receipts may still come.
    Completed,
    /// Ended by hand.
    Cancelled,
    /// A draft that is ready: it takes no values, and waits for who starts it or sends it back.
    Submitted,
}

impl State {
    /// All of them; their place is their number in stores, so what came later stands last.
    pub const ALL: [Self; 6] =
        [Self::Draft, Self::Running, Self::Paused, Self::Completed, Self::Cancelled, Self::Submitted];

    /// The word for it in messages and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
            Self::Submitted => "submitted",
        }
    }

    /// Whether it waits to be started.
    #[must_use]
    pub const fn is_before_start(self) -> bool {
        matches!(self, Self::Draft | Self::Submitted)
    }
}

/// What a company can do with a distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Say that a draft is ready.
    Submit,
    /// Make it a draft again: it is sent back, or taken back.
    Return,
    /// Start what is ready, or a draft.
    Start,
    /// Hold a running one.
    Pause,
    /// Go on with a paused one.
    Resume,
    /// End it for ever.
    Cancel,
}

impl Command {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Submit, Self::Return, Self::Start, Self::Pause, Self::Resume, Self::Cancel];

    /// The word for it in messages and tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Return => "return",
            Self::Start => "start",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
        }
    }
}

/// The state after a command; the same state when it was obeyed before.
///
/// # Errors
/// [`ErrorKind::FailedPrecondition`] when the state doesn't allow it.
pub fn command(state: State, command: Command) -> Result<State, Error> {
    use {Command as C, State as S};
    let remedy = match (state, command) {
        (S::Draft | S::Submitted, C::Submit) => return Ok(S::Submitted),
        (S::Draft | S::Submitted, C::Return) => return Ok(S::Draft),
        (S::Draft | S::Submitted | S::Running, C::Start) | (S::Paused | S::Running, C::Resume) => {
            return Ok(S::Running);
        }
        (S::Running | S::Paused, C::Pause) => return Ok(S::Paused),
        (S::Draft | S::Submitted | S::Running | S::Paused | S::Cancelled, C::Cancel) => {
            return Ok(S::Cancelled);
        }
        (S::Paused, C::Start) => "resume it",
        (S::Draft | S::Submitted, C::Pause | C::Resume) => "start it first",
        (S::Running | S::Paused, C::Submit) => "it is started already",
        (S::Running | S::Paused, C::Return) => "pause or cancel it",
        (S::Completed | S::Cancelled, C::Submit | C::Return | C::Start | C::Pause | C::Resume) => {
            "make another distribution"
        }
        (S::Completed, C::Cancel) => "nothing is left to be taken back",
    };
    let problem = format!("can not {} a {} distribution", command.as_str(), state.as_str());
    Err(Error::new(ErrorKind::FailedPrecondition, problem, remedy))
}

/// Whether a new draft may have these times.
///
/// # Errors
/// Names `expire_time` when it is not in the future or not after the start.
pub fn check_times(start: Option<Timestamp>, expire: Option<Timestamp>, now: Timestamp) -> Result<(), Error> {
    let wrong = |problem: &str, remedy: &str| Err(Error::invalid("expire_time", problem, remedy));
    match (start, expire) {
        (_, Some(expire)) if expire <= now => wrong("is not in the future", "give a later time, or none"),
        (Some(start), Some(expire)) if expire <= start => {
            wrong("is not after start_time", "give a time after start_time, or none")
        }
        (_, Some(_) | None) => Ok(()),
    }
}

/// From when until when a draft that is started now is to be sent: (start, expiry).
///
/// # Errors
/// [`ErrorKind::FailedPrecondition`] at `expire_time` when that has passed.
pub fn schedule(
    start: Option<Timestamp>,
    expire: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Timestamp, Timestamp), Error> {
    let start = start.unwrap_or(now).max(now);
    let expire = expire.unwrap_or_else(|| start.checked_add(DEFAULT_DURATION).unwrap_or(Timestamp::MAX));
    if expire <= now {
        let passed = Error::new(
            ErrorKind::FailedPrecondition,
            "has passed",
            "make another distribution, to expire later",
        );
        return Err(passed.at("expire_time"));
    }
    Ok((start, expire))
}

#[cfg(test)]
mod tests {
    use super::{Command as C, State as S, *};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    #[test]
    fn commands_move_states_as_the_table_says() {
        let (draft, submitted, running) = (Some(S::Draft), Some(S::Submitted), Some(S::Running));
        let (paused, cancelled) = (Some(S::Paused), Some(S::Cancelled));
        for (state, results) in [
            (S::Draft, [submitted, draft, running, None, None, cancelled]),
            (S::Submitted, [submitted, draft, running, None, None, cancelled]),
            (S::Running, [None, None, running, paused, running, cancelled]),
            (S::Paused, [None, None, None, paused, running, cancelled]),
            (S::Completed, [None; 6]),
            (S::Cancelled, [None, None, None, None, None, cancelled]),
        ] {
            for (given, expected) in Command::ALL.into_iter().zip(results) {
                assert_eq!(command(state, given).ok(), expected, "{} {}", given.as_str(), state.as_str());
            }
        }
    }

    #[test]
    fn a_repeated_command_changes_nothing() {
        for state in State::ALL {
            for given in Command::ALL {
                if let Ok(after) = command(state, given) {
                    assert_eq!(command(after, given), Ok(after));
                }
            }
        }
    }

    #[test]
    fn a_refusal_is_a_precondition_with_a_remedy() {
        let error = command(S::Completed, C::Pause).unwrap_err();
        assert_eq!(error.kind, ErrorKind::FailedPrecondition);
        assert_eq!(error.to_string(), "can not pause a completed distribution; make another distribution");
    }

    #[test]
    fn a_draft_expires_in_the_future_and_after_its_start() {
        assert_eq!(check_times(None, None, at(0)), Ok(()));
        assert_eq!(check_times(Some(at(1)), Some(at(2)), at(0)), Ok(()));
        assert_eq!(check_times(Some(at(-5)), None, at(0)), Ok(()), "a start that has passed means at once");
        for (start, expire) in [(None, at(0)), (None, at(-1)), (Some(at(2)), at(2)), (Some(at(2)), at(1))] {
            assert_eq!(check_times(start, Some(expire), at(0)).unwrap_err().field, "expire_time");
        }
    }

    #[test]
    fn a_start_in_the_past_means_now_and_a_day_is_counted_from_the_start() {
        assert_eq!(schedule(None, None, at(0)), Ok((at(0), at(24))));
        assert_eq!(schedule(Some(at(-30)), None, at(0)), Ok((at(0), at(24))));
        assert_eq!(schedule(Some(at(3)), None, at(0)), Ok((at(3), at(27))));
        assert_eq!(schedule(Some(at(3)), Some(at(4)), at(0)), Ok((at(3), at(4))));
        assert_eq!(schedule(None, Some(at(0)), at(0)).unwrap_err().field, "expire_time");
    }
}
