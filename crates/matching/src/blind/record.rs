//! The digests of one customer as bytes.
//!
//! Lengths, flags and digests in a row, without a version of their own: the copy has one. Surprising: which digests there are, shows. That
//! is whether the master has a branch, a written name, a reading, a prefecture, a building with a number, and how many forms the place has.

use musubi_domain::blind::{DIGEST_BYTES, Digest};

use super::{AddressDigests, KanaDigests, NameDigests, address::BuildingDigests, name::Reading};
use crate::normalise::bytes::{FormError, Reader, put_length};

/// The digests of one customer.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(super) struct BlindRecord {
    pub(super) branch: Option<Digest>,
    /// Name, reading and address; none without a birth date.
    pub(super) person: Option<(NameDigests, KanaDigests, AddressDigests)>,
}

fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(u8::from(flag));
}

fn put_maybe(out: &mut Vec<u8>, digest: Option<Digest>) {
    put_flag(out, digest.is_some());
    out.extend(digest.iter().flatten());
}

impl BlindRecord {
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(384);
        put_maybe(&mut out, self.branch);
        put_flag(&mut out, self.person.is_some());
        if let Some((name, kana, address)) = &self.person {
            put_flag(&mut out, name.only_kana);
            put_maybe(&mut out, name.written);
            put_maybe(&mut out, name.divided);
            put_flag(&mut out, kana.0.is_some());
            if let Some(Reading { exact, bank, spelt, lengthened }) = &kana.0 {
                [exact, bank, spelt, lengthened].into_iter().for_each(|digest| out.extend(digest));
            }
            put_length(&mut out, address.places.len());
            address.places.iter().for_each(|place| out.extend(place));
            [address.prefecture, address.street, address.glued]
                .into_iter()
                .for_each(|digest| put_maybe(&mut out, digest));
            put_length(&mut out, address.units.len());
            address.units.iter().for_each(|unit| put_maybe(&mut out, *unit));
            put_flag(&mut out, address.building.is_some());
            if let Some(BuildingDigests { lot, whole, name, numbers }) = &address.building {
                put_flag(&mut out, *lot);
                out.extend(whole);
                put_maybe(&mut out, *name);
                put_maybe(&mut out, *numbers);
            }
        }
        out
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Result<Self, FormError> {
        let mut reader = Reader(bytes);
        let branch = maybe(&mut reader)?;
        let person = if flag(&mut reader)? { Some(person(&mut reader)?) } else { None };
        reader.end()?;
        Ok(Self { branch, person })
    }
}

fn person(reader: &mut Reader<'_>) -> Result<(NameDigests, KanaDigests, AddressDigests), FormError> {
    let name = NameDigests { only_kana: flag(reader)?, written: maybe(reader)?, divided: maybe(reader)? };
    let kana = KanaDigests(if flag(reader)? {
        Some(Reading {
            exact: digest(reader)?,
            bank: digest(reader)?,
            spelt: digest(reader)?,
            lengthened: digest(reader)?,
        })
    } else {
        None
    });
    let count = reader.length()?;
    let places = reader.many(count, digest)?;
    let (prefecture, street, glued) = (maybe(reader)?, maybe(reader)?, maybe(reader)?);
    let count = reader.length()?;
    let units = reader.many(count, maybe)?;
    let building = if flag(reader)? {
        Some(BuildingDigests {
            lot: flag(reader)?,
            whole: digest(reader)?,
            name: maybe(reader)?,
            numbers: maybe(reader)?,
        })
    } else {
        None
    };
    Ok((name, kana, AddressDigests { places, prefecture, street, glued, units, building }))
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, FormError> {
    match reader.number()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(FormError),
    }
}

fn digest(reader: &mut Reader<'_>) -> Result<Digest, FormError> {
    let (digest, rest) = reader.0.split_first_chunk::<DIGEST_BYTES>().ok_or(FormError)?;
    reader.0 = rest;
    Ok(*digest)
}

fn maybe(reader: &mut Reader<'_>) -> Result<Option<Digest>, FormError> {
    if flag(reader)? { digest(reader).map(Some) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_give_the_digests_back_and_nothing_else_is_read() {
        let [a, b, c] = [[1; DIGEST_BYTES], [2; DIGEST_BYTES], [3; DIGEST_BYTES]];
        let name = NameDigests { only_kana: false, written: Some(a), divided: None };
        let kana = KanaDigests(Some(Reading { exact: a, bank: b, spelt: c, lengthened: a }));
        let building = BuildingDigests { lot: true, whole: a, name: Some(b), numbers: None };
        let address = AddressDigests {
            places: vec![a, b, c],
            prefecture: Some(b),
            street: None,
            glued: None,
            units: vec![None, Some(c)],
            building: Some(building),
        };
        for record in [
            BlindRecord { branch: Some(c), person: Some((name, kana, address)) },
            BlindRecord { branch: None, person: Some(Default::default()) },
            BlindRecord::default(),
        ] {
            let bytes = record.to_bytes();
            assert_eq!(BlindRecord::from_bytes(&bytes), Ok(record));
            for end in 0..bytes.len() {
                assert_eq!(BlindRecord::from_bytes(&bytes[..end]), Err(FormError));
            }
            assert_eq!(BlindRecord::from_bytes(&[&bytes[..], &[1]].concat()), Err(FormError));
        }
        assert_eq!(BlindRecord::from_bytes(&[2, 0]), Err(FormError), "no flag");
    }
}
