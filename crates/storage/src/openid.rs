//! People of a company server who sign in at its provider of OpenID Connect: whom was invited so, and the sessions that begin so.
//!
//! What the provider calls somebody is kept as a keyed hash. Nothing is verified here; who comes was proved by the provider's word. Surprising: an
//! address may be given to somebody else one day, so the first sign-in ties the name to the provider's own name for the account, and
//! who comes by the same address under another is refused until an administrator invites them.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    caller::Role,
    id::OperatorName,
    sign_in::TokenDigest,
    vault::{CompanyKeys, LookUp, Place},
};

use crate::{StoreError, people::Known, row::Columns};

/// A person who comes, or comes anew, and will sign in at the provider.
#[derive(Clone, Copy)]
pub struct NewByOpenId<'a> {
    /// The name that records show.
    pub name: &'a OperatorName,
    /// What they may do.
    pub roles: &'a [Role],
    /// What the provider calls them, by the claim that the configuration names. Personal: has no `Debug`.
    pub openid: &'a str,
    /// When they have to have signed in first.
    pub end_time: Timestamp,
    /// When it is.
    pub now: Timestamp,
}

/// Somebody whom the provider has sent back. Personal: has no `Debug`.
#[derive(Clone, Copy)]
pub struct Arrival<'a> {
    /// What the provider calls them, by the claim that the configuration names.
    pub openid: &'a str,
    /// The provider's own name for the account.
    pub subject: &'a str,
    /// Of the ticket that they left with: it is good once.
    pub ticket: &'a TokenDigest,
    /// Until when it is good.
    pub ticket_end_time: Timestamp,
    /// Of the session that begins.
    pub session: &'a TokenDigest,
    /// When it is.
    pub now: Timestamp,
}

/// What became of an arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// A session has begun.
    Begun(Known),
    /// Nobody was invited by what the provider calls them.
    Unknown,
    /// Somebody was, and that invitation has ended, or was another account's.
    Refused(OperatorName),
    /// The ticket was used before.
    Used,
}

/// Sign-ins by OpenID Connect. Every method that waits is one transaction.
#[async_trait]
pub trait OpenIdStore: Send + Sync {
    /// Invites a person, or the same person anew: whatever they proved themselves with before and sessions of before are gone.
    ///
    /// # Errors
    /// `AlreadyExists`: `name` when a machine has it, `openid` when it is another person's.
    async fn invite_by_openid(&self, person: &NewByOpenId<'_>) -> Result<(), StoreError>;

    /// Begins the session of whoever was invited. The ticket is used, whatever becomes of it.
    async fn arrive(&self, arrival: &Arrival<'_>) -> Result<Arrived, StoreError>;

    /// Seals what a sign-in needs at its end, for whoever carries it there; any replica opens it.
    ///
    /// # Errors
    /// When the vault has no key.
    fn seal_ticket(&self, ticket: &[u8]) -> Result<Vec<u8>, StoreError>;

    /// What was sealed; none when it was changed, or never sealed.
    fn open_ticket(&self, sealed: &[u8]) -> Option<Vec<u8>>;
}

/// What binds a sealed ticket; it has no row.
const TICKET: Place<'_> = Place { table: "openid_ticket", row: &[] };

pub(crate) fn seal_ticket(keys: &CompanyKeys, ticket: &[u8]) -> Result<Vec<u8>, StoreError> {
    Ok(keys.seal(TICKET, ticket)?)
}

pub(crate) fn open_ticket(keys: &CompanyKeys, sealed: &[u8]) -> Option<Vec<u8>> {
    keys.open(TICKET, sealed).ok()
}

/// The hash by which somebody is found.
pub(crate) fn openid_hash(keys: &CompanyKeys, openid: &str) -> Vec<u8> {
    keys.look_up(LookUp::Operator, &[b"openid", openid.as_bytes()]).to_vec()
}

/// The hash of the provider's own name for an account.
pub(crate) fn subject_hash(keys: &CompanyKeys, subject: &str) -> Vec<u8> {
    keys.look_up(LookUp::Operator, &[b"subject", subject.as_bytes()]).to_vec()
}

/// Whom the hash was invited as. Column: name.
pub(crate) fn refused_of(row: Option<&impl Columns>) -> Result<Arrived, StoreError> {
    row.map_or(Ok(Arrived::Unknown), |row| Ok(Arrived::Refused(row.text(0)?.parse()?)))
}

/// The provider's name is another person's.
pub(crate) fn openid_taken() -> StoreError {
    let problem = "another person signs in by this";
    Error::new(ErrorKind::AlreadyExists, problem, "remove that person first, or write another")
        .at("openid")
        .into()
}

/// The statements, which are the same in both databases.
pub(crate) mod sql {
    pub(crate) const INVITE: &str = "
        INSERT INTO operator (name, is_machine, roles, openid, token_end_time, create_time) VALUES ($1, false, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, token = NULL, create_time = excluded.create_time,
            token_end_time = excluded.token_end_time, credential = NULL, last_step = 0, failures = 0, failure_time = NULL,
            openid = excluded.openid, openid_subject = NULL
        WHERE NOT operator.is_machine";

    pub(crate) const ANOTHERS: &str = "SELECT name FROM operator WHERE openid = $1 AND name <> $2";

    pub(crate) const FORGET_TICKETS: &str = "DELETE FROM openid_ticket WHERE end_time <= $1";

    pub(crate) const USE_TICKET: &str =
        "INSERT INTO openid_ticket (ticket, end_time) VALUES ($1, $2) ON CONFLICT DO NOTHING";

    pub(crate) const ARRIVE: &str = "
        UPDATE operator SET openid_subject = $2, sign_in_time = $3, token_end_time = NULL
        WHERE openid = $1 AND (openid_subject = $2 OR (openid_subject IS NULL AND token_end_time > $3)) RETURNING name, roles";

    pub(crate) const INVITED: &str = "SELECT name FROM operator WHERE openid = $1";
}
