//! What must hold for every text, not only for those in the tables.

mod processor;

use std::time::Duration;

use musubi_matching::{
    AccountFormat, AccountText, Comparison, CustomerRecord, Identity, Outcome, Policy, Strength, account_key,
    compare_addresses, compare_birth_dates, compare_kana, compare_names, decide, parse_account_text,
    parse_birth_date,
};
use proptest::prelude::*;

const BANK: AccountFormat = AccountFormat { account_digits: 7, branch_digits: 3 };

/// Texts made of what the grammars look for, which random Unicode would seldom hit.
fn japanese() -> impl Strategy<Value = String> {
    let words = [
        "東京都",
        "横浜市",
        "北区",
        "知多郡",
        "東浦町",
        "大字",
        "字",
        "丁目",
        "番地",
        "番",
        "号",
        "号室",
        "の",
        "ノ",
        "ケ",
        "ヶ",
        "々",
        "一",
        "二十三",
        "百",
        "3",
        "17",
        "０",
        "-",
        "－",
        "ー",
        "一",
        " ",
        "　",
        "髙",
        "高",
        "斉",
        "斎",
        "邊",
        "上る",
        "東入ル",
        "京都市",
        "ｷﾞ",
        "ギ",
        "キ゛",
        "ョ",
        "（",
        "）",
        "〓",
        "普",
        "店番",
        "記号",
        "昭和",
        "S",
        "葛\u{E0100}",
        "\u{0}",
        "é",
        "A",
        "・",
        "コーポ",
        "松本",
        "条",
        "第",
        "地割",
        "〒",
        "123-4567",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..24).prop_map(|words| words.concat())
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![3 => japanese(), 1 => any::<String>()]
}

/// A town that no rule touches, and lot numbers.
fn lots() -> impl Strategy<Value = (u32, u32, u32)> {
    (1_u32..9, 1_u32..60, 1_u32..60)
}

proptest! {
    #[test]
    fn nothing_panics_and_comparisons_are_symmetric(left in any_text(), right in any_text()) {
        prop_assert_eq!(compare_names(&left, &right), compare_names(&right, &left));
        prop_assert_eq!(compare_kana(&left, &right), compare_kana(&right, &left));
        prop_assert_eq!(compare_addresses(&left, &right), compare_addresses(&right, &left));
        prop_assert_eq!(compare_birth_dates(&left, &right), compare_birth_dates(&right, &left));
        let _ = parse_account_text(&left, &BANK);
        let _ = parse_birth_date(&left);
        let _ = account_key(&left, &BANK);
    }

    #[test]
    fn a_text_is_never_different_from_itself(text in any_text()) {
        prop_assert_ne!(compare_names(&text, &text).comparison, Comparison::Different);
        prop_assert_ne!(compare_kana(&text, &text).comparison, Comparison::Different);
        prop_assert_ne!(compare_addresses(&text, &text).comparison, Comparison::Different);
        prop_assert_ne!(compare_birth_dates(&text, &text).comparison, Comparison::Different);
    }

    #[test]
    fn the_normal_form_of_an_account_is_its_own_normal_form(branch in 1_u32..1000, number in 0_u32..10_000_000) {
        for text in [format!("{branch:03}-{number:07}"), format!("店番{branch:03} 普通{number:07}"), format!("{branch:03}{number:07}")] {
            let read = parse_account_text(&text, &BANK);
            let expected = AccountText { branch_number: Some(format!("{branch:03}")), account_number: format!("{number:07}") };
            prop_assert_eq!(read.as_ref(), Ok(&expected));
            let again = account_key(&expected.account_number, &BANK);
            prop_assert_eq!(again.as_ref(), Ok(&expected.account_number));
        }
    }

    #[test]
    fn a_day_is_read_back_from_every_shape(days in 0_i32..54_000) {
        let day = jiff::civil::date(1873, 1, 1) + jiff::Span::new().days(days);
        let (y, m, d) = (day.year(), day.month(), day.day());
        for text in [format!("{y}-{m:02}-{d:02}"), format!("{y}年{m}月{d}日"), format!("{y}{m:02}{d:02}"), format!("0{y}{m:02}{d:02}"), format!("{y}/{m}/{d}")] {
            prop_assert_eq!(parse_birth_date(&text), Ok(day));
        }
    }

    #[test]
    fn a_changed_or_moved_digit_is_never_the_same_house(left in lots(), right in lots(), room in 1_u32..999, other in 1_u32..999) {
        prop_assume!(left != right);
        let bare = |(c, l, h): (u32, u32, u32)| format!("東京都目黒区鷹番{c}-{l}-{h}");
        let full = |(c, l, h): (u32, u32, u32)| format!("東京都目黒区鷹番{c}丁目{l}番{h}号");
        prop_assert_eq!(compare_addresses(&bare(left), &full(right)).comparison, Comparison::Different);
        prop_assert_eq!(compare_addresses(&bare(left), &full(left)).comparison, Comparison::Equal);
        let glued = format!("東京都目黒区鷹番{}-{}{}", left.0, left.1, left.2);
        prop_assert_ne!(compare_addresses(&bare(left), &glued).comparison, Comparison::Equal);
        prop_assume!(room != other);
        let rooms = (format!("{} コーポ松本{room}", bare(left)), format!("{} コーポ松本{other}号室", full(left)));
        prop_assert_eq!(compare_addresses(&rooms.0, &rooms.1).comparison, Comparison::Different);
    }

    #[test]
    fn only_equal_parts_confirm(name in any_text(), kana in any_text(), birth in any_text(), address in any_text(), branch in prop::option::of("[0-9]{3}")) {
        let row = CustomerRecord {
            customer_id: "C1".to_owned(), name: "渡辺 栄治".to_owned(), name_kana: "ワタナベ エイジ".to_owned(), birth_date: "1984-07-11".to_owned(),
            address: "東京都目黒区鷹番三丁目8-2".to_owned(), branch_number: "012".to_owned(), account_number: "0076317".to_owned(),
        };
        let identity = Identity { name, name_kana: Some(kana), birth_date: birth, address, strength: Strength::Strong };
        let account = AccountText { branch_number: branch, account_number: "0076317".to_owned() };
        let decision = decide(std::slice::from_ref(&row), &account, &identity, &Policy::default());
        if decision.outcome == Outcome::Confirmed {
            prop_assert_eq!(compare_names(&row.name, &identity.name).comparison, Comparison::Equal);
            prop_assert_eq!(compare_birth_dates(&row.birth_date, &identity.birth_date).comparison, Comparison::Equal);
            prop_assert_eq!(compare_addresses(&row.address, &identity.address).comparison, Comparison::Equal);
        }
        let weak = Identity { strength: Strength::Weak, ..identity };
        prop_assert_ne!(decide(&[row], &account, &weak, &Policy::default()).outcome, Outcome::Confirmed);
    }
}

/// Units of which no parser may take more than linear time.
const NASTY: [&str; 34] = [
    "一",
    "十",
    "二十",
    "（",
    "1 ",
    "1-",
    "々",
    "の1",
    "字",
    "大字",
    "上る",
    "東入",
    "●",
    "ー",
    "-",
    "丁目",
    "一丁目",
    "1丁目",
    "番",
    "号",
    "条",
    "第1",
    "地割",
    "甲",
    "イの",
    "区",
    "市",
    "A ",
    "ア",
    "ヴィ",
    "II",
    "1F",
    "普1",
    "昭和",
];

/// The longest text of a unit, behind what opens the slow paths.
fn long(before: &str, unit: &str) -> String {
    format!("{before}{}", unit.repeat((4096 - before.len()) / unit.len()))
}

/// What a text may take of a processor; in a build without optimisation all comparisons of one take about a tenth.
const AT_ONCE: Duration = Duration::from_millis(200);

#[test]
fn the_longest_inputs_are_answered_at_once() {
    for unit in NASTY {
        for before in ["", "京都市中京区", "目黒区鷹番1-2", "目黒区鷹番三", "佐藤［", "記号1"]
        {
            let (long, other) = (long(before, unit), long("京都市", &format!("{unit}{unit}")));
            let begin = processor::time().unwrap();
            assert_ne!(compare_names(&long, &other).comparison, Comparison::Equal);
            assert_ne!(compare_kana(&long, &other).comparison, Comparison::Equal);
            assert_ne!(compare_addresses(&long, &other).comparison, Comparison::Equal);
            let shorter = &long[..long.len() - unit.len()];
            assert_eq!(compare_addresses(&long, shorter), compare_addresses(shorter, &long));
            let _any = parse_account_text(&long, &BANK);
            assert!(parse_birth_date(&long).is_err());
            let took = processor::time().unwrap() - begin;
            assert!(took < AT_ONCE, "{before}{unit}… takes {took:?}");
        }
    }
}
