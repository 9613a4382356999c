//! Addresses, part by part: what is missing on one side is neutral, what contradicts is different.
//!
//! The place of one side must be the whole place of the other, or what follows its county, city or ward. Numbers must
//! be the same list; there is no "near".
//!
//! The surprising thing: a number behind the house number may be the room of the other side's building. It is taken
//! for it only when lot and house number are surely there; else 48-235 and lot 48 with room 235 would be one.

mod building;
mod reading;

use super::{Compared, Comparison, Field};
use crate::Reason;
use crate::normalise::address::{Address, AddressForm, Number, Piece, Unit};
use crate::normalise::characters::positional_digit;
use crate::normalise::kanji::{Kinship, relate};
use building::buildings;

/// Compares two addresses. Equal when every part that both have is equal but for spelling; for review when numbers or
/// building are given only in part, Kyoto streets differ, characters are only weakly related, or the two are one house in
/// another reading only; otherwise different.
#[must_use]
pub fn compare_addresses(left: &str, right: &str) -> Compared {
    AddressForm::new(left).compare(&AddressForm::new(right))
}

impl AddressForm {
    /// As [`compare_addresses`].
    #[must_use]
    pub fn compare(&self, other: &Self) -> Compared {
        let compared = self.compare_shown(other);
        if compared.comparison != Comparison::Different || (self.masked.is_none() && other.masked.is_none()) {
            return compared;
        }
        let (l, r) = (self.masked.as_deref().unwrap_or(self), other.masked.as_deref().unwrap_or(other));
        if l.compare_shown(r).comparison == Comparison::Different {
            return compared;
        }
        Compared::new(Comparison::Review, [Reason::AddressReplacedCharacter])
    }

    /// Compares what is shown, whatever was replaced.
    fn compare_shown(&self, other: &Self) -> Compared {
        let (Some(l), Some(r)) = (&self.address, &other.address) else {
            return Compared::new(Comparison::Review, [Reason::AddressMissing]);
        };
        let mut parts = vec![];
        prefectures(l, r, &mut parts);
        streets(l, r, &mut parts);
        let mut house = vec![];
        places(l, r, &mut house);
        let room_behind_lot = numbers(l, r, &mut house);
        let other_reading = (Comparison::Review, Reason::AddressOtherReading);
        if house.iter().all(|part| part.0 != Comparison::Different) {
            house.extend(reading::written_apart(l, r).then_some(other_reading));
        } else if reading::may_be_one(l, r) {
            house = vec![other_reading];
        }
        parts.extend(house);
        if !room_behind_lot {
            buildings(&l.building, &r.building, &mut parts);
        }
        let comparison = parts.iter().map(|part| part.0).max().unwrap_or(Comparison::Equal);
        let reasons = parts.into_iter().map(|part| part.1);
        match comparison {
            Comparison::Equal => Compared::equal(Field::Address, (self.trace, other.trace), reasons),
            Comparison::Review | Comparison::Different => Compared::new(comparison, reasons),
        }
    }
}

type Parts = Vec<(Comparison, Reason)>;

fn prefectures(l: &Address, r: &Address, parts: &mut Parts) {
    match (l.prefecture, r.prefecture) {
        (Some(l), Some(r)) if l != r => {
            parts.push((Comparison::Different, Reason::AddressPrefectureDifferent))
        }
        (Some(_), None) | (None, Some(_)) => {
            parts.push((Comparison::Equal, Reason::AddressPrefectureMissing))
        }
        (Some(_), Some(_)) | (None, None) => {}
    }
}

fn streets(l: &Address, r: &Address, parts: &mut Parts) {
    if l.street.is_empty() != r.street.is_empty() {
        parts.push((Comparison::Equal, Reason::AddressStreetMissing));
    } else if street_key(&l.street) != street_key(&r.street) {
        parts.push((Comparison::Review, Reason::AddressStreetDifferent));
    }
}

/// A Kyoto street without what is written in several ways or left out.
pub(crate) fn street_key(street: &[char]) -> Vec<char> {
    let digit = |c: char| positional_digit(c).map_or(c, |digit| char::from(b'0' + digit));
    let told = street.iter().copied().filter(|c| !"るルがガ通りリ".contains(*c));
    told.map(digit).collect()
}

/// The places: the whole of one against the whole of the other, or against what the other is without its 字 or its
/// county, city or ward; the closest of these counts.
fn places(l: &Address, r: &Address, parts: &mut Parts) {
    let mut best = (relate_places(&l.place, &r.place), (false, false));
    for (long, short) in [(l, r), (r, l)] {
        if best.0.kinship.is_strong() {
            break;
        }
        for (place, missing) in shortened(long, short.aza.is_none()) {
            let related = relate_places(&place, &short.place);
            if related.kinship < best.0.kinship {
                best = (related, missing);
            }
        }
    }
    let (related, (municipality_missing, aza_missing)) = best;
    if let Some(part) = match related.kinship {
        Kinship::Same => None,
        Kinship::KanaScript => Some((Comparison::Equal, Reason::AddressCase)),
        Kinship::Official | Kinship::FamilyRegister => Some((Comparison::Equal, Reason::AddressKanjiVariant)),
        Kinship::Weak => Some((Comparison::Review, Reason::AddressWeakVariant)),
        Kinship::Unknown => Some((Comparison::Review, Reason::AddressUnknownCharacter)),
        Kinship::Unrelated => Some((Comparison::Different, Reason::AddressPlaceDifferent)),
    } {
        parts.push(part);
    }
    let seen = [
        (related.kana_variant, Reason::AddressKanaVariant),
        (municipality_missing, Reason::AddressMunicipalityMissing),
        (aza_missing, Reason::AddressAzaMissing),
    ];
    if related.kinship != Kinship::Unrelated {
        parts.extend(seen.into_iter().filter(|s| s.0).map(|s| (Comparison::Equal, s.1)));
    }
}

/// The place whole, then without parts that people leave out, and whether those are of the municipality or the 字.
pub(crate) fn shortened(address: &Address, aza_too: bool) -> Vec<(Vec<Piece>, (bool, bool))> {
    let (place, ends) = (&address.place, &address.municipality_ends);
    let mut forms: Vec<_> =
        [0].iter().chain(ends).map(|end| (place[*end..].to_vec(), (*end > 0, false))).collect();
    if let [city, ward] = ends[..] {
        forms.push(([&place[..city], &place[ward..]].concat(), (true, false)));
    }
    let name = address.aza.map(|aza| place.len() - aza).filter(|_| aza_too);
    let without_aza = name.map(|name| {
        let cut = |(place, missing): &(Vec<Piece>, (bool, bool))| {
            place
                .len()
                .checked_sub(name)
                .filter(|end| *end > 0)
                .map(|end| (place[..end].to_vec(), (missing.0, true)))
        };
        forms.iter().filter_map(cut).collect::<Vec<_>>()
    });
    forms.into_iter().chain(without_aza.into_iter().flatten()).collect()
}

#[derive(Clone, Copy)]
struct Related {
    kinship: Kinship,
    kana_variant: bool,
}

fn relate_places(l: &[Piece], r: &[Piece]) -> Related {
    let mut related = Related { kinship: Kinship::Same, kana_variant: false };
    if l.len() != r.len() {
        related.kinship = Kinship::Unrelated;
        return related;
    }
    for (l, r) in l.iter().zip(r) {
        let kinship = match (l, r) {
            (Piece::Letter(l), Piece::Letter(r))
                if l != r && place_kana(*l).is_some() && place_kana(*l) == place_kana(*r) =>
            {
                related.kana_variant = true;
                Kinship::Same
            }
            (Piece::Letter(l), Piece::Letter(r)) => relate(*l, *r),
            (Piece::Number(l), Piece::Number(r)) if l == r => Kinship::Same,
            (Piece::Letter(_) | Piece::Number(_), Piece::Letter(_) | Piece::Number(_)) => Kinship::Unrelated,
        };
        related.kinship = related.kinship.max(kinship);
        if kinship == Kinship::Unrelated {
            break;
        }
    }
    related
}

/// Kana in place names that are written in several ways: 緑ケ丘 緑ヶ丘 緑が丘, 一ノ宮 一の宮, 三ツ境 三っ境.
fn place_kana(c: char) -> Option<char> {
    match c {
        'ケ' | 'ヶ' | 'が' | 'ガ' | 'ヵ' => Some('ケ'),
        'ノ' | 'の' | '之' | '乃' => Some('ノ'),
        'ツ' | 'ッ' | 'つ' | 'っ' => Some('ツ'),
        _ => None,
    }
}

/// Compares the numbers; true when a number of one side was the other side's room.
fn numbers(l: &Address, r: &Address, parts: &mut Parts) -> bool {
    let (few, many) = if l.numbers.len() <= r.numbers.len() { (l, r) } else { (r, l) };
    let agree = |few: &[Number], many: &[Number]| {
        let unit = |l: Option<Unit>, r: Option<Unit>| l.is_none() || r.is_none() || l == r;
        few.iter().zip(many).all(|(l, r)| l.value == r.value && unit(l.unit, r.unit))
    };
    let extra = many.numbers.len() - few.numbers.len();
    if !agree(&few.numbers, &many.numbers) {
        let chome_missing = extra == 1
            && !few.numbers.is_empty()
            && many.numbers[0].unit == Some(Unit::Chome)
            && agree(&few.numbers, &many.numbers[1..]);
        parts.push(if chome_missing {
            (Comparison::Review, Reason::AddressNumbersFewer)
        } else {
            (Comparison::Different, Reason::AddressNumbersDifferent)
        });
        return false;
    }
    if extra == 0 {
        return false;
    }
    let behind: Vec<u32> = many.numbers[few.numbers.len()..].iter().map(|n| n.value).collect();
    if many.building.pieces.is_empty() && behind == few.building.numbers() {
        let chome = many.numbers.iter().chain(&few.numbers).any(|n| n.unit == Some(Unit::Chome));
        let house_is_there = few.numbers.len() >= 3 || (few.numbers.len() == 2 && !chome && behind[0] >= 100);
        parts.push((
            if house_is_there { Comparison::Equal } else { Comparison::Review },
            Reason::AddressRoomBehindLot,
        ));
        return true;
    }
    parts.push((Comparison::Review, Reason::AddressNumbersFewer));
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::FOLD_REASONS;

    #[track_caller]
    fn check(left: &str, right: &str, comparison: Comparison, reasons: &[Reason]) {
        let fold = |reason: &Reason| FOLD_REASONS.iter().any(|(_, those)| those.contains(&Some(*reason)));
        for (left, right) in [(left, right), (right, left)] {
            let mut compared = compare_addresses(left, right);
            compared.reasons.retain(|reason| !fold(reason));
            assert_eq!(compared, Compared::new(comparison, reasons.iter().copied()), "{left} {right}");
        }
    }

    const HOME: &str = "東京都目黒区鷹番三丁目8-2 コーポ松本101";

    #[test]
    fn spelling_doesn_t_matter() {
        check(HOME, HOME, Comparison::Equal, &[Reason::AddressIdentical]);
        for other in [
            "東京都目黒区鷹番3-8-2 コーポ松本101",
            "東京都目黒区鷹番三丁目8番地2　コーポ松本101",
            "東京都目黒区鷹番３丁目８－２ コーポ松本101",
            "東京都目黒区鷹番三丁目8番2号コーポ松本101号室",
            "東京都目黒区鷹番三丁目八番二号 ｺｰﾎﾟ松本 一〇一号",
            "〒152-0004東京都目黒区鷹番3—8—2 コ-ポ松本-101",
        ] {
            check(HOME, other, Comparison::Equal, &[]);
        }
        check(
            "大阪府四條畷市大字中野32-5",
            "大阪府四条畷市中野32番5号",
            Comparison::Equal,
            &[Reason::AddressKanjiVariant],
        );
        check(
            "神奈川県茅ヶ崎市緑が浜6-28",
            "神奈川県茅ケ崎市緑ヶ浜6-28",
            Comparison::Equal,
            &[Reason::AddressKanaVariant],
        );
        check(
            "東京都目黒区柿の木坂一丁目8-10",
            "東京都目黒区柿ノ木坂1-8-10",
            Comparison::Equal,
            &[Reason::AddressKanaVariant],
        );
        check("埼玉県越谷市字原前9-3", "埼玉県越谷市原前9番地の3", Comparison::Equal, &[]);
    }

    #[test]
    fn every_fold_is_named() {
        let reasons = |left: &str, right: &str| compare_addresses(left, right).reasons;
        assert_eq!(reasons("目黒区鷹番3-8-2", "目黒区鷹番３-8-2"), [Reason::AddressWidth]);
        assert_eq!(reasons("目黒区鷹番3-8-2", "目黒区鷹番3−8-2"), [Reason::AddressHyphen]);
        assert_eq!(reasons("目黒区鷹番3-8-2", "目黒区 鷹番3-8-2"), [Reason::AddressSpace]);
        assert_eq!(reasons("目黒区鷹番3-8-2", "目黒区鷹番3-8番2号"), [Reason::AddressCounter]);
        assert_eq!(reasons("目黒区鷹番3丁目8-2", "目黒区鷹番三丁目8-2"), [Reason::AddressNumeral]);
        assert_eq!(reasons("越谷市大字原前9", "越谷市原前9"), [Reason::AddressAzaMark]);
    }

    #[test]
    fn what_is_missing_is_neutral() {
        check(HOME, "東京都目黒区鷹番3-8-2", Comparison::Equal, &[Reason::AddressBuildingMissing]);
        check(HOME, "東京都目黒区鷹番3-8-2 101号室", Comparison::Equal, &[Reason::AddressBuildingMissing]);
        check(HOME, "東京都目黒区鷹番3-8-2-101", Comparison::Equal, &[Reason::AddressRoomBehindLot]);
        check(
            "神奈川県横浜市青葉区桂台1-3-2",
            "横浜市青葉区桂台1-3-2",
            Comparison::Equal,
            &[Reason::AddressPrefectureMissing],
        );
        check(
            "神奈川県横浜市青葉区桂台1-3-2",
            "神奈川県青葉区桂台1-3-2",
            Comparison::Equal,
            &[Reason::AddressMunicipalityMissing],
        );
        check(
            "愛知県知多郡東浦町緒川1-3",
            "愛知県東浦町緒川1-3",
            Comparison::Equal,
            &[Reason::AddressMunicipalityMissing],
        );
        check(
            "福島県須賀川市大字西川字原前12-3",
            "福島県須賀川市西川12-3",
            Comparison::Equal,
            &[Reason::AddressAzaMissing],
        );
        check(
            "京都市中京区寺町通御池上る上本能寺前町488",
            "京都市中京区上本能寺前町488番地",
            Comparison::Equal,
            &[Reason::AddressStreetMissing],
        );
    }

    #[test]
    fn county_city_or_ward_may_be_left_out() {
        let (equal, missing) = (Comparison::Equal, Reason::AddressMunicipalityMissing);
        check("静岡県浜松市中央区元城町103-2", "静岡県浜松市元城町103番地の2", equal, &[missing]);
        check("千葉県市川市市川南2-2-10", "千葉県市川南2-2-10", equal, &[missing]);
        check("東京都西多摩郡瑞穂町大字箱根ケ崎2335", "東京都瑞穂町箱根ケ崎2335番地", equal, &[missing]);
        check("北海道余市郡余市町黒川町1-2", "北海道余市町黒川町1-2", equal, &[missing]);
        check("札幌市中央区北1条西2丁目1", "札幌市北一条西2-1", equal, &[missing]);
    }

    #[test]
    fn what_a_person_must_judge() {
        check(
            "東京都目黒区鷹番3-8-2",
            "東京都目黒区鷹番3-8",
            Comparison::Review,
            &[Reason::AddressNumbersFewer],
        );
        check(
            "東京都目黒区鷹番三丁目8-2",
            "東京都目黒区鷹番8-2",
            Comparison::Review,
            &[Reason::AddressNumbersFewer],
        );
        check(
            "千葉県市川市妙典48-235",
            "千葉県市川市妙典48 ハイツ235",
            Comparison::Review,
            &[Reason::AddressRoomBehindLot],
        );
        check(
            "東京都●飾区立石1-2",
            "東京都葛飾区立石1-2",
            Comparison::Review,
            &[Reason::AddressUnknownCharacter],
        );
        check(
            "京都市中京区寺町通御池上る亀屋町1",
            "京都市中京区麩屋町通御池下る亀屋町1",
            Comparison::Review,
            &[Reason::AddressStreetDifferent],
        );
        check(
            "愛媛県松山市中野32-17甲",
            "愛媛県松山市中野32-17",
            Comparison::Review,
            &[Reason::AddressNumbersFewer],
        );
        check(HOME, "", Comparison::Review, &[Reason::AddressMissing]);
    }

    #[test]
    fn a_border_that_can_be_drawn_in_two_ways_is_for_review() {
        let other = [Reason::AddressOtherReading];
        for (left, right) in [
            ("福島県伊達市字北原二1-1", "福島県伊達市字北原二一番一号"),
            ("福島県伊達市字北原二11-1", "福島県伊達市字北原二十一番一号"),
            ("札幌市中央区北三条西四丁目1番地", "札幌市中央区北3西4-1"),
            ("旭川市永山二条四丁目1-2", "旭川市永山2-4-1-2"),
            ("東京都千代田区一番町11", "東京都千代田区一番町十一"),
        ] {
            check(left, right, Comparison::Review, &other);
        }
        check("柏市十余二二番一号", "柏市十余二十二番一号", Comparison::Review, &other);
        check("岩手県滝沢市鵜飼第23地割12", "岩手県滝沢市鵜飼23地割12番地", Comparison::Equal, &[]);
        check("千葉県旭市イの2345", "千葉県旭市イ2345番地", Comparison::Equal, &[]);
        for (left, right) in [
            ("福島県伊達市字北原二1-1", "福島県伊達市字北原二二番一号"),
            ("福島県伊達市字北原21-1", "福島県伊達市字北原2-11"),
            ("札幌市中央区北三条西四丁目1", "札幌市中央区北4西3-1"),
            ("旭川市永山二条四丁目1-2", "旭川市永山二丁目4-1-2"),
        ] {
            assert_eq!(compare_addresses(left, right).comparison, Comparison::Different, "{left} {right}");
        }
    }

    #[test]
    fn another_house_is_different() {
        for other in [
            "東京都目黒区鷹番三丁目8-3",
            "東京都目黒区鷹番三丁目2-8",
            "東京都目黒区鷹番二丁目8-2",
            "東京都目黒区鷹番三丁目82",
            "東京都目黒区鷹番38-2",
            "東京都目黒区鷹番三丁目8-12",
            "東京都目黒区鷹番3番地8-2",
        ] {
            check(
                "東京都目黒区鷹番三丁目8-2",
                other,
                Comparison::Different,
                &[Reason::AddressNumbersDifferent],
            );
        }
        check(
            HOME,
            "東京都目黒区鷹番三丁目8-2 コーポ松本102",
            Comparison::Different,
            &[Reason::AddressRoomDifferent],
        );
        check(
            HOME,
            "東京都目黒区鷹番三丁目8-2 コーポ松本10-1",
            Comparison::Different,
            &[Reason::AddressRoomDifferent],
        );
        check(
            HOME,
            "東京都目黒区鷹番三丁目8-2 メゾン青葉101",
            Comparison::Different,
            &[Reason::AddressBuildingDifferent],
        );
        check(
            "東京都府中市若松町1-5-1",
            "千葉県船橋市若松町1-5-1",
            Comparison::Different,
            &[Reason::AddressPrefectureDifferent, Reason::AddressPlaceDifferent],
        );
        check(
            "府中市若松町1-5-1",
            "船橋市若松町1-5-1",
            Comparison::Different,
            &[Reason::AddressPlaceDifferent],
        );
        check(
            "東京都大田区東雪谷2-22-7",
            "東京都大田区雪谷2-22-7",
            Comparison::Different,
            &[Reason::AddressPlaceDifferent],
        );
        check("横浜市青葉区美しが丘1-2", "丘1-2", Comparison::Different, &[Reason::AddressPlaceDifferent]);
        check(
            "札幌市北区北1条西2丁目3-4",
            "札幌市北区北2条西1丁目3-4",
            Comparison::Different,
            &[Reason::AddressPlaceDifferent, Reason::AddressNumbersDifferent],
        );
        check(
            "福島県須賀川市大字西川字原前12-3",
            "福島県須賀川市大字西川字原後12-3",
            Comparison::Different,
            &[Reason::AddressPlaceDifferent],
        );
    }
}
