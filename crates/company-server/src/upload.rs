//! Streams that go up to the information-management server.
//!
//! A stream that ends is whole, there. So one whose source failed must not end: its call is dropped, which resets it, and the
//! server keeps nothing that only a whole stream may change. Surprising: for that a failed stream simply stays silent.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    Stream, StreamExt as _,
    future::{Either, pending, ready},
    stream::BoxStream,
};
use tokio::sync::oneshot;

/// A stream that never looks whole when its source failed. A type of its own because a boxed stream in a client's call keeps
/// the compiler from seeing that the call is `Send`.
pub(crate) struct Guarded<T>(BoxStream<'static, T>);

impl<T> Stream for Guarded<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next_unpin(context)
    }
}

/// What `source` yields, guarded, and the word that it failed.
pub(crate) fn guarded<T: Send + 'static, E: Send + 'static>(
    source: impl Stream<Item = Result<T, E>> + Send + 'static,
) -> (Guarded<T>, oneshot::Receiver<E>) {
    let (failed, failure) = oneshot::channel();
    let mut failed = Some(failed);
    let stream = source.then(move |item| match item {
        Ok(item) => Either::Left(ready(item)),
        Err(error) => {
            if let Some(failed) = failed.take() {
                // Nobody listens any more only when the call has ended, and then its outcome stands.
                let _ = failed.send(error);
            }
            Either::Right(pending())
        }
    });
    (Guarded(stream.boxed()), failure)
}

/// The outcome of the call that sends a [`guarded`] stream; drops the call when the source fails.
///
/// # Errors
/// The source's failure, or the call's own.
pub(crate) async fn upload<R, E>(
    failure: oneshot::Receiver<E>,
    call: impl Future<Output = Result<R, E>>,
) -> Result<R, E> {
    tokio::select! {
        biased;
        Ok(error) = failure => Err(error),
        outcome = call => outcome,
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    async fn send<const N: usize>(source: [Result<u8, &'static str>; N]) -> Result<Vec<u8>, &'static str> {
        let (items, failure) = guarded(stream::iter(source));
        upload(failure, async { Ok(items.collect().await) }).await
    }

    #[tokio::test]
    async fn a_whole_source_is_sent_whole() {
        assert_eq!(send([Ok(1), Ok(2), Ok(3)]).await, Ok(vec![1, 2, 3]));
    }

    #[tokio::test]
    async fn a_source_that_fails_never_looks_whole() {
        assert_eq!(send([Ok(1), Err("broken"), Ok(3)]).await, Err("broken"));
    }
}
