//! Addresses as digests.
//!
//! What people leave out is what the plain comparison lets them leave out: the row's place is digested whole and in each shorter form,
//! and so is the attested one; prefecture, Kyoto street, units and building stand apart, and what one side lacks is neutral. Surprising: which
//! of these parts a row has, shows; what they say, does not.

use musubi_domain::blind::{Digest, RowKey};

use super::{
    NOTHING,
    spelling::{find, of_name, of_place, text_of},
};
use crate::{
    AddressForm, Compared, Comparison, Reason,
    compare::{shortened, street_key},
    normalise::address::{Address, Building, Number, Piece},
};

/// What is held of an address; without places there is none.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct AddressDigests {
    /// The place with its numbers: whole, and in each form that people write.
    pub(super) places: Vec<Digest>,
    pub(super) prefecture: Option<Digest>,
    pub(super) street: Option<Digest>,
    /// Kanji numerals behind the place.
    pub(super) glued: Option<Digest>,
    /// What each number counts, where it is written.
    pub(super) units: Vec<Option<Digest>>,
    pub(super) building: Option<BuildingDigests>,
}

/// What is held of a building.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BuildingDigests {
    /// Whether it is one letter, which is a lot of its own.
    pub(super) lot: bool,
    pub(super) whole: Digest,
    pub(super) name: Option<Digest>,
    pub(super) numbers: Option<Digest>,
}

/// A form of a place, and what it leaves out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Whole,
    /// Whole, of an address without 字: who leaves out a 字 means this one.
    WithoutAza,
    /// Without county, city or ward.
    Shorter,
    /// Without 字.
    AzaMissing,
}

impl Form {
    const fn kind(self) -> &'static str {
        match self {
            Self::Whole => "place",
            Self::WithoutAza => "place without aza",
            Self::Shorter => "shorter place",
            Self::AzaMissing => "place less its aza",
        }
    }
}

impl AddressForm {
    /// The digests of a row's address.
    pub(crate) fn digests(&self, key: &RowKey) -> AddressDigests {
        let Some(address) = &self.address else { return AddressDigests::default() };
        let numbers = numbers_text(address);
        let place = |form: Form, place: &[Piece]| {
            place_digest(form, &string(&text_of(place, of_place)), &numbers, key)
        };
        let mut places = vec![place(Form::Whole, &address.place)];
        if address.aza.is_none() {
            places.push(place(Form::WithoutAza, &address.place));
        }
        for (shorter, (_, aza_missing)) in shortened(address, true).into_iter().skip(1) {
            let form = if aza_missing { Form::AzaMissing } else { Form::Shorter };
            places.push(place(form, &shorter));
        }
        AddressDigests {
            places,
            prefecture: prefecture_digest(address, key),
            street: street_digest(address, key),
            glued: glued_digest(address, key),
            units: unit_digests(address, key),
            building: building_digests(&address.building, key),
        }
    }
}

impl AddressDigests {
    /// Of an address that no other is equal to.
    pub(super) fn of_nothing() -> Self {
        Self { places: vec![NOTHING], ..Self::default() }
    }
}

fn string(chars: &[char]) -> String {
    chars.iter().collect()
}

fn numbers_text(address: &Address) -> String {
    let numbers: Vec<String> = address.numbers.iter().map(|number| number.value.to_string()).collect();
    numbers.join("-")
}

fn place_digest(form: Form, place: &str, numbers: &str, key: &RowKey) -> Digest {
    key.digest(form.kind(), &[place.as_bytes(), numbers.as_bytes()])
}

fn prefecture_digest(address: &Address, key: &RowKey) -> Option<Digest> {
    let numbers = numbers_text(address);
    address.prefecture.map(|it| key.digest("prefecture", &[it.as_bytes(), numbers.as_bytes()]))
}

fn street_digest(address: &Address, key: &RowKey) -> Option<Digest> {
    let told = !address.street.is_empty();
    told.then(|| key.digest("street", &[string(&street_key(&address.street)).as_bytes()]))
}

fn glued_digest(address: &Address, key: &RowKey) -> Option<Digest> {
    (!address.glued.is_empty()).then(|| key.digest("glued", &[string(&address.glued).as_bytes()]))
}

fn unit_digests(address: &Address, key: &RowKey) -> Vec<Option<Digest>> {
    let numbers = numbers_text(address);
    let unit = |(at, number): (usize, &Number)| {
        let place = format!("{at} {}", number.unit? as u8);
        Some(key.digest("unit", &[place.as_bytes(), numbers.as_bytes()]))
    };
    address.numbers.iter().enumerate().map(unit).collect()
}

fn building_digests(building: &Building, key: &RowKey) -> Option<BuildingDigests> {
    (!building.pieces.is_empty()).then(|| BuildingDigests {
        lot: is_lot(building),
        whole: whole_digest(&string(&text_of(&building.pieces, of_place)), key),
        name: name_text(building).map(|name| name_digest(&string(&name), key)),
        numbers: room_digest(building, key),
    })
}

fn is_lot(building: &Building) -> bool {
    matches!(building.pieces[..], [Piece::Letter(_)])
}

fn whole_digest(text: &str, key: &RowKey) -> Digest {
    key.digest("building", &[text.as_bytes()])
}

fn name_text(building: &Building) -> Option<Vec<char>> {
    let name: Vec<char> = building.name().into_iter().map(of_name).collect();
    (!name.is_empty()).then_some(name)
}

fn name_digest(name: &str, key: &RowKey) -> Digest {
    key.digest("building's name", &[name.as_bytes()])
}

fn room_digest(building: &Building, key: &RowKey) -> Option<Digest> {
    let numbers = building.numbers();
    (!numbers.is_empty()).then(|| key.digest("room", &[format!("{numbers:?}").as_bytes()]))
}

impl AddressDigests {
    /// Compares an attested address with what is held.
    pub(super) fn compare(&self, attested: &AddressForm, key: &RowKey) -> Compared {
        let Some(address) = attested.address.as_ref().filter(|_| !self.places.is_empty()) else {
            return Compared::new(Comparison::Review, [Reason::AddressMissing]);
        };
        let parts = [
            self.place(address, key),
            part(self.prefecture, prefecture_digest(address, key), &[Reason::AddressPrefectureMissing]),
            part(self.street, street_digest(address, key), &[Reason::AddressStreetMissing]),
            part(self.glued, glued_digest(address, key), &[]),
            self.units(address, key),
            self.building(&address.building, key),
        ];
        let Some(reasons) = parts.into_iter().collect::<Option<Vec<_>>>() else {
            return Compared::new(Comparison::Review, [Reason::AddressUnequal]);
        };
        let mut reasons = reasons.concat();
        if reasons.is_empty() {
            reasons.push(Reason::AddressIdentical);
        }
        Compared::new(Comparison::Equal, reasons)
    }

    /// One side's whole place against the other's whole or shorter one, with the same numbers.
    fn place(&self, address: &Address, key: &RowKey) -> Part {
        let numbers = numbers_text(address);
        let held = |place: &[Piece], forms: &[Form]| {
            let spelt = find(&text_of(place, of_place), |place| {
                forms.iter().any(|form| self.places.contains(&place_digest(*form, place, &numbers, key)))
            });
            spelt.is_some()
        };
        if held(&address.place, &[Form::Whole]) {
            return Some(&[]);
        }
        shortened(address, true).into_iter().enumerate().find_map(|(at, (place, (_, aza_missing)))| {
            let (forms, reasons): (&[Form], &'static [Reason]) = match (at, aza_missing) {
                (0, _) if address.aza.is_none() => (&[Form::Shorter, Form::AzaMissing], MUNICIPALITY),
                (0, _) => (&[Form::Shorter], MUNICIPALITY),
                (_, true) => (&[Form::WithoutAza], AZA),
                (_, false) => (&[Form::Whole], MUNICIPALITY),
            };
            held(&place, forms).then_some(reasons)
        })
    }

    /// No number counts something else on the other side.
    fn units(&self, address: &Address, key: &RowKey) -> Part {
        let attested = unit_digests(address, key);
        let agree = |(held, attested): (&Option<Digest>, &Option<Digest>)| {
            held.is_none() || attested.is_none() || held == attested
        };
        (self.units.len() == attested.len() && self.units.iter().zip(&attested).all(agree)).then_some(&[])
    }

    fn building(&self, attested: &Building, key: &RowKey) -> Part {
        let missing: Part = Some(&[Reason::AddressBuildingMissing]);
        let Some(held) = &self.building else {
            return if attested.pieces.is_empty() {
                Some(&[])
            } else {
                missing.filter(|_| !is_lot(attested))
            };
        };
        if attested.pieces.is_empty() {
            return missing.filter(|_| !held.lot);
        }
        if find(&text_of(&attested.pieces, of_place), |text| whole_digest(text, key) == held.whole).is_some()
        {
            return Some(&[]);
        }
        let (name, numbers) = (name_text(attested), room_digest(attested, key));
        let same_name = || {
            let (Some(name), Some(held)) = (&name, held.name) else { return false };
            find(name, |name| name_digest(name, key) == held).is_some()
        };
        let some_unnumbered = numbers.is_none() || held.numbers.is_none();
        let some_unnamed = name.is_none() || held.name.is_none();
        let neutral = (some_unnumbered && same_name()) || (some_unnamed && numbers == held.numbers);
        missing.filter(|_| neutral)
    }
}

/// What of a part differs without contradicting; none when the part is not equal.
type Part = Option<&'static [Reason]>;

const MUNICIPALITY: &[Reason] = &[Reason::AddressMunicipalityMissing];
const AZA: &[Reason] = &[Reason::AddressAzaMissing, Reason::AddressMunicipalityMissing];

/// A part that is neutral when one side lacks it.
fn part(held: Option<Digest>, attested: Option<Digest>, missing: &'static [Reason]) -> Part {
    match (held, attested) {
        (Some(held), Some(attested)) => (held == attested).then_some(&[]),
        (Some(_), None) | (None, Some(_)) => Some(missing),
        (None, None) => Some(&[]),
    }
}
