//! Why a match came out as it did, in words for the people who decide: for each code of a reason one sentence in each language.
//!
//! Codes are what is stored and told elsewhere. Surprising: a fold and a difference read alike in a code; the chip beside it says which of them decided.

use super::language::Language;

/// Code, Japanese, English.
#[rustfmt::skip]
const WORDS: &[(&str, &str, &str)] = &[
    ("account.none", "この口座番号の顧客はいません", "no customer has this account number"),
    ("account.equal", "口座番号と支店が一致", "account and branch are equal"),
    ("account.branch_one_side", "支店は片方だけにある", "only one side gives a branch"),
    ("account.different", "口座番号が異なる", "the account numbers differ"),
    ("account.unreadable", "口座番号を読み取れない", "the account number can not be read"),
    ("account.branch_different", "支店が異なる", "the branches differ"),
    ("account.branch_missing", "支店の入力がない", "no branch was typed"),
    ("record.duplicate", "該当する顧客が複数いる", "more than one customer fits"),
    ("identity.weak", "本人確認の強度が足りない", "the proof of identity is weak"),
    ("name.identical", "氏名が完全に一致", "the names are the same"),
    ("name.width", "全角・半角の違い", "full and half width"),
    ("name.space", "空白の違い", "spaces"),
    ("name.selector", "異体字セレクターの違い", "variation selectors"),
    ("name.compatibility", "互換文字の違い", "compatibility characters"),
    ("name.combining", "濁点などの結合の違い", "marks that stand alone"),
    ("name.case", "大文字・小文字の違い", "letter case"),
    ("name.iteration", "々などの書き方の違い", "iteration marks"),
    ("name.punctuation", "ハイフンなどの違い", "hyphens or apostrophes"),
    ("name.kana_script", "ひらがなとカタカナの違い", "hiragana and katakana"),
    ("name.bank_kana", "銀行カナの書き方", "kana as banks write it"),
    ("name.family_register", "戸籍上の同一字（異体字）", "kanji that the family register takes as one"),
    ("name.official_form", "新字体と旧字体", "old and new form of kanji"),
    ("name.word_order", "姓と名の順序の違い", "another order of words"),
    ("name.by_reading", "読みで一致（マスターに漢字なし）", "equal by reading; the master has no kanji"),
    ("name.weak_variant", "似た字の可能性", "kanji that only weaker tables relate"),
    ("name.unknown_character", "不明な文字がある", "a character that is not known"),
    ("name.kana_spelling", "かなづかいの違い", "spelling of kana"),
    ("name.replaced_character", "証明書で置き換えられた文字", "a character that a certificate replaced"),
    ("name.other_division", "姓名の区切りの違い", "words are divided elsewhere"),
    ("name.word_missing", "片方に語が足りない", "a word more on one side"),
    ("name.recorded_beside", "併記された氏名で一致", "equal with a name in brackets"),
    ("name.other_script", "文字の種類が異なる", "another script"),
    ("name.other_family_name", "姓だけが異なる", "another family name"),
    ("name.same_reading", "読みが同じで漢字が異なる", "other kanji, same reading"),
    ("name.different", "氏名が異なる", "the names differ"),
    ("name.missing", "氏名がない", "a name is missing"),
    ("name.unequal", "氏名の要約値が異なる", "the digests of the names differ"),
    ("kana.identical", "フリガナが完全に一致", "the readings are the same"),
    ("kana.width", "全角・半角の違い", "full and half width"),
    ("kana.space", "空白の違い", "spaces"),
    ("kana.selector", "異体字セレクターの違い", "variation selectors"),
    ("kana.compatibility", "互換文字の違い", "compatibility characters"),
    ("kana.combining", "濁点などの結合の違い", "marks that stand alone"),
    ("kana.hiragana", "ひらがなとカタカナの違い", "hiragana and katakana"),
    ("kana.iteration", "ヽなどの書き方の違い", "iteration marks"),
    ("kana.bank", "銀行カナの書き方", "kana as banks write it"),
    ("kana.size", "小書き文字の違い", "small and large kana"),
    ("kana.long_vowel", "長音の書き方の違い", "long vowels"),
    ("kana.old_spelling", "旧かなづかい", "old spelling"),
    ("kana.word_order", "姓と名の順序の違い", "another order of words"),
    ("kana.word_missing", "片方に語が足りない", "a word more on one side"),
    ("kana.voicing", "濁点の有無の違い", "voicing marks"),
    ("kana.different", "フリガナが異なる", "the readings differ"),
    ("kana.missing", "フリガナがない", "a reading is missing"),
    ("kana.unequal", "フリガナの要約値が異なる", "the digests of the readings differ"),
    ("birth_date.equal", "生年月日が一致", "the birth dates are equal"),
    ("birth_date.swapped", "月と日が入れ替わっている", "month and day are swapped"),
    ("birth_date.one_digit", "一桁だけ異なる", "one digit differs"),
    ("birth_date.different", "生年月日が異なる", "the birth dates differ"),
    ("birth_date.unreadable", "生年月日を読み取れない", "a birth date can not be read"),
    ("birth_date.unequal", "生年月日などの要約値が異なる", "no digest with the birth date is equal"),
    ("address.identical", "住所が完全に一致", "the addresses are the same"),
    ("address.width", "全角・半角の違い", "full and half width"),
    ("address.space", "空白の違い", "spaces"),
    ("address.selector", "異体字セレクターの違い", "variation selectors"),
    ("address.compatibility", "互換文字の違い", "compatibility characters"),
    ("address.combining", "濁点などの結合の違い", "marks that stand alone"),
    ("address.hyphen", "ハイフンの種類の違い", "another hyphen"),
    ("address.numeral", "漢数字と算用数字の違い", "kanji and arabic numerals"),
    ("address.counter", "丁目・番地・号の書き方の違い", "counters"),
    ("address.aza_mark", "大字・字の有無", "大字 or 字 written on one side"),
    ("address.case", "文字の大きさや種類の違い", "letter case or kana script"),
    ("address.kanji_variant", "漢字の新旧・異体字", "variants of kanji"),
    ("address.kana_variant", "ケ・ヶ・が、ノ・の・之などの違い", "variants of ケ, ノ or ツ"),
    ("address.prefecture_missing", "都道府県が片方にない", "one side lacks the prefecture"),
    ("address.municipality_missing", "市区町村が片方にない", "one side lacks county, city or ward"),
    ("address.aza_missing", "字が片方にない", "one side lacks the 字"),
    ("address.street_missing", "京都の通り名が片方にない", "one side lacks the street of Kyoto"),
    ("address.building_missing", "建物・部屋が片方にない", "one side lacks building or room"),
    ("address.room_behind_lot", "部屋番号が番地の後に続く", "the room stands behind the lot"),
    ("address.weak_variant", "似た字の可能性", "kanji that only weaker tables relate"),
    ("address.unknown_character", "不明な文字がある", "a character that is not known"),
    ("address.replaced_character", "証明書で置き換えられた文字", "a character that a certificate replaced"),
    ("address.numbers_fewer", "番地の一部が片方にない", "one side has fewer numbers"),
    ("address.other_reading", "区切り方の違いで一致", "equal when read in another way"),
    ("address.street_different", "京都の通り名が異なる", "the streets of Kyoto differ"),
    ("address.building_different", "建物名が異なる", "the building has another name"),
    ("address.prefecture_different", "都道府県が異なる", "the prefectures differ"),
    ("address.place_different", "市区町村・町名が異なる", "city, ward or town differ"),
    ("address.numbers_different", "番地が異なる", "the numbers differ"),
    ("address.room_different", "部屋番号が異なる", "the rooms differ"),
    ("address.missing", "住所がない", "an address is missing"),
    ("address.unequal", "住所の要約値が異なる", "the digests of the addresses differ"),
    ("customer_tied_to_another_number", "この顧客は別の番号と紐づいている", "the customer is tied to another number"),
    ("number_was_another_customers", "この番号は以前別の顧客のものだった", "the number was another customer's"),
];

impl Language {
    /// What a code means; the code itself when it is not known here.
    pub(super) fn reason(self, code: &str) -> String {
        let known = WORDS.iter().find(|(known, ..)| *known == code);
        known.map_or_else(|| code.to_owned(), |(_, japanese, english)| self.say(japanese, english).to_owned())
    }

    /// The same where the field that it is about does not stand beside it.
    pub(super) fn whole_reason(self, code: &str) -> String {
        let field = match code.split_once('.') {
            Some(("name", _)) => self.say("氏名", "name"),
            Some(("kana", _)) => self.say("フリガナ", "reading"),
            Some(("birth_date", _)) => self.say("生年月日", "date of birth"),
            Some(("address", _)) => self.say("住所", "address"),
            Some(("account", _)) => self.say("口座", "account"),
            Some(_) | None => return self.reason(code),
        };
        format!("{field}{}{}", self.say("：", ": "), self.reason(code))
    }
}

#[cfg(test)]
mod tests {
    use musubi_matching::Reason;

    use super::*;

    #[test]
    fn every_reason_of_the_matcher_has_its_words() {
        for reason in Reason::ALL {
            let code = reason.as_str();
            assert_ne!(Language::Japanese.reason(code), code);
            assert_ne!(Language::English.reason(code), code);
        }
        assert_eq!(Language::English.reason("of.tomorrow"), "of.tomorrow");
    }
}
