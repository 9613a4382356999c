//! The same pairs by digests: one text is a customer's, the other is attested, and all else is the same.

use musubi_domain::{blind::DigestKey, customer::Customer};
use musubi_matching::{
    AccountText, Identity, Outcome, Policy, PreparedIdentity, Strength, blinded, decide_blind,
};

use crate::tally::Tally;

const HOME: &str = "東京都目黒区鷹番3-8-2";
const NAME: &str = "渡辺 栄治";

/// A customer with this name and address.
fn customer(name: &str, address: &str) -> Customer {
    Customer {
        customer_id: "C1".parse().unwrap_or_else(|error| panic!("{error}")),
        name: name.to_owned(),
        name_kana: String::new(),
        birth_date: "1984-07-11".to_owned(),
        address: address.to_owned(),
        branch_number: String::new(),
        account_number: "76317".to_owned(),
        account_key: "0076317".to_owned(),
        identity_verification: String::new(),
    }
}

/// Whether the customer is confirmed by digests as somebody with this name and address.
fn confirms(customer: &Customer, name: &str, address: &str) -> bool {
    let identity = Identity {
        name: name.to_owned(),
        name_kana: None,
        birth_date: "1984-07-11".to_owned(),
        address: address.to_owned(),
        strength: Strength::Strong,
    };
    let account = AccountText { branch_number: None, account_number: "0076317".to_owned() };
    let (key, identity) = (DigestKey::new([9; 32]), PreparedIdentity::new(&identity));
    let rows = [blinded(customer, &key)];
    let decided = decide_blind(&rows, &key, "0076317", &account, &identity, &Policy::default());
    decided.0.outcome == Outcome::Confirmed
}

/// What digests say of pairs of names.
pub(crate) fn names(left: &str, right: &str) -> bool {
    confirms(&customer(left, HOME), right, HOME)
}

/// What digests say of pairs of addresses.
pub(crate) fn addresses(left: &str, right: &str) -> bool {
    confirms(&customer(NAME, left), NAME, right)
}

/// Whether two texts are equal by digests.
pub(crate) type AreEqual = fn(&str, &str) -> bool;

/// Of each kind, how many pairs are equal, and how many of them by digests, at most so many looked at. None may be equal by digests
/// alone.
pub(crate) fn of(tally: &Tally, most: usize, by_digests: AreEqual) -> Vec<(&'static str, usize, usize)> {
    let kinds = tally.0.iter().map(|(name, kind)| {
        let step = kind.pairs.len().div_ceil(most);
        let (mut equal, mut found) = (0, 0);
        for (left, right, is_equal) in kind.pairs.iter().step_by(step) {
            let is_found = by_digests(left, right);
            assert!(!is_found || *is_equal, "{name}: {left} | {right}");
            equal += usize::from(*is_equal);
            found += usize::from(is_found);
        }
        (*name, equal, found)
    });
    kinds.collect()
}
