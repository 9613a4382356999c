//! Facts about the door for carriers, on a real database: bad input of every sort is refused by its field, and nothing changed.

mod assertions;
mod events;
mod webhooks;

use std::collections::HashMap;

use aws_lc_rs::{
    encoding::{AsDer as _, PublicKeyX509Der},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use musubi_domain::{
    delivery::DeliveryState,
    dialogue::{Choice, Rules, State},
    eligibility::Tie,
    guess::Limits,
    id::{DistributionId, FollowerId, FollowerKeyring, MessageId, OfficialAccountId, TieId},
    identity::IdentityMethod,
    phone_number::PhoneNumber,
    postback::{Button, Nonce, Postback, TokenKey},
    quiet_hours::QuietHours,
    silence::Silence,
};
use musubi_matching::{AccountFormat, Policy};
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
        flow::{FollowerRecord, Scope, TieRecord},
    },
    sqlite::information::SqliteInformation,
};
use serde_json::{Value, json};

use super::*;
use crate::{
    acquisition::events::Waiting,
    confirmation::{assertions::KeyCache, verifier::Verifiers},
    directory::{Account, Company, Directory, Matching, Texts},
    gateway::{CarrierGateway, VerificationKey},
    scene::Scene,
    tests::{Carrier, signals, vault},
    together::Together,
};

const NUMBER: &str = "+818012345678";

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
    folder: tempfile::TempDir,
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
        Self::with(Rules::default()).await
    }

    async fn with(rules: Rules) -> Self {
        let [jpki, document, foreign] = [
            pair(IdentityMethod::Jpki, "kumo"),
            pair(IdentityMethod::Document, "kumo"),
            pair(IdentityMethod::Jpki, "nami"),
        ];
        let folder = tempfile::tempdir().unwrap();
        let open = SqliteInformation::open(&folder.path().join("information.db"), vault()).await.unwrap();
        let store: Arc<dyn InformationStore> = Arc::new(open);
        let company = |name: &str| Company {
            id: id(name),
            matching: Matching::Inquiry,
            account_format: AccountFormat { account_digits: 7, branch_digits: 3 },
            policy: Policy::default(),
            methods: vec![IdentityMethod::Jpki, IdentityMethod::Carrier],
            limits: Limits::default(),
            link_hosts: musubi_domain::link::LinkHosts::default(),
            messages_per_second: 0,
            second_person: crate::tests::alone(),
        };
        let account = |name: &str, carriers: &[&str]| Account {
            id: id(name),
            company: id(name),
            display_name: name.to_owned(),
            carriers: carriers.iter().map(|carrier| id(carrier)).collect(),
            rules: rules.clone(),
            texts: Texts::default(),
            tie_days: 180,
            silence: Silence::of_days(30),
            messages_per_second: 0,
        };
        let directory = Arc::new(Directory::new(
            vec![company("bank"), company("gas")],
            vec![account("bank", &["kumo", "nami"]), account("gas", &["nami"])],
        ));
        let clock = Arc::new(ManualClock::new("2026-11-23T03:00:00Z".parse().unwrap()));
        let (tokens, keyring) = (TokenKey::new(&[1; 32]).unwrap(), FollowerKeyring::new(&[2; 32]).unwrap());
        let gateway = |carrier: &str, keys: Vec<VerificationKey>| {
            let gateway: Arc<dyn CarrierGateway> = Arc::new(Carrier { keys, ..Carrier::new(carrier) });
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
            (Arc::clone(&store), Arc::clone(&directory), clock, signals(), keyring.clone())
        };
        let (store_, directory_, clock_, signals, keyring_) = parts();
        let events = Arc::new(Events {
            store: store_,
            directory: directory_,
            clock: clock_,
            signals,
            keyring: keyring_,
            tokens: tokens.clone(),
            waiting: Waiting::default(),
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
            waiting: Together::new(store.units_at_once()),
        });
        Self {
            folder,
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
        assert_eq!(self.state().await, State::Asked);
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
