//! Calls of a kind that wait, carried out as one.

use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use musubi_domain::{Error, ErrorKind};
use tokio::sync::{Semaphore, oneshot};
use tracing::Instrument as _;

/// With so much in it a unit of work takes no further call along: who comes then waits for that unit, and others wait for the database.
const MOST: usize = 500;

/// While some are carried out the others wait, and whoever is next does all that waits in one unit of work. Nobody waits for company: who
/// comes while nothing is under way goes at once, alone.
pub(crate) struct Together<T, R> {
    turns: Arc<Semaphore>,
    waiting: Mutex<VecDeque<Call<T, R>>>,
}

struct Call<T, R> {
    what: T,
    size: usize,
    tell: oneshot::Sender<Result<R, Error>>,
}

impl<T, R> Together<T, R> {
    /// With so many units of work beside one another.
    pub(crate) fn new(beside: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(beside)), waiting: Mutex::default() }
    }
}

impl<T: Clone + Send + 'static, R: Send + 'static> Together<T, R> {
    /// Carries a call of this size out, with others that wait. `unit` does several in one unit of work, or none of them, and is a task of its
    /// own, so that a caller who gives up takes nothing from the others. When it fails for another reason than that the database
    /// is away, each call is carried out alone: what one of them fails by is not the others'.
    ///
    /// # Errors
    /// Those of `unit`; `Internal` when it ended before its time.
    pub(crate) async fn carry_out<U, F>(&self, what: T, size: usize, unit: U) -> Result<R, Error>
    where
        U: Fn(Vec<T>) -> F + Clone + Send + 'static,
        F: Future<Output = Result<Vec<R>, Error>> + Send + 'static,
    {
        let (tell, mut told) = oneshot::channel();
        self.waiting().push_back(Call { what, size, tell });
        loop {
            let turn = tokio::select! {
                biased;
                done = &mut told => return done.unwrap_or_else(|_| Err(ended())),
                turn = Arc::clone(&self.turns).acquire_owned() => turn,
            };
            let (calls, tell) = self.next();
            if calls.is_empty() {
                // Another turn has taken it.
                drop(turn);
                return told.await.unwrap_or_else(|_| Err(ended()));
            }
            let unit = unit.clone();
            let done = async move {
                for (tell, done) in tell.into_iter().zip(each(calls, unit).await) {
                    // Who has given up meanwhile says it again.
                    drop(tell.send(done));
                }
                drop(turn);
            };
            tokio::spawn(done.in_current_span());
        }
    }

    /// What is next, in the order of coming, without those who have given up.
    fn next(&self) -> (Vec<T>, Vec<oneshot::Sender<Result<R, Error>>>) {
        let mut waiting = self.waiting();
        waiting.retain(|call| !call.tell.is_closed());
        let before = waiting.iter().scan(0, |sum, call| Some(mem::replace(sum, *sum + call.size)));
        let many = before.take_while(|before| *before < MOST).count();
        waiting.drain(..many).map(|call| (call.what, call.tell)).unzip()
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Call<T, R>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Carries calls out; what became of each, in order.
async fn each<T: Clone, R, F>(calls: Vec<T>, unit: impl Fn(Vec<T>) -> F) -> Vec<Result<R, Error>>
where
    F: Future<Output = Result<Vec<R>, Error>>,
{
    let count = calls.len();
    let error = match unit(calls.clone()).await {
        Ok(done) => return done.into_iter().map(Ok).collect(),
        Err(error) => error,
    };
    if count == 1 || error.kind == ErrorKind::Unavailable {
        return (0..count).map(|_| Err(error.clone())).collect();
    }
    let mut each = Vec::with_capacity(count);
    for call in calls {
        each.push(unit(vec![call]).await.and_then(|mut done| done.pop().ok_or_else(ended)));
    }
    each
}

fn ended() -> Error {
    Error::new(ErrorKind::Internal, "a unit of work ended before its time", "")
}

#[cfg(test)]
mod tests {
    use std::{future::ready, iter::repeat_n};

    use futures::{future::join_all, poll};
    use tokio::sync::watch;

    use super::*;

    /// Calls of these sizes, each with its place, and so many units beside one another; the first are under way before the others come, and
    /// these give up while they are. Gives what went in each unit of work and what each call was told.
    async fn carried_out(
        beside: usize,
        sizes: &[usize],
        give_up: &[usize],
        fails: impl Fn(&[usize]) -> Option<ErrorKind> + Clone + Send + Sync + 'static,
    ) -> (Vec<Vec<usize>>, Vec<Option<Result<String, ErrorKind>>>) {
        let together = Arc::new(Together::new(beside));
        let units = Arc::new(Mutex::new(Vec::new()));
        let (open, door) = watch::channel(false);
        let unit = {
            let units = Arc::clone(&units);
            move |calls: Vec<usize>| {
                units.lock().unwrap().push(calls.clone());
                let (mut door, failure) = (door.clone(), fails(&calls));
                async move {
                    door.wait_for(|open| *open).await.unwrap();
                    match failure {
                        Some(kind) => Err(Error::new(kind, "the fact's", "")),
                        None => Ok(calls.into_iter().map(|call| format!("done {call}")).collect()),
                    }
                }
            }
        };
        let mut calls = Vec::new();
        for (call, size) in sizes.iter().enumerate() {
            let (together, unit, size) = (Arc::clone(&together), unit.clone(), *size);
            let mut told = Box::pin(async move { together.carry_out(call, size, unit).await });
            assert!(poll!(&mut told).is_pending());
            tokio::task::yield_now().await;
            calls.push((!give_up.contains(&call)).then_some(told));
        }
        open.send(true).unwrap();
        let told = join_all(calls.into_iter().map(async |call| match call {
            Some(call) => Some(call.await.map_err(|error| error.kind)),
            None => None,
        }))
        .await;
        (units.lock().unwrap().clone(), told)
    }

    fn done(calls: impl IntoIterator<Item = usize>) -> Vec<Option<Result<String, ErrorKind>>> {
        calls.into_iter().map(|call| Some(Ok(format!("done {call}")))).collect()
    }

    #[tokio::test]
    async fn what_waits_goes_at_once_in_the_order_of_coming_and_each_is_told_its_own() {
        let (units, told) = carried_out(1, &[1; 4], &[], |_| None).await;
        assert_eq!(units, [vec![0], vec![1, 2, 3]]);
        assert_eq!(told, done(0..4));
    }

    #[tokio::test]
    async fn as_many_are_under_way_as_may_be() {
        let (units, told) = carried_out(2, &[1; 5], &[], |_| None).await;
        assert_eq!(units, [vec![0], vec![1], vec![2, 3, 4]]);
        assert_eq!(told, done(0..5));
    }

    #[tokio::test]
    async fn a_unit_that_is_large_takes_no_more_along() {
        let (units, told) = carried_out(1, &[1, 300, MOST, 1, 1, MOST + 1, 1], &[], |_| None).await;
        assert_eq!(units, [vec![0], vec![1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(told, done(0..7));
    }

    #[tokio::test]
    async fn who_gives_up_takes_nothing_from_others_and_is_not_carried_out_later() {
        let (units, told) = carried_out(1, &[1; 4], &[0, 2], |_| None).await;
        assert_eq!(units, [vec![0], vec![1, 3]]);
        let others = done([1, 3]);
        assert_eq!(told, [None, others[0].clone(), None, others[1].clone()]);
    }

    #[tokio::test]
    async fn what_one_fails_by_is_not_the_others() {
        let fails = |calls: &[usize]| calls.contains(&2).then_some(ErrorKind::Internal);
        let (units, told) = carried_out(1, &[1; 4], &[], fails).await;
        assert_eq!(units, [vec![0], vec![1, 2, 3], vec![1], vec![2], vec![3]]);
        let mut expected = done(0..4);
        expected[2] = Some(Err(ErrorKind::Internal));
        assert_eq!(told, expected);
    }

    #[tokio::test]
    async fn while_the_database_is_away_nothing_is_tried_twice() {
        let fails = |calls: &[usize]| (calls.len() > 1).then_some(ErrorKind::Unavailable);
        let (units, told) = carried_out(1, &[1; 3], &[], fails).await;
        assert_eq!(units, [vec![0], vec![1, 2]]);
        let away = repeat_n(Some(Err(ErrorKind::Unavailable)), 2);
        assert_eq!(told, done([0]).into_iter().chain(away).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_unit_that_ends_before_its_time_leaves_the_turn_to_the_next() {
        let together = Together::<u8, u8>::new(1);
        let end = together.carry_out(0, 1, |_| async { panic!("the fact's") }).await;
        assert_eq!(end.unwrap_err().kind, ErrorKind::Internal);
        assert_eq!(together.carry_out(1, 1, |calls| ready(Ok(calls))).await.unwrap(), 1);
    }
}
