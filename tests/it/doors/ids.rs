//! Ids in requests: whatever names something that is there, taken from the contracts, with another company's name for such a
//! thing, with none, and with what is no name at all.
//!
//! A method whose caller is a company, one of its operators or a carrier can be told of another company's things; the others are
//! called by one node for everybody. Surprising: a field that is neither an id nor known to be none fails the test, so that a new
//! contract can't be forgotten.

use std::collections::BTreeSet;

use musubi_domain::caller::{
    CallerKind::{Carrier, Company, Operator},
    MayCall,
};
use musubi_proto::callers;
use prost::Message;
use prost_reflect::{DynamicMessage, Kind, MessageDescriptor, ReflectMessage as _, Value};
use uuid::Uuid;

use super::{contract, probe::PERSONAL, world::World};

/// What names something that is there.
const IDS: [&str; 13] = [
    "approval_id",
    "official_account",
    "distribution_id",
    "follower_id",
    "review_id",
    "customer_id",
    "message_id",
    "message_ids",
    "msisdn",
    "phone_number",
    "phone_numbers",
    "responded.postback",
    "credential_id",
];
/// What the caller makes up, to say the same thing once.
const MADE_UP: [&str; 5] = ["request_id", "batch_id", "event_id", "inquiry_id", "messages.message_id"];
/// Texts that name nothing: values, what is shown, and places in lists.
const TEXTS: [&str; 44] = [
    "account",
    "account_number",
    "account_text",
    "action",
    "address",
    "assertions",
    "birth_date",
    "branch_number",
    "carrier",
    "chunk",
    "digest_key",
    "digests",
    "code",
    "display_name",
    "fleet",
    "identity_address",
    "identity_birth_date",
    "identity_method",
    "identity_name",
    "identity_name_kana",
    "image_url",
    "invitation",
    "name",
    "name_kana",
    "openid",
    "operator",
    "page_token",
    "password",
    "pin",
    "dial.phone_number",
    "specified_date",
    "suggestions.postback",
    "tapped.postback",
    "reply",
    // Somebody else's ends nothing.
    "session_id",
    "source",
    "state",
    "text",
    "ticket",
    "title",
    "unfollow_after",
    "url",
    "values",
    "persons.credential_id",
];

/// Whose an id is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// Another company's, of the same kind.
    Anothers,
    /// Nothing stands there.
    Nobodys,
    /// What stands there is no id.
    NoId,
}

/// What is right although it is not the caller's, and why.
const RIGHT: [(&str, Whose); 31] = [
    // All of the caller's.
    ("GetFunnel: official_account", Whose::Nobodys),
    ("ListDays: official_account", Whose::Nobodys),
    ("ListDistributions: official_account", Whose::Nobodys),
    ("ListReviews: official_account", Whose::Nobodys),
    // Lines of no account.
    ("ListInformationAuditLines: official_account", Whose::Nobodys),
    ("EraseFollowers: official_account", Whose::Nobodys),
    ("ListTalkRooms: phone_number", Whose::Nobodys),
    // A carrier speaks of all who follow anything with it, and of numbers that come from another.
    ("PushEvents: events.official_account", Whose::Anothers),
    ("PushEvents: events.msisdn", Whose::Anothers),
    // Companies name their customers as they like; nobody looks beyond.
    ("EraseCustomer: customer_id", Whose::Anothers),
    ("SearchCustomer: customer_id", Whose::Anothers),
    ("UploadValues: customers.customer_id", Whose::Anothers),
    ("EntrustCustomers: customers.customer_id", Whose::Anothers),
    ("EntrustDigests: customers.customer_id", Whose::Anothers),
    // Whoever is named is looked for among the followers of the caller's account; that nobody is there is an answer.
    ("EraseFollowers: people.phone_number", Whose::Anothers),
    ("TryDistribution: phone_numbers", Whose::Anothers),
    ("ImportFollowers: consents.phone_number", Whose::Anothers),
    ("EraseFollowers: people.follower_id", Whose::Anothers),
    ("EraseFollowers: people.customer_id", Whose::Anothers),
    ("UnlockFollower: person.phone_number", Whose::Anothers),
    ("UnlockFollower: person.follower_id", Whose::Anothers),
    ("UnlockFollower: person.customer_id", Whose::Anothers),
    ("UntieFollower: person.phone_number", Whose::Anothers),
    ("UntieFollower: person.follower_id", Whose::Anothers),
    ("UntieFollower: person.customer_id", Whose::Anothers),
    ("SuspendFollower: person.phone_number", Whose::Anothers),
    ("SuspendFollower: person.follower_id", Whose::Anothers),
    ("SuspendFollower: person.customer_id", Whose::Anothers),
    ("SearchFollower: person.phone_number", Whose::Anothers),
    ("SearchFollower: person.follower_id", Whose::Anothers),
    ("SearchFollower: person.customer_id", Whose::Anothers),
];

/// A request with one id replaced.
pub(super) struct Replaced<R> {
    pub(super) path: String,
    pub(super) whose: Whose,
    /// It is no fault.
    pub(super) is_right: bool,
    pub(super) request: R,
}

/// A request, of one message or of a stream of them.
pub(super) trait Request: Clone {
    fn first(&self) -> Vec<u8>;
    /// The same with another first message.
    fn with_first(&self, first: &[u8]) -> Self;
}

impl<M: Message + Default + Clone> Request for M {
    fn first(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    fn with_first(&self, first: &[u8]) -> Self {
        Self::decode(first).unwrap()
    }
}

/// The messages of a stream.
#[derive(Clone)]
pub(super) struct Chunks<M>(pub(super) Vec<M>);

impl<M: Message + Default + Clone> Request for Chunks<M> {
    fn first(&self) -> Vec<u8> {
        self.0[0].encode_to_vec()
    }

    fn with_first(&self, first: &[u8]) -> Self {
        let mut chunks = self.clone();
        chunks.0[0] = M::decode(first).unwrap();
        chunks
    }
}

/// Every id in the request of every method, as `Method: path`.
pub(super) fn all() -> BTreeSet<String> {
    let all: BTreeSet<_> = contract::methods()
        .into_iter()
        .flat_map(|method| {
            let ids = of_message(&method.request);
            ids.into_iter().map(move |path| format!("{}: {path}", method.name))
        })
        .collect();
    for (id, _) in RIGHT {
        assert!(all.contains(id), "{id} is no id any more");
    }
    all
}

/// The request with each of its ids replaced in every way. An id inside of what the request does not have is left out; what the
/// caller makes up is made up anew.
pub(super) fn replaced<R: Request>(method: &str, good: &R, world: &World) -> Vec<Replaced<R>> {
    let descriptor = request_of(method);
    let mut found = vec![];
    for path in of_message(&descriptor) {
        for whose in [Whose::Anothers, Whose::Nobodys, Whose::NoId] {
            let id = match whose {
                Whose::Anothers if !is_called_by_tenants(method) => continue,
                Whose::Anothers => world.anothers(path.rsplit('.').next().unwrap()).to_owned(),
                Whose::Nobodys => String::new(),
                Whose::NoId => PERSONAL.to_owned(),
            };
            let mut message = DynamicMessage::decode(descriptor.clone(), good.first().as_slice()).unwrap();
            if !set(&mut message, &path.split('.').collect::<Vec<_>>(), &id) {
                continue;
            }
            let seed = message.encode_to_vec();
            make_up(&mut message, &seed);
            found.push(Replaced {
                is_right: RIGHT.contains(&(&format!("{method}: {path}"), whose)),
                path: path.clone(),
                whose,
                request: good.with_first(&message.encode_to_vec()),
            });
        }
    }
    found
}

/// Whether companies, their people or carriers call it: at a company's server, or at the information-management server.
fn is_called_by_tenants(method: &str) -> bool {
    let calls = |row: &&MayCall| row.methods.contains(&method);
    let rows = callers::COMPANY.iter().chain(callers::INFORMATION).filter(calls);
    rows.flat_map(|row| row.who).any(|who| [Carrier, Company, Operator].contains(who))
}

fn request_of(method: &str) -> MessageDescriptor {
    contract::methods().into_iter().find(|known| known.name == method).unwrap().request
}

fn of_message(message: &MessageDescriptor) -> Vec<String> {
    let mut ids = vec![];
    contract::walk(message, "", &mut |path, field| {
        let is_text = field.is_some_and(|field| [Kind::String, Kind::Bytes].contains(&field.kind()));
        if is_text && is_id(path) {
            ids.push(path.to_owned());
        }
    });
    ids
}

/// By the longest end of its path that is known.
fn is_id(path: &str) -> bool {
    let known = IDS.iter().map(|id| (*id, true));
    let known = known.chain(MADE_UP.iter().chain(&TEXTS).map(|text| (*text, false)));
    let is_end = |(end, _): &(&str, bool)| {
        path.strip_suffix(end).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    };
    let found = known.filter(is_end).max_by_key(|(end, _)| end.len());
    found.unwrap_or_else(|| panic!("{path} is new: say whether it is an id")).1
}

/// Sets a text, in the first message of a list; gives whether there was a place for it.
fn set(message: &mut DynamicMessage, path: &[&str], id: &str) -> bool {
    let field = message.descriptor().get_field_by_name(path[0]).unwrap();
    let text = Value::String(id.to_owned());
    if path.len() == 1 {
        let value = if field.is_list() { Value::List(vec![text]) } else { text };
        message.set_field(&field, value);
        return true;
    }
    if !message.has_field(&field) {
        return false;
    }
    let inner = message.get_field_mut(&field);
    let inner =
        if field.is_list() { inner.as_list_mut().and_then(|items| items.first_mut()) } else { Some(inner) };
    inner.and_then(Value::as_message_mut).is_some_and(|inner| set(inner, &path[1..], id))
}

/// Replaces whatever the caller makes up, so that nothing is taken for a repetition.
fn make_up(message: &mut DynamicMessage, seed: &[u8]) {
    let descriptor = message.descriptor();
    let made_up = Uuid::new_v5(&Uuid::NAMESPACE_OID, seed);
    for field in descriptor.fields() {
        let text = match (descriptor.name(), field.name()) {
            (_, "request_id" | "batch_id" | "event_id") => made_up.to_string(),
            ("OutgoingMessage", "message_id") => format!("msg_{}", made_up.simple()),
            _ if field.is_list() => {
                let items = message.get_field_mut(&field).as_list_mut().into_iter().flatten();
                items.filter_map(Value::as_message_mut).for_each(|inner| make_up(inner, seed));
                continue;
            }
            _ => continue,
        };
        message.set_field(&field, Value::String(text));
    }
}
