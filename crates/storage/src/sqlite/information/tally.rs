//! Counts of deliveries and of followers, moved in the transaction that moves what they count.

use std::collections::HashMap;

use musubi_domain::{
    delivery::DeliveryState,
    dialogue::{Stage, State},
};
use serde_json::{Value, json};
use sqlx::{Sqlite, Transaction, sqlite::SqliteRow};

use super::follower::NO_DIALOGUE;
use crate::{
    StoreError,
    information::{FollowerKey, flow::FollowerRecord},
    sqlite::{get, hex, place, rows},
};

pub(super) const MOVE: &str = "
    INSERT INTO delivery_tally (official_account, carrier, distribution, purpose, state, count)
    SELECT value ->> 0, value ->> 1, unhex(value ->> 2), value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) WHERE true
    ON CONFLICT (official_account, carrier, distribution, purpose, state) DO UPDATE SET count = count + excluded.count";

pub(super) const MOVE_FOLLOWERS: &str = "
    INSERT INTO follower_tally (official_account, carrier, following, state, reached, count)
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each(?1) WHERE true
    ON CONFLICT (official_account, carrier, following, state, reached) DO UPDATE SET count = count + excluded.count";

/// What deliveries are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct TallyKey {
    account: String,
    carrier: String,
    distribution: Vec<u8>,
    purpose: i64,
    state: i64,
}

impl TallyKey {
    /// From a delivery's columns.
    pub(super) fn new(account: &str, carrier: &str, distribution: &[u8], purpose: i64, state: i64) -> Self {
        Self {
            account: account.to_owned(),
            carrier: carrier.to_owned(),
            distribution: distribution.to_owned(),
            purpose,
            state,
        }
    }
}

/// How counts change in one transaction.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<TallyKey, i64>);

impl Tally {
    /// So many more stand there, or fewer.
    pub(super) fn add(&mut self, key: TallyKey, count: i64) {
        *self.0.entry(key).or_default() += count;
    }

    /// A delivery came from one state to another; the row begins with its account, carrier, distribution and purpose.
    pub(super) fn moved(
        &mut self,
        row: &SqliteRow,
        was: DeliveryState,
        is: DeliveryState,
    ) -> Result<(), StoreError> {
        for (state, count) in [(was, -1), (is, 1)] {
            let state = place(&DeliveryState::ALL, &state);
            self.add(TallyKey::new(get(row, 0)?, get(row, 1)?, get(row, 2)?, get(row, 3)?, state), count);
        }
        Ok(())
    }

    /// Moves the counts.
    pub(super) async fn store(
        &self,
        tx: &mut Transaction<'_, Sqlite>,
        transaction: &'static str,
    ) -> Result<(), StoreError> {
        let values: Vec<Value> = self
            .0
            .iter()
            .filter(|(_, count)| **count != 0)
            .map(|(key, count)| {
                json!([key.account, key.carrier, hex(&key.distribution), key.purpose, key.state, count])
            })
            .collect();
        if values.is_empty() {
            return Ok(());
        }
        sqlx::query(MOVE)
            .bind(rows(&values)?)
            .execute(&mut **tx)
            .await
            .map(drop)
            .map_err(StoreError::during(transaction))
    }
}

/// How counts of followers change in one transaction, by account, carrier, whether they follow, state and stage reached.
#[derive(Debug, Default)]
pub(super) struct FollowerTally<'a>(HashMap<(&'a str, &'a str, bool, i64, i64), i64>);

impl<'a> FollowerTally<'a> {
    /// One more follower stands where the record says, or one fewer.
    pub(super) fn add(&mut self, key: &'a FollowerKey, record: &'a FollowerRecord, count: i64) {
        let (state, reached) = record.dialogue.as_ref().map_or((NO_DIALOGUE, 0), |dialogue| {
            (place(&State::ALL, &dialogue.state), place(&Stage::ALL, &dialogue.reached))
        });
        let place = (key.account.as_str(), record.carrier.as_str(), record.following, state, reached);
        *self.0.entry(place).or_default() += count;
    }

    /// The changes as rows of [`MOVE_FOLLOWERS`].
    pub(super) fn rows(&self) -> Vec<Value> {
        let moved = self.0.iter().filter(|(_, count)| **count != 0);
        moved
            .map(|((account, carrier, following, state, reached), count)| {
                json!([account, carrier, i64::from(*following), state, reached, count])
            })
            .collect()
    }
}
