//! The dialogue with one follower (S15 to S23), as data: where it stands, what can happen, what is said.
//!
//! The rule that moves it is [`transition()`], a table; nothing else changes a [`State`]. Surprising: the account number that a
//! person typed lives in here only until a match has been decided, or until the person hasn't gone on for so long ([`Rules::retain_for`]);
//! every state past that drops it.

mod transition;

use jiff::{SignedDuration, Timestamp};

use crate::{
    customer::{GivenAccount, MatchOutcome},
    id::DialogueId,
    identity::IdentityMethod,
    quiet_hours::QuietHours,
    review::Verdict,
};

pub use transition::{Effect, Transition, transition};

/// Where a dialogue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be asked when due.
    Waiting,
    /// The question was sent (fig. 7).
    Asked,
    /// The account message was sent (fig. 8).
    AccountAsked,
    /// The identity message was sent (fig. 9).
    IdentityAsked,
    /// An identity was attested; the match is being decided.
    Matching,
    /// Tied to a customer.
    Confirmed,
    /// No match.
    Rejected,
    /// The company's operators have to look.
    Review,
    /// The person has no account (B2).
    NoAccount,
    /// The person wants no personal information (B3).
    Declined,
    /// The question was never answered.
    Unanswered,
    /// Begun and not finished.
    Abandoned,
    /// Too many wrong answers.
    Locked,
    /// The person unfollowed, or the number is another's.
    Ended,
}

impl State {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 14] = [
        Self::Waiting,
        Self::Asked,
        Self::AccountAsked,
        Self::IdentityAsked,
        Self::Matching,
        Self::Confirmed,
        Self::Rejected,
        Self::Review,
        Self::NoAccount,
        Self::Declined,
        Self::Unanswered,
        Self::Abandoned,
        Self::Locked,
        Self::Ended,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Asked => "asked",
            Self::AccountAsked => "account_asked",
            Self::IdentityAsked => "identity_asked",
            Self::Matching => "matching",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Review => "review",
            Self::NoAccount => "no_account",
            Self::Declined => "declined",
            Self::Unanswered => "unanswered",
            Self::Abandoned => "abandoned",
            Self::Locked => "locked",
            Self::Ended => "ended",
        }
    }

    /// Whether the dialogue waits for the person.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::Asked | Self::AccountAsked | Self::IdentityAsked)
    }
}

/// One dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialogue {
    /// Derived from the follower and the turn.
    pub id: DialogueId,
    /// How many dialogues this follower had before.
    pub turn: u32,
    /// Where it stands.
    pub state: State,
    /// The step whose postbacks are good now; grows with every message that asks something new.
    pub step: u16,
    /// Messages made so far; numbers their ids.
    pub messages: u16,
    /// Reminders of the present step.
    pub reminders: u8,
    /// Texts of the present step that could not be read.
    pub unreadable: u8,
    /// Account numbers tried.
    pub tries: u8,
    /// The furthest stage that it reached, for the funnel.
    pub reached: Stage,
    /// When [`Event::Due`] comes.
    pub due_time: Option<Timestamp>,
    /// When the state was reached.
    pub state_time: Timestamp,
    /// What the person typed; gone once a match is decided.
    pub given: Option<GivenAccount>,
}

impl Dialogue {
    /// A follower's next dialogue, to be asked as soon as quiet hours allow.
    #[must_use]
    pub fn begin(id: DialogueId, turn: u32, rules: &Rules, now: Timestamp) -> Self {
        Self {
            id,
            turn,
            state: State::Waiting,
            step: 0,
            messages: 0,
            reminders: 0,
            unreadable: 0,
            tries: 0,
            reached: Stage::Follower,
            due_time: Some(rules.quiet_hours.next_allowed(now)),
            state_time: now,
            given: None,
        }
    }
}

/// The stages of the funnel, in order; a dialogue only moves on in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// On the list.
    Follower,
    /// Was sent the question.
    Asked,
    /// Answered it.
    Answered,
    /// Wants personal information.
    Wants,
    /// Gave an account number.
    AccountGiven,
    /// Had the identity verified.
    Verified,
}

impl Stage {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 6] =
        [Self::Follower, Self::Asked, Self::Answered, Self::Wants, Self::AccountGiven, Self::Verified];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Follower => "follower",
            Self::Asked => "asked",
            Self::Answered => "answered",
            Self::Wants => "wants",
            Self::AccountGiven => "account_given",
            Self::Verified => "verified",
        }
    }
}

/// What a button means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Choice {
    /// Question B1: confirm my account.
    Confirm,
    /// Question B2: I have no account.
    NoAccount,
    /// Question B3: do not confirm.
    Decline,
    /// Identity B1 to B3: verify by this method. The page does the rest.
    Method(IdentityMethod),
    /// After a match that failed: once more.
    TryAgain,
    /// After a confirmation: undo the tie.
    Untie,
    /// Before a tie ends: prove the identity again.
    Renew,
    /// Whenever it was asked for: erase all that is held about me.
    Erase,
}

/// What happens to a dialogue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Its time came.
    Due,
    /// A button of the present step was tapped, or its meaning typed.
    Chose(Choice),
    /// An account number was typed.
    AccountGiven(GivenAccount),
    /// Something was typed that could not be read.
    Unreadable,
    /// An identity was attested for this dialogue and step.
    Verified,
    /// The match was decided.
    Matched(MatchOutcome),
    /// The company's operators decided a review.
    Reviewed(Verdict),
    /// The company's operators decided that the customer has another number now.
    CustomerMoved,
    /// The company's operators ended the tie by hand.
    Untied,
    /// The limit of wrong answers is reached: nothing more until then.
    GuessesSpent {
        /// When the lock ends.
        until: Timestamp,
    },
    /// The person typed that all that is held about them be erased.
    EraseAsked,
    /// The follower left, or the number is another person's: its carrier said so, or who has it now did.
    Left,
}

/// What a dialogue says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RequestMessage {
    /// Fig. 7.
    Question,
    /// Fig. 8.
    Account,
    /// Fig. 8 again: what was typed could not be read.
    AccountAgain,
    /// Fig. 9.
    Identity,
    /// The tie is made.
    Confirmed,
    /// It could not be confirmed: one text for every reason, review and lock included.
    NotConfirmed,
    /// A review ended without a tie: it could not be confirmed, and nothing else.
    ReviewRejected,
    /// The tie ends soon; it goes on with a new proof of identity.
    Renewal,
    /// Whether all that is held about the person shall be erased: one tap more, because a text may be a slip.
    EraseAsked,
    /// It is being erased.
    Erasing,
}

/// What a company may set for its dialogues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How long to wait for an answer before reminding.
    pub remind_after: SignedDuration,
    /// How many reminders a step gets.
    pub reminders: u8,
    /// How many unreadable texts a step bears.
    pub unreadable: u8,
    /// How many account numbers one dialogue may try.
    pub tries: u8,
    /// When to ask again who had no account, or never answered.
    pub ask_again_after: SignedDuration,
    /// When to ask again who declined.
    pub declined_for: SignedDuration,
    /// How long a review waits for the company's operators.
    pub review_for: SignedDuration,
    /// Whether two of them have to approve.
    pub review_second_person: bool,
    /// How long after a confirmation to ask for a new proof of identity; none: never.
    pub renew_after: Option<SignedDuration>,
    /// How long what was typed is kept of a person who doesn't go on.
    pub retain_for: SignedDuration,
    /// How long a match may take, before what was typed and attested is dropped undecided.
    pub match_for: SignedDuration,
    /// When a person who follows no more is erased.
    pub erase_unfollowed_after: SignedDuration,
    /// When nobody is asked or reminded.
    pub quiet_hours: QuietHours,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            remind_after: SignedDuration::from_hours(24),
            reminders: 1,
            unreadable: 2,
            tries: 3,
            ask_again_after: SignedDuration::from_hours(24 * 90),
            declined_for: SignedDuration::from_hours(24 * 365),
            review_for: SignedDuration::from_hours(24 * 14),
            review_second_person: false,
            renew_after: Some(SignedDuration::from_hours(24 * (180 - 14))),
            retain_for: SignedDuration::from_mins(15),
            match_for: SignedDuration::from_hours(24),
            erase_unfollowed_after: SignedDuration::from_hours(24 * 30),
            quiet_hours: QuietHours::none(),
        }
    }
}
