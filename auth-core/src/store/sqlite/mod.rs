//! The SQLite store.
//!
//! A statement that changes rows and returns them is read to its end with `fetch_all`. After
//! `fetch_optional` sqlx resets it at the first row, which commits, and drops the error of a
//! commit that failed.

mod accounts;
mod act;
mod connection;
mod email_changes;
mod enrollments;
mod error;
mod events;
mod housekeeping;
mod migrate;
mod operator;
mod outbox;
mod revocations;
mod rows;
mod sessions;
mod skeletons;
mod throttle;
mod users;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::{Error, SqliteConnection, SqlitePool};
use tokio::sync::watch;

use self::sessions::{Revocations, Rotations};
use crate::store::batch::{Batches, Limits};
use crate::store::{ClockReading, Store, StoreError};

/// A [`Store`] in an SQLite file.
///
/// Cheap to clone; the clones share their connections. All writes of a process go over one
/// connection, so that they wait for each other instead of failing, and rotations and logouts that
/// come together share a commit; several processes may share the file.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), auth_core::store::StoreError> {
/// use auth_core::store::SqliteStore;
///
/// let store = SqliteStore::in_memory().await?;
/// store.migrate().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SqliteStore {
    writer: SqlitePool,
    readers: SqlitePool,
    /// A database in memory is gone with its connection.
    is_file: bool,
    rotations: Arc<Rotations>,
    revocations: Arc<Revocations>,
    checks: Arc<Checks>,
    /// Changes when this process has revoked something.
    revoked: Arc<watch::Sender<()>>,
}

impl SqliteStore {
    /// Opens the file, which is made if it does not exist, readable by nobody but its owner.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Unavailable`] if the file cannot be opened or is locked;
    /// - [`StoreError::Failed`] if it is no database.
    pub async fn open(path: impl AsRef<Path> + Send) -> Result<Self, StoreError> {
        let path = path.as_ref();
        connection::create_file(path)?;
        let writer = connection::writer(path).await.map_err(error::store_error)?;
        let readers = connection::readers(path);
        Ok(Self::over(writer, readers, true))
    }

    /// Makes a database that is gone with the last clone of the store.
    ///
    /// # Errors
    ///
    /// [`StoreError::Failed`] if SQLite fails.
    pub async fn in_memory() -> Result<Self, StoreError> {
        let writer = connection::in_memory().await.map_err(error::store_error)?;
        let readers = writer.clone();
        Ok(Self::over(writer, readers, false))
    }

    /// Lets the feeds of this process look at once; one that finds nothing has lost little.
    fn tell_of_revocations(&self) {
        self.revoked.send_replace(());
    }

    fn over(writer: SqlitePool, readers: SqlitePool, is_file: bool) -> Self {
        Self {
            writer,
            readers,
            is_file,
            rotations: sessions::rotations(),
            revocations: sessions::revocations(),
            checks: checks(),
            revoked: Arc::new(watch::Sender::new(())),
        }
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn check(&self) -> Result<(), StoreError> {
        self.checks.call(self, ()).await
    }

    async fn read_clock(&self) -> Result<Option<ClockReading>, StoreError> {
        // Every process that opens the file is on this machine, and has its clock.
        Ok(None)
    }
}

/// Checks, of which one serves those that come at the same time: anybody may ask for them.
type Checks = Batches<SqliteStore, (), ()>;

fn checks() -> Arc<Checks> {
    let limits = Limits {
        calls: 1_000,
        ..sessions::SHARED_COMMITS
    };
    Arc::new(Batches::new(limits, |store: &SqliteStore, calls| {
        Box::pin(async move {
            let beat = store.write((), |connection, ()| Box::pin(beat(connection)));
            beat.await?;
            Ok(calls)
        })
    }))
}

/// Writes that the process lives: a disk that is full is found out.
async fn beat(connection: &mut SqliteConnection) -> Result<(), Error> {
    sqlx::query(
        "INSERT INTO auth_leases (name, held_until)
         VALUES ('check', CAST(1000000 * unixepoch('subsec') AS INTEGER))
         ON CONFLICT (name) DO UPDATE
         SET held_until = excluded.held_until",
    )
    .execute(connection)
    .await
    .map(drop)
}
