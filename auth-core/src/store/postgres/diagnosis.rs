//! Why there is no connection, told to whoever waits for one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::Error;
use sqlx::postgres::PgConnectOptions;
use tokio::time::Instant;

use super::connection::Guarding;
use super::{PostgresStore, connection, error};
use crate::store::StoreError;

/// How long what was learnt is taken to hold, and how often it is looked for.
const HOLDS: Duration = Duration::from_secs(5);

/// What was last learnt of why there is no connection.
#[derive(Debug, Default)]
pub(super) struct Diagnosis(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    cause: Option<Arc<Error>>,
    asked_at: Option<Instant>,
}

/// How to connect from now on, or `None` if that has not changed.
type Renew = dyn Fn() -> Option<PgConnectOptions> + Send + Sync;

/// Gives the store other credentials when the database refuses those it has.
#[derive(Clone, Default)]
pub(super) struct Renewal(pub(super) Option<Arc<Renew>>);

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Renewal").field(&self.0.is_some()).finish()
    }
}

/// No connection in time.
#[derive(Debug, thiserror::Error)]
#[error("no connection to PostgreSQL at {address}")]
struct NoConnection {
    address: String,
    #[source]
    cause: Arc<Error>,
}

impl PostgresStore {
    /// Tries to connect, beside the pool and within 3 seconds: a program asks this when it starts,
    /// to learn what is wrong.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Failed`] if waiting does not help: the password is wrong, or there is no
    ///   such database or role;
    /// - [`StoreError::Unavailable`] if the database does not answer, or takes no writes.
    pub async fn try_connection(&self) -> Result<(), StoreError> {
        let options = self.pool.connect_options();
        let Err(cause) = connection::diagnose(&options).await else {
            return Ok(());
        };
        let is_refused = error::is_refused_for_good(&cause);
        let cause = Box::new(NoConnection {
            address: connection::address(&options),
            cause: Arc::new(cause),
        });
        Err(if is_refused {
            StoreError::Failed(cause)
        } else {
            StoreError::Unavailable(cause)
        })
    }

    /// What of the way to the database is not as the store needs it, as sentences for the operator.
    ///
    /// # Errors
    ///
    /// As [`try_connection`](Self::try_connection).
    pub async fn shortcomings(&self) -> Result<Vec<&'static str>, StoreError> {
        self.try_connection().await?;
        let options = self.pool.connect_options();
        let mut found = Vec::new();
        if self.guarding != Guarding::Pooler
            && connection::is_passed_around(&options)
                .await
                .map_err(error::store_error)?
        {
            found.push(
                "a pooler gives each transaction another connection: use \
                 PostgresStore::through_pooler (AUTH_DATABASE_POOLING=transaction)",
            );
        }
        if self.guarding == Guarding::Transaction {
            let mut connection = self.pool.acquire().await.map_err(error::store_error)?;
            let condition = connection::fit(&mut connection).await;
            if condition.map_err(error::store_error)?.guarding() == Guarding::Transaction {
                found.push(
                    "the sessions of the application's pool do not wait for the disk, or have no limits: \
                     make the pool by PostgresStore::recommended",
                );
            }
        }
        Ok(found)
    }

    /// Says why there is no connection, as far as that is known by now, and finds out for the next
    /// who asks.
    pub(super) fn no_connection(&self, error: Error) -> StoreError {
        match &error {
            Error::PoolTimedOut => {
                let cause = self.diagnose_for_later();
                let Some(cause) = cause else {
                    return error::store_error(error);
                };
                let address = connection::address(&self.pool.connect_options());
                StoreError::Unavailable(Box::new(NoConnection { address, cause }))
            }
            _ => {
                self.health.note_failure();
                error::store_error(error)
            }
        }
    }

    /// The cause that was found lately, if one was.
    fn diagnose_for_later(&self) -> Option<Arc<Error>> {
        let lock = || {
            self.diagnosis
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let cause = {
            let mut known = lock();
            let is_fresh = known.asked_at.is_some_and(|at| at.elapsed() < HOLDS);
            if is_fresh {
                return known.cause.clone();
            }
            known.asked_at = Some(Instant::now());
            known.cause.take()
        };
        let store = self.clone();
        tokio::spawn(async move {
            let options = store.pool.connect_options();
            let outcome = connection::diagnose(&options).await;
            let mut known = store
                .diagnosis
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            match outcome {
                Ok(()) => tracing::warn!(
                    connections = store.pool.options().get_max_connections(),
                    "all connections to PostgreSQL are in use"
                ),
                Err(error) => {
                    tracing::warn!(
                        address = connection::address(&options),
                        error = &error as &dyn std::error::Error,
                        "no connection to PostgreSQL"
                    );
                    known.cause = Some(Arc::new(error));
                }
            }
        });
        cause
    }

    /// Renews the credentials, if the database has refused them and others are there by now.
    pub(super) fn renews(&self, error: &Error) -> bool {
        if !error::is_refused_credential(error) {
            return false;
        }
        match &self.renewal.0 {
            Some(renew) => renew()
                .map(|options| self.replace_connect_options(options))
                .is_some(),
            None => false,
        }
    }

    /// Connects as these options say from now on; connections that are open stay.
    ///
    /// For a password that is replaced while the program runs.
    pub fn replace_connect_options(&self, options: PgConnectOptions) {
        self.pool
            .set_connect_options(options.extra_float_digits(None));
    }
}
