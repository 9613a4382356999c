//! Counts of deliveries, of followers, of what happens in a day and of taps, and how they change in a transaction: moved with what they count, because counting a
//! million rows for a progress bar is no option.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use musubi_domain::{
    day::{Counted, Day, DayEvent, happened},
    delivery::DeliveryState,
    dialogue::{Stage, State},
    id::DistributionId,
    postback::Button,
};

use super::{FollowerKey, flow::FollowerRecord, follower::DayCount};
use crate::{
    StoreError,
    row::{Bytes, Columns, Id, bulk_rows, place},
};

/// The number that stands for a follower without a dialogue.
pub(crate) const NO_DIALOGUE: i64 = -1;

bulk_rows! {
    /// So many more deliveries stand there, or fewer.
    TallyRow<'a> {
        account: &'a str,
        carrier: &'a str,
        distribution: Bytes,
        purpose: i64,
        state: i64,
        count: i64,
    }

    /// So many more followers stand there, or fewer.
    FollowerTallyRow<'a> {
        account: &'a str,
        carrier: &'a str,
        following: bool,
        state: i64,
        reached: i64,
        count: i64,
    }

    /// So often it happened in a day.
    DayTallyRow<'a> {
        account: &'a str,
        day: i64,
        carrier: &'a str,
        event: i64,
        count: i64,
    }

    /// So often a button was tapped.
    TapRow {
        distribution: Id,
        individual: bool,
        place: i64,
        count: i64,
    }
}

/// What deliveries are counted by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TallyKey {
    account: String,
    carrier: String,
    distribution: Vec<u8>,
    purpose: i64,
    state: i64,
}

impl TallyKey {
    /// From a delivery's columns.
    pub(crate) fn new(account: &str, carrier: &str, distribution: &[u8], purpose: i64, state: i64) -> Self {
        Self {
            account: account.to_owned(),
            carrier: carrier.to_owned(),
            distribution: distribution.to_owned(),
            purpose,
            state,
        }
    }
}

/// How counts of deliveries change in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Tally(HashMap<TallyKey, i64>);

impl Tally {
    /// So many more stand there, or fewer.
    pub(crate) fn add(&mut self, key: TallyKey, count: i64) {
        *self.0.entry(key).or_default() += count;
    }

    /// As the other says, too.
    pub(crate) fn append(&mut self, other: Self) {
        for (key, count) in other.0 {
            self.add(key, count);
        }
    }

    /// A delivery came from one state to another; the row begins with its account, carrier, distribution and purpose.
    pub(crate) fn moved(
        &mut self,
        row: &impl Columns,
        was: DeliveryState,
        is: DeliveryState,
    ) -> Result<(), StoreError> {
        for (state, count) in [(was, -1), (is, 1)] {
            let state = place(&DeliveryState::ALL, &state);
            self.add(TallyKey::new(row.text(0)?, row.text(1)?, row.bytes(2)?, row.int(3)?, state), count);
        }
        Ok(())
    }

    /// The changes, in the order of their keys: whoever moves counts beside others takes them in one order.
    pub(crate) fn rows(&self) -> Vec<TallyRow<'_>> {
        let mut moved: Vec<_> = self.0.iter().filter(|(_, count)| **count != 0).collect();
        moved.sort_unstable();
        let rows = moved.into_iter().map(|(key, count)| TallyRow {
            account: &key.account,
            carrier: &key.carrier,
            distribution: Bytes(key.distribution.clone()),
            purpose: key.purpose,
            state: key.state,
            count: *count,
        });
        rows.collect()
    }
}

/// How counts of followers change in one transaction, by account, carrier, whether they follow, state and stage reached.
#[derive(Debug, Default)]
pub(crate) struct FollowerTally<'a>(HashMap<(&'a str, &'a str, bool, i64, i64), i64>);

impl<'a> FollowerTally<'a> {
    /// One more follower stands where the record says, or one fewer.
    pub(crate) fn add(&mut self, key: &'a FollowerKey, record: &'a FollowerRecord, count: i64) {
        let (state, reached) = record.dialogue.as_ref().map_or((NO_DIALOGUE, 0), |dialogue| {
            (place(&State::ALL, &dialogue.state), place(&Stage::ALL, &dialogue.reached))
        });
        let place = (key.account.as_str(), record.carrier.as_str(), record.following, state, reached);
        *self.0.entry(place).or_default() += count;
    }

    /// One fewer stands there, as the row says. Columns: account, follower, carrier, following, state, stage reached.
    pub(crate) fn remove(&mut self, row: &'a impl Columns) -> Result<(), StoreError> {
        let place = (row.text(0)?, row.text(2)?, row.flag(3)?, row.int(4)?, row.int(5)?);
        *self.0.entry(place).or_default() -= 1;
        Ok(())
    }

    /// The changes, in the order of their keys.
    pub(crate) fn rows(&self) -> Vec<FollowerTallyRow<'a>> {
        let mut moved: Vec<_> = self.0.iter().filter(|(_, count)| **count != 0).collect();
        moved.sort_unstable();
        let rows = moved.into_iter().map(|((account, carrier, following, state, reached), count)| {
            FollowerTallyRow {
                account,
                carrier,
                following: *following,
                state: *state,
                reached: *reached,
                count: *count,
            }
        });
        rows.collect()
    }
}

/// How often things happened to followers in one transaction, by account, carrier and what it was; all of them on its day.
#[derive(Debug, Default)]
pub(crate) struct DayTally<'a>(BTreeMap<(&'a str, &'a str, i64), i64>);

impl<'a> DayTally<'a> {
    /// Counts what a follower became.
    pub(crate) fn add(
        &mut self,
        key: &'a FollowerKey,
        was: Option<&'a FollowerRecord>,
        is: &'a FollowerRecord,
    ) {
        for event in happened(was.map(counted), counted(is)) {
            let event = place(&DayEvent::ALL, &event);
            *self.0.entry((key.account.as_str(), is.carrier.as_str(), event)).or_default() += 1;
        }
    }

    /// The counts of the day of the transaction, in the order of their keys.
    pub(crate) fn rows(&self, now: Timestamp) -> Vec<DayTallyRow<'a>> {
        let day = i64::from(Day::of(now).number());
        let rows = self.0.iter().map(|((account, carrier, event), count)| DayTallyRow {
            account,
            day,
            carrier,
            event: *event,
            count: *count,
        });
        rows.collect()
    }
}

fn counted(record: &FollowerRecord) -> Counted {
    Counted {
        following: record.following,
        dialogue: record.dialogue.as_ref().map(|dialogue| (dialogue.id, dialogue.reached)),
        tie: record.tie.as_ref().map(|tie| (tie.tie.id, tie.method)),
    }
}

/// Reads how often something happened in a day. Columns: account, carrier, day, event, count.
pub(crate) fn day_count_of(row: &impl Columns) -> Result<DayCount, StoreError> {
    Ok(DayCount {
        account: row.text(0)?.parse()?,
        carrier: row.text(1)?.parse()?,
        day: Day::from_number(row.small(2)?),
        event: row.one_of(&DayEvent::ALL, 3)?,
        count: row.small(4)?,
    })
}

/// Taps of one transaction, each button once and in the order of the keys.
pub(crate) fn tap_rows(taps: &[Button]) -> Vec<TapRow> {
    let mut counts: BTreeMap<&Button, i64> = BTreeMap::new();
    taps.iter().for_each(|button| *counts.entry(button).or_default() += 1);
    let rows = counts.into_iter().map(|(button, count)| TapRow {
        distribution: Id::of(button.distribution.as_bytes()),
        individual: button.individual,
        place: i64::from(button.place),
        count,
    });
    rows.collect()
}

/// Reads how often buttons were tapped, by distribution. Columns: distribution, of the individual message, place, count.
pub(crate) fn taps_of(
    rows: &[impl Columns],
) -> Result<HashMap<DistributionId, Vec<(Button, u64)>>, StoreError> {
    let mut taps: HashMap<_, Vec<_>> = HashMap::new();
    for row in rows {
        let (distribution, place) = (DistributionId::from_bytes(row.id(0)?), row.small(2)?);
        let button = Button { distribution, individual: row.flag(1)?, place };
        taps.entry(distribution).or_default().push((button, row.small(3)?));
    }
    Ok(taps)
}
