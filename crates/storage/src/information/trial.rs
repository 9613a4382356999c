//! Trials of distributions: to a few followers who were named, before everybody.
//!
//! A trial is stored as a distribution of its own, with deliveries from its first moment and nobody left to walk; claims, receipts and taps
//! need know nothing of it. Surprising: so it is told apart where companies look: their distributions are those that try no other.

use std::fmt;

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    ErrorKind,
    delivery::{DeliveryState, Purpose},
    eligibility::Tie,
    id::{CompanyId, DistributionId, FollowerId, OperatorName, TieId},
    phone_number::PhoneNumber,
    trial::{labelled, why_uniform},
};
use uuid::Uuid;

use super::{
    distribution::{Templates, line},
    flow::Audit,
    record::holder_of,
};
use crate::{
    StoreError,
    row::{Bytes, Columns, Id, bulk_rows},
    vault::Keys,
};

/// A trial to be made.
#[derive(Clone, Debug)]
pub struct NewTrial {
    /// Its id, should the request be new.
    pub id: DistributionId,
    /// Who asks.
    pub company: CompanyId,
    /// What is tried.
    pub of: DistributionId,
    /// Chosen by who asks; unique among what the company asks for.
    pub request_id: Uuid,
    /// SHA-256 of all that is asked: the same request gives the same trial.
    pub digest: [u8; 32],
    /// To whom, each once; who doesn't follow is counted.
    pub followers: Vec<FollowerId>,
    /// Who asks, by name.
    pub operator: OperatorName,
}

/// A trial as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Which; no distribution that a company finds by it.
    pub id: DistributionId,
    /// Who asked.
    pub operator: OperatorName,
    /// When.
    pub create_time: Timestamp,
    /// Not after.
    pub expire_time: Timestamp,
    /// How many who were named followed nobody's list.
    pub absent: u64,
    /// The others, in the order in which they were named; who was erased since is gone.
    pub recipients: Vec<Recipient>,
}

/// What became of it for one follower. The number is personal: `Debug` doesn't show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub follower: FollowerId,
    /// By which number.
    pub number: PhoneNumber,
    /// What was sent; undecided before the first attempt.
    pub purpose: Purpose,
    /// Where the delivery stands.
    pub state: DeliveryState,
    /// Why it isn't the individual message, as things stand now.
    pub why_uniform: Option<&'static str>,
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { follower, purpose, state, why_uniform, .. } = self;
        write!(f, "Recipient({follower}, {purpose:?}, {state:?}, {why_uniform:?})")
    }
}

/// Trials of distributions. Every method is one transaction and gives [`StoreError::Unavailable`] when the database doesn't work: nothing
/// was written.
#[async_trait]
pub trait TrialStore: Send + Sync {
    /// Makes a trial; the same request again gives the one that it made, as it stands. Deliveries are made for the followers among whom
    /// were named, and wait for their claims. The audit says who tried what with how many.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`; as `AlreadyExists` at `request_id` when the company used it for something else; as
    /// `FailedPrecondition` and `ResourceExhausted` by [`trial`](musubi_domain::trial); as `InvalidArgument` at `uniform.text` or
    /// `individual.text` when there is no room for the label.
    async fn try_distribution(&self, new: &NewTrial, now: Timestamp) -> Result<Trial, StoreError>;

    /// The trials of a distribution, newest first, at most `limit`.
    ///
    /// # Errors
    /// Refused as `NotFound` at `distribution_id`.
    async fn list_trials(
        &self,
        company: &CompanyId,
        of: DistributionId,
        limit: u32,
        now: Timestamp,
    ) -> Result<Vec<Trial>, StoreError>;
}

bulk_rows! {
    /// A delivery that waits, and its place among those who were named.
    TriedRow<'a> { place: i64, follower: Id, message: Id, carrier: &'a str, }

    /// The values for a customer.
    TriedValueRow<'a> { customer: &'a str, variables: Bytes, }
}

/// What a trial says.
pub(crate) fn templates_of(tried: &Templates) -> Result<Templates, StoreError> {
    let uniform = labelled(&tried.uniform).map_err(|error| error.at("uniform.text"))?;
    let individual = tried.individual.as_ref().map(labelled).transpose();
    Ok(Templates { uniform, individual: individual.map_err(|error| error.at("individual.text"))? })
}

/// The values of the followers' own customers, sealed for the trial: nobody else's go with it. Columns: customer, values.
pub(crate) fn values_of<'r>(
    rows: impl Iterator<Item = (&'r str, &'r [u8])>,
    new: &NewTrial,
    account: &str,
    keys: &Keys,
) -> Result<Vec<TriedValueRow<'r>>, StoreError> {
    rows.map(|(customer, sealed)| {
        let values = keys.values(account, (new.of.as_bytes(), customer), sealed)?;
        let place = (new.id.as_bytes(), customer);
        Ok(TriedValueRow { customer, variables: keys.seal_values(new.company.as_str(), place, &values)? })
    })
    .collect()
}

/// The line of the audit.
pub(crate) fn tried_line(new: &NewTrial, followers: usize) -> Audit {
    let absent = new.followers.len() - followers;
    let detail = format!(
        "{} as {}, {followers} followers, {absent} who do not follow, by {}",
        new.of, new.id, new.operator
    );
    Audit { detail, ..line(&new.company, "distribution_tried", new.of) }
}

/// Reads a trial without its followers. Columns: id, who asked, create and expire time, absent.
pub(crate) fn trial_of(row: &impl Columns) -> Result<Trial, StoreError> {
    let asked_by: Vec<OperatorName> = serde_json::from_str(row.text(1)?)
        .map_err(|_| StoreError::Corrupt("names can't be read".to_owned()))?;
    let nobody = || StoreError::Corrupt("a trial that nobody asked for".to_owned());
    Ok(Trial {
        id: DistributionId::from_bytes(row.id(0)?),
        operator: asked_by.into_iter().next().ok_or_else(nobody)?,
        create_time: row.instant(2)?,
        expire_time: row.instant(3)?,
        absent: row.small(4)?,
        recipients: Vec::new(),
    })
}

/// Puts followers to their trials. Columns: trial, account, follower, number, purpose, state, the follower's suspension, tie, its customer, expire
/// time and suspension (to 10), holder (to 14), whether it has values.
pub(crate) fn put_recipients(
    trials: &mut [Trial],
    rows: &[impl Columns],
    now: Timestamp,
    keys: &Keys,
) -> Result<(), StoreError> {
    for row in rows {
        let (id, follower) = (row.id(0)?, row.id(2)?);
        let tie = match row.maybe_id(7)? {
            Some(id) => Some(Tie {
                id: TieId::from_bytes(id),
                customer_id: row.text(8)?.parse()?,
                expire_time: row.instant(9)?,
                suspended: row.flag(10)?,
                holder: holder_of(row, 11)?,
            }),
            None => None,
        };
        let purpose = row.one_of(&Purpose::ALL, 4)?;
        let why_uniform = why_uniform(tie.as_ref(), (row.flag(6)?, row.flag(15)?), now);
        let recipient = Recipient {
            follower: FollowerId::from_bytes(follower),
            number: keys.number(row.text(1)?, &follower, row.bytes(3)?)?,
            purpose,
            state: row.one_of(&DeliveryState::ALL, 5)?,
            why_uniform: why_uniform.filter(|_| purpose != Purpose::Individual),
        };
        let trial = trials.iter_mut().find(|trial| *trial.id.as_bytes() == id);
        trial.into_iter().for_each(|trial| trial.recipients.push(recipient.clone()));
    }
    Ok(())
}

/// The same request, and whether it asked for this.
pub(crate) fn is_same(row: &impl Columns, new: &NewTrial) -> Result<DistributionId, StoreError> {
    if row.bytes(1)? != &new.digest[..] {
        let remedy = "choose a new request_id, or send the same request again";
        let error =
            musubi_domain::Error::new(ErrorKind::AlreadyExists, "was used for something else", remedy);
        return Err(error.at("request_id").into());
    }
    Ok(DistributionId::from_bytes(row.id(0)?))
}
