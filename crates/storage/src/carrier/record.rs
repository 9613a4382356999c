//! What a carrier's tables hold of numbers, accounts, authorities and persons, and what is written there; the same on every
//! database.
//!
//! Surprising: a number is kept as an integer, which sorts as the subscriber list does.

use std::collections::HashMap;

use musubi_domain::{
    Error, ErrorKind,
    id::OfficialAccountId,
    identity::{AttestedIdentity, IdentityMethod},
    phone_number::PhoneNumber,
};

use super::{AuthorityKey, FleetName, Person, Snapshot};
use crate::{
    StoreError,
    row::{Columns, bulk_rows},
};

bulk_rows! {
    /// A person's credential.
    PersonRow<'a> {
        method: &'static str,
        credential_id: &'a str,
        msisdn: i64,
        pin: &'a str,
        name: &'a str,
        name_kana: Option<&'a str>,
        birth_date: &'a str,
        address: &'a str,
    }
    /// What a person is found by.
    CredentialRow<'a> { method: &'static str, credential_id: &'a str, }
}

/// A number as the tables keep it: the integer after the plus sign.
pub(crate) fn msisdn(number: PhoneNumber) -> i64 {
    number.as_str().bytes().skip(1).fold(0, |value, digit| value * 10 + i64::from(digit - b'0'))
}

/// A number that the tables kept.
pub(crate) fn number(msisdn: i64) -> Result<PhoneNumber, StoreError> {
    format!("+{msisdn}").parse().map_err(|error| corrupt("a number", &error))
}

/// An account that the tables kept.
pub(crate) fn account(name: &str) -> Result<OfficialAccountId, StoreError> {
    name.parse().map_err(|error| corrupt("an account", &error))
}

/// Reads a fleet's name.
pub(crate) fn fleet_of(row: &impl Columns) -> Result<FleetName, StoreError> {
    row.text(0)?.parse().map_err(|error| corrupt("a fleet", &error))
}

fn corrupt(what: &str, error: &Error) -> StoreError {
    StoreError::Corrupt(format!("{what} of the carrier: {}", error.problem))
}

/// There is no such account.
pub(crate) fn unknown_account() -> Error {
    Error::new(
        ErrorKind::NotFound,
        "no such official account at this carrier",
        "open it first, or correct the name",
    )
    .at("official_account")
}

/// Reads a list as it is now from the generation of an account, if there is such an account.
pub(crate) fn snapshot_of(row: Option<&impl Columns>) -> Result<Snapshot, StoreError> {
    let row = row.ok_or_else(unknown_account)?;
    Ok(Snapshot { generation: row.small(0)? })
}

/// Reads an authority's key. Columns: method, the key's id, the private key, the public one.
pub(crate) fn authority_key_of(row: &impl Columns) -> Result<AuthorityKey, StoreError> {
    Ok(AuthorityKey {
        method: row.text(0)?.parse().map_err(|error| corrupt("a method", &error))?,
        key_id: row.text(1)?.to_owned(),
        private_key: row.bytes(2)?.to_vec(),
        public_key_pem: row.text(3)?.to_owned(),
    })
}

/// Persons as rows.
pub(crate) fn person_rows(persons: &[Person]) -> Vec<PersonRow<'_>> {
    let rows = persons.iter().map(|Person { credential_id, number, pin, identity }| {
        let AttestedIdentity { method, name, name_kana, birth_date, address } = identity;
        let (method, name_kana, msisdn) = (method.as_str(), name_kana.as_deref(), msisdn(*number));
        PersonRow { method, credential_id, msisdn, pin, name, name_kana, birth_date, address }
    });
    rows.collect()
}

/// What is asked for, to find these persons.
pub(crate) fn credential_rows<'a>(credentials: &[(IdentityMethod, &'a str)]) -> Vec<CredentialRow<'a>> {
    let row = |&(method, credential_id): &(IdentityMethod, &'a str)| CredentialRow {
        method: method.as_str(),
        credential_id,
    };
    credentials.iter().map(row).collect()
}

/// The persons with these credentials, in their order. Columns of each that was found: its place among them, number, PIN, name,
/// reading, birth date, address.
pub(crate) fn persons_of(
    credentials: &[(IdentityMethod, &str)],
    found: &[impl Columns],
) -> Result<Vec<Option<Person>>, StoreError> {
    let mut rows: HashMap<usize, _> = HashMap::with_capacity(found.len());
    for row in found {
        rows.insert(row.small(0)?, row);
    }
    let person = |(place, (method, credential_id)): (usize, &(IdentityMethod, &str))| {
        let Some(row) = rows.get(&place) else { return Ok(None) };
        let identity = AttestedIdentity {
            method: *method,
            name: row.text(3)?.to_owned(),
            name_kana: row.maybe_text(4)?.map(str::to_owned),
            birth_date: row.text(5)?.to_owned(),
            address: row.text(6)?.to_owned(),
        };
        let (credential_id, pin) = ((*credential_id).to_owned(), row.text(2)?.to_owned());
        Ok(Some(Person { credential_id, number: number(row.int(1)?)?, pin, identity }))
    };
    credentials.iter().enumerate().map(person).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_the_tables_and_sort_as_they_do() {
        let numbers: Vec<PhoneNumber> =
            ["+12345678", "+818012345678", "+999999999999999"].map(|text| text.parse().unwrap()).into();
        for pair in numbers.windows(2) {
            assert!(msisdn(pair[0]) < msisdn(pair[1]) && pair[0] < pair[1]);
        }
        for value in numbers {
            assert_eq!(number(msisdn(value)).unwrap(), value);
        }
        assert!(number(-5).is_err());
    }
}
