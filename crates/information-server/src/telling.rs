//! What this server tells of its work once it is stored: counts for metrics, and steps of the stories that are told.
//!
//! Called after a transaction, never within one, whose body may run twice. Surprising: work comes in batches of a thousand, and only those
//! few of them are named whose stories are told, so that a small share costs two hashes for each and nothing else.

use std::collections::BTreeMap;

use musubi_domain::{
    customer::{MatchDecision, MatchOutcome},
    delivery::{Purpose, Signal},
    id::{CarrierId, CompanyId, MessageId, OfficialAccountId},
    phone_number::PhoneNumber,
};
use musubi_runtime::telemetry::story::{Began, Place, Step, Story};
use musubi_storage::information::{
    delivery::{Attempt, AttemptOutcome, AttemptResult},
    flow::{DueInquiry, Work},
};

use crate::metrics::{ALARMS, ATTEMPTS, FAILURES, MATCHES, STEPS};

/// Begins counting at zero what alerts look for a rise of.
pub(crate) fn begin_counting(carriers: &[CarrierId], companies: &[CompanyId]) {
    for carrier in carriers {
        FAILURES.add(0, [carrier.as_str()]);
        for outcome in [Signal::Accepted, Signal::Rejected] {
            ATTEMPTS.add(0, [carrier.as_str(), signal_word(outcome)]);
        }
    }
    for company in companies {
        ALARMS.add(0, [company.as_str()]);
        for outcome in MatchOutcome::ALL {
            MATCHES.add(0, [company.as_str(), outcome.as_str()]);
        }
    }
}

/// The messages that a unit of work makes dialogues say.
#[derive(Default)]
pub(crate) struct Said(BTreeMap<(OfficialAccountId, &'static str), u64>);

impl Said {
    /// Notes them, at the end of the unit's body; what an earlier run of it noted is forgotten.
    pub(crate) fn note(&mut self, work: &Work) {
        self.0.clear();
        if STEPS.is_scraped() {
            for delivery in &work.deliveries {
                let said = (delivery.key.account.clone(), delivery.purpose.as_str());
                *self.0.entry(said).or_default() += 1;
            }
        }
    }

    /// Counts them, once they are stored.
    pub(crate) fn count(self) {
        for ((account, purpose), count) in self.0 {
            STEPS.add(count, [account.as_str(), purpose]);
        }
    }
}

/// An event that a carrier reported was taken.
pub(crate) fn took_event(
    account: &OfficialAccountId,
    number: &PhoneNumber,
    event_id: &str,
    what: &'static str,
    began: Began,
) {
    if let Some(story) = Story::of_talk_room(account, number) {
        let take = story.step(Step::Take, event_id, began).under(Step::Report, event_id);
        take.with("musubi.event", what).tell();
    }
}

/// A receipt was taken.
pub(crate) fn took_receipt(message: MessageId, event_id: &str, signal: Signal, began: Began) {
    if let Some(story) = Story::of_message(message) {
        let take = story.step(Step::Take, event_id, began).under(Step::Report, event_id);
        take.with("musubi.event", signal_word(signal)).tell();
    }
}

/// An assertion was taken; `nonce` says which.
pub(crate) fn took_proof(account: &OfficialAccountId, number: &PhoneNumber, nonce: &[u8], began: Began) {
    if let Some(story) = Story::of_talk_room(account, number) {
        let take = story.step(Step::Take, nonce, began).under(Step::Attest, nonce);
        take.with("musubi.event", "identity attested").tell();
    }
}

/// Attempts were made: what became of each is counted, and told in the message's story, and for a dialogue's message in the talk room's.
pub(crate) struct Sent {
    carrier: CarrierId,
    began: Began,
    told: Vec<(MessageId, Purpose, Option<Story>, Option<Story>)>,
}

impl Sent {
    pub(crate) fn of(carrier: &CarrierId, attempts: &[Attempt], began: Began) -> Self {
        let told = attempts.iter().filter_map(|attempt| {
            let message = Story::of_message(attempt.message_id);
            let dialogue = attempt.dialogue.is_some();
            let room =
                dialogue.then(|| Story::of_talk_room(&attempt.key.account, &attempt.phone_number)).flatten();
            let is_told = message.is_some() || room.is_some();
            is_told.then_some((attempt.message_id, attempt.purpose, message, room))
        });
        Self { carrier: carrier.clone(), began, told: told.collect() }
    }

    pub(crate) fn tell(self, results: &[AttemptResult]) {
        let Self { carrier, began, told } = self;
        outcomes(&carrier, results);
        for (id, purpose, message, room) in told {
            let result = results.iter().find(|result| result.message_id == id);
            let outcome = result.map_or("lost", |result| outcome_word(result.outcome));
            let step = |story: Story| {
                let step = story.step(Step::Send, id.as_bytes(), began);
                let step = step.with("musubi.message", id.to_string()).with("musubi.outcome", outcome);
                step.with("musubi.purpose", purpose.as_str()).with("musubi.carrier", carrier.to_string())
            };
            if let Some(message) = message {
                step(message).tell();
            }
            if let Some(room) = room {
                step(room).under(Step::Follow, "").tell();
            }
        }
    }
}

/// Counts what became of attempts, or what receipts say.
pub(crate) fn outcomes(carrier: &CarrierId, results: &[AttemptResult]) {
    if !ATTEMPTS.is_scraped() {
        return;
    }
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for result in results {
        *counts.entry(outcome_word(result.outcome)).or_default() += 1;
    }
    for (outcome, count) in counts {
        ATTEMPTS.add(count, [carrier.as_str(), outcome]);
    }
}

/// The stories among claimed inquiries, each by its index and the step under which others stand.
#[derive(Default)]
pub(crate) struct Inquired(Vec<(usize, Story)>);

impl Inquired {
    pub(crate) fn of(claimed: &[DueInquiry]) -> Self {
        let stories = claimed
            .iter()
            .enumerate()
            .filter_map(|(index, it)| Some((index, Story::of_talk_room(&it.key.account, &it.phone_number)?)));
        Self(stories.collect())
    }

    /// Each with the place of its question, for whoever decides.
    pub(crate) fn places(&self, inquiries: &[DueInquiry]) -> Vec<(usize, Place)> {
        let place = |(index, story): &(usize, Story)| {
            Some((*index, story.place(Step::Inquire, inquiries.get(*index)?.inquiry.id.as_bytes())))
        };
        self.0.iter().filter_map(place).collect()
    }

    /// The question was put to whoever decides.
    pub(crate) fn asked(&self, inquiries: &[DueInquiry], began: Began) {
        for (index, story) in &self.0 {
            if let Some(it) = inquiries.get(*index) {
                let step = story.step(Step::Inquire, it.inquiry.id.as_bytes(), began).under(Step::Follow, "");
                step.with("musubi.company", it.inquiry.company.to_string()).tell();
            }
        }
    }
}

/// An inquiry's decision was recorded.
pub(crate) fn concluded(decided: &[(DueInquiry, MatchDecision)], company: &CompanyId, began: Began) {
    for (it, decision) in decided {
        let outcome = decision.outcome.as_str();
        MATCHES.add(1, [company.as_str(), outcome]);
        if let Some(story) = Story::of_talk_room(&it.key.account, &it.phone_number) {
            let about = it.inquiry.id.as_bytes();
            let step = story.step(Step::Conclude, about, began).under(Step::Inquire, about);
            step.with("musubi.outcome", outcome).tell();
        }
    }
}

const fn outcome_word(outcome: AttemptOutcome) -> &'static str {
    match outcome {
        AttemptOutcome::Known(signal) => signal_word(signal),
        AttemptOutcome::Unreachable => "unreachable",
        AttemptOutcome::Throttled(_) => "throttled",
        AttemptOutcome::Unknown(_) => "unknown",
        AttemptOutcome::Unanswered(_) => "unanswered",
    }
}

const fn signal_word(signal: Signal) -> &'static str {
    match signal {
        Signal::Accepted => "accepted",
        Signal::Rejected => "rejected",
        Signal::Exhausted => "exhausted",
        Signal::Delivered => "delivered",
        Signal::Displayed => "displayed",
        Signal::Expired => "expired",
        Signal::Revoked => "revoked",
    }
}
