//! Limits a panic to the request that caused it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// Returns the output of the future, or the payload of its panic.
///
/// The state that requests share is behind locks and atomics that survive a panic. No request sees a partial change.
pub(super) async fn catch_panic<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, Box<dyn Any + Send>> {
    std::future::poll_fn(move |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use std::pin::pin;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_error_and_everything_else_is_let_through() {
        assert_eq!(catch_panic(pin!(async { 7 })).await.unwrap(), 7);
        let late = pin!(async {
            tokio::task::yield_now().await;
            panic!("expected by this test");
        });
        assert!(catch_panic(late).await.is_err());
    }
}
