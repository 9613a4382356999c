//! Whose turn it is to change what few may change at a time: who had theirs longest ago goes first.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use musubi_domain::id::OfficialAccountId;
use tokio::sync::oneshot;

/// So many turns beside one another, for which accounts wait. An account that wants little waits for one turn of each that wants much,
/// however often those come.
#[derive(Debug)]
pub(crate) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// In the order of coming.
    waiting: Vec<(OfficialAccountId, oneshot::Sender<Turn>)>,
    /// When each account had its last turn, in turns.
    last: HashMap<OfficialAccountId, u64>,
    turns: u64,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(Arc<Turns>);

impl Turns {
    /// With so many beside one another.
    pub(crate) fn new(beside: usize) -> Arc<Self> {
        let (waiting, last) = (Vec::new(), HashMap::new());
        Arc::new(Self(Mutex::new(State { free: beside, waiting, last, turns: 0 })))
    }

    /// Waits for a turn in the account's name. Whose it is in the end it is to be told ([`Turn::is_of`]).
    pub(crate) async fn come(self: &Arc<Self>, account: &OfficialAccountId) -> Turn {
        loop {
            let come = {
                let mut state = self.state();
                if state.free > 0 {
                    state.free -= 1;
                    return Turn(Arc::clone(self));
                }
                let (tell, come) = oneshot::channel();
                state.waiting.push((account.clone(), tell));
                come
            };
            if let Ok(turn) = come.await {
                return turn;
            }
        }
    }

    /// When the account had its last turn: the smaller, the longer ago.
    pub(crate) fn last(&self, account: &OfficialAccountId) -> Option<u64> {
        self.state().last.get(account).copied()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting.len()
    }

    /// Every turn that is free.
    #[cfg(test)]
    pub(crate) fn every_one(self: &Arc<Self>) -> Vec<Turn> {
        let free = std::mem::take(&mut self.state().free);
        (0..free).map(|_| Turn(Arc::clone(self))).collect()
    }
}

impl Turn {
    /// It is this account's, or this one's as well, which goes behind all others now.
    pub(crate) fn is_of(&self, account: &OfficialAccountId) {
        let mut state = self.0.state();
        state.turns += 1;
        let turns = state.turns;
        state.last.insert(account.clone(), turns);
    }
}

impl Drop for Turn {
    /// Leaves it to who comes next of those that still wait.
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.waiting.retain(|(_, tell)| !tell.is_closed());
        let next = (0..state.waiting.len()).min_by_key(|at| state.last.get(&state.waiting[*at].0));
        let Some(next) = next else {
            state.free += 1;
            return;
        };
        let (_, tell) = state.waiting.remove(next);
        drop(state);
        // Who has just ceased to wait drops it again.
        drop(tell.send(Self(Arc::clone(&self.0))));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::{FutureExt as _, poll};

    use super::*;

    fn account(id: &str) -> OfficialAccountId {
        id.parse().unwrap()
    }

    /// Turns that come one behind the other to accounts that all wait from the beginning, each taken for the account that waits.
    async fn order(beside: usize, had: &[&str], wait: &[&str]) -> Vec<String> {
        let turns = Turns::new(beside);
        for it in had.iter().map(|id| account(id)) {
            turns.come(&it).await.is_of(&it);
        }
        let held = turns.every_one();
        let mut waiting: Vec<_> = wait
            .iter()
            .map(|id| {
                let (turns, id) = (Arc::clone(&turns), account(id));
                Box::pin(async move {
                    let turn = turns.come(&id).await;
                    turn.is_of(&id);
                    (id.to_string(), turn)
                })
            })
            .collect();
        for it in &mut waiting {
            assert!(poll!(it).is_pending());
        }
        drop(held);
        let mut order = Vec::new();
        while order.len() < wait.len() {
            waiting.retain_mut(|it| match it.now_or_never() {
                Some((id, _turn)) => {
                    order.push(id);
                    false
                }
                None => true,
            });
        }
        order
    }

    #[tokio::test]
    async fn who_had_a_turn_longest_ago_goes_first_and_then_who_came_first() {
        assert_eq!(order(1, &[], &["b", "a"]).await, ["b", "a"]);
        assert_eq!(order(1, &["a", "b"], &["b", "a", "c"]).await, ["c", "a", "b"]);
        assert_eq!(order(1, &["a"], &["a", "a", "a", "b", "b"]).await, ["b", "a", "b", "a", "a"]);
    }

    #[tokio::test]
    async fn as_many_are_free_as_there_are_and_who_ceases_to_wait_keeps_none() {
        let (turns, bank) = (Turns::new(2), account("bank"));
        let held = [turns.come(&bank).await, turns.come(&bank).await];
        let mut next = Box::pin(turns.come(&bank));
        let mut last = pin!(turns.come(&bank));
        assert!(poll!(&mut next).is_pending() && poll!(&mut last).is_pending());
        // The turn is on its way to the next, who has ceased to wait by then.
        drop(held);
        drop(next);
        let _last = last.now_or_never().unwrap();
        assert_eq!(turns.every_one().len(), 1);
    }
}
