//! Signing in at a company's provider of OpenID Connect, on a running cluster: who was invited comes in, and whatever is wrong with a
//! provider's word, a ticket or a code opens nothing and stands in the audit.
//!
//! The provider here says what a test wants; a real one, in a real browser, is in `pages`. Surprising: what strangers can do at will is in the
//! audit as a count, and what only a provider can say has a line for each.

use jsonwebtoken::Algorithm::{ES256, EdDSA, HS256, RS256};
use musubi_domain::{
    Error,
    ErrorKind::{self, InvalidArgument, PermissionDenied, Unauthenticated},
    sign_in::Token,
};
use musubi_proto::company::v1::{
    BeginOpenIdRequest, BeginOpenIdResponse, FinishOpenIdRequest, FinishOpenIdResponse, OperatorRole,
    WhoAmIRequest, sign_in_service_client::SignInServiceClient,
};
use musubi_runtime::grpc::{
    client::{ClientOptions, connect_with_token},
    status::from_status,
};
use musubi_tests::{
    openid::{Back, OpenIdProvider, PERSON, SigningKey, Word},
    processes::{Kind, OPERATOR, System},
};
use serde_json::json;

use crate::people::{BANK, audit, does, musubi};

/// A change of a provider's word that has to be noticed, and what the audit says of it.
type Lie = (&'static str, fn(&mut Word));

const LIES: [Lie; 24] = [
    ("iss", |it| it.claims["iss"] = json!("https://other.example")),
    ("iss", |it| it.claims["iss"] = json!(format!("{}/", it.claims["iss"].as_str().unwrap()))),
    ("aud", |it| it.claims["aud"] = json!("another client")),
    ("aud", |it| it.claims["aud"] = json!(["another client"])),
    ("aud", |it| it.claims["aud"] = json!([it.claims["aud"], "another client"])),
    ("azp", |it| it.claims["azp"] = json!("another client")),
    ("exp", |it| it.claims["exp"] = json!(it.claims["iat"].as_i64().unwrap() - 61)),
    ("iat", |it| it.claims["iat"] = json!(it.claims["iat"].as_i64().unwrap() - 700)),
    ("iat", |it| it.claims["iat"] = json!(it.claims["iat"].as_i64().unwrap() + 120)),
    ("nbf", |it| it.claims["nbf"] = json!(it.claims["iat"].as_i64().unwrap() + 120)),
    ("nonce", |it| it.claims["nonce"] = json!("another sign-in's")),
    ("nonce", |it| it.claims["nonce"] = json!(null)),
    ("amr", |it| it.claims["amr"] = json!(["pwd"])),
    ("auth_time", |it| it.claims["auth_time"] = json!(it.claims["iat"].as_i64().unwrap() - 50_000)),
    ("auth_time", |it| it.claims["auth_time"] = json!(null)),
    ("has not verified it", |it| it.claims["email_verified"] = json!(false)),
    ("lacks a claim", |it| it.claims["exp"] = json!(null)),
    // Signed by the client's own secret, as by a public key that was taken for one.
    ("alg", |it| (it.key, it.header.alg) = (SigningKey::new("hs", HS256), HS256)),
    // Another's key under the name of a published one.
    ("the signature", |it| it.key = SigningKey::new("ec", ES256)),
    ("the signature", |it| it.spoil = |token| token[..token.len() - 4].to_owned() + "AAAA"),
    ("no such key", |it| it.header.kid = Some("rsa".to_owned())),
    ("it is no token", |it| it.header.crit = Some(vec!["exp".to_owned()])),
    ("alg", |it| it.spoil = |token| unsigned(&token)),
    ("alg", |it| it.spoil = |_| "no token at all".to_owned()),
];

/// The same token by the algorithm `none`.
fn unsigned(token: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
    let header = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none","typ":"JWT"}"#);
    format!("{header}.{}.", token.split('.').nth(1).unwrap())
}

/// The bank's server and the provider of its people.
struct Bank<'a> {
    system: &'a System,
    provider: &'a OpenIdProvider,
    key: SigningKey,
}

impl Bank<'_> {
    fn calls(&self) -> SignInServiceClient<musubi_runtime::grpc::client::PeerChannel> {
        SignInServiceClient::new(self.system.channel(BANK))
    }

    async fn begin(&self) -> BeginOpenIdResponse {
        self.calls().begin_open_id(BeginOpenIdRequest {}).await.unwrap().into_inner()
    }

    async fn finish(&self, ticket: &str, back: &Back) -> Result<FinishOpenIdResponse, Error> {
        let Back { state, code } = back.clone();
        let request = FinishOpenIdRequest { ticket: ticket.to_owned(), state, code };
        let answer = self.calls().finish_open_id(request).await;
        answer.map(tonic::Response::into_inner).map_err(|status| from_status(&status))
    }

    /// Signs in with this word of the provider's, by this key.
    async fn comes(
        &self,
        key: &SigningKey,
        word: impl FnOnce(&mut Word),
    ) -> Result<FinishOpenIdResponse, Error> {
        let begun = self.begin().await;
        let back = self.provider.let_in(&begun.url, key, word);
        self.finish(&begun.ticket, &back).await
    }

    /// Who has a session's token, if anybody.
    async fn who(&self, token: &str) -> Result<String, Error> {
        let token: Token = token.parse()?;
        let authorities = self.system.certificate(&"information".parse()?).authorities;
        let options = ClientOptions::default();
        let channel = connect_with_token(&authorities, Some(&token), &self.system.endpoint(BANK), options)?;
        let who = SignInServiceClient::new(channel).who_am_i(WhoAmIRequest {}).await;
        who.map(|who| who.into_inner().name).map_err(|status| from_status(&status))
    }
}

fn kind<T>(answer: Result<T, Error>) -> Option<ErrorKind> {
    answer.err().map(|error| error.kind)
}

#[tokio::test]
async fn a_provider_opens_for_whom_it_stands_and_nothing_that_is_wrong_with_its_word_does() {
    let provider = OpenIdProvider::start().await;
    let mut system = System::start_as(|layout| layout.quiet().openid(provider.origin())).await;
    let keys = [("ec", ES256), ("ed", EdDSA), ("rsa", RS256)].map(|(id, by)| SigningKey::new(id, by));
    provider.publish(&[&keys[0]]);
    let bank = Bank { system: &system, provider: &provider, key: keys[0].clone() };
    // Nobody was invited yet; and keys that the provider has made since are asked for at once.
    assert_eq!(kind(bank.comes(&bank.key, |_| {}).await), Some(PermissionDenied));
    provider.publish(&[&keys[0], &keys[1], &keys[2]]);
    assert_eq!(kind(bank.comes(&keys[1], |_| {}).await), Some(PermissionDenied));
    let invited =
        does(&system, BANK, &["operators", "invite", "mori", "--role", "editor", "--openid", PERSON]);
    assert!(invited.starts_with("mori has until ") && !invited.contains("musubi-invitation"), "{invited}");
    let (well, said) = musubi(
        &system,
        OPERATOR,
        BANK,
        &["operators", "invite", "doi", "--role", "viewer", "--openid", PERSON],
    );
    assert!(!well && said.contains("field    openid\n") && !said.contains(PERSON), "{said}");

    for (fault, lie) in LIES {
        assert_eq!(kind(bank.comes(&bank.key, lie).await), Some(Unauthenticated), "{fault}");
    }
    what_is_anothers_or_used_opens_nothing(&bank).await;
    let listed = does(&system, BANK, &["operators", "list", "--format", "csv"]);
    let mori = listed.lines().find(|line| line.starts_with("mori,")).unwrap();
    assert!(mori.starts_with("mori,openid,editor,invited until 2") && mori.ends_with(",,0"), "{mori}");

    // By each algorithm, and with an address that only the provider's answer says.
    for key in &keys {
        let begun = bank.comes(key, |_| {}).await.unwrap();
        assert_eq!(begun.roles, [i32::from(OperatorRole::Editor)]);
        assert_eq!(bank.who(&begun.token).await.as_deref(), Ok("mori"));
    }
    let asked = |word: &mut Word, sub: &str| {
        word.info = json!({ "sub": sub, "email": word.claims["email"], "email_verified": "true" });
        word.claims["email"] = json!(null);
    };
    bank.comes(&bank.key, |word| asked(word, "account-of-mori")).await.unwrap();
    assert_eq!(kind(bank.comes(&bank.key, |word| asked(word, "another")).await), Some(Unauthenticated));
    // A forger can't have the keys asked for all the time.
    let asked = provider.asked("keys");
    for _ in 0..3 {
        let forged = SigningKey::new("forged", ES256);
        assert_eq!(kind(bank.comes(&forged, |_| {}).await), Some(Unauthenticated));
    }
    assert!(provider.asked("keys") <= asked + 1);
    // The address is another account's now.
    let another = |word: &mut Word| word.claims["sub"] = json!("another");
    assert_eq!(kind(bank.comes(&bank.key, another).await), Some(PermissionDenied));
    // Who is removed is out at once, session and all.
    let begun = bank.comes(&bank.key, |_| {}).await.unwrap();
    does(&system, BANK, &["operators", "remove", "mori"]);
    assert_eq!(kind(bank.who(&begun.token).await), Some(Unauthenticated));
    assert_eq!(kind(bank.comes(&bank.key, |_| {}).await), Some(PermissionDenied));

    let lines = audit(&mut system, Kind::Company).await;
    let told = |action: &str| {
        let told = lines.iter().filter(|line| line["action"] == action);
        told.map(|line| line["detail"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let refused = told("openid_refused");
    for (place, (fault, _)) in LIES.iter().enumerate() {
        assert!(refused[place].contains(fault), "{fault}: {refused:#?}");
    }
    assert_eq!(refused.len(), LIES.len() + 1 + 3 + 1, "{refused:#?}");
    assert!(refused.last().unwrap().starts_with("mori: "), "{refused:#?}");
    assert_eq!((told("openid_unknown").len(), told("signed_in").len()), (3, 5));
    let strangers = |line: &String| line.starts_with("somebody who is not known");
    assert!(told("refused").iter().any(strangers), "{:?}", told("refused"));
    for process in system.processes() {
        assert!(!process.said().contains(PERSON), "{} says it", process.name());
    }
    let all = lines.iter().map(ToString::to_string).collect::<String>();
    assert!(!all.contains(PERSON) && !all.contains("account-of-mori"));
}

/// Tickets, states and codes of others, twice, and made up: as whoever has stolen a part of a sign-in.
async fn what_is_anothers_or_used_opens_nothing(bank: &Bank<'_>) {
    let (one, other) = (bank.begin().await, bank.begin().await);
    let back = bank.provider.let_in(&one.url, &bank.key, |_| {});
    let others = bank.provider.let_in(&other.url, &bank.key, |_| {});
    let asked = bank.provider.asked("token");
    let with = |state: &str, code: &str| Back { state: state.to_owned(), code: code.to_owned() };
    // Whose browser has another ticket, or none, is not who went to the provider.
    assert_eq!(kind(bank.finish(&other.ticket, &back).await), Some(Unauthenticated));
    assert_eq!(kind(bank.finish(&one.ticket, &with(&others.state, &back.code)).await), Some(Unauthenticated));
    let other_letter = if one.ticket[20..].starts_with('A') { "B" } else { "A" };
    let changed = format!("{}{other_letter}{}", &one.ticket[..20], &one.ticket[21..]);
    assert_eq!(kind(bank.finish(&changed, &back).await), Some(Unauthenticated));
    assert_eq!(bank.provider.asked("token"), asked, "the provider is not asked for any of it");
    for (ticket, back) in [
        ("", &back),
        ("a b", &back),
        (&one.ticket, &with("", &back.code)),
        (&one.ticket, &with(&back.state, "")),
    ] {
        assert_eq!(kind(bank.finish(ticket, back).await), Some(InvalidArgument));
    }
    // A code of another sign-in: its verifier is not the one that the code was given for.
    assert_eq!(kind(bank.finish(&one.ticket, &with(&back.state, &others.code)).await), Some(Unauthenticated));
    assert_eq!(kind(bank.finish(&one.ticket, &with(&back.state, "made-up")).await), Some(Unauthenticated));
}
