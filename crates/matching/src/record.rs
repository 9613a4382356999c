//! What is compared: a row of a customer master, and an attested identity.
//!
//! Both hold raw text, as a company or a verifier wrote it, or the normal forms made of that once. Their `Debug` shows
//! nothing of a person.

use std::fmt;

use jiff::civil::Date;

use crate::normalise::account::significant;
use crate::normalise::name::Script;
use crate::{AddressForm, KanaForm, NameForm, parse_birth_date};

/// One row of a customer master, raw. A field that the company doesn't hold is empty.
#[derive(Clone, PartialEq, Eq)]
pub struct CustomerRecord {
    /// The company's own id of the customer.
    pub customer_id: String,
    /// Name as registered, family name first.
    pub name: String,
    /// Reading of the name, in any kana.
    pub name_kana: String,
    /// Birth date in any shape that [`parse_birth_date`] reads.
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
    /// Birth date in any shape that [`parse_birth_date`] reads.
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

/// A row of a customer master with its normal forms: made at import, compared often.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedRecord {
    /// The company's own id of the customer.
    pub customer_id: String,
    /// Name.
    pub name: NameForm,
    /// Reading; that of the name when it is in kana and there is no other.
    pub kana: KanaForm,
    /// Birth date, None when it can't be read.
    pub birth_date: Option<Date>,
    /// Address.
    pub address: AddressForm,
    pub(crate) branch_number: Box<str>,
    pub(crate) account_number: Box<str>,
}

impl PreparedRecord {
    /// Makes the forms.
    #[must_use]
    pub fn new(row: &CustomerRecord) -> Self {
        let name = NameForm::new(&row.name);
        let kana = KanaForm::new(&row.name_kana);
        let of_name = kana.is_empty() && name.is(Script::Kana);
        Self {
            customer_id: row.customer_id.clone(),
            kana: if of_name { KanaForm::new(&row.name) } else { kana },
            name,
            birth_date: parse_birth_date(&row.birth_date).ok(),
            address: AddressForm::new(&row.address),
            branch_number: significant(&row.branch_number).into_boxed_str(),
            account_number: significant(&row.account_number).into_boxed_str(),
        }
    }
}

impl fmt::Debug for PreparedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedRecord").field("customer_id", &self.customer_id).finish_non_exhaustive()
    }
}

/// An attested identity with its normal forms.
#[derive(Clone, PartialEq, Eq)]
pub struct PreparedIdentity {
    /// Name.
    pub name: NameForm,
    /// Reading, empty when the verifier holds none.
    pub kana: KanaForm,
    /// Birth date, None when it can't be read.
    pub birth_date: Option<Date>,
    /// Address.
    pub address: AddressForm,
    /// How far the verification is trusted.
    pub strength: Strength,
}

impl PreparedIdentity {
    /// Makes the forms.
    #[must_use]
    pub fn new(identity: &Identity) -> Self {
        Self {
            name: NameForm::new(&identity.name),
            kana: KanaForm::new(identity.name_kana.as_deref().unwrap_or_default()),
            birth_date: parse_birth_date(&identity.birth_date).ok(),
            address: AddressForm::new(&identity.address),
            strength: identity.strength,
        }
    }

    /// With the positions that a JPKI certificate flags as replaced (代替文字位置), of name and address: one digit for
    /// each character, 1 for replaced. An empty text flags nothing.
    #[must_use]
    pub fn with_replaced(self, identity: &Identity, name_flags: &str, address_flags: &str) -> Self {
        Self {
            name: NameForm::with_replaced(&identity.name, name_flags),
            address: AddressForm::with_replaced(&identity.address, address_flags),
            ..self
        }
    }
}

impl fmt::Debug for PreparedIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PreparedIdentity").field("strength", &self.strength).finish_non_exhaustive()
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
