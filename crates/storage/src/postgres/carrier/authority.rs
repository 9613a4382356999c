//! The authorities' keys, the persons that they know, and the batches of assertions that they signed.

use std::collections::BTreeMap;

use async_trait::async_trait;
use musubi_domain::identity::IdentityMethod;
use uuid::Uuid;

use super::{PostgresCarrierStore, outbox};
use crate::{
    StoreError,
    carrier::{
        AuthorityKey, AuthorityStore, OutboxKind, Person,
        record::{CredentialRow, authority_key_of, credential_rows, person_rows, persons_of},
    },
    row::{BulkRow as _, Columns as _},
};

const PUT_PERSONS: &str = "
    INSERT INTO persons (method, credential_id, msisdn, pin, name, name_kana, birth_date, address)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[])
    ON CONFLICT (method, credential_id) DO UPDATE SET
        msisdn = excluded.msisdn, pin = excluded.pin, name = excluded.name, name_kana = excluded.name_kana,
        birth_date = excluded.birth_date, address = excluded.address";

pub(super) const PERSONS: &str = "
    SELECT asked.place - 1, msisdn, pin, name, name_kana, birth_date, address
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS asked(method, credential_id, place)
    JOIN persons USING (method, credential_id)";

const ANSWER: &str = "SELECT answer FROM assertion_batches WHERE batch_id = $1";

#[async_trait]
impl AuthorityStore for PostgresCarrierStore {
    async fn put_authority_keys(&self, keys: &[AuthorityKey]) -> Result<Vec<AuthorityKey>, StoreError> {
        let mut write = self.database.write("put_authority_keys").await?;
        let mut keys: Vec<_> = keys.iter().collect();
        // In one order, so that of two processes that begin neither waits for the other's.
        keys.sort_by_key(|key| key.method.as_str());
        for key in keys {
            let put = sqlx::query(
                "INSERT INTO authority_keys (method, key_id, private_key, public_key_pem) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (method) DO NOTHING",
            )
            .bind(key.method.as_str())
            .bind(&key.key_id)
            .bind(&key.private_key)
            .bind(&key.public_key_pem);
            write.execute(put).await?;
        }
        let stored = write
            .fetch(sqlx::query(
                "SELECT method, key_id, private_key, public_key_pem FROM authority_keys ORDER BY method",
            ))
            .await?;
        write.commit().await?;
        stored.iter().map(authority_key_of).collect()
    }

    async fn put_persons(&self, persons: &[Person]) -> Result<(), StoreError> {
        // One statement writes a row once, and two transactions write theirs in one order.
        let rows = person_rows(persons).into_iter().map(|row| ((row.method, row.credential_id), row));
        let rows: Vec<_> = rows.collect::<BTreeMap<_, _>>().into_values().collect();
        let mut write = self.database.write("put_persons").await?;
        write.write(PUT_PERSONS, &rows).await?;
        write.commit().await
    }

    async fn find_persons(
        &self,
        credentials: &[(IdentityMethod, &str)],
    ) -> Result<Vec<Option<Person>>, StoreError> {
        let found = CredentialRow::bind(sqlx::query(PERSONS), &credential_rows(credentials))
            .fetch_all(self.database.read())
            .await
            .map_err(StoreError::during("find_persons"))?;
        persons_of(credentials, &found)
    }

    async fn find_answer(&self, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
        sqlx::query_scalar(ANSWER)
            .bind(batch_id)
            .fetch_optional(self.database.read())
            .await
            .map_err(StoreError::during("find_answer"))
    }

    async fn put_assertions(
        &self,
        batch_id: Uuid,
        answer: Vec<u8>,
        payloads: &[(usize, Vec<u8>)],
    ) -> Result<Vec<u8>, StoreError> {
        let mut write = self.database.write("put_assertions").await?;
        let new = sqlx::query(
            "INSERT INTO assertion_batches (batch_id, answer) VALUES ($1, $2) ON CONFLICT (batch_id) DO NOTHING",
        )
        .bind(batch_id)
        .bind(&answer);
        if write.execute(new).await? == 0 {
            let stands = write.fetch_one(sqlx::query(ANSWER).bind(batch_id)).await?;
            return Ok(stands.bytes(0)?.to_vec());
        }
        outbox::put(&mut write, OutboxKind::Assertions, payloads).await?;
        write.commit().await?;
        Ok(answer)
    }
}
