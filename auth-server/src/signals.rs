//! The signals that stop the server, and the one that lets it read its keys anew.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::error::CommandError;

/// SIGTERM and SIGINT, caught from the moment this is made.
pub(crate) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(crate) fn install() -> Result<Self, CommandError> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(CommandError::Signals)?,
            interrupt: signal(SignalKind::interrupt()).map_err(CommandError::Signals)?,
        })
    }

    pub(crate) async fn received(mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// SIGHUP, caught from the moment this is made.
pub(crate) struct Hangups(Signal);

impl Hangups {
    pub(crate) fn install() -> Result<Self, CommandError> {
        let hangups = signal(SignalKind::hangup()).map_err(CommandError::Signals)?;
        Ok(Self(hangups))
    }

    pub(crate) async fn next(&mut self) {
        self.0.recv().await;
    }
}
