//! What digests decide beside what the plain master decides: never confirmed by digests alone, and as often as can be by both.

mod processor;

use std::{cell::Cell, time::Duration};

use musubi_domain::{
    blind::{BlindCustomer, DigestKey},
    customer::Customer,
    id::CustomerId,
};
use musubi_matching::{
    AccountText, Decision, Identity, Outcome, Policy, PreparedIdentity, RULES_VERSION, Strength, blinded,
    check_digests, decide_blind, decide_prepared, prepare,
};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

/// Words of which some are one name or reading, and others nearly.
const NAMES: &[&str] = &[
    "渡邉 栄治",
    "渡辺栄治",
    "渡邊　栄治",
    "渡 辺栄治",
    "渡部 栄治",
    "渡〓栄治",
    "渡\u{E000}栄治",
    "渡辺［森］栄治",
    "ワタナベ エイジ",
    "ﾜﾀﾅﾍﾞｴｲｼﾞ",
    "ﾜﾀﾅﾍﾞ ｴｲｼﾞﾖｳ",
    "ワタナベ エイジョウ",
    "辨野 光",
    "瓣野 光",
    "弁野光",
    "岸 しおか",
    "岸 シオカ",
    "岸 しぉか",
    "NGUYEN VAN AN",
    "An Nguyen Van",
    "NGUYEN VANAN",
    "A AA",
    "AA A",
    "Ü-Li",
    "ULI",
    "佐々木 ミ\u{FDD0}",
    "",
    "\u{FDD1}",
];
const READINGS: &[&str] = &[
    "ワタナベ エイジ",
    "ﾜﾀﾅﾍﾞｴｲｼﾞ",
    "わたなべ えいじ",
    "ワタナベ エージ",
    "ワタナヘ エイジ",
    "ワタナベ エイヂ",
    "エイジ ワタナベ",
    "キョウコ",
    "キヨウコ",
    "ｷﾖｳｺ",
    "キョウコ ョ",
    "ヴァヲ",
    "ヴアォ",
    "バオ",
    "ブオ",
    "コーウヴ",
    "コウヴー",
    "",
    "？",
];
const DAYS: &[&str] =
    &["1984-07-11", "319840711", "昭和59年7月11日", "1984-11-07", "1984-07-12", "", "1990-01-01"];

fn of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

/// Addresses of which many are one.
fn address() -> impl Strategy<Value = String> {
    let parts: [&[&str]; 6] = [
        &["", "東京都", "京都府", "千葉県"],
        &["", "目黒区", "京都市中京区", "西多摩郡瑞穂町", "市川市", "中京区", "瑞穂町"],
        &[
            "",
            "鷹番",
            "大字西川字原前",
            "西川",
            "緑ヶ丘",
            "緑が丘",
            "緑ケ丘",
            "緑け丘",
            "寺町通御池上る",
            "十余二",
            "●番",
            "辨天",
            "瓣天",
            "弁天",
        ],
        &["", "三丁目", "3丁目", "3-", "三番町", "北3条西4丁目", "3番地"],
        &["", "8-2", "8番2号", "８－２", "8番地の2", "82", "8", "8-2-101", "二番一号", "17甲", "17"],
        &[
            "",
            " コーポ松本101",
            "コーポ松本",
            "101号室",
            " ｺ-ﾎﾟ松本 一〇一",
            "コーポ松本102",
            "甲",
            " 第2青葉荘",
            " 第二青葉荘",
            "コーポ緑ヶ丘101",
            "コーポ緑が丘101",
        ],
    ];
    parts.map(prop::sample::select).prop_map(|parts| parts.concat())
}

fn branch() -> impl Strategy<Value = String> {
    of(&["", "012", "12", "013"])
}

fn named(id: &str) -> CustomerId {
    id.parse().unwrap_or_else(|error| panic!("{error}"))
}

prop_compose! {
    fn customer(id: &'static str)(
        name in of(NAMES), name_kana in of(READINGS), birth_date in of(DAYS), address in address(), branch_number in branch(),
    ) -> Customer {
        Customer {
            customer_id: named(id),
            name, name_kana, birth_date, address, branch_number,
            account_number: "76317".to_owned(),
            account_key: "0076317".to_owned(),
            identity_verification: String::new(),
        }
    }
}

prop_compose! {
    fn identity()(
        name in of(NAMES), kana in prop::option::of(of(READINGS)), birth_date in of(DAYS), address in address(), weak in 0..8,
    ) -> Identity {
        let strength = if weak == 0 { Strength::Weak } else { Strength::Strong };
        Identity { name, name_kana: kana, birth_date, address, strength }
    }
}

/// Somebody who has much of a customer.
fn like(customer: Customer) -> impl Strategy<Value = (Customer, Identity)> {
    let mixed = (identity(), prop::array::uniform4(prop::bool::weighted(0.7)));
    mixed.prop_map(move |(mut identity, [name, kana, born, address])| {
        if name {
            identity.name.clone_from(&customer.name);
        }
        if kana {
            identity.name_kana = Some(customer.name_kana.clone());
        }
        if born {
            identity.birth_date.clone_from(&customer.birth_date);
        }
        if address {
            identity.address.clone_from(&customer.address);
        }
        (customer.clone(), identity)
    })
}

fn policy() -> impl Strategy<Value = Policy> {
    prop::array::uniform5(prop::bool::weighted(0.2)).prop_map(|[branch, whole, written, reading, kanji]| {
        Policy {
            branch_required: branch,
            whole_address_required: whole,
            written_name_required: written,
            reading_required: reading,
            same_kanji_required: kanji,
        }
    })
}

/// By the plain rows and by digests of them.
fn both(rows: &[Customer], branch: &str, identity: &Identity, policy: &Policy) -> (Decision, Decision, bool) {
    let account = AccountText {
        branch_number: (!branch.is_empty()).then(|| branch.to_owned()),
        account_number: "0076317".to_owned(),
    };
    let prepared = PreparedIdentity::new(identity);
    let plain: Vec<_> = rows.iter().map(prepare).collect();
    let plain = decide_prepared(&plain, &account, &prepared, policy);
    let key = DigestKey::new([9; 32]);
    let digests: Vec<BlindCustomer> = rows.iter().map(|row| blinded(row, &key)).collect();
    assert!(digests.iter().all(|row| check_digests(&row.digests).is_ok()));
    let (blind, certain) = decide_blind(&digests, &key, "0076317", &account, &prepared, policy);
    (plain, blind, certain)
}

#[test]
fn nobody_is_confirmed_by_digests_whom_the_master_does_not_confirm() {
    let both_ways =
        (customer("C1").prop_flat_map(like), prop::option::weighted(0.2, customer("C2")), branch(), policy());
    let (by_master, by_digests) = (Cell::new(0), Cell::new(0));
    let config = Config { cases: 10_000, failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&both_ways, |((row, identity), other, branch, policy)| {
        let rows: Vec<Customer> = [row].into_iter().chain(other).collect();
        let (plain, blind, certain) = both(&rows, &branch, &identity, &policy);
        by_master.set(by_master.get() + u32::from(plain.outcome == Outcome::Confirmed));
        if blind.outcome == Outcome::Confirmed {
            by_digests.set(by_digests.get() + 1);
            prop_assert_eq!(plain.outcome, Outcome::Confirmed, "{:?} {:?}", plain, blind);
            prop_assert_eq!(&plain.customer_id, &blind.customer_id);
            prop_assert!(certain);
        }
        // What the master may decide otherwise is no certain rejection.
        if certain && blind.outcome == Outcome::Rejected {
            prop_assert_eq!(plain.outcome, Outcome::Rejected, "{:?} {:?}", plain, blind);
        }
        Ok(())
    });
    outcome.unwrap();
    let (by_master, by_digests) = (by_master.get(), by_digests.get());
    // Else this would hold of digests that confirm nobody.
    assert!(by_digests > 300 && by_digests * 5 > by_master * 3, "{by_digests} of {by_master}");
}

fn taro() -> Customer {
    Customer {
        customer_id: named("C1"),
        name: "渡辺 栄治".to_owned(),
        name_kana: "ワタナベ エイジ".to_owned(),
        birth_date: "1984-07-11".to_owned(),
        address: "東京都目黒区鷹番三丁目8-2 コーポ松本101".to_owned(),
        branch_number: "012".to_owned(),
        account_number: "76317".to_owned(),
        account_key: "0076317".to_owned(),
        identity_verification: String::new(),
    }
}

fn attested() -> Identity {
    Identity {
        name: "渡邉栄治".to_owned(),
        name_kana: Some("ﾜﾀﾅﾍﾞ ｴｲｼﾞ".to_owned()),
        birth_date: "319840711".to_owned(),
        address: "目黒区鷹番3-8-2".to_owned(),
        strength: Strength::Strong,
    }
}

#[track_caller]
fn check(edit: impl Fn(&mut Identity), outcome: Outcome, reason: &str) {
    let mut identity = attested();
    edit(&mut identity);
    let (_, blind, _) = both(&[taro()], "", &identity, &Policy::default());
    assert_eq!(blind.outcome, outcome, "{blind:?}");
    assert!(blind.reasons.iter().any(|it| it.as_str() == reason), "{blind:?}");
}

#[test]
fn the_customer_is_confirmed_by_digests_in_another_spelling() {
    check(|_| {}, Outcome::Confirmed, "name.official_form");
    check(|_| {}, Outcome::Confirmed, "address.building_missing");
    check(|it| it.name_kana = Some("ワタナベ エージ".to_owned()), Outcome::Confirmed, "kana.long_vowel");
    check(
        |it| it.address = "東京都鷹番３丁目８番２号".to_owned(),
        Outcome::Confirmed,
        "address.municipality_missing",
    );
    check(
        |it| it.address = "東京都目黒区鷹番3-8-2 101号室".to_owned(),
        Outcome::Confirmed,
        "address.building_missing",
    );
}

#[test]
fn what_digests_do_not_tell_is_for_people_or_rejected() {
    check(|it| it.name = "渡部栄治".to_owned(), Outcome::Review, "name.unequal");
    check(|it| it.name_kana = Some("ワタナヘ エイジ".to_owned()), Outcome::Review, "kana.unequal");
    check(|it| it.address = "大阪府大阪市北区大淀中2-1-30".to_owned(), Outcome::Review, "address.unequal");
    check(|it| it.address = "東京都目黒区鷹番3-8-3".to_owned(), Outcome::Review, "address.unequal");
    check(|it| it.birth_date = "1984-11-07".to_owned(), Outcome::Rejected, "birth_date.unequal");
    check(|it| it.strength = Strength::Weak, Outcome::Review, "identity.weak");
    let stranger = |it: &mut Identity| {
        it.name = "渡部栄治".to_owned();
        it.address = "大阪府大阪市北区大淀中2-1-30".to_owned();
    };
    check(stranger, Outcome::Rejected, "address.unequal");
}

#[test]
fn rows_of_one_number_are_told_apart_by_the_branch_and_never_guessed() {
    let other = Customer {
        customer_id: named("C2"),
        name: "森 永太".to_owned(),
        birth_date: "1950-01-02".to_owned(),
        branch_number: "013".to_owned(),
        ..taro()
    };
    for (branch, outcome, sure) in
        [("012", Outcome::Confirmed, true), ("", Outcome::Review, false), ("013", Outcome::Rejected, false)]
    {
        let (plain, blind, certain) = both(&[taro(), other.clone()], branch, &attested(), &Policy::default());
        assert_eq!((blind.outcome, certain), (outcome, sure), "{branch}: {plain:?} {blind:?}");
    }
    let (_, none, certain) = both(&[], "", &attested(), &Policy::default());
    assert!(none.outcome == Outcome::Rejected && certain, "no such number is certain");
}

#[test]
fn nothing_of_a_customer_stands_in_the_digests_and_no_two_customers_share_one() {
    let key = DigestKey::new([9; 32]);
    let [one, two] =
        [blinded(&taro(), &key), blinded(&Customer { customer_id: named("C2"), ..taro() }, &key)];
    assert_eq!(one.account, two.account, "a row is found by its number");
    let shared =
        one.digests.windows(16).filter(|digest| two.digests.windows(16).any(|other| other == *digest));
    assert_eq!(shared.count(), 0, "twins look different");
    let kept = prepare(&taro()).to_bytes();
    for form in ["渡辺", "栄治", "ワタナベ", "76317"].map(str::as_bytes) {
        let stands = |bytes: &[u8]| bytes.windows(form.len()).any(|part| part == form);
        assert!(stands(&kept), "the search would find it");
        assert!(!stands(&one.digests));
    }
    let unborn = blinded(&Customer { birth_date: String::new(), ..taro() }, &key);
    assert!(unborn.digests.len() < 32, "without a birth date nothing may be looked for");
}

#[test]
fn digests_are_those_of_this_version_of_the_rules() {
    let blind = blinded(&taro(), &DigestKey::new([9; 32]));
    let print = [&blind.account[..], &blind.digests]
        .concat()
        .iter()
        .fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01B3));
    // A change here must raise RULES_VERSION: other digests are compared with those that companies have entrusted.
    assert_eq!((RULES_VERSION, blind.digests.len(), print), (2, 258, 11_684_759_135_456_733_574));
}

#[test]
fn no_row_is_too_long_to_be_taken_and_no_text_takes_long() {
    let texts = [
        "1-".repeat(2_000),
        "3丁目".repeat(500),
        "邊".repeat(1_300),
        format!("{}邊邊邊邊邊邊邊", "あ".repeat(1_300)),
        "ー".repeat(1_300),
        "アー".repeat(600),
        "A ".repeat(2_000),
        "あ".repeat(2_000),
    ];
    let begin = processor::time().unwrap();
    for text in &texts {
        let row = Customer {
            name: text.clone(),
            name_kana: text.clone(),
            address: format!("東京都目黒区{text}"),
            ..taro()
        };
        let identity = Identity {
            name: format!("{text}渡"),
            name_kana: Some(format!("{text}ア")),
            address: format!("東京都目黒区{text}9"),
            ..attested()
        };
        let (_, blind, _) = both(&[row], "", &identity, &Policy::default());
        assert_ne!(blind.outcome, Outcome::Confirmed);
    }
    let took = processor::time().unwrap() - begin;
    assert!(took < Duration::from_secs(20), "{took:?}");
}
