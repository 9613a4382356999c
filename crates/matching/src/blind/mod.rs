//! Blind matching: the decision table on keyed digests, where one side of each comparison is all that is held.
//!
//! A company digests the normal forms of each customer ([`blinded`]); whoever holds only that digests the forms of an attested identity in
//! the same way, in each spelling that [`compare`](crate::compare) calls equal, and looks whether the digests are equal. What never may
//! be: confirmed here and not by the plain master. So every comparison here answers *equal* only where the plain one does, and what it can't tell
//! is [`Comparison::Review`], with a reason that ends in `unequal`. Surprising: nothing is graded. A slip, a move and a stranger look
//! alike, so the birth date counts as different unless something that was digested with it is equal.

mod address;
mod name;
mod record;
mod spelling;

use std::collections::HashMap;

use musubi_domain::{
    Error,
    blind::{BlindCustomer, Blinding, DIGEST_BYTES, Digest, DigestKey, RowKey},
    customer::{Customer, GivenAccount, MatchDecision},
    identity::AttestedIdentity,
};

use self::record::BlindRecord;
pub(crate) use self::{
    address::AddressDigests,
    name::{KanaDigests, NameDigests},
};
use crate::{
    AccountText, Compared, Comparison, Decision, FormError, Outcome, Policy, PreparedIdentity, Reason,
    customer::{decided, prepare},
    decide::{Named, judge_address, judge_items, judge_name, settle},
    normalise::{account::significant, name::Script},
};

/// The longest digests of one customer, in bytes.
pub const MAX_DIGESTS_BYTES: usize = 4096;

/// The customer as a blind copy has it.
#[must_use]
pub fn blinded(customer: &Customer, key: &DigestKey) -> BlindCustomer {
    let row = prepare(customer);
    let account_key = &customer.account_key;
    let branch = (!row.branch_number.is_empty())
        .then(|| branch_digest(&key.of_account(account_key, &customer.customer_id), &row.branch_number));
    // Without a birth date nobody is confirmed, and nothing may be found without one.
    let person = row.birth_date.map(|born| {
        let key = key.of_person(account_key, &customer.customer_id, &born.to_string());
        (row.name.digests(&key), row.kana.digests(&key), row.address.digests(&key))
    });
    let mut record = BlindRecord { branch, person };
    let mut digests = record.to_bytes();
    // Nobody's address has hundreds of numbers; one that does is equal to none, and keeps no copy from being taken.
    if let Some((_, _, address)) = record.person.as_mut().filter(|_| digests.len() > MAX_DIGESTS_BYTES) {
        *address = AddressDigests::of_nothing();
        digests = record.to_bytes();
    }
    BlindCustomer { customer_id: customer.customer_id.clone(), account: key.account(account_key), digests }
}

/// Of what no text is equal to.
const NOTHING: Digest = [0; DIGEST_BYTES];

/// Whether these are digests as [`blinded`] makes them.
///
/// # Errors
/// [`FormError`] when they are not, or longer than [`MAX_DIGESTS_BYTES`].
pub fn check_digests(digests: &[u8]) -> Result<(), FormError> {
    if digests.len() > MAX_DIGESTS_BYTES {
        return Err(FormError);
    }
    BlindRecord::from_bytes(digests).map(drop)
}

fn branch_digest(key: &RowKey, branch: &str) -> Digest {
    key.digest("branch", &[branch.as_bytes()])
}

/// Customers of a blind copy that may be the ones who are asked for.
pub struct BlindCandidates {
    key: DigestKey,
    rows: HashMap<Digest, Vec<BlindCustomer>>,
}

impl BlindCandidates {
    /// Of these customers.
    #[must_use]
    pub fn new(blinding: &Blinding, customers: impl IntoIterator<Item = BlindCustomer>) -> Self {
        let mut rows: HashMap<Digest, Vec<BlindCustomer>> = HashMap::new();
        for customer in customers {
            rows.entry(customer.account).or_default().push(customer);
        }
        Self { key: blinding.key.clone(), rows }
    }

    /// Whether the attested identity is the customer of this account, and whether the plain master could not decide otherwise. A
    /// confirmation is certain always.
    ///
    /// # Errors
    /// Never of customers that stores keep: their digests can be read.
    pub fn decide(
        &self,
        account: &GivenAccount,
        identity: &AttestedIdentity,
        policy: &Policy,
    ) -> Result<(MatchDecision, bool), Error> {
        let account_key = &account.account_number;
        let candidates = self.rows.get(&self.key.account(account_key)).map_or(&[][..], Vec::as_slice);
        let identity = PreparedIdentity::new(&identity.into());
        let (decision, certain) =
            decide_blind(candidates, &self.key, account_key, &account.into(), &identity, policy);
        Ok((decided(decision)?, certain))
    }
}

/// As [`decide_prepared`](crate::decide_prepared), of digests: `account_key` is the normal form by which the candidates were found.
/// Also whether the plain master could not decide otherwise.
#[must_use]
pub fn decide_blind(
    candidates: &[BlindCustomer],
    key: &DigestKey,
    account_key: &str,
    account: &AccountText,
    identity: &PreparedIdentity,
    policy: &Policy,
) -> (Decision, bool) {
    let branch = account.branch_number.as_deref().map(significant);
    let rows: Vec<_> = candidates
        .iter()
        .map(|row| {
            let judged = judge(row, key, account_key, branch.as_deref(), identity, policy);
            (judged, row.customer_id.to_string())
        })
        .collect();
    let told =
        |((_, reasons), _): &((Outcome, Vec<Reason>), String)| !reasons.iter().any(|it| UNEQUAL.contains(it));
    let certain = rows.iter().all(told);
    let mut decision = settle(rows);
    // Another customer of the number may be the one as well, for all that digests tell.
    if decision.outcome == Outcome::Confirmed && !certain {
        decision.outcome = Outcome::Review;
        decision.reasons.insert(0, Reason::RecordDuplicate);
    }
    (decision, certain)
}

/// Reasons that tell only that digests differ.
const UNEQUAL: [Reason; 4] =
    [Reason::NameUnequal, Reason::KanaUnequal, Reason::BirthDateUnequal, Reason::AddressUnequal];

fn judge(
    row: &BlindCustomer,
    key: &DigestKey,
    account_key: &str,
    branch: Option<&str>,
    identity: &PreparedIdentity,
    policy: &Policy,
) -> (Outcome, Vec<Reason>) {
    // Stores keep what the door let in; what can't be read is nobody.
    let record = BlindRecord::from_bytes(&row.digests).unwrap_or_default();
    let of_account = || key.of_account(account_key, &row.customer_id);
    match (branch, record.branch) {
        (Some(typed), Some(kept)) if branch_digest(&of_account(), typed) != kept => {
            return (Outcome::Rejected, vec![Reason::AccountBranchDifferent]);
        }
        (None, _) if policy.branch_required => {
            return (Outcome::Rejected, vec![Reason::AccountBranchMissing]);
        }
        (Some(_) | None, _) => {}
    }
    let (Some(born), Some((name, kana, address))) = (identity.birth_date, &record.person) else {
        return (Outcome::Rejected, vec![Reason::BirthDateUnequal]);
    };
    let key = key.of_person(account_key, &row.customer_id, &born.to_string());
    let names = Named {
        name: name.compare(&identity.name, &key),
        kana: kana.compare(&identity.kana, &key),
        only_kana: name.only_kana,
        latin: identity.name.is(Script::Latin),
    };
    let address = address.compare(&identity.address, &key);
    let found = [&names.name, &names.kana, &address];
    let birth_date = if found.iter().any(|compared| is_found(compared)) {
        Compared::new(Comparison::Equal, [Reason::BirthDateEqual])
    } else {
        Compared::new(Comparison::Different, [Reason::BirthDateUnequal])
    };
    // Whether the given name is the same, digests don't tell.
    let name = judge_name(names, || false, policy);
    judge_items(&birth_date, name, judge_address(address, policy), identity.strength)
}

/// Whether a digest was equal: then the birth date is.
fn is_found(compared: &Compared) -> bool {
    compared.comparison == Comparison::Equal || compared.reasons.contains(&Reason::KanaLongVowel)
}
