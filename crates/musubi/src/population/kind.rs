//! The kinds of story, how often each is told and how it ends.

use musubi_terminal_simulator::story::{Expected, Reply, UnfollowAfter};

use super::draw::Draw;

/// What kind of follower a story is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    AsWritten,
    WrittenOtherwise,
    LeavesLater,
    LeavesAtQuestion,
    Stranger,
    NewSurname,
    Moved,
    NobodysNumber,
    Relative,
    OthersNumber,
    NoAccount,
    Declines,
    Silent,
}

/// Each kind with its share of a thousand stories.
pub(super) const SHARES: [(Kind, u32); 13] = [
    (Kind::AsWritten, 50),
    (Kind::WrittenOtherwise, 385),
    (Kind::LeavesLater, 27),
    (Kind::LeavesAtQuestion, 34),
    (Kind::Stranger, 33),
    (Kind::NewSurname, 20),
    (Kind::Moved, 28),
    (Kind::NobodysNumber, 25),
    (Kind::Relative, 34),
    (Kind::OthersNumber, 45),
    (Kind::NoAccount, 99),
    (Kind::Declines, 111),
    (Kind::Silent, 109),
];

impl Kind {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        let mut left = draw.below(SHARES.iter().map(|(_, share)| share).sum());
        for (kind, share) in SHARES {
            match left.checked_sub(share) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        Self::Silent
    }

    pub(super) fn reply(self) -> Reply {
        match self {
            Self::AsWritten
            | Self::WrittenOtherwise
            | Self::LeavesLater
            | Self::LeavesAtQuestion
            | Self::Stranger
            | Self::NewSurname
            | Self::Moved
            | Self::NobodysNumber
            | Self::Relative
            | Self::OthersNumber => Reply::Confirm,
            Self::NoAccount => Reply::NoAccount,
            Self::Declines => Reply::Decline,
            Self::Silent => Reply::Ignore,
        }
    }

    pub(super) fn unfollow_after(self) -> UnfollowAfter {
        match self {
            Self::LeavesLater => UnfollowAfter::Confirmed,
            Self::LeavesAtQuestion => UnfollowAfter::Question,
            Self::AsWritten
            | Self::WrittenOtherwise
            | Self::Stranger
            | Self::NewSurname
            | Self::Moved
            | Self::NobodysNumber
            | Self::Relative
            | Self::OthersNumber
            | Self::NoAccount
            | Self::Declines
            | Self::Silent => UnfollowAfter::Never,
        }
    }

    pub(super) fn expected(self) -> Expected {
        match self {
            Self::AsWritten | Self::WrittenOtherwise => Expected::Confirmed,
            Self::LeavesLater | Self::LeavesAtQuestion => Expected::Unfollowed,
            Self::NewSurname | Self::Moved => Expected::Review,
            Self::Stranger | Self::NobodysNumber | Self::Relative | Self::OthersNumber => Expected::Rejected,
            Self::NoAccount => Expected::NoAccount,
            Self::Declines => Expected::Declined,
            Self::Silent => Expected::Unanswered,
        }
    }

    /// Whether the right answer names a customer.
    pub(super) fn ends_with_customer(self) -> bool {
        match self.expected() {
            Expected::Confirmed | Expected::Review => true,
            Expected::Rejected
            | Expected::NoAccount
            | Expected::Declined
            | Expected::Unanswered
            | Expected::Unfollowed => false,
        }
    }

    /// The story in a few words.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::AsWritten => "customer, written as in the master",
            Self::WrittenOtherwise => "customer, written otherwise than in the master",
            Self::LeavesLater => "is confirmed and unfollows later",
            Self::LeavesAtQuestion => "unfollows on seeing the question",
            Self::Stranger => "stranger with a customer's number",
            Self::NewSurname => "customer under a new surname",
            Self::Moved => "customer at a new address",
            Self::NobodysNumber => "number that nobody has",
            Self::Relative => "relative under the customer's roof",
            Self::OthersNumber => "customer with another customer's number",
            Self::NoAccount => "isn't a customer",
            Self::Declines => "refuses personal messages",
            Self::Silent => "never answers",
        }
    }
}
