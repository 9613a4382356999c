//! The keys of all companies as one piece of work sees them, and what rows hold that they seal.

use std::{collections::HashMap, sync::Arc};

use musubi_domain::{
    Error, ErrorKind,
    customer::GivenAccount,
    phone_number::PhoneNumber,
    review::ReviewSubject,
    vault::{CompanyKeys, Place},
};
use serde::{Serialize, de::DeserializeOwned};

use super::Relation;
use crate::{StoreError, row::Bytes};

/// Keys by company and by official account.
#[derive(Default)]
pub(crate) struct Keys {
    companies: HashMap<String, Arc<CompanyKeys>>,
    accounts: HashMap<String, Arc<CompanyKeys>>,
}

impl Keys {
    pub(super) fn add_company(&mut self, keys: Arc<CompanyKeys>) {
        self.companies.insert(keys.company().to_string(), keys);
    }

    pub(super) fn add_account(&mut self, account: &str, company: &str) {
        if let Some(keys) = self.companies.get(company) {
            self.accounts.insert(account.to_owned(), Arc::clone(keys));
        }
    }

    /// A company's.
    pub(crate) fn of_company(&self, company: &str) -> Result<&CompanyKeys, StoreError> {
        let keys = self.companies.get(company).map(Arc::as_ref);
        keys.ok_or_else(|| unknown(&format!("company {company}")))
    }

    /// Those of the company that has the official account.
    pub(crate) fn of_account(&self, account: &str) -> Result<&CompanyKeys, StoreError> {
        let keys = self.accounts.get(account).map(Arc::as_ref);
        keys.ok_or_else(|| unknown(&format!("official account {account}")))
    }

    /// Those of the owner of a row: an account or a company, as the table has it.
    pub(crate) fn of_owner(&self, relation: Relation, owner: &str) -> Result<&CompanyKeys, StoreError> {
        if relation.is_of_accounts() { self.of_account(owner) } else { self.of_company(owner) }
    }

    /// Seals a follower's number.
    pub(crate) fn seal_number(
        &self,
        account: &str,
        follower: &[u8; 16],
        number: &PhoneNumber,
    ) -> Result<Bytes, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        let place = Place { table: Relation::Followers.table(), row: &row };
        Ok(Bytes(self.of_account(account)?.seal(place, number.as_str().as_bytes())?))
    }

    /// A follower's number.
    pub(crate) fn number(
        &self,
        account: &str,
        follower: &[u8; 16],
        sealed: &[u8],
    ) -> Result<PhoneNumber, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        let place = Place { table: Relation::Followers.table(), row: &row };
        let number = self.of_account(account)?.open(place, sealed)?;
        let number = std::str::from_utf8(&number).map_err(|_| other_kind(place))?;
        Ok(number.parse()?)
    }

    /// Seals what a follower typed.
    pub(crate) fn seal_given(
        &self,
        account: &str,
        follower: &[u8; 16],
        given: &GivenAccount,
    ) -> Result<Bytes, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        let place = Place { table: Relation::Dialogues.table(), row: &row };
        seal(self.of_account(account)?, place, given)
    }

    /// What a follower typed.
    pub(crate) fn given(
        &self,
        account: &str,
        follower: &[u8; 16],
        sealed: &[u8],
    ) -> Result<GivenAccount, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        open(self.of_account(account)?, Place { table: Relation::Dialogues.table(), row: &row }, sealed)
    }

    /// Seals what an inquiry is about.
    pub(crate) fn seal_inquiry(
        &self,
        company: &str,
        (account, follower): (&str, &[u8; 16]),
        subject: &ReviewSubject,
    ) -> Result<Bytes, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        let place = Place { table: Relation::Inquiries.table(), row: &row };
        seal(self.of_company(company)?, place, subject)
    }

    /// What an inquiry is about.
    pub(crate) fn inquiry(
        &self,
        company: &str,
        (account, follower): (&str, &[u8; 16]),
        sealed: &[u8],
    ) -> Result<ReviewSubject, StoreError> {
        let row = [account.as_bytes(), &follower[..]];
        open(self.of_company(company)?, Place { table: Relation::Inquiries.table(), row: &row }, sealed)
    }

    /// Seals what a review keeps.
    pub(crate) fn seal_review(
        &self,
        company: &str,
        (account, follower, review): (&str, &[u8; 16], &[u8; 16]),
        subject: &ReviewSubject,
    ) -> Result<Bytes, StoreError> {
        let row = [account.as_bytes(), &follower[..], &review[..]];
        let place = Place { table: Relation::Reviews.table(), row: &row };
        seal(self.of_company(company)?, place, subject)
    }

    /// What a review keeps.
    pub(crate) fn review(
        &self,
        company: &str,
        (account, follower, review): (&str, &[u8; 16], &[u8; 16]),
        sealed: &[u8],
    ) -> Result<ReviewSubject, StoreError> {
        let row = [account.as_bytes(), &follower[..], &review[..]];
        open(self.of_company(company)?, Place { table: Relation::Reviews.table(), row: &row }, sealed)
    }

    /// Seals the values of an individual message.
    pub(crate) fn seal_values(
        &self,
        company: &str,
        (distribution, customer): (&[u8; 16], &str),
        values: &[String],
    ) -> Result<Bytes, StoreError> {
        let row = [&distribution[..], customer.as_bytes()];
        let place = Place { table: Relation::Values.table(), row: &row };
        seal(self.of_company(company)?, place, values)
    }

    /// The values of an individual message to a follower of the account.
    pub(crate) fn values(
        &self,
        account: &str,
        (distribution, customer): (&[u8; 16], &str),
        sealed: &[u8],
    ) -> Result<Vec<String>, StoreError> {
        let row = [&distribution[..], customer.as_bytes()];
        open(self.of_account(account)?, Place { table: Relation::Values.table(), row: &row }, sealed)
    }
}

fn seal<T: Serialize + ?Sized>(keys: &CompanyKeys, place: Place<'_>, value: &T) -> Result<Bytes, StoreError> {
    let text = serde_json::to_vec(value).map_err(|_| other_kind(place))?;
    Ok(Bytes(keys.seal(place, &text)?))
}

fn open<T: DeserializeOwned>(keys: &CompanyKeys, place: Place<'_>, sealed: &[u8]) -> Result<T, StoreError> {
    let text = keys.open(place, sealed)?;
    serde_json::from_slice(&text).map_err(|_| other_kind(place))
}

/// It opens, and is nothing that belongs there.
pub(super) fn other_kind(place: Place<'_>) -> StoreError {
    StoreError::Corrupt(format!("what a row of {} keeps is of another kind", place.table))
}

fn unknown(whose: &str) -> StoreError {
    let problem = format!("no keys are known of {whose}");
    let remedy = "configure it; what another replica has just configured is known here within a minute: repeat the call";
    Error::new(ErrorKind::FailedPrecondition, problem, remedy).into()
}
