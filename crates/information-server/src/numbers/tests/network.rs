//! Two carriers: the simulator's stores, the words on the wire between, and who really has each number.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use musubi_domain::{
    Error, ErrorKind,
    content::Content,
    delivery::Addressed,
    id::{CarrierId, OfficialAccountId},
    phone_number::PhoneNumber,
    silence::{Recycling, beginning},
};
use musubi_proto::{
    convert::content::timestamp,
    information::v1::{
        CarrierEvent, Followed, NumberReassigned, PushEventsRequest, Unfollowed, carrier_event::What,
    },
};
use musubi_runtime::{Clock, entropy};
use musubi_storage::{
    carrier::{
        Action, ActionBatch, ActionKind, ActionStore as _, Candidate, Enqueued, Event, EventKind,
        MessageStore as _, NewMessage, NumberStore as _, OutboxKind, OutboxStore as _, RoomAction,
        SubscriberListStore as _, TenureChange,
    },
    sqlite::carrier::SqliteCarrierStore,
};
use prost::Message as _;
use uuid::Uuid;

use super::lives::Deed;
use crate::gateway::{
    CarrierGateway, ListPart, NumberCheck, NumberStatus, OutgoingMessage, Traffic, Verdict, VerificationKey,
};

/// Their names.
pub(super) const CARRIERS: [&str; 2] = ["kumo", "nami"];

/// Who really has the numbers, and who got what.
#[derive(Clone, Debug, Default)]
pub(super) struct Truth {
    holders: HashMap<PhoneNumber, String>,
    /// At which carrier a number is that was ported.
    ported: HashMap<PhoneNumber, &'static str>,
    /// How many individual messages each customer got.
    pub(super) right: HashMap<String, usize>,
    /// For whom an individual message was, and who had the number, if anybody.
    pub(super) wrong: Vec<(String, Option<String>)>,
}

/// Both carriers.
pub(super) struct Network {
    account: OfficialAccountId,
    clock: Arc<dyn Clock>,
    stores: HashMap<&'static str, SqliteCarrierStore>,
    truth: Arc<Mutex<Truth>>,
    asks: bool,
    _folder: tempfile::TempDir,
}

/// One of them, as the server sees it.
pub(super) struct OneCarrier {
    id: CarrierId,
    clock: Arc<dyn Clock>,
    store: SqliteCarrierStore,
    truth: Arc<Mutex<Truth>>,
    asks: bool,
}

/// Events as the carrier simulator tells them. Receipts are left out: nobody looks at them here.
fn encode(events: &[Event]) -> Vec<u8> {
    let told = events.iter().filter_map(|event| {
        let what = match event.kind {
            EventKind::Followed => What::Followed(Followed {}),
            EventKind::Unfollowed => What::Unfollowed(Unfollowed {}),
            EventKind::NumberReassigned => What::NumberReassigned(NumberReassigned {}),
            EventKind::Responded(_) | EventKind::Receipt(..) => return None,
        };
        Some(CarrierEvent {
            event_id: event.id.to_string(),
            official_account: event.account.to_string(),
            msisdn: event.number.as_str().to_owned(),
            event_time: Some(timestamp(event.time)),
            what: Some(what),
        })
    });
    PushEventsRequest { events: told.collect() }.encode_to_vec()
}

impl Network {
    /// Both carriers, with the account open and these numbers in people's hands; they answer what they know, or say of every number that
    /// it is the same person's.
    pub(super) async fn open(
        account: &OfficialAccountId,
        holders: HashMap<PhoneNumber, String>,
        clock: Arc<dyn Clock>,
        asks: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut stores = HashMap::new();
        for name in CARRIERS {
            let store = SqliteCarrierStore::open(&folder.path().join(name), encode).await.unwrap();
            store.put_account(account, "銀行").await.unwrap();
            stores.insert(name, store);
        }
        let truth = Arc::new(Mutex::new(Truth { holders, ..Truth::default() }));
        Self { account: account.clone(), clock, stores, truth, asks, _folder: folder }
    }

    pub(super) fn carrier(&self, name: &str) -> OneCarrier {
        OneCarrier {
            id: name.parse().unwrap(),
            clock: Arc::clone(&self.clock),
            store: self.stores[name].clone(),
            truth: Arc::clone(&self.truth),
            asks: self.asks,
        }
    }

    pub(super) fn truth(&self) -> Truth {
        self.truth.lock().unwrap().clone()
    }

    /// Who has the number, or had it last.
    pub(super) fn holder(&self, number: PhoneNumber) -> String {
        self.truth.lock().unwrap().holders[&number].clone()
    }

    /// Things that happen at once, each to another number.
    pub(super) async fn live(&self, deeds: &[(PhoneNumber, Deed)]) {
        let mut actions: HashMap<&str, Vec<Action>> = HashMap::new();
        for (number, deed) in deeds {
            let number = *number;
            let mut truth = self.truth.lock().unwrap();
            let at = truth.ported.get(&number).copied().unwrap_or("kumo");
            let mut tell = |carrier, kind| actions.entry(carrier).or_default().push(Action { number, kind });
            let in_room = |action| ActionKind::InRoom(self.account.clone(), action);
            match deed {
                Deed::Follows(over) => tell(over, in_room(RoomAction::Follow)),
                Deed::Unfollows(over) => tell(over, in_room(RoomAction::Unfollow)),
                Deed::Surrenders(to) => {
                    truth.holders.insert(number, to.clone());
                    tell(at, ActionKind::Surrendered);
                }
                Deed::GivesUp => tell(at, ActionKind::Tenure(TenureChange::Released)),
                Deed::GoesTo(to) => {
                    truth.holders.insert(number, to.clone());
                    tell(at, ActionKind::Tenure(TenureChange::Assigned));
                }
                Deed::Ports => {
                    truth.ported.insert(number, "nami");
                    tell("kumo", ActionKind::Tenure(TenureChange::Released));
                    tell("nami", ActionKind::Tenure(TenureChange::PortedIn));
                }
                Deed::Proves | Deed::ProvesAgain => {}
            }
        }
        for (carrier, actions) in actions {
            for actions in actions.chunks(1_000) {
                let batch = ActionBatch {
                    batch_id: Uuid::from_bytes(entropy::bytes()),
                    fleet: "phones".parse().unwrap(),
                    actions: actions.to_vec(),
                };
                self.stores[carrier].apply_actions(&batch, self.clock.now()).await.unwrap();
            }
        }
    }
}

impl OneCarrier {
    /// What the carrier has told since the last time, in calls.
    pub(super) async fn told(&self) -> Vec<Vec<CarrierEvent>> {
        let mut told = Vec::new();
        while let Some(batch) = self.store.list_outbox(OutboxKind::Events).await.unwrap() {
            let events = PushEventsRequest::decode(batch.payloads.concat().as_slice()).unwrap().events;
            told.push(events);
            self.store.acknowledge_outbox(OutboxKind::Events, batch.through).await.unwrap();
        }
        told
    }
}

#[async_trait]
impl NumberStatus for OneCarrier {
    async fn check(&self, checks: &[NumberCheck]) -> Result<Vec<Recycling>, Error> {
        if !self.asks {
            return Ok(vec![Recycling::Same; checks.len()]);
        }
        let numbers: Vec<_> = checks.iter().map(|check| check.number).collect();
        let (tenures, now) = (self.store.find_tenures(&numbers).await?, self.clock.now());
        let says = checks.iter().zip(tenures).map(|(check, tenure)| {
            tenure.map_or(Recycling::NotFound, |tenure| tenure.since(beginning(check.since), now))
        });
        Ok(says.collect())
    }
}

fn unasked<T>() -> Result<T, Error> {
    Err(Error::new(ErrorKind::Unavailable, "nobody asks for that here", ""))
}

#[async_trait]
impl CarrierGateway for OneCarrier {
    fn carrier(&self) -> &CarrierId {
        &self.id
    }

    async fn open_account(&self, _: &OfficialAccountId, _: &str) -> Result<(), Error> {
        unasked()
    }

    async fn fetch_list(
        &self,
        _: &OfficialAccountId,
    ) -> Result<BoxStream<'static, Result<ListPart, Error>>, Error> {
        unasked()
    }

    async fn send(
        &self,
        account: &OfficialAccountId,
        messages: Vec<OutgoingMessage>,
    ) -> Result<Vec<Verdict>, Error> {
        let candidates: Vec<_> = messages
            .iter()
            .map(|message| {
                let (number, expires) = (message.number, message.expire_time);
                let new = NewMessage { number, expires, payload: Vec::new() };
                Candidate { message_id: message.message_id, message: Some(new) }
            })
            .collect();
        let outcomes = self.store.enqueue_messages(account, &candidates).await?.outcomes;
        let mut truth = self.truth.lock().unwrap();
        let verdicts = outcomes.iter().zip(messages).map(|(outcome, message)| {
            if *outcome != Enqueued::Queued {
                return Verdict::Unreachable;
            }
            if message.traffic == Traffic::Transaction {
                let Content { text: customer, suggestions, card: None } = message.content else {
                    panic!("a card")
                };
                assert_eq!(suggestions.len(), 1, "this is not me");
                let holder = truth.holders.get(&message.number).cloned();
                if holder.as_ref() == Some(&customer) {
                    *truth.right.entry(customer).or_default() += 1;
                } else {
                    truth.wrong.push((customer, holder));
                }
            }
            Verdict::Accepted
        });
        Ok(verdicts.collect())
    }

    async fn revoke(&self, _: &OfficialAccountId, _: &[Addressed]) -> Result<Vec<bool>, Error> {
        unasked()
    }

    async fn verification_keys(&self) -> Result<Vec<VerificationKey>, Error> {
        unasked()
    }
}
