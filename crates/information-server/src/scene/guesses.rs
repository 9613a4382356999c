//! What tries at account numbers are counted by, and the end of a lock by the company's people.
//!
//! The counts themselves are charged and given back where a try is made and decided. Surprising: a follower has two of them, and the one for
//! life is not erased with the follower, who could guess on by asking for that.

use musubi_domain::{
    dialogue::{Event, State},
    guess::{Axis, Count},
    id::{FollowerKeyring, OperatorName},
    identity::AttestedIdentity,
};
use musubi_storage::information::{
    FollowerKey,
    flow::{GuessKey, Work},
};

use super::Scene;

impl Scene<'_> {
    /// What a try of this follower at this account number, with this identity, is counted by.
    #[must_use]
    pub fn guess_keys(
        &self,
        key: &FollowerKey,
        account_number: &str,
        identity: &AttestedIdentity,
        keyring: &FollowerKeyring,
    ) -> [GuessKey; 5] {
        let on = |axis, subject| GuessKey { company: self.company.id.clone(), axis, subject };
        let [follower, life] = self.own_guess_keys(key);
        [
            follower,
            life,
            on(Axis::Account, keyring.account(&self.company.id, account_number)),
            on(Axis::Company, Vec::new()),
            on(Axis::Person, keyring.person(&self.company.id, identity)),
        ]
    }

    /// What tries of this follower are counted by, whatever they try: of late, and for life.
    #[must_use]
    pub fn own_guess_keys(&self, key: &FollowerKey) -> [GuessKey; 2] {
        [Axis::Follower, Axis::Life].map(|axis| {
            let subject = key.follower.as_bytes().to_vec();
            GuessKey { company: self.company.id.clone(), axis, subject }
        })
    }

    /// The company's people have helped a follower: their wrong guesses are forgotten, and whoever is locked is asked anew. Gives
    /// whether there was anything to forget or to unlock.
    pub fn unlock(&self, work: &mut Work, key: &FollowerKey, operator: &OperatorName) -> bool {
        let mut counted = false;
        for key in self.own_guess_keys(key) {
            if let Some(count) = work.guesses.get_mut(&key) {
                counted |= *count != Count::default();
                *count = Count::default();
            }
        }
        let dialogue = work.followers.get(key).and_then(|record| record.dialogue.as_ref());
        let locked = dialogue.is_some_and(|dialogue| dialogue.state == State::Locked);
        if locked {
            self.tell(work, key, &Event::Due);
        }
        if counted || locked {
            self.audit(work, key, "unlocked", format!("by {operator}"));
        }
        counted || locked
    }
}
