//! The one suite of facts that every store must pass, whatever the database.
//!
//! A file for each node's store, and one for what may vanish. Each fact is a function over the trait; each backend runs them all.

pub(crate) mod carrier;
pub(crate) mod company;
pub(crate) mod ephemeral;
pub(crate) mod information;
pub(crate) mod openid;
pub(crate) mod people;
pub(crate) mod sessions;
pub(crate) mod terminal;
pub(crate) mod vault;

use std::{pin::Pin, task::Poll};

/// Looks at work so many times, and gives it up if it isn't done by then.
pub(crate) async fn given_up_after<T>(
    times: u32,
    mut work: Pin<&mut (impl Future<Output = T> + ?Sized)>,
) -> Option<T> {
    let mut left = times;
    std::future::poll_fn(|context| {
        left -= 1;
        let done = work.as_mut().poll(context).map(Some);
        if left == 0 && done.is_pending() { Poll::Ready(None) } else { done }
    })
    .await
}
