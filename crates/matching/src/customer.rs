//! The domain's customers, accounts, identities and decisions, and what the matcher takes and gives for them.
//!
//! The only place that knows both, for both servers that match. Surprising: keys are a cache. Kept ones are read when the
//! present rules made them; of any other customer they are made on the spot, so matching never waits for a store to catch up.

use std::collections::HashMap;

use musubi_domain::{
    Error,
    customer::{Customer, GivenAccount, KeyedCustomer, MatchDecision, MatchKeys, MatchOutcome},
    identity::{AttestedIdentity, IdentityMethod},
};

use crate::{
    AccountText, CustomerRecord, Decision, Identity, Outcome, Policy, PreparedIdentity, PreparedRecord,
    RULES_VERSION, Strength, decide_prepared,
};

/// The customer with its keys by the present rules: what stores keep.
#[must_use]
pub fn keyed(customer: Customer) -> KeyedCustomer {
    KeyedCustomer { keys: keys_of(&customer), customer }
}

/// The keys of a customer by the present rules.
#[must_use]
pub fn keys_of(customer: &Customer) -> MatchKeys {
    MatchKeys { rules_version: RULES_VERSION, bytes: prepare(customer).to_bytes() }
}

/// A customer's normal forms by the present rules.
#[must_use]
pub fn prepare(customer: &Customer) -> PreparedRecord {
    PreparedRecord::new(&CustomerRecord {
        customer_id: customer.customer_id.to_string(),
        name: customer.name.clone(),
        name_kana: customer.name_kana.clone(),
        birth_date: customer.birth_date.clone(),
        address: customer.address.clone(),
        branch_number: customer.branch_number.clone(),
        account_number: customer.account_number.clone(),
    })
}

/// As kept, or made anew when other rules made the keys or they can't be read.
fn prepared(row: &KeyedCustomer) -> PreparedRecord {
    let current = row.keys.rules_version == RULES_VERSION;
    let kept = current
        .then(|| PreparedRecord::from_bytes(row.customer.customer_id.as_str(), &row.keys.bytes).ok())
        .flatten();
    kept.unwrap_or_else(|| prepare(&row.customer))
}

impl From<&GivenAccount> for AccountText {
    fn from(given: &GivenAccount) -> Self {
        Self { branch_number: given.branch_number.clone(), account_number: given.account_number.clone() }
    }
}

impl From<&AttestedIdentity> for Identity {
    fn from(attested: &AttestedIdentity) -> Self {
        Self {
            name: attested.name.clone(),
            name_kana: attested.name_kana.clone(),
            birth_date: attested.birth_date.clone(),
            address: attested.address.clone(),
            strength: match attested.method {
                IdentityMethod::Jpki | IdentityMethod::Carrier => Strength::Strong,
                IdentityMethod::Document => Strength::Weak,
            },
        }
    }
}

/// Customers that may be the ones who are asked for, by account key.
#[derive(Default)]
pub struct Candidates(HashMap<String, Vec<PreparedRecord>>);

impl Candidates {
    /// Whether the attested identity is the customer of this account. Without a key, because the number is none of this
    /// company's, there are no candidates.
    ///
    /// # Errors
    /// Never of customers that stores keep: their ids can be read.
    pub fn decide(
        &self,
        account_key: Option<&str>,
        account: &GivenAccount,
        identity: &AttestedIdentity,
        policy: &Policy,
    ) -> Result<MatchDecision, Error> {
        let rows = account_key.and_then(|key| self.0.get(key)).map_or(&[][..], Vec::as_slice);
        let identity = PreparedIdentity::new(&identity.into());
        decided(decide_prepared(rows, &account.into(), &identity, policy))
    }
}

/// The matcher's decision as the domain's.
pub(crate) fn decided(decision: Decision) -> Result<MatchDecision, Error> {
    Ok(MatchDecision {
        outcome: match decision.outcome {
            Outcome::Confirmed => MatchOutcome::Confirmed,
            Outcome::Review => MatchOutcome::Review,
            Outcome::Rejected => MatchOutcome::Rejected,
        },
        customer_id: decision.customer_id.map(|id| id.parse()).transpose()?,
        reasons: decision.reasons.into_iter().map(|reason| reason.as_str().to_owned()).collect(),
    })
}

impl FromIterator<KeyedCustomer> for Candidates {
    fn from_iter<T: IntoIterator<Item = KeyedCustomer>>(rows: T) -> Self {
        let mut by_key: HashMap<String, Vec<PreparedRecord>> = HashMap::new();
        for row in rows {
            let record = prepared(&row);
            by_key.entry(row.customer.account_key).or_default().push(record);
        }
        Self(by_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> Customer {
        Customer {
            customer_id: "C1".parse().unwrap(),
            name: "渡辺 栄治".to_owned(),
            name_kana: "ワタナベ エイジ".to_owned(),
            birth_date: "1984-07-11".to_owned(),
            address: "東京都目黒区鷹番三丁目8-2".to_owned(),
            branch_number: "012".to_owned(),
            account_number: "76317".to_owned(),
            account_key: "0076317".to_owned(),
            identity_verification: String::new(),
        }
    }

    fn decided(row: KeyedCustomer, key: Option<&str>, method: IdentityMethod) -> MatchDecision {
        let account = GivenAccount { branch_number: None, account_number: "0076317".to_owned() };
        let identity = AttestedIdentity {
            method,
            name: "渡邉栄治".to_owned(),
            name_kana: None,
            birth_date: "319840711".to_owned(),
            address: "目黒区鷹番3-8-2".to_owned(),
        };
        Candidates::from_iter([row]).decide(key, &account, &identity, &Policy::default()).unwrap()
    }

    #[test]
    fn keys_that_are_kept_missing_old_or_spoilt_decide_alike() {
        let present = keyed(customer());
        let expected = decided(present.clone(), Some("0076317"), IdentityMethod::Jpki);
        assert_eq!(expected.outcome, MatchOutcome::Confirmed);
        for spoil in [
            |keys: &mut MatchKeys| *keys = MatchKeys { rules_version: 0, bytes: Vec::new() },
            |keys: &mut MatchKeys| keys.rules_version += 1,
            |keys: &mut MatchKeys| keys.bytes.truncate(9),
        ] {
            let mut row = present.clone();
            spoil(&mut row.keys);
            assert_eq!(decided(row, Some("0076317"), IdentityMethod::Jpki), expected);
        }
    }

    #[test]
    fn keys_of_the_present_rules_are_read_and_not_made_again() {
        let mut row = keyed(customer());
        row.customer.name = "別人".to_owned();
        let decision = decided(row, Some("0076317"), IdentityMethod::Jpki);
        assert_eq!(decision.outcome, MatchOutcome::Confirmed);
    }

    #[test]
    fn documents_are_weak_and_a_number_without_a_key_has_no_candidates() {
        let document = decided(keyed(customer()), Some("0076317"), IdentityMethod::Document);
        assert_eq!(document.outcome, MatchOutcome::Review);
        let none = decided(keyed(customer()), None, IdentityMethod::Jpki);
        assert_eq!((none.outcome, none.reasons), (MatchOutcome::Rejected, vec!["account.none".to_owned()]));
    }
}
