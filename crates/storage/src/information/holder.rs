//! Whose carrier is to be asked whether a tied number is still the same person's.
//!
//! Claimed under a lease; what the carrier answers is a unit of work of its own ([`flow`](super::flow)). Surprising: the lease stands in
//! the tie itself, as the time when it is due again, so that an answer is known to be late when anything has made the tie due since.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::{CarrierId, TieId},
    phone_number::PhoneNumber,
    silence::Holder,
};

use super::{
    FollowerKey,
    record::{Interned, holder_of, key_of},
};
use crate::{StoreError, row::Columns, vault::Keys};

/// A tie whose carrier is to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToAsk {
    /// Whose number.
    pub key: FollowerKey,
    /// The number.
    pub phone_number: PhoneNumber,
    /// Whom to ask.
    pub carrier: CarrierId,
    /// Which tie.
    pub tie: TieId,
    /// What is known of the holder, with the end of the lease as its time to ask.
    pub holder: Holder,
}

/// Whose carrier is to be asked.
#[async_trait]
pub trait HolderStore: Send + Sync {
    /// Ties whose carriers are to be asked, at most `limit`, in no order; they are due again at `lease_end`. Those that have expired are
    /// not among them, and due no more.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn claim_holders(
        &self,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<ToAsk>, StoreError>;
}

/// Reads claimed ties. Columns: account, follower, number, carrier, tie, holder (to 8).
pub(crate) fn to_ask(rows: &[impl Columns], keys: &Keys) -> Result<Vec<ToAsk>, StoreError> {
    let mut accounts = Interned::default();
    let mut to_ask = Vec::with_capacity(rows.len());
    for row in rows {
        let holder = holder_of(row, 5)?;
        if holder.ask_time.is_none() {
            continue;
        }
        let key = key_of(row, &mut accounts)?;
        let (account, follower) = (key.account.as_str(), key.follower.as_bytes());
        to_ask.push(ToAsk {
            phone_number: keys.number(account, follower, row.bytes(2)?)?,
            carrier: row.text(3)?.parse()?,
            tie: TieId::from_bytes(row.id(4)?),
            holder,
            key,
        });
    }
    Ok(to_ask)
}
