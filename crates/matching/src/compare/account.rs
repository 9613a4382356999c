//! Account numbers as people type them: the same number, different, or a text that can't be read.
//!
//! The surprising thing: a branch that only one side gives is neutral here. It is the company's master that says whether a
//! number without a branch is enough to find one customer.

use super::{Compared, Comparison};
use crate::{AccountFormat, AccountText, Reason, parse_account_text};

/// Compares two account texts, each read by [`parse_account_text`]. Equal when numbers are equal and so are the
/// branches, or one is missing; for review when a text can't be read in one way only; otherwise different. Digits are
/// never compared by similarity.
#[must_use]
pub fn compare_accounts(left: &str, right: &str, format: &AccountFormat) -> Compared {
    let (Ok(left), Ok(right)) = (parse_account_text(left, format), parse_account_text(right, format)) else {
        return Compared::new(Comparison::Review, [Reason::AccountUnreadable]);
    };
    compare_read(&left, &right)
}

fn compare_read(left: &AccountText, right: &AccountText) -> Compared {
    let (comparison, reason) = match (&left.branch_number, &right.branch_number) {
        _ if left.account_number != right.account_number => (Comparison::Different, Reason::AccountDifferent),
        (Some(l), Some(r)) if l != r => (Comparison::Different, Reason::AccountBranchDifferent),
        (Some(_), None) | (None, Some(_)) => (Comparison::Equal, Reason::AccountBranchOneSide),
        (Some(_), Some(_)) | (None, None) => (Comparison::Equal, Reason::AccountEqual),
    };
    Compared::new(comparison, [reason])
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: AccountFormat = AccountFormat { account_digits: 7, branch_digits: 3 };

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison, reason: Reason) {
        let expected = Compared::new(comparison, [reason]);
        assert_eq!(compare_accounts(left, right, &BANK), expected, "{left} {right}");
        assert_eq!(compare_accounts(right, left, &BANK), expected, "{right} {left}");
    }

    #[test]
    fn numbers_and_branches_are_equal_or_not() {
        check("7624550", "口座番号は７６２４５５０です", Comparison::Equal, Reason::AccountEqual);
        check("012-7624550", "7624550", Comparison::Equal, Reason::AccountBranchOneSide);
        check("記号14030 番号12345671", "408-1234567", Comparison::Equal, Reason::AccountEqual);
        check("012-7624550", "013-7624550", Comparison::Different, Reason::AccountBranchDifferent);
        check("7624550", "7624505", Comparison::Different, Reason::AccountDifferent);
        check("762-4550", "7624550", Comparison::Review, Reason::AccountUnreadable);
        check("わかりません", "7624550", Comparison::Review, Reason::AccountUnreadable);
    }
}
