//! What is compared: a row of a customer master, and an attested identity.
//!
//! Both hold raw text, as a company or a verifier wrote it, or the normal forms made of that once. Their `Debug` shows
//! nothing of a person.

use std::fmt;

use jiff::civil::Date;

use crate::normalise::account::significant;
use crate::normalise::bytes::{FormError, Reader, put_bytes};
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

    /// The forms as bytes, to be kept beside [`RULES_VERSION`](crate::RULES_VERSION) and the customer id, which is not among
    /// them.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(192);
        let born = self.birth_date.map_or((0, 0, 0), |day| (day.year(), day.month(), day.day()));
        out.extend(born.0.to_be_bytes());
        out.extend([born.1, born.2].map(|part| part.to_be_bytes()[0]));
        put_bytes(&mut out, &self.name.to_bytes());
        put_bytes(&mut out, &self.kana.to_bytes());
        put_bytes(&mut out, &self.address.to_bytes());
        put_bytes(&mut out, self.branch_number.as_bytes());
        put_bytes(&mut out, self.account_number.as_bytes());
        out
    }

    /// The record of these bytes.
    ///
    /// # Errors
    /// [`FormError`] when they are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(customer_id: &str, bytes: &[u8]) -> Result<Self, FormError> {
        let (born, rest) = bytes.split_first_chunk::<4>().ok_or(FormError)?;
        let birth_date = match *born {
            [0, 0, 0, 0] => None,
            [high, low, month, day] => {
                let [month, day] = [month, day].map(|part| i8::from_be_bytes([part]));
                let day = Date::new(i16::from_be_bytes([high, low]), month, day);
                Some(day.map_err(|_| FormError)?)
            }
        };
        let mut reader = Reader(rest);
        let record = Self {
            customer_id: customer_id.to_owned(),
            birth_date,
            name: NameForm::from_bytes(reader.bytes()?)?,
            kana: KanaForm::from_bytes(reader.bytes()?)?,
            address: AddressForm::from_bytes(reader.bytes()?)?,
            branch_number: reader.text()?.into(),
            account_number: reader.text()?.into(),
        };
        reader.end()?;
        Ok(record)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_record_back_and_nothing_else_is_read() {
        for (name, birth_date, number) in
            [("渡邉　栄治", "1984-07-11", "0076317"), ("ﾜﾀﾅﾍﾞ", "", ""), ("", "昭和59年7月11日", "7")]
        {
            let row = CustomerRecord {
                customer_id: "C1".to_owned(),
                name: name.to_owned(),
                name_kana: String::new(),
                birth_date: birth_date.to_owned(),
                address: "東京都目黒区鷹番三丁目8-2".to_owned(),
                branch_number: "012".to_owned(),
                account_number: number.to_owned(),
            };
            let record = PreparedRecord::new(&row);
            let bytes = record.to_bytes();
            assert!(PreparedRecord::from_bytes("C1", &bytes) == Ok(record), "{name}");
            for end in 0..bytes.len() {
                assert_eq!(PreparedRecord::from_bytes("C1", &bytes[..end]), Err(FormError));
            }
            assert_eq!(PreparedRecord::from_bytes("C1", &[&bytes[..], &[1]].concat()), Err(FormError));
        }
    }

    #[test]
    fn the_bytes_of_a_record_are_those_of_its_forms_each_with_its_length() {
        let row = CustomerRecord {
            customer_id: "C1".to_owned(),
            name: "渡邉 栄治".to_owned(),
            name_kana: "ﾜﾀﾅﾍﾞ".to_owned(),
            birth_date: "1984-07-11".to_owned(),
            address: "鷹番3-8-2".to_owned(),
            branch_number: "012".to_owned(),
            account_number: "0076317".to_owned(),
        };
        let forms = [
            NameForm::new(&row.name).to_bytes(),
            KanaForm::new(&row.name_kana).to_bytes(),
            AddressForm::new(&row.address).to_bytes(),
            b"12".to_vec(),
            b"76317".to_vec(),
        ];
        let long = |form: &Vec<u8>| [&[u8::try_from(form.len()).unwrap()], &form[..]].concat();
        let expected = [vec![0x07, 0xC0, 7, 11], forms.iter().flat_map(long).collect()].concat();
        // A change here must raise RULES_VERSION, as one of the forms must.
        assert_eq!(PreparedRecord::new(&row).to_bytes(), expected);
    }
}
