//! Account numbers: what is typed into a talk room, and what a master holds.
//!
//! A typed text may have a sentence around it, the branch before the number, a kind of deposit, any width and any
//! hyphen, or Japan Post Bank's 記号 and 番号. Digits are never guessed: a text that can be read in two ways is
//! [`AccountTextError::Ambiguous`], and the person is asked again.
//!
//! The surprising thing: for a number shorter than the format, leading zeros are put back, because people and
//! spreadsheets drop them.

use std::fmt;

use super::characters::{clean, is_dash, positional_digit};
use super::japan_post;
use crate::MAX_INPUT_BYTES;

/// How long a company's numbers are, in digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountFormat {
    /// Digits of an account or customer number: 7 for banks.
    pub account_digits: u8,
    /// Digits of a branch number: 3 for banks.
    pub branch_digits: u8,
}

/// An account text in its normal form: ASCII digits, padded with zeros to the length of the format.
#[derive(Clone, PartialEq, Eq)]
pub struct AccountText {
    /// The branch, when it was typed or follows from 記号.
    pub branch_number: Option<String>,
    /// The account or customer number.
    pub account_number: String,
}

impl fmt::Debug for AccountText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountText").finish_non_exhaustive()
    }
}

/// Why an account text has no normal form. The text itself is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AccountTextError {
    /// No digits, or too few for an account number.
    #[error("account text holds no account number; send the number in digits")]
    NoNumber,
    /// More than [`MAX_INPUT_BYTES`].
    #[error("account text is longer than {MAX_INPUT_BYTES} bytes; send only the number")]
    TextTooLong,
    /// More digits than an account number has.
    #[error("account text has more digits than an account number; check the number of digits")]
    TooManyDigits,
    /// More than one reading.
    #[error("account text can be read as more than one number; send only the account number")]
    Ambiguous,
    /// The check digit of 記号 disagrees with the rest.
    #[error("記号 and 番号 don't belong together; check both for a slip")]
    CheckDigit,
}

/// A run of digits with the text before and after it, up to its neighbours.
struct Run<'a> {
    digits: String,
    before: &'a str,
    after: &'a str,
}

/// Reads what was typed into a talk room. Takes linear time.
///
/// # Errors
/// [`AccountTextError`]; ask the person again with its remedy.
pub fn parse_account_text(text: &str, format: &AccountFormat) -> Result<AccountText, AccountTextError> {
    if text.len() > MAX_INPUT_BYTES {
        return Err(AccountTextError::TextTooLong);
    }
    let text = clean(text);
    let runs = runs(&text);
    if format.account_digits == 7
        && format.branch_digits == 3
        && let Some(read) = japan_post(&runs)
    {
        return read;
    }
    let (mut branch, mut accounts) = (None, vec![]);
    for cluster in runs.chunk_by(|_, next| joins(next.before)) {
        match read_cluster(cluster, format)? {
            Cluster::Nothing => {}
            Cluster::Branch(number) if branch.as_ref().is_none_or(|before| *before == number) => {
                branch = Some(number);
            }
            Cluster::Branch(_) => return Err(AccountTextError::Ambiguous),
            Cluster::Account(account) if accounts.contains(&account) => {}
            Cluster::Account(account) => accounts.push(account),
        }
    }
    let mut accounts = accounts.into_iter();
    let account = accounts.next().ok_or(AccountTextError::NoNumber)?;
    if accounts.next().is_some() || (branch.is_some() && account.branch_number.is_some()) {
        return Err(AccountTextError::Ambiguous);
    }
    Ok(AccountText {
        branch_number: branch.or(account.branch_number),
        account_number: account.account_number,
    })
}

/// The normal form of a master's account number, by which a store finds its rows.
///
/// # Errors
/// [`AccountTextError::NoNumber`] when there is something else than digits, spaces and hyphens, or nothing at all;
/// [`AccountTextError::TooManyDigits`] when it is longer than the format.
pub fn account_key(master_account_number: &str, format: &AccountFormat) -> Result<String, AccountTextError> {
    if master_account_number.len() > MAX_INPUT_BYTES {
        return Err(AccountTextError::TextTooLong);
    }
    let number = clean(master_account_number);
    let digits: String = number.chars().filter(|c| !is_dash(*c) && *c != ' ').collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return Err(AccountTextError::NoNumber);
    }
    padded(&digits, format.account_digits)
}

/// A number without width, grouping and leading zeros; empty when there is nothing, and then equal to no other.
pub(crate) fn significant(number: &str) -> String {
    let cleaned: String;
    let digits = if number.bytes().all(|b| b.is_ascii_digit()) {
        number
    } else {
        cleaned = clean(number).chars().filter(|c| !is_dash(*c) && *c != ' ').collect();
        &cleaned
    };
    let trimmed = digits.trim_start_matches('0');
    if trimmed.is_empty() && !digits.is_empty() { "0".to_owned() } else { trimmed.to_owned() }
}

/// A branch has three digits (〇一二, and 四〇八 in the names of Japan Post Bank's branches); no other word has so many.
const FEWEST_KANJI: usize = 3;

fn runs(text: &str) -> Vec<Run<'_>> {
    // Byte ranges of runs of ASCII digits, and of kanji digits when they are as many as no word has.
    let mut spans: Vec<(usize, usize)> = vec![];
    let mut open: Option<(usize, usize, bool)> = None;
    let mut close = |open: &mut Option<(usize, usize, bool)>, end: usize| {
        if let Some((start, count, ascii)) = open.take()
            && (ascii || count >= FEWEST_KANJI)
        {
            spans.push((start, end));
        }
    };
    for (at, c) in text.char_indices() {
        match (positional_digit(c), &mut open) {
            (Some(_), Some((_, count, ascii))) if *ascii == c.is_ascii_digit() => *count += 1,
            (Some(_), _) => {
                close(&mut open, at);
                open = Some((at, 1, c.is_ascii_digit()));
            }
            (None, _) => close(&mut open, at),
        }
    }
    close(&mut open, text.len());
    let bound = |i: usize| spans.get(i).map_or(text.len(), |s| s.0);
    let digits = |span: (usize, usize)| {
        text[span.0..span.1].chars().filter_map(positional_digit).map(|d| char::from(b'0' + d))
    };
    spans
        .iter()
        .enumerate()
        .map(|(i, span)| Run {
            digits: digits(*span).collect(),
            before: &text[if i == 0 { 0 } else { spans[i - 1].1 }..span.0],
            after: &text[span.1..bound(i + 1)],
        })
        .collect()
}

/// Whether the text between two runs only groups digits.
fn joins(between: &str) -> bool {
    between.chars().count() <= 3
        && between
            .chars()
            .all(|c| is_dash(c) || matches!(c, ' ' | ',' | '.' | ':' | '/' | '_' | '、' | '・' | 'の'))
}

enum Cluster {
    Nothing,
    Branch(String),
    Account(AccountText),
}

fn read_cluster(groups: &[Run<'_>], format: &AccountFormat) -> Result<Cluster, AccountTextError> {
    let (Some(first), Some(last)) = (groups.first(), groups.last()) else { return Ok(Cluster::Nothing) };
    let account_digits = usize::from(format.account_digits);
    let branch_digits = usize::from(format.branch_digits);
    let total: usize = groups.iter().map(|g| g.digits.len()).sum();
    let (before, after) = (first.before.trim_end_matches(BETWEEN), last.after.trim_start_matches([' ', ')']));
    let labelled_branch = BRANCH_BEFORE.iter().any(|l| before.ends_with(l))
        || BRANCH_AFTER.iter().any(|l| after.starts_with(l));
    let labelled_account = ACCOUNT_BEFORE.iter().any(|l| before.ends_with(l));
    let deposit_follows =
        after.trim_start_matches(['(', '・', ',', '、', ':', '/', '-', 'ー']).starts_with(['普', '当', '貯']);
    let rest = || groups[1..].iter().map(|g| g.digits.as_str()).collect::<String>();
    let of_a_name = before.ends_with('第') && total < branch_digits;
    if groups.len() == 1 && (of_a_name || BANK_BEFORE.iter().any(|l| before.ends_with(l))) {
        return Ok(Cluster::Nothing);
    }
    let account = |branch: Option<String>, digits: &str| {
        let account_number = padded(digits, format.account_digits)?;
        Ok(Cluster::Account(AccountText { branch_number: branch, account_number }))
    };
    if let [only] = groups {
        let digits = &only.digits;
        return match digits.len() {
            n if n <= branch_digits && (labelled_branch || (n == branch_digits && deposit_follows)) => {
                Ok(Cluster::Branch(padded(digits, format.branch_digits)?))
            }
            4 if after.starts_with('年') => Ok(Cluster::Nothing),
            n if n <= 2 && COUNTERS.iter().any(|c| after.starts_with(c)) => Ok(Cluster::Nothing),
            n if n <= branch_digits && !labelled_account => Err(AccountTextError::NoNumber),
            n if n == account_digits + branch_digits && !digits.starts_with(NO_BRANCH) => {
                account(Some(digits[..branch_digits].to_owned()), &digits[branch_digits..])
            }
            _ => account(None, digits),
        };
    }
    if let [bank, branch, number] = groups
        && (bank.digits.len(), branch.digits.len(), number.digits.len())
            == (BANK_CODE, branch_digits, account_digits)
        && account_digits == BANK_DIGITS
    {
        return account(Some(branch.digits.clone()), &number.digits);
    }
    let branch_first = first.digits.len() == branch_digits;
    let whole = total == account_digits && !labelled_branch;
    let with_branch = branch_first && (groups.len() == 2 || total == account_digits + branch_digits);
    match (whole, with_branch) {
        // 762-4550 is a grouped number, or a branch and a number whose zeros were dropped. A number of ten digits is
        // customarily grouped after the third, so there 084-1391963 is the number.
        (true, true) if account_digits <= BANK_DIGITS && !labelled_account => {
            Err(AccountTextError::Ambiguous)
        }
        (true, _) => account(None, &(first.digits.clone() + &rest())),
        (false, true) => account(Some(first.digits.clone()), &rest()),
        (false, false) if total > account_digits => Err(AccountTextError::TooManyDigits),
        (false, false) => Err(AccountTextError::Ambiguous),
    }
}

/// How long banks' numbers are.
const BANK_DIGITS: usize = 7;

/// How long the numbers of banks themselves are; the account is of the one that asks.
const BANK_CODE: usize = 4;
/// What may stand between a label and its number.
const BETWEEN: [char; 17] =
    [' ', ':', '(', 'は', 'が', 'の', '-', '#', '=', '>', '→', '、', ',', ']', '】', '」', '・'];
const BANK_BEFORE: [&str; 4] = ["銀行コード", "銀行番号", "金融機関コード", "金融機関番号"];

/// No branch is called so: these zeros pad the number.
const NO_BRANCH: &str = "000";
const BRANCH_BEFORE: [&str; 9] =
    ["店番", "店番号", "支店番号", "支店コード", "店コード", "支店", "店舗番号", "支店名", "店名"];
const BRANCH_AFTER: [&str; 4] = ["支店", "店", "番店", "本店"];
const ACCOUNT_BEFORE: [&str; 14] = [
    "口座番号",
    "口座",
    "普通",
    "普通預金",
    "普)",
    "普",
    "当座",
    "当座預金",
    "貯蓄",
    "お客様番号",
    "お客さま番号",
    "顧客番号",
    "契約番号",
    "番号",
];
const COUNTERS: [&str; 16] =
    ["桁", "才", "つ", "個", "月", "日", "年", "回", "番目", "人", "名", "行", "件", "時", "分", "歳"];

/// 記号 of five digits and 番号 of up to eight, alone in the text or labelled; None when nothing looks like it.
fn japan_post(runs: &[Run<'_>]) -> Option<Result<AccountText, AccountTextError>> {
    if let [only] = runs
        && only.digits.len() == 13
        && let Some(Ok((branch, account_number))) = japan_post::read(&only.digits[..5], &only.digits[5..])
    {
        return Some(Ok(AccountText { branch_number: Some(branch), account_number }));
    }
    let named = runs.iter().position(|run| run.before.contains("記号"));
    let (symbol, middle, number) = match &runs[named.filter(|at| at + 1 < runs.len()).unwrap_or(0)..] {
        [number, symbol] if named == Some(1) && number.before.contains("番号") => (symbol, None, number),
        [symbol, number] => (symbol, None, number),
        [symbol, middle, number] if middle.digits.len() == 1 => (symbol, Some(middle), number),
        _ => return None,
    };
    let labelled =
        symbol.before.contains("記号") || (number.before.contains("番号") && !number.before.contains("口座"));
    let joined = joins(number.before) && middle.is_none_or(|m| joins(m.before));
    let long_enough = labelled || number.digits.len() >= 6;
    if symbol.digits.len() != 5 || !long_enough || !(joined || labelled) || symbol.before.contains('店') {
        return None;
    }
    let read = japan_post::read(&symbol.digits, &number.digits)?;
    Some(read.map(|(branch, account)| AccountText { branch_number: Some(branch), account_number: account }))
}

/// Pads with zeros at the left; zeros too many at the left are dropped.
pub(super) fn padded(digits: &str, length: u8) -> Result<String, AccountTextError> {
    let length = usize::from(length);
    let significant = digits.trim_start_matches('0');
    if significant.len() > length {
        return Err(AccountTextError::TooManyDigits);
    }
    Ok(format!("{significant:0>length$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BANK: AccountFormat = AccountFormat { account_digits: 7, branch_digits: 3 };
    const POWER: AccountFormat = AccountFormat { account_digits: 10, branch_digits: 3 };

    #[track_caller]
    fn check(format: AccountFormat, text: &str, branch: Option<&str>, account: &str) {
        let expected =
            AccountText { branch_number: branch.map(str::to_owned), account_number: account.to_owned() };
        let read = parse_account_text(text, &format);
        assert!(read == Ok(expected), "{text}: {:?}", read.map(|a| (a.branch_number, a.account_number)));
    }

    #[track_caller]
    fn fails(format: AccountFormat, text: &str, expected: AccountTextError) {
        assert_eq!(parse_account_text(text, &format), Err(expected), "{text}");
    }

    #[test]
    fn width_sentence_and_deposit_don_t_matter() {
        for text in [
            "7624550",
            " ７６２４５５０ ",
            "口座番号は7624550です",
            "（普）7624550",
            "普通 7624550",
            "普通預金7624550",
            "7624550（普通）",
            "No.7624550",
            "口座番号 762-4550",
            "76 24 550",
            "私の口座は1つで、7624550です。",
            "七六二四五五〇",
            "7,624,550",
            "07624550",
            "0007624550",
            "7624550\n",
        ] {
            check(BANK, text, None, "7624550");
        }
    }

    #[test]
    fn a_branch_may_stand_before_the_number() {
        for text in [
            "012-7624550",
            "０１２－７６２４５５０",
            "012 7624550",
            "0127624550",
            "012ー7624550",
            "012−762−4550",
            "012/7624550",
            "012:7624550",
            "012：普：7624550",
            "012の7624550",
            "店番012 口座番号7624550",
            "店番：０１２　普通　７６２４５５０",
            "012支店 7624550",
            "012（普）7624550",
            "012-普通-7624550",
            "支店番号は012、口座番号は7624550です",
            "口座番号7624550（支店番号012）",
            "新宿支店(012) 普通 7624550",
            "支店コード 12 口座 7624550",
        ] {
            check(BANK, text, Some("012"), "7624550");
        }
    }

    #[test]
    fn leading_zeros_are_put_back() {
        check(BANK, "76317", None, "0076317");
        check(BANK, "760-76317", Some("760"), "0076317");
        check(BANK, "店番123 口座4567", Some("123"), "0004567");
        check(POWER, "841391963", None, "0841391963");
        assert_eq!(account_key("76317", &BANK), Ok("0076317".to_owned()));
        assert_eq!(account_key("０８４１－３９１－９６３", &POWER), Ok("0841391963".to_owned()));
    }

    #[test]
    fn customer_numbers_may_be_grouped() {
        for text in [
            "0841391963",
            "お客様番号は0841391963です",
            "084-1391-963",
            "084-1391963",
            "お客様番号 084-1391963",
            "0841 391 963",
            "０８４１３９１９６３",
        ] {
            check(POWER, text, None, "0841391963");
        }
        check(POWER, "411-0841391963", Some("411"), "0841391963");
        check(POWER, "4110841391963", Some("411"), "0841391963");
    }

    #[test]
    fn symbol_and_number_of_japan_post_become_branch_and_account() {
        for text in [
            "記号14030 番号12345671",
            "14030-12345671",
            "１４０３０－１２３４５６７１",
            "記号：14030、番号：12345671",
            "14030-1-12345671",
        ] {
            check(BANK, text, Some("408"), "1234567");
        }
        fails(BANK, "記号14030 番号12345771", AccountTextError::CheckDigit);
        fails(POWER, "14030-12345671", AccountTextError::TooManyDigits);
    }

    #[test]
    fn digits_are_never_guessed() {
        fails(BANK, "762-4550", AccountTextError::Ambiguous);
        fails(BANK, "7624550か7624551です", AccountTextError::Ambiguous);
        fails(BANK, "0126-079332", AccountTextError::TooManyDigits);
        fails(BANK, "12345678", AccountTextError::TooManyDigits);
        fails(BANK, "090-1234-5678", AccountTextError::TooManyDigits);
        fails(BANK, "012", AccountTextError::NoNumber);
        fails(BANK, "店番012", AccountTextError::NoNumber);
        fails(BANK, "わかりません", AccountTextError::NoNumber);
        fails(BANK, "", AccountTextError::NoNumber);
        fails(BANK, &"1 ".repeat(3000), AccountTextError::TextTooLong);
        assert_eq!(account_key("A123", &BANK), Err(AccountTextError::NoNumber));
        assert_eq!(account_key("", &BANK), Err(AccountTextError::NoNumber));
        assert_eq!(account_key("12345678", &BANK), Err(AccountTextError::TooManyDigits));
    }
}
