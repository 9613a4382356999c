//! Subscriber lists: whether a snapshot is whole, and whether it may be believed (I14).

use jiff::SignedDuration;
use sha2::{Digest as _, Sha256};

use crate::{Error, ErrorKind, phone_number::PhoneNumber};

/// Checks a snapshot while it arrives. It is whole only when [`Self::end`] says so.
#[derive(Default)]
pub struct SnapshotCheck {
    pages: u32,
    count: u64,
    last: Option<PhoneNumber>,
    digest: Sha256,
}

impl SnapshotCheck {
    /// Takes one page.
    ///
    /// # Errors
    /// A page is missing or repeated, or its numbers don't ascend.
    pub fn page(&mut self, page_number: u32, numbers: &[PhoneNumber]) -> Result<(), Error> {
        if page_number != self.pages {
            return Err(unfit(
                "page_number",
                format!("page {page_number} where page {} was due", self.pages),
            ));
        }
        self.pages += 1;
        for number in numbers {
            if self.last.is_some_and(|last| last >= *number) {
                return Err(unfit("msisdns", "the numbers do not ascend".to_owned()));
            }
            self.last = Some(*number);
            self.count += 1;
            self.digest.update(number.as_str().as_bytes());
            self.digest.update(b"\n");
        }
        Ok(())
    }

    /// Takes the end marker.
    ///
    /// # Errors
    /// The count or the digest is another than that of the pages.
    pub fn end(self, count: u64, digest: &[u8]) -> Result<u64, Error> {
        if count != self.count {
            return Err(unfit("count", format!("{count} numbers promised, {} came", self.count)));
        }
        if digest != self.digest.finalize().as_slice() {
            return Err(unfit("digest", "the digest is not that of the numbers".to_owned()));
        }
        Ok(count)
    }
}

/// The digest of a whole list, for whoever makes one.
#[derive(Default)]
pub struct ListDigest(Sha256);

impl ListDigest {
    /// Takes the next number in ascending order.
    pub fn update(&mut self, number: &str) {
        self.0.update(number.as_bytes());
        self.0.update(b"\n");
    }

    /// SHA-256 over every number followed by a line feed.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

fn unfit(field: &str, problem: String) -> Error {
    Error::new(ErrorKind::FailedPrecondition, problem, "the snapshot is discarded; fetch the list anew")
        .at(field)
}

/// When a list that shrinks is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CollapseRules {
    /// More than this share of the followers missing is suspect, in percent.
    pub percent: u64,
    /// No fewer than this many missing are ever suspect.
    pub at_least: u64,
    /// How much later a second snapshot must say the same to be believed.
    pub confirm_after: SignedDuration,
}

impl Default for CollapseRules {
    fn default() -> Self {
        Self { percent: 5, at_least: 100, confirm_after: SignedDuration::from_hours(1) }
    }
}

/// What to do with a whole snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Make it the list.
    Promote,
    /// Keep the list, hold back individual messages to the missing numbers, and wait for an operator or a second snapshot.
    Quarantine,
}

/// Judges a whole snapshot by how many followers it loses of how many, and by what is known of those before it: how long ago one that lost no fewer was
/// quarantined, and whether people have released it, seeing how many it lost. More than that and what a list may lose anyway they have not seen.
#[must_use]
pub fn judge(
    followers: u64,
    missing: u64,
    quarantined_before: Option<SignedDuration>,
    released: Option<u64>,
    rules: &CollapseRules,
) -> Verdict {
    let limit = (followers.saturating_mul(rules.percent) / 100).max(rules.at_least);
    let confirmed = quarantined_before.is_some_and(|since| since >= rules.confirm_after);
    let believed = missing <= limit.saturating_add(released.unwrap_or_default());
    if believed || confirmed { Verdict::Promote } else { Verdict::Quarantine }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(range: std::ops::Range<u32>) -> Vec<PhoneNumber> {
        range.map(|n| format!("+8180{n:08}").parse().unwrap()).collect()
    }

    fn digest(numbers: &[PhoneNumber]) -> [u8; 32] {
        let mut digest = ListDigest::default();
        numbers.iter().for_each(|number| digest.update(number.as_str()));
        digest.finish()
    }

    #[test]
    fn a_whole_snapshot_is_whole() {
        let all = numbers(0..5);
        let mut check = SnapshotCheck::default();
        check.page(0, &all[..3]).unwrap();
        check.page(1, &all[3..]).unwrap();
        assert_eq!(check.end(5, &digest(&all)), Ok(5));
    }

    #[test]
    fn a_snapshot_that_lies_is_found_out() {
        let all = numbers(0..5);
        let check = |pages: &[(u32, &[PhoneNumber])], count: u64, digest: &[u8]| {
            let mut check = SnapshotCheck::default();
            pages.iter().try_for_each(|(number, page)| check.page(*number, page))?;
            check.end(count, digest)
        };
        let right = digest(&all);
        for (pages, count, digest, field) in [
            (vec![(0, &all[..3])], 5, right, "count"),
            (vec![(0, &all[..])], 4, right, "count"),
            (vec![(0, &all[..3]), (2, &all[3..])], 5, right, "page_number"),
            (vec![(0, &all[..3]), (0, &all[3..])], 5, right, "page_number"),
            (vec![(0, &all[3..]), (1, &all[..3])], 5, right, "msisdns"),
            (vec![(0, &all[..3]), (1, &all[2..])], 6, right, "msisdns"),
            (vec![(0, &all[..])], 5, [0; 32], "digest"),
        ] {
            assert_eq!(check(&pages, count, &digest).unwrap_err().field, field);
        }
    }

    #[test]
    fn a_collapsing_list_is_quarantined_until_it_is_confirmed_or_released() {
        let rules = CollapseRules::default();
        let hours = |hours| Some(SignedDuration::from_hours(hours));
        for (followers, missing, before, released, verdict) in [
            (1_000, 100, None, None, Verdict::Promote),
            (1_000, 101, None, None, Verdict::Quarantine),
            (10_000, 500, None, None, Verdict::Promote),
            (10_000, 501, None, None, Verdict::Quarantine),
            (10_000, 10_000, hours(0), None, Verdict::Quarantine),
            (10_000, 10_000, hours(1), None, Verdict::Promote),
            (10_000, 3_500, hours(0), Some(3_000), Verdict::Promote),
            (10_000, 3_501, hours(0), Some(3_000), Verdict::Quarantine),
            (0, 0, None, None, Verdict::Promote),
        ] {
            let judged = judge(followers, missing, before, released, &rules);
            assert_eq!(judged, verdict, "{missing} of {followers}");
        }
    }
}
