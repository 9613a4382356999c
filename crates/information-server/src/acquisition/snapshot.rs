//! A snapshot of a subscriber list in memory, held against the present list.
//!
//! Pure. Followers are sorted by their hashes, as the present list comes, so one walk over both finds what differs; ranges of hashes
//! are walked beside one another. Surprising: a list that is too long for memory is taken in parts, a range of hashes at a time.

use jiff::Timestamp;
use musubi_domain::{id::FollowerId, phone_number::PhoneNumber};
use musubi_storage::information::list::Listed;

/// More parts than this are no ranges of a hash's first byte.
const MOST_PARTS: u16 = 256;

/// A range of follower hashes: the `index`th of so many of the same size, a power of two up to 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    index: u16,
    of: u16,
}

impl Part {
    /// All of a list.
    pub(super) const WHOLE: Self = Self { index: 0, of: 1 };

    /// All the parts of this size.
    pub(super) fn all(self) -> impl Iterator<Item = Self> {
        (0..self.of).map(move |index| Self { index, of: self.of })
    }

    /// Whether it is all of a list.
    pub(super) const fn is_whole(self) -> bool {
        self.of == 1
    }

    /// Its two halves, or itself when it has none.
    pub(super) fn halves(self) -> impl Iterator<Item = Self> {
        let count = if self.of < MOST_PARTS { 2 } else { 1 };
        (0..count).map(move |half| Self { index: self.index * count + half, of: self.of * count })
    }

    fn width(self) -> u16 {
        MOST_PARTS / self.of
    }

    fn contains(self, follower: FollowerId) -> bool {
        u16::from(follower.as_bytes()[0]) / self.width() == self.index
    }

    /// The last hash before it. No follower has it: some of its bits say that it is a UUID, and are no ones.
    pub(super) fn begins_behind(self) -> Option<FollowerId> {
        let first = u8::try_from(self.index * self.width()).ok()?;
        let mut bytes = [u8::MAX; 16];
        bytes[0] = first.checked_sub(1)?;
        Some(FollowerId::from_bytes(bytes))
    }
}

/// The numbers of one part of a whole snapshot.
pub(super) struct Snapshot {
    /// The carrier's count of the list's changes.
    pub(super) generation: u64,
    /// The moment that the list is of.
    pub(super) as_of: Timestamp,
    part: Part,
    followers: Vec<(FollowerId, PhoneNumber)>,
}

impl Snapshot {
    /// Of a part that begins to arrive.
    pub(super) const fn arriving(generation: u64, as_of: Timestamp, part: Part) -> Self {
        Self { generation, as_of, part, followers: Vec::new() }
    }

    /// Takes numbers that arrived, those of its part. When they are more than `most`, it goes on with half of its part.
    pub(super) fn take(&mut self, arrived: impl IntoIterator<Item = (FollowerId, PhoneNumber)>, most: usize) {
        let part = self.part;
        self.followers.extend(arrived.into_iter().filter(|(follower, _)| part.contains(*follower)));
        while self.followers.len() > most && self.part.of < MOST_PARTS {
            let Some(half) = self.part.halves().next() else { return };
            self.followers.retain(|(follower, _)| half.contains(*follower));
            self.part = half;
        }
    }

    /// All numbers have arrived.
    pub(super) fn arrived(&mut self) {
        self.followers.sort_unstable();
    }

    /// Which part it is.
    pub(super) const fn part(&self) -> Part {
        self.part
    }

    /// Begins a walk over a part of it and of the present list.
    pub(super) fn walk(&self, part: Part) -> Walk<'_> {
        let before = |byte| self.followers.partition_point(|(id, _)| u16::from(id.as_bytes()[0]) < byte);
        let range = before(part.index * part.width())..before((part.index + 1) * part.width());
        let followers = self.followers.get(range).unwrap_or_default();
        let difference = Difference {
            known: vec![false; followers.len()],
            missing: Vec::new(),
            followers: 0,
            is_first: true,
        };
        Walk { part, followers, as_of: self.as_of, place: 0, difference }
    }

    /// How many numbers it has.
    pub(super) fn len(&self) -> u64 {
        u64::try_from(self.followers.len()).unwrap_or(u64::MAX)
    }

    /// Whether the snapshot has the follower.
    pub(super) fn has(&self, follower: FollowerId) -> bool {
        self.followers.binary_search_by_key(&follower, |(id, _)| *id).is_ok()
    }
}

/// A walk over a part of a snapshot and of the present list, side by side.
pub(super) struct Walk<'a> {
    part: Part,
    followers: &'a [(FollowerId, PhoneNumber)],
    as_of: Timestamp,
    place: usize,
    difference: Difference,
}

impl Walk<'_> {
    /// Goes on by a page of the present list, in order of follower. Gives whether the part goes on behind it. What changed after
    /// the snapshot's moment is let alone.
    pub(super) fn go_on(&mut self, page: &[Listed]) -> bool {
        let difference = &mut self.difference;
        for listed in page {
            difference.is_first = false;
            if !self.part.contains(listed.follower) {
                return false;
            }
            let rest = self.followers.get(self.place..).unwrap_or_default();
            self.place += rest.iter().take_while(|(follower, _)| *follower < listed.follower).count();
            let there = self.followers.get(self.place).is_some_and(|(id, _)| *id == listed.follower);
            let settled = listed.change_time <= self.as_of;
            difference.followers += u64::from(listed.following);
            if there && let Some(known) = difference.known.get_mut(self.place) {
                *known = listed.following || !settled;
            } else if listed.following && settled {
                difference.missing.push(listed.follower);
            }
        }
        true
    }

    /// What it has found.
    pub(super) fn ended(self) -> Difference {
        self.difference
    }
}

/// What a snapshot changes of the present list.
pub(super) struct Difference {
    /// For each number of the snapshot, whether it changes nothing.
    known: Vec<bool>,
    /// Followers of the present list that the snapshot lacks and should have.
    pub(super) missing: Vec<FollowerId>,
    /// Followers of the present list.
    pub(super) followers: u64,
    /// Whether nobody ever was on the list, as far as it was looked at.
    pub(super) is_first: bool,
}

impl Difference {
    /// Of a part of which these are the parts, in their order.
    pub(super) fn of(parts: Vec<Self>) -> Self {
        Self {
            missing: parts.iter().flat_map(|part| &part.missing).copied().collect(),
            followers: parts.iter().map(|part| part.followers).sum(),
            is_first: parts.iter().all(|part| part.is_first),
            known: parts.into_iter().flat_map(|part| part.known).collect(),
        }
    }

    /// The snapshot's numbers that the present list lacks.
    pub(super) fn new_ones<'a>(
        &'a self,
        snapshot: &'a Snapshot,
    ) -> impl Iterator<Item = (FollowerId, PhoneNumber)> + 'a {
        snapshot.followers.iter().zip(&self.known).filter(|(_, known)| !**known).map(|(new, _)| *new)
    }

    /// How many numbers are missing.
    pub(super) fn missing(&self) -> u64 {
        u64::try_from(self.missing.len()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use musubi_domain::id::FollowerKeyring;

    use super::*;

    fn follower(last: u32) -> (FollowerId, PhoneNumber) {
        let number: PhoneNumber = format!("+81800000{last:04}").parse().unwrap();
        let keyring = FollowerKeyring::new(&[1; 32]).unwrap();
        (keyring.follower(&"bank".parse().unwrap(), &number), number)
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// What the present list says, what the snapshot has, and what differs: arriving, missing.
    struct Cases {
        list: BTreeMap<FollowerId, Listed>,
        snapshot: Vec<(FollowerId, PhoneNumber)>,
        changes: [Vec<FollowerId>; 2],
    }

    /// Everyone by what the list says (nothing, followed or left; before or after the snapshot) and by whether the snapshot has
    /// them.
    fn cases() -> Cases {
        let (mut list, mut snapshot, mut changes) = (BTreeMap::new(), Vec::new(), [vec![], vec![]]);
        for n in 0..1_000 {
            let (id, number) = follower(n);
            let (there, known, following, settled) = (n & 1 > 0, n & 2 > 0, n & 4 > 0, n & 8 > 0);
            if there {
                snapshot.push((id, number));
            }
            if known {
                let change_time = if settled { at(50) } else { at(51) };
                list.insert(id, Listed { follower: id, following, change_time });
            }
            if there && (!known || (!following && settled)) {
                changes[0].push(id);
            }
            if !there && known && following && settled {
                changes[1].push(id);
            }
        }
        changes.iter_mut().for_each(|them| them.sort_unstable());
        Cases { list, snapshot, changes }
    }

    #[test]
    fn a_snapshot_in_parts_changes_what_it_changes_as_a_whole() {
        let Cases { list, snapshot: all, changes: expected } = cases();
        let following = list.values().filter(|listed| listed.following).count();
        for (most, parts) in [(usize::MAX, 1), (499, 2), (100, 8), (1, 256)] {
            let mut first = Snapshot::arriving(7, at(50), Part::WHOLE);
            all.chunks(13).for_each(|page| first.take(page.iter().copied(), most));
            assert_eq!(first.part().all().count(), parts);
            let (mut found, mut followers, mut numbers) = ([vec![], vec![]], 0, 0);
            for part in first.part().all() {
                let mut snapshot = Snapshot::arriving(7, at(50), part);
                snapshot.take(all.iter().copied(), usize::MAX);
                snapshot.arrived();
                let walked = |half: Part| {
                    let mut walk = snapshot.walk(half);
                    let begin = half.begins_behind();
                    let listed: Vec<_> =
                        list.values().filter(|it| Some(it.follower) > begin).copied().collect();
                    let _all = listed.chunks(7).all(|page| walk.go_on(page));
                    walk.ended()
                };
                let difference = Difference::of(part.halves().map(walked).collect());
                found[0].extend(difference.new_ones(&snapshot).map(|(id, _)| id));
                found[1].extend(&difference.missing);
                followers += difference.followers;
                numbers += snapshot.len();
                for (id, _) in &all {
                    assert_eq!(snapshot.has(*id), part.contains(*id));
                }
            }
            assert_eq!(found, expected);
            assert_eq!((followers, numbers), (following as u64, all.len() as u64));
        }
    }
}
