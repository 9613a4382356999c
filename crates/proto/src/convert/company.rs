//! The words of `musubi.company.v1`: customers, inquiries, decisions.
//!
//! Both sides' directions stand here: the company server reads inquiries and writes decisions, the information-management
//! server the other way round. Surprising: an inquiry's attested fields are only bounded here and not read, because how a name
//! or a birth date may be written is for matching to know.

use jiff::Timestamp;
use musubi_domain::{
    Error,
    blind::{BlindCustomer, DIGEST_BYTES},
    customer::{Customer, GivenAccount, MatchDecision, MatchOutcome},
    error::shape,
    id::InquiryId,
    identity::{AttestedIdentity, IdentityMethod},
};

use super::content::timestamp;
use crate::{
    company::v1 as wire,
    information::v1::{self as information, EntrustedCustomer},
    r#type::v1 as words,
};

/// The longest attested field, in bytes: what matching reads.
const LONGEST_FIELD: usize = 4096;
/// The longest account or branch number, in digits.
const LONGEST_NUMBER: usize = 20;

/// One question whether a person is a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inquiry {
    /// Names it, for the audit of both sides.
    pub inquiry_id: InquiryId,
    /// What the person gave.
    pub account: GivenAccount,
    /// What an authority attests.
    pub identity: AttestedIdentity,
}

impl TryFrom<wire::Inquiry> for Inquiry {
    type Error = Error;

    /// Checks the numbers' form and every length; the error names the field.
    fn try_from(inquiry: wire::Inquiry) -> Result<Self, Error> {
        let method = inquiry.method();
        let inquiry_id = inquiry.inquiry_id.parse()?;
        let account_number = digits(inquiry.account_number, "account_number")?;
        let branch_number = Some(inquiry.branch_number).filter(|branch| !branch.is_empty());
        let branch_number = branch_number.map(|branch| digits(branch, "branch_number")).transpose()?;
        let identity = AttestedIdentity {
            method: IdentityMethod::try_from(method)?,
            name: bounded(inquiry.name, "name")?,
            name_kana: Some(bounded(inquiry.name_kana, "name_kana")?).filter(|kana| !kana.is_empty()),
            birth_date: bounded(inquiry.birth_date, "birth_date")?,
            address: bounded(inquiry.address, "address")?,
        };
        Ok(Self { inquiry_id, account: GivenAccount { branch_number, account_number }, identity })
    }
}

fn digits(text: String, field: &str) -> Result<String, Error> {
    if (1..=LONGEST_NUMBER).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(text);
    }
    let problem = format!("{} is not in normal form", shape(&text));
    Err(Error::invalid(field, problem, format!("give 1 to {LONGEST_NUMBER} ASCII digits")))
}

fn bounded(text: String, field: &str) -> Result<String, Error> {
    if text.len() <= LONGEST_FIELD {
        return Ok(text);
    }
    let problem = format!("{} bytes of text", text.len());
    Err(Error::invalid(
        field,
        problem,
        format!("give at most {LONGEST_FIELD} bytes, as the authority attests it"),
    ))
}

impl From<Inquiry> for wire::Inquiry {
    fn from(inquiry: Inquiry) -> Self {
        Self {
            inquiry_id: inquiry.inquiry_id.to_string(),
            account_number: inquiry.account.account_number,
            branch_number: inquiry.account.branch_number.unwrap_or_default(),
            method: words::IdentityMethod::from(inquiry.identity.method).into(),
            name: inquiry.identity.name,
            name_kana: inquiry.identity.name_kana.unwrap_or_default(),
            birth_date: inquiry.identity.birth_date,
            address: inquiry.identity.address,
        }
    }
}

impl From<MatchDecision> for wire::MatchDecision {
    fn from(decision: MatchDecision) -> Self {
        let outcome = match decision.outcome {
            MatchOutcome::Confirmed => wire::MatchOutcome::Confirmed,
            MatchOutcome::Review => wire::MatchOutcome::Review,
            MatchOutcome::Rejected => wire::MatchOutcome::Rejected,
        };
        Self {
            outcome: outcome.into(),
            customer_id: decision.customer_id.map(|id| id.to_string()).unwrap_or_default(),
            reasons: decision.reasons,
        }
    }
}

impl TryFrom<wire::MatchDecision> for MatchDecision {
    type Error = Error;

    /// Refuses an outcome that isn't said, and a customer where none belongs or none where one does.
    fn try_from(decision: wire::MatchDecision) -> Result<Self, Error> {
        let outcome = match decision.outcome() {
            wire::MatchOutcome::Confirmed => MatchOutcome::Confirmed,
            wire::MatchOutcome::Review => MatchOutcome::Review,
            wire::MatchOutcome::Rejected => MatchOutcome::Rejected,
            wire::MatchOutcome::Unspecified => {
                return Err(Error::invalid(
                    "outcome",
                    "no outcome is said",
                    "say confirmed, review or rejected",
                ));
            }
        };
        let customer_id = Some(decision.customer_id).filter(|id| !id.is_empty());
        if customer_id.is_some() != (outcome != MatchOutcome::Rejected) {
            let problem =
                if customer_id.is_some() { "a rejection names a customer" } else { "no customer is named" };
            return Err(Error::invalid("customer_id", problem, "name the customer unless it is a rejection"));
        }
        let customer_id = customer_id.map(|id| id.parse()).transpose()?;
        Ok(Self { outcome, customer_id, reasons: decision.reasons })
    }
}

/// A customer as operators see it.
#[must_use]
pub fn customer(customer: Customer, update_time: Timestamp) -> wire::Customer {
    wire::Customer {
        customer_id: customer.customer_id.to_string(),
        name: customer.name,
        name_kana: customer.name_kana,
        birth_date: customer.birth_date,
        address: customer.address,
        branch_number: customer.branch_number,
        account_number: customer.account_number,
        identity_verification: customer.identity_verification,
        update_time: Some(timestamp(update_time)),
    }
}

impl From<BlindCustomer> for information::BlindCustomer {
    fn from(customer: BlindCustomer) -> Self {
        Self {
            customer_id: customer.customer_id.to_string(),
            account: customer.account.to_vec(),
            digests: customer.digests,
        }
    }
}

/// Names the field: the id, or an account that is no digest. The digests are for matching to read.
impl TryFrom<information::BlindCustomer> for BlindCustomer {
    type Error = Error;

    fn try_from(customer: information::BlindCustomer) -> Result<Self, Error> {
        let account = customer.account.as_slice().try_into().map_err(|_| {
            let problem = format!("{} bytes", customer.account.len());
            Error::invalid("account", problem, format!("give the digest's {DIGEST_BYTES} bytes"))
        })?;
        Ok(Self { customer_id: customer.customer_id.parse()?, account, digests: customer.digests })
    }
}

/// A copy as the company's own operators are told of it.
impl From<information::Custody> for wire::MasterCopy {
    fn from(custody: information::Custody) -> Self {
        Self {
            customers: custody.customers,
            entrust_time: custody.entrust_time,
            lease_end_time: custody.lease_end_time,
            purge_time: custody.purge_time,
            purge_reason: custody.purge_reason,
            blind: custody.digest_rules > 0,
            outdated: custody.outdated,
        }
    }
}

impl From<Customer> for EntrustedCustomer {
    /// Only what matching needs.
    fn from(customer: Customer) -> Self {
        Self {
            customer_id: customer.customer_id.to_string(),
            name: customer.name,
            name_kana: customer.name_kana,
            birth_date: customer.birth_date,
            address: customer.address,
            branch_number: customer.branch_number,
            account_number: customer.account_number,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inquiry() -> Inquiry {
        Inquiry {
            inquiry_id: InquiryId::from_bytes([9; 16]),
            account: GivenAccount { branch_number: None, account_number: "0076317".to_owned() },
            identity: AttestedIdentity {
                method: IdentityMethod::Carrier,
                name: "宮本 真和".to_owned(),
                name_kana: Some("ミヤモト マナ".to_owned()),
                birth_date: "319480504".to_owned(),
                address: "神奈川県横浜市".to_owned(),
            },
        }
    }

    #[test]
    fn inquiries_survive_the_wire() {
        assert_eq!(Inquiry::try_from(wire::Inquiry::from(inquiry())), Ok(inquiry()));
        let mut other = inquiry();
        other.account.branch_number = Some("411".to_owned());
        other.identity.name_kana = None;
        assert_eq!(Inquiry::try_from(wire::Inquiry::from(other.clone())), Ok(other));
    }

    #[test]
    fn a_wrong_field_of_an_inquiry_is_named_and_not_shown() {
        type Spoil = fn(&mut wire::Inquiry);
        let cases: [(&str, Spoil); 7] = [
            ("inquiry_id", |inquiry| inquiry.inquiry_id = "7".to_owned()),
            ("account_number", |inquiry| inquiry.account_number = "007-6317".to_owned()),
            ("account_number", |inquiry| inquiry.account_number.clear()),
            ("branch_number", |inquiry| inquiry.branch_number = "４１１".to_owned()),
            ("method", |inquiry| inquiry.method = 0),
            ("method", |inquiry| inquiry.method = 99),
            ("address", |inquiry| inquiry.address = "町".repeat(1366)),
        ];
        for (field, spoil) in cases {
            let mut wrong = wire::Inquiry::from(inquiry());
            spoil(&mut wrong);
            let error = Inquiry::try_from(wrong).unwrap_err();
            assert_eq!(error.field, field);
            assert!(!error.to_string().contains("6317"), "an error shows no number");
        }
    }

    #[test]
    fn decisions_survive_the_wire() {
        for (outcome, customer_id) in [
            (MatchOutcome::Confirmed, Some("B000001")),
            (MatchOutcome::Review, Some("B000001")),
            (MatchOutcome::Rejected, None),
        ] {
            let customer_id = customer_id.map(|id| id.parse().unwrap());
            let reasons = vec!["name.identical".to_owned(), "address.spelling".to_owned()];
            let decision = MatchDecision { outcome, customer_id, reasons };
            assert_eq!(MatchDecision::try_from(wire::MatchDecision::from(decision.clone())), Ok(decision));
        }
    }

    #[test]
    fn a_decision_without_an_outcome_or_with_the_wrong_customer_is_refused() {
        let decision = |outcome: wire::MatchOutcome, customer_id: &str| wire::MatchDecision {
            outcome: outcome.into(),
            customer_id: customer_id.to_owned(),
            reasons: vec![],
        };
        for (wrong, field) in [
            (decision(wire::MatchOutcome::Unspecified, ""), "outcome"),
            (decision(wire::MatchOutcome::Confirmed, ""), "customer_id"),
            (decision(wire::MatchOutcome::Review, "a b"), "customer_id"),
            (decision(wire::MatchOutcome::Rejected, "B000001"), "customer_id"),
        ] {
            assert_eq!(MatchDecision::try_from(wrong).unwrap_err().field, field);
        }
    }
}
