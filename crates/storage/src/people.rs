//! Who may sign in at a company server: people with a password and one-time codes, machines with a key, and who is signed in.
//!
//! A password's hash and the secret of one-time codes are sealed; tokens are kept as digests. Nothing is verified here: the store
//! charges a try before it is made, and takes a code once. Surprising: a name that is invited anew loses its password and its
//! sessions at once, and not when the invitation is taken.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    Error, ErrorKind,
    caller::Role,
    id::OperatorName,
    sign_in::{Guard, TokenDigest},
    vault::{CompanyKeys, Place},
};

use crate::{StoreError, openid::OpenIdStore, row::Columns, sessions::SessionStore, vault::Relation};

/// A name that may sign in, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The name that records show.
    pub name: OperatorName,
    /// A machine, which calls by a key; else a person.
    pub is_machine: bool,
    /// A person who signs in at a provider of OpenID Connect ([`crate::openid`]).
    pub is_by_openid: bool,
    /// What it may do.
    pub roles: Vec<Role>,
    /// When it came, or was invited anew.
    pub create_time: Timestamp,
    /// When the machine's key or the invitation ends; none: there is no invitation, it was taken and used.
    pub token_end_time: Option<Timestamp>,
    /// When a person signed in last, or a machine called.
    pub sign_in_time: Option<Timestamp>,
    /// Wrong tries in a row.
    pub failures: u32,
    /// The last of them.
    pub failure_time: Option<Timestamp>,
}

/// A name that comes, or comes anew.
#[derive(Clone, Copy, Debug)]
pub struct NewOperator<'a> {
    /// The name.
    pub name: &'a OperatorName,
    /// What it may do.
    pub roles: &'a [Role],
    /// The invitation's, or the key's.
    pub token: &'a TokenDigest,
    /// When that ends.
    pub token_end_time: Timestamp,
    /// When it comes.
    pub now: Timestamp,
}

/// What a person proves themselves with.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The password's hash, as a PHC string.
    pub password_hash: String,
    /// The secret of one-time codes.
    pub secret: [u8; SECRET_BYTES],
}

/// How long the secret of one-time codes is (RFC 4226).
pub const SECRET_BYTES: usize = 20;

/// A try to sign in.
#[derive(Clone, PartialEq, Eq)]
pub enum Try {
    /// Nobody signs in by this name, or the next try has to wait. Nothing was charged.
    Refused(Guard),
    /// It is charged as a wrong one until it is a right one.
    Charged(Credential),
}

/// Who signed in, and what they may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Who.
    pub name: OperatorName,
    /// What they may do.
    pub roles: Vec<Role>,
}

/// The people and machines of a company server. Every method is one transaction.
#[async_trait]
pub trait PeopleStore: SessionStore + OpenIdStore {
    /// Invites a person, or the same person anew: password, one-time codes, the provider's name for them and sessions of before are gone.
    ///
    /// # Errors
    /// `AlreadyExists` when a machine has the name.
    async fn invite(&self, person: &NewOperator<'_>) -> Result<(), StoreError>;

    /// Whose invitation this is, unless it has ended or the person has signed in since.
    async fn find_invited(
        &self,
        invitation: &TokenDigest,
        now: Timestamp,
    ) -> Result<Option<OperatorName>, StoreError>;

    /// Gives the invited what they prove themselves with; what they had until now is gone. Gives whether the invitation stood.
    async fn accept(
        &self,
        name: &OperatorName,
        invitation: &TokenDigest,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<bool, StoreError>;

    /// Charges a try, unless the next one has to wait.
    async fn begin_try(&self, name: &OperatorName, now: Timestamp) -> Result<Try, StoreError>;

    /// The try was right: all tries are forgotten, the invitation ends, a session begins, and what the person may do is given. None of
    /// it when a code of this step or a later one was taken before.
    async fn sign_in(
        &self,
        name: &OperatorName,
        step: u64,
        session: &TokenDigest,
        now: Timestamp,
    ) -> Result<Option<Vec<Role>>, StoreError>;

    /// Whose session this is, if it began after the one time and was used after the other; it is used now.
    async fn find_session(
        &self,
        session: &TokenDigest,
        begun_after: Timestamp,
        used_after: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Known>, StoreError>;

    /// Ends a session.
    async fn sign_out(&self, session: &TokenDigest) -> Result<(), StoreError>;

    /// Forgets sessions that began before the one time or were not used since the other.
    async fn forget_sessions(
        &self,
        begun_before: Timestamp,
        used_before: Timestamp,
    ) -> Result<(), StoreError>;

    /// Adds a machine.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is there.
    async fn add_machine(&self, machine: &NewOperator<'_>) -> Result<(), StoreError>;

    /// Which machine has this key, unless it has ended; it calls now.
    async fn find_machine(&self, key: &TokenDigest, now: Timestamp) -> Result<Option<Known>, StoreError>;

    /// All of them, by name; of more than 10,000 the first.
    async fn list_operators(&self) -> Result<Vec<Operator>, StoreError>;

    /// Forgets the wrong tries of a person; gives whether there is one by that name.
    async fn unlock(&self, name: &OperatorName) -> Result<bool, StoreError>;

    /// Removes a person or a machine, with all sessions; gives whether there was one.
    async fn remove(&self, name: &OperatorName) -> Result<bool, StoreError>;
}

/// The uses that are written down: at most one a minute for each token, because each is a write.
pub(crate) const USE_EVERY: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);

/// The table's name binds what is sealed.
const TABLE: &str = Relation::Operators.table();

/// Seals what a person proves themselves with.
pub(crate) fn seal_credential(
    keys: &CompanyKeys,
    name: &OperatorName,
    credential: &Credential,
) -> Result<Vec<u8>, StoreError> {
    let text = [&credential.secret[..], credential.password_hash.as_bytes()].concat();
    Ok(keys.seal(Place { table: TABLE, row: &[name.as_str().as_bytes()] }, &text)?)
}

/// What a person proves themselves with.
pub(crate) fn open_credential(
    keys: &CompanyKeys,
    name: &OperatorName,
    sealed: &[u8],
) -> Result<Credential, StoreError> {
    let text = keys.open(Place { table: TABLE, row: &[name.as_str().as_bytes()] }, sealed)?;
    let broken =
        || StoreError::Corrupt("what an operator proves themselves with has another shape".to_owned());
    let (secret, hash) = text.split_first_chunk().ok_or_else(broken)?;
    let password_hash = std::str::from_utf8(hash).map_err(|_| broken())?.to_owned();
    Ok(Credential { password_hash, secret: *secret })
}

/// Roles as they are kept: words with spaces between.
pub(crate) fn role_words(roles: &[Role]) -> String {
    roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(" ")
}

fn parse_roles(words: &str) -> Result<Vec<Role>, StoreError> {
    words.split_whitespace().map(|word| Ok(word.parse()?)).collect()
}

/// Reads who it is. Columns: name, roles.
pub(crate) fn known_of(row: &impl Columns) -> Result<Known, StoreError> {
    Ok(Known { name: row.text(0)?.parse()?, roles: parse_roles(row.text(1)?)? })
}

/// Reads what guards a name. Columns: failures, the last of them.
pub(crate) fn guard_of(row: &impl Columns, first: usize, now: Timestamp) -> Result<Guard, StoreError> {
    Ok(Guard::after(row.small(first)?, row.maybe_instant(first + 1)?, now))
}

/// Reads an operator. Columns: those of [`known_of`], whether it is a machine, three times, failures, the last of them, whether
/// a provider names it.
pub(crate) fn operator_of(row: &impl Columns) -> Result<Operator, StoreError> {
    let Known { name, roles } = known_of(row)?;
    Ok(Operator {
        name,
        roles,
        is_machine: row.flag(2)?,
        create_time: row.instant(3)?,
        token_end_time: row.maybe_instant(4)?,
        sign_in_time: row.maybe_instant(5)?,
        failures: row.small(6)?,
        failure_time: row.maybe_instant(7)?,
        is_by_openid: row.flag(8)?,
    })
}

/// Somebody has the name.
pub(crate) fn taken(problem: &str) -> StoreError {
    Error::new(ErrorKind::AlreadyExists, problem, "choose another name, or remove that one first")
        .at("name")
        .into()
}

/// The statements, which are the same in both databases.
pub(crate) mod sql {
    pub(crate) const INVITE: &str = "
        INSERT INTO operator (name, is_machine, roles, token, token_end_time, create_time) VALUES ($1, false, $2, $3, $4, $5)
        ON CONFLICT (name) DO UPDATE SET roles = excluded.roles, token = excluded.token, create_time = excluded.create_time,
            token_end_time = excluded.token_end_time, credential = NULL, last_step = 0, failures = 0, failure_time = NULL,
            openid = NULL, openid_subject = NULL
        WHERE NOT operator.is_machine";

    pub(crate) const ADD_MACHINE: &str = "
        INSERT INTO operator (name, is_machine, roles, token, token_end_time, create_time) VALUES ($1, true, $2, $3, $4, $5)
        ON CONFLICT (name) DO NOTHING";

    pub(crate) const INVITED: &str =
        "SELECT name FROM operator WHERE token = $1 AND NOT is_machine AND token_end_time > $2";

    pub(crate) const ACCEPT: &str = "
        UPDATE operator SET credential = $3, last_step = 0, failures = 0, failure_time = NULL
        WHERE name = $1 AND token = $2 AND NOT is_machine AND token_end_time > $4";

    /// Read while the name is held.
    macro_rules! guard {
        () => {
            "SELECT failures, failure_time, credential FROM operator WHERE name = $1 AND credential IS NOT NULL"
        };
    }
    pub(crate) const GUARD: &str = guard!();
    pub(crate) const HOLD_GUARD: &str = concat!(guard!(), " FOR UPDATE");

    pub(crate) const CHARGE: &str =
        "UPDATE operator SET failures = failures + 1, failure_time = $2 WHERE name = $1";

    pub(crate) const TAKE_CODE: &str = "
        UPDATE operator SET last_step = $2, failures = 0, failure_time = NULL, sign_in_time = $3, token = NULL, token_end_time = NULL
        WHERE name = $1 AND credential IS NOT NULL AND last_step < $2 RETURNING name, roles";

    pub(crate) const BEGIN_SESSION: &str =
        "INSERT INTO session (token, operator, begin_time, use_time) VALUES ($1, $2, $3, $3)";

    pub(crate) const SESSION: &str = "
        SELECT o.name, o.roles, s.use_time FROM session AS s JOIN operator AS o ON o.name = s.operator
        WHERE s.token = $1 AND s.begin_time > $2 AND s.use_time > $3";

    pub(crate) const MACHINE: &str = "
        SELECT name, roles, coalesce(sign_in_time, 0) FROM operator
        WHERE token = $1 AND is_machine AND token_end_time > $2";

    pub(crate) const LIST: &str = "
        SELECT name, roles, is_machine, create_time, token_end_time, sign_in_time, failures, failure_time,
            openid IS NOT NULL FROM operator
        ORDER BY name LIMIT 10000";

    pub(crate) const END_SESSIONS: &str = "DELETE FROM session WHERE operator = $1";

    pub(crate) const USE_SESSION: &str =
        "UPDATE session SET use_time = $2 WHERE token = $1 AND use_time < $2";

    pub(crate) const SIGN_OUT: &str = "DELETE FROM session WHERE token = $1";

    pub(crate) const FORGET_SESSIONS: &str = "DELETE FROM session WHERE begin_time <= $1 OR use_time <= $2";

    pub(crate) const USE_MACHINE: &str = "UPDATE operator SET sign_in_time = $2 WHERE token = $1";

    pub(crate) const UNLOCK: &str =
        "UPDATE operator SET failures = 0, failure_time = NULL WHERE name = $1 AND NOT is_machine";

    pub(crate) const REMOVE: &str = "DELETE FROM operator WHERE name = $1";
}
