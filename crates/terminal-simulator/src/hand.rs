//! A phone that somebody holds: where they stand with an account, and what they have at hand to prove who they are.
//!
//! Pure. Nothing happens to such a phone by itself, but that messages come. Surprising: a number in the store says both where a
//! story stands and that there is none, so that who holds a phone outlives the process without a table of its own.

use musubi_domain::{
    Error,
    error::shape,
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_proto::carrier::v1::action::What;

use crate::{
    script::{self, Step},
    story::IdentityMethod,
};

/// Where a talk room stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stand {
    /// Its person acts by a story.
    Story(Step),
    /// Somebody holds the phone.
    Hand(Grip),
}

/// A phone in somebody's hand, in one talk room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grip {
    /// Whether they follow the account.
    pub follows: Follows,
    /// Whether the phone is on; the same in all its talk rooms.
    pub is_on: bool,
}

/// Whether somebody follows an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Not, or not any more.
    No,
    /// The carrier hasn't confirmed the follow.
    Joining,
    /// They do.
    Yes,
    /// The carrier hasn't confirmed the unfollow.
    Leaving,
}

/// The first number of the store that isn't a step of a story.
const HELD: u8 = 32;

impl Stand {
    /// As the store keeps it: a step's code, or from 32 on twice the place of [`Follows`], and 1 when the phone is off.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Story(step) => step.code(),
            Self::Hand(Grip { follows, is_on }) => {
                let follows = match follows {
                    Follows::No => 0,
                    Follows::Joining => 1,
                    Follows::Yes => 2,
                    Follows::Leaving => 3,
                };
                HELD + 2 * follows + !is_on as u8
            }
        }
    }

    /// From what the store kept, if it is that.
    pub(crate) fn from_code(code: u8) -> Option<Self> {
        let Some(held) = code.checked_sub(HELD) else { return Step::from_code(code).map(Self::Story) };
        let follows = match held / 2 {
            0 => Follows::No,
            1 => Follows::Joining,
            2 => Follows::Yes,
            3 => Follows::Leaving,
            _ => return None,
        };
        Some(Self::Hand(Grip { follows, is_on: held.is_multiple_of(2) }))
    }

    /// The word of the terminal contract.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Story(step) => step.word(),
            Self::Hand(_) => "held",
        }
    }

    /// Whether nothing can reach it.
    pub(crate) const fn is_off(self) -> bool {
        matches!(self, Self::Hand(Grip { is_on: false, .. }))
    }

    /// Where it stands when the carrier has confirmed something that was done there.
    pub(crate) fn confirmed(self, what: &What) -> Self {
        match self {
            Self::Story(step) => Self::Story(script::confirmed(step, what)),
            Self::Hand(grip) => {
                let follows = match (grip.follows, what) {
                    (Follows::Joining, What::Follow(_)) => Follows::Yes,
                    (Follows::Leaving, What::Unfollow(_)) => Follows::No,
                    (follows, _) => follows,
                };
                Self::Hand(Grip { follows, ..grip })
            }
        }
    }
}

/// Somebody who can pick up a phone: the phone, and what they have at hand.
#[derive(Clone)]
pub(crate) struct Holder {
    /// The phone's number.
    pub phone_number: PhoneNumber,
    /// The phone's carrier.
    pub carrier: CarrierId,
    /// Whose customer they are, or whose account they look at first.
    pub official_account: OfficialAccountId,
    /// What they have.
    pub wallet: Wallet,
}

/// What somebody has at hand to prove who they are.
#[derive(Clone)]
pub(crate) struct Wallet {
    /// As the authorities know it.
    pub name: String,
    /// Reading.
    pub name_kana: String,
    /// As the authorities write it.
    pub birth_date: String,
    /// As the authorities write it.
    pub address: String,
    /// As a bill of the company shows it; empty when they have none.
    pub account_text: String,
    /// One for each authority.
    pub credentials: Vec<Credential>,
}

/// A card, a contract or a document.
#[derive(Clone)]
pub(crate) struct Credential {
    /// Whose authority issued it.
    pub method: IdentityMethod,
    /// Its serial.
    pub id: String,
    /// What unlocks it.
    pub pin: String,
}

impl Wallet {
    /// The credential for an authority.
    pub(crate) fn credential(&self, method: IdentityMethod) -> Option<&Credential> {
        self.credentials.iter().find(|credential| credential.method == method)
    }
}

/// Where an address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Leads {
    /// To the page of an authority of the phone's carrier.
    Verification(IdentityMethod),
    /// Out of what is simulated.
    Outside,
    /// Nowhere that a phone would go: it isn't https, or has no plain host.
    Nowhere,
}

/// Where an address leads that a company sent.
pub(crate) fn leads(url: &str, carrier: &CarrierId) -> Leads {
    let Some(rest) = url.strip_prefix("https://") else { return Leads::Nowhere };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let is_plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b':');
    if host.is_empty() || !host.bytes().all(is_plain) || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Leads::Nowhere;
    }
    let of = |method: &IdentityMethod| host == format!("{method}.{carrier}.musubi.test");
    match IdentityMethod::ALL.iter().copied().find(of) {
        Some(method) if path.starts_with("verify?") => Leads::Verification(method),
        Some(_) | None => Leads::Outside,
    }
}

/// What a person can send at once: 1 to 3,072 characters, of which not all are blank, and none is a NUL.
///
/// # Errors
/// Names `text`, with its shape.
pub(crate) fn parse_typed(text: &str) -> Result<&str, Error> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > crate::intake::TYPED_LIMIT || text.contains('\0') {
        let remedy = format!("write 1 to {} characters, none of them NUL", crate::intake::TYPED_LIMIT);
        return Err(Error::invalid("text", shape(text), remedy));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use musubi_proto::carrier::v1::{Follow, Unfollow};

    use super::*;

    #[test]
    fn a_stand_survives_the_database() {
        for code in 0..=u8::MAX {
            if let Some(stand) = Stand::from_code(code) {
                assert_eq!(stand.code(), code);
                assert_eq!(stand.word() == "held", code >= HELD);
            }
        }
        assert!(Stand::from_code(40).is_none() && Stand::from_code(39).is_some());
    }

    #[test]
    fn only_the_carrier_makes_a_follow_and_an_unfollow_true() {
        let held = |follows| Stand::Hand(Grip { follows, is_on: true });
        let (follow, unfollow) = (What::Follow(Follow {}), What::Unfollow(Unfollow {}));
        assert_eq!(held(Follows::Joining).confirmed(&follow), held(Follows::Yes));
        assert_eq!(held(Follows::Leaving).confirmed(&unfollow), held(Follows::No));
        // Whoever left before the follow was confirmed has left.
        assert_eq!(held(Follows::Leaving).confirmed(&follow), held(Follows::Leaving));
        assert_eq!(held(Follows::Joining).confirmed(&unfollow), held(Follows::Joining));
    }

    #[test]
    fn only_a_page_of_the_own_carriers_authorities_is_one() {
        let kumo = "kumo".parse().unwrap();
        for (url, to) in [
            ("https://jpki.kumo.musubi.test/verify?aud=a&nonce=n", Leads::Verification(IdentityMethod::Jpki)),
            ("https://jpki.nami.musubi.test/verify?aud=a&nonce=n", Leads::Outside),
            ("https://jpki.kumo.musubi.test/other", Leads::Outside),
            ("https://jpki.kumo.musubi.test.evil.test/verify?x", Leads::Outside),
            ("https://bank.example/open?from=rcs", Leads::Outside),
            ("http://bank.example/", Leads::Nowhere),
            ("javascript:alert(1)", Leads::Nowhere),
            ("JaVaScRiPt://x%0aalert(1)", Leads::Nowhere),
            ("data:text/html,x", Leads::Nowhere),
            ("https://user@bank.example/", Leads::Nowhere),
            ("https://bank.example/\" onload=x", Leads::Nowhere),
            ("https:///x", Leads::Nowhere),
            ("", Leads::Nowhere),
        ] {
            assert_eq!(leads(url, &kumo), to, "{url}");
        }
    }

    #[test]
    fn blank_and_endless_texts_are_not_sent() {
        assert_eq!(parse_typed(" 123 ").unwrap(), "123");
        for text in ["", " \n", "a\0b", &"あ".repeat(3073)] {
            assert_eq!(parse_typed(text).unwrap_err().field, "text");
        }
    }
}
