//! The authorities' keys, the persons that they know, and the batches of assertions that they signed.

use async_trait::async_trait;
use musubi_domain::identity::IdentityMethod;
use uuid::Uuid;

use super::{SqliteCarrierStore, outbox};
use crate::{
    StoreError,
    carrier::{
        AuthorityKey, AuthorityStore, OutboxKind, Person,
        record::{authority_key_of, credential_rows, person_rows, persons_of},
    },
    sqlite::rows,
};

#[async_trait]
impl AuthorityStore for SqliteCarrierStore {
    async fn put_authority_keys(&self, keys: &[AuthorityKey]) -> Result<Vec<AuthorityKey>, StoreError> {
        let failed = StoreError::during("put_authority_keys");
        let mut transaction = self.database.write("put_authority_keys").await?;
        for key in keys {
            sqlx::query(
                "INSERT INTO authority_keys (method, key_id, private_key, public_key_pem) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (method) DO NOTHING",
            )
            .bind(key.method.as_str())
            .bind(&key.key_id)
            .bind(&key.private_key)
            .bind(&key.public_key_pem)
            .execute(&mut *transaction)
            .await
            .map_err(&failed)?;
        }
        let stored = sqlx::query(
            "SELECT method, key_id, private_key, public_key_pem FROM authority_keys ORDER BY method",
        )
        .fetch_all(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)?;
        stored.iter().map(authority_key_of).collect()
    }

    async fn put_persons(&self, persons: &[Person]) -> Result<(), StoreError> {
        let failed = StoreError::during("put_persons");
        let mut transaction = self.database.write("put_persons").await?;
        sqlx::query(
            "INSERT INTO persons (method, credential_id, msisdn, pin, name, name_kana, birth_date, address)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
             FROM jsonb_each(?1) WHERE true
             ON CONFLICT (method, credential_id) DO UPDATE SET
                 msisdn = excluded.msisdn, pin = excluded.pin, name = excluded.name, name_kana = excluded.name_kana,
                 birth_date = excluded.birth_date, address = excluded.address",
        )
        .bind(rows(&person_rows(persons))?)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        transaction.commit().await.map_err(failed)
    }

    async fn find_persons(
        &self,
        credentials: &[(IdentityMethod, &str)],
    ) -> Result<Vec<Option<Person>>, StoreError> {
        let found = sqlx::query(
            "SELECT asked.key, msisdn, pin, name, name_kana, birth_date, address
             FROM jsonb_each(?1) AS asked CROSS JOIN persons
             ON persons.method = asked.value ->> 0 AND persons.credential_id = asked.value ->> 1",
        )
        .bind(rows(&credential_rows(credentials))?)
        .fetch_all(self.database.read_fresh())
        .await
        .map_err(StoreError::during("find_persons"))?;
        persons_of(credentials, &found)
    }

    async fn find_answer(&self, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar("SELECT answer FROM assertion_batches WHERE batch_id = ?1")
            .bind(&batch_id.as_bytes()[..])
            .fetch_optional(self.database.read_fresh())
            .await
            .map_err(StoreError::during("find_answer"))
    }

    async fn put_assertions(
        &self,
        batch_id: Uuid,
        answer: Vec<u8>,
        payloads: &[(usize, Vec<u8>)],
    ) -> Result<Vec<u8>, StoreError> {
        const NAME: &str = "put_assertions";
        let failed = StoreError::during(NAME);
        let mut transaction = self.database.write(NAME).await?;
        let new = sqlx::query(
            "INSERT INTO assertion_batches (batch_id, answer) VALUES (?1, ?2) ON CONFLICT (batch_id) DO NOTHING",
        )
        .bind(&batch_id.as_bytes()[..])
        .bind(&answer)
        .execute(&mut *transaction)
        .await
        .map_err(&failed)?;
        if new.rows_affected() == 0 {
            let stands = sqlx::query_scalar("SELECT answer FROM assertion_batches WHERE batch_id = ?1")
                .bind(&batch_id.as_bytes()[..])
                .fetch_one(&mut *transaction)
                .await
                .map_err(&failed)?;
            return Ok(stands);
        }
        outbox::put(&mut transaction, NAME, OutboxKind::Assertions, payloads).await?;
        transaction.commit().await.map_err(failed)?;
        Ok(answer)
    }
}
