//! Calls that wait for their turn and are then carried out at once.

use std::{
    collections::HashMap,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use musubi_domain::id::OfficialAccountId;
use tokio::sync::{Semaphore, SemaphorePermit, oneshot};

/// How long a call lets others go first who have less.
const PATIENCE: Duration = Duration::from_millis(100);

/// Work of callers who wait. Whoever has a turn does that of others with their own: a transaction less for each, and a row that
/// several change moves once. Nobody waits for company: who comes when a turn is free goes alone. Surprising: the accounts with least
/// go first, so that who sends a thousand doesn't wait for whoever sends a million.
#[derive(Debug)]
pub(crate) struct Together<T, R> {
    turns: Semaphore,
    at_once: usize,
    patience: Duration,
    waiting: Mutex<Vec<Waiting<T, R>>>,
}

#[derive(Debug)]
struct Waiting<T, R> {
    work: T,
    size: usize,
    account: OfficialAccountId,
    since: Instant,
    /// Told what became of it; who hears no more does their own alone.
    tell: oneshot::Sender<R>,
}

/// What comes first for one who waits.
pub(crate) enum Next<'a, R> {
    /// Another has done it; none: they could not, and it is to be done alone.
    Done(Option<R>),
    /// A turn, until this is dropped.
    Turn(SemaphorePermit<'a>),
}

impl<T, R> Together<T, R> {
    /// With so many turns beside one another, each of which takes on so much, and then the rest of what came with the last of it.
    pub(crate) fn new(turns: usize, at_once: usize) -> Self {
        Self { turns: Semaphore::new(turns), at_once, patience: PATIENCE, waiting: Mutex::default() }
    }

    /// Leaves work of this size and account to whoever has the next turn.
    pub(crate) fn add(&self, work: T, (size, account): (usize, &OfficialAccountId)) -> oneshot::Receiver<R> {
        let (tell, told) = oneshot::channel();
        self.waiting().push(Waiting { work, size, account: account.clone(), since: Instant::now(), tell });
        told
    }

    /// Waits until work that was added is done, or for a turn.
    pub(crate) async fn next(&self, told: &mut oneshot::Receiver<R>) -> Next<'_, R> {
        tokio::select! {
            biased;
            done = &mut *told => return Next::Done(done.ok()),
            turn = self.turns.acquire() => if let Ok(turn) = turn && self.len() > 0 {
                return Next::Turn(turn);
            },
        }
        // Another turn has taken it.
        Next::Done(told.await.ok())
    }

    /// Takes as much as one turn does: of whoever waits for long, and then of the accounts with least; what an account has in the order
    /// in which it came.
    pub(crate) fn take(&self) -> (Vec<T>, Vec<oneshot::Sender<R>>) {
        let mut waiting = self.waiting();
        let mut of_account: HashMap<OfficialAccountId, usize> = HashMap::new();
        for it in waiting.iter() {
            *of_account.entry(it.account.clone()).or_default() += it.size;
        }
        waiting.sort_by_cached_key(|it| match it.since.elapsed() < self.patience {
            true => (of_account[&it.account], it.since),
            false => (0, it.since),
        });
        let sums = waiting.iter().scan(0, |sum, it| Some(mem::replace(sum, *sum + it.size)));
        let turn = sums.take_while(|before| *before < self.at_once).count();
        waiting.drain(..turn).map(|it| (it.work, it.tell)).unzip()
    }

    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting().len()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every turn that is free, until this is dropped.
    #[cfg(test)]
    pub(crate) fn every_turn(&self) -> SemaphorePermit<'_> {
        let free = u32::try_from(self.turns.available_permits()).unwrap();
        self.turns.try_acquire_many(free).unwrap()
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
    async fn turn<'a>(
        together: &'a Together<u8, u8>,
        told: &mut oneshot::Receiver<u8>,
    ) -> (SemaphorePermit<'a>, Vec<u8>, Vec<oneshot::Sender<u8>>) {
        let Next::Turn(turn) = together.next(told).await else { panic!("it is done") };
        let (work, tell) = together.take();
        (turn, work, tell)
    }

    #[tokio::test]
    async fn whoever_has_a_turn_does_what_others_wait_for_and_tells_each_theirs() {
        let together = Together::new(1, 10);
        let mut told = [1, 2, 3].map(|work| together.add(work, (1, &account("bank"))));
        let (turn, work, tell) = turn(&together, &mut told[1]).await;
        assert_eq!(work, [1, 2, 3]);
        for (tell, work) in tell.into_iter().zip(work) {
            tell.send(work * 10).unwrap();
        }
        drop(turn);
        for (told, done) in told.iter_mut().zip([10, 20, 30]) {
            assert!(matches!(together.next(told).await, Next::Done(Some(it)) if it == done));
        }
    }

    #[tokio::test]
    async fn nobody_has_a_turn_for_what_another_does_and_each_goes_alone_where_that_fails() {
        let together = Together::new(2, 10);
        let mut told = [1, 2].map(|work| together.add(work, (1, &account("bank"))));
        let (_turn, _work, tell) = turn(&together, &mut told[0]).await;
        {
            let mut next = pin!(together.next(&mut told[1]));
            assert!(poll!(&mut next).is_pending());
            drop(tell);
            assert!(matches!(next.await, Next::Done(None)));
        }
        assert!(matches!(together.next(&mut told[0]).await, Next::Done(None)));
    }

    #[tokio::test]
    async fn a_turn_takes_no_more_than_it_may_and_what_came_with_the_last() {
        let together = Together::<u8, u8>::new(1, 10);
        let _told =
            [(1, 9), (2, 9), (3, 10)].map(|(work, size)| together.add(work, (size, &account("bank"))));
        assert_eq!(together.take().0, [1, 2]);
        assert_eq!(together.take().0, [3]);
        assert_eq!(together.len(), 0);
    }

    #[test]
    fn whose_account_has_least_goes_first_until_others_wait_for_long() {
        type Calls = Together<(&'static str, usize), u8>;
        let mut together = Calls { patience: Duration::MAX, ..Together::new(1, 10) };
        let add = |together: &Calls, (id, size)| together.add((id, size), (size, &account(id)));
        let _told = [("large", 10), ("large", 11), ("small", 10), ("small", 5), ("tiny", 1)]
            .map(|call| add(&together, call));
        assert_eq!(together.take().0, [("tiny", 1), ("small", 10)]);
        assert_eq!(together.take().0, [("small", 5), ("large", 10)]);
        together.patience = Duration::ZERO;
        let _told = add(&together, ("tiny", 1));
        assert_eq!(together.take().0, [("large", 11)]);
        assert_eq!(together.take().0, [("tiny", 1)]);
    }
}
