//! A fleet whose database does what it is asked, and whose answers are lost.
//!
//! Surprising: the store is a real one; only what it answers is made up.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{id::CarrierId, phone_number::PhoneNumber};
use musubi_storage::{
    Opened, StoreError,
    sqlite::terminal::SqliteTerminalStore,
    terminal::{
        Advance, Batch, NewBatch, NewLine, Outbox, Reception, Sender, TalkRoom, Tally, TerminalStore,
    },
};

use super::peer::message;
use crate::{
    fleet::{Fleet, Progress},
    intake::tests::confirming,
    outbox::{Call, Thinking},
};

/// Does every write, and says that nobody knows whether it did.
struct Lossy(SqliteTerminalStore);

fn lost<T>(_done: T) -> Result<T, StoreError> {
    Err(StoreError::Unknown { transaction: "lost", source: std::io::Error::other("lost").into() })
}

#[async_trait]
impl Opened for Lossy {
    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl TerminalStore for Lossy {
    async fn add_talk_rooms(&self, talk_rooms: &[TalkRoom], batches: &[NewBatch]) -> Result<i64, StoreError> {
        lost(self.0.add_talk_rooms(talk_rooms, batches).await?)
    }

    async fn list_talk_rooms(
        &self,
        after: i64,
        only: Option<&PhoneNumber>,
        limit: u32,
    ) -> Result<Vec<TalkRoom>, StoreError> {
        self.0.list_talk_rooms(after, only, limit).await
    }

    async fn list_lines(&self, talk_rooms: &[i64]) -> Result<Vec<NewLine>, StoreError> {
        self.0.list_lines(talk_rooms).await
    }

    async fn list_senders(&self) -> Result<Vec<Sender>, StoreError> {
        self.0.list_senders().await
    }

    async fn find_shown(&self, messages: &[(i64, &str)]) -> Result<Vec<usize>, StoreError> {
        self.0.find_shown(messages).await
    }

    async fn receive(&self, reception: &Reception) -> Result<(), StoreError> {
        lost(self.0.receive(reception).await?)
    }

    async fn next_batch(&self, carrier: &CarrierId, now: Timestamp) -> Result<Outbox, StoreError> {
        self.0.next_batch(carrier, now).await
    }

    async fn finish_batch(&self, batch: i64, advances: &[Advance], refused: u64) -> Result<(), StoreError> {
        lost(self.0.finish_batch(batch, advances, refused).await?)
    }

    async fn get_tally(&self) -> Result<(Tally, u64), StoreError> {
        self.0.get_tally().await
    }
}

async fn next(fleet: &Fleet, now: Timestamp) -> Option<(Batch, Call)> {
    let Outbox::Due(batch) = fleet.store().next_batch(&fleet.carrier(0).id, now).await.unwrap() else {
        return None;
    };
    let call = Call::decode(batch.kind, &batch.request.0).unwrap();
    Some((batch, call))
}

/// Confirms everything in the outbox; no answer comes.
async fn confirm_all(fleet: &Fleet, now: Timestamp) {
    while let Some((batch, call)) = next(fleet, now).await {
        fleet.confirm(0, &batch, &call, 0).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_fleet_whose_writes_are_done_and_never_answered_goes_on_as_they_were_done() {
    let (folder, now) = (tempfile::tempdir().unwrap(), Timestamp::UNIX_EPOCH);
    let store = SqliteTerminalStore::open(&folder.path().join("terminal.db")).await.unwrap();
    let thinking = Thinking { min: SignedDuration::ZERO, max: SignedDuration::ZERO, seed: 0 };
    let carriers = vec!["kumo".parse().unwrap()];
    let fleet = Fleet::load("fleet".to_owned(), thinking, carriers, Arc::new(Lossy(store))).await.unwrap();

    fleet.play(vec![confirming()], now).await.unwrap_err();
    assert_eq!(fleet.play(vec![confirming()], now).await.unwrap(), 0, "the story is there");
    confirm_all(&fleet, now).await;
    for step in ["question", "account"] {
        let messages = || vec![message(step, "+818000000001")];
        fleet.receive(0, messages(), now).await.unwrap_err();
        // The carrier sends again what was not confirmed.
        fleet.receive(0, messages(), now).await.unwrap_err();
        confirm_all(&fleet, now).await;
    }
    assert_eq!(fleet.play(vec![confirming()], now).await.unwrap(), 0);

    let Progress { steps, tally, pending } = fleet.progress();
    assert_eq!((tally.shown, tally.repeated, tally.tapped, tally.typed, pending), (2, 2, 1, 1, 0));
    assert_eq!(steps.iter().sum::<u64>(), 1);
}
