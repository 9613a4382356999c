//! A follower's story: what one person will do in one talk room, what a verifier will attest of them, and the
//! right answer that Musubi must reach.
//!
//! Nothing here acts a story out or judges a result. A person who follows two official accounts has two
//! stories with the same number and carrier. The surprising thing: the attested texts are kept as they were
//! written, spaces and half-width kana included, because the spelling is what is being tried.

mod file;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use file::{BadField, BadRow, COLUMNS, StoriesError, read_stories, write_stories};

/// One row of a stories file.
#[derive(Clone, PartialEq, Eq)]
pub struct Story {
    /// The follower's number in E.164, such as `+81` and ten digits.
    pub phone_number: String,
    /// The carrier whose subscriber the follower is; one number has one carrier in the whole file.
    pub carrier: String,
    /// The official account that is followed.
    pub official_account: String,
    /// The answer to the question message.
    pub reply: Reply,
    /// What is typed when the account number is asked for, exactly. Empty if the story ends before that.
    pub account_text: String,
    /// What the verifier attests of the person; none if the story ends before that.
    pub identity: Option<Identity>,
    /// When the person unfollows.
    pub unfollow_after: UnfollowAfter,
    /// The right answer.
    pub expected: Expected,
    /// The customer that the follower is to be tied to or reviewed against.
    pub expected_customer_id: Option<String>,
    /// The story in a few words, for reports.
    pub story: String,
}

/// What a verifier attests of the person who holds the phone.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// How the person is verified.
    pub method: IdentityMethod,
    /// Surname and given name.
    pub name: String,
    /// The reading of the name; empty if the verifier doesn't know it.
    pub name_kana: String,
    /// The date of birth as the verifier writes it, usually `YYYY-MM-DD`.
    pub birth_date: String,
    /// The address; empty if the verifier doesn't know it.
    pub address: String,
}

impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Story")
            .field("carrier", &self.carrier)
            .field("official_account", &self.official_account)
            .field("reply", &self.reply)
            .field("identity", &self.identity)
            .field("unfollow_after", &self.unfollow_after)
            .field("expected", &self.expected)
            .field("expected_customer_id", &self.expected_customer_id)
            .field("story", &self.story)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("method", &self.method).finish_non_exhaustive()
    }
}

/// A word of a stories file that isn't among the known ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{noun} is {found}; write {allowed}")]
pub struct UnknownWord {
    noun: &'static str,
    pub(crate) found: String,
    pub(crate) allowed: String,
}

/// Defines an enum by the words that stand for it in a stories file, so that `as_str`, `FromStr` and serde agree.
macro_rules! words {
    ($(#[$about:meta])* $name:ident, $noun:literal { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$meaning])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The word that stands for it in a stories file.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|known| known.as_str() == word).ok_or_else(|| UnknownWord {
                    noun: $noun,
                    found: file::shape_of_word(word),
                    allowed: file::list_words(&[$($word),+]),
                })
            }
        }
    };
}

words! {
    /// The answer to the question message.
    Reply, "reply" {
        /// Wants personal messages.
        Confirm = "confirm",
        /// Has no account.
        NoAccount = "no_account",
        /// Doesn't want personal messages.
        Decline = "decline",
        /// Never answers.
        Ignore = "ignore",
    }
}

words! {
    /// How a verifier makes sure of the person.
    IdentityMethod, "identity_method" {
        /// Public personal authentication with the My Number card.
        Jpki = "jpki",
        /// The PIN of the phone contract, on the carrier's site.
        Carrier = "carrier",
        /// Documents.
        Document = "document",
    }
}

words! {
    /// When the person unfollows.
    UnfollowAfter, "unfollow_after" {
        /// Stays.
        Never = "",
        /// On seeing the question message, unanswered.
        Question = "question",
        /// After being confirmed.
        Confirmed = "confirmed",
    }
}

words! {
    /// The right answer.
    Expected, "expected" {
        /// Tied to the expected customer.
        Confirmed = "confirmed",
        /// Tied to nobody.
        Rejected = "rejected",
        /// Left for the company's operators to decide.
        Review = "review",
        /// Recorded as having no account.
        NoAccount = "no_account",
        /// Recorded as a refusal.
        Declined = "declined",
        /// Still asked.
        Unanswered = "unanswered",
        /// Gone, with no tie left.
        Unfollowed = "unfollowed",
    }
}
