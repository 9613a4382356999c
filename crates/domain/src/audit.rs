//! The audit's chain: lines in their order, sealed in batches, each seal bound to the one before and signed.
//!
//! A seal says how many lines stand between two of them, the digest of their text, the hash of the seal before, and when; its signature is
//! an HMAC of all that. Whoever changes, adds, removes or moves a sealed line, or a seal, without the key is found. Surprising: nothing
//! here notices that the newest seals are gone together with their lines; for that a [`Head`] has to be kept where the database's owner can't reach it.

use std::{fmt, str::FromStr};

use hmac::{Hmac, Mac as _};
use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind, error::shape, id::keyed};

/// A digest of SHA-256, and an HMAC of it.
pub type Hash = [u8; 32];

/// One line, as it was written. No personal value stands in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Rises with every line; an id may be left out.
    pub audit_id: i64,
    /// When.
    pub time: Timestamp,
    /// Whose. A text, as all of these, because a line that somebody has spoilt has to be read, too.
    pub company: String,
    /// About a follower of which account.
    pub official_account: Option<String>,
    /// About which follower.
    pub follower: Option<String>,
    /// What was done: a word like `tied`.
    pub action: String,
    /// Ids and codes.
    pub detail: String,
}

impl AuditLine {
    /// The line as it is exported and sealed: one object of JSON, without a line break.
    ///
    /// # Errors
    /// `Internal` when it can't be written, which is a fault of ours.
    pub fn to_json(&self) -> Result<String, Error> {
        serde_json::to_string(self)
            .map_err(|_| Error::new(ErrorKind::Internal, "a line of the audit can not be written", ""))
    }
}

/// The longest word and the longest text that are looked for, in characters.
const LONGEST: (usize, usize) = (100, 200);
/// Lines of a page, unless the request says otherwise, and at most.
const PAGE: (u32, u32) = (100, 1_000);

/// What somebody looks for among lines, from the newest back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Search {
    action: String,
    text: String,
    /// How many lines a page has at most.
    pub size: usize,
    /// Only lines before this one.
    pub before: i64,
}

impl Search {
    /// Reads what is looked for: only lines of this action, whose detail has this text; empty: all. A size of 0 is 100; the token is a
    /// line's id, or empty.
    ///
    /// # Errors
    /// Names `action`, `text`, `page_size` or `page_token`.
    pub fn parse(action: String, text: String, page_size: u32, page_token: &str) -> Result<Self, Error> {
        if action.len() > LONGEST.0 || !action.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') {
            let remedy = "write a word of the audit, such as customer_shown, or nothing";
            return Err(Error::invalid("action", format!("{} is none", shape(&action)), remedy));
        }
        if text.chars().count() > LONGEST.1 {
            return Err(Error::invalid("text", shape(&text), "write at most 200 characters"));
        }
        let size = match page_size {
            0 => PAGE.0,
            size if size <= PAGE.1 => size,
            size => {
                let problem = format!("{size} lines");
                return Err(Error::invalid("page_size", problem, "ask for 1 to 1,000, or 0 for 100"));
            }
        };
        let before = match page_token {
            "" => i64::MAX,
            token => token.parse().map_err(|_| {
                let remedy = "give the next_page_token of the page before, or none";
                Error::invalid("page_token", "is no token of ours", remedy)
            })?,
        };
        Ok(Self { action, text, size: usize::try_from(size).unwrap_or(usize::MAX), before })
    }

    /// Whether the line is looked for.
    #[must_use]
    pub fn wants(&self, line: &AuditLine) -> bool {
        (self.action.is_empty() || line.action == self.action) && line.detail.contains(&self.text)
    }
}

/// The digest of lines, taken one by one.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    digest: Sha256,
    range: Option<(i64, i64)>,
    count: u32,
}

impl Lines {
    /// Adds the next line.
    ///
    /// # Errors
    /// As [`AuditLine::to_json`].
    pub fn add(&mut self, line: &AuditLine) -> Result<(), Error> {
        self.digest.update(line.to_json()?);
        self.digest.update(b"\n");
        let first = self.range.map_or(line.audit_id, |(first, _)| first);
        self.range = Some((first, line.audit_id));
        self.count += 1;
        Ok(())
    }
}

/// A batch of lines, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// From 1, without gaps.
    pub number: i64,
    /// The ids of the first line and of the last.
    pub first_id: i64,
    /// See `first_id`.
    pub last_id: i64,
    /// How many lines that are.
    pub count: u32,
    /// Of their text.
    pub digest: Hash,
    /// The hash of the seal before; zeros before the first.
    pub previous: Hash,
    /// When it was made.
    pub time: Timestamp,
    /// Which key signed it.
    pub key_id: [u8; KEY_ID_BYTES],
    /// By that key, of [`Seal::hash`].
    pub signature: Hash,
}

/// What names a key, in bytes.
pub const KEY_ID_BYTES: usize = 4;

impl Seal {
    /// What the next seal is bound to, and what is signed.
    #[must_use]
    pub fn hash(&self) -> Hash {
        let mut hash = Sha256::new_with_prefix(b"seal of the audit\0");
        for number in
            [self.number, self.first_id, self.last_id, self.count.into(), self.time.as_microsecond()]
        {
            hash.update(number.to_be_bytes());
        }
        hash.update(self.digest);
        hash.update(self.previous);
        hash.update(self.key_id);
        hash.finalize().into()
    }

    /// What has to be kept elsewhere to notice that this seal was removed.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash() }
    }
}

/// The newest seal at some time, in short: `12:` and the hash in hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Of the seal.
    pub number: i64,
    /// Of the seal.
    pub hash: Hash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.number)?;
        self.hash.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Head {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let read = || {
            let (number, digits) = text.split_once(':')?;
            let mut hash = Hash::default();
            let plain = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
            for (at, byte) in hash.iter_mut().enumerate().filter(|_| plain) {
                *byte = u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok()?;
            }
            plain.then_some(Self { number: number.parse().ok()?, hash })
        };
        read().ok_or_else(|| {
            let remedy = "write the head as `musubi audit verify` told it: a number, a colon and 64 hexadecimal digits";
            Error::invalid("head", format!("{} is no head", shape(text)), remedy)
        })
    }
}

/// The keys that sign seals: the first signs, each of them is known.
#[derive(Clone)]
pub struct AuditKeyring(Vec<([u8; KEY_ID_BYTES], Hmac<Sha256>)>);

impl fmt::Debug for AuditKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuditKeyring({} keys)", self.0.len())
    }
}

impl AuditKeyring {
    /// From secrets of at least 16 bytes each.
    ///
    /// # Errors
    /// When there is none, or one is shorter.
    pub fn new(secrets: &[&[u8]]) -> Result<Self, Error> {
        let keys = secrets.iter().map(|secret| {
            let mac = keyed(secret, "audit_key")?;
            let mut id = [0; KEY_ID_BYTES];
            let derived =
                mac.clone().chain_update(b"id of the key that signs the audit").finalize().into_bytes();
            id.copy_from_slice(&derived[..KEY_ID_BYTES]);
            Ok((id, mac))
        });
        let keys = keys.collect::<Result<Vec<_>, Error>>()?;
        if keys.is_empty() {
            return Err(Error::invalid("audit_key", "no key is given", "give at least 16 random bytes"));
        }
        Ok(Self(keys))
    }

    /// The seal of these lines behind `previous`; none when there is no line.
    #[must_use]
    pub fn seal(&self, previous: Option<&Seal>, lines: Lines, now: Timestamp) -> Option<Seal> {
        let Lines { digest, range, count } = lines;
        let ((first_id, last_id), (key_id, key)) = (range?, self.0.first()?);
        let mut seal = Seal {
            number: previous.map_or(0, |seal| seal.number) + 1,
            first_id,
            last_id,
            count,
            digest: digest.finalize().into(),
            previous: previous.map(Seal::hash).unwrap_or_default(),
            // As stores keep it.
            time: Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now),
            key_id: *key_id,
            signature: Hash::default(),
        };
        seal.signature = key.clone().chain_update(seal.hash()).finalize().into_bytes().into();
        Some(seal)
    }

    /// Whether a seal is the next one behind `previous`, and of these lines.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self, seal: &Seal, previous: Option<&Seal>, lines: Lines) -> Result<(), Fault> {
        if seal.number != previous.map_or(0, |seal| seal.number) + 1 {
            return Err(Fault::Missing);
        }
        let (_, key) = self.0.iter().find(|(id, _)| *id == seal.key_id).ok_or(Fault::UnknownKey)?;
        if key.clone().chain_update(seal.hash()).verify_slice(&seal.signature).is_err() {
            return Err(Fault::Signature);
        }
        if seal.previous != previous.map(Seal::hash).unwrap_or_default() {
            return Err(Fault::Previous);
        }
        if lines.count != seal.count {
            return Err(Fault::Count { found: lines.count });
        }
        let digest: Hash = lines.digest.finalize().into();
        if lines.range != Some((seal.first_id, seal.last_id)) || digest != seal.digest {
            return Err(Fault::Lines);
        }
        Ok(())
    }
}

/// What is wrong with a seal or its lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// One or more seals before it are gone, or it was put there.
    #[error("a seal before it is missing, or it was put in")]
    Missing,
    /// It was signed by a key that is not configured.
    #[error("the key that signed it is not among keys.audit")]
    UnknownKey,
    /// It was changed.
    #[error("the seal was changed: its signature is wrong")]
    Signature,
    /// It does not follow the seal before it.
    #[error("it does not follow the seal before it")]
    Previous,
    /// Lines were removed or put in.
    #[error("lines were removed or put in: there are {found}")]
    Count {
        /// How many there are now.
        found: u32,
    },
    /// Lines were changed or moved.
    #[error("lines were changed")]
    Lines,
    /// A head that was kept elsewhere is not in the chain.
    #[error(
        "the head that was kept is not in the chain: seals and their lines were removed, or all of it was made anew"
    )]
    Head,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring(byte: u8) -> AuditKeyring {
        AuditKeyring::new(&[&[byte; 16]]).unwrap()
    }

    fn line(audit_id: i64) -> AuditLine {
        AuditLine {
            audit_id,
            time: Timestamp::from_microsecond(1_800_000_000_000_007).unwrap(),
            company: "tf-bank".to_owned(),
            official_account: Some("bank".to_owned()),
            follower: Some("flw_09090909090909090909090909090909".to_owned()),
            action: "tied".to_owned(),
            detail: "tie_1 \"one\"\n".to_owned(),
        }
    }

    fn lines(ids: &[i64]) -> Lines {
        let mut lines = Lines::default();
        ids.iter().for_each(|id| lines.add(&line(*id)).unwrap());
        lines
    }

    fn seal(previous: Option<&Seal>, ids: &[i64]) -> Seal {
        keyring(1).seal(previous, lines(ids), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_line_is_one_line_of_json_for_ever_the_same() {
        let json = r#"{"audit_id":7,"time":"2027-01-15T08:00:00.000007Z","company":"tf-bank","official_account":"bank","follower":"flw_09090909090909090909090909090909","action":"tied","detail":"tie_1 \"one\"\n"}"#;
        assert_eq!(line(7).to_json().unwrap(), json);
        let nobody = AuditLine { official_account: None, follower: None, ..line(7) };
        assert!(nobody.to_json().unwrap().contains(r#""official_account":null,"follower":null"#));
    }

    #[test]
    fn seals_that_follow_one_another_are_good() {
        let first = seal(None, &[1, 2, 5]);
        let second = seal(Some(&first), &[6]);
        assert_eq!((first.number, first.first_id, first.last_id, first.count), (1, 1, 5, 3));
        assert_eq!(keyring(1).check(&first, None, lines(&[1, 2, 5])), Ok(()));
        assert_eq!(keyring(1).check(&second, Some(&first), lines(&[6])), Ok(()));
        assert_eq!(keyring(1).seal(Some(&second), Lines::default(), Timestamp::UNIX_EPOCH), None);
    }

    #[test]
    fn whatever_was_changed_is_found() {
        let keys = keyring(1);
        let first = seal(None, &[1, 2, 5]);
        let second = seal(Some(&first), &[6]);
        let third = seal(Some(&second), &[7]);
        for (ids, fault) in [
            (&[1, 5][..], Fault::Count { found: 2 }),
            (&[1, 2, 3, 5], Fault::Count { found: 4 }),
            (&[], Fault::Count { found: 0 }),
            (&[1, 5, 2], Fault::Lines),
            (&[1, 3, 5], Fault::Lines),
        ] {
            assert_eq!(keys.check(&first, None, lines(ids)), Err(fault), "{ids:?}");
        }
        assert_eq!(keys.check(&second, None, lines(&[6])), Err(Fault::Missing));
        assert_eq!(keys.check(&third, Some(&first), lines(&[7])), Err(Fault::Missing));
        let other = seal(None, &[1, 2, 4]);
        assert_eq!(keys.check(&second, Some(&other), lines(&[6])), Err(Fault::Previous));
        for edit in [
            (|seal: &mut Seal| seal.number = 1) as fn(&mut Seal),
            |seal| seal.first_id = 0,
            |seal| seal.last_id = 6,
            |seal| seal.count = 2,
            |seal| seal.digest[0] ^= 1,
            |seal| seal.previous[0] ^= 1,
            |seal| seal.time = Timestamp::MAX,
            |seal| seal.signature[31] ^= 1,
            |seal| seal.key_id[0] ^= 1,
        ] {
            let mut spoilt = first.clone();
            edit(&mut spoilt);
            let found = keys.check(&spoilt, None, lines(&[1, 2, 5]));
            assert!(found.is_err() || spoilt == first);
        }
    }

    #[test]
    fn a_seal_of_another_key_is_not_ours() {
        let foreign = keyring(2).seal(None, lines(&[1]), Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!(keyring(1).check(&foreign, None, lines(&[1])), Err(Fault::UnknownKey));
        let both = AuditKeyring::new(&[&[1; 16], &[2; 16]]).unwrap();
        assert_eq!(both.check(&foreign, None, lines(&[1])), Ok(()));
        assert!(AuditKeyring::new(&[]).is_err() && AuditKeyring::new(&[&[1; 15]]).is_err());
    }

    #[test]
    fn a_head_reads_back_and_nothing_else_is_one() {
        let head = seal(None, &[1]).head();
        assert_eq!(head.to_string().parse::<Head>(), Ok(head));
        let short = head.to_string();
        for text in ["", "1", "1:", &short[..short.len() - 1], &short.replace("1:", "x:"), "1:+1"] {
            assert_eq!(text.parse::<Head>().unwrap_err().field, "head", "{text}");
        }
    }
}
