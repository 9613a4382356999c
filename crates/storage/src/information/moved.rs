//! What the audit says of followers that came, left, or whose dialogue went on: a line for each unit of work and account, made of the difference that is stored.
//!
//! Pure. Of one follower the line says what; of many it says how often each thing, and binds whom and what by a digest, because a line for each of
//! millions would cost as much as they do. Surprising: whoever wants to show what is under a digest needs the followers and their moves, in order of
//! their ids; the digest is SHA-256 over a line `FOLLOWER MOVE` for each.

use std::{collections::BTreeMap, fmt::Write as _};

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

/// Moves by account, in order of the followers' ids.
#[derive(Default)]
pub(crate) struct Moves<'a>(BTreeMap<&'a str, Vec<(FollowerId, String)>>);

/// Lines that say them.
pub(crate) struct MovedLines<'a>(Vec<(&'a str, String, Option<Id>, String)>);

impl<'a> Moves<'a> {
    /// What a follower was, and what it is. They come in order of their keys.
    pub(crate) fn add(&mut self, key: &'a FollowerKey, was: Option<&FollowerRecord>, is: &FollowerRecord) {
        let mut moves = Vec::new();
        let followed = was.is_some_and(|was| was.following);
        if followed != is.following {
            moves.push(if is.following { "followed".to_owned() } else { "left".to_owned() });
        }
        let turn_and_state = |record: &FollowerRecord| record.dialogue.as_ref().map(|it| (it.turn, it.state));
        let (before, after) = (was.and_then(turn_and_state), turn_and_state(is));
        if let Some((_, state)) = after.filter(|_| before != after) {
            let from = before.map_or("none", |(_, state)| state.as_str());
            moves.push(format!("{from} to {}", state.as_str()));
        }
        if !moves.is_empty() {
            self.0.entry(key.account.as_str()).or_default().push((key.follower, moves.join(", ")));
        }
    }

    /// A line for each account.
    ///
    /// # Errors
    /// When an account is nobody's.
    pub(crate) fn lines(self, keys: &Keys) -> Result<MovedLines<'a>, StoreError> {
        let line = |(account, moves): (&'a str, Vec<(FollowerId, String)>)| {
            let company = keys.of_account(account)?.company().to_string();
            if let [(follower, what)] = moves.as_slice() {
                return Ok((account, company, Some(Id::of(follower.as_bytes())), what.clone()));
            }
            Ok((account, company, None, told(&moves)))
        };
        self.0.into_iter().map(line).collect::<Result<_, StoreError>>().map(MovedLines)
    }
}

/// What is said of many.
fn told(moves: &[(FollowerId, String)]) -> String {
    let (mut counts, mut digest) = (BTreeMap::<&str, u32>::new(), Sha256::new());
    for (follower, what) in moves {
        *counts.entry(what).or_default() += 1;
        digest.update(format!("{follower} {what}\n"));
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
        let asked = |last| (follower(last), "waiting to asked".to_owned());
        let moves = [asked(1), asked(2), (follower(3), "left, asked to ended".to_owned())];
        let text = told(&moves);
        let (said, digest) = text.rsplit_once(' ').unwrap();
        assert_eq!(said, "3 followers: 1 left, asked to ended; 2 waiting to asked; sha256");
        let lines: String = moves.iter().map(|(who, what)| format!("{who} {what}\n")).collect();
        assert_eq!(digest, hex(&Sha256::digest(lines)));
        let other = [asked(1), asked(4), moves[2].clone()];
        assert!(told(&other).starts_with(said) && told(&other) != text, "another follower is another line");
    }
}
