//! Facts about the door for carriers, on a real database: bad input of every sort is refused by its field, and nothing changed.

use std::collections::HashMap;

use async_trait::async_trait;
use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures::stream::BoxStream;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use musubi_domain::{
    dialogue::{Choice, Rules, State},
    guess::Limits,
    id::{CarrierId, FollowerKeyring, MessageId, OfficialAccountId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    postback::{Nonce, Postback, TokenKey},
};
use musubi_matching::AccountFormat;
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        CarrierEvent, Followed, Receipt, ReceiptKind, Responded, Unfollowed, carrier_event::What,
        responded::How,
    },
};
use musubi_runtime::{Clock, ManualClock};
use musubi_storage::{
    information::{
        FollowerKey, InformationStore,
        flow::{FollowerRecord, Scope},
    },
    sqlite::information::SqliteInformation,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    confirmation::{assertions::KeyCache, verifier::Verifiers},
    directory::{Account, Company, Directory, Matching, Texts},
    gateway::{CarrierGateway, ListPart, OutgoingMessage, Verdict, VerificationKey},
    scene::Scene,
    signal::Signals,
};

const NUMBER: &str = "+818012345678";

/// A carrier whose authorities' keys are known, and nothing else.
struct Authorities {
    carrier: CarrierId,
    keys: Vec<VerificationKey>,
}

#[async_trait]
impl CarrierGateway for Authorities {
    fn carrier(&self) -> &CarrierId {
        &self.carrier
    }

    async fn open_account(&self, _: &OfficialAccountId, _: &str) -> Result<(), Error> {
        Ok(())
    }

    async fn fetch_list(
        &self,
        _: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error> {
        Ok(Box::pin(futures::stream::empty()))
    }

    async fn send(&self, _: &OfficialAccountId, _: Vec<OutgoingMessage>) -> Result<Vec<Verdict>, Error> {
        Ok(vec![])
    }

    async fn revoke(&self, _: &OfficialAccountId, _: &[MessageId]) -> Result<Vec<bool>, Error> {
        Ok(vec![])
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error> {
        Ok(self.keys.clone())
    }
}

/// A key pair of an authority: its private half, and what is published.
struct Pair {
    signing: EncodingKey,
    published: VerificationKey,
}

fn pair(method: IdentityMethod, over: &str) -> Pair {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
    let body = BASE64_STANDARD.encode(public.as_ref());
    let published = VerificationKey {
        key_id: format!("{method}-{over}"),
        issuer: format!("https://{method}.{over}.musubi.test"),
        method,
        public_key_pem: format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"),
    };
    Pair { signing: EncodingKey::from_ec_der(pair.to_pkcs8v1().unwrap().as_ref()), published }
}

struct Fixture {
    _folder: tempfile::TempDir,
    events: Arc<Events>,
    assertions: Arc<Assertions>,
    store: Arc<dyn InformationStore>,
    directory: Arc<Directory>,
    clock: Arc<ManualClock>,
    tokens: TokenKey,
    keyring: FollowerKeyring,
    jpki: Pair,
    document: Pair,
    foreign: Pair,
    count: std::sync::atomic::AtomicU32,
}

fn id<T: std::str::FromStr<Err = Error>>(text: &str) -> T {
    text.parse().unwrap()
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let open = SqliteInformation::open(&folder.path().join("information.db")).await.unwrap();
        let store: Arc<dyn InformationStore> = Arc::new(open);
        let company = |name: &str| Company {
            id: id(name),
            matching: Matching::Inquiry,
            account_format: AccountFormat { account_digits: 7, branch_digits: 3 },
            methods: vec![IdentityMethod::Jpki, IdentityMethod::Carrier],
            limits: Limits::default(),
        };
        let account = |name: &str, carriers: &[&str]| Account {
            id: id(name),
            company: id(name),
            display_name: name.to_owned(),
            carriers: carriers.iter().map(|carrier| id(carrier)).collect(),
            rules: Rules::default(),
            texts: Texts::default(),
            tie_days: 180,
        };
        let directory = Arc::new(Directory::new(
            vec![company("bank"), company("gas")],
            vec![account("bank", &["kumo", "nami"]), account("gas", &["nami"])],
        ));
        let clock = Arc::new(ManualClock::new("2026-11-23T03:00:00Z".parse().unwrap()));
        let (tokens, keyring) = (TokenKey::new(&[1; 32]).unwrap(), FollowerKeyring::new(&[2; 32]).unwrap());
        let (jpki, document) = (pair(IdentityMethod::Jpki, "kumo"), pair(IdentityMethod::Document, "kumo"));
        let foreign = pair(IdentityMethod::Jpki, "nami");
        let gateway = |carrier: &str, keys: Vec<VerificationKey>| {
            let gateway: Arc<dyn CarrierGateway> = Arc::new(Authorities { carrier: id(carrier), keys });
            (id(carrier), gateway)
        };
        let gateways = HashMap::from([
            gateway("kumo", vec![jpki.published.clone(), document.published.clone()]),
            gateway("nami", vec![foreign.published.clone()]),
        ]);
        let over = |carrier: &str| {
            let url = format!("https://{{method}}.{carrier}.musubi.test/verify");
            (id(carrier), Verifiers::over(&url, &tokens))
        };
        let verifiers = Arc::new(HashMap::from([over("kumo"), over("nami")]));
        let parts = || {
            let clock: Arc<dyn Clock> = clock.clone();
            (Arc::clone(&store), Arc::clone(&directory), clock, Signals::default(), keyring.clone())
        };
        let (store_, directory_, clock_, signals, keyring_) = parts();
        let events = Arc::new(Events {
            store: store_,
            directory: directory_,
            clock: clock_,
            signals,
            keyring: keyring_,
            tokens: tokens.clone(),
        });
        let (store_, directory_, clock_, signals, keyring_) = parts();
        let assertions = Arc::new(Assertions {
            store: store_,
            directory: directory_,
            clock: clock_,
            signals,
            keyring: keyring_,
            verifiers,
            gateways: Arc::new(gateways),
            keys: KeyCache::default(),
        });
        Self {
            _folder: folder,
            events,
            assertions,
            store,
            directory,
            clock,
            tokens,
            keyring,
            jpki,
            document,
            foreign,
            count: std::sync::atomic::AtomicU32::default(),
        }
    }

    /// An event with an id of its own, happening now.
    fn event(&self, what: What) -> CarrierEvent {
        let count = self.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        CarrierEvent {
            event_id: format!("event-{count}"),
            official_account: "bank".to_owned(),
            msisdn: NUMBER.to_owned(),
            event_time: Some(timestamp(self.clock.now())),
            what: Some(what),
        }
    }

    async fn take(&self, over: &str, event: CarrierEvent) -> Taken {
        self.events.take(&id(over), vec![event]).await.unwrap().remove(0)
    }

    async fn say(&self, how: How) -> Taken {
        self.take("kumo", self.event(What::Responded(Responded { how: Some(how) }))).await
    }

    fn key(&self) -> FollowerKey {
        let account: OfficialAccountId = id("bank");
        let follower = self.keyring.follower(&account, &id::<PhoneNumber>(NUMBER));
        FollowerKey { account, follower }
    }

    /// What is known of the follower now.
    async fn record(&self) -> Option<FollowerRecord> {
        let scope = Scope { followers: vec![self.key()], ..Scope::default() };
        let mut found = None;
        self.store
            .work("look", &scope, self.clock.now(), &mut |work| {
                found = work.followers.get(&self.key()).cloned();
            })
            .await
            .unwrap();
        found
    }

    async fn state(&self) -> State {
        self.record().await.unwrap().dialogue.unwrap().state
    }

    async fn tell(&self, event: &musubi_domain::dialogue::Event) {
        let scope = Scope { followers: vec![self.key()], ..Scope::default() };
        let (account, company) = self.directory.account_and_company(&self.key().account).unwrap();
        let scene = Scene { account, company, now: self.clock.now() };
        self.store
            .work("tell", &scope, self.clock.now(), &mut |work| {
                scene.tell(work, &self.key(), event).unwrap();
            })
            .await
            .unwrap();
    }

    async fn postback(&self, choice: Choice) -> String {
        let dialogue = self.record().await.unwrap().dialogue.unwrap();
        self.tokens.seal_postback(&Postback { dialogue: dialogue.id, step: dialogue.step, choice })
    }

    /// A follower who was asked.
    async fn asked(&self) {
        assert_eq!(self.take("kumo", self.event(What::Followed(Followed {}))).await, Taken::Now);
        self.tell(&musubi_domain::dialogue::Event::Due).await;
    }

    /// A follower who gave an account number.
    async fn waiting_for_identity(&self) {
        self.asked().await;
        let confirm = self.postback(Choice::Confirm).await;
        assert_eq!(self.say(How::Postback(confirm)).await, Taken::Now);
        assert_eq!(self.say(How::Text("口座番号は１２３４５６７です".to_owned())).await, Taken::Now);
        assert_eq!(self.state().await, State::IdentityAsked);
    }

    async fn nonce(&self, method: IdentityMethod) -> String {
        let dialogue = self.record().await.unwrap().dialogue.unwrap();
        self.tokens.seal_nonce(&Nonce { dialogue: dialogue.id, step: dialogue.step, method })
    }

    /// Good claims for the present step, with some changed.
    async fn claims(&self, changes: Value) -> Value {
        let now = self.clock.now().as_second();
        let mut claims = json!({
            "iss": self.jpki.published.issuer, "aud": "bank", "nonce": self.nonce(IdentityMethod::Jpki).await,
            "phone_number": NUMBER, "method": "jpki", "name": "山田　花子", "birth_date": "1990-01-02",
            "address": "東京都港区一丁目1-1", "assurance": "high", "iat": now, "exp": now + 600, "jti": "j",
        });
        if let (Some(claims), Value::Object(changes)) = (claims.as_object_mut(), changes) {
            claims.extend(changes);
        }
        claims
    }

    async fn assert_one(&self, over: &str, assertion: String) -> Result<(), Error> {
        self.assertions.take(&id(over), vec![assertion]).await.unwrap().remove(0)
    }
}

fn sign(pair: &Pair, claims: &Value) -> String {
    let header = Header { kid: Some(pair.published.key_id.clone()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, &pair.signing).unwrap()
}

fn field(taken: Taken) -> String {
    match taken {
        Taken::Refused(error) => error.field,
        Taken::Now | Taken::Before => panic!("not refused"),
    }
}

#[tokio::test]
async fn an_event_has_its_effect_once() {
    let it = Fixture::new().await;
    let follow = it.event(What::Followed(Followed {}));
    assert_eq!(it.take("kumo", follow.clone()).await, Taken::Now);
    assert_eq!(it.take("kumo", follow.clone()).await, Taken::Before);
    let twice = it.event(What::Unfollowed(Unfollowed {}));
    it.clock.advance(SignedDuration::from_secs(1));
    let taken = it.events.take(&id("kumo"), vec![twice.clone(), twice]).await.unwrap();
    assert_eq!(taken, [Taken::Now, Taken::Before]);
    assert_eq!(it.state().await, State::Ended);
}

#[tokio::test]
async fn malformed_events_are_refused_by_field_and_change_nothing() {
    let it = Fixture::new().await;
    it.asked().await;
    let before = it.record().await;
    let follow = || it.event(What::Followed(Followed {}));
    let receipt = |message_id: &str, kind: ReceiptKind| {
        What::Receipt(Receipt { message_id: message_id.to_owned(), kind: kind.into() })
    };
    let says = |how| What::Responded(Responded { how });
    let unknown = MessageId::of_dialogue(before.clone().unwrap().dialogue.unwrap().id, 7).to_string();
    let long = "あ".repeat(3073);
    for (over, event, at) in [
        ("kumo", CarrierEvent { event_id: String::new(), ..follow() }, "event_id"),
        ("kumo", CarrierEvent { event_id: "e".repeat(101), ..follow() }, "event_id"),
        ("kumo", CarrierEvent { official_account: "nobody".to_owned(), ..follow() }, "official_account"),
        ("kumo", CarrierEvent { official_account: "gas".to_owned(), ..follow() }, "official_account"),
        ("kumo", CarrierEvent { msisdn: "08012345678".to_owned(), ..follow() }, "msisdn"),
        ("kumo", CarrierEvent { event_time: None, ..follow() }, "event_time"),
        ("kumo", CarrierEvent { what: None, ..follow() }, "what"),
        ("kumo", it.event(says(None)), "responded"),
        ("kumo", it.event(says(Some(How::Text(String::new())))), "responded.text"),
        ("kumo", it.event(says(Some(How::Text(long)))), "responded.text"),
        ("kumo", it.event(says(Some(How::Postback("forged".to_owned())))), "responded.postback"),
        ("kumo", it.event(says(Some(How::Postback("p".repeat(3000))))), "responded.postback"),
        ("kumo", it.event(receipt("msg_1", ReceiptKind::Delivered)), "receipt.message_id"),
        ("kumo", it.event(receipt(&unknown, ReceiptKind::Delivered)), "receipt.message_id"),
        ("kumo", it.event(receipt(&unknown, ReceiptKind::Unspecified)), "receipt.kind"),
    ] {
        assert_eq!(field(it.take(over, event).await), at);
        assert_eq!(it.record().await, before, "{at}");
    }
}

#[tokio::test]
async fn bad_events_do_not_hold_up_their_neighbours() {
    let it = Fixture::new().await;
    let bad = CarrierEvent { msisdn: "110".to_owned(), ..it.event(What::Followed(Followed {})) };
    let taken = it.events.take(&id("kumo"), vec![bad, it.event(What::Followed(Followed {}))]).await.unwrap();
    assert!(matches!(taken[..], [Taken::Refused(_), Taken::Now]));
}

#[tokio::test]
async fn late_repeated_and_foreign_taps_change_nothing() {
    let it = Fixture::new().await;
    it.asked().await;
    let confirm = it.postback(Choice::Confirm).await;
    let decline = it.postback(Choice::Decline).await;
    assert_eq!(it.say(How::Postback(confirm.clone())).await, Taken::Now);
    assert_eq!(it.state().await, State::AccountAsked);
    let before = it.record().await;
    for late in [confirm, decline.clone()] {
        assert_eq!(it.say(How::Postback(late)).await, Taken::Now, "a late tap is taken");
        assert_eq!(it.record().await, before, "and has no effect");
    }
    // The same button in another person's talk room.
    let other = CarrierEvent { msisdn: "+818099999999".to_owned(), ..it.event(What::Followed(Followed {})) };
    it.take("kumo", other.clone()).await;
    let stolen = What::Responded(Responded { how: Some(How::Postback(decline)) });
    let stolen = CarrierEvent { msisdn: other.msisdn, ..it.event(stolen) };
    assert_eq!(field(it.take("kumo", stolen).await), "responded.postback");
    // A key that isn't ours.
    let forged = TokenKey::new(&[9; 32]).unwrap();
    let dialogue = before.unwrap().dialogue.unwrap();
    let forged = forged.seal_postback(&Postback {
        dialogue: dialogue.id,
        step: dialogue.step,
        choice: Choice::Confirm,
    });
    assert_eq!(field(it.say(How::Postback(forged)).await), "responded.postback");
}

#[tokio::test]
async fn answers_of_strangers_are_refused() {
    let it = Fixture::new().await;
    assert_eq!(field(it.say(How::Text("1234567".to_owned())).await), "msisdn");
    assert_eq!(it.record().await, None);
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

#[tokio::test]
async fn a_receipt_before_the_acceptance_counts() {
    let it = Fixture::new().await;
    it.asked().await;
    let record = it.record().await.unwrap();
    let message = MessageId::of_dialogue(record.dialogue.unwrap().id, 0);
    let receipt = Receipt { message_id: message.to_string(), kind: ReceiptKind::Displayed.into() };
    assert_eq!(it.take("kumo", it.event(What::Receipt(receipt))).await, Taken::Now);
    let scope = Scope { messages: vec![(it.key(), message)], ..Scope::default() };
    let mut state = None;
    it.store
        .work("look", &scope, Timestamp::UNIX_EPOCH, &mut |work| state = work.messages.get(&message).copied())
        .await
        .unwrap();
    assert_eq!(state, Some(musubi_domain::delivery::DeliveryState::Displayed));
}
