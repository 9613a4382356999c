//! The decision table: confirmed, review or rejected.
//!
//! It is a table over comparisons, not a sum of weights. With the account found and the branch agreeing:
//!
//! | birth date | name and reading | address | outcome |
//! |---|---|---|---|
//! | equal | equal | equal | confirmed |
//! | equal | one of the two is weak, the other equal || review |
//! | slip or unreadable | equal | equal | review |
//! | anything else ||| rejected |
//!
//! A weak name is a weak variant or an unknown character whose reading does not contradict, the same reading in other
//! kanji, another family name with the same given name, or equal kanji whose reading contradicts. A weak address is any
//! that is not equal: the customer may have moved. A weak identity turns confirmed into review.
//!
//! The surprising thing: several rows may hold one account number, because numbers are unique in a branch only. The
//! identity tells them apart; when it fits two customers, neither is confirmed.

use std::fmt;

use crate::compare::name::keeps_given_name;
use crate::compare::{Compared, Comparison, compare_days};
use crate::normalise::account::significant;
use crate::normalise::name::Script;
use crate::{AccountText, CustomerRecord, Identity, PreparedIdentity, PreparedRecord, Reason, Strength};

/// What to do with the follower.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The follower is the customer.
    Confirmed,
    /// The company's operators must look.
    Review,
    /// Not the customer, as far as anything shows.
    Rejected,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Confirmed => "confirmed",
            Self::Review => "review",
            Self::Rejected => "rejected",
        })
    }
}

/// The outcome with its customer and reasons.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What to do.
    pub outcome: Outcome,
    /// The customer, when confirmed or for review.
    pub customer_id: Option<String>,
    /// Why, in the order of [`Reason`], each once, at least one.
    pub reasons: Vec<Reason>,
}

/// What a company may demand beyond the table. Nothing here can loosen it.
/// Configurations name its parts as they are named here; what is left out is not demanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Reject when no branch was typed.
    pub branch_required: bool,
    /// Send to review when an address is equal only because one side leaves a part out.
    pub whole_address_required: bool,
    /// Send to review when the master holds no kanji name and only the reading is equal.
    pub written_name_required: bool,
    /// Send to review when no equal reading stands beside an equal name.
    pub reading_required: bool,
    /// Send to review when names are equal only by forms of one kanji.
    pub same_kanji_required: bool,
}

/// Decides whether the attested identity is the customer of one of `candidates`, which are all rows of the master whose
/// [`account_key`](crate::account_key) is the typed number. The order of candidates doesn't matter.
#[must_use]
pub fn decide(
    candidates: &[CustomerRecord],
    account: &AccountText,
    identity: &Identity,
    policy: &Policy,
) -> Decision {
    let prepared: Vec<_> = candidates.iter().map(PreparedRecord::new).collect();
    decide_prepared(&prepared, account, &PreparedIdentity::new(identity), policy)
}

/// As [`decide()`], of what was prepared before.
#[must_use]
pub fn decide_prepared(
    candidates: &[PreparedRecord],
    account: &AccountText,
    identity: &PreparedIdentity,
    policy: &Policy,
) -> Decision {
    let number = significant(&account.account_number);
    let branch = account.branch_number.as_deref().map(significant);
    let rows = candidates
        .iter()
        .filter(|row| !number.is_empty() && *row.account_number == *number)
        .map(|row| (judge(row, branch.as_deref(), identity, policy), row.customer_id.clone()));
    settle(rows.collect())
}

/// The decision on a number of what was judged of each row that has it.
pub(crate) fn settle(mut rows: Vec<((Outcome, Vec<Reason>), String)>) -> Decision {
    rows.sort();
    let Some(((outcome, reasons), customer_id)) = rows.first().cloned() else {
        return Decision {
            outcome: Outcome::Rejected,
            customer_id: None,
            reasons: vec![Reason::AccountNone],
        };
    };
    let rival = rows.iter().any(|((other, _), id)| *id != customer_id && *other != Outcome::Rejected);
    match outcome {
        Outcome::Confirmed | Outcome::Review if rival => Decision {
            outcome: Outcome::Review,
            customer_id: Some(customer_id),
            reasons: [Reason::RecordDuplicate].into_iter().chain(reasons).collect(),
        },
        Outcome::Confirmed | Outcome::Review => Decision { outcome, customer_id: Some(customer_id), reasons },
        Outcome::Rejected => Decision { outcome, customer_id: None, reasons },
    }
}

fn judge(
    row: &PreparedRecord,
    branch: Option<&str>,
    identity: &PreparedIdentity,
    policy: &Policy,
) -> (Outcome, Vec<Reason>) {
    match branch {
        Some(branch) if !row.branch_number.is_empty() && *row.branch_number != *branch => {
            return (Outcome::Rejected, vec![Reason::AccountBranchDifferent]);
        }
        None if policy.branch_required => return (Outcome::Rejected, vec![Reason::AccountBranchMissing]),
        Some(_) | None => {}
    }
    let birth_date = compare_days(row.birth_date, identity.birth_date);
    let names = Named {
        name: row.name.compare(&identity.name),
        kana: row.kana.compare(&identity.kana),
        only_kana: row.name.is_empty() || row.name.is(Script::Kana),
        latin: row.name.is(Script::Latin) || identity.name.is(Script::Latin),
    };
    let keeps = || keeps_given_name((&row.name, &row.kana), (&identity.name, &identity.kana));
    let name = judge_name(names, keeps, policy);
    let address = judge_address(row.address.compare(&identity.address), policy);
    judge_items(&birth_date, name, address, identity.strength)
}

/// The table.
pub(crate) fn judge_items(
    birth_date: &Compared,
    name: Compared,
    address: Compared,
    strength: Strength,
) -> (Outcome, Vec<Reason>) {
    let outcome = match (birth_date.comparison, name.comparison, address.comparison) {
        (Comparison::Equal, Comparison::Equal, Comparison::Equal) if strength == Strength::Strong => {
            Outcome::Confirmed
        }
        (Comparison::Equal | Comparison::Review, Comparison::Equal, Comparison::Equal)
        | (Comparison::Equal, Comparison::Equal, Comparison::Review | Comparison::Different)
        | (Comparison::Equal, Comparison::Review, Comparison::Equal) => Outcome::Review,
        (Comparison::Different, _, _)
        | (_, Comparison::Different, _)
        | (
            Comparison::Equal | Comparison::Review,
            Comparison::Review,
            Comparison::Review | Comparison::Different,
        )
        | (Comparison::Review, Comparison::Review, Comparison::Equal)
        | (Comparison::Review, Comparison::Equal, Comparison::Review | Comparison::Different) => {
            Outcome::Rejected
        }
    };
    let weak = (strength == Strength::Weak).then_some(Reason::IdentityWeak);
    let born = birth_date.reasons.iter().copied();
    let all = weak.into_iter().chain(name.reasons).chain(born).chain(address.reasons);
    (outcome, Compared::new(Comparison::Equal, all).reasons)
}

/// A name and its reading compared.
pub(crate) struct Named {
    pub(crate) name: Compared,
    pub(crate) kana: Compared,
    /// The master holds no name but one in kana.
    pub(crate) only_kana: bool,
    /// One of the names is Latin.
    pub(crate) latin: bool,
}

/// Name and reading as one item; `keeps_given_name` is asked only of different names.
pub(crate) fn judge_name(
    Named { mut name, kana, only_kana, latin }: Named,
    keeps_given_name: impl FnOnce() -> bool,
    policy: &Policy,
) -> Compared {
    // A name recorded beside has a reading of its own, and Latin names have no one reading in kana.
    let reads_in_two_ways = name.reasons == [Reason::NameRecordedBeside] || latin;
    let harmless = kana.comparison == Comparison::Equal
        || kana.reasons.iter().all(|reason| HARMLESS_KANA.contains(reason));
    let same_reading = kana.comparison == Comparison::Equal;
    let unwritten = matches!(name.reasons[..], [Reason::NameOtherScript | Reason::NameMissing]);
    let demanded = (policy.reading_required && !same_reading)
        || (policy.same_kanji_required && name.reasons.iter().any(|reason| KANJI_FORMS.contains(reason)));
    let comparison = match name.comparison {
        Comparison::Equal if harmless && !demanded => Comparison::Equal,
        Comparison::Review if unwritten && only_kana && same_reading && !policy.written_name_required => {
            name.reasons = vec![Reason::NameByReading];
            Comparison::Equal
        }
        Comparison::Review if kana.comparison == Comparison::Different && !reads_in_two_ways => {
            Comparison::Different
        }
        Comparison::Equal | Comparison::Review => Comparison::Review,
        Comparison::Different if same_reading => {
            name.reasons = vec![Reason::NameSameReading];
            Comparison::Review
        }
        Comparison::Different if keeps_given_name() => {
            name.reasons = vec![Reason::NameOtherFamilyName];
            Comparison::Review
        }
        Comparison::Different => Comparison::Different,
    };
    Compared::new(comparison, name.reasons.into_iter().chain(kana.reasons))
}

/// What may differ in the reading when the written names are equal: systems write it in other ways.
const HARMLESS_KANA: [Reason; 5] =
    [Reason::KanaMissing, Reason::KanaBank, Reason::KanaSize, Reason::KanaLongVowel, Reason::KanaOldSpelling];

const KANJI_FORMS: [Reason; 2] = [Reason::NameFamilyRegister, Reason::NameOfficialForm];

pub(crate) fn judge_address(mut address: Compared, policy: &Policy) -> Compared {
    let partial = address.reasons.iter().any(|reason| PARTIAL.contains(reason));
    if policy.whole_address_required && partial && address.comparison == Comparison::Equal {
        address.comparison = Comparison::Review;
    }
    address
}

const PARTIAL: [Reason; 5] = [
    Reason::AddressPrefectureMissing,
    Reason::AddressMunicipalityMissing,
    Reason::AddressAzaMissing,
    Reason::AddressStreetMissing,
    Reason::AddressBuildingMissing,
];

#[cfg(test)]
mod tests {
    use super::*;

    fn customer() -> CustomerRecord {
        CustomerRecord {
            customer_id: "C1".to_owned(),
            name: "渡辺 栄治".to_owned(),
            name_kana: "ワタナベ エイジ".to_owned(),
            birth_date: "1984-07-11".to_owned(),
            address: "東京都目黒区鷹番三丁目8-2 コーポ松本101".to_owned(),
            branch_number: "012".to_owned(),
            account_number: "0076317".to_owned(),
        }
    }

    fn attested() -> Identity {
        Identity {
            name: "渡邉栄治".to_owned(),
            name_kana: Some("ﾜﾀﾅﾍﾞ ｴｲｼﾞ".to_owned()),
            birth_date: "319840711".to_owned(),
            address: "東京都目黒区鷹番3-8-2".to_owned(),
            strength: Strength::Strong,
        }
    }

    fn account(branch: Option<&str>) -> AccountText {
        AccountText { branch_number: branch.map(str::to_owned), account_number: "0076317".to_owned() }
    }

    #[track_caller]
    fn check(
        row: impl Fn(&mut CustomerRecord),
        identity: impl Fn(&mut Identity),
        expected: Outcome,
    ) -> Decision {
        let (mut c, mut i) = (customer(), attested());
        row(&mut c);
        identity(&mut i);
        let decision = decide(&[c], &account(None), &i, &Policy::default());
        assert_eq!(decision.outcome, expected, "{decision:?}");
        assert_eq!(decision.customer_id.is_some(), expected != Outcome::Rejected);
        assert!(!decision.reasons.is_empty());
        decision
    }

    #[test]
    fn the_customer_is_confirmed_in_another_spelling() {
        let decision = check(|_| {}, |_| {}, Outcome::Confirmed);
        assert_eq!(decision.customer_id.as_deref(), Some("C1"));
        check(|_| {}, |i| i.name_kana = None, Outcome::Confirmed);
        check(|_| {}, |i| i.name_kana = Some("ワタナベ エージ".to_owned()), Outcome::Confirmed);
    }

    #[test]
    fn one_weak_item_is_for_review() {
        check(|_| {}, |i| i.address = "大阪府大阪市北区大淀中2-1-30".to_owned(), Outcome::Review);
        check(|_| {}, |i| i.address = "東京都目黒区鷹番3-8-3".to_owned(), Outcome::Review);
        check(|_| {}, |i| i.address = String::new(), Outcome::Review);
        check(
            |_| {},
            |i| (i.name, i.name_kana) = ("永野栄治".to_owned(), Some("ナガノ エイジ".to_owned())),
            Outcome::Review,
        );
        check(|_| {}, |i| i.name = "渡部栄治".to_owned(), Outcome::Review);
        check(|_| {}, |i| i.name = "渡〓栄治".to_owned(), Outcome::Review);
        check(|_| {}, |i| i.name = "永野［旧氏：渡辺］栄治".to_owned(), Outcome::Review);
        check(|_| {}, |i| i.name_kana = Some("ワタベ エイジ".to_owned()), Outcome::Review);
        check(|_| {}, |i| i.name_kana = Some("ワタナベ エイシ".to_owned()), Outcome::Review);
        check(|_| {}, |i| i.birth_date = "1984-11-07".to_owned(), Outcome::Review);
        check(|c| c.birth_date = String::new(), |_| {}, Outcome::Review);
    }

    #[test]
    fn two_weak_items_are_rejected() {
        let moved = |i: &mut Identity| i.address = "大阪府大阪市北区大淀中2-1-30".to_owned();
        check(
            |_| {},
            |i| {
                moved(i);
                i.name = "渡部栄治".to_owned();
            },
            Outcome::Rejected,
        );
        check(
            |_| {},
            |i| {
                moved(i);
                i.birth_date = "1984-11-07".to_owned();
            },
            Outcome::Rejected,
        );
        check(
            |_| {},
            |i| {
                i.name = "渡部栄治".to_owned();
                i.birth_date = "1984-07-12".to_owned();
            },
            Outcome::Rejected,
        );
    }

    #[test]
    fn others_are_rejected() {
        let contradicted = |i: &mut Identity| {
            (i.name, i.name_kana) = ("渡〓栄治".to_owned(), Some("ワタリ ヒデハル".to_owned()));
        };
        check(|_| {}, contradicted, Outcome::Rejected);
        let brother = |i: &mut Identity| {
            (i.name, i.name_kana) = ("渡辺英二".to_owned(), Some("ワタナベ ヒデジ".to_owned()))
        };
        check(|_| {}, brother, Outcome::Rejected);
        check(|_| {}, |i| i.birth_date = "1985-08-12".to_owned(), Outcome::Rejected);
        check(
            |_| {},
            |i| {
                brother(i);
                i.birth_date = "1985-08-12".to_owned();
            },
            Outcome::Rejected,
        );
    }

    #[test]
    fn a_weak_identity_is_for_review_at_best() {
        let decision = check(|_| {}, |i| i.strength = Strength::Weak, Outcome::Review);
        assert!(decision.reasons.contains(&Reason::IdentityWeak));
    }

    #[test]
    fn a_typed_branch_must_be_the_row_s() {
        let decide =
            |branch, policy: &Policy| decide(&[customer()], &account(branch), &attested(), policy).outcome;
        let strict = Policy { branch_required: true, ..Policy::default() };
        assert_eq!(decide(Some("012"), &Policy::default()), Outcome::Confirmed);
        assert_eq!(decide(Some("013"), &Policy::default()), Outcome::Rejected);
        let row = CustomerRecord { branch_number: String::new(), ..customer() };
        let unkept = super::decide(&[row], &account(Some("012")), &attested(), &Policy::default());
        assert_eq!(unkept.outcome, Outcome::Confirmed);
        assert_eq!(decide(None, &strict), Outcome::Rejected);
        assert_eq!(decide(Some("012"), &strict), Outcome::Confirmed);
    }

    #[test]
    fn a_master_without_kanji_is_matched_by_the_attested_reading() {
        let kana_only =
            |c: &mut CustomerRecord| (c.name, c.name_kana) = ("ﾜﾀﾅﾍﾞ ｴｲｼﾞ".to_owned(), String::new());
        let decision = check(kana_only, |_| {}, Outcome::Confirmed);
        assert!(decision.reasons.contains(&Reason::NameByReading));
        check(|c| c.name = String::new(), |_| {}, Outcome::Confirmed);
        check(kana_only, |i| i.name_kana = None, Outcome::Review);
        check(kana_only, |i| i.name_kana = Some("ワタナベ エイタ".to_owned()), Outcome::Rejected);
        let mut row = customer();
        kana_only(&mut row);
        let strict = Policy { written_name_required: true, ..Policy::default() };
        assert_eq!(decide(&[row], &account(None), &attested(), &strict).outcome, Outcome::Review);
    }

    #[test]
    fn a_company_may_demand_more_of_the_name() {
        let outcome = |identity: Identity, policy: Policy| {
            decide(&[customer()], &account(None), &identity, &policy).outcome
        };
        let reading = Policy { reading_required: true, ..Policy::default() };
        assert_eq!(outcome(attested(), reading), Outcome::Confirmed);
        assert_eq!(outcome(Identity { name_kana: None, ..attested() }, reading), Outcome::Review);
        let kanji = Policy { same_kanji_required: true, ..Policy::default() };
        assert_eq!(outcome(attested(), kanji), Outcome::Review);
        assert_eq!(
            outcome(Identity { name: "渡辺　栄治".to_owned(), ..attested() }, kanji),
            Outcome::Confirmed
        );
    }

    #[test]
    fn a_replaced_character_is_no_contradiction() {
        let identity = Identity { name: "渡部　栄治".to_owned(), ..attested() };
        let prepared = PreparedIdentity::new(&identity).with_replaced(&identity, "01000", "");
        let rows = [PreparedRecord::new(&CustomerRecord { name: "渡鍋 栄治".to_owned(), ..customer() })];
        let decision = decide_prepared(&rows, &account(None), &prepared, &Policy::default());
        assert_eq!(decision.outcome, Outcome::Review);
        assert!(decision.reasons.contains(&Reason::NameReplacedCharacter));
    }

    #[test]
    fn a_company_may_demand_whole_addresses() {
        let strict = Policy { whole_address_required: true, ..Policy::default() };
        assert_eq!(decide(&[customer()], &account(None), &attested(), &strict).outcome, Outcome::Review);
    }

    #[test]
    fn rows_of_one_number_are_told_apart_by_the_identity() {
        let stranger = CustomerRecord {
            customer_id: "C0".to_owned(),
            name: "森 永太".to_owned(),
            name_kana: "モリ エイタ".to_owned(),
            birth_date: "1950-01-02".to_owned(),
            ..customer()
        };
        let twin = CustomerRecord { customer_id: "C2".to_owned(), ..customer() };
        let outcome = |rows: &[CustomerRecord]| {
            let decision = decide(rows, &account(None), &attested(), &Policy::default());
            let mut reversed = rows.to_vec();
            reversed.reverse();
            assert_eq!(decide(&reversed, &account(None), &attested(), &Policy::default()), decision);
            (decision.outcome, decision.customer_id)
        };
        assert_eq!(outcome(&[stranger.clone(), customer()]), (Outcome::Confirmed, Some("C1".to_owned())));
        assert_eq!(outcome(&[customer(), twin]), (Outcome::Review, Some("C1".to_owned())));
        assert_eq!(outcome(&[stranger]), (Outcome::Rejected, None));
        assert_eq!(outcome(&[]), (Outcome::Rejected, None));
        assert_eq!(
            outcome(&[CustomerRecord { account_number: "76318".to_owned(), ..customer() }]),
            (Outcome::Rejected, None)
        );
    }

    #[test]
    fn debug_shows_nothing_of_a_person() {
        let shown = format!("{:?} {:?} {:?}", customer(), attested(), account(Some("012")));
        for personal in ["渡", "ワタナベ", "1984", "目黒", "76317", "012"] {
            assert!(!shown.contains(personal), "{shown}");
        }
    }
}
