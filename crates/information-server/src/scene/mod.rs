//! What happens to a follower, as edits of a unit of work: arriving, leaving, answering, being verified, being matched, being
//! reviewed, asking to be erased.
//!
//! Pure: the store runs these inside its transactions, perhaps more than once. Every change of a dialogue or a tie goes through
//! [`Scene::tell`]; so does the end of a review, and with it goes what the review kept of the person. Surprising: a number on two carriers' lists is one follower; it leaves only when it left both.

use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    consent::{Consent, ConsentKind, TextDigest},
    customer::{MatchDecision, MatchOutcome},
    delivery::Purpose,
    dialogue::{Choice, Dialogue, Effect, Event, RequestMessage, State, transition},
    eligibility::Tie,
    erasure::{Cause, Erasure},
    guess::{Axis, Count, allow},
    id::{CarrierId, CustomerId, DialogueId, FollowerKeyring, InquiryId, MessageId, OperatorName, TieId},
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
    silence::{Answered, Doubt, Recycling},
};
use musubi_storage::information::{
    FollowerKey,
    flow::{Audit, FollowerRecord, Inquiry, Matched, NewDelivery, Origin, Subscription, TieRecord, Work},
    holder::ToAsk,
};

use crate::directory::{Account, Company};

mod by_hand;
mod guesses;
pub mod review;
#[cfg(test)]
mod tests;

/// How long a message of a dialogue is worth delivering.
const REQUEST_LIFETIME: SignedDuration = SignedDuration::from_hours(24 * 7);
/// How long a person who had themselves erased still has a number here, to be told of it. All else of the tie ends at once.
const TOLD_WITHIN: SignedDuration = SignedDuration::from_secs(10);

/// What the audit calls it that the tries of a whole company are used up.
pub const COMPANY_LIMIT: &str = "company limit reached";

/// One official account at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// Whose follower it is about.
    pub account: &'a Account,
    /// The account's company.
    pub company: &'a Company,
    /// The moment.
    pub now: Timestamp,
}

impl Scene<'_> {
    /// A list has the number now (S12): a new follower, or one more carrier of a known one. `at` is the carrier's time; what is
    /// older than what is known, or than an erasure, has no effect, and at the same instant leaving wins. Who follows again without having been
    /// seen to leave has left all the same: the tie ends. Whoever was erased is a stranger, and is not asked at once.
    pub fn arrive(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        number: PhoneNumber,
        carrier: &CarrierId,
        at: Timestamp,
        origin: Origin,
    ) {
        let not_before = match self.erased_before(work, key, at) {
            Ok(erasure) => erasure.map(|erasure| erasure.asked_from(origin == Origin::Event)),
            Err(Outdated) => return,
        };
        let record = work.followers.entry(key.clone()).or_insert_with(|| self.stranger(number, carrier));
        let returned = match subscribe(record, carrier, true, at) {
            News::None => return,
            News::Again => origin == Origin::Event,
            News::Changed => false,
        };
        record.carrier = carrier.clone();
        let followed = record.following;
        if followed && !returned {
            return;
        }
        if followed {
            self.end(work, key);
        }
        if let Some(record) = work.followers.get_mut(key) {
            record.following = true;
            record.follow_time = self.now;
            self.begin_anew(key, record);
            if let (Some(dialogue), Some(not_before)) = (&mut record.dialogue, not_before) {
                let due = self.account.rules.quiet_hours.next_allowed(not_before);
                dialogue.due_time = dialogue.due_time.max(Some(due));
            }
        }
        work.added.push((key.clone(), carrier.clone(), origin));
    }

    /// Asks a follower who waits for the first question, if it is due.
    pub fn ask(&self, work: &mut Work, key: &FollowerKey) {
        let record = work.followers.get(key);
        let waiting = record.and_then(|it| it.dialogue.as_ref()).filter(|it| it.state == State::Waiting);
        if waiting.and_then(|it| it.due_time).is_some_and(|due| due <= self.now) {
            self.tell(work, key, &Event::Due);
        }
    }

    /// A list has the number no more. Leaving the last list ends dialogue and tie and withdraws what waits.
    pub fn leave(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        number: PhoneNumber,
        carrier: &CarrierId,
        at: Timestamp,
    ) {
        if self.erased_before(work, key, at).is_err() {
            return;
        }
        let record = work.followers.entry(key.clone()).or_insert_with(|| self.stranger(number, carrier));
        if subscribe(record, carrier, false, at) != News::Changed {
            return;
        }
        if let Some(other) = record.subscriptions.iter().find(|subscription| subscription.following) {
            record.carrier = other.carrier.clone();
            return;
        }
        if record.following {
            record.following = false;
            self.end(work, key);
        } else if record.dialogue.is_none() {
            // Only known to have left; erased like everybody who has.
            self.begin_anew(key, record);
            self.tell(work, key, &Event::Left);
        }
    }

    /// The last erasure, when what is reported of this moment is of after it.
    fn erased_before<'w>(
        &self,
        work: &'w Work,
        key: &FollowerKey,
        at: Timestamp,
    ) -> Result<Option<&'w Erasure>, Outdated> {
        match work.erased.get(key) {
            Some(erasure) if at <= erasure.request_time && !work.followers.contains_key(key) => Err(Outdated),
            erasure => Ok(erasure),
        }
    }

    /// The company wants a follower erased, whether anything is held about them or not. Gives what is asked for.
    pub fn erase(&self, work: &mut Work, key: &FollowerKey, operator: &OperatorName) -> Erasure {
        let erasure = self.erasure(key, Cause::Company);
        work.erasures.push((erasure.clone(), self.now));
        self.audit(work, key, "erasure_asked", format!("company, by {operator}"));
        erasure
    }

    /// What an erasure on that word is.
    #[must_use]
    pub fn erasure(&self, key: &FollowerKey, cause: Cause) -> Erasure {
        let Account { rules, .. } = self.account;
        let wait = match cause {
            Cause::Person | Cause::Company => rules.declined_for,
            Cause::Unfollowed => SignedDuration::ZERO,
        };
        Erasure {
            account: key.account.clone(),
            follower: key.follower,
            company: self.company.id.clone(),
            cause,
            request_time: self.now,
            ask_time: self.now.checked_add(wait).unwrap_or(Timestamp::MAX),
        }
    }

    /// The number went to another person: all that was known of the one before ends, and whoever has it now is asked afresh.
    pub fn reassign(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        number: PhoneNumber,
        carrier: &CarrierId,
        at: Timestamp,
    ) {
        self.leave(work, key, number, carrier, at);
        if work.followers.get(key).is_some_and(|record| record.following) {
            self.begin_afresh(work, key);
        }
    }

    /// Who has the number says that the customer is somebody else. As if the number had been reassigned.
    pub fn not_me(&self, work: &mut Work, key: &FollowerKey) {
        self.audit(work, key, "not me", String::new());
        self.begin_afresh(work, key);
    }

    /// What a carrier says of a tied number, asked at `asked`: the tie holds, waits, or ends with whoever had the number. No effect when
    /// anything became of the tie meanwhile: then it is asked about again. Gives whether the number changed hands.
    pub fn hear_of_number(
        &self,
        work: &mut Work,
        about: &ToAsk,
        recycling: Recycling,
        asked: Timestamp,
    ) -> bool {
        let key = &about.key;
        let tie = work.followers.get_mut(key).and_then(|record| record.tie.as_mut());
        let Some(tie) = tie.filter(|tie| tie.tie.id == about.tie && tie.tie.holder == about.holder) else {
            return false;
        };
        let id = tie.tie.id;
        match self.account.silence.answered(&about.holder, recycling, asked) {
            Answered::Stands(holder) => {
                tie.tie.holder = holder;
                match holder.doubt {
                    Some(doubt) if about.holder.doubt != Some(doubt) => {
                        if doubt == Doubt::OutOfRange {
                            self.ask_for_a_new_proof(work, key);
                        }
                        self.audit(work, key, "tie suspended", format!("{id} {}", doubt.as_str()));
                    }
                    None if about.holder.doubt.is_some() => {
                        self.audit(work, key, "tie resumed", id.to_string());
                    }
                    Some(_) | None => {}
                }
                false
            }
            Answered::Ends => {
                self.audit(work, key, "number recycled", id.to_string());
                self.begin_afresh(work, key);
                true
            }
        }
    }

    /// Whether a carrier's list had the follower at a moment, and has since.
    pub fn lists(&self, work: &Work, key: &FollowerKey, carrier: &CarrierId, at: Timestamp) -> bool {
        let record = work.followers.get(key);
        record.into_iter().flat_map(|record| &record.subscriptions).any(|subscription| {
            subscription.carrier == *carrier && subscription.following && subscription.change_time <= at
        })
    }

    /// Holds back what would be sent for a follower's tie, or lets it go again.
    pub fn suspend(&self, work: &mut Work, key: &FollowerKey, suspended: bool) {
        if let Some(tie) = work.followers.get_mut(key).and_then(|record| record.tie.as_mut()) {
            tie.tie.suspended = suspended;
        }
    }

    /// An identity was attested for the present step: charges the try and inquires, or locks. Gives `false` when the dialogue
    /// doesn't wait for it.
    pub fn verify(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        identity: &AttestedIdentity,
        keyring: &FollowerKeyring,
    ) -> bool {
        let Some(dialogue) = work.followers.get(key).and_then(|record| record.dialogue.as_ref()) else {
            return false;
        };
        let Some(given) = dialogue.given.clone() else { return false };
        let axes = self.guess_keys(key, &given.account_number, identity, keyring);
        let counts: Vec<(Axis, Count)> = axes
            .iter()
            .map(|axis| (axis.axis, work.guesses.get(axis).copied().unwrap_or_default()))
            .collect();
        if let Err(until) = allow(&counts, identity.method, &self.company.limits, self.now) {
            self.audit(work, key, "locked", until.to_string());
            return self.tell(work, key, &Event::GuessesSpent { until }).is_some();
        }
        if self.tell(work, key, &Event::Verified) != Some(Some(Effect::Inquire)) {
            return false;
        }
        let mut alarmed = false;
        for (key, (axis, count)) in axes.into_iter().zip(counts) {
            let count = count.charge(axis, &self.company.limits, self.now);
            if axis == Axis::Company && count.charged == self.company.limits.company {
                alarmed = true;
            }
            work.guesses.insert(key, count);
        }
        if alarmed {
            let detail = format!("{} tries in one window", self.company.limits.company);
            self.audit(work, key, COMPANY_LIMIT, detail);
        }
        if let Some(record) = work.followers.get_mut(key)
            && let Some(dialogue) = &record.dialogue
        {
            record.inquiry = Some(Box::new(Inquiry {
                id: InquiryId::derive(dialogue.id, u32::from(dialogue.tries), self.now),
                company: self.company.id.clone(),
                account: given,
                identity: identity.clone(),
                due_time: self.now,
            }));
        }
        true
    }

    /// A match was decided (S21): a positive one makes the tie, unless another tie stands against it; what people have to decide
    /// is kept for them, sealed; a rejection stores nothing of the identity.
    pub fn decide(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        inquiry: &Inquiry,
        decision: &MatchDecision,
        keyring: &FollowerKeyring,
    ) {
        let decision = self.against_rivals(work, key, decision);
        let Some(record) = work.followers.get_mut(key) else { return };
        if record.inquiry.as_ref().is_none_or(|waiting| waiting.id != inquiry.id) {
            return;
        }
        record.inquiry = None;
        record.matched = Matched {
            proposed_customer: decision
                .customer_id
                .clone()
                .filter(|_| decision.outcome == MatchOutcome::Review),
            reasons: decision.reasons.clone(),
        };
        let effect = self.tell(work, key, &Event::Matched(decision.outcome));
        let mut renewed = false;
        if let (Some(Some(Effect::Tie)), Some(customer_id)) = (effect, decision.customer_id.clone()) {
            renewed = self.tie(work, key, customer_id, (inquiry.identity.method, inquiry.id));
        } else {
            self.doubt(work, key);
        }
        if effect.is_some() && decision.outcome == MatchOutcome::Review {
            self.open_review(work, key, inquiry, &decision);
        }
        if decision.outcome != MatchOutcome::Rejected {
            let Inquiry { account, identity, .. } = inquiry;
            for axis in self.guess_keys(key, &account.account_number, identity, keyring) {
                let on = axis.axis;
                if let Some(count) = work.guesses.get_mut(&axis) {
                    *count = match decision.outcome {
                        MatchOutcome::Confirmed => count.confirmed(on),
                        MatchOutcome::Review | MatchOutcome::Rejected => count.refund(),
                    };
                }
            }
        }
        let action = match decision.outcome {
            MatchOutcome::Confirmed if renewed => "tie renewed",
            MatchOutcome::Confirmed => "tied",
            MatchOutcome::Review => "sent to review",
            MatchOutcome::Rejected => "rejected",
        };
        self.audit(work, key, action, format!("{} {}", inquiry.id, decision.reasons.join(" ")));
    }

    /// Ties the customer by what was proved in an inquiry, however long ago that was; the tie to the same customer is renewed, and stays
    /// the tie that it was. Gives whether it is.
    fn tie(
        &self,
        work: &mut Work,
        key: &FollowerKey,
        customer_id: CustomerId,
        (method, proof): (IdentityMethod, InquiryId),
    ) -> bool {
        let Some(record) = work.followers.get_mut(key) else { return false };
        let Some(dialogue) = &record.dialogue else { return false };
        let before = record.tie.take();
        let renewed = before.as_ref().filter(|before| before.tie.customer_id == customer_id);
        let (id, renews) = renewed.map_or((TieId::derive(dialogue.id), false), |tie| (tie.tie.id, true));
        if let Some(other) = before.filter(|_| !renews) {
            record.former_customer = Some(other.tie.customer_id);
        }
        work.tied.insert((key.account.clone(), customer_id.clone()), key.clone());
        let shown = TextDigest::of(&self.account.texts.identity);
        work.consents.push((key.clone(), self.consent(record, dialogue.id, ConsentKind::Tied, shown)));
        let lifetime = SignedDuration::from_hours(24 * i64::from(self.account.tie_days));
        record.tie = Some(TieRecord {
            tie: Tie {
                id,
                customer_id,
                suspended: false,
                expire_time: self.now.checked_add(lifetime).unwrap_or(Timestamp::MAX),
                holder: self.account.silence.proved(proof.made(self.now)),
            },
            method,
            tie_time: self.now,
        });
        renews
    }

    /// A new proof of identity that did not show the customer of a live tie stands against it.
    fn doubt(&self, work: &mut Work, key: &FollowerKey) {
        let tie = work.followers.get_mut(key).and_then(|record| record.tie.as_mut());
        if let Some(tie) = tie {
            let (doubt, id) = (Doubt::NotConfirmed, tie.tie.id);
            tie.tie.holder = tie.tie.holder.doubted(doubt, self.now);
            self.audit(work, key, "tie suspended", format!("{id} {}", doubt.as_str()));
        }
    }

    /// Tells a follower's dialogue that something happened, and does what the table says. `None`: it had no effect. The inner
    /// effect is left to the caller when it needs what only the caller has: the identity, the customer.
    pub fn tell(&self, work: &mut Work, key: &FollowerKey, event: &Event) -> Option<Option<Effect>> {
        let record = work.followers.get_mut(key)?;
        let next = transition(record.dialogue.as_ref()?, event, &self.account.rules, self.now)?;
        let delivery = next.says.map(|message| NewDelivery {
            key: key.clone(),
            message_id: MessageId::of_dialogue(
                next.dialogue.id,
                u32::from(next.dialogue.messages.saturating_sub(1)),
                self.now,
            ),
            carrier: record.carrier.clone(),
            purpose: Purpose::from(message),
            dialogue: (next.dialogue.id, next.dialogue.step),
            due_time: next.say_time,
            expire_time: next.say_time.checked_add(REQUEST_LIFETIME).unwrap_or(Timestamp::MAX),
        });
        if next.says == Some(RequestMessage::Question) {
            record.shown = Some(TextDigest::of(&self.account.texts.asked()));
        }
        if *event == Event::Chose(Choice::Confirm) {
            let shown = record.shown.unwrap_or_else(|| TextDigest::of(&self.account.texts.asked()));
            let consent = self.consent(record, next.dialogue.id, ConsentKind::Wants, shown);
            work.audits.push(self.line(key, "consented", format!("{} to text {shown}", consent.dialogue)));
            work.consents.push((key.clone(), consent));
        }
        // What was attested is for the match alone (I9).
        if next.dialogue.state != State::Matching {
            record.inquiry = None;
        }
        record.dialogue = Some(next.dialogue);
        work.deliveries.extend(delivery);
        let ended = review::end(record, event, self.now);
        match next.effect {
            Some(Effect::BeginAnew) => self.begin_anew(key, record),
            Some(Effect::Untie | Effect::Erase) => {
                if let Some(ended) = record.tie.take() {
                    record.former_customer = Some(ended.tie.customer_id);
                    self.audit(work, key, "untied", ended.tie.id.to_string());
                }
            }
            Some(Effect::Inquire | Effect::Tie) | None => {}
        }
        if let Some(ended) = ended {
            self.audit(work, key, "review ended", ended);
        }
        if next.effect == Some(Effect::Erase) {
            let (cause, due) = if *event == Event::Due {
                (Cause::Unfollowed, self.now)
            } else {
                (Cause::Person, self.now.checked_add(TOLD_WITHIN).unwrap_or(Timestamp::MAX))
            };
            work.withdrawn.push(key.clone());
            work.erasures.push((self.erasure(key, cause), due));
            self.audit(work, key, "erasure_asked", cause.as_str().to_owned());
        }
        Some(next.effect)
    }

    fn consent(
        &self,
        record: &FollowerRecord,
        dialogue: DialogueId,
        kind: ConsentKind,
        text: TextDigest,
    ) -> Consent {
        Consent { dialogue, kind, text, carrier: record.carrier.clone(), give_time: self.now }
    }

    fn stranger(&self, number: PhoneNumber, carrier: &CarrierId) -> FollowerRecord {
        FollowerRecord {
            phone_number: number,
            carrier: carrier.clone(),
            following: false,
            follow_time: self.now,
            suspended: false,
            subscriptions: Vec::new(),
            dialogue: None,
            matched: Matched::default(),
            shown: None,
            tie: None,
            former_customer: None,
            inquiry: None,
            review: None,
        }
    }

    fn begin_anew(&self, key: &FollowerKey, record: &mut FollowerRecord) {
        let turn = record.dialogue.as_ref().map_or(0, |dialogue| dialogue.turn + 1);
        let id = DialogueId::derive(key.follower, turn);
        record.dialogue = Some(Dialogue::begin(id, turn, &self.account.rules, self.now));
        record.matched = Matched::default();
        record.shown = None;
    }

    /// Nobody can say who has the number any more, but who has it: a new proof is asked for as soon as quiet hours allow.
    fn ask_for_a_new_proof(&self, work: &mut Work, key: &FollowerKey) {
        let dialogue = work.followers.get_mut(key).and_then(|record| record.dialogue.as_mut());
        if let Some(dialogue) = dialogue.filter(|dialogue| dialogue.state == State::Confirmed) {
            dialogue.due_time = Some(self.account.rules.quiet_hours.next_allowed(self.now));
        }
    }

    /// All that was known of who had the number ends, and whoever has it now is asked afresh.
    fn begin_afresh(&self, work: &mut Work, key: &FollowerKey) {
        self.end(work, key);
        if let Some(record) = work.followers.get_mut(key) {
            self.begin_anew(key, record);
        }
    }

    fn end(&self, work: &mut Work, key: &FollowerKey) {
        self.tell(work, key, &Event::Left);
        work.withdrawn.push(key.clone());
        self.audit(work, key, "left", String::new());
    }

    fn audit(&self, work: &mut Work, key: &FollowerKey, action: &'static str, detail: String) {
        work.audits.push(self.line(key, action, detail));
    }

    fn line(&self, key: &FollowerKey, action: &'static str, detail: String) -> Audit {
        Audit { company: Some(self.company.id.clone()), key: Some(key.clone()), action, detail }
    }
}

/// What is reported is of before an erasure.
struct Outdated;

/// What a carrier's list says that wasn't known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum News {
    /// Nothing, or something older than what is known.
    None,
    /// The same as before, but from later: in between it must have been otherwise, unseen.
    Again,
    /// Something else than before.
    Changed,
}

fn subscribe(record: &mut FollowerRecord, carrier: &CarrierId, following: bool, at: Timestamp) -> News {
    let news = Subscription { carrier: carrier.clone(), following, change_time: at };
    let Some(known) = record.subscriptions.iter_mut().find(|subscription| subscription.carrier == *carrier)
    else {
        record.subscriptions.push(news);
        return News::Changed;
    };
    let unfollow_wins = at == known.change_time && known.following && !following;
    if at < known.change_time || (at == known.change_time && !unfollow_wins) {
        return News::None;
    }
    let changed = known.following != following;
    *known = news;
    if changed { News::Changed } else { News::Again }
}
