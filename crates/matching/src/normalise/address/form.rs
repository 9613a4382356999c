//! The normal form of an address, made once and compared often.

use std::fmt;

use super::{Address, Building, Number, Piece, Unit, municipality};
use crate::MAX_INPUT_BYTES;
use crate::normalise::bytes::{FormError, Reader, put_chars, put_length, put_number};
use crate::normalise::characters::clean_seen;
use crate::normalise::folds::Trace;
use crate::normalise::name::masked;

/// An address in its normal form: prefecture, Kyoto street, place, numbers, building.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct AddressForm {
    /// None when nothing can be compared.
    pub(crate) address: Option<Address>,
    pub(crate) trace: Trace,
    /// The same with every flagged character as an unknown one.
    pub(crate) masked: Option<Box<AddressForm>>,
}

impl AddressForm {
    /// Reads an address. One longer than [`MAX_INPUT_BYTES`], or with a number of ten digits, counts as missing.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.len() > MAX_INPUT_BYTES {
            return Self::default();
        }
        let (cleaned, mut folds) = clean_seen(text);
        let address = Address::parse(&cleaned, &mut folds).filter(|address| !address.is_empty());
        Self { address, trace: Trace::new(text, folds), masked: None }
    }

    /// Reads an address of a JPKI certificate with its 住所代替文字位置, as
    /// [`NameForm::with_replaced`](crate::NameForm::with_replaced) does.
    #[must_use]
    pub fn with_replaced(text: &str, flags: &str) -> Self {
        let masked = masked(text, flags).map(|text| Box::new(Self::new(&text)));
        Self { masked, ..Self::new(text) }
    }

    /// Whether there is nothing to compare.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.address.is_none()
    }

    /// The normal form as a person reads it, its parts divided by `|`. It is personal data.
    #[must_use]
    pub fn text(&self) -> String {
        let Some(address) = &self.address else { return String::new() };
        let mut text = address.prefecture.unwrap_or_default().to_owned();
        text.push('|');
        text.extend(&address.street);
        text.push('|');
        for (at, piece) in address.place.iter().enumerate() {
            if address.aza == Some(at) {
                text.push('/');
            }
            show(&mut text, *piece);
        }
        text.push('|');
        for (at, number) in address.numbers.iter().enumerate() {
            text.push_str(if at > 0 { "-" } else { "" });
            text.push_str(&number.value.to_string());
        }
        text.push('|');
        address.building.pieces.iter().for_each(|piece| show(&mut text, *piece));
        text
    }

    /// The form as bytes, to be kept beside [`RULES_VERSION`](crate::RULES_VERSION).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        self.trace.put(out);
        out.push(u8::from(self.masked.is_some()) | u8::from(self.address.is_some()) << 1);
        if let Some(address) = &self.address {
            put_length(out, address.prefecture.map_or(0, municipality::code));
            put_chars(out, &address.street);
            put_pieces(out, &address.place);
            put_length(out, address.municipality_ends.len());
            address.municipality_ends.iter().for_each(|end| put_length(out, *end));
            put_length(out, address.aza.map_or(0, |aza| aza + 1));
            put_length(out, address.numbers.len());
            for number in &address.numbers {
                put_number(out, number.value);
                out.push(number.unit.map_or(0, |unit| unit as u8));
            }
            put_chars(out, &address.glued);
            put_pieces(out, &address.building.pieces);
        }
        if let Some(masked) = &self.masked {
            masked.put(out);
        }
    }

    /// The form of these bytes.
    ///
    /// # Errors
    /// [`FormError`] when they are not what [`to_bytes`](Self::to_bytes) writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader(bytes);
        let (mut form, masked) = Self::take(&mut reader)?;
        if masked {
            let (masked, further) = Self::take(&mut reader)?;
            form.masked = if further { return Err(FormError) } else { Some(Box::new(masked)) };
        }
        reader.end()?;
        Ok(form)
    }

    fn take(reader: &mut Reader<'_>) -> Result<(Self, bool), FormError> {
        let trace = Trace::take(reader)?;
        let marks = reader.number()?;
        let address = if marks & 2 == 0 { None } else { Some(take_address(reader)?) };
        Ok((Self { address, trace, masked: None }, marks & 1 != 0))
    }
}

impl fmt::Debug for AddressForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AddressForm").finish_non_exhaustive()
    }
}

fn show(text: &mut String, piece: Piece) {
    match piece {
        Piece::Letter(c) => text.push(c),
        Piece::Number(n) => text.push_str(&format!("<{n}>")),
    }
}

/// A letter is its code point and a number stands above all of those.
const NUMBERS: u32 = 0x11_0000;

fn put_pieces(out: &mut Vec<u8>, pieces: &[Piece]) {
    put_length(out, pieces.len());
    for piece in pieces {
        put_number(
            out,
            match piece {
                Piece::Letter(c) => u32::from(*c),
                Piece::Number(n) => NUMBERS + n,
            },
        );
    }
}

fn take_pieces(reader: &mut Reader<'_>) -> Result<Vec<Piece>, FormError> {
    let count = reader.length()?;
    reader.many(count, |reader| match reader.number()? {
        letter @ ..NUMBERS => char::from_u32(letter).map(Piece::Letter).ok_or(FormError),
        number => Ok(Piece::Number(number - NUMBERS)),
    })
}

fn take_address(reader: &mut Reader<'_>) -> Result<Address, FormError> {
    let prefecture = match reader.number()? {
        0 => None,
        code => Some(municipality::of_code(code).ok_or(FormError)?),
    };
    let street = reader.chars()?;
    let place = take_pieces(reader)?;
    let municipality_ends = reader.starts(place.len())?;
    let aza = usize::try_from(reader.number()?).map_err(|_| FormError)?.checked_sub(1);
    if aza.is_some_and(|aza| aza > place.len()) {
        return Err(FormError);
    }
    let count = reader.length()?;
    let number =
        |reader: &mut Reader<'_>| Ok(Number { value: reader.number()?, unit: Unit::of(reader.number()?)? });
    let numbers = reader.many(count, number)?;
    let glued = reader.chars()?;
    let building = Building { pieces: take_pieces(reader)? };
    Ok(Address { prefecture, street, place, municipality_ends, aza, numbers, glued, building })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_form_back() {
        for text in [
            "",
            "東京都目黒区鷹番三丁目8-2 コーポ松本101",
            "京都市下京区四条通烏丸東入ル長刀鉾町8番地",
            "福島県須賀川市大字西川字原前12-3",
            "北1条西2丁目3番4号",
            &"一".repeat(1300),
        ] {
            let form = AddressForm::with_replaced(text, "0001");
            assert!(AddressForm::from_bytes(&form.to_bytes()) == Ok(form), "{text}");
        }
        assert_eq!(AddressForm::from_bytes(b"\x00\x02nonsense"), Err(FormError));
    }

    #[test]
    fn debug_shows_nothing_of_a_person() {
        assert_eq!(format!("{:?}", AddressForm::new("鷹番3")), "AddressForm { .. }");
    }

    #[test]
    fn a_number_too_long_makes_the_address_unreadable() {
        assert!(AddressForm::new("目黒区鷹番1234567890123").is_empty());
        assert!(!AddressForm::new("目黒区鷹番0000000000012").is_empty());
    }
}
