//! Acts that run to their end, whether or not their callers do.

use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::runtime::Handle;

/// Runs the act to its end, on the caller's task as long as there is one.
///
/// A caller's future is dropped whenever a client hangs up. The driver's futures do not survive
/// that at every point: a dropped `begin` can leave an open transaction behind, in which the
/// statements of others would then be acknowledged and lost. So what is left of the act moves to a
/// task of its own. An act that is not cut off costs one allocation more than it would by itself.
///
/// # Panics
///
/// Outside of a Tokio runtime.
pub(super) fn run_to_end<F>(act: F) -> RunToEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    RunToEnd {
        act: Some(Box::pin(act)),
        runtime: Handle::current(),
    }
}

/// The future of [`run_to_end`].
#[derive(Debug)]
pub(super) struct RunToEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    /// `None` while it is polled, so that an act that panics is not run on, and after its end.
    act: Option<Pin<Box<F>>>,
    runtime: Handle,
}

impl<F> Future for RunToEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let Some(mut act) = self.act.take() else {
            return Poll::Pending;
        };
        let outcome = act.as_mut().poll(context);
        if outcome.is_pending() {
            self.act = Some(act);
        }
        outcome
    }
}

impl<F> Drop for RunToEnd<F>
where
    F: Future<Output: Send> + Send + 'static,
{
    fn drop(&mut self) {
        if let Some(act) = self.act.take() {
            self.runtime.spawn(async move { drop(act.await) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt;
    use tokio::sync::Semaphore;

    use super::*;

    /// An act that goes on with each permit, and signals its end by a permit of the second.
    async fn act(steps: Arc<Semaphore>, ends: Arc<Semaphore>) {
        for _ in 0..2 {
            steps.acquire().await.unwrap().forget();
        }
        ends.add_permits(1);
    }

    #[tokio::test]
    async fn a_dropped_act_goes_on_to_its_end() {
        let (steps, ends) = (Arc::new(Semaphore::new(1)), Arc::new(Semaphore::new(0)));
        let mut running = run_to_end(act(Arc::clone(&steps), Arc::clone(&ends)));
        assert!((&mut running).now_or_never().is_none());
        drop(running);
        steps.add_permits(1);
        ends.acquire().await.unwrap().forget();
    }

    #[tokio::test]
    async fn an_act_that_panics_is_not_run_again() {
        let polls = Arc::new(Semaphore::new(0));
        let counted = Arc::clone(&polls);
        let running = run_to_end(async move {
            counted.add_permits(1);
            panic!("on purpose");
        });
        let outcome: Result<(), _> = std::panic::AssertUnwindSafe(running).catch_unwind().await;
        outcome.unwrap_err();
        tokio::task::yield_now().await;
        assert_eq!(polls.available_permits(), 1);
    }
}
