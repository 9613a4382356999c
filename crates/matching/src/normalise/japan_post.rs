//! Japan Post Bank's 記号 and 番号, turned into branch and account as other banks write them.
//!
//! The rule is the bank's own (記号番号から振込用の店名・預金種目・口座番号): 記号 `1XYc0` with a 番号 that ends in 1 is
//! branch `XY8` and the 番号 without that 1; 記号 `0XYc0` is branch `XY9` and the whole 番号.
//!
//! The surprising thing: `c` is a check digit over both, so a slip in either is seen before anything is looked up.

use super::account::{AccountTextError, padded};

/// Branch of three digits and account of seven, or None when the two don't have the shape of 記号 and 番号.
pub(super) fn read(symbol: &str, number: &str) -> Option<Result<(String, String), AccountTextError>> {
    let [kind @ (b'0' | b'1'), x, y, check, b'0'] = symbol.as_bytes() else { return None };
    let (last, account) = match kind {
        b'1' => ('8', number.strip_suffix('1').filter(|n| (1..=7).contains(&n.len()))?),
        _ => ('9', Some(number).filter(|n| (1..=6).contains(&n.len()))?),
    };
    if check_digit([*kind, *x, *y], number) != *check {
        return Some(Err(AccountTextError::CheckDigit));
    }
    let branch = [char::from(*x), char::from(*y), last].iter().collect();
    Some(padded(account, 7).map(|account| (branch, account)))
}

/// Weights 1, 3, 2 over 記号 with 0 for the check digit and 番号 padded to eight; a doubled digit above 9 loses 9.
fn check_digit(symbol: [u8; 3], number: &str) -> u8 {
    let digits =
        symbol.into_iter().chain(*b"00").chain(format!("{number:0>8}").into_bytes()).map(|b| b - b'0');
    let sum: u8 = digits
        .enumerate()
        .map(|(i, d)| match i % 3 {
            0 => d,
            1 => d * 3 % 10,
            _ if d < 5 => d * 2,
            _ => d * 2 - 9,
        })
        .fold(0, |sum, d| (sum + d) % 10);
    sum + b'0'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(symbol: &str, number: &str, expected: Option<Result<(&str, &str), AccountTextError>>) {
        let expected = expected.map(|r| r.map(|(b, a)| (b.to_owned(), a.to_owned())));
        assert_eq!(read(symbol, number), expected);
    }

    #[test]
    fn symbols_become_branches() {
        check("14030", "12345671", Some(Ok(("408", "1234567"))));
        check("15150", "21111111", Some(Ok(("518", "2111111"))));
        check("00580", "654321", Some(Ok(("059", "0654321"))));
    }

    #[test]
    fn a_slip_fails_the_check_digit() {
        check("14030", "12345771", Some(Err(AccountTextError::CheckDigit)));
        check("14130", "12345671", Some(Err(AccountTextError::CheckDigit)));
    }

    #[test]
    fn other_shapes_are_no_symbols() {
        check("24030", "12345671", None);
        check("14031", "12345671", None);
        check("14030", "12345672", None);
        check("14030", "1", None);
        check("00580", "7654321", None);
    }
}
