//! A row of the customer master \[120\].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::id::CustomerId;

/// A customer as the company knows them. Personal: `Debug` shows the id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Customer {
    /// Unique in the company.
    pub customer_id: CustomerId,
    /// As written in the master.
    pub name: String,
    /// Reading, may be empty.
    pub name_kana: String,
    /// `YYYY-MM-DD`.
    pub birth_date: String,
    /// As written in the master.
    pub address: String,
    /// Branch, digits, may be empty.
    pub branch_number: String,
    /// Account number as written in the master.
    pub account_number: String,
    /// The account number's normal form, by which a customer is found.
    pub account_key: String,
    /// How and when the company verified the customer, for example `drivers_licence:2017-02`.
    pub identity_verification: String,
}

impl fmt::Debug for Customer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Customer({}, …)", self.customer_id)
    }
}

/// What matching made of a customer once, to compare it often, and which version of its rules did. Made anew when the rules
/// are others; the customer stays the truth. Personal: `Debug` shows the version alone.
#[derive(Clone, PartialEq, Eq)]
pub struct MatchKeys {
    /// The version of the rules; 0 before any.
    pub rules_version: u32,
    /// Readable to those rules only.
    pub bytes: Vec<u8>,
}

impl fmt::Debug for MatchKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MatchKeys({}, …)", self.rules_version)
    }
}

/// A customer with the keys that were made of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyedCustomer {
    /// The row.
    pub customer: Customer,
    /// Of the row as it is.
    pub keys: MatchKeys,
}

/// An account number as a person gave it, in normal form: digits only. Personal: `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct GivenAccount {
    /// Branch, when the person gave it.
    pub branch_number: Option<String>,
    /// The account number.
    pub account_number: String,
}

impl fmt::Debug for GivenAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenAccount(…)")
    }
}

/// What a match decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOutcome {
    /// It is this customer.
    Confirmed,
    /// It may be; a person has to look.
    Review,
    /// It is not.
    Rejected,
}

impl MatchOutcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Confirmed, Self::Review, Self::Rejected];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Review => "review",
            Self::Rejected => "rejected",
        }
    }
}

/// A match's outcome, the customer meant, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MatchDecision {
    /// The outcome.
    pub outcome: MatchOutcome,
    /// The customer, when confirmed or in review.
    pub customer_id: Option<CustomerId>,
    /// Codes, without values.
    pub reasons: Vec<String>,
}

/// Why a customer who matches is not tied at once: another tie stands, or stood, against it. Codes, as a match's reasons are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rivalry {
    /// The customer is tied to another number of this official account.
    OtherNumber,
    /// The number was tied to another customer of this official account before.
    OtherCustomer,
}

impl Rivalry {
    /// The stable code.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OtherNumber => "customer_tied_to_another_number",
            Self::OtherCustomer => "number_was_another_customers",
        }
    }
}
