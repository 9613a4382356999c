//! Custody: copies of customer masters that companies entrusted for a time.
//!
//! A copy arrives in chunks, takes effect whole, and ends when its lease does, when another replaces it, or when the company
//! asks. An ended copy answers no match from that moment; its rows are then destroyed in batches. Surprising: the purge time is
//! written when the last row is gone, not when the copy ended, so the record never says that something is gone which isn't. The key of
//! a blind copy's digests goes at once, and without it they say nothing.

use std::collections::BTreeMap;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use musubi_domain::{
    Error, ErrorKind,
    blind::{BlindCustomer, Blinding, DigestKey},
    customer::KeyedCustomer,
    id::CompanyId,
    vault::{CompanyKeys, Place},
};

use crate::{
    MakeKeys, StoreError,
    row::{Bytes, Columns, bulk_rows},
    vault::Relation,
};

/// A copy that got no chunk for so long, and didn't take effect, is given up.
pub const ABANDONED_AFTER: SignedDuration = SignedDuration::from_mins(10);

/// Which copy of a company's, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CopyNumber(pub u32);

/// Why a copy ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PurgeReason {
    /// The lease was over.
    LeaseEnded,
    /// Another copy took its place.
    Replaced,
    /// The company asked.
    Asked,
}

impl PurgeReason {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::LeaseEnded, Self::Replaced, Self::Asked];

    /// The word for it on the wire and in tables.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LeaseEnded => "lease_ended",
            Self::Replaced => "replaced",
            Self::Asked => "asked",
        }
    }
}

/// The record of a copy that took effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Custody {
    /// How many customers.
    pub customers: u64,
    /// When it took effect.
    pub entrust_time: Timestamp,
    /// When the lease ends.
    pub lease_end_time: Timestamp,
    /// Why it ended; none while it is in effect.
    pub purge_reason: Option<PurgeReason>,
    /// When its last row was destroyed.
    pub purge_time: Option<Timestamp>,
    /// Which version of the rules of matching made the digests, if it is blind; none: it is plain.
    pub digest_rules: Option<u32>,
}

/// Customers of the copy in effect that have given account numbers, in no order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entrusted {
    /// As they are, with keys of whatever rules made them last.
    Plain(Vec<KeyedCustomer>),
    /// As digests, and how those were made.
    Blind(Blinding, Vec<BlindCustomer>),
}

/// Copies of customer masters. Gives [`StoreError::Unavailable`] when the database doesn't work: nothing was written, except
/// where more than one transaction is said.
#[async_trait]
pub trait CustodyStore: Send + Sync {
    /// Begins a copy, empty and not in effect: a blind one, if it is said how its digests are made.
    async fn begin_copy(
        &self,
        company: &CompanyId,
        blinding: Option<&Blinding>,
        now: Timestamp,
    ) -> Result<CopyNumber, StoreError>;

    /// Adds digests of at most 10,000 customers to a blind copy, by account and customer id; the last of one stands.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when the copy doesn't arrive any more.
    async fn add_digests(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[BlindCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// Adds at most 10,000 customers, by account key and customer id; the last of one stands.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when the copy doesn't arrive any more.
    async fn add_customers(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        customers: &[KeyedCustomer],
        now: Timestamp,
    ) -> Result<(), StoreError>;

    /// The copy takes effect, and the one before ends: replaced.
    ///
    /// # Errors
    /// Refused as `FailedPrecondition` when the copy doesn't arrive any more.
    async fn take_effect(
        &self,
        company: &CompanyId,
        copy: CopyNumber,
        lease_end: Timestamp,
        now: Timestamp,
    ) -> Result<Custody, StoreError>;

    /// Ends the copy in effect, as asked, and destroys every ended copy of the company. Gives how many customers were
    /// destroyed. Several transactions; the first ends the copy.
    async fn purge(&self, company: &CompanyId, now: Timestamp) -> Result<u64, StoreError>;

    /// Ends copies whose lease is over, gives up abandoned ones, and destroys at most `limit` rows of ended copies, of any
    /// company. Gives how many; fewer than the limit means that none is left.
    async fn purge_ended(&self, limit: u32, now: Timestamp) -> Result<u32, StoreError>;

    /// The copies that took effect, newest first, at most 100.
    async fn list_custodies(&self, company: &CompanyId) -> Result<Vec<Custody>, StoreError>;

    /// Every entrusted customer with one of these account keys, at most 1,000 keys. None when no copy is in effect whose lease
    /// still runs: then nothing can be decided.
    async fn candidates(
        &self,
        company: &CompanyId,
        account_keys: &[&str],
        now: Timestamp,
    ) -> Result<Option<Entrusted>, StoreError>;

    /// Makes keys by rules of this version for at most `limit` entrusted customers, of any company, whose keys other rules made. Of blind
    /// copies nobody but their company can.
    /// Gives how many; 0 when none is left. No chunk comes between reading a row and writing its keys.
    async fn rekey(&self, rules_version: u32, limit: u32, make: &MakeKeys<'_>) -> Result<u32, StoreError>;
}

/// The copy does not arrive any more.
pub(crate) fn given_up() -> Error {
    let problem = "the copy was given up, because no chunk of it came for too long";
    Error::new(ErrorKind::FailedPrecondition, problem, "entrust the customers again")
}

bulk_rows! {
    /// A customer of a blind copy.
    BlindRow<'a> { account: Bytes, customer_id: &'a str, digests: Bytes, }
}

/// Customers as rows, the last of each, in the order of the table.
pub(crate) fn blind_rows(customers: &[BlindCustomer]) -> Vec<BlindRow<'_>> {
    let last: BTreeMap<_, _> =
        customers.iter().map(|it| ((it.account, it.customer_id.as_str()), &it.digests)).collect();
    let rows = last.into_iter().map(|((account, customer_id), digests)| BlindRow {
        account: Bytes(account.to_vec()),
        customer_id,
        digests: Bytes(digests.clone()),
    });
    rows.collect()
}

/// Seals what the digests of a copy were made with.
pub(crate) fn seal_key(keys: &CompanyKeys, copy: i64, key: &DigestKey) -> Result<Vec<u8>, StoreError> {
    let row = key_row(keys.company(), copy);
    Ok(keys.seal(key_place(&[row.0.as_bytes(), row.1.as_bytes()]), key.as_bytes())?)
}

/// Reads how the digests of a copy were made, if it is blind. Columns: copy, rules, key.
pub(crate) fn blinding_of(keys: &CompanyKeys, row: &impl Columns) -> Result<Option<Blinding>, StoreError> {
    let Some(rules_version) = row.maybe_small(1)? else { return Ok(None) };
    let parts = key_row(keys.company(), row.int(0)?);
    let key = keys.open(key_place(&[parts.0.as_bytes(), parts.1.as_bytes()]), row.bytes(2)?)?;
    Ok(Some(Blinding { key: DigestKey::parse(&key)?, rules_version }))
}

/// Reads a customer of a blind copy. Columns: account, customer, digests.
pub(crate) fn blind_of(row: &impl Columns) -> Result<BlindCustomer, StoreError> {
    Ok(BlindCustomer {
        account: row.id(0)?,
        customer_id: row.text(1)?.parse()?,
        digests: row.bytes(2)?.to_vec(),
    })
}

/// What rows are found by of these account numbers.
pub(crate) fn hashes(accounts: &[&str], hash: impl Fn(&str) -> [u8; 16]) -> Vec<Bytes> {
    accounts.iter().map(|account| Bytes(hash(account).to_vec())).collect()
}

/// What the audit says of a copy that took effect.
pub(crate) fn entrusted_detail(copy: CopyNumber, custody: &Custody) -> String {
    let kind = if custody.digest_rules.is_some() { " as digests" } else { "" };
    format!("copy {}, {} customers{kind}, until {}", copy.0, custody.customers, custody.lease_end_time)
}

fn key_row(company: &CompanyId, copy: i64) -> (String, String) {
    (company.to_string(), copy.to_string())
}

fn key_place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: Relation::DigestKeys.table(), row }
}
