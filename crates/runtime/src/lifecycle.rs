//! How a process runs and ends: named tasks, two steps of shutdown, signals.
//!
//! Soft: stop taking work and finish what was taken. Hard, when the time for that is over or at a second signal: everything is
//! dropped where it stands, which the stores must survive anyway. Surprising: a task that fails or panics begins the
//! shutdown of the whole process, because a process with a silently dead worker is worse than one that restarts.

use std::{
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error, info, info_span, warn};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How a run went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A task ended with an error.
    #[error("task {name} failed: {source}")]
    Failed {
        /// The task.
        name: &'static str,
        /// Its error.
        source: BoxError,
    },
    /// A task panicked; the panic hook logged where.
    #[error("task {name} panicked")]
    Panicked {
        /// The task.
        name: &'static str,
    },
    /// Tasks didn't end in time and were dropped.
    #[error(
        "{count} tasks did not end within {within:?} and were dropped; give drain more time, or see what they wait for"
    )]
    NotDrained {
        /// How many.
        count: usize,
        /// The time they had.
        within: Duration,
    },
    /// Signals can't be listened to.
    #[error("signals can not be listened to: {0}")]
    Signals(#[from] std::io::Error),
}

/// A process's tasks and their end. Clones are the same shutdown.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    soft: CancellationToken,
    hard: CancellationToken,
    tasks: TaskTracker,
    failure: Mutex<Option<LifecycleError>>,
    within: Duration,
}

impl Shutdown {
    /// A run whose tasks have `within` to finish once it is told to stop.
    #[must_use]
    pub fn new(within: Duration) -> Self {
        let hard = CancellationToken::new();
        Self(Arc::new(Inner {
            soft: hard.child_token(),
            hard,
            tasks: TaskTracker::new(),
            failure: Mutex::new(None),
            within,
        }))
    }

    /// Cancelled when no more work is to be taken.
    #[must_use]
    pub fn token(&self) -> CancellationToken {
        self.0.soft.clone()
    }

    /// Cancelled when everything is to be dropped. Tasks of [`Self::spawn`] needn't look at it.
    #[must_use]
    pub fn hard_token(&self) -> CancellationToken {
        self.0.hard.clone()
    }

    /// Begins the soft shutdown.
    pub fn begin(&self) {
        self.0.soft.cancel();
    }

    /// Drops everything.
    pub fn abort(&self) {
        self.0.hard.cancel();
    }

    /// Starts a task. Its future should end soon after [`Self::token`] is cancelled. When it panics or ends with an error
    /// before that, the shutdown begins and [`Self::drained`] gives the error.
    pub fn spawn<E: Into<BoxError>>(
        &self,
        name: &'static str,
        future: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        let this = self.clone();
        let run = async move {
            let ended = AssertUnwindSafe(future).catch_unwind();
            let Some(ended) = this.0.hard.run_until_cancelled(ended).await else {
                warn!("task {name} dropped");
                return;
            };
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => this.failed(LifecycleError::Failed { name, source: error.into() }),
                Err(_payload) => this.failed(LifecycleError::Panicked { name }),
            }
        };
        self.0.tasks.spawn(run.instrument(info_span!("task", name)));
    }

    fn failed(&self, failure: LifecycleError) {
        if self.0.soft.is_cancelled() {
            warn!("{failure}, while shutting down");
            return;
        }
        error!("{failure}");
        self.0.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        self.begin();
    }

    /// Waits until the shutdown begins, then until the tasks have ended, and drops them when their time is over.
    ///
    /// # Errors
    /// The first failure of a task, or that some didn't end in time.
    pub async fn drained(&self) -> Result<(), LifecycleError> {
        let Inner { soft, hard, tasks, failure, within } = &*self.0;
        soft.cancelled().await;
        tasks.close();
        info!("draining {} tasks", tasks.len());
        let in_time = tokio::select! {
            () = tasks.wait() => true,
            () = hard.cancelled() => true,
            () = tokio::time::sleep(*within) => false,
        };
        let count = tasks.len();
        hard.cancel();
        tasks.wait().await;
        if let Some(failure) = failure.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(failure);
        }
        if in_time { Ok(()) } else { Err(LifecycleError::NotDrained { count, within: *within }) }
    }

    /// Obeys SIGTERM and SIGINT from now on: the first begins the soft shutdown, the second drops everything.
    ///
    /// # Errors
    /// When the operating system refuses the handlers.
    pub fn on_signals(&self) -> Result<(), LifecycleError> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let this = self.clone();
        tokio::spawn(async move {
            for step in [Self::begin, Self::abort] {
                tokio::select! {
                    _ = terminate.recv() => info!("SIGTERM"),
                    _ = interrupt.recv() => info!("SIGINT"),
                }
                step(&this);
            }
        });
        Ok(())
    }
}
