//! How fast names, readings and addresses are normalised, compared and decided on, on one core.
//!
//! `cargo run --release -p musubi-matching --example speed`. NFKC alone is measured beside, in the same run: it is the
//! floor of everything that reads raw text.

use std::hint::black_box;
use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use musubi_matching::{
    AccountText, AddressForm, CustomerRecord, Identity, KanaForm, NameForm, Policy, PreparedIdentity,
    PreparedRecord, Strength, compare_addresses, compare_names, decide_prepared,
};
use unicode_normalization::UnicodeNormalization as _;

const NAMES: [&str; 8] = [
    "渡辺 栄治",
    "髙橋　ひより",
    "佐々木花子",
    "ﾜﾀﾅﾍﾞ ｴｲｼﾞ",
    "小野寺 龍之介",
    "NGUYEN VAN AN",
    "濵田 惠",
    "一ノ瀬 翔太",
];
const KANA: [&str; 4] = ["ワタナベ エイジ", "ﾜﾀﾅﾍﾞ ｴｲｼﾞ", "たかはし ひより", "リュウザキ ショウタ"];
const ADDRESSES: [&str; 6] = [
    "東京都目黒区鷹番三丁目8-2 コーポ松本101",
    "神奈川県横浜市保土ケ谷区星川1丁目12番34号",
    "北海道札幌市中央区北三条西七丁目8-2",
    "京都府京都市中京区寺町通御池上る上本能寺前町488",
    "福島県須賀川市大字西川字原前12番地の3",
    "東京都世田谷区二子玉川１－４－５　グランドハイツ１２０５",
];

fn main() -> io::Result<()> {
    let names = NAMES.map(NameForm::new);
    let addresses = ADDRESSES.map(AddressForm::new);
    let row = CustomerRecord {
        customer_id: "C1".to_owned(),
        name: "渡辺 栄治".to_owned(),
        name_kana: "ワタナベ エイジ".to_owned(),
        birth_date: "1984-07-11".to_owned(),
        address: ADDRESSES[0].to_owned(),
        branch_number: "012".to_owned(),
        account_number: "0076317".to_owned(),
    };
    let identity = Identity {
        name: "渡邉栄治".to_owned(),
        name_kana: Some("ﾜﾀﾅﾍﾞ ｴｲｼﾞ".to_owned()),
        birth_date: "319840711".to_owned(),
        address: "東京都目黒区鷹番3-8-2".to_owned(),
        strength: Strength::Strong,
    };
    let account = AccountText { branch_number: None, account_number: row.account_number.clone() };
    let rows = [PreparedRecord::new(&row)];
    let prepared = PreparedIdentity::new(&identity);
    let policy = Policy::default();
    let kept_record = rows[0].to_bytes();
    let kept: Vec<Vec<u8>> = names.iter().map(NameForm::to_bytes).collect();

    measure("NFKC of names alone", |i| drop(black_box(NAMES[i % NAMES.len()].nfkc().collect::<String>())))?;
    measure("names normalised", |i| drop(black_box(NameForm::new(black_box(NAMES[i % NAMES.len()])))))?;
    measure("readings normalised", |i| drop(black_box(KanaForm::new(black_box(KANA[i % KANA.len()])))))?;
    measure("NFKC of addresses alone", |i| {
        drop(black_box(ADDRESSES[i % ADDRESSES.len()].nfkc().collect::<String>()));
    })?;
    measure("addresses normalised", |i| {
        drop(black_box(AddressForm::new(black_box(ADDRESSES[i % ADDRESSES.len()]))));
    })?;
    measure("names read from bytes", |i| drop(black_box(NameForm::from_bytes(&kept[i % kept.len()]))))?;
    measure("records read from bytes", |_| {
        drop(black_box(PreparedRecord::from_bytes("C1", black_box(&kept_record))));
    })?;
    measure("prepared names compared", |i| {
        drop(black_box(names[i % names.len()].compare(&names[(i / 3) % names.len()])));
    })?;
    measure("prepared addresses compared", |i| {
        drop(black_box(addresses[i % addresses.len()].compare(&addresses[(i / 3) % addresses.len()])));
    })?;
    measure("raw names compared", |i| {
        drop(black_box(compare_names(NAMES[i % NAMES.len()], NAMES[(i / 3) % NAMES.len()])));
    })?;
    measure("raw addresses compared", |i| {
        let (left, right) = (i % ADDRESSES.len(), (i / 3) % ADDRESSES.len());
        drop(black_box(compare_addresses(ADDRESSES[left], ADDRESSES[right])));
    })?;
    measure("prepared decisions", |_| {
        drop(black_box(decide_prepared(black_box(&rows), &account, black_box(&prepared), &policy)));
    })?;
    measure("decisions with a raw identity", |_| {
        let identity = PreparedIdentity::new(black_box(&identity));
        drop(black_box(decide_prepared(&rows, &account, &identity, &policy)));
    })
}

/// Runs it for half a second and shows how often in a second.
fn measure(what: &str, mut run: impl FnMut(usize)) -> io::Result<()> {
    (0..10_000).for_each(&mut run);
    let (begin, mut count) = (Instant::now(), 0_usize);
    while begin.elapsed() < Duration::from_millis(500) {
        (count..count + 1000).for_each(&mut run);
        count += 1000;
    }
    let nanoseconds = begin.elapsed().as_nanos() as f64 / count as f64;
    writeln!(io::stdout(), "{what:<32}{:>12.0} /s{nanoseconds:>10.0} ns", 1e9 / nanoseconds)
}
