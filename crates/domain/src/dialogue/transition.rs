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
//! | identity asked | verified | matching (inquire) | | S19, S20 |
//! | account asked, identity asked, matching | guesses spent | locked | not confirmed | |
//! | matching | matched: confirmed | confirmed (tie) | confirmed | S21, S22 |
//! | matching | matched: rejected | rejected | not confirmed | S22 |
//! | matching | matched: review | review | not confirmed | S22 |
//! | review | reviewed: approved | confirmed (tie) | confirmed | S21, S22 |
//! | review | reviewed: rejected | rejected | review rejected | S22 |
//! | review | due | rejected | review rejected | S22 |
//! | rejected | try again, while tries are left | account asked | account | S18 |
//! | confirmed | due | confirmed | renewal | |
//! | confirmed | renew | account asked | account | S18 |
//! | confirmed | untie | declined (untie) | | |
//! | any but ended | customer moved | declined (untie) | | |
//! | no account, declined, unanswered, abandoned, locked, rejected | due | a new dialogue | | |
//! | any but ended | left: unfollowed, or the number is another person's ("this is not me") | ended (untie) | | |
//!
//! Every other pair has no effect. A person who answered is answered at once; what a review came to is told when quiet hours
//! are over. Surprising: tapping a method of the identity message changes nothing; only the assertion that comes back does. And
//! whoever renews keeps the tie meanwhile: what comes of the new proof either makes it last longer, or lets it end when it would have.
//! So there may be a tie in any state but *ended*, and who says no unties it.

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
    use Event as E;
    use State as S;
    let from = Move { dialogue, rules, now };
    match (dialogue.state, event) {
        (S::Ended, _) => None,
        (_, E::Left) => Some(from.to(S::Ended, None).and(Effect::Untie)),
        (_, E::CustomerMoved) => Some(from.unties()),

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
            let mut next = from.to(S::Matching, None).reaching(Stage::Verified).and(Effect::Inquire);
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
        (S::Matching, E::Matched(MatchOutcome::Rejected)) => {
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
            next.dialogue.due_time = Some(rules.quiet_hours.next_allowed(*until));
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
            E::Due
            | E::Chose(_)
            | E::AccountGiven(_)
            | E::Unreadable
            | E::Verified
            | E::Matched(_)
            | E::Reviewed(_)
            | E::GuessesSpent { .. },
        ) => None,
    }
}

/// The next whole second. What failed is said then, so that how long it took to find out tells nobody what it was.
fn whole_second(now: Timestamp) -> Timestamp {
    let second = now.as_second() + i64::from(now.subsec_nanosecond() > 0);
    Timestamp::from_second(second).unwrap_or(Timestamp::MAX)
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
        dialogue.due_time = Some(self.rules.quiet_hours.next_allowed(self.after(self.rules.remind_after)));
        Transition { says: Some(message), ..self.holding(dialogue) }
    }

    /// The person wants nothing individual any more, or the customer has another number.
    fn unties(&self) -> Transition {
        self.to(State::Declined, Some(self.rules.declined_for)).and(Effect::Untie)
    }

    /// The same state, when quiet hours are over.
    fn later(&self) -> Transition {
        let mut dialogue = self.dialogue.clone();
        dialogue.due_time = Some(self.rules.quiet_hours.next_allowed(self.now));
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
        if message == RequestMessage::NotConfirmed {
            self.say_time = whole_second(self.say_time);
        }
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
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        customer::GivenAccount,
        id::{DialogueId, FollowerId},
        identity::IdentityMethod,
        quiet_hours::QuietHours,
    };

    fn now() -> Timestamp {
        "2026-11-23T03:00:00Z".parse().unwrap()
    }

    fn dialogue(state: State) -> Dialogue {
        let id = DialogueId::derive(FollowerId::from_bytes([1; 16]), 0);
        let given = matches!(state, State::IdentityAsked | State::Matching).then(given);
        Dialogue { state, given, ..Dialogue::begin(id, 0, &Rules::default(), now()) }
    }

    fn given() -> GivenAccount {
        GivenAccount { branch_number: None, account_number: "1234567".to_owned() }
    }

    fn events() -> Vec<Event> {
        vec![
            Event::Due,
            Event::Chose(Choice::Confirm),
            Event::Chose(Choice::NoAccount),
            Event::Chose(Choice::Decline),
            Event::Chose(Choice::Method(IdentityMethod::Jpki)),
            Event::Chose(Choice::TryAgain),
            Event::Chose(Choice::Untie),
            Event::Chose(Choice::Renew),
            Event::AccountGiven(given()),
            Event::Unreadable,
            Event::Verified,
            Event::Matched(MatchOutcome::Confirmed),
            Event::Matched(MatchOutcome::Review),
            Event::Matched(MatchOutcome::Rejected),
            Event::Reviewed(Verdict::Approved),
            Event::Reviewed(Verdict::Rejected),
            Event::CustomerMoved,
            Event::GuessesSpent { until: now() },
            Event::Left,
        ]
    }

    fn check(from: State, event: &Event, to: State, says: Option<RequestMessage>, effect: Option<Effect>) {
        let next = transition(&dialogue(from), event, &Rules::default(), now())
            .unwrap_or_else(|| panic!("{from:?} {event:?} has an effect"));
        assert_eq!((next.dialogue.state, next.says, next.effect), (to, says, effect), "{from:?} {event:?}");
    }

    #[test]
    fn the_flow_of_figure_10() {
        use RequestMessage as M;
        use State as S;
        let confirm = Event::Chose(Choice::Confirm);
        check(S::Waiting, &Event::Due, S::Asked, Some(M::Question), None);
        check(S::Asked, &confirm, S::AccountAsked, Some(M::Account), None);
        check(S::AccountAsked, &Event::AccountGiven(given()), S::IdentityAsked, Some(M::Identity), None);
        check(S::AccountAsked, &Event::Unreadable, S::AccountAsked, Some(M::AccountAgain), None);
        check(S::IdentityAsked, &Event::Verified, S::Matching, None, Some(Effect::Inquire));
        let matched = |outcome| Event::Matched(outcome);
        let tie = Some(Effect::Tie);
        check(S::Matching, &matched(MatchOutcome::Confirmed), S::Confirmed, Some(M::Confirmed), tie);
        check(S::Matching, &matched(MatchOutcome::Rejected), S::Rejected, Some(M::NotConfirmed), None);
        check(S::Matching, &matched(MatchOutcome::Review), S::Review, Some(M::NotConfirmed), None);
        check(S::Rejected, &Event::Chose(Choice::TryAgain), S::AccountAsked, Some(M::Account), None);
        let untie = Some(Effect::Untie);
        check(S::Asked, &Event::Chose(Choice::NoAccount), S::NoAccount, None, untie);
        check(S::Asked, &Event::Chose(Choice::Decline), S::Declined, None, untie);
        check(S::Confirmed, &Event::Chose(Choice::Untie), S::Declined, None, untie);
        check(S::Confirmed, &Event::Due, S::Confirmed, Some(M::Renewal), None);
        check(S::Confirmed, &Event::Chose(Choice::Renew), S::AccountAsked, Some(M::Account), None);
        check(S::Review, &Event::Reviewed(Verdict::Approved), S::Confirmed, Some(M::Confirmed), tie);
        for end in [Event::Reviewed(Verdict::Rejected), Event::Due] {
            check(S::Review, &end, S::Rejected, Some(M::ReviewRejected), None);
        }
        for state in State::ALL.into_iter().filter(|state| *state != S::Ended) {
            check(state, &Event::Left, S::Ended, None, untie);
            check(state, &Event::CustomerMoved, S::Declined, None, untie);
        }
    }

    #[test]
    fn pairs_outside_the_table_have_no_effect() {
        let mut silent = 0;
        for state in State::ALL {
            for event in events() {
                silent +=
                    usize::from(transition(&dialogue(state), &event, &Rules::default(), now()).is_none());
            }
        }
        // 14 states x 19 events, less the 55 pairs of the table above.
        assert_eq!(silent, 14 * 19 - 55);
    }

    #[test]
    fn nothing_but_a_positive_match_or_an_approval_ties() {
        for state in State::ALL {
            for event in events() {
                let next = transition(&dialogue(state), &event, &Rules::default(), now());
                let ties = next.is_some_and(|next| next.effect == Some(Effect::Tie));
                let positive = (state == State::Matching && event == Event::Matched(MatchOutcome::Confirmed))
                    || (state == State::Review && event == Event::Reviewed(Verdict::Approved));
                assert_eq!(ties, positive, "{state:?} {event:?}");
            }
        }
    }

    #[test]
    fn patience_ends_after_the_reminders() {
        let rules = Rules { reminders: 2, ..Rules::default() };
        let mut asked = dialogue(State::Asked);
        for expected in [State::Asked, State::Asked, State::Unanswered] {
            asked = transition(&asked, &Event::Due, &rules, now()).unwrap().dialogue;
            assert_eq!(asked.state, expected);
        }
        let anew = transition(&asked, &Event::Due, &rules, now()).unwrap();
        assert_eq!(anew.effect, Some(Effect::BeginAnew));
    }

    #[test]
    fn unreadable_texts_are_borne_up_to_the_limit() {
        let mut asked = dialogue(State::AccountAsked);
        for expected in [State::AccountAsked, State::AccountAsked, State::Abandoned] {
            asked = transition(&asked, &Event::Unreadable, &Rules::default(), now()).unwrap().dialogue;
            assert_eq!(asked.state, expected);
        }
    }

    #[test]
    fn tries_end() {
        let spent = Dialogue { tries: 3, ..dialogue(State::Rejected) };
        assert_eq!(transition(&spent, &Event::Chose(Choice::TryAgain), &Rules::default(), now()), None);
    }

    #[test]
    fn nobody_is_asked_in_quiet_hours() {
        // 03:00 UTC is noon in Tokyo; quiet from 11 to 13 there.
        let quiet_hours = QuietHours::parse("11:00-13:00", "Asia/Tokyo").unwrap();
        let rules = Rules { quiet_hours, ..Rules::default() };
        let next = transition(&dialogue(State::Waiting), &Event::Due, &rules, now()).unwrap();
        assert_eq!((next.dialogue.state, next.says), (State::Waiting, None));
        assert_eq!(next.dialogue.due_time, Some("2026-11-23T04:00:00Z".parse().unwrap()));
    }

    #[test]
    fn a_review_waits_its_time_and_its_end_is_told_when_quiet_hours_are_over() {
        // 03:00 UTC is noon in Tokyo; quiet from 11 to 13 there.
        let quiet_hours = QuietHours::parse("11:00-13:00", "Asia/Tokyo").unwrap();
        let rules = Rules { quiet_hours, review_for: SignedDuration::from_hours(48), ..Rules::default() };
        let matched = Event::Matched(MatchOutcome::Review);
        let opened = transition(&dialogue(State::Matching), &matched, &rules, now()).unwrap();
        assert_eq!(opened.say_time, now(), "the person has just answered");
        assert_eq!(opened.dialogue.due_time, Some("2026-11-25T04:00:00Z".parse().unwrap()));
        let ends = [Event::Reviewed(Verdict::Approved), Event::Reviewed(Verdict::Rejected), Event::Due];
        for end in ends {
            let next = transition(&opened.dialogue, &end, &rules, now()).unwrap();
            assert_eq!(next.say_time, "2026-11-23T04:00:00Z".parse().unwrap(), "{end:?}");
            assert_ne!(next.dialogue.state, State::Review);
        }
    }

    /// So long after 10:00:07 in Japan.
    fn now_at(millis: i64) -> Timestamp {
        let second: Timestamp = "2026-11-23T01:00:07Z".parse().unwrap();
        second + SignedDuration::from_millis(millis)
    }

    #[test]
    fn what_failed_is_said_on_a_whole_second_and_what_succeeded_at_once() {
        let rules = Rules::default();
        let tick: Timestamp = "2026-11-23T01:00:08Z".parse().unwrap();
        for millis in [1, 250, 999, 1_000] {
            let now = now_at(millis);
            let say_time =
                |state, event: &Event| transition(&dialogue(state), event, &rules, now).unwrap().say_time;
            for outcome in [MatchOutcome::Rejected, MatchOutcome::Review] {
                assert_eq!(say_time(State::Matching, &Event::Matched(outcome)), tick, "{outcome:?} {millis}");
            }
            assert_eq!(say_time(State::Matching, &Event::GuessesSpent { until: now }), tick);
            assert_eq!(say_time(State::Matching, &Event::Matched(MatchOutcome::Confirmed)), now);
        }
    }

    proptest! {
        #[test]
        fn the_number_typed_never_outlives_the_match(choices in prop::collection::vec(0..19usize, 0..40)) {
            let events = events();
            let mut current = dialogue(State::Waiting);
            for choice in choices {
                let Some(next) = transition(&current, &events[choice], &Rules::default(), now()) else { continue };
                prop_assert!(next.dialogue.reached >= current.reached);
                prop_assert!(next.dialogue.step >= current.step);
                prop_assert!(next.says.is_none() || next.dialogue.messages == current.messages + 1);
                current = next.dialogue;
                let keeps = matches!(current.state, State::IdentityAsked | State::Matching);
                prop_assert_eq!(current.given.is_some(), keeps);
            }
        }
    }
}
