//! What the audit says of followers that came, left, or whose dialogue went on: a line for each unit of work and account, made of the difference that is stored.
//!
//! Pure. Of one follower the line says what; of many it says how often each thing, and binds whom and what by a digest, because a line for each of
//! millions would cost as much as they do. Surprising: whoever wants to show what is under a digest needs the followers and their moves, in order of
//! their ids; the digest is SHA-256 over a line `FOLLOWER MOVE` for each.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use musubi_domain::id::FollowerId;
use sha2::{Digest as _, Sha256};

use super::{FollowerKey, flow::FollowerRecord};
use crate::{
    StoreError,
    audit::AuditRow,
    row::{Id, hex},
    vault::Keys,
};

/// What such a line says was done.
const ACTION: &str = "moved";

/// What moved of a follower: onto a list or off the last one, the dialogue from a state to another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Move {
    follows: Option<bool>,
    step: Option<(&'static str, &'static str)>,
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let follows = self.follows.map(|follows| if follows { "followed" } else { "left" });
        f.write_str(follows.unwrap_or_default())?;
        let Some((from, to)) = self.step else { return Ok(()) };
        write!(f, "{}{from} to {to}", if follows.is_some() { ", " } else { "" })
    }
}

/// Moves by account, in order of the followers' ids.
#[derive(Default)]
pub(crate) struct Moves<'a>(BTreeMap<&'a str, Vec<(FollowerId, Move)>>);

/// Lines that say them.
pub(crate) struct MovedLines<'a>(Vec<(&'a str, String, Option<Id>, String)>);

impl<'a> Moves<'a> {
    /// What a follower was, and what it is. They come in order of their keys.
    pub(crate) fn add(&mut self, key: &'a FollowerKey, was: Option<&FollowerRecord>, is: &FollowerRecord) {
        let followed = was.is_some_and(|was| was.following);
        let turn_and_state = |record: &FollowerRecord| record.dialogue.as_ref().map(|it| (it.turn, it.state));
        let (before, after) = (was.and_then(turn_and_state), turn_and_state(is));
        let moved = Move {
            follows: (followed != is.following).then_some(is.following),
            step: after.filter(|_| before != after).map(|(_, state)| {
                let from = before.map_or("none", |(_, state)| state.as_str());
                (from, state.as_str())
            }),
        };
        if moved.follows.is_some() || moved.step.is_some() {
            self.0.entry(key.account.as_str()).or_default().push((key.follower, moved));
        }
    }

    /// A line for each account.
    ///
    /// # Errors
    /// When an account is nobody's.
    pub(crate) fn lines(self, keys: &Keys) -> Result<MovedLines<'a>, StoreError> {
        let line = |(account, moves): (&'a str, Vec<(FollowerId, Move)>)| {
            let company = keys.of_account(account)?.company().to_string();
            if let [(follower, what)] = moves.as_slice() {
                return Ok((account, company, Some(Id::of(follower.as_bytes())), what.to_string()));
            }
            Ok((account, company, None, told(&moves)))
        };
        self.0.into_iter().map(line).collect::<Result<_, StoreError>>().map(MovedLines)
    }
}

/// What is said of many.
fn told(moves: &[(FollowerId, Move)]) -> String {
    let (mut counts, mut digest) = (BTreeMap::<Move, u32>::new(), Sha256::new());
    let mut line = String::new();
    for (follower, what) in moves {
        *counts.entry(*what).or_default() += 1;
        line.clear();
        let _ = writeln!(line, "{follower} {what}");
        digest.update(&line);
    }
    let mut text = format!("{} followers: ", moves.len());
    for (what, count) in counts {
        let _ = write!(text, "{count} {what}; ");
    }
    text + "sha256 " + &hex(&digest.finalize())
}

impl MovedLines<'_> {
    /// To be written.
    pub(crate) fn rows(&self) -> impl Iterator<Item = AuditRow<'_>> {
        self.0.iter().map(|(account, company, follower, detail)| AuditRow {
            company,
            account: Some(account),
            follower: *follower,
            action: ACTION,
            detail,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follower(last: u8) -> FollowerId {
        let mut bytes = [0; 16];
        bytes[15] = last;
        FollowerId::from_bytes(bytes)
    }

    #[test]
    fn many_are_counted_by_what_moved_and_bound_by_a_digest() {
        let asked = |last| (follower(last), Move { follows: None, step: Some(("waiting", "asked")) });
        let left = Move { follows: Some(false), step: Some(("asked", "ended")) };
        let moves = [asked(1), asked(2), (follower(3), left)];
        let text = told(&moves);
        let (said, digest) = text.rsplit_once(' ').unwrap();
        assert_eq!(said, "3 followers: 2 waiting to asked; 1 left, asked to ended; sha256");
        let lines: String = moves.iter().map(|(who, what)| format!("{who} {what}\n")).collect();
        assert_eq!(digest, hex(&Sha256::digest(lines)));
        let other = [asked(1), asked(4), moves[2]];
        assert!(told(&other).starts_with(said) && told(&other) != text, "another follower is another line");
    }
}
