//! Followers, their dialogues and ties, changed in units of work.
//!
//! A unit of work loads what a batch concerns, has a pure function edit it, and stores what that changed, all in one
//! transaction. So every rule stands outside the store, and every effect of an event is in the transaction that takes it (I4,
//! I5). Surprising: the function may run more than once, when the database asks for the transaction to be repeated.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    consent::{Consent, TextDigest},
    customer::GivenAccount,
    delivery::Purpose,
    dialogue::Dialogue,
    eligibility::Tie,
    erasure::Erasure,
    guess::{Axis, Count},
    id::{CarrierId, CompanyId, CustomerId, DialogueId, InquiryId, MessageId, OfficialAccountId},
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
    postback::Button,
};

use super::{FollowerKey, review::Review};
use crate::StoreError;

/// A follower with all that belongs to it. Subscriptions come in order of carrier; they and the dialogue change, and are never
/// removed. Instants are kept to the microsecond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FollowerRecord {
    /// E.164.
    pub phone_number: PhoneNumber,
    /// The carrier that messages go over.
    pub carrier: CarrierId,
    /// On at least one list.
    pub following: bool,
    /// When the follower came, or came back.
    pub follow_time: Timestamp,
    /// The company's people hold back what is individual, whatever becomes of the tie, until they release it.
    pub suspended: bool,
    /// What each carrier's list says, at most a handful.
    pub subscriptions: Vec<Subscription>,
    /// The present dialogue.
    pub dialogue: Option<Dialogue>,
    /// What the last match decided, besides the tie; kept with the dialogue.
    pub matched: Matched,
    /// The text of the question that the dialogue asked last; kept with it.
    pub shown: Option<TextDigest>,
    /// The live tie.
    pub tie: Option<TieRecord>,
    /// The customer of the tie before, once it has ended.
    pub former_customer: Option<CustomerId>,
    /// The match to be decided. Few followers have one, and boxes keep the others small, of whom there are thousands in a unit.
    pub inquiry: Option<Box<Inquiry>>,
    /// The review that waits; one that was closed is stored, and loaded no more.
    pub review: Option<Box<Review>>,
}

/// What one carrier's list says of a follower.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Whose list.
    pub carrier: CarrierId,
    /// On it or not.
    pub following: bool,
    /// Since when, by the carrier's clock.
    pub change_time: Timestamp,
}

/// What the last match decided, besides the tie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The customer proposed, in review.
    pub proposed_customer: Option<CustomerId>,
    /// Why, as codes.
    pub reasons: Vec<String>,
}

/// A live tie, and how it came about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TieRecord {
    /// What the gate looks at.
    pub tie: Tie,
    /// How the identity was verified.
    pub method: IdentityMethod,
    /// When it was made.
    pub tie_time: Timestamp,
}

/// A match to be decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Derived from the dialogue and the try.
    pub id: InquiryId,
    /// Whose customer master.
    pub company: CompanyId,
    /// What was typed.
    pub account: GivenAccount,
    /// What was attested.
    pub identity: AttestedIdentity,
    /// When to try to have it decided.
    pub due_time: Timestamp,
}

/// An inquiry that was claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueInquiry {
    /// About whom.
    pub key: FollowerKey,
    /// The follower's number.
    pub phone_number: PhoneNumber,
    /// What is to be decided.
    pub inquiry: Inquiry,
}

/// Since when what is due the longest is due; none: nothing is, or it comes later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OldestDue {
    /// A dialogue that is to be moved.
    pub dialogue: Option<Timestamp>,
    /// An inquiry of one of the companies.
    pub inquiry: Option<Timestamp>,
    /// A message of a dialogue over one of the carriers.
    pub message: Option<Timestamp>,
}

/// What tries at account numbers are counted by. The subject is a keyed hash or an id, never a number in the clear.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GuessKey {
    /// In which company.
    pub company: CompanyId,
    /// By what.
    pub axis: Axis,
    /// Which follower, which account number; empty for the company.
    pub subject: Vec<u8>,
}

/// What a unit of work concerns, at most some thousands of each.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Followers to load, known or not.
    pub followers: Vec<FollowerKey>,
    /// Whether none of them is believed to be known: a store may spare itself the look, and looks when one turns out to be there after all.
    pub are_new: bool,
    /// Followers whose last erasure to know, whether they are there or not.
    pub erased: Vec<FollowerKey>,
    /// Customers whose ties to know: the followers who have them are loaded too.
    pub customers: Vec<(OfficialAccountId, CustomerId)>,
    /// Events of one carrier that may have been taken before.
    pub events: Option<(CarrierId, Vec<String>)>,
    /// Counts to load.
    pub guesses: Vec<GuessKey>,
}

/// So many make it worth a question whether there are any.
const MANY: usize = 100;

/// The accounts of many followers; of some it isn't worth a question.
pub(crate) fn accounts_of_many(followers: &[FollowerKey]) -> Vec<&str> {
    if followers.len() < MANY { Vec::new() } else { accounts_of(followers) }
}

/// The accounts of followers, each once.
pub(crate) fn accounts_of(followers: &[FollowerKey]) -> Vec<&str> {
    let accounts: BTreeSet<&str> = followers.iter().map(|key| key.account.as_str()).collect();
    accounts.into_iter().collect()
}

/// What was loaded, to be edited; what was edited is stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Work {
    /// The followers that exist. Add those that come, edit those that change; none is ever removed here.
    pub followers: HashMap<FollowerKey, FollowerRecord>,
    /// The last erasures that were asked for of the scope's.
    pub erased: HashMap<FollowerKey, Erasure>,
    /// Who had the ties of the scope's customers when the unit began. Enter those who are tied; whether they still are, their
    /// record tells.
    pub tied: HashMap<(OfficialAccountId, CustomerId), FollowerKey>,
    /// Events of the scope that were taken before.
    pub seen: HashSet<String>,
    /// Counts of the scope that exist. Edit or add.
    pub guesses: HashMap<GuessKey, Count>,
    /// Counts that were loaded, whether they exist or not.
    pub counted: HashSet<GuessKey>,
    /// Counts that the edit lacks, because what was loaded says which they are: they are loaded, and the edit runs again.
    pub uncounted: Vec<GuessKey>,
    /// Events taken now.
    pub taken: Vec<String>,
    /// Deliveries made now.
    pub deliveries: Vec<NewDelivery>,
    /// Followers whose deliveries that no carrier has yet are revoked; those made now stay.
    pub withdrawn: Vec<FollowerKey>,
    /// Followers that an event brought, and that a list brought, for the record of acquisition.
    pub added: Vec<(FollowerKey, CarrierId, Origin)>,
    /// Followers to be erased, each not before that time. Who waits for that already is left alone.
    pub erasures: Vec<(Erasure, Timestamp)>,
    /// What followers agreed to.
    pub consents: Vec<(FollowerKey, Consent)>,
    /// Buttons of distributions that were tapped.
    pub taps: Vec<Button>,
    /// What happened, for the audit.
    pub audits: Vec<Audit>,
}

/// What brought a follower.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// An event.
    Event,
    /// A subscriber list.
    List,
}

/// A message of a dialogue, to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewDelivery {
    /// To whom.
    pub key: FollowerKey,
    /// Derived from the dialogue.
    pub message_id: MessageId,
    /// Over which carrier.
    pub carrier: CarrierId,
    /// What it says.
    pub purpose: Purpose,
    /// The dialogue and the step whose buttons it bears.
    pub dialogue: (DialogueId, u16),
    /// Not before.
    pub due_time: Timestamp,
    /// Not after.
    pub expire_time: Timestamp,
}

/// One line of the audit. No personal value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// Whose, if anybody's: who is refused at the door may be nobody.
    pub company: Option<CompanyId>,
    /// About whom, if about one.
    pub key: Option<FollowerKey>,
    /// What was done: a word like `tied`.
    pub action: &'static str,
    /// Ids and codes.
    pub detail: String,
}

/// Edits loaded work. Runs inside the transaction, perhaps more than once: it must begin afresh each time.
pub type Edit<'a> = &'a mut (dyn FnMut(&mut Work) + Send);

/// Followers, their dialogues and ties.
#[async_trait]
pub trait FlowStore: Send + Sync {
    /// How many units of work that take the same kind of calls are worth being carried out beside one another.
    fn units_at_once(&self) -> usize;

    /// One unit of work, one transaction.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored.
    async fn work(
        &self,
        transaction: &'static str,
        scope: &Scope,
        now: Timestamp,
        edit: Edit<'_>,
    ) -> Result<(), StoreError>;

    /// A unit of work over the followers whose dialogue is due, at most `limit`. Gives how many there were.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`]: nothing was stored.
    async fn work_due(&self, now: Timestamp, limit: u32, edit: Edit<'_>) -> Result<u32, StoreError>;

    /// Inquiries of a company that are due, at most `limit`, in no order; they are due again at `lease_end`, as each says.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn claim_inquiries(
        &self,
        company: &CompanyId,
        now: Timestamp,
        lease_end: Timestamp,
        limit: u32,
    ) -> Result<Vec<DueInquiry>, StoreError>;

    /// Since when what is due the longest waits. Some look-ups by keys, however much waits.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn oldest_due(
        &self,
        companies: &[CompanyId],
        carriers: &[CarrierId],
        now: Timestamp,
    ) -> Result<OldestDue, StoreError>;

    /// Forgets events taken before that time; gives how many.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`].
    async fn forget_events(&self, before: Timestamp) -> Result<u64, StoreError>;
}
