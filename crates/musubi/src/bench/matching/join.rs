//! Many answers against a whole master whose keys are ready: a hash join by account number, then decisions, on all cores.
//!
//! The smaller side, the answers, becomes the hash table; the master's numbers stream past it. Nothing is read or written here, and
//! `musubi-matching` decides. Surprising: a number is kept as a number. Numbers of one company have one length, so their digits
//! say the same as their value, and a comparison is one instruction.

use std::{num::NonZero, ops::Range, thread};

/// An account number in normal form, at most 20 digits.
pub(super) type Number = u128;

/// The number of an account key; None when it is none.
pub(super) fn number(account_key: &str) -> Option<Number> {
    account_key.parse().ok()
}

/// Answers by the number that was typed.
pub(super) struct Asked {
    numbers: Vec<Number>,
    /// A power of two of places, at most half of them taken: high bits of a hash, and an answer's place plus one.
    places: Vec<u64>,
    shift: u32,
}

/// Which rows each answer has as candidates.
pub(super) struct Joined {
    /// For each answer where its rows begin; one more than answers.
    starts: Vec<usize>,
    rows: Vec<u32>,
}

impl Asked {
    /// The table of these answers.
    pub(super) fn new(numbers: Vec<Number>) -> Self {
        let size = (numbers.len() * 2).next_power_of_two().max(2);
        let mut asked = Self { numbers, places: vec![0; size], shift: 64 - size.ilog2() };
        for answer in 0..asked.numbers.len() {
            let hash = hash(asked.numbers[answer]);
            let mut place = asked.first(hash);
            while asked.places[place] != 0 {
                place = asked.after(place);
            }
            asked.places[place] = print(hash) | (answer as u64 + 1);
        }
        asked
    }

    fn first(&self, hash: u64) -> usize {
        usize::try_from(hash >> self.shift).unwrap_or(0)
    }

    const fn after(&self, place: usize) -> usize {
        (place + 1) & (self.places.len() - 1)
    }

    /// Calls `found` with each answer of this number.
    fn each(&self, number: Number, mut found: impl FnMut(u32)) {
        let hash = hash(number);
        let mut place = self.first(hash);
        loop {
            let taken = self.places[place];
            if taken == 0 {
                return;
            }
            if taken & PRINT == print(hash) {
                let answer = (taken & !PRINT) as u32 - 1;
                if self.numbers[answer as usize] == number {
                    found(answer);
                }
            }
            place = self.after(place);
        }
    }

    /// Every pair of an answer and a row of the master with its number.
    pub(super) fn join(&self, master: &[Number]) -> Joined {
        let parts = on_all_cores(master.len(), |part| {
            let mut pairs: Vec<(u32, u32)> = Vec::with_capacity(part.len().min(self.numbers.len()));
            for row in part {
                self.each(master[row], |answer| pairs.push((answer, row as u32)));
            }
            pairs
        });
        // By answer, by counting: where each answer's rows begin, then every row into its place.
        let mut starts = vec![0; self.numbers.len() + 1];
        for (answer, _) in parts.iter().flatten() {
            starts[*answer as usize + 1] += 1;
        }
        for answer in 0..self.numbers.len() {
            starts[answer + 1] += starts[answer];
        }
        let mut next = starts.clone();
        let mut rows = vec![0; parts.iter().map(Vec::len).sum()];
        for (answer, row) in parts.into_iter().flatten() {
            rows[next[answer as usize]] = row;
            next[answer as usize] += 1;
        }
        Joined { starts, rows }
    }
}

impl Joined {
    /// How many pairs.
    pub(super) fn pairs(&self) -> usize {
        self.rows.len()
    }

    /// What `decide` says of each answer and its rows, in the order of the answers.
    pub(super) fn decide<T: Send>(&self, decide: impl Fn(usize, &[u32]) -> T + Sync) -> Vec<T> {
        let parts = on_all_cores(self.starts.len() - 1, |answers| {
            let rows = |answer| &self.rows[self.starts[answer]..self.starts[answer + 1]];
            answers.map(|answer| decide(answer, rows(answer))).collect::<Vec<_>>()
        });
        parts.into_iter().flatten().collect()
    }
}

/// High bits that tell two hashes apart without a look at the numbers.
const PRINT: u64 = !0 << 32;

const fn print(hash: u64) -> u64 {
    // The place comes of the highest bits; these are others.
    hash << 32
}

/// Multiplied by a number without pattern, whose high half mixes all digits.
fn hash(number: Number) -> u64 {
    let (high, low) = ((number >> 64) as u64, number as u64);
    let mixed =
        u128::from(low ^ high.rotate_left(32)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    (mixed >> 64) as u64 ^ mixed as u64
}

/// Runs `work` on contiguous parts of `0..length`, one for each core, and gives what they gave, in order.
pub(super) fn on_all_cores<T: Send>(length: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let size = length.div_ceil(cores).max(1);
    let parts: Vec<_> = (0..length).step_by(size).map(|start| start..(start + size).min(length)).collect();
    thread::scope(|scope| {
        let running: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| work(part))).collect();
        running
            .into_iter()
            .map(|part| part.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}
