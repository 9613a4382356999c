//! Tokens that come back from outside and must be ours: postbacks of buttons, and nonces of verifications.
//!
//! Each names a dialogue and a step and carries a keyed hash, so that a forged, late, repeated or foreign one is known for what
//! it is. "This is not me" names the tie instead, because it is good for as long as the tie is, whatever was said since; a button of a
//! distribution names the distribution and whom it was sent to, and is only counted.
//! Surprising: a token is derived, not stored; making it again gives the same token, so a message has one payload for ever.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::{
    Error,
    dialogue::Choice,
    id::{DialogueId, DistributionId, FollowerId, TieId, keyed},
    identity::IdentityMethod,
};

const TAG_BYTES: usize = 16;
const TOKEN_BYTES: usize = 1 + 16 + 2 + 1 + TAG_BYTES;

/// What a token is for; a token of one sort is none of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    Postback = 1,
    Nonce = 2,
    NotMe = 3,
    Button = 4,
}

/// The key that makes and checks tokens.
#[derive(Clone)]
pub struct TokenKey(Hmac<Sha256>);

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// A button's meaning, in one step of one dialogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postback {
    /// Whose.
    pub dialogue: DialogueId,
    /// The step whose message bore the button.
    pub step: u16,
    /// What it means.
    pub choice: Choice,
}

/// What a tap says: an answer, or that the tie's customer is somebody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tapped {
    /// An answer within a step.
    Postback(Postback),
    /// "This is not me."
    NotMe(TieId),
    /// A button of a distribution's message.
    Button(Button),
}

/// A button of a distribution's message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Button {
    /// Of which distribution.
    pub distribution: DistributionId,
    /// Of the individual message, or of the uniform one.
    pub individual: bool,
    /// Which of its template, from 0.
    pub place: u8,
}

/// What an assertion must be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce {
    /// Whose.
    pub dialogue: DialogueId,
    /// The step whose message bore the link.
    pub step: u16,
    /// The method that the link was for.
    pub method: IdentityMethod,
}

impl TokenKey {
    /// From a secret of at least 16 bytes.
    ///
    /// # Errors
    /// When it is shorter.
    pub fn new(secret: &[u8]) -> Result<Self, Error> {
        keyed(secret, "token_key").map(Self)
    }

    /// The token of a button: 48 characters, URL-safe.
    #[must_use]
    pub fn seal_postback(&self, postback: &Postback) -> String {
        self.seal(Sort::Postback, postback.dialogue, postback.step, choice_code(postback.choice))
    }

    /// The token of a verification link.
    #[must_use]
    pub fn seal_nonce(&self, nonce: &Nonce) -> String {
        self.seal(Sort::Nonce, nonce.dialogue, nonce.step, choice_code(Choice::Method(nonce.method)))
    }

    /// The token of "this is not me", below what is sent for a tie.
    #[must_use]
    pub fn seal_not_me(&self, tie: TieId) -> String {
        self.seal(Sort::NotMe, DialogueId::from_bytes(*tie.as_bytes()), 0, 0)
    }

    /// The token of a button of a distribution's message to this follower; in another's talk room it is none of ours.
    #[must_use]
    pub fn seal_button(&self, button: &Button, follower: FollowerId) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(Sort::Button as u8);
        bytes.extend_from_slice(button.distribution.as_bytes());
        bytes.extend_from_slice(&u16::from(button.place).to_be_bytes());
        bytes.push(button.individual.into());
        let tag = self.button_tag(&bytes, follower);
        bytes.extend_from_slice(&tag);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open_button(&self, token: &str, follower: FollowerId) -> Option<Button> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == TOKEN_BYTES)?;
        let (body, tag) = bytes.split_at(TOKEN_BYTES - TAG_BYTES);
        let ours = bool::from(self.button_tag(body, follower).ct_eq(tag));
        (ours && body[0] == Sort::Button as u8).then_some(())?;
        Some(Button {
            distribution: DistributionId::from_slice(&body[1..17]).ok()?,
            individual: body[19] != 0,
            place: body[18],
        })
    }

    /// The follower stands in the tag and not in the token, where there is no room for both.
    fn button_tag(&self, body: &[u8], follower: FollowerId) -> [u8; TAG_BYTES] {
        self.tag(&[body, follower.as_bytes()].concat())
    }

    /// What a button's token says, of any sort, in this follower's talk room. `None`: it is not ours.
    #[must_use]
    pub fn open(&self, token: &str, follower: FollowerId) -> Option<Tapped> {
        let not_me = || {
            let (tie, ..) = self.open_sort(Sort::NotMe, token)?;
            Some(Tapped::NotMe(TieId::from_bytes(*tie.as_bytes())))
        };
        let button = || self.open_button(token, follower).map(Tapped::Button);
        self.open_postback(token).map(Tapped::Postback).or_else(not_me).or_else(button)
    }

    /// What the token of an answer says. `None`: it is not ours.
    #[must_use]
    pub fn open_postback(&self, token: &str) -> Option<Postback> {
        let (dialogue, step, code) = self.open_sort(Sort::Postback, token)?;
        Some(Postback { dialogue, step, choice: choice_of(code)? })
    }

    /// What a nonce says. `None`: it is not ours.
    #[must_use]
    pub fn open_nonce(&self, token: &str) -> Option<Nonce> {
        let (dialogue, step, code) = self.open_sort(Sort::Nonce, token)?;
        match choice_of(code)? {
            Choice::Method(method) => Some(Nonce { dialogue, step, method }),
            Choice::Confirm
            | Choice::NoAccount
            | Choice::Decline
            | Choice::TryAgain
            | Choice::Untie
            | Choice::Renew
            | Choice::Erase => None,
        }
    }

    fn seal(&self, sort: Sort, dialogue: DialogueId, step: u16, code: u8) -> String {
        let mut bytes = Vec::with_capacity(TOKEN_BYTES);
        bytes.push(sort as u8);
        bytes.extend_from_slice(dialogue.as_bytes());
        bytes.extend_from_slice(&step.to_be_bytes());
        bytes.push(code);
        let tag = self.tag(&bytes);
        bytes.extend_from_slice(&tag);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    fn open_sort(&self, sort: Sort, token: &str) -> Option<(DialogueId, u16, u8)> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok().filter(|bytes| bytes.len() == TOKEN_BYTES)?;
        let (body, tag) = bytes.split_at(TOKEN_BYTES - TAG_BYTES);
        let ours = bool::from(self.tag(body).ct_eq(tag)) && body[0] == sort as u8;
        ours.then_some(())?;
        let dialogue = DialogueId::from_slice(&body[1..17]).ok()?;
        Some((dialogue, u16::from_be_bytes([body[17], body[18]]), body[19]))
    }

    fn tag(&self, body: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.0.clone();
        mac.update(body);
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..TAG_BYTES]);
        tag
    }
}

const CHOICES: [Choice; 10] = [
    Choice::Confirm,
    Choice::NoAccount,
    Choice::Decline,
    Choice::Method(IdentityMethod::Jpki),
    Choice::Method(IdentityMethod::Carrier),
    Choice::Method(IdentityMethod::Document),
    Choice::TryAgain,
    Choice::Untie,
    Choice::Renew,
    Choice::Erase,
];

fn choice_code(choice: Choice) -> u8 {
    let place = CHOICES.iter().position(|known| *known == choice).unwrap_or_default();
    u8::try_from(place).unwrap_or_default()
}

fn choice_of(code: u8) -> Option<Choice> {
    CHOICES.get(usize::from(code)).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn follower(byte: u8) -> FollowerId {
        FollowerId::from_bytes([byte; 16])
    }

    fn key(byte: u8) -> TokenKey {
        TokenKey::new(&[byte; 32]).unwrap()
    }

    fn postback(step: u16, choice: Choice) -> Postback {
        Postback { dialogue: DialogueId::derive(follower(3), 0), step, choice }
    }

    #[test]
    fn every_choice_reads_back() {
        for choice in CHOICES {
            let postback = postback(7, choice);
            assert_eq!(key(1).open_postback(&key(1).seal_postback(&postback)), Some(postback));
        }
    }

    #[test]
    fn a_token_of_another_key_or_sort_is_not_ours() {
        let method = IdentityMethod::Jpki;
        let postback = postback(1, Choice::Method(method));
        let nonce = Nonce { dialogue: postback.dialogue, step: 1, method };
        assert_eq!(key(2).open_postback(&key(1).seal_postback(&postback)), None);
        assert_eq!(key(1).open_nonce(&key(1).seal_postback(&postback)), None);
        assert_eq!(key(1).open_postback(&key(1).seal_nonce(&nonce)), None);
        assert_eq!(key(1).open_nonce(&key(1).seal_nonce(&nonce)), Some(nonce));
        assert_eq!(key(1).open(&key(1).seal_nonce(&nonce), follower(3)), None);
    }

    #[test]
    fn not_me_reads_back_and_is_no_answer_in_any_step() {
        let postback = postback(0, Choice::Confirm);
        let tie = TieId::derive(postback.dialogue);
        let not_me = key(1).seal_not_me(tie);
        assert_eq!(key(1).open(&not_me, follower(3)), Some(Tapped::NotMe(tie)));
        assert_eq!((key(1).open_postback(&not_me), key(1).open_nonce(&not_me)), (None, None));
        assert_eq!(key(2).open(&not_me, follower(3)), None);
        let answer = key(1).seal_postback(&postback);
        assert_eq!(key(1).open(&answer, follower(3)), Some(Tapped::Postback(postback)));
    }

    #[test]
    fn a_button_reads_back_in_the_talk_room_that_it_was_sent_to_and_in_no_other() {
        for (individual, place) in [(true, 0), (false, 10)] {
            let button = Button { distribution: DistributionId::from_bytes([5; 16]), individual, place };
            let token = key(1).seal_button(&button, follower(3));
            assert_eq!(key(1).open(&token, follower(3)), Some(Tapped::Button(button)));
            assert_eq!(key(1).open(&token, follower(4)), None);
            assert_eq!(key(2).open(&token, follower(3)), None);
            assert_eq!((key(1).open_postback(&token), key(1).open_nonce(&token)), (None, None));
        }
    }

    proptest! {
        #[test]
        fn any_flipped_bit_is_noticed(bit in 0..TOKEN_BYTES * 8) {
            let token = key(1).seal_postback(&postback(1, Choice::Confirm));
            let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(token).unwrap();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key(1).open_postback(&BASE64_URL_SAFE_NO_PAD.encode(bytes)), None);
        }

        #[test]
        fn never_panics(text in ".{0,80}") {
            prop_assert_eq!(key(1).open_postback(&text), None);
        }
    }
}
