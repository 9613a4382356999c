//! Who may sign in at a company server, on PostgreSQL.
//!
//! Surprising: a try is charged while the name is held, so that no two replicas take the same one for the first.

use async_trait::async_trait;
use jiff::Timestamp;
use musubi_domain::{
    caller::Role,
    id::OperatorName,
    sign_in::{Guard, TokenDigest},
};
use sqlx::{Postgres, postgres::PgArguments, query::Query};

use super::company::PostgresCompanyStore;
use crate::{
    StoreError,
    people::{
        Credential, Known, NewOperator, Operator, PeopleStore, Try, USE_EVERY, guard_of, known_of,
        open_credential, operator_of, role_words, seal_credential, sql, taken,
    },
    row::{Columns as _, micros},
};

impl PostgresCompanyStore {
    /// Runs one statement; gives how many rows it concerned.
    pub(super) async fn run(
        &self,
        transaction: &'static str,
        query: Query<'_, Postgres, PgArguments>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.database.write(transaction).await?;
        let done = tx.execute(query).await?;
        tx.commit().await?;
        Ok(done)
    }

    /// Reads who it is, and writes the use down once a minute. The third column is the last use that was.
    async fn used(
        &self,
        transaction: &'static str,
        find: Query<'_, Postgres, PgArguments>,
        touch: &'static str,
        token: &TokenDigest,
        now: Timestamp,
    ) -> Result<Option<Known>, StoreError> {
        let found = find.fetch_optional(self.database.read()).await;
        let Some(found) = found.map_err(StoreError::during(transaction))? else { return Ok(None) };
        if now.duration_since(found.instant(2)?) >= USE_EVERY {
            self.run(transaction, sqlx::query(touch).bind(&token[..]).bind(micros(now))).await?;
        }
        known_of(&found).map(Some)
    }
}

fn new<'q>(sql: &'static str, new: &'q NewOperator<'_>) -> Query<'q, Postgres, PgArguments> {
    sqlx::query(sql)
        .bind(new.name.as_str())
        .bind(role_words(new.roles))
        .bind(&new.token[..])
        .bind(micros(new.token_end_time))
        .bind(micros(new.now))
}

#[async_trait]
impl PeopleStore for PostgresCompanyStore {
    async fn invite(&self, person: &NewOperator<'_>) -> Result<(), StoreError> {
        const TRANSACTION: &str = "invite";
        let mut tx = self.database.write(TRANSACTION).await?;
        if tx.execute(new(sql::INVITE, person)).await? == 0 {
            return Err(taken("a machine has this name"));
        }
        let end = sqlx::query(sql::END_SESSIONS).bind(person.name.as_str());
        tx.execute(end).await?;
        tx.commit().await
    }

    async fn find_invited(
        &self,
        invitation: &TokenDigest,
        now: Timestamp,
    ) -> Result<Option<OperatorName>, StoreError> {
        let find = sqlx::query(sql::INVITED).bind(&invitation[..]).bind(micros(now));
        let found = find.fetch_optional(self.database.read()).await;
        let found = found.map_err(StoreError::during("find_invited"))?;
        found.map(|row| Ok(row.text(0)?.parse()?)).transpose()
    }

    async fn accept(
        &self,
        name: &OperatorName,
        invitation: &TokenDigest,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sealed = seal_credential(self.vault.keys().of_company(self.company.as_str())?, name, credential)?;
        let accept =
            sqlx::query(sql::ACCEPT).bind(name.as_str()).bind(&invitation[..]).bind(sealed).bind(micros(now));
        Ok(self.run("accept_invitation", accept).await? > 0)
    }

    async fn begin_try(&self, name: &OperatorName, now: Timestamp) -> Result<Try, StoreError> {
        const TRANSACTION: &str = "begin_try";
        let mut tx = self.database.write(TRANSACTION).await?;
        let found = tx.fetch_optional(sqlx::query(sql::HOLD_GUARD).bind(name.as_str())).await?;
        let Some(found) = found else { return Ok(Try::Refused(Guard::Open)) };
        let guard = guard_of(&found, 0, now)?;
        if guard != Guard::Open {
            return Ok(Try::Refused(guard));
        }
        tx.execute(sqlx::query(sql::CHARGE).bind(name.as_str()).bind(micros(now))).await?;
        tx.commit().await?;
        let keys = self.vault.keys();
        let keys = keys.of_company(self.company.as_str())?;
        open_credential(keys, name, found.bytes(2)?).map(Try::Charged)
    }

    async fn sign_in(
        &self,
        name: &OperatorName,
        step: u64,
        session: &TokenDigest,
        now: Timestamp,
    ) -> Result<Option<Vec<Role>>, StoreError> {
        const TRANSACTION: &str = "sign_in";
        let mut tx = self.database.write(TRANSACTION).await?;
        let step = i64::try_from(step).unwrap_or(i64::MAX);
        let take = sqlx::query(sql::TAKE_CODE).bind(name.as_str()).bind(step).bind(micros(now));
        let Some(taken) = tx.fetch_optional(take).await? else { return Ok(None) };
        let begin = sqlx::query(sql::BEGIN_SESSION).bind(&session[..]).bind(name.as_str()).bind(micros(now));
        tx.execute(begin).await?;
        tx.commit().await?;
        Ok(Some(known_of(&taken)?.roles))
    }

    async fn find_session(
        &self,
        session: &TokenDigest,
        begun_after: Timestamp,
        used_after: Timestamp,
        now: Timestamp,
    ) -> Result<Option<Known>, StoreError> {
        let find =
            sqlx::query(sql::SESSION).bind(&session[..]).bind(micros(begun_after)).bind(micros(used_after));
        self.used("find_session", find, sql::USE_SESSION, session, now).await
    }

    async fn sign_out(&self, session: &TokenDigest) -> Result<(), StoreError> {
        let end = sqlx::query(sql::SIGN_OUT).bind(&session[..]);
        self.run("sign_out", end).await.map(drop)
    }

    async fn forget_sessions(
        &self,
        begun_before: Timestamp,
        used_before: Timestamp,
    ) -> Result<(), StoreError> {
        let forget = sqlx::query(sql::FORGET_SESSIONS);
        self.run("forget_sessions", forget.bind(micros(begun_before)).bind(micros(used_before)))
            .await
            .map(drop)
    }

    async fn add_machine(&self, machine: &NewOperator<'_>) -> Result<(), StoreError> {
        match self.run("add_machine", new(sql::ADD_MACHINE, machine)).await? {
            0 => Err(taken("somebody has this name")),
            _ => Ok(()),
        }
    }

    async fn find_machine(&self, key: &TokenDigest, now: Timestamp) -> Result<Option<Known>, StoreError> {
        let find = sqlx::query(sql::MACHINE).bind(&key[..]).bind(micros(now));
        self.used("find_machine", find, sql::USE_MACHINE, key, now).await
    }

    async fn list_operators(&self) -> Result<Vec<Operator>, StoreError> {
        let found = sqlx::query(sql::LIST).fetch_all(self.database.read()).await;
        found.map_err(StoreError::during("list_operators"))?.iter().map(operator_of).collect()
    }

    async fn unlock(&self, name: &OperatorName) -> Result<bool, StoreError> {
        Ok(self.run("unlock", sqlx::query(sql::UNLOCK).bind(name.as_str())).await? > 0)
    }

    async fn remove(&self, name: &OperatorName) -> Result<bool, StoreError> {
        let remove = sqlx::query(sql::REMOVE).bind(name.as_str());
        Ok(self.run("remove_operator", remove).await? > 0)
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        conformance::vault::vault,
        postgres::{
            company::MIGRATIONS,
            testing::{Fresh, fresh},
        },
    };

    use super::*;

    async fn open() -> (PostgresCompanyStore, Fresh) {
        let (options, fresh) = fresh("company", &MIGRATIONS).await;
        (PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(), fresh)
    }

    crate::conformance::people::people_store_suite!(open());
}
