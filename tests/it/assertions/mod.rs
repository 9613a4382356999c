//! What can be done by a carrier whose authorities' keys are in wrong hands: its phones follow and type, and it attests whatever it likes to a running
//! information-management server. [`forged`] pushes what nobody may believe; [`failed`] what is believed, and shows no customer; [`bots`] that by the
//! thousand.
//!
//! Surprising: the keys are the carrier's own, taken out of a copy of its database, because whoever has none is stopped by the signature alone.

mod bots;
mod failed;
mod forged;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use musubi_domain::identity::IdentityMethod;
use musubi_proto::{
    carrier::v1::{
        Action, Follow, IncomingMessage, ReceiveMessagesRequest, ReceiveMessagesResponse,
        SubmitActionsRequest, SuggestionTapped, TextTyped, action::What,
        handset_service_client::HandsetServiceClient,
    },
    information::v1::{PushAssertionsRequest, carrier_event_service_client::CarrierEventServiceClient},
    r#type::v1::{Suggestion, suggestion},
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

pub(crate) use self::{failed::fail, forged::forge};

const KUMO: &str = CARRIERS[0];
const FLEET: &str = "phones-of-victims";
const PATIENCE: Duration = Duration::from_secs(20);

/// Who follows an account and types an account number.
struct Person {
    number: String,
    account: &'static str,
    types: String,
}

/// What the links of an identity message say: the audience, and a nonce for each method that is offered.
struct Links {
    audience: String,
    nonces: HashMap<String, String>,
}

/// The phones of one carrier, and what they got when.
pub(crate) struct Phones {
    client: HandsetServiceClient<PeerChannel>,
    messages: Streaming<ReceiveMessagesResponse>,
    got: Vec<(Instant, IncomingMessage)>,
}

impl Phones {
    pub(crate) async fn connect(system: &System) -> Self {
        let channel = system.channel_of("phones", KUMO);
        let mut client = HandsetServiceClient::new(channel.open_ended());
        let request = ReceiveMessagesRequest { fleet: FLEET.to_owned() };
        let messages = client.receive_messages(request).await.unwrap().into_inner();
        Self { client: HandsetServiceClient::new(channel), messages, got: Vec::new() }
    }

    /// Everybody does something, at once.
    async fn act(&mut self, deeds: impl IntoIterator<Item = (&Person, What)>) {
        submit(&mut self.client, FLEET, deeds).await;
    }

    async fn types(&mut self, person: &Person, text: &str) {
        self.act([(person, What::Typed(TextTyped { text: text.to_owned() }))]).await;
    }

    /// The message of this place in a talk room, and when it came.
    async fn message(&mut self, person: &Person, place: usize) -> (Instant, IncomingMessage) {
        loop {
            let mut own = self.got.iter().filter(|(_, message)| message.msisdn == person.number);
            if let Some(message) = own.nth(place) {
                return message.clone();
            }
            let next = timeout(PATIENCE, self.messages.message()).await;
            let next = next.unwrap_or_else(|_| panic!("no {place}. message for {}", person.number));
            for message in next.unwrap().unwrap().messages {
                if self.got.iter().all(|(_, known)| known.message_id != message.message_id) {
                    self.got.push((Instant::now(), message));
                }
            }
        }
    }

    /// Everybody follows and wants to be confirmed: until they are asked for their account numbers.
    async fn until_account(&mut self, people: &[&Person]) {
        self.act(people.iter().map(|person| (*person, What::Follow(Follow {})))).await;
        let mut taps = Vec::new();
        for person in people {
            let (_, question) = self.message(person, 0).await;
            let button = question.content.unwrap().suggestions.remove(0);
            taps.push((*person, tap(question.message_id, button)));
        }
        self.act(taps).await;
        for person in people {
            self.message(person, 1).await;
        }
    }

    /// Then everybody types a number: until they are asked for a proof.
    async fn until_identity(&mut self, people: &[&Person]) -> Vec<Links> {
        self.until_account(people).await;
        let typed = |person: &Person| What::Typed(TextTyped { text: person.types.clone() });
        self.act(people.iter().map(|person| (*person, typed(person)))).await;
        let mut links = Vec::new();
        for person in people {
            links.push(Links::of(self.message(person, 2).await.1));
        }
        links
    }
}

/// How many actions go in one call at most.
const AT_ONCE: usize = 1_000;

/// Phones of a fleet do something, at once.
async fn submit(
    client: &mut HandsetServiceClient<PeerChannel>,
    fleet: &str,
    deeds: impl IntoIterator<Item = (&Person, What)>,
) {
    let action = |(person, what): (&Person, What)| Action {
        msisdn: person.number.clone(),
        official_account: person.account.to_owned(),
        what: Some(what),
    };
    let actions: Vec<_> = deeds.into_iter().map(action).collect();
    for actions in actions.chunks(AT_ONCE) {
        let request = SubmitActionsRequest {
            batch_id: Uuid::from_bytes(entropy::bytes()).to_string(),
            fleet: fleet.to_owned(),
            actions: actions.to_vec(),
        };
        client.submit_actions(request).await.unwrap();
    }
}

fn tap(message_id: String, Suggestion { postback, text, .. }: Suggestion) -> What {
    What::Tapped(SuggestionTapped { message_id, postback, text })
}

impl Links {
    fn of(message: IncomingMessage) -> Self {
        let mut links = Self { audience: String::new(), nonces: HashMap::new() };
        for suggestion in message.content.unwrap().suggestions {
            let Some(suggestion::Action::OpenUrl(open)) = suggestion.action else { continue };
            let url = reqwest::Url::parse(&open.url).unwrap();
            let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).unwrap().1.into_owned();
            let method = url.host_str().unwrap().split('.').next().unwrap().to_owned();
            links.audience = value("aud");
            links.nonces.insert(method, value("nonce"));
        }
        links
    }
}

/// The keys of the authorities of one carrier.
pub(crate) struct Stolen(Vec<AuthorityKey>);

impl Stolen {
    /// Out of a copy of the carrier's database, while that is not written to.
    pub(crate) async fn from(system: &System) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stored = system.stored();
        let (_, file, log) = stored.iter().find(|(name, ..)| *name == KUMO).unwrap();
        let copy = folder.path().join("copy.db");
        std::fs::write(&copy, file).unwrap();
        std::fs::write(copy.with_extension("db-wal"), log).unwrap();
        let store = SqliteCarrierStore::open(&copy, |_| Vec::new()).await.unwrap();
        let keys = store.put_authority_keys(&[]).await.unwrap();
        store.close().await;
        Self(keys)
    }

    fn key(&self, method: IdentityMethod) -> &AuthorityKey {
        self.0.iter().find(|key| key.method == method).unwrap()
    }

    /// Signed as the authority of this method signs.
    fn sign(&self, method: IdentityMethod, claims: &Value) -> String {
        let key = self.key(method);
        sign(key, &key.key_id, claims)
    }
}

fn sign(key: &AuthorityKey, kid: &str, claims: &Value) -> String {
    let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::ES256) };
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_ec_der(&key.private_key)).unwrap()
}

/// What is right of an assertion, whoever it is about.
fn right(person: &Person, links: &Links, method: IdentityMethod) -> Value {
    let now = SystemClock.now().as_second();
    json!({
        "iss": format!("https://{method}.{KUMO}.musubi.test"), "aud": links.audience, "nonce": links.nonces.get(method.as_str()),
        "jti": Uuid::from_bytes(entropy::bytes()), "iat": now, "exp": now + 600, "phone_number": person.number,
        "method": method, "assurance": if method == IdentityMethod::Document { "low" } else { "high" },
    })
}

/// The same claims with these otherwise.
fn with(claims: &Value, changes: Value) -> Value {
    let mut claims = claims.clone();
    claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    claims
}

/// Pushes assertions over a carrier; for each the field for which it is refused, or none when it is taken.
async fn push(system: &System, carrier: &str, assertions: Vec<String>) -> Vec<Option<String>> {
    let mut fields = vec![None; assertions.len()];
    let mut client = CarrierEventServiceClient::new(system.channel_of(carrier, "information"));
    let answer = client.push_assertions(PushAssertionsRequest { assertions }).await.unwrap().into_inner();
    assert_eq!(answer.taken as usize + answer.refused.len(), fields.len());
    for refused in answer.refused {
        fields[refused.index as usize] = Some(refused.field);
    }
    fields
}
