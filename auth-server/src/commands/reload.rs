//! Reading the keys of access tokens and the TLS certificate again, on SIGHUP.

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
use crate::serve::Tls;
use crate::signals::Hangups;

type Outcome<T> = Result<T, CommandError>;

/// Replaces the keys of a running engine, the certificate that is served, and the way to the
/// database.
pub(super) struct Reload {
    settings: Settings,
    engine: Engine,
    store: NodeStore,
    tls: Option<Tls>,
    key_ids: Vec<String>,
}

impl Reload {
    pub(super) fn new(
        settings: Settings,
        engine: Engine,
        store: NodeStore,
        keys: &JwtKeys,
        tls: Option<Tls>,
    ) -> Self {
        Self {
            settings,
            engine,
            store,
            tls,
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
            let (keys, tls) = match self.read().await {
                Ok(read) => read,
                Err(error) => (Err(error), Ok(())),
            };
            match keys {
                Ok(keys) => self.replace(&keys).await,
                Err(error) => tracing::error!(
                    error = causes(&error),
                    "the keys cannot be reloaded: those from before stay in use"
                ),
            }
            match tls {
                Ok(()) => {
                    if self.tls.is_some() {
                        tracing::info!("TLS certificate reloaded");
                    }
                }
                Err(error) => tracing::error!(
                    error = causes(&error),
                    "the TLS certificate cannot be reloaded: the one from before is served"
                ),
            }
        }
    }

    /// Only the database's URL, keys and certificate are read, whatever else has changed in the
    /// settings; keys or certificate may fail alone.
    async fn read(&self) -> Result<(Outcome<JwtKeys>, Outcome<()>), CommandError> {
        let (settings, tls) = (self.settings.clone(), self.tls.clone());
        let store = self.store.clone();
        let read = tokio::task::spawn_blocking(move || {
            let config = Config::load(&settings, environment())?;
            store.reconnect(&config)?;
            let renewed = match (tls, node::tls_files(&config)) {
                (Some(tls), Some(files)) => tls.reload(&files).map_err(CommandError::from),
                _ => Ok(()),
            };
            Ok((node::jwt_keys(&config), renewed))
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
