//! The file and the connections to it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Error, SqlitePool};

use crate::private;
use crate::store::StoreError;

/// How long a statement waits for another process, and a call for the connection.
const PATIENCE: Duration = Duration::from_secs(3);

/// Readers beyond the cores gain nothing, and each costs a thread and a cache.
const READERS: u32 = 4;

/// How often the journal mode is tried to be set while other processes open the same file.
const OPEN_ATTEMPTS: u32 = 50;

/// Makes the file before SQLite would with the permissions of the umask, or checks that nobody else
/// may read the one that is there; its journals inherit permissions and owner.
pub(super) fn create_file(path: &Path) -> Result<(), StoreError> {
    let unavailable = |error: io::Error| StoreError::Unavailable(error.into());
    match private::create_file(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made.map(drop).map_err(unavailable),
    }
    if private::is_exposed(path).map_err(unavailable)? {
        return Err(StoreError::Unavailable(Box::new(Exposed(path.to_owned()))));
    }
    Ok(())
}

/// It holds hashes of passwords, names and addresses.
#[derive(Debug, thiserror::Error)]
#[error("others can read {}: run `chmod 600` on it, and on those beside it with -wal and -shm", .0.display())]
struct Exposed(PathBuf);

/// A pool of one connection, with which the writes of this process form a queue.
pub(super) async fn writer(path: &Path) -> Result<SqlitePool, Error> {
    let options = options(path);
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false);
    let mut attempt = 1;
    loop {
        // SQLite does not wait where two processes turn a new file's journal to WAL.
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if super::error::is_busy(&error) && attempt < OPEN_ATTEMPTS => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                attempt += 1;
            }
            other => return other,
        }
    }
}

/// A pool for statements that change nothing; they run beside the writer.
pub(super) fn readers(path: &Path) -> SqlitePool {
    SqlitePoolOptions::new()
        .max_connections(READERS)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .connect_lazy_with(options(path).pragma("query_only", "ON"))
}

/// A pool of one connection that is never closed, since the database goes with it.
pub(super) async fn in_memory() -> Result<SqlitePool, Error> {
    SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(PATIENCE)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(
            SqliteConnectOptions::new()
                .in_memory(true)
                .foreign_keys(true),
        )
        .await
}

/// A commit is on the disk when it returns (`FULL`), since an acknowledged logout must survive;
/// transactions of rotations alone change that for themselves.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(PATIENCE)
}
