//! How a process runs and ends: named tasks, two steps of shutdown, signals.
//!
//! Soft: stop taking work and finish what was taken. Hard, when the time for that is over or at a second signal: everything is
//! dropped where it stands, which the stores must survive anyway. Surprising: a task that fails or panics begins the
//! shutdown of the whole process, because a process with a silently dead worker is worse than one that restarts.

use std::{
    error::Error,
    future::Future,
    iter,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument as _, error, info, info_span, warn};

/// How long the dropping of tasks may take.
const DROP: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// How a run went wrong.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// A task ended with an error.
    #[error("task {name} failed: {reason}")]
    Failed {
        /// The task.
        name: &'static str,
        /// Its error and the causes of that, in one line.
        reason: String,
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
                Ok(Err(error)) => {
                    this.failed(LifecycleError::Failed { name, reason: reason(&*error.into()) })
                }
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
        // A task that never yields can't be dropped; the process ends without it.
        let _stuck = tokio::time::timeout(DROP, tasks.wait()).await;
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

/// An error and its causes, each once: some say their cause themselves.
fn reason(error: &(dyn Error + 'static)) -> String {
    iter::successors(error.source(), |&cause| cause.source()).map(ToString::to_string).fold(
        error.to_string(),
        |text, cause| if text.contains(&cause) { text } else { format!("{text}: {cause}") },
    )
}

/// What a process that holds people's data asks of the operating system: no core dump, no look into its memory by another process of
/// its user, and as many open files as it may have, because every connection is one.
///
/// # Errors
/// When the operating system refuses.
pub fn harden() -> std::io::Result<()> {
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    #[cfg(target_os = "linux")]
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)?;
    let files = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files })?;
    Ok(())
}

/// The program that runs in this process, for who starts another of it.
///
/// # Errors
/// When the operating system doesn't say.
pub fn own_program() -> std::io::Result<std::path::PathBuf> {
    std::env::current_exe()
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    const MOMENT: Duration = Duration::from_millis(50);

    fn io_error() -> io::Error {
        io::Error::other("the disk is full")
    }

    #[tokio::test]
    async fn soft_shutdown_lets_work_in_hand_finish() {
        let shutdown = Shutdown::new(Duration::from_secs(10));
        let (token, (done, finished)) = (shutdown.token(), tokio::sync::oneshot::channel());
        shutdown.spawn("worker", async move {
            token.cancelled().await;
            tokio::time::sleep(MOMENT).await;
            done.send(()).map_err(|()| io_error())
        });
        shutdown.begin();
        shutdown.drained().await.unwrap();
        assert_eq!(finished.await, Ok(()));
    }

    #[tokio::test]
    async fn task_that_does_not_end_is_dropped_when_its_time_is_over() {
        let shutdown = Shutdown::new(MOMENT);
        shutdown.spawn("stubborn", std::future::pending::<io::Result<()>>());
        shutdown.begin();
        let error = shutdown.drained().await.unwrap_err();
        assert!(matches!(error, LifecycleError::NotDrained { count: 1, .. }), "{error}");
    }

    #[tokio::test]
    async fn failed_task_ends_the_run_with_its_error() {
        let shutdown = Shutdown::new(MOMENT);
        shutdown.spawn("importer", async { Err(io_error()) });
        assert_eq!(
            shutdown.drained().await.unwrap_err().to_string(),
            "task importer failed: the disk is full"
        );
    }

    #[test]
    fn reason_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("the list was not stored")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("row 7: {0}")]
        struct Middle(#[source] io::Error);
        assert_eq!(reason(&Outer(Middle(io_error()))), "the list was not stored: row 7: the disk is full");
    }

    #[tokio::test]
    async fn task_that_panics_ends_the_run_with_an_error() {
        let shutdown = Shutdown::new(MOMENT);
        shutdown.spawn("importer", async { if true { panic!("secret") } else { Err(io_error()) } });
        assert_eq!(shutdown.drained().await.unwrap_err().to_string(), "task importer panicked");
    }

    #[tokio::test]
    async fn task_that_ends_well_ends_nothing() {
        let shutdown = Shutdown::new(MOMENT);
        shutdown.spawn("migration", async { io::Result::Ok(()) });
        assert!(tokio::time::timeout(MOMENT, shutdown.drained()).await.is_err());
    }

    #[tokio::test]
    async fn error_while_shutting_down_is_no_failure_of_the_run() {
        let shutdown = Shutdown::new(Duration::from_secs(10));
        let token = shutdown.token();
        shutdown.spawn("worker", async move {
            token.cancelled().await;
            Err(io_error())
        });
        shutdown.begin();
        shutdown.drained().await.unwrap();
    }

    #[tokio::test]
    async fn abort_drops_tasks_at_once() {
        let shutdown = Shutdown::new(Duration::from_secs(3600));
        shutdown.spawn("stubborn", std::future::pending::<io::Result<()>>());
        shutdown.abort();
        assert!(shutdown.token().is_cancelled());
        shutdown.drained().await.unwrap();
    }

    #[tokio::test]
    async fn first_signal_drains_and_the_second_drops() {
        let shutdown = Shutdown::new(Duration::from_secs(3600));
        shutdown.on_signals().unwrap();
        shutdown.spawn("stubborn", std::future::pending::<io::Result<()>>());
        let interrupt = || {
            let status =
                std::process::Command::new("kill").args(["-INT", &std::process::id().to_string()]).status();
            assert!(status.unwrap().success());
        };
        interrupt();
        shutdown.token().cancelled().await;
        assert!(!shutdown.hard_token().is_cancelled());
        interrupt();
        shutdown.drained().await.unwrap();
    }
}
