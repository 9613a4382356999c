//! Facts about the table.

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
        Event::Chose(Choice::Erase),
        Event::AccountGiven(given()),
        Event::Unreadable,
        Event::Verified,
        Event::Matched(MatchOutcome::Confirmed),
        Event::Matched(MatchOutcome::Review),
        Event::Matched(MatchOutcome::Rejected),
        Event::Reviewed(Verdict::Approved),
        Event::Reviewed(Verdict::Rejected),
        Event::CustomerMoved,
        Event::Untied,
        Event::GuessesSpent { until: now() },
        Event::EraseAsked,
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
    check(S::Matching, &Event::Due, S::Rejected, Some(M::NotConfirmed), None);
    let erase = Some(Effect::Erase);
    for state in State::ALL.into_iter().filter(|state| *state != S::Ended) {
        check(state, &Event::Left, S::Ended, None, untie);
        check(state, &Event::CustomerMoved, S::Declined, None, untie);
        check(state, &Event::Untied, S::Declined, None, untie);
        check(state, &Event::EraseAsked, state, Some(M::EraseAsked), None);
        check(state, &Event::Chose(Choice::Erase), S::Declined, Some(M::Erasing), erase);
    }
    check(S::Ended, &Event::Due, S::Ended, None, erase);
}

#[test]
fn a_question_whether_to_erase_leaves_the_buttons_good() {
    let asked = Dialogue { step: 3, messages: 4, ..dialogue(State::IdentityAsked) };
    let next = transition(&asked, &Event::EraseAsked, &Rules::default(), now()).unwrap().dialogue;
    assert_eq!((next.step, next.messages, next.given.is_some()), (3, 5, true));
}

#[test]
fn what_was_typed_lapses_when_nobody_goes_on_and_the_reminder_asks_for_it_again() {
    // Quiet all the time in which it happens: nothing is said.
    let quiet_hours = QuietHours::parse("11:00-15:00", "Asia/Tokyo").unwrap();
    for (quiet_hours, retain) in [(QuietHours::none(), 15), (quiet_hours, 15), (QuietHours::none(), 60 * 30)]
    {
        let rules = Rules { retain_for: SignedDuration::from_mins(retain), quiet_hours, ..Rules::default() };
        let event = Event::AccountGiven(given());
        let mut current = transition(&dialogue(State::AccountAsked), &event, &rules, now()).unwrap().dialogue;
        let lapse = now() + rules.retain_for;
        let step = current.step;
        while current.state == State::IdentityAsked {
            let due = current.due_time.unwrap();
            assert!(due <= lapse, "{due} is after the lapse");
            current = transition(&current, &Event::Due, &rules, due).unwrap().dialogue;
            assert_eq!(current.given.is_some(), due < lapse);
        }
        assert_eq!((current.state, current.step), (State::AccountAsked, step + 1));
        let due = current.due_time.unwrap();
        let next = transition(&current, &Event::Due, &rules, due).unwrap();
        let ends = next.dialogue.state == State::Abandoned;
        assert!(ends || next.says == Some(RequestMessage::Account), "{next:?}");
    }
}

#[test]
fn who_follows_no_more_is_erased_when_the_time_has_come() {
    let rules = Rules { erase_unfollowed_after: SignedDuration::from_hours(48), ..Rules::default() };
    let left = transition(&dialogue(State::Confirmed), &Event::Left, &rules, now()).unwrap().dialogue;
    assert_eq!(left.due_time, Some(now() + SignedDuration::from_hours(48)));
    let erased = transition(&left, &Event::Due, &rules, now()).unwrap();
    assert_eq!((erased.effect, erased.dialogue.due_time), (Some(Effect::Erase), None));
}

#[test]
fn pairs_outside_the_table_have_no_effect() {
    let mut silent = 0;
    for state in State::ALL {
        for event in events() {
            silent += usize::from(transition(&dialogue(state), &event, &Rules::default(), now()).is_none());
        }
    }
    // 14 states x 22 events, less the 96 pairs of the table above.
    assert_eq!(silent, 14 * 22 - 96);
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
    assert_eq!(opened.say_time, now() + SignedDuration::from_secs(3), "the person has just answered");
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

/// A dialogue whose proof came at that time.
fn proved(at: Timestamp) -> Dialogue {
    Dialogue { state_time: at, ..dialogue(State::Matching) }
}

#[test]
fn what_failed_is_said_at_a_fixed_time_after_the_proof_and_what_succeeded_at_once() {
    let rules = Rules::default();
    for (millis, seconds) in [(0, 3), (1, 3), (999, 3), (1_000, 3), (3_000, 3), (3_001, 6), (9_500, 12)] {
        let (came, now) = (now_at(0), now_at(millis));
        let say_time =
            |dialogue: &Dialogue, event: &Event| transition(dialogue, event, &rules, now).unwrap().say_time;
        let tick = came + SignedDuration::from_secs(seconds);
        for outcome in [MatchOutcome::Rejected, MatchOutcome::Review] {
            assert_eq!(say_time(&proved(came), &Event::Matched(outcome)), tick, "{outcome:?} {millis}");
        }
        assert_eq!(say_time(&proved(came), &Event::GuessesSpent { until: now }), tick);
        let at_once = say_time(&dialogue(State::IdentityAsked), &Event::GuessesSpent { until: now });
        assert_eq!(at_once, now + SignedDuration::from_secs(3), "the proof has just come");
        assert_eq!(say_time(&proved(came), &Event::Matched(MatchOutcome::Confirmed)), now);
    }
}

/// Numbers as if drawn, the same in each run.
struct Draw(u64);

impl Draw {
    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from((self.0 >> 33) as u32) / f64::from(u32::MAX >> 1)
    }
}

/// Mean and variance of the mean.
fn moments(delays: &[f64]) -> (f64, f64) {
    let count = delays.len() as f64;
    let mean = delays.iter().sum::<f64>() / count;
    let spread: f64 = delays.iter().map(|delay| (delay - mean).powi(2)).sum();
    (mean, spread / (count - 1.0) / count)
}

/// The largest of Welch's t over all pairs of causes. What differs by more than 4.5 can be told apart.
fn largest_t(causes: &[Vec<f64>]) -> f64 {
    let mut largest = 0.0_f64;
    for (at, one) in causes.iter().enumerate() {
        for other in &causes[at + 1..] {
            let ((a, va), (b, vb)) = (moments(one), moments(other));
            largest = largest.max((a - b).abs() / (va + vb).sqrt());
        }
    }
    largest
}

/// Proofs that fail for different causes take different times to find out: the guesses are spent, the number is nobody's, the name differs, the
/// company is asked, a review is sealed. Over 100,000 replies with the network's noise in them the delays of no two causes can be
/// told apart; the same replies said at once, or on the next whole second, can.
#[test]
fn the_delay_of_a_reply_does_not_tell_why_it_failed() {
    const REPLIES: usize = 20_000;
    // Milliseconds at least, and at most so many more.
    let causes = [
        (0.0, 0.2, None),
        (0.3, 1.0, Some(false)),
        (1.0, 4.0, Some(false)),
        (8.0, 60.0, Some(false)),
        (10.0, 80.0, Some(true)),
    ];
    let mut draw = Draw(7);
    let mut delays = [(); 3].map(|()| Vec::new());
    for (least, more, review) in causes {
        let mut of_cause = [(); 3].map(|()| Vec::with_capacity(REPLIES));
        for _ in 0..REPLIES {
            let millis = |millis: f64| SignedDuration::from_nanos((millis * 1e6) as i64);
            let came = now_at(0) + millis(draw.unit() * 1_000.0);
            let known = came + millis(least + draw.unit() * more);
            let next = match review {
                None => transition(
                    &dialogue(State::IdentityAsked),
                    &Event::GuessesSpent { until: known },
                    &Rules::default(),
                    came,
                ),
                Some(review) => {
                    let outcome = if review { MatchOutcome::Review } else { MatchOutcome::Rejected };
                    transition(&proved(came), &Event::Matched(outcome), &Rules::default(), known)
                }
            };
            let next = next.unwrap();
            assert_eq!(next.says, Some(RequestMessage::NotConfirmed), "one text for all");
            let second = known.as_second() + i64::from(known.subsec_nanosecond() > 0);
            let whole_second = Timestamp::from_second(second).unwrap();
            let noise = draw.unit() * 20.0;
            for (delays, said) in of_cause.iter_mut().zip([next.say_time, known, whole_second]) {
                delays.push(said.duration_since(came).as_secs_f64() * 1e3 + noise);
            }
        }
        delays.iter_mut().zip(of_cause).for_each(|(all, of_cause)| all.push(of_cause));
    }
    let [fixed, at_once, whole_second] = delays.map(|causes| largest_t(&causes));
    assert!(fixed < 4.5, "t = {fixed}");
    assert!(at_once > 4.5 && whole_second > 4.5, "the leaks are found: t = {at_once}, {whole_second}");
}

proptest! {
    #[test]
    fn the_number_typed_never_outlives_the_match(choices in prop::collection::vec(0..21usize, 0..40)) {
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
