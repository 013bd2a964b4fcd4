//! What each node does beside its requests.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Engine;
use crate::mail::MailTransport;

impl Engine {
    /// Starts what each node does beside its requests: deliver the mails that are owed, learn what
    /// is revoked elsewhere, store audit events, and remove what nobody needs any more.
    ///
    /// A host that wants to run some of it elsewhere, or with other settings, starts them one by
    /// one: [`mail_worker`](Self::mail_worker), [`revocation_follower`](Self::revocation_follower),
    /// [`audit_writer`](Self::audit_writer), [`housekeeper`](Self::housekeeper).
    ///
    /// # Panics
    ///
    /// If there is no tokio runtime.
    pub fn start_workers(&self, transport: Arc<dyn MailTransport>) -> Workers {
        let stop = watch::Sender::new(());
        let mut tasks = JoinSet::new();
        tasks.spawn(self.mail_worker(transport).run(end_of(&stop)));
        tasks.spawn(self.revocation_follower().run(end_of(&stop)));
        tasks.spawn(self.audit_writer().run(end_of(&stop)));
        tasks.spawn(self.housekeeper().run(end_of(&stop)));
        Workers { stop, tasks }
    }
}

/// The work that [`Engine::start_workers`] has started.
///
/// Dropping it breaks the work off: no mail is lost, but one may be sent twice, and audit events of
/// the last moment are in the log only.
#[derive(Debug)]
#[must_use = "dropping it breaks the work off"]
pub struct Workers {
    stop: watch::Sender<()>,
    tasks: JoinSet<()>,
}

impl Workers {
    /// Stops the work when no requests come any more: mails under way are finished, and audit
    /// events stored.
    pub async fn stop(self) {
        let Self { stop, mut tasks } = self;
        drop(stop);
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "a worker broke off"
                );
            }
        }
    }
}

/// Is done when the sender is gone.
fn end_of(stop: &watch::Sender<()>) -> impl Future<Output = ()> + Send + use<> {
    let mut stopped = stop.subscribe();
    async move { while stopped.changed().await.is_ok() {} }
}
