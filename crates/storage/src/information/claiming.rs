//! What a claim makes of due deliveries, and what results make of attempted ones: pure, the same on every database.
//!
//! The claim asks the domain's gate about each delivery, as things stand in the transaction that starts the attempts. There is no
//! other way to an attempt.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use musubi_domain::{
    delivery::{DeliveryState, Purpose, Signal, advance},
    eligibility::{Outgoing, Standing, Tie, choose, gate},
    id::{CustomerId, DialogueId, FollowerId, MessageId, OfficialAccountId, TieId},
    phone_number::PhoneNumber,
    silence::Doubt,
};

use super::{
    FollowerKey,
    changed::{KeyRow, key_row},
    delivery::{Attempt, AttemptOutcome, AttemptResult, Claim, Claimed, Source},
    flow::Audit,
    record::{Interned, holder_of, key_of},
    tally::{Tally, TallyKey},
};
use crate::{
    StoreError,
    row::{Columns, Id, micros, place},
    vault::Keys,
};

/// A distribution in a delivery's columns; a dialogue's messages have none.
fn source_bytes(source: &Source) -> &[u8] {
    match source {
        Source::Dialogues(_) => &[],
        Source::Distribution(id) => id.as_bytes(),
    }
}

/// The column of the carrier, behind the follower, of one that is walked.
pub(crate) const CARRIER: usize = 1;

/// A delivery that a claim moved.
pub(crate) struct Move {
    /// Whose.
    pub(crate) key: FollowerKey,
    /// Which.
    pub(crate) message_id: MessageId,
    /// Where it stands now.
    pub(crate) state: i64,
    /// What it says.
    pub(crate) purpose: i64,
    /// How many attempts it had.
    pub(crate) attempts: u32,
    /// When it is due again.
    pub(crate) due_time: i64,
    /// The tie and the customer that it is pinned to.
    pub(crate) pinned: Option<(TieId, CustomerId)>,
}

impl Move {
    /// The tie and the customer that it is pinned to, as two columns.
    pub(crate) fn pinned_to(&self) -> (Option<Id>, Option<&str>) {
        self.pinned.as_ref().map(|(tie, customer)| (Id::of(tie.as_bytes()), customer.as_str())).unzip()
    }
}

/// A due delivery and all that the gate looks at.
struct Due {
    key: FollowerKey,
    message_id: MessageId,
    purpose: Purpose,
    state: DeliveryState,
    attempts: u32,
    throttled: u32,
    expire_time: Timestamp,
    dialogue: Option<(DialogueId, u16)>,
    pinned: Option<(TieId, CustomerId)>,
    addressee: Addressee,
}

/// Whom a delivery is for, as they stand now.
struct Addressee {
    phone_number: PhoneNumber,
    standing: Standing,
    values: Option<Vec<String>>,
}

impl Addressee {
    /// Columns, from the first on: the follower's number, whether the company suspended them, tie, its customer, expire time and
    /// suspension, who holds the number (four), the values for the customer. Who follows, and their present dialogue, stands elsewhere.
    fn read(
        row: &impl Columns,
        first: usize,
        key: &FollowerKey,
        (source, keys): (&Source, &Keys),
    ) -> Result<Self, StoreError> {
        let account = key.account.as_str();
        let tie = match row.maybe_id(first + 2)? {
            Some(id) => Some(Tie {
                id: TieId::from_bytes(id),
                customer_id: row.text(first + 3)?.parse()?,
                expire_time: row.instant(first + 4)?,
                suspended: row.flag(first + 5)?,
                holder: holder_of(row, first + 6)?,
            }),
            None => None,
        };
        let values = match (row.maybe_bytes(first + 10)?, source) {
            (Some(sealed), Source::Distribution(id)) => {
                Some(keys.values(account, (id.as_bytes(), row.text(first + 3)?), sealed)?)
            }
            (None, _) | (_, Source::Dialogues(_)) => None,
        };
        Ok(Self {
            phone_number: keys.number(account, key.follower.as_bytes(), row.bytes(first)?)?,
            standing: Standing { following: true, suspended: row.flag(first + 1)?, tie, dialogue: None },
            values,
        })
    }
}

impl Due {
    /// Columns: account, follower, message, purpose, state, attempts, expire time, dialogue, step, pinned tie and customer (to 10);
    /// throttled, following, present dialogue, and whom it is for.
    fn read(
        row: &impl Columns,
        accounts: &mut Interned,
        reading: (&Source, &Keys),
    ) -> Result<Self, StoreError> {
        let key = key_of(row, accounts)?;
        let dialogue = match row.maybe_id(7)? {
            Some(id) => Some((DialogueId::from_bytes(id), row.small(8)?)),
            None => None,
        };
        let pinned = match row.maybe_id(9)? {
            Some(id) => Some((TieId::from_bytes(id), row.text(10)?.parse()?)),
            None => None,
        };
        let mut addressee = Addressee::read(row, 14, &key, reading)?;
        addressee.standing.following = row.flag(12)?;
        addressee.standing.dialogue = row.maybe_id(13)?.map(DialogueId::from_bytes);
        Ok(Self {
            message_id: MessageId::from_bytes(row.id(2)?),
            purpose: row.one_of(&Purpose::ALL, 3)?,
            state: row.one_of(&DeliveryState::ALL, 4)?,
            attempts: row.small(5)?,
            throttled: row.small(11)?,
            expire_time: row.instant(6)?,
            key,
            dialogue,
            pinned,
            addressee,
        })
    }

    /// Of a message that is being made for a follower. Columns: follower, carrier, and whom it is for.
    fn made<R: Columns>(row: &R, walk: &Walk<'_, R>, reading: (&Source, &Keys)) -> Result<Self, StoreError> {
        let key = FollowerKey { account: walk.account.clone(), follower: FollowerId::from_bytes(row.id(0)?) };
        Ok(Self {
            message_id: (walk.message)(row)?,
            purpose: Purpose::Undecided,
            state: DeliveryState::Queued,
            attempts: 0,
            throttled: 0,
            expire_time: walk.expire_time,
            dialogue: None,
            pinned: None,
            addressee: Addressee::read(row, 2, &key, reading)?,
            key,
        })
    }

    /// What is about to leave: for a distribution's first attempt chosen now, later as pinned.
    fn outgoing(&self, now: Timestamp) -> Option<Outgoing> {
        match self.purpose {
            Purpose::Undecided => {
                let Addressee { standing, values, .. } = &self.addressee;
                Some(choose(standing, |_| values.is_some(), now))
            }
            // Without values there is nothing to say to the customer.
            Purpose::Individual => self
                .pinned
                .clone()
                .filter(|_| self.addressee.values.is_some())
                .map(|(tie, customer)| Outgoing::Individual(tie, customer)),
            Purpose::Uniform => Some(Outgoing::Uniform),
            Purpose::Question
            | Purpose::Account
            | Purpose::AccountAgain
            | Purpose::Identity
            | Purpose::Confirmed
            | Purpose::NotConfirmed
            | Purpose::ReviewRejected
            | Purpose::Renewal
            | Purpose::EraseAsked
            | Purpose::Erasing => self.dialogue.map(|(dialogue, _)| Outgoing::Request(dialogue)),
        }
    }
}

/// Followers of a distribution for whom deliveries are being made.
pub(crate) struct Walk<'a, R> {
    /// Of which account.
    pub(crate) account: OfficialAccountId,
    /// Until when the messages go out.
    pub(crate) expire_time: Timestamp,
    /// The next of them, as they stand. Columns: follower, carrier, number, whether the company suspended them, tie, its customer,
    /// expire time and suspension (to 7), who holds the number (to 11), the values for the customer.
    pub(crate) followers: &'a [R],
    /// Which message one of them gets.
    pub(crate) message: &'a (dyn Fn(&R) -> Result<MessageId, StoreError> + Sync),
}

/// What a claim starts.
pub(crate) struct Started<'a> {
    claim: &'a Claim,
    /// The deliveries are being made, and were counted nowhere before.
    new: bool,
    attempts: Vec<Attempt>,
    /// Every due delivery, as it stands now.
    pub(crate) moves: Vec<Move>,
    tally: Tally,
}

impl<'a> Started<'a> {
    fn none(claim: &'a Claim, new: bool) -> Self {
        Self { claim, new, attempts: Vec::new(), moves: Vec::new(), tally: Tally::default() }
    }

    /// Decides about every due delivery of a claim.
    pub(crate) fn of(claim: &'a Claim, due: &[impl Columns], keys: &Keys) -> Result<Self, StoreError> {
        let mut started = Self::none(claim, false);
        let mut accounts = Interned::default();
        for row in due {
            started.take(Due::read(row, &mut accounts, (&claim.source, keys))?);
        }
        Ok(started)
    }

    /// Decides about the next followers of a distribution, for whom deliveries are being made: those of the claim's carrier are
    /// attempted at once, those of others wait for theirs. A move for each row, in order.
    pub(crate) fn walked<R: Columns>(
        claim: &'a Claim,
        walk: &Walk<'_, R>,
        keys: &Keys,
    ) -> Result<Self, StoreError> {
        let mut started = Self::none(claim, true);
        for row in walk.followers {
            let due = Due::made(row, walk, (&claim.source, keys))?;
            match row.text(CARRIER)? {
                own if own == claim.carrier.as_str() => started.take(due),
                other => started.wait(due, other),
            }
        }
        Ok(started)
    }

    /// What the claim found; `more`: perhaps not all. How counts change is added to what is known of that.
    pub(crate) fn claimed(self, more: bool, tally: &mut Tally) -> Claimed {
        let seen = u32::try_from(self.moves.len()).unwrap_or(u32::MAX);
        tally.append(self.tally);
        Claimed { attempts: self.attempts, seen, more }
    }

    fn take(&mut self, due: Due) {
        let now = self.claim.now;
        if due.expire_time <= now {
            return self.end(due, Signal::Expired);
        }
        if due.attempts.saturating_sub(due.throttled) >= self.claim.attempts_limit {
            return self.end(due, Signal::Exhausted);
        }
        match due.outgoing(now).filter(|outgoing| gate(outgoing, &due.addressee.standing, now).is_ok()) {
            Some(outgoing) => self.start(due, outgoing),
            None => self.end(due, Signal::Revoked),
        }
    }

    fn start(&mut self, due: Due, outgoing: Outgoing) {
        let attempt = due.attempts + 1;
        let (purpose, pinned, values) = match outgoing {
            Outgoing::Uniform => (Purpose::Uniform, None, Vec::new()),
            Outgoing::Individual(tie, customer) => {
                (Purpose::Individual, Some((tie, customer)), due.addressee.values.clone().unwrap_or_default())
            }
            Outgoing::Request(_) => (due.purpose, None, Vec::new()),
        };
        self.tell(&due, DeliveryState::Sending, purpose);
        let tie = pinned.as_ref().map(|(tie, _)| *tie);
        self.moves.push(Move {
            key: due.key.clone(),
            message_id: due.message_id,
            state: place(&DeliveryState::ALL, &DeliveryState::Sending),
            purpose: place(&Purpose::ALL, &purpose),
            attempts: attempt,
            due_time: micros(self.claim.lease_end),
            pinned,
        });
        self.attempts.push(Attempt {
            key: due.key,
            message_id: due.message_id,
            attempt,
            phone_number: due.addressee.phone_number,
            purpose,
            dialogue: due.dialogue,
            tie,
            values,
            expire_time: due.expire_time,
        });
    }

    fn end(&mut self, due: Due, signal: Signal) {
        let state = advance(due.state, signal);
        self.tell(&due, state, due.purpose);
        self.moves.push(Move {
            key: due.key,
            message_id: due.message_id,
            state: place(&DeliveryState::ALL, &state),
            purpose: place(&Purpose::ALL, &due.purpose),
            attempts: due.attempts,
            due_time: micros(self.claim.now),
            pinned: due.pinned,
        });
    }

    fn wait(&mut self, due: Due, carrier: &str) {
        self.count(&due, carrier, (due.purpose, due.state), 1);
        self.moves.push(Move {
            key: due.key,
            message_id: due.message_id,
            state: place(&DeliveryState::ALL, &due.state),
            purpose: place(&Purpose::ALL, &due.purpose),
            attempts: due.attempts,
            due_time: micros(self.claim.now),
            pinned: None,
        });
    }

    fn tell(&mut self, due: &Due, state: DeliveryState, purpose: Purpose) {
        let carrier = self.claim.carrier.as_str();
        if !self.new {
            self.count(due, carrier, (due.purpose, due.state), -1);
        }
        self.count(due, carrier, (purpose, state), 1);
    }

    fn count(&mut self, due: &Due, carrier: &str, (purpose, state): (Purpose, DeliveryState), count: i64) {
        let source = source_bytes(&self.claim.source);
        let (purpose, state) = (place(&Purpose::ALL, &purpose), place(&DeliveryState::ALL, &state));
        self.tally.add(TallyKey::new(due.key.account.as_str(), carrier, source, purpose, state), count);
    }
}

/// Walks the followers of a distribution, page by page, until it has as many of the claim's carrier as the claim may take: what the
/// limits let through is not spent on those of others.
pub(crate) struct Next<'a> {
    claim: &'a Claim,
    own: u32,
    none_in_page: bool,
    /// There are no more.
    pub(crate) done: bool,
}

impl<'a> Next<'a> {
    pub(crate) fn new(claim: &'a Claim) -> Self {
        Self { claim, own: 0, none_in_page: false, done: false }
    }

    /// Whether another page is wanted. A page with nobody of the carrier's ends the walk for now.
    pub(crate) fn goes_on(&self) -> bool {
        !self.done && !self.none_in_page && self.own < self.claim.limit
    }

    /// Takes of a page, which is as long as the claim's limit unless there are no more, what the claim may take.
    pub(crate) fn take<'p, R: Columns>(&mut self, page: &'p [R]) -> Result<&'p [R], StoreError> {
        self.done = u32::try_from(page.len()).is_ok_and(|length| length < self.claim.limit);
        let before = self.own;
        for (place, row) in page.iter().enumerate() {
            if self.own == self.claim.limit {
                self.done = false;
                return Ok(&page[..place]);
            }
            self.own += u32::from(row.text(CARRIER)? == self.claim.carrier.as_str());
        }
        self.none_in_page = self.own == before;
        Ok(page)
    }
}

/// The deliveries that results are about, each once and in the order of the table.
pub(crate) fn attempted(results: &[AttemptResult]) -> Vec<(&FollowerKey, MessageId)> {
    let keys: BTreeSet<_> = results.iter().map(|result| (&result.key, result.message_id)).collect();
    keys.into_iter().collect()
}

/// The followers whom the carrier doesn't reach, by results, each once and in the order of the table.
pub(crate) fn unreached(results: &[AttemptResult]) -> Vec<KeyRow<'_>> {
    let unreached = results.iter().filter(|result| result.outcome == AttemptOutcome::Unreachable);
    let keys: BTreeSet<_> = unreached.map(|result| &result.key).collect();
    keys.into_iter().map(key_row).collect()
}

/// What the audit says of ties that are in doubt now. Columns: account, follower, tie.
pub(crate) fn doubted_lines(rows: &[impl Columns], keys: &Keys) -> Result<Vec<Audit>, StoreError> {
    let mut accounts = Interned::default();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let key = key_of(row, &mut accounts)?;
        let company = keys.of_account(key.account.as_str())?.company().clone();
        let detail = format!("{} {}", TieId::from_bytes(row.id(2)?), Doubt::Refused.as_str());
        lines.push(Audit { company: Some(company), key: Some(key), action: "tie suspended", detail });
    }
    Ok(lines)
}

/// An attempted delivery, while results move it.
struct Attempted {
    row: usize,
    was: DeliveryState,
    is: DeliveryState,
    attempts: u32,
    due_time: Option<i64>,
    throttled: u32,
}

impl Attempted {
    fn learn(&mut self, attempt: u32, outcome: AttemptOutcome) {
        let current = self.is == DeliveryState::Sending && self.attempts == attempt;
        match outcome {
            AttemptOutcome::Known(signal) => self.is = advance(self.is, signal),
            AttemptOutcome::Unreachable => self.is = advance(self.is, Signal::Rejected),
            AttemptOutcome::Throttled(due) | AttemptOutcome::Unanswered(due) if current => {
                self.is = DeliveryState::Queued;
                self.due_time = Some(micros(due));
                self.throttled += 1;
            }
            AttemptOutcome::Unknown(due) if current => self.due_time = Some(micros(due)),
            AttemptOutcome::Throttled(_) | AttemptOutcome::Unknown(_) | AttemptOutcome::Unanswered(_) => {}
        }
    }
}

/// A delivery that results move.
pub(crate) struct Learnt {
    /// The place of its row.
    pub(crate) row: usize,
    /// Where it stood, after how many attempts.
    pub(crate) was: (DeliveryState, u32),
    /// Whose.
    pub(crate) key: FollowerKey,
    /// Which.
    pub(crate) message_id: MessageId,
    /// Where it stands now.
    pub(crate) is: DeliveryState,
    /// When it is due again, if that changed.
    pub(crate) due_time: Option<i64>,
    /// How many more of its attempts were put off.
    pub(crate) throttled: i64,
}

/// What results were about.
pub(crate) struct Learnings {
    /// For each result whether its delivery exists.
    pub(crate) known: Vec<bool>,
    /// The deliveries that move.
    pub(crate) moves: Vec<Learnt>,
}

/// Moves attempted deliveries forward, in the order of the results. Columns: account, carrier, distribution, purpose, state,
/// attempts, follower, message.
pub(crate) fn learn(loaded: &[impl Columns], results: &[AttemptResult]) -> Result<Learnings, StoreError> {
    let mut accounts = Interned::default();
    let mut attempted = BTreeMap::new();
    for (place, row) in loaded.iter().enumerate() {
        let account = accounts.account(row.text(0)?)?;
        let key = FollowerKey { account, follower: FollowerId::from_bytes(row.id(6)?) };
        let state = row.one_of(&DeliveryState::ALL, 4)?;
        let delivery = Attempted {
            row: place,
            was: state,
            is: state,
            attempts: row.small(5)?,
            due_time: None,
            throttled: 0,
        };
        attempted.insert((key, MessageId::from_bytes(row.id(7)?)), delivery);
    }
    let mut known = Vec::with_capacity(results.len());
    for result in results {
        let delivery = attempted.get_mut(&(result.key.clone(), result.message_id));
        known.push(delivery.is_some());
        if let Some(delivery) = delivery {
            delivery.learn(result.attempt, result.outcome);
        }
    }
    let mut moves = Vec::new();
    for ((key, message_id), delivery) in attempted {
        if delivery.is == delivery.was && delivery.due_time.is_none() {
            continue;
        }
        moves.push(Learnt {
            row: delivery.row,
            was: (delivery.was, delivery.attempts),
            key,
            message_id,
            is: delivery.is,
            due_time: delivery.due_time,
            throttled: i64::from(delivery.throttled),
        });
    }
    Ok(Learnings { known, moves })
}

/// Moves deliveries on by a signal: which of the rows move, and where to. Columns: account, carrier, distribution, purpose, state.
pub(crate) fn settle(
    found: &[impl Columns],
    signal: Signal,
    tally: &mut Tally,
) -> Result<Vec<(usize, i64)>, StoreError> {
    let mut settled = Vec::with_capacity(found.len());
    for (index, row) in found.iter().enumerate() {
        let before = row.one_of(&DeliveryState::ALL, 4)?;
        let after = advance(before, signal);
        if after != before {
            tally.moved(row, before, after)?;
            settled.push((index, place(&DeliveryState::ALL, &after)));
        }
    }
    Ok(settled)
}
