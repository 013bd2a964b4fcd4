//! The tasks of the connections and their requests, and how they end.

use hyper::rt::Executor;
use tokio::sync::watch;

/// Ends all tasks of the server together.
#[derive(Debug)]
pub(super) struct Tasks(watch::Sender<Phase>);

/// Begins tasks that end with the server.
#[derive(Clone, Debug)]
pub(super) struct Spawner(watch::Receiver<Phase>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Stopping,
    Over,
}

impl Tasks {
    pub(super) fn new() -> Self {
        Self(watch::Sender::new(Phase::Serving))
    }

    pub(super) fn spawner(&self) -> Spawner {
        Spawner(self.0.subscribe())
    }

    /// Says that nothing new is to begin.
    pub(super) fn stop(&self) {
        self.0.send_replace(Phase::Stopping);
    }

    /// Drops every task that is left, and waits until none is.
    pub(super) async fn cut_off(self) {
        self.0.send_replace(Phase::Over);
        self.0.closed().await;
    }
}

impl Spawner {
    pub(super) fn spawn(&self, task: impl Future + Send + 'static) {
        let this = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = task => {}
                () = this.reached(Phase::Over) => {}
            }
        });
    }

    /// Waits for the stop.
    pub(super) async fn stopping(self) {
        self.reached(Phase::Stopping).await;
    }

    async fn reached(mut self, phase: Phase) {
        // An error means that the server is gone, which is its end.
        let _ = self.0.wait_for(|reached| *reached >= phase).await;
    }
}

/// hyper runs each request of HTTP/2 in a task of its own.
impl<F: Future + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}
