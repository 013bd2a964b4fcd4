//! What PostgreSQL's errors mean.

use sqlx::Error;

use crate::store::StoreError;

/// Translates what sqlx reports; the only place that knows the constraints' names and SQLSTATEs.
pub(super) fn store_error(error: Error) -> StoreError {
    let constraint = error.as_database_error().and_then(|e| e.constraint());
    match constraint {
        Some("auth_users_username_taken" | "auth_users_skeleton_taken") => {
            StoreError::UsernameTaken
        }
        Some("auth_users_email_taken") => StoreError::EmailTaken,
        _ if is_mixed_up(&error) => StoreError::Unavailable(Box::new(Pooled(error))),
        _ if is_broken(&error) || is_conflict(&error) || is_refusal(&error) => {
            StoreError::Unavailable(error.into())
        }
        _ => StoreError::Failed(error.into()),
    }
}

/// A prepared statement is another's, or gone.
#[derive(Debug, thiserror::Error)]
#[error(
    "a pooler seems to give each transaction another connection: use \
     PostgresStore::through_pooler (AUTH_DATABASE_POOLING=transaction)"
)]
struct Pooled(#[source] Error);

fn is_mixed_up(error: &Error) -> bool {
    // duplicate_prepared_statement, invalid_sql_statement_name
    sqlstate(error).is_some_and(|code| matches!(code.as_ref(), "42P05" | "26000"))
}

/// Whether the statement met a transaction of another; it did nothing and may be tried again.
pub(super) fn is_conflict(error: &Error) -> bool {
    // serialization_failure, deadlock_detected
    sqlstate(error).is_some_and(|code| matches!(code.as_ref(), "40001" | "40P01"))
}

/// Whether the connection is of no more use, so that others of its age may not be either.
pub(super) fn is_broken(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        // connection exceptions; admin_shutdown, crash_shutdown, cannot_connect_now,
        // database_dropped, idle_session_timeout; read_only_sql_transaction is what a connection
        // meets that stayed with the old primary after a failover.
        _ => sqlstate(error).is_some_and(|code| {
            code.starts_with("08") || code.starts_with("57P0") || code == "25006"
        }),
    }
}

/// Whether the database has answered, with an error, and its connection can be used further.
pub(super) fn is_answer(error: &Error) -> bool {
    matches!(error, Error::Database(_)) && !is_broken(error)
}

/// Whether the database refuses who we say we are.
pub(super) fn is_refused_credential(error: &Error) -> bool {
    // invalid_password, invalid_authorization_specification
    sqlstate(error).is_some_and(|code| matches!(code.as_ref(), "28P01" | "28000"))
}

/// Whether the database refuses us until somebody changes something, here or there.
pub(super) fn is_refused_for_good(error: &Error) -> bool {
    let unknown_database = sqlstate(error).is_some_and(|code| code == "3D000");
    is_refused_credential(error) || unknown_database
}

/// Whether the database, or the pool before it, would not serve us now.
fn is_refusal(error: &Error) -> bool {
    match error {
        Error::PoolTimedOut | Error::PoolClosed => true,
        // Out of resources or connections; query_canceled, lock_not_available; a database that takes
        // no connections; system errors; wrong credentials and unknown databases, which no statement
        // of ours can cause.
        _ => sqlstate(error).is_some_and(|code| {
            ["53", "58", "28", "3D"]
                .iter()
                .any(|class| code.starts_with(class))
                || matches!(code.as_ref(), "57014" | "55P03" | "55000")
        }),
    }
}

fn sqlstate(error: &Error) -> Option<std::borrow::Cow<'_, str>> {
    error.as_database_error().and_then(|e| e.code())
}
