//! Assertions that are forged, old, another's or used, pushed to a running information-management server by a carrier whose authority's key is in
//! wrong hands: none has an effect, and the audit counts each by the carrier that passed it on.
//!
//! Surprising: the key is the carrier's own, taken out of a copy of its database, because whoever has none is stopped by the signature alone. The last assertion
//! is right, so that the others were refused for what is wrong with each.

use std::time::Duration;

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use musubi_domain::identity::IdentityMethod;
use musubi_proto::{
    carrier::v1::{
        Action, Follow, IncomingMessage, ReceiveMessagesRequest, SubmitActionsRequest, SuggestionTapped,
        TextTyped, action::What, handset_service_client::HandsetServiceClient,
    },
    information::v1::{PushAssertionsRequest, carrier_event_service_client::CarrierEventServiceClient},
    r#type::v1::suggestion,
};
use musubi_runtime::{Clock as _, SystemClock, entropy, grpc::client::PeerChannel};
use musubi_storage::{
    Opened as _,
    carrier::{AuthorityKey, AuthorityStore as _},
    sqlite::carrier::SqliteCarrierStore,
};
use musubi_tests::processes::{CARRIERS, System};
use serde_json::{Value, json};
use tokio::time::timeout;
use tonic::Streaming;
use uuid::Uuid;

use crate::people::{BANK, GAS};

const KUMO: &str = CARRIERS[0];
const NAMI: &str = CARRIERS[1];
const FLEET: &str = "phones-of-victims";
/// Whose assertion is forged, and who has theirs used.
const VICTIMS: [&str; 2] = ["+818033330001", "+818033330002"];
const ACCOUNT: &str = "1357924";
const PATIENCE: Duration = Duration::from_secs(20);

/// What was refused, of either carrier.
pub(crate) struct Refused {
    pub(crate) kumo: u64,
    pub(crate) nami: u64,
}

/// The phones of the victims.
struct Phones {
    client: HandsetServiceClient<PeerChannel>,
    messages: Streaming<musubi_proto::carrier::v1::ReceiveMessagesResponse>,
    got: Vec<IncomingMessage>,
}

impl Phones {
    async fn connect(system: &System) -> Self {
        let channel = system.channel_of("phones", KUMO);
        let mut client = HandsetServiceClient::new(channel.open_ended());
        let request = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
        let messages = client.receive_messages(request).await.unwrap().into_inner();
        Self { client: HandsetServiceClient::new(channel), messages, got: Vec::new() }
    }

    async fn act(&mut self, number: &str, what: What) {
        let action =
            Action { msisdn: number.to_owned(), official_account: BANK.to_owned(), what: Some(what) };
        let request = SubmitActionsRequest {
            batch_id: Uuid::from_bytes(entropy::bytes()).to_string(),
            fleet: FLEET.to_owned(),
            actions: vec![action],
        };
        self.client.submit_actions(request).await.unwrap();
    }

    /// The message of this place in a talk room.
    async fn message(&mut self, number: &str, place: usize) -> IncomingMessage {
        loop {
            let mut own = self.got.iter().filter(|message| message.msisdn == number);
            if let Some(message) = own.nth(place) {
                return message.clone();
            }
            let next = timeout(PATIENCE, self.messages.message()).await.unwrap().unwrap().unwrap();
            for message in next.messages {
                if self.got.iter().all(|known| known.message_id != message.message_id) {
                    self.got.push(message);
                }
            }
        }
    }

    /// Follows, wants to be confirmed, types a number: what the link of an identity's proof says, its audience and its nonce.
    async fn until_identity(&mut self, number: &str) -> (String, String) {
        self.act(number, What::Follow(Follow {})).await;
        let question = self.message(number, 0).await;
        let button = question.content.unwrap().suggestions.remove(0);
        let tap = SuggestionTapped {
            message_id: question.message_id,
            postback: button.postback,
            text: button.text,
        };
        self.act(number, What::Tapped(tap)).await;
        self.message(number, 1).await;
        self.act(number, What::Typed(TextTyped { text: ACCOUNT.to_owned() })).await;
        let message = self.message(number, 2).await;
        let url = message.content.unwrap().suggestions.into_iter().find_map(|suggestion| {
            let Some(suggestion::Action::OpenUrl(open)) = suggestion.action else { return None };
            open.url.starts_with("https://jpki.").then_some(open.url)
        });
        let url = reqwest::Url::parse(&url.unwrap()).unwrap();
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
        (value("aud"), value("nonce"))
    }
}

/// The keys of a carrier's authorities, out of a copy of its database.
async fn stolen(system: &System, carrier: &str) -> Vec<AuthorityKey> {
    let folder = tempfile::tempdir().unwrap();
    let stored = system.stored();
    let (_, file, log) = stored.iter().find(|(name, ..)| *name == carrier).unwrap();
    let copy = folder.path().join("copy.db");
    std::fs::write(&copy, file).unwrap();
    std::fs::write(copy.with_extension("db-wal"), log).unwrap();
    let store = SqliteCarrierStore::open(&copy, |_| Vec::new()).await.unwrap();
    let keys = store.put_authority_keys(&[]).await.unwrap();
    store.close().await;
    keys
}

fn sign(key: &AuthorityKey, kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&key.private_key)).unwrap()
}

/// The same assertion with these claims otherwise.
fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

/// The fields for which an assertion is refused; none when it is taken.
async fn push(system: &System, carrier: &str, assertion: String) -> Option<String> {
    let mut client = CarrierEventServiceClient::new(system.channel_of(carrier, "information"));
    let request = PushAssertionsRequest { assertions: vec![assertion] };
    let answer = client.push_assertions(request).await.unwrap().into_inner();
    assert_eq!(answer.taken as usize + answer.refused.len(), 1);
    answer.refused.into_iter().next().map(|refused| refused.field)
}

/// Two people wait to be verified while assertions are pushed that are not theirs.
pub(crate) async fn forge(system: &System) -> Refused {
    let mut phones = Phones::connect(system).await;
    let (audience, nonce) = phones.until_identity(VICTIMS[0]).await;
    let (_, of_the_other) = phones.until_identity(VICTIMS[1]).await;
    // Who has guessed is told that it failed three seconds later.
    let before = system.quiet_for(Duration::from_secs(4)).await;
    let keys = stolen(system, KUMO).await;
    let key = |method| keys.iter().find(|key| key.method == method).unwrap();
    let (jpki, carriers_own) = (key(IdentityMethod::Jpki), key(IdentityMethod::Carrier));
    let now = SystemClock.now().as_second();
    let right = json!({
        "iss": "https://jpki.kumo.musubi.test", "aud": audience, "nonce": nonce, "jti": Uuid::from_bytes(entropy::bytes()),
        "iat": now, "exp": now + 600, "phone_number": VICTIMS[0], "method": "jpki", "assurance": "high",
        "name": "渡辺 美咲", "name_kana": "ワタナベ ミサキ", "birth_date": "1980-01-01", "address": "東京都港区芝公園四丁目2-8",
    });
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
        (signed(json!({ "nonce": of_the_other })), "nonce"),
        (signed(json!({ "phone_number": VICTIMS[1] })), "nonce"),
        (signed(json!({ "nonce": "guessed" })), "nonce"),
        (signed(json!({ "iat": now - 601 })), "iat"),
        (signed(json!({ "iat": now + 300 })), "iat"),
        (signed(json!({ "exp": now - 1 })), "iat"),
    ];
    let count = wrong.len() as u64;
    let mut faults = Vec::new();
    for (case, (assertion, field)) in wrong.into_iter().enumerate() {
        let refused = push(system, KUMO, assertion).await;
        if refused.as_deref() != Some(field) {
            faults.push(format!("case {case}: {refused:?}, not {field}"));
        }
    }
    let elsewhere = push(system, NAMI, untouched.clone()).await;
    assert!(faults.is_empty() && elsewhere.as_deref() == Some("iss"), "{faults:#?} {elsewhere:?}");
    assert!(before == system.stored(), "what was refused has changed something");
    assert_eq!(push(system, KUMO, untouched.clone()).await, None, "the one that is right");
    assert_eq!(push(system, KUMO, untouched).await.as_deref(), Some("nonce"), "is good once");
    Refused { kumo: count + 1, nami: 1 }
}
