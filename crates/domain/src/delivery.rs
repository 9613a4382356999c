//! A delivery: one message to one follower, and how far it came.
//!
//! States only move forward (I6, I7): a receipt may come before the acceptance was recorded, twice, or never. Surprising: a
//! receipt that the phone has the message wins over everything, also over "expired" and "dead", because it is a fact and the
//! others were conclusions (RBM guide: delivered wins over a notice of expiry).

use crate::{id::MessageId, phone_number::PhoneNumber};

/// A message that a carrier may have, and the number that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// Which.
    pub message_id: MessageId,
    /// To whom.
    pub number: PhoneNumber,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Waits for its first attempt, or for the next.
    Queued,
    /// An attempt has started; its outcome is unknown.
    Sending,
    /// The carrier has it.
    Accepted,
    /// The phone has it.
    Delivered,
    /// The person saw it.
    Displayed,
    /// The carrier refused it for good.
    Rejected,
    /// It was not delivered in time.
    Expired,
    /// It was taken back, or the gate was closed.
    Revoked,
    /// Every attempt failed.
    Dead,
}

impl DeliveryState {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 9] = [
        Self::Queued,
        Self::Sending,
        Self::Accepted,
        Self::Delivered,
        Self::Displayed,
        Self::Rejected,
        Self::Expired,
        Self::Revoked,
        Self::Dead,
    ];

    /// The word for it on the wire and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Delivered => "delivered",
            Self::Displayed => "displayed",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Dead => "dead",
        }
    }
}

/// What is learnt of a delivery that was attempted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// The carrier answered that it has it.
    Accepted,
    /// The carrier answered that it never will.
    Rejected,
    /// No attempt is left.
    Exhausted,
    /// Receipt: the phone has it.
    Delivered,
    /// Receipt: the person saw it.
    Displayed,
    /// Receipt or clock: too late.
    Expired,
    /// Receipt or order: taken back.
    Revoked,
}

/// The state after a signal; the same state when the signal brings nothing new.
#[must_use]
pub const fn advance(state: DeliveryState, signal: Signal) -> DeliveryState {
    use DeliveryState as D;
    match (state, signal) {
        (D::Displayed, _) | (_, Signal::Displayed) => D::Displayed,
        (D::Delivered, _) | (_, Signal::Delivered) => D::Delivered,
        (D::Rejected | D::Expired | D::Revoked | D::Dead, _) => state,
        (D::Queued | D::Sending | D::Accepted, Signal::Expired) => D::Expired,
        (D::Queued | D::Sending | D::Accepted, Signal::Revoked) => D::Revoked,
        (D::Accepted | D::Queued | D::Sending, Signal::Accepted) => D::Accepted,
        (D::Accepted, Signal::Rejected | Signal::Exhausted) => D::Accepted,
        (D::Queued | D::Sending, Signal::Rejected) => D::Rejected,
        (D::Queued | D::Sending, Signal::Exhausted) => D::Dead,
    }
}

/// What a delivery says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// A distribution's, before its first attempt.
    Undecided,
    /// A distribution's individual message.
    Individual,
    /// A distribution's uniform message.
    Uniform,
    /// Fig. 7.
    Question,
    /// Fig. 8.
    Account,
    /// Fig. 8 again.
    AccountAgain,
    /// Fig. 9.
    Identity,
    /// The tie is made.
    Confirmed,
    /// It could not be confirmed.
    NotConfirmed,
    /// A review ended without a tie.
    ReviewRejected,
    /// The tie ends soon: prove the identity again.
    Renewal,
    /// Asks whether all that is held about the person shall be erased.
    EraseAsked,
    /// It is being erased.
    Erasing,
}

impl Purpose {
    /// All of them; their place is their number in stores.
    pub const ALL: [Self; 13] = [
        Self::Undecided,
        Self::Individual,
        Self::Uniform,
        Self::Question,
        Self::Account,
        Self::AccountAgain,
        Self::Identity,
        Self::Confirmed,
        Self::NotConfirmed,
        Self::ReviewRejected,
        Self::Renewal,
        Self::EraseAsked,
        Self::Erasing,
    ];

    /// The word for it on the wire and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Undecided => "undecided",
            Self::Individual => "individual",
            Self::Uniform => "uniform",
            Self::Question => "question",
            Self::Account => "account",
            Self::AccountAgain => "account_again",
            Self::Identity => "identity",
            Self::Confirmed => "confirmed",
            Self::NotConfirmed => "not_confirmed",
            Self::ReviewRejected => "review_rejected",
            Self::Renewal => "renewal",
            Self::EraseAsked => "erase_asked",
            Self::Erasing => "erasing",
        }
    }
}

impl From<crate::dialogue::RequestMessage> for Purpose {
    fn from(message: crate::dialogue::RequestMessage) -> Self {
        use crate::dialogue::RequestMessage as M;
        match message {
            M::Question => Self::Question,
            M::Account => Self::Account,
            M::AccountAgain => Self::AccountAgain,
            M::Identity => Self::Identity,
            M::Confirmed => Self::Confirmed,
            M::NotConfirmed => Self::NotConfirmed,
            M::ReviewRejected => Self::ReviewRejected,
            M::Renewal => Self::Renewal,
            M::EraseAsked => Self::EraseAsked,
            M::Erasing => Self::Erasing,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{DeliveryState as D, *};

    const SIGNALS: [Signal; 7] = [
        Signal::Accepted,
        Signal::Rejected,
        Signal::Exhausted,
        Signal::Delivered,
        Signal::Displayed,
        Signal::Expired,
        Signal::Revoked,
    ];

    #[test]
    fn late_receipt_does_not_undo_displayed() {
        for signal in SIGNALS {
            assert_eq!(advance(D::Displayed, signal), D::Displayed);
        }
    }

    #[test]
    fn a_receipt_may_come_before_the_acceptance() {
        assert_eq!(advance(D::Sending, Signal::Delivered), D::Delivered);
        assert_eq!(advance(D::Delivered, Signal::Accepted), D::Delivered);
    }

    #[test]
    fn delivered_wins_over_conclusions() {
        for state in [D::Expired, D::Dead, D::Rejected, D::Revoked] {
            assert_eq!(advance(state, Signal::Delivered), D::Delivered);
            assert_eq!(advance(state, Signal::Accepted), state);
        }
    }

    #[test]
    fn a_refusal_does_not_undo_an_acceptance() {
        assert_eq!(advance(D::Accepted, Signal::Rejected), D::Accepted);
        assert_eq!(advance(D::Accepted, Signal::Exhausted), D::Accepted);
    }

    proptest! {
        #[test]
        fn no_order_of_signals_loses_a_receipt(mut order in prop::collection::vec(0..7usize, 1..12)) {
            let run = |order: &[usize]| order.iter().fold(D::Sending, |state, i| advance(state, SIGNALS[*i]));
            let one = run(&order);
            order.reverse();
            let other = run(&order);
            let shown = |state| matches!(state, D::Displayed);
            prop_assert_eq!(shown(one), shown(other));
            prop_assert_eq!(matches!(one, D::Delivered | D::Displayed), matches!(other, D::Delivered | D::Displayed));
        }
    }
}
