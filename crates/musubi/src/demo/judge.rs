//! Who ended how and received what, against what the story says and the company's view entails: pure.
//!
//! Nothing here asks a node. Surprising: what a follower is due follows from where the company sees them, not from their story;
//! a follower who was rejected against the story still has to get the uniform message, and only that.

use std::fmt;

use musubi_proto::information::v1::FollowerOutcome;
use musubi_terminal_simulator::story::Story;

/// Where the company sees a follower at the end.
#[derive(Clone)]
pub(super) struct Standing {
    /// The outcome.
    pub(super) outcome: FollowerOutcome,
    /// The customer tied or proposed; empty without one.
    pub(super) customer_id: Box<str>,
    /// Codes of the match, joined; kept only where the outcome is not the story's.
    pub(super) reasons: Box<str>,
}

impl Standing {
    /// The customer that the follower is tied to.
    pub(super) fn tied_to(&self) -> Option<&str> {
        (self.outcome == FollowerOutcome::Confirmed).then_some(&*self.customer_id)
    }
}

/// What a text in a talk room is, once the dialogue's own messages are left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text<'a> {
    /// The uniform message of the final distribution.
    Uniform,
    /// The individual message made for this customer.
    Individual(&'a str),
    /// Nothing that anybody asked to be sent.
    Unknown,
}

/// What one talk room showed beyond the dialogue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// Individual messages, whosever.
    pub(super) individual: u32,
    /// Of these, made for somebody else than the customer that the follower is tied to.
    pub(super) foreign: u32,
    /// Uniform messages.
    pub(super) uniform: u32,
    /// Messages that nobody asked to be sent.
    pub(super) unknown: u32,
}

impl Received {
    /// Counts one more text; `tied_to` is the customer that the follower is tied to.
    pub(super) fn count(&mut self, text: Text<'_>, tied_to: Option<&str>) {
        match text {
            Text::Uniform => self.uniform += 1,
            Text::Individual(customer) => {
                self.individual += 1;
                self.foreign += u32::from(tied_to != Some(customer));
            }
            Text::Unknown => self.unknown += 1,
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// Shown a message made for another person.
    WrongPerson,
    /// Ended otherwise than the story says.
    Outcome,
    /// Tied to, or proposed as, another customer than the story says.
    Customer,
    /// Shown a message that nobody asked to be sent.
    Unknown,
    /// Shown the uniform message without being due one.
    NotDue,
    /// Shown the same kind of message twice.
    Twice,
    /// Not shown the message that was due.
    Missing,
}

impl Fault {
    /// Whether it is about how the story ended.
    pub(super) const fn is_of_the_story(self) -> bool {
        match self {
            Self::Outcome | Self::Customer => true,
            Self::WrongPerson | Self::Unknown | Self::NotDue | Self::Twice | Self::Missing => false,
        }
    }

    /// Whether it is about the final distribution, and not the worst that can happen there.
    pub(super) const fn is_of_a_delivery(self) -> bool {
        match self {
            Self::Unknown | Self::NotDue | Self::Twice | Self::Missing => true,
            Self::WrongPerson | Self::Outcome | Self::Customer => false,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongPerson => "was shown a message made for another person",
            Self::Outcome => "ended otherwise than the story says",
            Self::Customer => "was taken for another customer",
            Self::Unknown => "was shown a message that nobody asked to be sent",
            Self::NotDue => "was shown a uniform message that was not due",
            Self::Twice => "was shown the message twice",
            Self::Missing => "was not shown the message that was due",
        })
    }
}

/// The outcome in the words of stories and reports.
pub(super) const fn word(outcome: FollowerOutcome) -> &'static str {
    match outcome {
        FollowerOutcome::Unspecified => "unknown",
        FollowerOutcome::Waiting => "waiting",
        FollowerOutcome::Unanswered => "unanswered",
        FollowerOutcome::Underway => "underway",
        FollowerOutcome::Confirmed => "confirmed",
        FollowerOutcome::Rejected => "rejected",
        FollowerOutcome::Review => "review",
        FollowerOutcome::NoAccount => "no_account",
        FollowerOutcome::Declined => "declined",
        FollowerOutcome::Abandoned => "abandoned",
        FollowerOutcome::Locked => "locked",
        FollowerOutcome::Unfollowed => "unfollowed",
    }
}

/// Everything that is wrong with one follower, worst first. Without a distribution (`distributed` is false) nothing was due.
pub(super) fn judge(story: &Story, standing: &Standing, received: Received, distributed: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut note = |is: bool, fault| {
        if is {
            faults.push(fault);
        }
    };
    let as_told = word(standing.outcome) == story.expected.as_str();
    let customer = story.expected_customer_id.as_deref();
    let (individual_due, uniform_due) = match (distributed, standing.outcome) {
        (false, _) | (true, FollowerOutcome::Unfollowed | FollowerOutcome::Unspecified) => (0, 0),
        (true, FollowerOutcome::Confirmed) => (1, 0),
        (
            true,
            FollowerOutcome::Waiting
            | FollowerOutcome::Unanswered
            | FollowerOutcome::Underway
            | FollowerOutcome::Rejected
            | FollowerOutcome::Review
            | FollowerOutcome::NoAccount
            | FollowerOutcome::Declined
            | FollowerOutcome::Abandoned
            | FollowerOutcome::Locked,
        ) => (0, 1),
    };
    note(received.foreign > 0, Fault::WrongPerson);
    note(!as_told, Fault::Outcome);
    note(as_told && customer.is_some_and(|customer| *customer != *standing.customer_id), Fault::Customer);
    note(received.unknown > 0, Fault::Unknown);
    note(received.uniform > 0 && uniform_due == 0, Fault::NotDue);
    note(received.individual > 1 || received.uniform > 1, Fault::Twice);
    note(
        received.individual < individual_due + received.foreign || received.uniform < uniform_due,
        Fault::Missing,
    );
    faults
}

#[cfg(test)]
mod tests {
    use musubi_terminal_simulator::story::{Expected, Reply, UnfollowAfter};

    use super::{FollowerOutcome as O, *};

    fn story(expected: Expected, customer: Option<&str>) -> Story {
        Story {
            phone_number: "+818012345678".to_owned(),
            carrier: "kumo".to_owned(),
            official_account: "aoba-bank".to_owned(),
            reply: Reply::Confirm,
            account_text: "1".to_owned(),
            identity: None,
            unfollow_after: UnfollowAfter::Never,
            expected,
            expected_customer_id: customer.map(str::to_owned),
            story: String::new(),
        }
    }

    fn at(outcome: O, customer: &str) -> Standing {
        Standing { outcome, customer_id: customer.into(), reasons: Box::default() }
    }

    fn shown(texts: &[Text<'_>], standing: &Standing) -> Received {
        let mut received = Received::default();
        texts.iter().for_each(|text| received.count(*text, standing.tied_to()));
        received
    }

    fn faults(story: &Story, standing: &Standing, texts: &[Text<'_>]) -> Vec<Fault> {
        judge(story, standing, shown(texts, standing), true)
    }

    const OWN: Text<'_> = Text::Individual("A1");
    const OTHERS: Text<'_> = Text::Individual("A2");

    #[test]
    fn confirmed_follower_is_due_the_own_individual_message_once() {
        let (story, standing) = (story(Expected::Confirmed, Some("A1")), at(O::Confirmed, "A1"));
        for (texts, expected) in [
            (&[OWN][..], &[][..]),
            (&[], &[Fault::Missing]),
            (&[OWN, OWN], &[Fault::Twice]),
            (&[OTHERS], &[Fault::WrongPerson, Fault::Missing]),
            (&[OWN, OTHERS], &[Fault::WrongPerson, Fault::Twice]),
            (&[Text::Uniform], &[Fault::NotDue, Fault::Missing]),
            (&[OWN, Text::Uniform], &[Fault::NotDue]),
            (&[OWN, Text::Unknown], &[Fault::Unknown]),
        ] {
            assert_eq!(faults(&story, &standing, texts), expected, "{texts:?}");
        }
    }

    #[test]
    fn follower_who_is_not_confirmed_is_due_the_uniform_message_once_and_no_other() {
        for (expected, outcome) in [
            (Expected::Rejected, O::Rejected),
            (Expected::NoAccount, O::NoAccount),
            (Expected::Declined, O::Declined),
            (Expected::Unanswered, O::Unanswered),
        ] {
            let (story, standing) = (story(expected, None), at(outcome, ""));
            assert_eq!(faults(&story, &standing, &[Text::Uniform]), []);
            assert_eq!(faults(&story, &standing, &[]), [Fault::Missing]);
            assert_eq!(faults(&story, &standing, &[Text::Uniform; 2]), [Fault::Twice]);
            assert_eq!(faults(&story, &standing, &[Text::Uniform, OWN]), [Fault::WrongPerson]);
        }
    }

    #[test]
    fn customer_proposed_in_review_is_not_tied() {
        let (story, standing) = (story(Expected::Review, Some("A1")), at(O::Review, "A1"));
        assert_eq!(faults(&story, &standing, &[Text::Uniform]), []);
        assert_eq!(faults(&story, &standing, &[OWN]), [Fault::WrongPerson, Fault::Missing]);
        assert_eq!(faults(&story, &at(O::Review, "A2"), &[Text::Uniform]), [Fault::Customer]);
    }

    #[test]
    fn whoever_left_is_due_nothing() {
        let (story, standing) = (story(Expected::Unfollowed, None), at(O::Unfollowed, ""));
        assert_eq!(faults(&story, &standing, &[]), []);
        assert_eq!(faults(&story, &standing, &[Text::Uniform]), [Fault::NotDue]);
        assert_eq!(faults(&story, &standing, &[OWN]), [Fault::WrongPerson]);
    }

    #[test]
    fn wrong_ending_is_a_fault_though_the_message_fits_the_ending() {
        let rejected = story(Expected::Rejected, None);
        assert_eq!(faults(&rejected, &at(O::Confirmed, "A1"), &[OWN]), [Fault::Outcome]);
        let confirmed = story(Expected::Confirmed, Some("A1"));
        assert_eq!(faults(&confirmed, &at(O::Rejected, ""), &[Text::Uniform]), [Fault::Outcome]);
        assert_eq!(faults(&confirmed, &at(O::Confirmed, "A2"), &[OTHERS]), [Fault::Customer]);
        assert_eq!(faults(&confirmed, &at(O::Unspecified, ""), &[]), [Fault::Outcome]);
    }

    #[test]
    fn without_a_distribution_nothing_is_missing() {
        let standing = at(O::Confirmed, "A1");
        let story = story(Expected::Confirmed, Some("A1"));
        assert_eq!(judge(&story, &standing, Received::default(), false), []);
    }

    #[test]
    fn every_expected_ending_is_the_word_of_an_outcome() {
        let outcomes =
            [O::Confirmed, O::Rejected, O::Review, O::NoAccount, O::Declined, O::Unanswered, O::Unfollowed];
        let words: Vec<&str> = outcomes.into_iter().map(word).collect();
        for expected in Expected::ALL {
            assert!(words.contains(&expected.as_str()), "{expected}");
        }
    }
}
