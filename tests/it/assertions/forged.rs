//! Assertions that are forged, old, another's or used: none has an effect, and the audit counts each by the carrier that passed it on.
//!
//! Surprising: the last assertion is right, so that the others were refused for what is wrong with each.

use std::time::Duration;

use musubi_domain::identity::IdentityMethod::{Carrier, Jpki};
use musubi_runtime::{Clock as _, SystemClock};
use musubi_tests::processes::{CARRIERS, System};
use serde_json::json;

use super::{KUMO, Person, Phones, Stolen, push, right, sign, with};
use crate::people::{BANK, GAS};

const NAMI: &str = CARRIERS[1];
const ACCOUNT: &str = "1357924";

/// What was refused, of either carrier.
pub(crate) struct Refused {
    pub(crate) kumo: u64,
    pub(crate) nami: u64,
}

/// Two people wait to be verified while assertions are pushed that are not theirs.
pub(crate) async fn forge(system: &System, phones: &mut Phones, stolen: &Stolen) -> Refused {
    let victim =
        |number: &str| Person { number: number.to_owned(), account: BANK, types: ACCOUNT.to_owned() };
    let victims = ["+818033330001", "+818033330002"].map(victim);
    let links = phones.until_identity(&[&victims[0], &victims[1]]).await;
    // Who has guessed is told that it failed three seconds later.
    let before = system.quiet_for(Duration::from_secs(4)).await;
    let (jpki, carriers_own) = (stolen.key(Jpki), stolen.key(Carrier));
    let now = SystemClock.now().as_second();
    let person = json!({
        "name": "渡辺 美咲", "name_kana": "ワタナベ ミサキ", "birth_date": "1980-01-01", "address": "東京都港区芝公園四丁目2-8",
    });
    let right = with(&right(&victims[0], &links[0], Jpki), person);
    let signed = |changes| sign(jpki, &jpki.key_id, &with(&right, changes));
    let untouched = signed(json!({}));
    let mut tampered = untouched.clone();
    let middle = tampered.len() / 2;
    let flipped = if tampered.as_bytes()[middle] == b'A' { "B" } else { "A" };
    tampered.replace_range(middle..=middle, flipped);
    let wrong = [
        (tampered, "assertion"),
        (sign(carriers_own, &jpki.key_id, &right), "assertion"),
        (sign(carriers_own, &carriers_own.key_id, &right), "iss"),
        (signed(json!({ "iss": "https://jpki.nami.musubi.test" })), "iss"),
        (signed(json!({ "method": "carrier" })), "method"),
        (signed(json!({ "aud": GAS })), "phone_number"),
        (signed(json!({ "nonce": links[1].nonces["jpki"] })), "nonce"),
        (signed(json!({ "phone_number": victims[1].number })), "nonce"),
        (signed(json!({ "nonce": "guessed" })), "nonce"),
        (signed(json!({ "iat": now - 601 })), "iat"),
        (signed(json!({ "iat": now + 300 })), "iat"),
        (signed(json!({ "exp": now - 1 })), "iat"),
    ];
    let (assertions, fields): (Vec<_>, Vec<_>) = wrong.into_iter().unzip();
    let count = fields.len() as u64;
    let refused = push(system, KUMO, assertions).await;
    assert_eq!(refused.iter().map(|field| field.as_deref().unwrap_or("none")).collect::<Vec<_>>(), fields);
    let elsewhere = push(system, NAMI, vec![untouched.clone()]).await;
    assert_eq!(elsewhere, [Some("iss".to_owned())]);
    assert!(before == system.stored(), "what was refused has changed something");
    assert_eq!(push(system, KUMO, vec![untouched.clone()]).await, [None], "the one that is right");
    assert_eq!(push(system, KUMO, vec![untouched]).await, [Some("nonce".to_owned())], "is good once");
    Refused { kumo: count + 1, nami: 1 }
}
