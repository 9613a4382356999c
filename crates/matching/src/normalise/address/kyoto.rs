//! Kyoto's street names: 寺町通御池上る is a direction, 上本能寺前町 is the town.
//!
//! The surprising thing: some wards hold two towns of one name, so two streets that differ are worth a look although
//! town and numbers are equal.

use std::borrow::Cow;

use crate::normalise::characters::is_kanji_numeral;

/// Splits the street off when the address is in the city of Kyoto: what leads to the last direction word, or what stands
/// in brackets or behind everything else and ends with one.
pub(super) fn split_street<'a>(prefecture: Option<&str>, text: &'a [char]) -> (Vec<char>, Cow<'a, [char]>) {
    let without = |from: usize, to: usize| text[..from].iter().chain(&text[to..]).copied().collect();
    let told = |from: usize, to: usize| text[from..to].iter().copied().filter(|c| *c != ' ').collect();
    let start = ward_end(prefecture, text);
    let Some((start, end)) = start.and_then(|start| Some((start, direction_end(text, start)?))) else {
        return (vec![], Cow::Borrowed(text));
    };
    let open = text[..end].iter().rposition(|c| *c == '(').filter(|open| *open > start);
    match open {
        Some(open) if text[end..].starts_with(&[')']) => {
            (told(open + 1, end), Cow::Owned(without(open, end + 1)))
        }
        Some(_) | None => {
            let behind = text[start..].iter().rposition(|c| *c == ' ').filter(|_| end == text.len());
            let from = behind.map_or(start, |space| start + space);
            (told(from, end), Cow::Owned(without(from, end)))
        }
    }
}

const WARDS: [&str; 7] = ["上京区", "中京区", "下京区", "左京区", "右京区", "東山区", "山科区"];

fn ward_end(prefecture: Option<&str>, text: &[char]) -> Option<usize> {
    let begins = |word: &str| word.chars().eq(text.iter().copied().take(word.chars().count()));
    if prefecture.is_some_and(|p| p != "京都府") {
        return None;
    }
    if begins("京都市") {
        let ward = text.iter().take(8).position(|c| *c == '区');
        return Some(ward.map_or(3, |i| i + 1));
    }
    WARDS.iter().any(|ward| begins(ward)).then_some(3)
}

/// Where the last direction word ends, with the 丁目 or 筋目 of the street behind it.
fn direction_end(text: &[char], start: usize) -> Option<usize> {
    let end = last_direction(text, start)?;
    let numeral = |c: &char| c.is_ascii_digit() || is_kanji_numeral(*c);
    let block = end + text[end..].iter().take(3).take_while(|c| numeral(c)).count();
    let counted = text[block..].starts_with(&['丁', '目']) || text[block..].starts_with(&['筋', '目']);
    Some(if block > end && counted { block + 2 } else { end })
}

/// Where the last of 上る, 上ル, 上がる, 下る …, 東入, 東入る, 西入ル … ends.
fn last_direction(text: &[char], start: usize) -> Option<usize> {
    let last = |i: usize| matches!(text.get(i), Some('る' | 'ル')).then_some(i + 1);
    (start..text.len()).rev().find_map(|i| match (text[i], text.get(i + 1)) {
        ('上' | '下', Some('が' | 'ガ')) => last(i + 2),
        ('上' | '下', _) => last(i + 1),
        ('東' | '西' | '南' | '北', Some('入')) => Some(last(i + 2).unwrap_or(i + 2)),
        _ => None,
    })
}
