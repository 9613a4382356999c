//! Identifiers: newtypes, with a prefix on the wire, made from arguments.
//!
//! Slugs name what operators configure (companies, accounts, carriers); UUIDs name what the program makes, sorted by time
//! (version 7) or derived from what they identify (version 5), so that whoever makes one twice makes the same one. Surprising:
//! [`FollowerId`] is a keyed hash of (official account, number): finding a follower needs no index on numbers, and a dump
//! without the key doesn't tell which number it is.

use std::{fmt, str::FromStr, sync::Arc};

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::{Error, error::shape, identity::AttestedIdentity, phone_number::PhoneNumber};

macro_rules! slug {
    ($name:ident, $field:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// 1 to 63 of a-z, 0-9 and hyphen, not at either end a hyphen. Cheap to clone.
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The text, as configured and on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_slug(text, $field).map(|slug| Self(slug.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

slug!(CompanyId, "company", "A company: a tenant.");
slug!(OfficialAccountId, "official_account", "An official account of a company.");
slug!(CarrierId, "carrier", "A mobile carrier.");
slug!(OperatorName, "operator", "A person of a company, by the name that its records show.");

fn parse_slug<'a>(text: &'a str, field: &'static str) -> Result<&'a str, Error> {
    let inside = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let good = (1..=63).contains(&text.len())
        && text.bytes().all(inside)
        && !text.starts_with('-')
        && !text.ends_with('-');
    good.then_some(text).ok_or_else(|| {
        Error::invalid(
            field,
            format!("{} is no identifier", shape(text)),
            "write 1 to 63 of a-z, 0-9 and hyphen, with no hyphen at either end",
        )
    })
}

macro_rules! uuid_id {
    ($name:ident, $prefix:literal, $field:literal, $doc:literal) => {
        #[doc = $doc]
        #[doc = concat!("\n\nOn the wire `", $prefix, "` and 32 hexadecimal digits.")]
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// From the bytes that [`Self::as_bytes`] gave.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }

            /// The 16 bytes, for stores.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// From bytes that a store kept.
            ///
            /// # Errors
            /// When they aren't 16.
            pub fn from_slice(bytes: &[u8]) -> Result<Self, Error> {
                Uuid::from_slice(bytes)
                    .map(Self)
                    .map_err(|_| Error::invalid($field, format!("{} bytes instead of 16", bytes.len()), ""))
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                text.strip_prefix($prefix)
                    .filter(|digits| digits.len() == 32)
                    .and_then(|digits| Uuid::try_parse(digits).ok())
                    .map(Self)
                    .ok_or_else(|| {
                        Error::invalid(
                            $field,
                            format!("{} is no such identifier", shape(text)),
                            concat!("write ", $prefix, " and 32 hexadecimal digits, as it was given"),
                        )
                    })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0.simple())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! timed {
    ($name:ident) => {
        impl $name {
            /// A new one, sorted by `now`; `random` makes it unique.
            #[must_use]
            pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
                let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
                Self(uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid())
            }
        }
    };
}

uuid_id!(FollowerId, "flw_", "follower_id", "A follower of one official account.");
uuid_id!(DialogueId, "dlg_", "dialogue_id", "One dialogue with one follower.");
uuid_id!(TieId, "tie_", "tie_id", "One tie of a follower to a customer.");
uuid_id!(DistributionId, "dst_", "distribution_id", "What a company asked to be sent.");
uuid_id!(MessageId, "msg_", "message_id", "One message to one follower, for ever the same.");
uuid_id!(InquiryId, "inq_", "inquiry_id", "One question whether a person is a customer.");
uuid_id!(ReviewId, "rev_", "review_id", "One inquiry that people decide.");
uuid_id!(ApprovalId, "apv_", "approval_id", "What one person asked for and another has to approve.");
timed!(DistributionId);
timed!(ApprovalId);

/// The key that turns numbers into [`FollowerId`]s; of a company's own.
#[derive(Clone)]
pub struct FollowerKeyring(Hmac<Sha256>);

impl FollowerKeyring {
    /// From a secret of at least 16 bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        keyed(secret, "follower_key").map(Self)
    }

    /// The follower that this number is to this account.
    #[must_use]
    pub fn follower(&self, account: &OfficialAccountId, number: &PhoneNumber) -> FollowerId {
        let mut mac = self.0.clone();
        mac.update(account.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(number.as_str().as_bytes());
        let tag = mac.finalize().into_bytes();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&tag[..16]);
        FollowerId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// What tries at an account number of a company are counted by: 16 bytes that don't tell the number.
    #[must_use]
    pub fn account(&self, company: &CompanyId, account_number: &str) -> Vec<u8> {
        let mut mac = self.0.clone();
        mac.update(b"account\0");
        mac.update(company.as_str().as_bytes());
        mac.update(&[0]);
        mac.update(account_number.as_bytes());
        mac.finalize().into_bytes()[..16].to_vec()
    }

    /// What tries of a verified person at a company are counted by: 16 bytes that don't tell who it is. An authority writes a
    /// person's name and date of birth always alike.
    #[must_use]
    pub fn person(&self, company: &CompanyId, identity: &AttestedIdentity) -> Vec<u8> {
        let AttestedIdentity { name, birth_date, .. } = identity;
        let mut mac = self.0.clone();
        mac.update(b"person\0");
        mac.update(company.as_str().as_bytes());
        for part in [name, birth_date] {
            mac.update(&[0]);
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes()[..16].to_vec()
    }
}

impl fmt::Debug for FollowerKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FollowerKeyring(…)")
    }
}

/// A keyed hash from a secret of at least 16 bytes.
pub(crate) fn keyed(secret: &[u8], field: &'static str) -> Result<Hmac<Sha256>, Error> {
    let short = || {
        Error::invalid(field, format!("a secret of {} bytes", secret.len()), "give at least 16 random bytes")
    };
    if secret.len() < 16 {
        return Err(short());
    }
    Hmac::new_from_slice(secret).map_err(|_| short())
}

impl DialogueId {
    /// The follower's next dialogue: derived, so that whoever begins it twice begins the same one.
    ///
    /// `turn` counts the dialogues that this follower had, from 0.
    #[must_use]
    pub fn derive(follower: FollowerId, turn: u32) -> Self {
        Self(Uuid::new_v5(&follower.0, format!("dialogue/{turn}").as_bytes()))
    }
}

impl TieId {
    /// The tie that a dialogue ends in.
    #[must_use]
    pub fn derive(dialogue: DialogueId) -> Self {
        Self(Uuid::new_v5(&dialogue.0, b"tie"))
    }
}

impl InquiryId {
    /// The inquiry of a dialogue's try, counted from 0, sorted by when it is `made`.
    #[must_use]
    pub fn derive(dialogue: DialogueId, attempt: u32, made: Timestamp) -> Self {
        Self(sorted(made, Uuid::new_v5(&dialogue.0, format!("inquiry/{attempt}").as_bytes())))
    }

    /// When it was made: when the identity was attested. To the millisecond; never after `now`, whatever an id says that was made before
    /// ids had times.
    #[must_use]
    pub fn made(self, now: Timestamp) -> Timestamp {
        let millis = i64::try_from(self.0.as_u128() >> 80).unwrap_or(i64::MAX);
        Timestamp::from_millisecond(millis).map_or(now, |made| made.min(now))
    }
}

impl ReviewId {
    /// The review that an inquiry led to.
    #[must_use]
    pub fn derive(inquiry: InquiryId) -> Self {
        Self(Uuid::new_v5(&inquiry.0, b"review"))
    }
}

impl MessageId {
    /// The delivery of a distribution to a follower, sorted by when the distribution was made and by the follower's `number`, which
    /// the store gave for ever or made of the follower's id.
    #[must_use]
    pub fn of_distribution(distribution: DistributionId, follower: FollowerId, number: u64) -> Self {
        /// How many low bits are of the hash, and how many above them of the number, below a UUID's variant.
        const HASH: u32 = 32;
        const LOW: u32 = 30;
        let hash = Uuid::new_v5(&distribution.0, follower.as_bytes()).as_u128() & ((1 << HASH) - 1);
        let number = u128::from(number);
        let high = (number >> LOW) << 64;
        let low = (number & ((1 << LOW) - 1)) << HASH;
        Self(behind(distribution.0.as_u128() >> 80, high | low | hash))
    }

    /// The `count`th message of a dialogue, from 0, sorted by when it is `said`.
    #[must_use]
    pub fn of_dialogue(dialogue: DialogueId, count: u32, said: Timestamp) -> Self {
        Self(sorted(said, Uuid::new_v5(&dialogue.0, format!("message/{count}").as_bytes())))
    }
}

/// A hash behind an instant, in milliseconds. Whoever keeps such ids in order writes those that come together in one place.
fn sorted(at: Timestamp, hash: Uuid) -> Uuid {
    behind(u128::try_from(at.as_millisecond()).unwrap_or_default(), hash.as_u128())
}

/// A UUID of version 8: 48 bits of `first`, then what is left of the lower 80 of `then` beside version and variant.
fn behind(first: u128, then: u128) -> Uuid {
    const THEN: u128 = (1 << 80) - 1;
    let bytes = (first << 80) | (then & THEN);
    uuid::Builder::from_custom_bytes(bytes.to_be_bytes()).into_uuid()
}

/// A customer as the company's master names it: 1 to 64 visible ASCII characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CustomerId(Arc<str>);

impl CustomerId {
    /// The text, as in the master.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CustomerId {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
            Ok(Self(text.into()))
        } else {
            Err(Error::invalid(
                "customer_id",
                format!("{} is no customer id", shape(text)),
                "write 1 to 64 visible ASCII characters without spaces",
            ))
        }
    }
}

impl fmt::Display for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for CustomerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id under which the information-management server takes what an agent of RCS Business Messaging was told: `id` is a message's, or else
/// an event's, as the platform names it. Always of the same length, because theirs may be of any.
#[must_use]
pub fn rbm_event_id(agent: &str, is_message: bool, id: &str) -> String {
    let digest = Sha256::new()
        .chain_update(agent)
        .chain_update([0, u8::from(!is_message)])
        .chain_update(id)
        .finalize();
    digest.iter().fold("rbm-".to_owned(), |name, byte| name + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_take_what_operators_write_and_nothing_else() {
        for good in ["a", "tf-bank", "x9", &"a".repeat(63)] {
            assert_eq!(good.parse::<OfficialAccountId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a_b", "あ", "a b", &"a".repeat(64)] {
            assert_eq!(bad.parse::<OfficialAccountId>().unwrap_err().field, "official_account");
        }
    }

    #[test]
    fn uuid_ids_read_what_they_write() {
        let now: Timestamp = "2026-11-23T00:00:00Z".parse().unwrap();
        let id = DistributionId::new(now, [7; 10]);
        assert_eq!(id.to_string().parse::<DistributionId>().unwrap(), id);
        assert!(id.to_string().parse::<MessageId>().is_err());
        assert!("dst_123".parse::<DistributionId>().is_err());
    }

    #[test]
    fn later_distributions_sort_later() {
        let early = DistributionId::new("2026-01-01T00:00:00Z".parse().unwrap(), [255; 10]);
        let late = DistributionId::new("2026-01-01T00:00:01Z".parse().unwrap(), [0; 10]);
        assert!(early < late);
    }

    #[test]
    fn an_inquiry_knows_when_it_was_made() {
        let dialogue = DialogueId::from_bytes([7; 16]);
        let made: Timestamp = "2026-11-28T09:00:00.123Z".parse().unwrap();
        let id = InquiryId::derive(dialogue, 1, made);
        assert_eq!(id.made(Timestamp::MAX), made);
        assert_eq!(InquiryId::from_bytes([0xff; 16]).made(made), made, "of no time that has been");
    }

    #[test]
    fn derived_ids_are_the_same_whoever_derives_them() {
        let keyring = FollowerKeyring::new(&[1; 32]).unwrap();
        let number: PhoneNumber = "+818012345678".parse().unwrap();
        let (one, other) = ("a".parse().unwrap(), "b".parse().unwrap());
        let follower = keyring.follower(&one, &number);
        assert_eq!(follower, keyring.follower(&one, &number));
        assert_ne!(follower, keyring.follower(&other, &number));
        assert_ne!(follower, FollowerKeyring::new(&[2; 32]).unwrap().follower(&one, &number));
        assert_ne!(DialogueId::derive(follower, 0), DialogueId::derive(follower, 1));
    }

    #[test]
    fn a_distributions_messages_sort_by_distribution_and_number() {
        let distribution =
            |second: i64| DistributionId::new(Timestamp::from_second(second).unwrap(), [7; 10]);
        let follower = |id: u8| FollowerId::from_bytes([id; 16]);
        let numbers = [1, 2, 255, (1 << 30) - 1, 1 << 30, (1 << 42) - 1];
        let ids: Vec<_> = [1, 2]
            .iter()
            .flat_map(|second| {
                numbers.map(|n| MessageId::of_distribution(distribution(*second), follower(n as u8), n))
            })
            .collect();
        assert!(ids.is_sorted_by(|one, next| one < next), "{ids:?}");
        assert_eq!(ids[0], MessageId::of_distribution(distribution(1), follower(1), 1));
        // Two that were made in one millisecond differ by their hashes.
        let twin = DistributionId::new(Timestamp::from_second(1).unwrap(), [8; 10]);
        assert_ne!(ids[0], MessageId::of_distribution(twin, follower(1), 1));
        assert_eq!(ids[0].to_string().parse::<MessageId>().unwrap(), ids[0]);
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert_eq!(FollowerKeyring::new(&[1; 15]).unwrap_err().field, "follower_key");
    }
}
