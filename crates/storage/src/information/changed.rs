//! What a unit of work changed, as rows to write: the difference between what was loaded and what it became.
//!
//! Pure. What is new stands apart from what was there, because where others write at the same time, two that make the same thing
//! must not both succeed.

use std::collections::HashMap;

use musubi_domain::{
    consent::{Consent, ConsentKind, TextDigest},
    dialogue::{Dialogue, Stage, State},
    guess::{Axis, Count},
    id::{CarrierId, CustomerId, MessageId, OfficialAccountId},
    outcome::FollowerOutcome,
    review::{ReviewState, ReviewSubject, Verdict},
    silence::{Doubt, Holder},
};

use super::{
    FollowerKey,
    before::{Before, is_shared},
    flow::{Audit, FollowerRecord, GuessKey, Inquiry, Matched, NewDelivery, Origin, TieRecord, Work},
    moved::Moves,
    review::Review,
    tally::{DayTally, FollowerTally},
};
use crate::{
    StoreError,
    audit::AuditRow,
    row::{Bytes, Id, bulk_rows, list, micros, place},
    vault::Keys,
};

bulk_rows! {
    /// A follower's key.
    KeyRow<'a> { account: &'a str, follower: Id, }

    /// A delivery's key.
    MessageKeyRow<'a> { account: &'a str, follower: Id, message: Id, }

    /// A follower.
    FollowerRow<'a> {
        account: &'a str,
        follower: Id,
        phone_number: Bytes,
        carrier: &'a str,
        following: bool,
        follow_time: i64,
        former_customer: Option<&'a str>,
        suspended: bool,
        outcome: i64,
    }

    /// What one carrier's list says.
    SubscriptionRow<'a> {
        account: &'a str,
        follower: Id,
        carrier: &'a str,
        following: bool,
        change_time: i64,
    }

    /// A dialogue.
    DialogueRow<'a> {
        account: &'a str,
        follower: Id,
        dialogue: Id,
        turn: i64,
        state: i64,
        step: i64,
        messages: i64,
        reminders: i64,
        unreadable: i64,
        tries: i64,
        reached: i64,
        due_time: Option<i64>,
        state_time: i64,
        given: Option<Bytes>,
        proposed_customer: Option<&'a str>,
        reasons: String,
        shown_text: Option<Bytes>,
    }

    /// What a follower agreed to.
    ConsentRow<'a> {
        account: &'a str,
        follower: Id,
        dialogue: Id,
        kind: i64,
        text: Bytes,
        carrier: &'a str,
        give_time: i64,
    }

    /// A tie.
    TieRow<'a> {
        account: &'a str,
        follower: Id,
        tie: Id,
        customer: &'a str,
        method: &'a str,
        tie_time: i64,
        expire_time: i64,
        suspended: bool,
        proved_time: i64,
        silent_time: i64,
        ask_time: Option<i64>,
        doubt: Option<i64>,
    }

    /// To whom a customer is tied.
    TiedRow<'a> { account: &'a str, follower: Id, customer: &'a str, }

    /// An inquiry.
    InquiryRow<'a> {
        account: &'a str,
        follower: Id,
        inquiry: Id,
        company: &'a str,
        subject: Bytes,
        due_time: i64,
    }

    /// A review.
    ReviewRow<'a> {
        account: &'a str,
        follower: Id,
        review: Id,
        company: &'a str,
        dialogue: Id,
        inquiry: Id,
        proposed_customer: Option<&'a str>,
        method: &'a str,
        reasons: String,
        sealed: Option<Bytes>,
        state: i64,
        decisions: String,
        open_time: i64,
        expire_time: i64,
        close_time: Option<i64>,
    }

    /// What tries are counted by.
    GuessKeyRow<'a> { company: &'a str, axis: i64, subject: Bytes, }

    /// A count of tries.
    GuessRow<'a> {
        company: &'a str,
        axis: i64,
        subject: Bytes,
        charged: i64,
        window_end: Option<i64>,
    }

    /// A dialogue's message.
    DeliveryRow<'a> {
        account: &'a str,
        follower: Id,
        message: Id,
        carrier: &'a str,
        purpose: i64,
        due_time: i64,
        expire_time: i64,
        dialogue: Id,
        step: i64,
    }

    /// An event that was taken.
    EventRow<'a> { event: &'a str, }

    /// Followers that came, for the record of acquisition.
    AddedRow<'a> { account: &'a str, carrier: &'a str, by_event: i64, by_list: i64, }

}

/// Rows to write.
#[derive(Default)]
pub(crate) struct Changed<'a> {
    pub(crate) tally: FollowerTally<'a>,
    pub(crate) days: DayTally<'a>,
    pub(crate) new_followers: Vec<FollowerRow<'a>>,
    pub(crate) followers: Vec<FollowerRow<'a>>,
    /// Of new followers.
    pub(crate) new_subscriptions: Vec<SubscriptionRow<'a>>,
    pub(crate) subscriptions: Vec<SubscriptionRow<'a>>,
    /// Of new followers.
    pub(crate) new_dialogues: Vec<DialogueRow<'a>>,
    pub(crate) dialogues: Vec<DialogueRow<'a>>,
    pub(crate) ties: Vec<TieRow<'a>>,
    pub(crate) ended_ties: Vec<KeyRow<'a>>,
    /// Of the ties, those that are to another customer than before.
    pub(crate) tied_customers: Vec<TiedRow<'a>>,
    pub(crate) inquiries: Vec<InquiryRow<'a>>,
    pub(crate) ended_inquiries: Vec<KeyRow<'a>>,
    pub(crate) reviews: Vec<ReviewRow<'a>>,
    pub(crate) new_guesses: Vec<GuessRow<'a>>,
    pub(crate) guesses: Vec<GuessRow<'a>>,
    pub(crate) ended_guesses: Vec<GuessKeyRow<'a>>,
    /// Of these, those of whole companies, of which none ends.
    pub(crate) shared_guesses: Vec<GuessRow<'a>>,
    /// For the audit.
    pub(crate) moves: Moves<'a>,
}

impl<'a> Changed<'a> {
    pub(crate) fn of(before: &'a Before, work: &'a Work, keys: &Keys) -> Result<Self, StoreError> {
        let mut changed = Self::default();
        // In the order of the tables: neighbours share pages, and locks are taken in one order.
        let mut followers: Vec<_> = work.followers.iter().collect();
        followers.sort_unstable_by_key(|(key, _)| *key);
        for (key, record) in followers {
            changed.compare(key, before.follower(key), record, keys)?;
        }
        let mut guesses: Vec<_> = work.guesses.iter().collect();
        guesses.sort_unstable_by_key(|(key, _)| *key);
        for (key, count) in guesses {
            // Nearly every try is given back: rows of nothing would be as many as people, at random places. A company's one stays,
            // because all that try at once would have to make it anew.
            let is_kept = *count != Count::default();
            match before.count(key) {
                was if is_shared(key) => {
                    changed.shared_guesses.extend((was != Some(count)).then(|| guess_row(key, count)));
                }
                None if is_kept => changed.new_guesses.push(guess_row(key, count)),
                Some(was) if was != count && is_kept => changed.guesses.push(guess_row(key, count)),
                Some(_) if !is_kept => changed.ended_guesses.push(guess_key_row(key)),
                None | Some(_) => {}
            }
        }
        Ok(changed)
    }

    fn compare(
        &mut self,
        key: &'a FollowerKey,
        was: Option<&'a FollowerRecord>,
        is: &'a FollowerRecord,
        keys: &Keys,
    ) -> Result<(), StoreError> {
        self.tally.add(key, is, 1);
        if let Some(was) = was {
            self.tally.add(key, was, -1);
        }
        self.days.add(key, was, is);
        self.moves.add(key, was, is);
        let row = key_row(key);
        let head = |record: &'a FollowerRecord| {
            let FollowerRecord { carrier, following, follow_time, suspended, former_customer, .. } = record;
            (carrier, following, follow_time, suspended, former_customer, outcome_of(record))
        };
        if was.map(head) != Some(head(is)) {
            // A follower's number never changes, and is not written again.
            let number = match was {
                Some(_) => Bytes(Vec::new()),
                None => keys.seal_number(row.account, key.follower.as_bytes(), &is.phone_number)?,
            };
            let rows = if was.is_some() { &mut self.followers } else { &mut self.new_followers };
            rows.push(FollowerRow {
                account: row.account,
                follower: row.follower,
                phone_number: number,
                carrier: is.carrier.as_str(),
                following: is.following,
                follow_time: micros(is.follow_time),
                former_customer: is.former_customer.as_ref().map(CustomerId::as_str),
                suspended: is.suspended,
                outcome: place(&FollowerOutcome::ALL, &outcome_of(is)),
            });
        }
        for subscription in &is.subscriptions {
            if !was.is_some_and(|was| was.subscriptions.contains(subscription)) {
                let rows = if was.is_some() { &mut self.subscriptions } else { &mut self.new_subscriptions };
                rows.push(SubscriptionRow {
                    account: row.account,
                    follower: row.follower,
                    carrier: subscription.carrier.as_str(),
                    following: subscription.following,
                    change_time: micros(subscription.change_time),
                });
            }
        }
        if let Some(dialogue) = &is.dialogue
            && !was.is_some_and(|was| {
                was.dialogue == is.dialogue && was.matched == is.matched && was.shown == is.shown
            })
        {
            let rows = if was.is_some() { &mut self.dialogues } else { &mut self.new_dialogues };
            rows.push(dialogue_row(key, dialogue, is, keys)?);
        }
        match (&is.tie, was.and_then(|was| was.tie.as_ref())) {
            (Some(now), was) if was != Some(now) => {
                let customer = &now.tie.customer_id;
                if was.map(|was| &was.tie.customer_id) != Some(customer) {
                    let KeyRow { account, follower } = row;
                    self.tied_customers.push(TiedRow { account, follower, customer: customer.as_str() });
                }
                self.ties.push(tie_row(&row, now));
            }
            (None, Some(_)) => self.ended_ties.push(row.clone()),
            (Some(_) | None, _) => {}
        }
        match (&is.inquiry, was.and_then(|was| was.inquiry.as_ref())) {
            (Some(now), was) if was != Some(now) => self.inquiries.push(inquiry_row(key, now, keys)?),
            (None, Some(_)) => self.ended_inquiries.push(row.clone()),
            (Some(_) | None, _) => {}
        }
        if let Some(review) = &is.review
            && was.and_then(|was| was.review.as_ref()) != Some(review)
        {
            self.reviews.push(review_row(key, review, keys)?);
        }
        Ok(())
    }
}

/// Where a follower stands.
fn outcome_of(record: &FollowerRecord) -> FollowerOutcome {
    FollowerOutcome::of(record.following, record.dialogue.as_ref().map(|dialogue| dialogue.state))
}

/// A follower's key as a row.
pub(crate) fn key_row(key: &FollowerKey) -> KeyRow<'_> {
    KeyRow { account: key.account.as_str(), follower: Id::of(key.follower.as_bytes()) }
}

/// Follower keys as rows: each once, because two events of one follower name it twice, and in the order of the tables.
pub(crate) fn key_rows(keys: &[FollowerKey]) -> Vec<KeyRow<'_>> {
    let mut keys: Vec<&FollowerKey> = keys.iter().collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().map(key_row).collect()
}

/// Events as rows.
pub(crate) fn event_rows(events: &[String]) -> Vec<EventRow<'_>> {
    events.iter().map(|event| EventRow { event }).collect()
}

/// A count as a row.
pub(crate) fn guess_row<'a>(key: &'a GuessKey, count: &Count) -> GuessRow<'a> {
    GuessRow {
        company: key.company.as_str(),
        axis: place(&Axis::ALL, &key.axis),
        subject: Bytes(key.subject.clone()),
        charged: i64::from(count.charged),
        window_end: count.window_end.map(micros),
    }
}

/// A count's key as a row.
pub(crate) fn guess_key_row(key: &GuessKey) -> GuessKeyRow<'_> {
    GuessKeyRow {
        company: key.company.as_str(),
        axis: place(&Axis::ALL, &key.axis),
        subject: Bytes(key.subject.clone()),
    }
}

/// A delivery's key as a row.
pub(crate) fn message_row(key: &FollowerKey, id: MessageId) -> MessageKeyRow<'_> {
    let KeyRow { account, follower } = key_row(key);
    MessageKeyRow { account, follower, message: Id::of(id.as_bytes()) }
}

fn dialogue_row<'a>(
    key: &'a FollowerKey,
    dialogue: &'a Dialogue,
    record: &'a FollowerRecord,
    keys: &Keys,
) -> Result<DialogueRow<'a>, StoreError> {
    let KeyRow { account, follower } = key_row(key);
    let given = dialogue.given.as_ref();
    let Matched { proposed_customer, reasons } = &record.matched;
    Ok(DialogueRow {
        account,
        follower,
        dialogue: Id::of(dialogue.id.as_bytes()),
        turn: i64::from(dialogue.turn),
        state: place(&State::ALL, &dialogue.state),
        step: i64::from(dialogue.step),
        messages: i64::from(dialogue.messages),
        reminders: i64::from(dialogue.reminders),
        unreadable: i64::from(dialogue.unreadable),
        tries: i64::from(dialogue.tries),
        reached: place(&Stage::ALL, &dialogue.reached),
        due_time: dialogue.due_time.map(micros),
        state_time: micros(dialogue.state_time),
        given: given.map(|given| keys.seal_given(account, key.follower.as_bytes(), given)).transpose()?,
        proposed_customer: proposed_customer.as_ref().map(CustomerId::as_str),
        reasons: list(reasons)?,
        shown_text: record.shown.as_ref().map(digest),
    })
}

fn tie_row<'a>(key: &KeyRow<'a>, record: &'a TieRecord) -> TieRow<'a> {
    let Holder { proved_time, silent_time, ask_time, doubt } = record.tie.holder;
    TieRow {
        account: key.account,
        follower: key.follower,
        tie: Id::of(record.tie.id.as_bytes()),
        customer: record.tie.customer_id.as_str(),
        method: record.method.as_str(),
        tie_time: micros(record.tie_time),
        expire_time: micros(record.tie.expire_time),
        suspended: record.tie.suspended,
        proved_time: micros(proved_time),
        silent_time: micros(silent_time),
        ask_time: ask_time.map(micros),
        doubt: doubt.map(|doubt| place(&Doubt::ALL, &doubt)),
    }
}

fn inquiry_row<'a>(
    key: &'a FollowerKey,
    inquiry: &'a Inquiry,
    keys: &Keys,
) -> Result<InquiryRow<'a>, StoreError> {
    let (KeyRow { account, follower }, company) = (key_row(key), inquiry.company.as_str());
    let subject = ReviewSubject { account: inquiry.account.clone(), identity: inquiry.identity.clone() };
    Ok(InquiryRow {
        account,
        follower,
        inquiry: Id::of(inquiry.id.as_bytes()),
        company,
        subject: keys.seal_inquiry(company, (account, key.follower.as_bytes()), &subject)?,
        due_time: micros(inquiry.due_time),
    })
}

fn review_row<'a>(
    key: &'a FollowerKey,
    review: &'a Review,
    keys: &Keys,
) -> Result<ReviewRow<'a>, StoreError> {
    let (KeyRow { account, follower }, company) = (key_row(key), review.company.as_str());
    let whose = (account, key.follower.as_bytes(), review.id.as_bytes());
    let sealed = review.subject.as_ref().map(|subject| keys.seal_review(company, whose, subject));
    let decisions: Vec<_> = review
        .decisions
        .iter()
        .map(|it| (it.operator.as_str(), place(&Verdict::ALL, &it.verdict), micros(it.decide_time)))
        .collect();
    Ok(ReviewRow {
        account,
        follower,
        review: Id::of(review.id.as_bytes()),
        company,
        dialogue: Id::of(review.dialogue.as_bytes()),
        inquiry: Id::of(review.inquiry.as_bytes()),
        proposed_customer: review.proposed_customer.as_ref().map(CustomerId::as_str),
        method: review.method.as_str(),
        reasons: list(&review.reasons)?,
        sealed: sealed.transpose()?,
        state: place(&ReviewState::ALL, &review.state),
        decisions: list(&decisions)?,
        open_time: micros(review.open_time),
        expire_time: micros(review.expire_time),
        close_time: review.close_time.map(micros),
    })
}

/// Deliveries made now, in the order of the table.
pub(crate) fn delivery_rows(deliveries: &[NewDelivery]) -> Vec<DeliveryRow<'_>> {
    let mut deliveries: Vec<&NewDelivery> = deliveries.iter().collect();
    deliveries.sort_by_key(|new| (&new.key, new.message_id));
    let rows = deliveries.into_iter().map(|new| {
        let MessageKeyRow { account, follower, message } = message_row(&new.key, new.message_id);
        DeliveryRow {
            account,
            follower,
            message,
            carrier: new.carrier.as_str(),
            purpose: place(&musubi_domain::delivery::Purpose::ALL, &new.purpose),
            due_time: micros(new.due_time),
            expire_time: micros(new.expire_time),
            dialogue: Id::of(new.dialogue.0.as_bytes()),
            step: i64::from(new.dialogue.1),
        }
    });
    rows.collect()
}

/// How many followers an event or a list brought, by list.
pub(crate) fn added_rows(added: &[(FollowerKey, CarrierId, Origin)]) -> Vec<AddedRow<'_>> {
    let mut counts: HashMap<(&OfficialAccountId, &CarrierId), (i64, i64)> = HashMap::new();
    for (key, carrier, origin) in added {
        let count = counts.entry((&key.account, carrier)).or_default();
        match origin {
            Origin::Event => count.0 += 1,
            Origin::List => count.1 += 1,
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    let rows = counts.into_iter().map(|((account, carrier), (by_event, by_list))| AddedRow {
        account: account.as_str(),
        carrier: carrier.as_str(),
        by_event,
        by_list,
    });
    rows.collect()
}

/// What followers agreed to, each once.
pub(crate) fn consent_rows(consents: &[(FollowerKey, Consent)]) -> Vec<ConsentRow<'_>> {
    let rows = consents.iter().map(|(key, consent)| {
        let KeyRow { account, follower } = key_row(key);
        ConsentRow {
            account,
            follower,
            dialogue: Id::of(consent.dialogue.as_bytes()),
            kind: place(&ConsentKind::ALL, &consent.kind),
            text: digest(&consent.text),
            carrier: consent.carrier.as_str(),
            give_time: micros(consent.give_time),
        }
    });
    rows.collect()
}

fn digest(text: &TextDigest) -> Bytes {
    Bytes(text.as_bytes().to_vec())
}

/// Lines of the audit.
pub(crate) fn audit_rows(audits: &[Audit]) -> Vec<AuditRow<'_>> {
    let rows = audits.iter().map(|audit| AuditRow {
        company: audit.company.as_ref().map_or("", |company| company.as_str()),
        account: audit.key.as_ref().map(|key| key.account.as_str()),
        follower: audit.key.as_ref().map(|key| Id::of(key.follower.as_bytes())),
        action: audit.action,
        detail: &audit.detail,
    });
    rows.collect()
}
