//! What is compared: a row of a customer master, and an attested identity.
//!
//! Both hold raw text, as a company or a verifier wrote it. Their `Debug` shows nothing of a person.

use std::fmt;

/// One row of a customer master, raw. A field that the company doesn't hold is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerRecord {
    /// The company's own id of the customer.
    pub customer_id: String,
    /// Name as registered, family name first.
    pub name: String,
    /// Reading of the name, in any kana.
    pub name_kana: String,
    /// Birth date in any shape that [`parse_birth_date`](crate::parse_birth_date) reads.
    pub birth_date: String,
    /// Address as registered.
    pub address: String,
    /// Branch that keeps the account.
    pub branch_number: String,
    /// Account or customer number.
    pub account_number: String,
}

impl fmt::Debug for CustomerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CustomerRecord").field("customer_id", &self.customer_id).finish_non_exhaustive()
    }
}

/// Who the follower is, as a verifier attests. Nothing of it was typed by the follower.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name, family name first.
    pub name: String,
    /// Reading of the name, when the verifier holds one.
    pub name_kana: Option<String>,
    /// Birth date in any shape that [`parse_birth_date`](crate::parse_birth_date) reads.
    pub birth_date: String,
    /// Address.
    pub address: String,
    /// How far the verification is trusted.
    pub strength: Strength,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("strength", &self.strength).finish_non_exhaustive()
    }
}

/// How far a verification is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strength {
    /// Public personal authentication (JPKI) or the carrier's: may confirm.
    Strong,
    /// Photographed documents: review at best.
    Weak,
}
