//! What a unit of work was given, kept to be compared with what it made of that, and to be given once more.
//!
//! Pure. A unit is edited again when it lacked counts of guesses, or when a count that a whole company shares was moved by another
//! before this unit could store it. Surprising: then it is stored only if the edit comes to the same as before, all but for that count;
//! so limits are decided by what is true at the end, while the company's row is held for no longer than the commit takes.

use std::{error::Error, fmt};

use musubi_domain::guess::{Axis, Count};

use super::{
    FollowerKey,
    changed::{GuessRow, guess_row},
    flow::{Edit, FollowerRecord, GuessKey, Work},
};
use crate::StoreError;

/// What was loaded.
#[derive(Default)]
pub(crate) struct Before(Work);

impl Before {
    /// Keeps what was loaded.
    pub(crate) const fn of(loaded: Work) -> Self {
        Self(loaded)
    }

    /// What the edit makes of it.
    pub(crate) fn edited(&self, edit: Edit<'_>) -> Work {
        let mut work = self.0.clone();
        edit(&mut work);
        work
    }

    /// A follower as it was.
    pub(crate) fn follower(&self, key: &FollowerKey) -> Option<&FollowerRecord> {
        self.0.followers.get(key)
    }

    /// A count as it was.
    pub(crate) fn count(&self, key: &GuessKey) -> Option<&Count> {
        self.0.guesses.get(key)
    }

    /// Adds counts that were loaded since, of these keys.
    pub(crate) fn add_counts(&mut self, keys: Vec<GuessKey>, counts: Vec<(GuessKey, Count)>) {
        self.0.counted.extend(keys);
        self.0.guesses.extend(counts);
    }

    /// Which counts of whole companies the edit has moved, in the order of their keys.
    pub(crate) fn moved_shared(&self, work: &Work) -> Vec<GuessKey> {
        let moved =
            work.guesses.iter().filter(|(key, count)| is_shared(key) && self.count(key) != Some(count));
        let mut keys: Vec<GuessKey> = moved.map(|(key, _)| key.clone()).collect();
        keys.sort_unstable_by(|one, other| one.company.cmp(&other.company));
        keys
    }

    /// What to store of the counts of whole companies, now that they are held: new ones, and those that are there. Of those that
    /// another moved meanwhile the edit is asked again.
    ///
    /// # Errors
    /// [`Overtaken`], when it would have come to something else: begin again.
    pub(crate) fn settle(
        &mut self,
        (keys, held): (&[GuessKey], Vec<(GuessKey, Count)>),
        (work, edit): (&Work, Edit<'_>),
    ) -> Result<(Vec<SharedRow>, Vec<SharedRow>), Overtaken> {
        let is_as_read = keys.iter().all(|key| {
            let now = held.iter().find(|(it, _)| it == key).map(|(_, count)| count);
            self.count(key) == now
        });
        if is_as_read {
            return Ok(self.shared_rows(keys, work));
        }
        for key in keys {
            self.0.guesses.remove(key);
        }
        self.0.guesses.extend(held);
        let again = self.edited(edit);
        match is_same(work, &again) {
            true => Ok(self.shared_rows(keys, &again)),
            false => Err(Overtaken),
        }
    }

    fn shared_rows(&self, keys: &[GuessKey], work: &Work) -> (Vec<SharedRow>, Vec<SharedRow>) {
        let counts = keys.iter().filter_map(|key| Some((key.clone(), *work.guesses.get(key)?)));
        counts.map(|(key, count)| SharedRow { key, count }).partition(|row| self.count(&row.key).is_none())
    }
}

/// A company's count to store.
pub(crate) struct SharedRow {
    key: GuessKey,
    count: Count,
}

impl SharedRow {
    /// As a row.
    pub(crate) fn row(&self) -> GuessRow<'_> {
        guess_row(&self.key, &self.count)
    }
}

/// All that try at one company share it.
pub(crate) fn is_shared(key: &GuessKey) -> bool {
    key.axis == Axis::Company
}

/// Whether two runs of an edit came to the same, all but for what companies count.
fn is_same(one: &Work, other: &Work) -> bool {
    let own = |work: &Work| {
        let mut work = work.clone();
        work.guesses.retain(|key, _| !is_shared(key));
        work
    };
    own(one) == own(other)
}

/// Another unit moved a count that this one was decided by.
#[derive(Debug)]
pub(crate) struct Overtaken;

impl Overtaken {
    /// As what makes a transaction of this name begin again.
    pub(crate) fn during(self, transaction: &'static str) -> StoreError {
        StoreError::during(transaction)(sqlx::Error::AnyDriverError(Box::new(self)))
    }

    /// Whether that is what failed.
    pub(crate) fn is(error: &sqlx::Error) -> bool {
        matches!(error, sqlx::Error::AnyDriverError(source) if source.is::<Self>())
    }
}

impl fmt::Display for Overtaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("others tried at the company's account numbers at the same moment")
    }
}

impl Error for Overtaken {}

#[cfg(test)]
mod tests {
    use super::*;

    fn company() -> GuessKey {
        GuessKey { company: "bank".parse().unwrap(), axis: Axis::Company, subject: Vec::new() }
    }

    fn count(charged: u32) -> Count {
        Count { charged, window_end: None }
    }

    /// A company with so many charged when it is read, and when it is held; none: nobody ever tried there. The edit charges one more
    /// below a limit of ten, and tells. Gives what is stored, as new and as known.
    fn settled(read: Option<u32>, held: Option<u32>) -> Option<(Vec<u32>, Vec<u32>)> {
        let counts = |charged: Option<u32>| charged.map(|charged| (company(), count(charged))).into_iter();
        let mut before = Before::of(Work { guesses: counts(read).collect(), ..Work::default() });
        let mut edit = |work: &mut Work| {
            let count = work.guesses.entry(company()).or_default();
            match count.charged < 10 {
                true => count.charged += 1,
                false => work.taken.push("refused".to_owned()),
            }
        };
        let work = before.edited(&mut edit);
        let keys = before.moved_shared(&work);
        assert_eq!(keys, [company()]);
        let rows = before.settle((&keys, counts(held).collect()), (&work, &mut edit)).ok()?;
        let charged = |rows: Vec<SharedRow>| rows.into_iter().map(|row| row.count.charged).collect();
        Some((charged(rows.0), charged(rows.1)))
    }

    #[test]
    fn what_others_have_charged_meanwhile_counts() {
        for (read, held, new, known) in [
            (Some(3), Some(3), None, Some(4)),
            (Some(3), Some(8), None, Some(9)),
            (Some(3), Some(0), None, Some(1)),
            (Some(3), None, Some(1), None),
            (None, Some(5), None, Some(6)),
            (None, None, Some(1), None),
        ] {
            let stored = (new.into_iter().collect(), known.into_iter().collect());
            assert_eq!(settled(read, held), Some(stored), "{read:?} {held:?}");
        }
    }

    #[test]
    fn who_would_be_refused_by_now_begins_again() {
        assert_eq!(settled(Some(9), Some(10)), None);
        assert_eq!(settled(None, Some(10)), None);
    }
}
