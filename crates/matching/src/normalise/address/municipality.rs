//! Prefectures, and where county, city and ward end.
//!
//! People leave out the prefecture, the county or the city. Without a list of towns the end of each is found by its
//! last character: 郡, 市 or 区, once each and in this order.
//!
//! The surprising thing: the ends only say what *may* be left out. A wrong end does no harm unless another place is
//! called exactly what follows it, and municipalities whose names hold such a character are listed.

use super::Piece;
use crate::normalise::kanji::relate;

const PREFECTURES: [&str; 47] = [
    "北海道",
    "青森県",
    "岩手県",
    "宮城県",
    "秋田県",
    "山形県",
    "福島県",
    "茨城県",
    "栃木県",
    "群馬県",
    "埼玉県",
    "千葉県",
    "東京都",
    "神奈川県",
    "新潟県",
    "富山県",
    "石川県",
    "福井県",
    "山梨県",
    "長野県",
    "岐阜県",
    "静岡県",
    "愛知県",
    "三重県",
    "滋賀県",
    "京都府",
    "大阪府",
    "兵庫県",
    "奈良県",
    "和歌山県",
    "鳥取県",
    "島根県",
    "岡山県",
    "広島県",
    "山口県",
    "徳島県",
    "香川県",
    "愛媛県",
    "高知県",
    "福岡県",
    "佐賀県",
    "長崎県",
    "熊本県",
    "大分県",
    "宮崎県",
    "鹿児島県",
    "沖縄県",
];

/// Counties and cities whose names hold 市 or 郡 before their end, and islands that are written like counties.
const AWKWARD: [&str; 17] = [
    "八丈島",
    "三宅島",
    "市川市",
    "市原市",
    "四日市市",
    "廿日市市",
    "野々市市",
    "八日市市",
    "八日市場市",
    "今市市",
    "郡山市",
    "大和郡山市",
    "郡上市",
    "蒲郡市",
    "小郡市",
    "高市郡",
    "余市郡",
];

/// The number of a prefecture, from 1.
pub(super) fn code(prefecture: &str) -> usize {
    PREFECTURES.iter().position(|p| *p == prefecture).map_or(0, |at| at + 1)
}

/// The prefecture of a number.
pub(super) fn of_code(code: u32) -> Option<&'static str> {
    usize::try_from(code).ok()?.checked_sub(1).and_then(|at| PREFECTURES.get(at)).copied()
}

/// The prefecture at the beginning, in any form of its kanji, and the rest.
pub(super) fn split_prefecture(text: &[char]) -> (Option<&'static str>, &[char]) {
    let text = without_separators(text);
    let found = [3, 4].into_iter().find_map(|length| {
        let begin = text.get(..length).filter(|b| "都道府県縣".contains(b[length - 1]))?;
        let same = |prefecture: &&&str| {
            let mut letters = prefecture.chars();
            begin.iter().all(|c| letters.next().is_some_and(|p| p == *c || relate(p, *c).is_strong()))
                && letters.next().is_none()
        };
        PREFECTURES.iter().find(same).map(|prefecture| (*prefecture, &text[length..]))
    });
    found.map_or((None, text), |(prefecture, rest)| (Some(prefecture), without_separators(rest)))
}

fn without_separators(text: &[char]) -> &[char] {
    &text[text.iter().take_while(|c| matches!(c, ' ' | ',' | '、')).count()..]
}

/// Where county, city and ward end in a place, each at most once.
pub(super) fn ends(place: &[Piece]) -> Vec<usize> {
    // A number may stand in the name: 三条市.
    let letter = |piece: &Piece| match piece {
        Piece::Letter(c) => *c,
        Piece::Number(_) => '\0',
    };
    let mut letters = ['\0'; LONGEST];
    let mut count = 0;
    for (slot, c) in letters.iter_mut().zip(place.iter().map(letter)) {
        *slot = c;
        count += 1;
    }
    let letters = &letters[..count];
    let find = |last: char, from: usize| {
        letters.iter().skip(from + 1).position(|c| *c == last).map(|i| from + i + 2)
    };
    // 二区 is a part of a town, not a ward.
    let counted = |from: usize, end: usize| letters[end - 1] == '区' && letters[from..end].contains(&'\0');
    let find = |last: char, from: usize| find(last, from).filter(|end| !counted(from, *end));
    let begins = |name: &&&str| name.chars().enumerate().all(|(i, c)| letters.get(i) == Some(&c));
    let mut ends = vec![];
    let awkward = AWKWARD.iter().find(begins).map(|name| name.chars().count());
    let first = awkward.or_else(|| ['郡', '市', '区'].iter().filter_map(|last| find(*last, 0)).min());
    ends.extend(first);
    let from = first.unwrap_or(0);
    match first.map(|end| letters[end - 1]) {
        Some('郡' | '島') => {
            let (town, village) = (find('町', from), find('村', from));
            ends.extend(town.into_iter().chain(village).min());
        }
        Some('市') => ends.extend(find('区', from).filter(|end| end - from <= LONGEST_WARD)),
        Some(_) | None => {}
    }
    ends.retain(|end| *end < place.len());
    ends
}

/// No county, city and ward together are longer.
const LONGEST: usize = 16;
/// 保土ケ谷区 and a letter to spare.
const LONGEST_WARD: usize = 6;

#[cfg(test)]
mod tests {
    use super::*;

    fn check(place: &str, expected: &[&str]) {
        let pieces: Vec<_> = place.chars().map(Piece::Letter).collect();
        let prefixes: Vec<String> =
            ends(&pieces).iter().map(|end| place.chars().take(*end).collect()).collect();
        assert_eq!(prefixes, expected, "{place}");
    }

    #[test]
    fn county_city_and_ward_end_at_their_last_character() {
        check("横浜市保土ケ谷区星川", &["横浜市", "横浜市保土ケ谷区"]);
        check("市川市市川南", &["市川市"]);
        check("四日市市本町", &["四日市市"]);
        check("千代田区三番町", &["千代田区"]);
        check("知多郡東浦町緒川", &["知多郡", "知多郡東浦町"]);
        check("郡山市大町", &["郡山市"]);
        check("町田市小山ケ丘", &["町田市"]);
        check("新宿区市谷山伏町", &["新宿区"]);
        check("美しが丘", &[]);
        check("八丈島八丈町三根", &["八丈島", "八丈島八丈町"]);
    }
}
