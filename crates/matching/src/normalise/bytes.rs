//! How normal forms are kept: varints and length-prefixed UTF-8, without a version of their own.
//!
//! The surprising thing: a store keeps [`RULES_VERSION`](crate::RULES_VERSION) beside the bytes and makes the form again
//! when it changed, so nothing here reads older bytes.

/// The bytes are no form of the present rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "bytes are no normal form of rules version {}; make the form again from the raw text",
    crate::RULES_VERSION
)]
pub struct FormError;

pub(crate) fn put_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

/// A length; no form is as long as 4 GiB, for no text is.
pub(crate) fn put_length(out: &mut Vec<u8>, length: usize) {
    put_number(out, u32::try_from(length).unwrap_or(u32::MAX));
}

pub(crate) fn put_chars(out: &mut Vec<u8>, chars: &[char]) {
    put_length(out, chars.iter().map(|c| c.len_utf8()).sum());
    let mut buffer = [0; 4];
    for c in chars {
        out.extend_from_slice(c.encode_utf8(&mut buffer).as_bytes());
    }
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_length(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Takes from the front.
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn number(&mut self) -> Result<u32, FormError> {
        let (mut number, mut shift) = (0_u32, 0);
        loop {
            let (byte, rest) = self.0.split_first().ok_or(FormError)?;
            self.0 = rest;
            let part = u32::from(byte & 0x7F);
            if shift > 28 || (shift == 28 && part > 0x0F) {
                return Err(FormError);
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
        }
    }

    /// A length, at most as many as there are bytes left.
    pub(crate) fn length(&mut self) -> Result<usize, FormError> {
        let length = usize::try_from(self.number()?).map_err(|_| FormError)?;
        if length > self.0.len() { Err(FormError) } else { Ok(length) }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], FormError> {
        let length = self.length()?;
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        Ok(bytes)
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, FormError> {
        std::str::from_utf8(self.bytes()?).map_err(|_| FormError)
    }

    pub(crate) fn chars(&mut self) -> Result<Vec<char>, FormError> {
        let text = self.text()?;
        let mut chars = Vec::with_capacity(text.chars().count());
        chars.extend(text.chars());
        Ok(chars)
    }

    /// So many of what `one` takes, which has been compared with what is left.
    pub(crate) fn many<T>(
        &mut self,
        count: usize,
        one: impl Fn(&mut Self) -> Result<T, FormError>,
    ) -> Result<Vec<T>, FormError> {
        let mut all = Vec::with_capacity(count);
        for _ in 0..count {
            all.push(one(self)?);
        }
        Ok(all)
    }

    /// Where words begin: growing, inside of so many characters.
    pub(crate) fn starts(&mut self, within: usize) -> Result<Vec<usize>, FormError> {
        let count = self.length()?;
        let starts = self.many(count, |reader| usize::try_from(reader.number()?).map_err(|_| FormError))?;
        let growing = starts.is_sorted_by(|a, b| a < b) && starts.last().is_none_or(|last| *last < within);
        if growing { Ok(starts) } else { Err(FormError) }
    }

    pub(crate) fn end(&self) -> Result<(), FormError> {
        if self.0.is_empty() { Ok(()) } else { Err(FormError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_come_back() {
        let mut out = vec![];
        for number in [0, 127, 128, 999_999_999, u32::MAX] {
            put_number(&mut out, number);
        }
        put_chars(&mut out, &['𠮷', 'a']);
        let mut reader = Reader(&out);
        for number in [0, 127, 128, 999_999_999, u32::MAX] {
            assert_eq!(reader.number(), Ok(number));
        }
        assert_eq!(reader.chars(), Ok(vec!['𠮷', 'a']));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn bytes_that_lie_are_refused() {
        assert_eq!(Reader(&[0xFF; 6]).number(), Err(FormError));
        assert_eq!(Reader(&[5, b'a']).chars(), Err(FormError));
        assert_eq!(Reader(&[1, 0xFF]).chars(), Err(FormError));
        assert_eq!(Reader(&[]).number(), Err(FormError));
    }
}
