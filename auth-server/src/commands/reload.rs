//! Reading the keys of access tokens anew, on SIGHUP.

use std::future::Future;
use std::pin::pin;

use auth_core::{Engine, JwtKeys};

use super::environment;
use super::serve::note_keys;
use crate::cli::Settings;
use crate::config::Config;
use crate::error::CommandError;
use crate::node::{self, NodeStore};
use crate::output::causes;
use crate::signals::Hangups;

/// Replaces the keys of a running engine.
pub(super) struct KeyReload {
    settings: Settings,
    engine: Engine,
    store: NodeStore,
    key_ids: Vec<String>,
}

impl KeyReload {
    pub(super) fn new(
        settings: Settings,
        engine: Engine,
        store: NodeStore,
        keys: &JwtKeys,
    ) -> Self {
        Self {
            settings,
            engine,
            store,
            key_ids: ids(keys),
        }
    }

    /// Reads the keys at each SIGHUP, until the end comes.
    pub(super) async fn run(mut self, mut hangups: Hangups, end: impl Future<Output = ()> + Send) {
        let mut end = pin!(end);
        loop {
            tokio::select! {
                () = &mut end => return,
                () = hangups.next() => {}
            }
            match self.read().await {
                Ok(keys) => self.replace(&keys).await,
                Err(error) => tracing::error!(
                    error = causes(&error),
                    "the keys cannot be reloaded: those from before stay in use"
                ),
            }
        }
    }

    /// The keys of access tokens are read, and the database's URL, whatever else has changed in the
    /// settings.
    async fn read(&self) -> Result<JwtKeys, CommandError> {
        let (settings, store) = (self.settings.clone(), self.store.clone());
        let read = tokio::task::spawn_blocking(move || {
            let config = Config::load(&settings, environment())?;
            store.reconnect(&config)?;
            node::jwt_keys(&config)
        });
        read.await.map_err(CommandError::Interrupted)?
    }

    async fn replace(&mut self, keys: &JwtKeys) {
        self.engine.replace_jwt_keys(keys);
        let now = ids(keys);
        let lacking = |ids: &[String], other: &[String]| {
            let lacking = ids.iter().filter(|id| !other.contains(id));
            lacking.cloned().collect::<Vec<_>>().join(",")
        };
        tracing::info!(
            algorithm = %keys.algorithm(),
            signing = now.first(),
            added = lacking(&now, &self.key_ids),
            retired = lacking(&self.key_ids, &now),
            "keys reloaded"
        );
        self.key_ids = now;
        if let Err(error) = note_keys(&self.engine).await {
            tracing::error!(
                error = causes(&error),
                "the event of the change of keys is not stored"
            );
        }
    }
}

fn ids(keys: &JwtKeys) -> Vec<String> {
    keys.key_ids().into_iter().map(str::to_owned).collect()
}
