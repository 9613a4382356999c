//! Assertions: each good once, for the dialogue, step and number that it was made for.

use super::*;

pub(super) fn sign(pair: &Pair, claims: &Value) -> String {
    let header = Header { kid: Some(pair.published.key_id.clone()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, &pair.signing).unwrap()
}

#[tokio::test]
async fn a_good_assertion_is_taken_once() {
    let it = Fixture::new().await;
    it.waiting_for_identity().await;
    let assertion = sign(&it.jpki, &it.claims(json!({})).await);
    assert_eq!(it.assert_one("kumo", assertion.clone()).await, Ok(()));
    assert_eq!(it.state().await, State::Matching);
    assert!(it.record().await.unwrap().inquiry.is_some());
    let before = it.record().await;
    assert_eq!(it.assert_one("kumo", assertion).await.unwrap_err().field, "nonce");
    assert_eq!(it.record().await, before);
}

#[tokio::test]
async fn calls_that_are_taken_together_are_each_told_of_their_own_assertions() {
    let it = Fixture::new().await;
    it.waiting_for_identity().await;
    let carrier = id("kumo");
    let good = sign(&it.jpki, &it.claims(json!({})).await);
    let late = sign(&it.jpki, &it.claims(json!({"phone_number": "+818099999999"})).await);
    let (first, second, third) = tokio::join!(
        it.assertions.take(&carrier, vec![late.clone()]),
        it.assertions.take(&carrier, vec!["a.b.c".to_owned(), good.clone()]),
        it.assertions.take(&carrier, vec![good, late]),
    );
    let fields = |verdicts: Result<Vec<Result<(), Error>>, Error>| {
        let fields = verdicts.unwrap().into_iter().map(|verdict| verdict.err().map(|error| error.field));
        fields.collect::<Vec<_>>()
    };
    let refused = |field: &str| Some(field.to_owned());
    let (second, third) = (fields(second), fields(third));
    assert_eq!(fields(first), [refused("phone_number")]);
    assert_eq!((&second[0], &third[1]), (&refused("assertion"), &refused("phone_number")));
    // Signatures are checked beside one another, so either may have come first.
    let mut good = [second[1].clone(), third[0].clone()];
    good.sort();
    assert_eq!(good, [None, refused("nonce")]);
}

#[tokio::test]
async fn assertions_that_are_not_right_are_refused_by_field_and_change_nothing() {
    let it = Fixture::new().await;
    it.waiting_for_identity().await;
    let before = it.record().await;
    let now = it.clock.now().as_second();
    let dialogue = before.clone().unwrap().dialogue.unwrap();
    let nonce = |step, method| it.tokens.seal_nonce(&Nonce { dialogue: dialogue.id, step, method });
    let elsewhere = musubi_domain::id::DialogueId::derive(it.key().follower, 5);
    let other_dialogue = it.tokens.seal_nonce(&Nonce {
        dialogue: elsewhere,
        step: dialogue.step,
        method: IdentityMethod::Jpki,
    });
    let jpki = |claims: Value| sign(&it.jpki, &claims);
    let mut tampered = jpki(it.claims(json!({})).await);
    let middle = tampered.len() / 2;
    let flipped = if tampered.as_bytes()[middle] == b'A' { "B" } else { "A" };
    tampered.replace_range(middle..=middle, flipped);
    let none = {
        let header = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":"jpki-kumo"}"#);
        let body = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(it.claims(json!({})).await.to_string());
        format!("{header}.{body}.")
    };
    let mut cases = vec![
        ("kumo", String::new(), "assertion"),
        ("kumo", "a.b.c".to_owned(), "assertion"),
        ("kumo", "x".repeat(9_000), "assertion"),
        ("kumo", none, "assertion"),
        ("kumo", tampered, "assertion"),
        // Signed by another authority under this one's key id.
        (
            "kumo",
            {
                let header = Header { kid: Some("jpki-kumo".to_owned()), ..Header::new(Algorithm::ES256) };
                jsonwebtoken::encode(&header, &it.claims(json!({})).await, &it.foreign.signing).unwrap()
            },
            "assertion",
        ),
        // Another carrier's authority, and this one's passed on by another carrier.
        (
            "kumo",
            sign(&it.foreign, &it.claims(json!({"iss": it.foreign.published.issuer})).await),
            "assertion",
        ),
        ("nami", jpki(it.claims(json!({})).await), "iss"),
        // A method that the company doesn't accept, by a key that may attest it.
        (
            "kumo",
            sign(
                &it.document,
                &it.claims(json!({
                    "iss": it.document.published.issuer, "method": "document",
                    "nonce": nonce(dialogue.step, IdentityMethod::Document)
                }))
                .await,
            ),
            "method",
        ),
    ];
    for (changes, at) in [
        (json!({"iss": "https://jpki.nami.musubi.test"}), "iss"),
        (json!({"method": "carrier"}), "method"),
        (json!({"assurance": "low"}), "assurance"),
        (json!({"assurance": "High"}), "assurance"),
        (json!({"assurance": null}), "assertion"),
        (json!({"aud": "gas"}), "phone_number"),
        (json!({"aud": "nobody"}), "aud"),
        (json!({"aud": "あ"}), "aud"),
        (json!({"nonce": "guessed"}), "nonce"),
        (json!({"nonce": nonce(dialogue.step - 1, IdentityMethod::Jpki)}), "nonce"),
        (json!({"nonce": nonce(dialogue.step, IdentityMethod::Carrier)}), "nonce"),
        (json!({"nonce": other_dialogue}), "nonce"),
        (json!({"phone_number": "+818099999999"}), "phone_number"),
        (json!({"phone_number": "08012345678"}), "phone_number"),
        (json!({"iat": now - 601}), "iat"),
        (json!({"iat": now + 120}), "iat"),
        (json!({"exp": now}), "iat"),
    ] {
        cases.push(("kumo", jpki(it.claims(changes).await), at));
    }
    for (over, assertion, at) in cases {
        let error = it.assert_one(over, assertion).await.unwrap_err();
        assert_eq!(error.field, at, "{error}");
        assert!(!error.to_string().contains("山田"), "no personal value");
        assert_eq!(it.record().await, before, "{at}");
    }
    assert_eq!(it.assert_one("kumo", jpki(it.claims(json!({})).await)).await, Ok(()), "a right one still is");
}

#[tokio::test]
async fn who_left_in_the_middle_can_not_be_verified() {
    let it = Fixture::new().await;
    it.waiting_for_identity().await;
    let assertion = sign(&it.jpki, &it.claims(json!({})).await);
    it.clock.advance(SignedDuration::from_secs(1));
    it.take("kumo", it.event(What::Unfollowed(Unfollowed {}))).await;
    assert_eq!(it.assert_one("kumo", assertion).await.unwrap_err().field, "nonce");
    assert!(it.record().await.unwrap().dialogue.unwrap().given.is_none(), "what was typed is gone");
}
