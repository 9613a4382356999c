//! Where handshakes are made: on a thread of their own, which has what calls leave of the processor.
//!
//! Whoever comes costs a server a signature and the check of a chain before it is known whether they may come in at all; so many who come take no time
//! from those who are in. Surprising: only the work is done there. The connection itself belongs to the runtime that accepted it, before and after.

use std::io;

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinError, JoinSet},
};

/// How much less such a thread is given than others when there is not enough for all: a quarter of a processor, beside one that is busy.
const YIELDS: i32 = 5;

/// The thread.
#[derive(Debug)]
pub(crate) struct Handshakes(Option<Runtime>);

impl Handshakes {
    /// Starts it.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("handshakes")
            .on_thread_start(yield_to_calls)
            .enable_time()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Makes one more, among these.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        among: &mut JoinSet<T>,
        handshake: impl Future<Output = T> + Send + 'static,
    ) {
        among.spawn_on(handshake, &self.handle());
    }

    /// Makes one, and gives what came of it.
    ///
    /// # Errors
    /// When the thread ends meanwhile.
    pub(crate) async fn make<T: Send + 'static>(
        &self,
        handshake: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, JoinError> {
        self.handle().spawn(handshake).await
    }

    fn handle(&self) -> Handle {
        self.0.as_ref().map_or_else(Handle::current, |runtime| runtime.handle().clone())
    }
}

impl Drop for Handshakes {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // Wherever this is, it waits for nobody.
            runtime.shutdown_background();
        }
    }
}

/// Whoever may not be given less is given as much: nothing depends on it but how long others wait.
fn yield_to_calls() {
    // Elsewhere this is no thread's affair, but the whole process's.
    #[cfg(target_os = "linux")]
    let _refused = rustix::process::nice(YIELDS);
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[tokio::test]
    async fn handshakes_are_made_on_a_thread_that_yields_and_ends_without_a_wait() {
        let own = rustix::process::nice(0).unwrap();
        let (room, mut among) = (Handshakes::start().unwrap(), JoinSet::new());
        room.spawn(&mut among, async { rustix::process::nice(0).unwrap() });
        assert_eq!(among.join_next().await.unwrap().unwrap(), (own + YIELDS).min(19));
        room.spawn(&mut among, std::future::pending());
        drop(room);
        assert!(among.join_next().await.unwrap().unwrap_err().is_cancelled());
    }
}
