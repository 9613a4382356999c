//! A snapshot of a subscriber list in memory, held against the present list.
//!
//! Pure. Followers are sorted by their hashes, as the present list comes, so one walk over both finds what differs; ranges of hashes
//! are walked beside one another. Surprising: a list that is too long for memory is taken in parts, a range of hashes at a time. And numbers
//! go by their hash's first byte as they arrive, so that what grows, is sorted and is thrown away is a small piece of it.

use std::{iter::Peekable, ops::Range};

use jiff::Timestamp;
use musubi_domain::{
    id::FollowerId,
    phone_number::{PackedNumber, PhoneNumber},
};
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

    /// Its two halves, or itself when it has none.
    pub(super) fn halves(self) -> impl Iterator<Item = Self> {
        let count = if self.of < MOST_PARTS { 2 } else { 1 };
        (0..count).map(move |half| Self { index: self.index * count + half, of: self.of * count })
    }

    fn width(self) -> u16 {
        MOST_PARTS / self.of
    }

    /// The first bytes of its hashes.
    fn first_bytes(self) -> Range<usize> {
        let begin = usize::from(self.index * self.width());
        begin..begin + usize::from(self.width())
    }

    fn contains(self, follower: FollowerId) -> bool {
        self.first_bytes().contains(&first_byte(follower))
    }

    /// The last hash before it. No follower has it: some of its bits say that it is a UUID, and are no ones.
    pub(super) fn begins_behind(self) -> Option<FollowerId> {
        let first = u8::try_from(self.index * self.width()).ok()?;
        let mut bytes = [u8::MAX; 16];
        bytes[0] = first.checked_sub(1)?;
        Some(FollowerId::from_bytes(bytes))
    }
}

fn first_byte(follower: FollowerId) -> usize {
    usize::from(follower.as_bytes()[0])
}

/// How many numbers a piece of memory has room for.
const PIECE: usize = 512;

/// Followers and their numbers, 24 bytes for each, whose hashes have the first byte in common. Surprising: in pieces, because a vector that
/// grows is copied, and leaves the allocator what it had before.
#[derive(Clone, Default)]
struct Numbers(Vec<Vec<(FollowerId, PackedNumber)>>);

impl Numbers {
    fn push(&mut self, follower: FollowerId, number: PhoneNumber) {
        let it = (follower, number.into());
        match self.0.last_mut().filter(|piece| piece.len() < PIECE) {
            Some(piece) => piece.push(it),
            None => {
                let mut piece = Vec::with_capacity(PIECE);
                piece.push(it);
                self.0.push(piece);
            }
        }
    }

    fn len(&self) -> usize {
        self.0.iter().map(Vec::len).sum()
    }

    /// In order of follower, from now on.
    fn sort(&mut self, room: &mut Vec<(FollowerId, PackedNumber)>) {
        room.clear();
        room.extend(self.iter());
        room.sort_unstable_by_key(|(follower, _)| *follower);
        let places = self.0.iter_mut().flatten();
        places.zip(room.iter()).for_each(|(place, it)| *place = *it);
    }

    fn iter(&self) -> impl Iterator<Item = (FollowerId, PackedNumber)> + '_ {
        self.0.iter().flatten().copied()
    }

    /// Whether the follower is there, of those in order.
    fn has(&self, follower: FollowerId) -> bool {
        let behind =
            self.0.partition_point(|piece| piece.first().is_some_and(|(first, _)| *first <= follower));
        let piece = behind.checked_sub(1).and_then(|piece| self.0.get(piece));
        piece.is_some_and(|piece| piece.binary_search_by_key(&follower, |(id, _)| *id).is_ok())
    }

    fn retain(&mut self, mut is_kept: impl FnMut() -> bool) {
        for piece in &mut self.0 {
            piece.retain(|_| is_kept());
            piece.shrink_to_fit();
        }
    }
}

/// The numbers of one part of a whole snapshot.
pub(super) struct Snapshot {
    /// The carrier's count of the list's changes.
    pub(super) generation: u64,
    /// The moment that the list is of.
    pub(super) as_of: Timestamp,
    part: Part,
    /// By the first byte of the follower's hash.
    numbers: Vec<Numbers>,
    length: usize,
}

impl Snapshot {
    /// Of a part that begins to arrive.
    pub(super) fn arriving(generation: u64, as_of: Timestamp, part: Part) -> Self {
        Self {
            generation,
            as_of,
            part,
            numbers: vec![Numbers::default(); usize::from(MOST_PARTS)],
            length: 0,
        }
    }

    /// Takes numbers that arrived, those of its part. When they are more than `most`, it goes on with half of its part.
    pub(super) fn take(&mut self, arrived: impl IntoIterator<Item = (FollowerId, PhoneNumber)>, most: usize) {
        let part = self.part.first_bytes();
        for (follower, number) in arrived {
            let byte = first_byte(follower);
            if part.contains(&byte)
                && let Some(numbers) = self.numbers.get_mut(byte)
            {
                numbers.push(follower, number);
                self.length += 1;
            }
        }
        while self.length > most && self.part.of < MOST_PARTS {
            let Some(half) = self.part.halves().next() else { return };
            let kept = half.first_bytes();
            for (byte, numbers) in self.numbers.iter_mut().enumerate() {
                if !kept.contains(&byte) {
                    self.length -= std::mem::take(numbers).len();
                }
            }
            self.part = half;
        }
    }

    /// All numbers have arrived.
    pub(super) fn arrived(&mut self) {
        let mut room = Vec::new();
        self.numbers.iter_mut().for_each(|numbers| numbers.sort(&mut room));
    }

    /// Which part it is.
    pub(super) const fn part(&self) -> Part {
        self.part
    }

    /// Begins a walk over a part of it and of the present list.
    pub(super) fn walk(&self, part: Part) -> Walk<impl Iterator<Item = FollowerId> + '_> {
        let numbers = self.numbers.get(part.first_bytes()).unwrap_or_default();
        let followers = numbers.iter().flat_map(Numbers::iter).map(|(follower, _)| follower);
        let found = Found { known: Vec::new(), missing: Vec::new(), followers: 0, is_first: true };
        Walk { part, followers: followers.peekable(), as_of: self.as_of, found }
    }

    /// Whether the snapshot has the follower.
    pub(super) fn has(&self, follower: FollowerId) -> bool {
        self.numbers.get(first_byte(follower)).is_some_and(|numbers| numbers.has(follower))
    }

    /// What it changes, by what walks over its parts have found, in their order; `back` are suspended followers that it has.
    pub(super) fn changes(self, walked: Vec<Found>, back: Vec<FollowerId>) -> Difference {
        let mut new_ones = self.numbers;
        let mut known = walked.iter().flat_map(|found| &found.known);
        new_ones.iter_mut().for_each(|numbers| numbers.retain(|| known.next() == Some(&false)));
        Difference {
            as_of: self.as_of,
            added: new_ones.iter().map(Numbers::len).sum(),
            new_ones,
            missing: walked.iter().flat_map(|found| &found.missing).copied().collect(),
            back,
            numbers: count(self.length),
            followers: walked.iter().map(|found| found.followers).sum(),
            is_first: walked.iter().all(|found| found.is_first),
        }
    }
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A walk over a part of a snapshot and of the present list, side by side.
pub(super) struct Walk<F: Iterator<Item = FollowerId>> {
    part: Part,
    followers: Peekable<F>,
    as_of: Timestamp,
    found: Found,
}

/// What a walk has found.
pub(super) struct Found {
    /// For each number of the snapshot's part, whether it changes nothing.
    known: Vec<bool>,
    missing: Vec<FollowerId>,
    followers: u64,
    is_first: bool,
}

impl<F: Iterator<Item = FollowerId>> Walk<F> {
    /// Goes on by a page of the present list, in order of follower. Gives whether the part goes on behind it. What changed after
    /// the snapshot's moment is let alone.
    pub(super) fn go_on(&mut self, page: &[Listed]) -> bool {
        let found = &mut self.found;
        for listed in page {
            found.is_first = false;
            if !self.part.contains(listed.follower) {
                return false;
            }
            while self.followers.next_if(|follower| *follower < listed.follower).is_some() {
                found.known.push(false);
            }
            let there = self.followers.next_if_eq(&listed.follower).is_some();
            let settled = listed.change_time <= self.as_of;
            found.followers += u64::from(listed.following);
            if there {
                found.known.push(listed.following || !settled);
            } else if listed.following && settled {
                found.missing.push(listed.follower);
            }
        }
        true
    }

    /// What it has found.
    pub(super) fn ended(self) -> Found {
        let mut found = self.found;
        found.known.extend(self.followers.map(|_| false));
        found
    }
}

/// What a snapshot, or a part of it, changes of the present list.
pub(super) struct Difference {
    /// The moment that the snapshot is of.
    pub(super) as_of: Timestamp,
    /// The snapshot's numbers that the present list lacks, in order of follower.
    new_ones: Vec<Numbers>,
    added: usize,
    /// Followers of the present list that the snapshot lacks and should have, in order.
    pub(super) missing: Vec<FollowerId>,
    /// Suspended followers that the snapshot has.
    pub(super) back: Vec<FollowerId>,
    /// How many numbers the snapshot has.
    pub(super) numbers: u64,
    /// How many followers the present list has.
    pub(super) followers: u64,
    /// Whether nobody ever was on the list, as far as it was looked at.
    pub(super) is_first: bool,
}

/// What becomes of a follower by a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The list has them anew.
    Added(PhoneNumber),
    /// It lacks them.
    Removed,
}

impl Difference {
    /// How many followers it holds in memory.
    pub(super) fn len(&self) -> usize {
        self.added + self.missing.len() + self.back.len()
    }

    /// How many are new.
    pub(super) fn added(&self) -> u64 {
        count(self.added)
    }

    /// How many are missing.
    pub(super) fn missing(&self) -> u64 {
        count(self.missing.len())
    }

    /// Whom it adds and whom it removes, in order of follower, so that a page of a store's index that has both is written once.
    pub(super) fn changes(&self) -> impl Iterator<Item = (FollowerId, Change)> + '_ {
        let new_ones = self.new_ones.iter().flat_map(Numbers::iter);
        let mut new_ones = new_ones.map(|(id, number)| (id, Change::Added(number.into()))).peekable();
        let mut missing = self.missing.iter().map(|id| (*id, Change::Removed)).peekable();
        std::iter::from_fn(move || {
            let next = new_ones.peek().map(|(id, _)| *id);
            missing.next_if(|(gone, _)| next.is_none_or(|next| *gone < next)).or_else(|| new_ones.next())
        })
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
    fn numbers_of_many_pieces_are_sorted_found_and_kept() {
        let expected: BTreeMap<_, _> = (0..3 * PIECE as u32 + 7).map(follower).collect();
        let mut numbers = Numbers::default();
        (0..3 * PIECE as u32 + 7).map(follower).for_each(|(id, number)| numbers.push(id, number));
        numbers.sort(&mut Vec::new());
        let all = |numbers: &Numbers| -> Vec<_> { numbers.iter().map(|(id, it)| (id, it.into())).collect() };
        assert!(expected.iter().map(|(id, number)| (*id, *number)).eq(all(&numbers)));
        assert!(expected.keys().all(|id| numbers.has(*id)));
        assert!((5_000..5_100).all(|n| !numbers.has(follower(n).0)));
        assert!(
            !numbers.has(FollowerId::from_bytes([0; 16])) && !numbers.has(FollowerId::from_bytes([255; 16]))
        );
        let mut place = 0;
        numbers.retain(|| {
            place += 1;
            place % 3 == 0
        });
        assert!(expected.into_iter().skip(2).step_by(3).eq(all(&numbers)));
        assert_eq!(numbers.len(), (3 * PIECE + 7) / 3);
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
                let walked = part.halves().map(walked).collect();
                for (id, _) in &all {
                    assert_eq!(snapshot.has(*id), part.contains(*id));
                }
                let difference = snapshot.changes(walked, Vec::new());
                let changes: Vec<_> = difference.changes().collect();
                assert!(changes.is_sorted_by(|(one, _), (next, _)| one < next));
                assert_eq!(changes.len(), difference.len());
                for (id, change) in changes {
                    match change {
                        Change::Added(number) => {
                            assert!(all.contains(&(id, number)));
                            found[0].push(id);
                        }
                        Change::Removed => found[1].push(id),
                    }
                }
                followers += difference.followers;
                numbers += difference.numbers;
            }
            assert_eq!(found, expected);
            assert_eq!((followers, numbers), (following as u64, all.len() as u64));
        }
    }
}
