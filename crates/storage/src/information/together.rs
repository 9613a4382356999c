//! Calls that wait for their turn and are then carried out at once.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use musubi_domain::id::OfficialAccountId;
use tokio::sync::oneshot;

use super::turns::{Turn, Turns};

/// With less than this a turn takes the next account's calls along, which would cost more as a turn of their own.
const LITTLE: usize = 500;

/// Work of callers who wait. Whoever has a turn does that of others with their own: a transaction less for each, and a row that
/// several change moves once. Nobody waits for company: who comes when a turn is free goes alone. Surprising: whoever of those who wait
/// has a turn does first what waits for the account that had none for longest, so that a thousand don't wait for all of a million.
#[derive(Debug)]
pub(crate) struct Together<T, R> {
    turns: Arc<Turns>,
    most: usize,
    waiting: Mutex<Vec<Waiting<T, R>>>,
}

#[derive(Debug)]
struct Waiting<T, R> {
    work: T,
    size: usize,
    account: OfficialAccountId,
    /// Told what became of it; who hears no more does their own alone.
    tell: oneshot::Sender<R>,
}

/// What comes first for one who waits.
pub(crate) enum Next<R> {
    /// Another has done it; none: they could not, and it is to be done alone.
    Done(Option<R>),
    /// A turn, until this is dropped.
    Turn(Turn),
}

impl<T, R> Together<T, R> {
    /// With these turns, each of which takes on so much of one account, and then the rest of what came with the last of it.
    pub(crate) fn new(turns: Arc<Turns>, most: usize) -> Self {
        Self { turns, most, waiting: Mutex::default() }
    }

    /// Leaves work of this size and account to whoever has the next turn.
    pub(crate) fn add(&self, work: T, (size, account): (usize, &OfficialAccountId)) -> oneshot::Receiver<R> {
        let (tell, told) = oneshot::channel();
        self.waiting().push(Waiting { work, size, account: account.clone(), tell });
        told
    }

    /// Waits until work that was added is done, or for a turn.
    pub(crate) async fn next(&self, told: &mut oneshot::Receiver<R>, account: &OfficialAccountId) -> Next<R> {
        tokio::select! {
            biased;
            done = &mut *told => return Next::Done(done.ok()),
            turn = self.turns.come(account) => if self.len() > 0 {
                return Next::Turn(turn);
            },
        }
        // Another turn has taken it.
        Next::Done(told.await.ok())
    }

    /// Takes as much as one turn does: of the account that had none for longest in the order in which it came, and of the next ones
    /// while that is little.
    pub(crate) fn take(&self, turn: &Turn) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        waiting.sort_by_cached_key(|it| (self.turns.last(&it.account), it.account.clone()));
        let (mut taken, mut size) = (0, 0);
        for its in waiting.chunk_by(|one, next| one.account == next.account) {
            if size >= LITTLE.min(self.most) {
                break;
            }
            turn.is_of(&its[0].account);
            let before = its.iter().scan(0, |sum, it| Some(mem::replace(sum, *sum + it.size)));
            let many = before.take_while(|before| *before < self.most).count();
            size += its[..many].iter().map(|it| it.size).sum::<usize>();
            taken += many;
        }
        waiting.drain(..taken).map(|it| (it.work, it.tell)).unzip()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every turn that is free, until they are dropped.
    #[cfg(test)]
    pub(crate) fn every_turn(&self) -> Vec<Turn> {
        self.turns.every_one()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures::poll;

    use super::*;

    fn account(id: &str) -> OfficialAccountId {
        id.parse().unwrap()
    }

    /// Takes a turn and everything that waits.
    async fn turn(
        together: &Together<u8, u8>,
        told: &mut oneshot::Receiver<u8>,
    ) -> (Turn, Vec<u8>, Vec<oneshot::Sender<u8>>) {
        let Next::Turn(turn) = together.next(told, &account("bank")).await else { panic!("it is done") };
        let (work, tell) = together.take(&turn);
        (turn, work, tell)
    }

    #[tokio::test]
    async fn whoever_has_a_turn_does_what_others_wait_for_and_tells_each_theirs() {
        let together = Together::new(Turns::new(1), 10);
        let mut told = [1, 2, 3].map(|work| together.add(work, (1, &account("bank"))));
        let (turn, work, tell) = turn(&together, &mut told[1]).await;
        assert_eq!(work, [1, 2, 3]);
        for (tell, work) in tell.into_iter().zip(work) {
            tell.send(work * 10).unwrap();
        }
        drop(turn);
        for (told, done) in told.iter_mut().zip([10, 20, 30]) {
            let next = together.next(told, &account("bank")).await;
            assert!(matches!(next, Next::Done(Some(it)) if it == done));
        }
    }

    #[tokio::test]
    async fn nobody_has_a_turn_for_what_another_does_and_each_goes_alone_where_that_fails() {
        let together = Together::new(Turns::new(2), 10);
        let bank = account("bank");
        let mut told = [1, 2].map(|work| together.add(work, (1, &bank)));
        let (_turn, _work, tell) = turn(&together, &mut told[0]).await;
        {
            let mut next = pin!(together.next(&mut told[1], &bank));
            assert!(poll!(&mut next).is_pending());
            drop(tell);
            assert!(matches!(next.await, Next::Done(None)));
        }
        assert!(matches!(together.next(&mut told[0], &bank).await, Next::Done(None)));
    }

    /// Accounts with what each call has, in the order of coming; and what each turn takes when it is taken with so much at most.
    #[tokio::test]
    async fn a_turn_takes_what_the_account_has_that_had_none_for_longest_and_little_of_others() {
        type Calls = [(&'static str, usize)];
        let table: [(&Calls, usize, &[&Calls]); 4] = [
            // No more than it may, and what came with the last.
            (&[("a", 9), ("a", 9), ("a", 10)], 10, &[&[("a", 9), ("a", 9)], &[("a", 10)]]),
            // By turns, whoever has more.
            (
                &[("a", 600), ("a", 601), ("a", 602), ("b", 800), ("b", 801)],
                1_000,
                &[&[("a", 600), ("a", 601)], &[("b", 800), ("b", 801)], &[("a", 602)]],
            ),
            // With little another's goes along, and no third one's once it is much.
            (
                &[("c", 600), ("a", 1), ("b", 600), ("a", 2)],
                1_000,
                &[&[("a", 1), ("a", 2), ("b", 600)], &[("c", 600)]],
            ),
            // Much is no more than a turn may take.
            (&[("b", 10), ("a", 10)], 10, &[&[("a", 10)], &[("b", 10)]]),
        ];
        for (calls, most, turns) in table {
            let together = Together::<_, ()>::new(Turns::new(1), most);
            let _told: Vec<_> =
                calls.iter().map(|call| together.add(*call, (call.1, &account(call.0)))).collect();
            for taken in turns {
                let turn = together.turns.come(&account("a")).await;
                assert_eq!(together.take(&turn).0, *taken);
            }
            assert_eq!(together.len(), 0);
        }
    }
}
