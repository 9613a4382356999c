//! Phones that nobody has: they belong to the simulator, show nothing, and answer by a small plan.
//!
//! A number that no fleet has becomes one of them when an agent first asks for it. Surprising: what one does is written in the end of
//! its number, so that a developer chooses by whom to write to.

use std::{collections::HashSet, time::Duration};

use musubi_domain::{Error, id::OfficialAccountId, phone_number::PhoneNumber};
use musubi_proto::carrier::v1::IncomingMessage;
use musubi_runtime::entropy;
use musubi_storage::carrier::{
    Action, ActionBatch, ActionKind, FleetName, QueuedMessage, Response, RoomAction,
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use uuid::Builder;

use super::{Face, error::ApiError};

/// What the phones are called together.
const FLEET: &str = "rbm-phones";
/// How often the store is asked although nobody said that there is something.
const LOOK_ANYWAY: Duration = Duration::from_secs(1);
/// After which a message that came is read.
const READ_AFTER: Duration = Duration::from_secs(1);

/// What the end of a number says of its phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plan {
    /// …0000: there is no RCS.
    NoRcs,
    /// …1111: out of reach until somebody brings it back.
    Away,
    /// …2222: gets messages, and nobody reads them.
    Unread,
    /// …3333: reads and answers, by the first suggestion or with a word.
    Answers,
    /// All others: reads.
    Reads,
}

fn plan(number: PhoneNumber) -> Plan {
    match number.as_str() {
        it if it.ends_with("0000") => Plan::NoRcs,
        it if it.ends_with("1111") => Plan::Away,
        it if it.ends_with("2222") => Plan::Unread,
        it if it.ends_with("3333") => Plan::Answers,
        _ => Plan::Reads,
    }
}

pub(super) fn fleet() -> Result<FleetName, Error> {
    FLEET.parse()
}

impl Face {
    /// Makes phones of numbers that nobody has, when the simulator plays phones.
    pub(crate) async fn adopt(&self, numbers: &[PhoneNumber]) -> Result<(), ApiError> {
        if !self.phones {
            return Ok(());
        }
        // Most are known, and need no transaction.
        let mut new: Vec<_> = numbers.iter().copied().filter(|number| plan(*number) != Plan::NoRcs).collect();
        let mut known = self.reachable(&new).await?.into_iter();
        new.retain(|_| !known.next().unwrap_or_default());
        if new.is_empty() {
            return Ok(());
        }
        for number in self.store.adopt_numbers(&fleet()?, &new).await? {
            if plan(number) == Plan::Away {
                self.store.put_away(number, true).await?;
            }
        }
        Ok(())
    }

    /// Plays the phones until it is told to stop.
    pub(crate) async fn play(self, stop: CancellationToken) {
        let Ok(fleet) = fleet() else { return };
        let listener = self.fleets.join(&fleet);
        while !stop.is_cancelled() {
            match self.receive(&fleet).await {
                Ok(came) if came.is_empty() => {
                    let woken = tokio::time::timeout(LOOK_ANYWAY, listener.wake.notified());
                    stop.run_until_cancelled(woken).await.map(Result::unwrap_or_default).unwrap_or_default();
                }
                Ok(came) => {
                    let (face, stop) = (self.clone(), stop.clone());
                    tokio::spawn(async move {
                        stop.run_until_cancelled(tokio::time::sleep(READ_AFTER)).await?;
                        face.read(came).await;
                        Some(())
                    });
                }
                Err(error) => {
                    warn!("the simulator's phones get nothing, it is tried again: {error}");
                    stop.run_until_cancelled(tokio::time::sleep(LOOK_ANYWAY)).await.unwrap_or_default();
                }
            }
        }
    }

    /// What waits for phones that are in reach gets there; gives it.
    async fn receive(&self, fleet: &FleetName) -> Result<Vec<IncomingMessage>, Error> {
        let away: HashSet<_> = self.store.list_away().await?.into_iter().collect();
        let (mut place, mut came) = (0, Vec::new());
        loop {
            let queued = self.store.list_queued(fleet, place, self.clock.now()).await?;
            let Some(last) = queued.last() else { return Ok(came) };
            place = last.sequence;
            let mut actions = Vec::with_capacity(queued.len());
            for QueuedMessage { account, payload, .. } in queued {
                let Ok(message) = IncomingMessage::decode(payload.as_slice()) else { continue };
                let (number, id): (PhoneNumber, _) = (message.msisdn.parse()?, message.message_id.parse()?);
                if !away.contains(&number) {
                    actions.push(in_room(number, account, RoomAction::Delivered(id)));
                    came.push(message);
                }
            }
            if !actions.is_empty() {
                self.act(actions).await?;
            }
        }
    }

    /// What came is read, and answered where the plan says so.
    async fn read(&self, messages: Vec<IncomingMessage>) {
        let mut actions = Vec::new();
        for message in messages {
            let (Ok(number), Ok(account), Ok(id)) = (
                message.msisdn.parse::<PhoneNumber>(),
                message.official_account.parse::<OfficialAccountId>(),
                message.message_id.parse(),
            ) else {
                continue;
            };
            let plan = plan(number);
            if plan == Plan::Unread {
                continue;
            }
            actions.push(in_room(number, account.clone(), RoomAction::Displayed(id)));
            if plan == Plan::Answers {
                let suggestion = message.content.and_then(|it| it.suggestions.into_iter().next());
                let response = match suggestion {
                    Some(it) => Response::Tapped { message_id: id, postback: it.postback, label: it.text },
                    None => Response::Text("OK".to_owned()),
                };
                actions.push(in_room(number, account, RoomAction::Responded(response)));
            }
        }
        for actions in actions.chunks(musubi_storage::carrier::BATCH) {
            if let Err(error) = self.act(actions.to_vec()).await {
                warn!("the simulator's phones read nothing: {error}");
            }
        }
    }

    /// The phones do this, in order.
    pub(crate) async fn act(&self, actions: Vec<Action>) -> Result<(), Error> {
        let now = self.clock.now();
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        let batch_id = Builder::from_unix_timestamp_millis(millis, &entropy::bytes()).into_uuid();
        let batch = ActionBatch { batch_id, fleet: fleet()?, actions };
        self.store.apply_actions(&batch, now).await?;
        self.events.wake();
        Ok(())
    }
}

/// Something that a person does in an account's talk room.
pub(crate) const fn in_room(number: PhoneNumber, account: OfficialAccountId, action: RoomAction) -> Action {
    Action { number, kind: ActionKind::InRoom(account, action) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_number_says_what_its_phone_does() {
        for (number, says) in [
            ("+818012340000", Plan::NoRcs),
            ("+818012341111", Plan::Away),
            ("+818012342222", Plan::Unread),
            ("+818012343333", Plan::Answers),
            ("+818012345678", Plan::Reads),
        ] {
            assert_eq!(plan(number.parse().unwrap()), says, "{number}");
        }
    }
}
