//! Who signs in at the company's provider of OpenID Connect, on PostgreSQL.

use async_trait::async_trait;

use super::company::PostgresCompanyStore;
use crate::{
    StoreError,
    openid::{
        self, Arrival, Arrived, NewByOpenId, OpenIdStore, openid_hash, openid_taken, refused_of, sql,
        subject_hash,
    },
    people::{self, known_of, role_words, taken},
    row::micros,
};

#[async_trait]
impl OpenIdStore for PostgresCompanyStore {
    async fn invite_by_openid(&self, person: &NewByOpenId<'_>) -> Result<(), StoreError> {
        const TRANSACTION: &str = "invite_by_openid";
        let hash = openid_hash(self.vault.keys().of_company(self.company.as_str())?, person.openid);
        let name = person.name.as_str();
        let mut tx = self.database.write(TRANSACTION).await?;
        let anothers = sqlx::query(sql::ANOTHERS).bind(&hash).bind(name);
        if tx.fetch_optional(anothers).await?.is_some() {
            return Err(openid_taken());
        }
        let invite = sqlx::query(sql::INVITE)
            .bind(name)
            .bind(role_words(person.roles))
            .bind(&hash)
            .bind(micros(person.end_time))
            .bind(micros(person.now));
        if tx.execute(invite).await? == 0 {
            return Err(taken("a machine has this name"));
        }
        tx.execute(sqlx::query(people::sql::END_SESSIONS).bind(name)).await?;
        tx.commit().await
    }

    async fn arrive(&self, arrival: &Arrival<'_>) -> Result<Arrived, StoreError> {
        const TRANSACTION: &str = "arrive";
        let (openid, subject) = {
            let keys = self.vault.keys();
            let keys = keys.of_company(self.company.as_str())?;
            (openid_hash(keys, arrival.openid), subject_hash(keys, arrival.subject))
        };
        let now = micros(arrival.now);
        let mut tx = self.database.write(TRANSACTION).await?;
        tx.execute(sqlx::query(sql::FORGET_TICKETS).bind(now)).await?;
        let used =
            sqlx::query(sql::USE_TICKET).bind(&arrival.ticket[..]).bind(micros(arrival.ticket_end_time));
        if tx.execute(used).await? == 0 {
            return Ok(Arrived::Used);
        }
        let arrive = sqlx::query(sql::ARRIVE).bind(&openid).bind(&subject).bind(now);
        let arrived = match tx.fetch_optional(arrive).await? {
            Some(row) => Arrived::Begun(known_of(&row)?),
            None => {
                let invited = sqlx::query(sql::INVITED).bind(&openid);
                refused_of(tx.fetch_optional(invited).await?.as_ref())?
            }
        };
        if let Arrived::Begun(known) = &arrived {
            let begin = sqlx::query(people::sql::BEGIN_SESSION)
                .bind(&arrival.session[..])
                .bind(known.name.as_str())
                .bind(now);
            tx.execute(begin).await?;
        }
        tx.commit().await?;
        Ok(arrived)
    }

    fn seal_ticket(&self, ticket: &[u8]) -> Result<Vec<u8>, StoreError> {
        openid::seal_ticket(self.vault.keys().of_company(self.company.as_str())?, ticket)
    }

    fn open_ticket(&self, sealed: &[u8]) -> Option<Vec<u8>> {
        openid::open_ticket(self.vault.keys().of_company(self.company.as_str()).ok()?, sealed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        conformance::vault::vault,
        postgres::{
            company::MIGRATIONS,
            testing::{Fresh, fresh},
        },
    };

    async fn open() -> (PostgresCompanyStore, Fresh) {
        let (options, fresh) = fresh("company", &MIGRATIONS).await;
        (PostgresCompanyStore::open(&options, vault("bank")).await.unwrap(), fresh)
    }

    crate::conformance::openid::openid_store_suite!(open());
}
