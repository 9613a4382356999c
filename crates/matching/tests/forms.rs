//! Forms that a store keeps: what changes them must raise the version of the rules.

use musubi_matching::{AddressForm, KanaForm, NameForm, RULES_VERSION};

const NAMES: [&str; 8] = [
    "Đặng Văn An",
    "渡〇光様",
    "渡邉　栄治",
    "佐々木花子",
    "佐藤［旧氏：鈴木］花子",
    "O'Brien-Smith José",
    "ｷｸﾁ ﾋﾖﾘ",
    "渡●光",
];
const READINGS: [&str; 4] = ["ﾜﾀﾅﾍﾞ ｴｲｼﾞ", "きくち・ひより", "ミスヾ", "ﾕ-ｺ"];
const ADDRESSES: [&str; 8] = [
    "〒152-0004 東京都目黒区鷹番三丁目８番２号　コーポ松本101",
    "北海道札幌市中央区北一条西二丁目3番地4",
    "京都市中京区寺町通御池上ル上本能寺前町488",
    "福島県須賀川市大字西川字原前12番地の3",
    "愛知県弥富市又八四丁目12-34",
    "岩手県九戸郡洋野町種市第3地割12番地1",
    "福島県伊達市字北原二一番一号 第2青葉荘",
    "京都市中京区御倉町(三条通烏丸西入)80 青葉ビル地下1階",
];

#[test]
fn a_changed_form_raises_the_version() {
    let names = NAMES.iter().map(|text| NameForm::new(text).to_bytes());
    let readings = READINGS.iter().map(|text| KanaForm::new(text).to_bytes());
    let addresses = ADDRESSES.iter().map(|text| AddressForm::new(text).to_bytes());
    let bytes = names.chain(readings).chain(addresses).flatten();
    let print =
        bytes.fold(0xCBF2_9CE4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01B3));
    assert_eq!(
        (RULES_VERSION, print),
        (2, 1_975_298_255_293_470_795),
        "raise RULES_VERSION, and write the new print here"
    );
}
