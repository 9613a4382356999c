//! Short words from outside: postbacks, nonces, days, phone numbers, ids, parties, tokens of who signed in.

use std::{fmt::Display, str::FromStr};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use musubi_domain::{
    caller::Caller,
    id::{CarrierId, CustomerId, DialogueId, FollowerId, MessageId, OfficialAccountId, ReviewId},
    phone_number::PhoneNumber,
    postback::{Tapped, TokenKey},
    sign_in::Token,
};
use musubi_proto::convert::carrier::specified_date;

/// In whose talk room.
const FOLLOWER: FollowerId = FollowerId::from_bytes([9; 16]);

pub(super) fn hold(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let key = TokenKey::new(&[7; 32]).unwrap();
    for token in [text.to_string(), BASE64_URL_SAFE_NO_PAD.encode(data)] {
        let again = key.open(&token, FOLLOWER).map(|tapped| match tapped {
            Tapped::Postback(postback) => key.seal_postback(&postback),
            Tapped::NotMe(tie) => key.seal_not_me(tie),
            Tapped::Button(button) => key.seal_button(&button, FOLLOWER),
        });
        if let Some(again) = again {
            assert_eq!(again, token, "a token has one spelling");
        }
        if let Some(nonce) = key.open_nonce(&token) {
            assert_eq!(key.seal_nonce(&nonce), token, "a token has one spelling");
        }
    }
    if let Ok(day) = specified_date(&text) {
        assert_eq!(day.to_string(), text, "a day has one spelling");
    }
    if let Ok(number) = text.parse::<PhoneNumber>() {
        assert_eq!(number.as_str(), text);
    }
    if let Ok(token) = text.parse::<Token>() {
        assert_eq!(token.expose(), text);
        assert!(!format!("{token:?}").contains(&*text), "a token shows nothing");
    }
    same::<Caller>(&text);
    same::<CustomerId>(&text);
    same::<OfficialAccountId>(&text);
    same::<CarrierId>(&text);
    for lower in [text.to_ascii_lowercase(), format!("flw_{}", text.to_ascii_lowercase())] {
        same::<FollowerId>(&lower);
        same::<DialogueId>(&lower);
        same::<MessageId>(&lower);
        same::<ReviewId>(&lower);
    }
}

/// What is read is written as it was.
fn same<T: FromStr + Display>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string(), text);
    }
}
