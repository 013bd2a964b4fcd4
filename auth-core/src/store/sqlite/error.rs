//! What SQLite's errors mean.

use sqlx::Error;
use sqlx::error::DatabaseError;

use crate::store::StoreError;

/// Primary result codes: `SQLITE_PERM`, `SQLITE_BUSY`, `SQLITE_LOCKED`, `SQLITE_READONLY`,
/// `SQLITE_IOERR`, `SQLITE_FULL`, `SQLITE_CANTOPEN`: the file cannot be used now.
const UNAVAILABLE: [i32; 7] = [3, 5, 6, 8, 10, 13, 14];

/// Translates what sqlx reports; the only place that knows SQLite's codes and messages.
pub(super) fn store_error(error: Error) -> StoreError {
    match error.as_database_error() {
        // SQLite names the column, not the constraint.
        Some(cause)
            if violates(cause, "auth_users.username_canonical")
                || violates(cause, "auth_users.username_skeleton") =>
        {
            StoreError::UsernameTaken
        }
        Some(cause) if violates(cause, "auth_users.email_key") => StoreError::EmailTaken,
        Some(cause) if code(cause).is_some_and(|code| UNAVAILABLE.contains(&code)) => {
            StoreError::Unavailable(error.into())
        }
        Some(_) => StoreError::Failed(error.into()),
        None => match error {
            Error::PoolTimedOut | Error::PoolClosed | Error::WorkerCrashed | Error::Io(_) => {
                StoreError::Unavailable(error.into())
            }
            _ => StoreError::Failed(error.into()),
        },
    }
}

/// Whether SQLite has answered, with an error, and the connection can be used further.
pub(super) fn is_answer(error: &Error) -> bool {
    // SQLITE_NOMEM, SQLITE_READONLY, SQLITE_IOERR, SQLITE_CORRUPT, SQLITE_FULL, SQLITE_CANTOPEN,
    // SQLITE_NOTADB: with the file opened again, the next act may do better.
    const BROKEN: [i32; 7] = [7, 8, 10, 11, 13, 14, 26];
    let code = error.as_database_error().map(code);
    code.is_some_and(|code| code.is_none_or(|code| !BROKEN.contains(&code)))
}

/// Whether another process holds the file.
pub(super) fn is_busy(error: &Error) -> bool {
    let code = error.as_database_error().and_then(code);
    matches!(code, Some(5 | 6))
}

fn violates(cause: &dyn DatabaseError, column: &str) -> bool {
    cause.is_unique_violation() && cause.message().ends_with(column)
}

/// The primary result code, the low byte of the extended one.
fn code(cause: &dyn DatabaseError) -> Option<i32> {
    let extended: i32 = cause.code()?.parse().ok()?;
    Some(extended & 0xff)
}
