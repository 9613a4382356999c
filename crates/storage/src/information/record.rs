//! What rows give, whatever the database: followers, reviews, funnels, distributions, customers in custody.

use std::collections::BTreeMap;

use musubi_domain::{
    customer::{Customer, GivenAccount, KeyedCustomer, MatchKeys},
    dialogue::{Dialogue, Stage, State},
    distribution,
    eligibility::Tie,
    id::{CarrierId, DialogueId, DistributionId, FollowerId, InquiryId, OfficialAccountId, ReviewId, TieId},
    outcome::FollowerOutcome,
    review::{Decision, ReviewState, Verdict},
    seal::Sealed,
};

use super::{
    FollowerKey,
    custody::{Custody, PurgeReason},
    delivery::{DueSource, Source},
    distribution::Distribution,
    flow::{Audit, FollowerRecord, Inquiry, Matched, Subscription, TieRecord},
    follower::{Acquisition, FollowerView, Funnel},
    list::{ListKey, ListLease, Listed},
    review::{Review, ReviewFile},
    tally::NO_DIALOGUE,
};
use crate::{
    StoreError,
    row::{Columns, at_place, instant},
};

/// Account names of a result, each allocated once.
#[derive(Default)]
pub(crate) struct Interned(Vec<OfficialAccountId>);

impl Interned {
    pub(crate) fn account(&mut self, text: &str) -> Result<OfficialAccountId, StoreError> {
        if let Some(known) = self.0.iter().find(|known| known.as_str() == text) {
            return Ok(known.clone());
        }
        let account: OfficialAccountId = text.parse()?;
        self.0.push(account.clone());
        Ok(account)
    }
}

/// Reads the key in the first two columns.
pub(crate) fn key_of(row: &impl Columns, accounts: &mut Interned) -> Result<FollowerKey, StoreError> {
    let account = accounts.account(row.text(0)?)?;
    Ok(FollowerKey { account, follower: FollowerId::from_bytes(row.id(1)?) })
}

/// The keys of rows that begin with them.
pub(crate) fn keys_of(rows: &[impl Columns]) -> Result<Vec<FollowerKey>, StoreError> {
    let mut accounts = Interned::default();
    rows.iter().map(|row| key_of(row, &mut accounts)).collect()
}

/// Reads a follower. Columns: the key, number, carrier, following, follow time (to 5), the dialogue with what the match decided
/// (to 20), the tie (to 26), the inquiry (to 32), the former customer, the review (34 to 46), subscriptions.
pub(crate) fn record_of(row: &impl Columns) -> Result<FollowerRecord, StoreError> {
    let tie = match row.maybe_id(21)? {
        Some(id) => Some(TieRecord {
            tie: Tie {
                id: TieId::from_bytes(id),
                customer_id: row.text(22)?.parse()?,
                suspended: row.flag(26)?,
                expire_time: row.instant(25)?,
            },
            method: row.text(23)?.parse()?,
            tie_time: row.instant(24)?,
        }),
        None => None,
    };
    Ok(FollowerRecord {
        phone_number: row.text(2)?.parse()?,
        carrier: row.text(3)?.parse()?,
        following: row.flag(4)?,
        follow_time: row.instant(5)?,
        subscriptions: subscriptions_of(row.text(47)?)?,
        dialogue: dialogue_of(row)?,
        matched: Matched {
            proposed_customer: row.maybe_text(19)?.map(str::parse).transpose()?,
            reasons: texts(row.maybe_text(20)?.unwrap_or("[]"))?,
        },
        tie,
        former_customer: row.maybe_text(33)?.map(str::parse).transpose()?,
        inquiry: row.maybe_id(27)?.map(|_| inquiry_of(row, 27)).transpose()?,
        review: row.maybe_id(34)?.map(|_| review_of(row, 34)).transpose()?,
    })
}

fn subscriptions_of(json: &str) -> Result<Vec<Subscription>, StoreError> {
    let rows: Vec<(&str, i64, i64)> = serde_json::from_str(json)
        .map_err(|_| StoreError::Corrupt("subscriptions are no JSON rows".to_owned()))?;
    let read = |(carrier, following, change_time): (&str, i64, i64)| {
        Ok(Subscription {
            carrier: carrier.parse()?,
            following: following != 0,
            change_time: instant(change_time)?,
        })
    };
    rows.into_iter().map(read).collect()
}

/// Reads a list that somebody begins to acquire: account, carrier, epoch, quarantine time.
pub(crate) fn lease_of(row: &impl Columns) -> Result<ListLease, StoreError> {
    Ok(ListLease {
        list: ListKey { account: row.text(0)?.parse()?, carrier: row.text(1)?.parse()? },
        epoch: row.int(2)?,
        quarantine_time: row.maybe_instant(3)?,
    })
}

/// Reads where a follower stands on a list: follower, following, change time.
pub(crate) fn listed_of(row: &impl Columns) -> Result<Listed, StoreError> {
    Ok(Listed {
        follower: FollowerId::from_bytes(row.id(0)?),
        following: row.flag(1)?,
        change_time: row.instant(2)?,
    })
}

/// A column that is a JSON array of texts: reasons, values.
pub(crate) fn texts(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json)
        .map_err(|_| StoreError::Corrupt("reasons or values are no JSON array".to_owned()))
}

fn dialogue_of(row: &impl Columns) -> Result<Option<Dialogue>, StoreError> {
    let Some(id) = row.maybe_id(6)? else { return Ok(None) };
    let given = row.maybe_text(18)?.map(|account_number| {
        let branch_number = row.maybe_text(17)?.map(str::to_owned);
        Ok::<_, StoreError>(GivenAccount { branch_number, account_number: account_number.to_owned() })
    });
    Ok(Some(Dialogue {
        id: DialogueId::from_bytes(id),
        turn: row.small(7)?,
        state: row.one_of(&State::ALL, 8)?,
        step: row.small(9)?,
        messages: row.small(10)?,
        reminders: row.small(11)?,
        unreadable: row.small(12)?,
        tries: row.small(13)?,
        reached: row.one_of(&Stage::ALL, 14)?,
        due_time: row.maybe_instant(15)?,
        state_time: row.instant(16)?,
        given: given.transpose()?,
    }))
}

/// Reads an inquiry from six columns: id, company, branch, account, identity, due time.
pub(crate) fn inquiry_of(row: &impl Columns, first: usize) -> Result<Inquiry, StoreError> {
    Ok(Inquiry {
        id: InquiryId::from_bytes(row.id(first)?),
        company: row.text(first + 1)?.parse()?,
        account: GivenAccount {
            branch_number: row.maybe_text(first + 2)?.map(str::to_owned),
            account_number: row.text(first + 3)?.to_owned(),
        },
        identity: serde_json::from_str(row.text(first + 4)?)
            .map_err(|_| StoreError::Corrupt("an identity is no JSON".to_owned()))?,
        due_time: row.instant(first + 5)?,
    })
}

/// Reads a review from thirteen columns, which begin with its id.
pub(crate) fn review_of(row: &impl Columns, first: usize) -> Result<Review, StoreError> {
    let decisions: Vec<(String, i64, i64)> = serde_json::from_str(row.text(first + 9)?)
        .map_err(|_| StoreError::Corrupt("decisions are no JSON array".to_owned()))?;
    let decisions = decisions.into_iter().map(|(operator, verdict, time)| {
        let verdict = at_place(&Verdict::ALL, verdict)?;
        Ok(Decision { operator: operator.parse()?, verdict, decide_time: instant(time)? })
    });
    Ok(Review {
        id: ReviewId::from_bytes(row.id(first)?),
        company: row.text(first + 1)?.parse()?,
        dialogue: DialogueId::from_bytes(row.id(first + 2)?),
        inquiry: InquiryId::from_bytes(row.id(first + 3)?),
        proposed_customer: row.maybe_text(first + 4)?.map(str::parse).transpose()?,
        method: row.text(first + 5)?.parse()?,
        reasons: texts(row.text(first + 6)?)?,
        sealed: row.maybe_bytes(first + 7)?.map(|bytes| Sealed::from_bytes(bytes.to_vec())),
        state: row.one_of(&ReviewState::ALL, first + 8)?,
        decisions: decisions.collect::<Result<_, StoreError>>()?,
        open_time: row.instant(first + 10)?,
        expire_time: row.instant(first + 11)?,
        close_time: row.maybe_instant(first + 12)?,
    })
}

/// Reads a review with what belongs to it: its key, the review (2 to 14), the number, the tied number, the former customer.
pub(crate) fn file_of(row: &impl Columns) -> Result<ReviewFile, StoreError> {
    Ok(ReviewFile {
        key: key_of(row, &mut Interned::default())?,
        review: review_of(row, 2)?,
        phone_number: row.text(15)?.parse()?,
        tied_number: row.maybe_text(16)?.map(str::parse).transpose()?,
        former_customer: row.maybe_text(17)?.map(str::parse).transpose()?,
    })
}

/// The state of a dialogue, or none.
fn dialogue_state(number: i64) -> Result<Option<State>, StoreError> {
    if number == NO_DIALOGUE { Ok(None) } else { at_place(&State::ALL, number).map(Some) }
}

/// Adds a group of followers to its funnel; groups come by account and carrier. Columns: account, carrier, following, state,
/// stage reached, count.
pub(crate) fn count_followers(funnels: &mut Vec<Funnel>, row: &impl Columns) -> Result<(), StoreError> {
    let account: OfficialAccountId = row.text(0)?.parse()?;
    let carrier: CarrierId = row.text(1)?.parse()?;
    let outcome = FollowerOutcome::of(row.flag(2)?, dialogue_state(row.int(3)?)?);
    let reached = row.one_of(&Stage::ALL, 4)?;
    let count: u64 = row.small(5)?;
    if !funnels.last().is_some_and(|last| last.account == account && last.carrier == carrier) {
        funnels.push(Funnel { account, carrier, reached: BTreeMap::new(), outcomes: BTreeMap::new() });
    }
    if let Some(funnel) = funnels.last_mut() {
        *funnel.reached.entry(reached).or_default() += count;
        *funnel.outcomes.entry(outcome).or_default() += count;
    }
    Ok(())
}

/// Reads how a list was acquired. Columns: account, carrier, promoted, discarded, quarantined, generation, added by event, added
/// by list, skipped, promote time.
pub(crate) fn acquisition_of(row: &impl Columns) -> Result<Acquisition, StoreError> {
    Ok(Acquisition {
        account: row.text(0)?.parse()?,
        carrier: row.text(1)?.parse()?,
        promoted: row.small(2)?,
        discarded: row.small(3)?,
        quarantined: row.small(4)?,
        generation: row.small(5)?,
        added_by_event: row.small(6)?,
        added_by_list: row.small(7)?,
        skipped: row.small(8)?,
        promote_time: row.maybe_instant(9)?,
    })
}

/// Reads a follower as companies see one. Columns: follower, number, carrier, following, follow time, dialogue's state, its time,
/// customer, reasons, suspended.
pub(crate) fn view_of(row: &impl Columns) -> Result<FollowerView, StoreError> {
    let follow_time = row.instant(4)?;
    Ok(FollowerView {
        follower: FollowerId::from_bytes(row.id(0)?),
        phone_number: row.text(1)?.parse()?,
        carrier: row.text(2)?.parse()?,
        outcome: FollowerOutcome::of(row.flag(3)?, dialogue_state(row.int(5)?)?),
        customer_id: row.maybe_text(7)?.map(str::parse).transpose()?,
        reasons: texts(row.text(8)?)?,
        follow_time,
        outcome_time: row.maybe_instant(6)?.unwrap_or(follow_time),
        suspended: row.flag(9)?,
    })
}

/// Reads a distribution without its counts. Columns: id, account, name, state, customers with values, create, start, expire and end
/// time.
pub(crate) fn distribution_of(row: &impl Columns) -> Result<Distribution, StoreError> {
    Ok(Distribution {
        id: DistributionId::from_bytes(row.id(0)?),
        account: row.text(1)?.parse()?,
        name: row.text(2)?.to_owned(),
        state: row.one_of(&distribution::State::ALL, 3)?,
        values: row.small(4)?,
        deliveries: Vec::new(),
        create_time: row.instant(5)?,
        start_time: row.maybe_instant(6)?,
        expire_time: row.maybe_instant(7)?,
        end_time: row.maybe_instant(8)?,
    })
}

/// Reads the record of a copy. Columns: customers, entrust time, lease end, purge reason, purge time.
pub(crate) fn custody_of(row: &impl Columns) -> Result<Custody, StoreError> {
    let reason = row.maybe_text(3)?.map(|word| {
        PurgeReason::ALL
            .into_iter()
            .find(|reason| reason.as_str() == word)
            .ok_or_else(|| StoreError::Corrupt(format!("{word} is no reason of a purge")))
    });
    Ok(Custody {
        customers: row.small(0)?,
        entrust_time: row.instant(1)?,
        lease_end_time: row.instant(2)?,
        purge_reason: reason.transpose()?,
        purge_time: row.maybe_instant(4)?,
    })
}

/// Reads a customer with the keys of matching. Columns: those of [`customer_of`], the version of the rules, the keys.
pub(crate) fn keyed_of(row: &impl Columns) -> Result<KeyedCustomer, StoreError> {
    let keys = MatchKeys { rules_version: row.small(8)?, bytes: row.bytes(9)?.to_vec() };
    Ok(KeyedCustomer { customer: customer_of(row)?, keys })
}

/// Reads an entrusted customer. Columns: account key, id, name, kana, birth date, address, branch, account.
pub(crate) fn customer_of(row: &impl Columns) -> Result<Customer, StoreError> {
    let text = |column| row.text(column).map(str::to_owned);
    Ok(Customer {
        account_key: text(0)?,
        customer_id: row.text(1)?.parse()?,
        name: text(2)?,
        name_kana: text(3)?,
        birth_date: text(4)?,
        address: text(5)?,
        branch_number: text(6)?,
        account_number: text(7)?,
        identity_verification: String::new(),
    })
}

/// Tells the audit of a copy that is gone. Columns: company, copy, customers, why.
pub(crate) fn purged_line(row: &impl Columns) -> Result<Audit, StoreError> {
    let detail = format!("copy {}, {} customers, {}", row.int(1)?, row.int(2)?, row.text(3)?);
    Ok(Audit { company: row.text(0)?.parse()?, key: None, action: "customers_purged", detail })
}

/// Reads a source with deliveries that are due. Columns: account, distribution or no bytes, messages a second, count.
pub(crate) fn due_source_of(row: &impl Columns) -> Result<DueSource, StoreError> {
    let account: OfficialAccountId = row.text(0)?.parse()?;
    let source = match row.bytes(1)? {
        [] => Source::Dialogues(account.clone()),
        [..] => Source::Distribution(DistributionId::from_bytes(row.id(1)?)),
    };
    Ok(DueSource { source, account, messages_per_second: row.small(2)?, count: row.small(3)? })
}
