//! Why a comparison or a decision came out as it did, as data.
//!
//! A reason names a field and a fold or a difference, never a value, so reasons may be stored, counted and shown to an
//! operator. They are never shown to the follower.

use std::fmt;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)+) => {
        /// One reason: a field and what was folded or what differs. The code is stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// Every reason, in the order of the enum.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable code, `field.what`.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }
        }
    };
}

reasons! {
    /// No row of the master has this account number.
    AccountNone = "account.none",
    /// The account numbers are equal, and so are the branches.
    AccountEqual = "account.equal",
    /// The account numbers are equal, and only one side gives a branch.
    AccountBranchOneSide = "account.branch_one_side",
    /// The account numbers are different.
    AccountDifferent = "account.different",
    /// An account text can't be read, or in more than one way.
    AccountUnreadable = "account.unreadable",
    /// The branches are different.
    AccountBranchDifferent = "account.branch_different",
    /// The company demands a branch and none was typed.
    AccountBranchMissing = "account.branch_missing",
    /// More than one row fits.
    RecordDuplicate = "record.duplicate",
    /// The verification is too weak to confirm.
    IdentityWeak = "identity.weak",

    /// The names are the same and neither needed another fold.
    NameIdentical = "name.identical",
    /// Full or half width differs.
    NameWidth = "name.width",
    /// Spaces differ.
    NameSpace = "name.space",
    /// Variation selectors or invisible marks differ.
    NameSelector = "name.selector",
    /// A compatibility character stands for the unified one.
    NameCompatibility = "name.compatibility",
    /// Voicing marks or accents stand alone on one side.
    NameCombining = "name.combining",
    /// Letter case differs.
    NameCase = "name.case",
    /// 々 or the like is written out on one side.
    NameIteration = "name.iteration",
    /// Hyphens or apostrophes of a Latin name differ.
    NamePunctuation = "name.punctuation",
    /// Hiragana on one side is katakana on the other.
    NameKanaScript = "name.kana_script",
    /// A name in kana is written as banks do, without small kana and ヲ.
    NameBankKana = "name.bank_kana",
    /// Kanji differ that the family register treats as one (MJ shrink map).
    NameFamilyRegister = "name.family_register",
    /// Kanji differ that an official table pairs as old and new form.
    NameOfficialForm = "name.official_form",
    /// The same words in another order.
    NameWordOrder = "name.word_order",
    /// The master holds no kanji and the attested reading is equal.
    NameByReading = "name.by_reading",
    /// Kanji differ that only weaker tables relate.
    NameWeakVariant = "name.weak_variant",
    /// A character stands for an unknown one.
    NameUnknownCharacter = "name.unknown_character",
    /// Size, long vowel or old spelling of kana differ.
    NameKanaSpelling = "name.kana_spelling",
    /// A certificate could not hold a character of the name and shows another.
    NameReplacedCharacter = "name.replaced_character",
    /// The words are divided at another place.
    NameOtherDivision = "name.other_division",
    /// One name has words more than the other, or in full.
    NameWordMissing = "name.word_missing",
    /// Equal only with a name recorded in brackets.
    NameRecordedBeside = "name.recorded_beside",
    /// One is kana or Latin and the other is not.
    NameOtherScript = "name.other_script",
    /// Another family name with the same given name.
    NameOtherFamilyName = "name.other_family_name",
    /// Other kanji with the same reading.
    NameSameReading = "name.same_reading",
    /// The names are different.
    NameDifferent = "name.different",
    /// A name is missing.
    NameMissing = "name.missing",
    /// The digests of the names differ; how far the names do, they don't tell.
    NameUnequal = "name.unequal",

    /// The readings are the same and neither needed another fold.
    KanaIdentical = "kana.identical",
    /// Full or half width differs.
    KanaWidth = "kana.width",
    /// Spaces differ.
    KanaSpace = "kana.space",
    /// Variation selectors or invisible marks differ.
    KanaSelector = "kana.selector",
    /// A compatibility character stands for the unified one.
    KanaCompatibility = "kana.compatibility",
    /// Voicing marks or accents stand alone on one side.
    KanaCombining = "kana.combining",
    /// Hiragana on one side is katakana on the other.
    KanaHiragana = "kana.hiragana",
    /// ヽ or the like is written out on one side.
    KanaIteration = "kana.iteration",
    /// One side is written as banks do, without small kana and ヲ.
    KanaBank = "kana.bank",
    /// Small and large kana differ though both write small kana.
    KanaSize = "kana.size",
    /// The long vowel is written in another way or not at all, or ヴ as バ.
    KanaLongVowel = "kana.long_vowel",
    /// ヲ, ヂ, ヅ, ヰ or ヱ against its modern spelling.
    KanaOldSpelling = "kana.old_spelling",
    /// The given name stands before the family name on one side.
    KanaWordOrder = "kana.word_order",
    /// One reading has words more than the other.
    KanaWordMissing = "kana.word_missing",
    /// Voicing marks differ.
    KanaVoicing = "kana.voicing",
    /// The readings are different.
    KanaDifferent = "kana.different",
    /// A reading is missing.
    KanaMissing = "kana.missing",
    /// The digests of the readings differ.
    KanaUnequal = "kana.unequal",

    /// The birth dates are the same day.
    BirthDateEqual = "birth_date.equal",
    /// Month and day are swapped.
    BirthDateSwapped = "birth_date.swapped",
    /// One digit differs.
    BirthDateOneDigit = "birth_date.one_digit",
    /// The birth dates are different.
    BirthDateDifferent = "birth_date.different",
    /// A birth date is missing or can't be read.
    BirthDateUnreadable = "birth_date.unreadable",
    /// No digest that the birth date is part of is equal: it may differ, or everything else does.
    BirthDateUnequal = "birth_date.unequal",

    /// The addresses are the same and neither needed another fold.
    AddressIdentical = "address.identical",
    /// Full or half width differs.
    AddressWidth = "address.width",
    /// Spaces differ.
    AddressSpace = "address.space",
    /// Variation selectors or invisible marks differ.
    AddressSelector = "address.selector",
    /// A compatibility character stands for the unified one.
    AddressCompatibility = "address.compatibility",
    /// Voicing marks or accents stand alone on one side.
    AddressCombining = "address.combining",
    /// A hyphen is another character.
    AddressHyphen = "address.hyphen",
    /// A number is in kanji on one side.
    AddressNumeral = "address.numeral",
    /// 丁目, 番地, 番 or 号 differ.
    AddressCounter = "address.counter",
    /// One side writes 大字 or 字.
    AddressAzaMark = "address.aza_mark",
    /// Letter case or kana script differs.
    AddressCase = "address.case",
    /// Kanji differ that an official table or the family register treats as one.
    AddressKanjiVariant = "address.kanji_variant",
    /// ケ, ヶ, が or ノ, の, 之 or ツ, っ differ.
    AddressKanaVariant = "address.kana_variant",
    /// One side lacks the prefecture.
    AddressPrefectureMissing = "address.prefecture_missing",
    /// One side lacks county, city or ward.
    AddressMunicipalityMissing = "address.municipality_missing",
    /// One side lacks 字 and its name.
    AddressAzaMissing = "address.aza_missing",
    /// One side lacks the Kyoto street.
    AddressStreetMissing = "address.street_missing",
    /// One side lacks building or room.
    AddressBuildingMissing = "address.building_missing",
    /// One side writes the room behind the lot, without the building.
    AddressRoomBehindLot = "address.room_behind_lot",
    /// Kanji differ that only weaker tables relate.
    AddressWeakVariant = "address.weak_variant",
    /// A character stands for an unknown one.
    AddressUnknownCharacter = "address.unknown_character",
    /// A certificate could not hold a character of the address and shows another.
    AddressReplacedCharacter = "address.replaced_character",
    /// One side has fewer numbers and they are the beginning or the end of the other's.
    AddressNumbersFewer = "address.numbers_fewer",
    /// Equal when the border of name and numbers is drawn elsewhere, or when a counter such as 条 is left out.
    AddressOtherReading = "address.other_reading",
    /// The Kyoto streets differ.
    AddressStreetDifferent = "address.street_different",
    /// The building has another name and the room is not another.
    AddressBuildingDifferent = "address.building_different",
    /// The prefectures differ.
    AddressPrefectureDifferent = "address.prefecture_different",
    /// City, ward, town or 字 differ.
    AddressPlaceDifferent = "address.place_different",
    /// Chome, lot or house numbers differ.
    AddressNumbersDifferent = "address.numbers_different",
    /// The rooms differ.
    AddressRoomDifferent = "address.room_different",
    /// An address is missing or too long.
    AddressMissing = "address.missing",
    /// The digests of the addresses differ.
    AddressUnequal = "address.unequal",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_distinct_and_name_a_field() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|code| code.split_once('.').is_some()));
    }
}
