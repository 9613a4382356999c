//! The table that moves a dialogue, to be held against the patent's fig. 10.
//!
//! | state | event | next | says | step |
//! |---|---|---|---|---|
//! | waiting | due | asked | question | S15 |
//! | asked | B1 confirm | account asked | account | S18 |
//! | asked | B2 no account | no account (untie) | | S17 |
//! | asked | B3 decline | declined (untie) | | S17 |
//! | asked | due | asked, or unanswered | question again | |
//! | account asked | account given | identity asked | identity | S19 |
//! | account asked | unreadable | account asked, or abandoned | account again, or not confirmed | |
//! | account asked, identity asked | due | the same, or abandoned | the same again | |
//! | identity asked | due, and nobody went on for the retention's time | account asked, the number forgotten | | |
//! | identity asked | verified | matching (inquire) | | S19, S20 |
//! | account asked, identity asked, matching | guesses spent | locked | not confirmed | |
//! | matching | matched: confirmed | confirmed (tie) | confirmed | S21, S22 |
//! | matching | matched: rejected | rejected | not confirmed | S22 |
//! | matching | matched: review | review | not confirmed | S22 |
//! | matching | due: nobody decided | rejected | not confirmed | S22 |
//! | review | reviewed: approved | confirmed (tie) | confirmed | S21, S22 |
//! | review | reviewed: rejected | rejected | review rejected | S22 |
//! | review | due | rejected | review rejected | S22 |
//! | rejected | try again, while tries are left | account asked | account | S18 |
//! | confirmed | due | confirmed | renewal | |
//! | confirmed | renew | account asked | account | S18 |
//! | confirmed | untie | declined (untie) | | |
//! | any but ended | customer moved, untied by the company | declined (untie) | | |
//! | no account, declined, unanswered, abandoned, locked, rejected | due | a new dialogue | | |
//! | any but ended | erase asked | the same | erase asked | |
//! | any but ended | erase | declined (erase) | erasing | |
//! | any but ended | left: unfollowed, or the number is another person's ("this is not me") | ended (untie) | | |
//! | ended | due | ended (erase) | | |
//!
//! Every other pair has no effect. A person who answered is answered at once, but for what failed, which is said at a fixed time after the
//! proof; what a review came to is told when quiet hours
//! are over. Surprising: tapping a method of the identity message changes nothing; only the assertion that comes back does. And
//! whoever renews keeps the tie meanwhile: what comes of the new proof either makes it last longer, or lets it end when it would have.
//! So there may be a tie in any state but *ended*, and who says no unties it. A question whether to erase makes no new step: whoever thinks
//! better of it goes on with the buttons that they had.

use jiff::{SignedDuration, Timestamp};

use super::{Choice, Dialogue, Event, RequestMessage, Rules, Stage, State};
use crate::{customer::MatchOutcome, review::Verdict};

/// What a transition asks of its caller, besides storing the dialogue and sending the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask whether the person is a customer.
    Inquire,
    /// Store the tie (customer information).
    Tie,
    /// End the tie, if there is one.
    Untie,
    /// Begin the follower's next dialogue in place of this one.
    BeginAnew,
    /// End the tie, if there is one, and have everything about the follower erased.
    Erase,
}

/// What follows from an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The dialogue as it is now.
    pub dialogue: Dialogue,
    /// What to say.
    pub says: Option<RequestMessage>,
    /// When to say it.
    pub say_time: Timestamp,
    /// What else to do, in the same transaction.
    pub effect: Option<Effect>,
}

/// Moves a dialogue. `None`: the event has no effect in this state.
#[must_use]
pub fn transition(dialogue: &Dialogue, event: &Event, rules: &Rules, now: Timestamp) -> Option<Transition> {
    let mut next = look_up(dialogue, event, rules, now)?;
    if next.says == Some(RequestMessage::NotConfirmed) {
        // While it is matched, a dialogue stands where it did when the proof came.
        let proved = if dialogue.state == State::Matching { dialogue.state_time } else { now };
        next.say_time = failure_time(proved, now);
    }
    Some(next)
}

/// The table.
fn look_up(dialogue: &Dialogue, event: &Event, rules: &Rules, now: Timestamp) -> Option<Transition> {
    use Event as E;
    use State as S;
    let from = Move { dialogue, rules, now };
    match (dialogue.state, event) {
        (S::Ended, E::Due) => {
            Some(from.holding(Dialogue { due_time: None, ..dialogue.clone() }).and(Effect::Erase))
        }
        (S::Ended, _) => None,
        (_, E::Left) => Some(from.to(S::Ended, Some(rules.erase_unfollowed_after)).and(Effect::Untie)),
        (_, E::CustomerMoved | E::Untied) => Some(from.unties()),
        (_, E::EraseAsked) => Some(from.aside(RequestMessage::EraseAsked)),
        (_, E::Chose(Choice::Erase)) => {
            let next = from.to(S::Declined, Some(rules.declined_for));
            Some(next.saying(RequestMessage::Erasing).and(Effect::Erase))
        }

        (S::IdentityAsked, E::Due) if now >= from.lapse() => Some(from.forgets()),
        (S::Waiting | S::Asked | S::AccountAsked | S::IdentityAsked | S::Confirmed, E::Due)
            if !rules.quiet_hours.allows(now) =>
        {
            Some(from.later())
        }
        (S::Waiting, E::Due) => Some(from.asks(S::Asked, RequestMessage::Question, Stage::Asked)),
        (S::Asked, E::Due) => Some(from.reminds(RequestMessage::Question, S::Unanswered)),
        (S::AccountAsked, E::Due) => Some(from.reminds(RequestMessage::Account, S::Abandoned)),
        (S::IdentityAsked, E::Due) => Some(from.reminds(RequestMessage::Identity, S::Abandoned)),
        (S::NoAccount | S::Declined | S::Unanswered | S::Abandoned | S::Locked | S::Rejected, E::Due) => {
            Some(from.holding(dialogue.clone()).and(Effect::BeginAnew))
        }

        (S::Asked, E::Chose(Choice::Confirm)) => {
            Some(from.asks(S::AccountAsked, RequestMessage::Account, Stage::Wants))
        }
        (S::Asked, E::Chose(Choice::NoAccount)) => Some(
            from.to(S::NoAccount, Some(rules.ask_again_after)).reaching(Stage::Answered).and(Effect::Untie),
        ),
        (S::Asked, E::Chose(Choice::Decline)) => Some(from.unties().reaching(Stage::Answered)),

        (S::AccountAsked, E::AccountGiven(given)) => {
            let mut next = from.asks(S::IdentityAsked, RequestMessage::Identity, Stage::AccountGiven);
            next.dialogue.given = Some(given.clone());
            next.dialogue.due_time = next.dialogue.due_time.min(Some(from.after(rules.retain_for)));
            Some(next)
        }
        (S::AccountAsked, E::Unreadable) if dialogue.unreadable < rules.unreadable => {
            let mut next = from.asks(S::AccountAsked, RequestMessage::AccountAgain, Stage::Wants);
            next.dialogue.unreadable = dialogue.unreadable + 1;
            Some(next)
        }
        (S::AccountAsked, E::Unreadable) => {
            Some(from.to(S::Abandoned, Some(rules.ask_again_after)).saying(RequestMessage::NotConfirmed))
        }

        (S::IdentityAsked, E::Verified) => {
            let next = from.to(S::Matching, Some(rules.match_for));
            let mut next = next.reaching(Stage::Verified).and(Effect::Inquire);
            next.dialogue.given.clone_from(&dialogue.given);
            next.dialogue.tries = dialogue.tries.saturating_add(1);
            Some(next)
        }

        (S::Matching, E::Matched(MatchOutcome::Confirmed)) => {
            Some(from.to(S::Confirmed, rules.renew_after).saying(RequestMessage::Confirmed).and(Effect::Tie))
        }
        (S::Matching, E::Matched(MatchOutcome::Review)) => {
            Some(from.to(S::Review, Some(rules.review_for)).saying(RequestMessage::NotConfirmed))
        }
        (S::Matching, E::Matched(MatchOutcome::Rejected) | E::Due) => {
            Some(from.to(S::Rejected, Some(rules.ask_again_after)).saying(RequestMessage::NotConfirmed))
        }
        (S::Review, E::Reviewed(Verdict::Approved)) => {
            let next = from.to(S::Confirmed, rules.renew_after).saying(RequestMessage::Confirmed);
            Some(next.and(Effect::Tie).after_quiet_hours(rules))
        }
        (S::Review, E::Reviewed(Verdict::Rejected) | E::Due) => {
            let next = from.to(S::Rejected, Some(rules.ask_again_after));
            Some(next.saying(RequestMessage::ReviewRejected).after_quiet_hours(rules))
        }
        (S::AccountAsked | S::IdentityAsked | S::Matching, E::GuessesSpent { until }) => {
            let mut next = from.to(S::Locked, None).saying(RequestMessage::NotConfirmed);
            // For life: then people help, and nothing comes of itself.
            next.dialogue.due_time =
                (*until < Timestamp::MAX).then(|| rules.quiet_hours.next_allowed(*until));
            Some(next)
        }

        (S::Rejected, E::Chose(Choice::TryAgain)) if dialogue.tries < rules.tries => {
            Some(from.asks(S::AccountAsked, RequestMessage::Account, Stage::Wants))
        }
        (S::Confirmed, E::Due) => {
            let mut next = from.holding(dialogue.clone()).saying(RequestMessage::Renewal);
            next.dialogue.due_time = None;
            Some(next)
        }
        (S::Confirmed, E::Chose(Choice::Renew)) => {
            let mut next = from.asks(S::AccountAsked, RequestMessage::Account, Stage::Wants);
            next.dialogue.tries = 0;
            Some(next)
        }
        (S::Confirmed, E::Chose(Choice::Untie)) => Some(from.unties()),

        (
            S::Waiting
            | S::Asked
            | S::AccountAsked
            | S::IdentityAsked
            | S::Matching
            | S::Confirmed
            | S::Rejected
            | S::Review
            | S::NoAccount
            | S::Declined
            | S::Unanswered
            | S::Abandoned
            | S::Locked,
            E::Chose(_)
            | E::AccountGiven(_)
            | E::Unreadable
            | E::Verified
            | E::Matched(_)
            | E::Reviewed(_)
            | E::GuessesSpent { .. },
        ) => None,
    }
}

/// What failed is said so long after the proof came, or a multiple of that when finding out took longer.
const FAILURE_TICK: SignedDuration = SignedDuration::from_secs(3);

/// When to say what failed: at a time that the proof's coming tells already, so that how long it took to find out tells nobody what it was.
/// (The next whole second would tell: whoever proves shortly before it hears a second later of what took longer.)
fn failure_time(proved: Timestamp, now: Timestamp) -> Timestamp {
    let (took, tick) = (now.duration_since(proved).as_nanos().max(0), FAILURE_TICK.as_nanos());
    let ticks = (took / tick + i128::from(took % tick > 0)).max(1);
    let wait = i64::try_from(ticks).ok().and_then(|ticks| FAILURE_TICK.as_secs().checked_mul(ticks));
    wait.and_then(|wait| proved.checked_add(SignedDuration::from_secs(wait)).ok()).unwrap_or(Timestamp::MAX)
}

/// Where a transition starts from.
struct Move<'a> {
    dialogue: &'a Dialogue,
    rules: &'a Rules,
    now: Timestamp,
}

impl Move<'_> {
    /// The dialogue as it is given, and nothing said.
    fn holding(&self, dialogue: Dialogue) -> Transition {
        Transition { dialogue, says: None, say_time: self.now, effect: None }
    }

    /// A state that waits for nobody. What the person typed is dropped.
    fn to(&self, state: State, due_after: Option<SignedDuration>) -> Transition {
        let due_time = due_after.map(|after| self.rules.quiet_hours.next_allowed(self.after(after)));
        let dialogue = Dialogue {
            state,
            due_time,
            state_time: self.now,
            given: None,
            reminders: 0,
            unreadable: 0,
            ..self.dialogue.clone()
        };
        self.holding(dialogue)
    }

    /// A state that waits for the person's answer to this message.
    fn asks(&self, state: State, message: RequestMessage, stage: Stage) -> Transition {
        self.to(state, Some(self.rules.remind_after)).saying(message).reaching(stage)
    }

    /// The same message again, or the end of patience.
    fn reminds(&self, message: RequestMessage, end: State) -> Transition {
        if self.dialogue.reminders >= self.rules.reminders {
            return self.to(end, Some(self.rules.ask_again_after));
        }
        let mut dialogue = self.dialogue.clone();
        dialogue.reminders += 1;
        dialogue.messages += 1;
        dialogue.due_time = Some(self.in_time(self.after(self.rules.remind_after)));
        Transition { says: Some(message), ..self.holding(dialogue) }
    }

    /// The person wants nothing individual any more, or the customer has another number.
    fn unties(&self) -> Transition {
        self.to(State::Declined, Some(self.rules.declined_for)).and(Effect::Untie)
    }

    /// The same state, and something said beside it: the buttons of the present step stay good.
    fn aside(&self, message: RequestMessage) -> Transition {
        let mut dialogue = self.dialogue.clone();
        dialogue.messages += 1;
        Transition { says: Some(message), ..self.holding(dialogue) }
    }

    /// What was typed is forgotten, and its links are good no longer. The person is reminded when they would have been, of the account number
    /// now.
    fn forgets(&self) -> Transition {
        let asked = self.dialogue.state_time;
        let remind = asked.checked_add(self.rules.remind_after).unwrap_or(Timestamp::MAX);
        let remind = if remind > self.now { remind } else { self.after(self.rules.remind_after) };
        let mut next = self.to(State::AccountAsked, None);
        next.dialogue.step += 1;
        next.dialogue.reminders = self.dialogue.reminders;
        next.dialogue.due_time = Some(self.rules.quiet_hours.next_allowed(remind));
        next
    }

    /// When what was typed lapses.
    fn lapse(&self) -> Timestamp {
        self.dialogue.state_time.checked_add(self.rules.retain_for).unwrap_or(Timestamp::MAX)
    }

    /// When to look at a dialogue again that waits until then: when quiet hours are over, but never after what was typed lapses.
    fn in_time(&self, time: Timestamp) -> Timestamp {
        let due = self.rules.quiet_hours.next_allowed(time);
        if self.dialogue.given.is_some() { due.min(self.lapse()) } else { due }
    }

    /// The same state, when quiet hours are over.
    fn later(&self) -> Transition {
        let mut dialogue = self.dialogue.clone();
        dialogue.due_time = Some(self.in_time(self.now));
        self.holding(dialogue)
    }

    fn after(&self, duration: SignedDuration) -> Timestamp {
        self.now.checked_add(duration).unwrap_or(Timestamp::MAX)
    }
}

impl Transition {
    /// A message makes a new step: the buttons of the one before are good no longer.
    fn saying(mut self, message: RequestMessage) -> Self {
        self.dialogue.step += 1;
        self.dialogue.messages += 1;
        self.says = Some(message);
        self
    }

    fn reaching(mut self, stage: Stage) -> Self {
        self.dialogue.reached = self.dialogue.reached.max(stage);
        self
    }

    /// Said to somebody who may be asleep.
    fn after_quiet_hours(mut self, rules: &Rules) -> Self {
        self.say_time = rules.quiet_hours.next_allowed(self.say_time);
        self
    }

    fn and(mut self, effect: Effect) -> Self {
        self.effect = Some(effect);
        self
    }
}

#[cfg(test)]
mod tests;
