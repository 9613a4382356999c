//! The authorities' keys, the persons that they know, and the batches of assertions that they signed.

use std::collections::HashMap;

use musubi_domain::identity::{AttestedIdentity, IdentityMethod};
use uuid::Uuid;

use super::{corrupt, msisdn, number, outbox};
use crate::{
    StoreError,
    carrier::{AuthorityKey, OutboxKind, Person},
    sqlite::{Database, rows},
};

pub(super) async fn put_keys(
    database: &Database,
    keys: &[AuthorityKey],
) -> Result<Vec<AuthorityKey>, StoreError> {
    let failed = StoreError::during("put_authority_keys");
    let mut transaction = database.write("put_authority_keys").await?;
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
    let stored: Vec<(String, String, Vec<u8>, String)> = sqlx::query_as(
        "SELECT method, key_id, private_key, public_key_pem FROM authority_keys ORDER BY method",
    )
    .fetch_all(&mut *transaction)
    .await
    .map_err(&failed)?;
    transaction.commit().await.map_err(failed)?;
    let key = |(method, key_id, private_key, public_key_pem): (String, _, _, _)| {
        let method = method.parse().map_err(|error| corrupt("a method", &error))?;
        Ok(AuthorityKey { method, key_id, private_key, public_key_pem })
    };
    stored.into_iter().map(key).collect()
}

pub(super) async fn put_persons(database: &Database, persons: &[Person]) -> Result<(), StoreError> {
    let failed = StoreError::during("put_persons");
    let rows = rows(
        &persons
            .iter()
            .map(|person| {
                let Person { credential_id, number, pin, identity } = person;
                let AttestedIdentity { method, name, name_kana, birth_date, address } = identity;
                (method, credential_id, msisdn(*number), pin, name, name_kana, birth_date, address)
            })
            .collect::<Vec<_>>(),
    )?;
    let mut transaction = database.write("put_persons").await?;
    sqlx::query(
        "INSERT INTO persons (method, credential_id, msisdn, pin, name, name_kana, birth_date, address)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
         FROM json_each(?1) WHERE true
         ON CONFLICT (method, credential_id) DO UPDATE SET
             msisdn = excluded.msisdn, pin = excluded.pin, name = excluded.name, name_kana = excluded.name_kana,
             birth_date = excluded.birth_date, address = excluded.address",
    )
    .bind(rows)
    .execute(&mut *transaction)
    .await
    .map_err(&failed)?;
    transaction.commit().await.map_err(failed)
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    place: i64,
    msisdn: i64,
    pin: String,
    name: String,
    name_kana: Option<String>,
    birth_date: String,
    address: String,
}

pub(super) async fn find_persons(
    database: &Database,
    credentials: &[(IdentityMethod, &str)],
) -> Result<Vec<Option<Person>>, StoreError> {
    let found: Vec<PersonRow> = sqlx::query_as(
        "SELECT asked.key AS place, msisdn, pin, name, name_kana, birth_date, address
         FROM json_each(?1) AS asked CROSS JOIN persons
         ON persons.method = asked.value ->> 0 AND persons.credential_id = asked.value ->> 1",
    )
    .bind(rows(credentials)?)
    .fetch_all(database.read_fresh())
    .await
    .map_err(StoreError::during("find_persons"))?;
    let mut found: HashMap<i64, PersonRow> = found.into_iter().map(|row| (row.place, row)).collect();
    let person = |(place, (method, credential_id)): (i64, &(IdentityMethod, &str))| {
        let Some(PersonRow { place: _, msisdn, pin, name, name_kana, birth_date, address }) =
            found.remove(&place)
        else {
            return Ok(None);
        };
        let identity = AttestedIdentity { method: *method, name, name_kana, birth_date, address };
        let credential_id = (*credential_id).to_owned();
        Ok(Some(Person { credential_id, number: number(msisdn)?, pin, identity }))
    };
    (0..).zip(credentials).map(person).collect()
}

pub(super) async fn find_answer(database: &Database, batch_id: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT answer FROM assertion_batches WHERE batch_id = ?1")
        .bind(&batch_id.as_bytes()[..])
        .fetch_optional(database.read_fresh())
        .await
        .map_err(StoreError::during("find_answer"))
}

pub(super) async fn put_assertions(
    database: &Database,
    batch_id: Uuid,
    answer: Vec<u8>,
    payloads: &[(usize, Vec<u8>)],
) -> Result<Vec<u8>, StoreError> {
    const NAME: &str = "put_assertions";
    let failed = StoreError::during(NAME);
    let mut transaction = database.write(NAME).await?;
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
    for (items, payload) in payloads {
        outbox::put(&mut transaction, NAME, OutboxKind::Assertions, *items, payload).await?;
    }
    transaction.commit().await.map_err(failed)?;
    Ok(answer)
}
