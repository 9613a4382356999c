//! What rows give, whatever the database: followers, reviews, funnels, distributions, customers in custody.

use std::collections::BTreeMap;

use jiff::Timestamp;
use musubi_domain::{
    consent::TextDigest,
    customer::KeyedCustomer,
    dialogue::{Dialogue, Stage, State},
    distribution,
    eligibility::{Held, Tie},
    guess::{Axis, Count},
    id::{
        CarrierId, DialogueId, DistributionId, FollowerId, InquiryId, OfficialAccountId, OperatorName,
        ReviewId, TieId,
    },
    outcome::FollowerOutcome,
    review::{Decision, ReviewState, ReviewSubject, Verdict},
    silence::{Doubt, Holder},
};

use super::{
    FollowerKey,
    custody::{Custody, PurgeReason},
    delivery::{DueSource, Source},
    distribution::Distribution,
    flow::{Audit, DueInquiry, FollowerRecord, GuessKey, Inquiry, Matched, Subscription, TieRecord},
    follower::{Acquisition, FollowerView, Funnel, Quarantine},
    list::{ListKey, ListLease},
    review::{Review, ReviewFile},
    tally::NO_DIALOGUE,
};
use crate::{
    StoreError,
    row::{Columns, at_place, instant},
    vault::{Keys, customer::open_entrusted},
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
/// (to 19), the tie (to 25), the inquiry (to 29), the former customer, the review (31 to 43), subscriptions, the tie's holder (45 to
/// 48), the text shown, whether the company suspended the follower.
pub(crate) fn record_of(row: &impl Columns, keys: &Keys) -> Result<FollowerRecord, StoreError> {
    let (account, follower) = (row.text(0)?, &row.id(1)?);
    let tie = match row.maybe_id(20)? {
        Some(id) => Some(TieRecord {
            tie: Tie {
                id: TieId::from_bytes(id),
                customer_id: row.text(21)?.parse()?,
                suspended: row.flag(25)?,
                expire_time: row.instant(24)?,
                holder: holder_of(row, 45)?,
            },
            method: row.text(22)?.parse()?,
            tie_time: row.instant(23)?,
        }),
        None => None,
    };
    Ok(FollowerRecord {
        phone_number: keys.number(account, follower, row.bytes(2)?)?,
        carrier: row.text(3)?.parse()?,
        following: row.flag(4)?,
        follow_time: row.instant(5)?,
        suspended: row.flag(50)?,
        subscriptions: subscriptions_of(row.text(44)?)?,
        dialogue: dialogue_of(row, keys)?,
        matched: Matched {
            proposed_customer: row.maybe_text(18)?.map(str::parse).transpose()?,
            reasons: texts(row.maybe_text(19)?.unwrap_or("[]"))?,
        },
        shown: row.maybe_bytes(49)?.map(digest_of).transpose()?,
        tie,
        former_customer: row.maybe_text(30)?.map(str::parse).transpose()?,
        inquiry: row.maybe_id(26)?.map(|_| inquiry_of(row, 26, keys).map(Box::new)).transpose()?,
        review: row.maybe_id(31)?.map(|_| review_of(row, 31, keys).map(Box::new)).transpose()?,
    })
}

/// Reads who holds a tied number, from four columns: proved, silent and ask time, doubt.
pub(crate) fn holder_of(row: &impl Columns, first: usize) -> Result<Holder, StoreError> {
    let doubt = row.maybe_int(first + 3)?.map(|number| at_place(&Doubt::ALL, number));
    Ok(Holder {
        proved_time: row.instant(first)?,
        silent_time: row.instant(first + 1)?,
        ask_time: row.maybe_instant(first + 2)?,
        doubt: doubt.transpose()?,
    })
}

/// Reads a count of guesses. Columns: company, axis, subject, how many are charged, the window's end.
pub(crate) fn count_of(row: &impl Columns) -> Result<(GuessKey, Count), StoreError> {
    let key = GuessKey {
        company: row.text(0)?.parse()?,
        axis: row.one_of(&Axis::ALL, 1)?,
        subject: row.bytes(2)?.to_vec(),
    };
    Ok((key, Count { charged: row.small(3)?, window_end: row.maybe_instant(4)? }))
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

/// Reads a list that somebody begins to acquire: account, carrier, epoch, quarantine time, how many missing people have released.
pub(crate) fn lease_of(row: &impl Columns) -> Result<ListLease, StoreError> {
    Ok(ListLease {
        list: ListKey { account: row.text(0)?.parse()?, carrier: row.text(1)?.parse()? },
        epoch: row.int(2)?,
        quarantine_time: row.maybe_instant(3)?,
        released: row.maybe_int(4)?.map(|missing| u64::try_from(missing).unwrap_or_default()),
    })
}

/// A column that is a JSON array of texts: reasons.
pub(crate) fn texts(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Corrupt("reasons are no JSON array".to_owned()))
}

fn dialogue_of(row: &impl Columns, keys: &Keys) -> Result<Option<Dialogue>, StoreError> {
    let Some(id) = row.maybe_id(6)? else { return Ok(None) };
    let given = row.maybe_bytes(17)?.map(|sealed| keys.given(row.text(0)?, &row.id(1)?, sealed));
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

/// Reads an inquiry of a row that begins with the follower's key, from four columns: id, company, subject, due time.
fn inquiry_of(row: &impl Columns, first: usize, keys: &Keys) -> Result<Inquiry, StoreError> {
    let company = row.text(first + 1)?;
    let ReviewSubject { account, identity } =
        keys.inquiry(company, (row.text(0)?, &row.id(1)?), row.bytes(first + 2)?)?;
    Ok(Inquiry {
        id: InquiryId::from_bytes(row.id(first)?),
        company: company.parse()?,
        account,
        identity,
        due_time: row.instant(first + 3)?,
    })
}

/// Reads a claimed inquiry: the key, the inquiry from the third column, the number behind it.
pub(crate) fn due_inquiry_of(
    row: &impl Columns,
    accounts: &mut Interned,
    keys: &Keys,
) -> Result<DueInquiry, StoreError> {
    let phone_number = keys.number(row.text(0)?, &row.id(1)?, row.bytes(6)?)?;
    Ok(DueInquiry { key: key_of(row, accounts)?, phone_number, inquiry: inquiry_of(row, 2, keys)? })
}

/// The earlier of two instants, either of which may be none.
pub(crate) fn earlier(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// Reads a review of a row that begins with the follower's key, from thirteen columns, which begin with its id.
pub(crate) fn review_of(row: &impl Columns, first: usize, keys: &Keys) -> Result<Review, StoreError> {
    let (id, company) = (row.id(first)?, row.text(first + 1)?);
    let whose = (row.text(0)?, &row.id(1)?, &id);
    let subject = row.maybe_bytes(first + 7)?.map(|sealed| keys.review(company, whose, sealed));
    let decisions: Vec<(String, i64, i64)> = serde_json::from_str(row.text(first + 9)?)
        .map_err(|_| StoreError::Corrupt("decisions are no JSON array".to_owned()))?;
    let decisions = decisions.into_iter().map(|(operator, verdict, time)| {
        let verdict = at_place(&Verdict::ALL, verdict)?;
        Ok(Decision { operator: operator.parse()?, verdict, decide_time: instant(time)? })
    });
    Ok(Review {
        id: ReviewId::from_bytes(id),
        company: company.parse()?,
        dialogue: DialogueId::from_bytes(row.id(first + 2)?),
        inquiry: InquiryId::from_bytes(row.id(first + 3)?),
        proposed_customer: row.maybe_text(first + 4)?.map(str::parse).transpose()?,
        method: row.text(first + 5)?.parse()?,
        reasons: texts(row.text(first + 6)?)?,
        subject: subject.transpose()?,
        state: row.one_of(&ReviewState::ALL, first + 8)?,
        decisions: decisions.collect::<Result<_, StoreError>>()?,
        open_time: row.instant(first + 10)?,
        expire_time: row.instant(first + 11)?,
        close_time: row.maybe_instant(first + 12)?,
    })
}

/// Reads a review with what belongs to it: its key, the review (2 to 14), the number, the tied follower and its number, the former
/// customer.
pub(crate) fn file_of(row: &impl Columns, keys: &Keys) -> Result<ReviewFile, StoreError> {
    let account = row.text(0)?;
    let tied = row.maybe_id(16)?.map(|tied| keys.number(account, &tied, row.bytes(17)?));
    Ok(ReviewFile {
        key: key_of(row, &mut Interned::default())?,
        review: review_of(row, 2, keys)?,
        phone_number: keys.number(account, &row.id(1)?, row.bytes(15)?)?,
        tied_number: tied.transpose()?,
        former_customer: row.maybe_text(18)?.map(str::parse).transpose()?,
    })
}

/// A text's digest.
pub(crate) fn digest_of(bytes: &[u8]) -> Result<TextDigest, StoreError> {
    let digest = bytes.try_into().map(TextDigest::from_bytes);
    digest.map_err(|_| StoreError::Corrupt(format!("a text's digest is of {} bytes, not 32", bytes.len())))
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
        quarantine: match row.maybe_instant(10)? {
            None => None,
            Some(begin_time) => Some(Quarantine {
                begin_time,
                followers: row.small(11)?,
                missing: row.small(12)?,
                released: row.maybe_int(13)?.is_some(),
            }),
        },
    })
}

/// Reads a follower of the account as companies see one. Columns: follower, number, carrier, following, follow time, dialogue's state, its time,
/// customer, reasons, the tie's suspension, the tie (10), its customer, expiry, holder (to 16), the follower's suspension.
pub(crate) fn view_of(
    row: &impl Columns,
    (account, now): (&str, Timestamp),
    keys: &Keys,
) -> Result<FollowerView, StoreError> {
    let (follower, follow_time, suspended) = (row.id(0)?, row.instant(4)?, row.flag(17)?);
    let tie = match row.maybe_id(10)? {
        Some(id) => Some(Tie {
            id: TieId::from_bytes(id),
            customer_id: row.text(11)?.parse()?,
            suspended: row.flag(9)?,
            expire_time: row.instant(12)?,
            holder: holder_of(row, 13)?,
        }),
        None => None,
    };
    Ok(FollowerView {
        follower: FollowerId::from_bytes(follower),
        phone_number: keys.number(account, &follower, row.bytes(1)?)?,
        carrier: row.text(2)?.parse()?,
        outcome: FollowerOutcome::of(row.flag(3)?, dialogue_state(row.int(5)?)?),
        customer_id: row.maybe_text(7)?.map(str::parse).transpose()?,
        reasons: texts(row.text(8)?)?,
        follow_time,
        outcome_time: row.maybe_instant(6)?.unwrap_or(follow_time),
        suspended,
        held: tie.and_then(|tie| Held::of(&tie, suspended, now)),
    })
}

/// Reads a distribution without its counts. Columns: id, account, name, state, customers with values, create, start, expire and end
/// time, who prepared it, who submitted it, and when.
pub(crate) fn distribution_of(row: &impl Columns) -> Result<Distribution, StoreError> {
    Ok(Distribution {
        id: DistributionId::from_bytes(row.id(0)?),
        account: row.text(1)?.parse()?,
        name: row.text(2)?.to_owned(),
        state: row.one_of(&distribution::State::ALL, 3)?,
        values: row.small(4)?,
        deliveries: Vec::new(),
        taps: Vec::new(),
        create_time: row.instant(5)?,
        start_time: row.maybe_instant(6)?,
        expire_time: row.maybe_instant(7)?,
        end_time: row.maybe_instant(8)?,
        prepared_by: names_of(row.text(9)?)?,
        submitted: match (row.maybe_text(10)?, row.maybe_instant(11)?) {
            (Some(by), Some(time)) => Some((by.parse()?, time)),
            (Some(_), None) | (None, _) => None,
        },
    })
}

/// Reads names that stand in one column.
fn names_of(text: &str) -> Result<Vec<OperatorName>, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Corrupt("names can't be read".to_owned()))
}

/// Reads the record of a copy. Columns: customers, entrust time, lease end, purge reason, purge time, rules of digests.
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
        digest_rules: row.maybe_small(5)?,
    })
}

/// Reads an entrusted customer with the keys of matching. Columns: company, copy, account key, id, version of the rules, record.
pub(crate) fn entrusted_of(row: &impl Columns, keys: &Keys) -> Result<KeyedCustomer, StoreError> {
    let place = (row.int(1)?, row.bytes(2)?, row.text(3)?);
    open_entrusted(keys.of_company(row.text(0)?)?, place, row.small(4)?, row.bytes(5)?)
}

/// Tells the audit of a copy that is gone. Columns: company, copy, customers, why.
pub(crate) fn purged_line(row: &impl Columns) -> Result<Audit, StoreError> {
    let detail = format!("copy {}, {} customers, {}", row.int(1)?, row.int(2)?, row.text(3)?);
    Ok(Audit { company: Some(row.text(0)?.parse()?), key: None, action: "customers_purged", detail })
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
