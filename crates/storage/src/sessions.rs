//! Who is signed in at a company server, as people look at it: their sessions, with what began them and when they were used last.
//!
//! Sessions begin and are found in [`people`](crate::people); here they are shown and ended. Surprising: none is named by its token or the
//! digest that is kept of it, but by the front of that ([`SessionId`]), which opens nothing.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    id::OperatorName,
    session::{SessionId, SessionWay},
    sign_in::TokenDigest,
};

use crate::{StoreError, row::Columns};

/// A session as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose.
    pub name: OperatorName,
    /// Which.
    pub id: SessionId,
    /// When it began.
    pub begin_time: Timestamp,
    /// When it was used last, to the minute.
    pub use_time: Timestamp,
    /// By what it was begun.
    pub way: SessionWay,
}

/// Which sessions of a person to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// This one.
    One(SessionId),
    /// All of them.
    All,
    /// All but the one with this token.
    Others(TokenDigest),
}

/// Sessions as people look at them. Every method is one transaction, and gives [`StoreError::Unavailable`] when the database doesn't work.
#[async_trait]
pub trait SessionStore: Send + Sync {
    /// Writes down by what a session was begun.
    async fn begun_by(&self, session: &TokenDigest, way: SessionWay) -> Result<(), StoreError>;

    /// The sessions of one person, or of all, that began after the one time and were used after the other; those that were used last
    /// first, at most 1,000.
    async fn list_sessions(
        &self,
        name: Option<&OperatorName>,
        begun_after: Timestamp,
        used_after: Timestamp,
    ) -> Result<Vec<Session>, StoreError>;

    /// Ends sessions of a person; gives how many.
    async fn end_sessions(&self, name: &OperatorName, which: Which) -> Result<u64, StoreError>;
}

/// Reads a session. Columns: whose, the front of its digest, begin and use time, way.
pub(crate) fn session_of(row: &impl Columns) -> Result<Session, StoreError> {
    let front = row.bytes(1)?;
    let front = front.try_into().map_err(|_| StoreError::Corrupt("a session has no digest".to_owned()))?;
    Ok(Session {
        name: row.text(0)?.parse()?,
        id: SessionId::from_bytes(front),
        begin_time: row.instant(2)?,
        use_time: row.instant(3)?,
        way: row.one_of(&SessionWay::ALL, 4)?,
    })
}

/// The store on both databases, whose statements are the same.
macro_rules! session_store {
    ($store:ty, $micros:path) => {
        #[async_trait::async_trait]
        impl $crate::sessions::SessionStore for $store {
            async fn begun_by(
                &self,
                session: &musubi_domain::sign_in::TokenDigest,
                way: musubi_domain::session::SessionWay,
            ) -> Result<(), $crate::StoreError> {
                let place = $crate::row::place(&musubi_domain::session::SessionWay::ALL, &way);
                let begun = sqlx::query($crate::sessions::sql::BEGUN_BY).bind(&session[..]).bind(place);
                self.run("begun_by", begun).await.map(drop)
            }

            async fn list_sessions(
                &self,
                name: Option<&musubi_domain::id::OperatorName>,
                begun_after: jiff::Timestamp,
                used_after: jiff::Timestamp,
            ) -> Result<Vec<$crate::sessions::Session>, $crate::StoreError> {
                let found = sqlx::query($crate::sessions::sql::LIST)
                    .bind($micros(begun_after))
                    .bind($micros(used_after))
                    .bind(name.map(musubi_domain::id::OperatorName::as_str))
                    .fetch_all(self.database.read());
                let found = found.await.map_err($crate::StoreError::during("list_sessions"))?;
                found.iter().map($crate::sessions::session_of).collect()
            }

            async fn end_sessions(
                &self,
                name: &musubi_domain::id::OperatorName,
                which: $crate::sessions::Which,
            ) -> Result<u64, $crate::StoreError> {
                use $crate::sessions::{Which, sql};
                let end = match &which {
                    Which::One(id) => sqlx::query(sql::END_ONE).bind(name.as_str()).bind(&id.as_bytes()[..]),
                    Which::All => sqlx::query($crate::people::sql::END_SESSIONS).bind(name.as_str()),
                    Which::Others(token) => sqlx::query(sql::END_OTHERS).bind(name.as_str()).bind(&token[..]),
                };
                self.run("end_sessions", end).await
            }
        }
    };
}
pub(crate) use session_store;

/// The statements.
pub(crate) mod sql {
    pub(crate) const BEGUN_BY: &str = "UPDATE session SET way = $2 WHERE token = $1";

    pub(crate) const LIST: &str = "
        SELECT operator, substr(token, 1, 8), begin_time, use_time, way FROM session
        WHERE begin_time > $1 AND use_time > $2 AND operator = coalesce($3, operator)
        ORDER BY use_time DESC, token LIMIT 1000";

    pub(crate) const END_ONE: &str = "DELETE FROM session WHERE operator = $1 AND substr(token, 1, 8) = $2";

    pub(crate) const END_OTHERS: &str = "DELETE FROM session WHERE operator = $1 AND token <> $2";
}
