//! The PostgreSQL schema.

use sqlx::migrate::{Migration, Migrator};
use sqlx::{Connection, Error, PgConnection};

use super::{PostgresStore, connection, error};
use crate::store::{StoreError, stored};

fn migrations() -> Vec<Migration> {
    vec![
        stored::migration(
            1,
            "users",
            include_str!("../../../migrations/postgres/0001_users.sql"),
        ),
        stored::migration(
            2,
            "sessions",
            include_str!("../../../migrations/postgres/0002_sessions.sql"),
        ),
        stored::migration(
            3,
            "outbox",
            include_str!("../../../migrations/postgres/0003_outbox.sql"),
        ),
        stored::migration(
            4,
            "events",
            include_str!("../../../migrations/postgres/0004_events.sql"),
        ),
        stored::migration(
            5,
            "revocations",
            include_str!("../../../migrations/postgres/0005_revocations.sql"),
        ),
        stored::migration(
            6,
            "throttle",
            include_str!("../../../migrations/postgres/0006_throttle.sql"),
        ),
        stored::migration(
            7,
            "sessions_use",
            include_str!("../../../migrations/postgres/0007_sessions_use.sql"),
        ),
        stored::migration(
            8,
            "housekeeping",
            include_str!("../../../migrations/postgres/0008_housekeeping.sql"),
        ),
        stored::migration(
            9,
            "users_list",
            include_str!("../../../migrations/postgres/0009_users_list.sql"),
        ),
        stored::migration(
            10,
            "sessions_client",
            include_str!("../../../migrations/postgres/0010_sessions_client.sql"),
        ),
        stored::migration(
            11,
            "users_roles",
            include_str!("../../../migrations/postgres/0011_users_roles.sql"),
        ),
        stored::migration(
            12,
            "outbox_about",
            include_str!("../../../migrations/postgres/0012_outbox_about.sql"),
        ),
        stored::migration(
            13,
            "email_changes",
            include_str!("../../../migrations/postgres/0013_email_changes.sql"),
        ),
        stored::migration(
            14,
            "enrollments",
            include_str!("../../../migrations/postgres/0014_enrollments.sql"),
        ),
        stored::migration(
            15,
            "email_reservations",
            include_str!("../../../migrations/postgres/0015_email_reservations.sql"),
        ),
        stored::migration(
            16,
            "users_skeleton",
            include_str!("../../../migrations/postgres/0016_users_skeleton.sql"),
        ),
        stored::migration(
            17,
            "token_epochs",
            include_str!("../../../migrations/postgres/0017_token_epochs.sql"),
        ),
        stored::migration(
            18,
            "sign_ups",
            include_str!("../../../migrations/postgres/0018_sign_ups.sql"),
        ),
    ]
}

impl PostgresStore {
    /// Applies the migrations that the database lacks, under an advisory lock, so that any number
    /// of nodes may call it at the same time.
    ///
    /// The tables and the history table `auth_migrations` are made in the first schema of the
    /// connection's search path. The role needs the right to create tables there; at run time it
    /// does not.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Unavailable`] if the database does not answer;
    /// - [`StoreError::Failed`] if a migration fails, was changed after it had been applied, or
    ///   was applied by a newer version of this crate; or if a pooler gives each transaction another
    ///   session, since the lock belongs to one.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        if !self.pending_migrations().await?.is_empty() && self.is_passed_around().await {
            return Err(StoreError::Failed(PAST_THE_POOLER.into()));
        }
        let mut migrator = Migrator::with_migrations(migrations());
        migrator.dangerous_set_table_name(stored::MIGRATIONS_TABLE);
        // The lock belongs to the connection and survives a failed run: never give it to the pool.
        let connection = self.pool.acquire().await.map_err(error::store_error)?;
        let mut connection = connection.detach();
        let outcome = migrator.run_direct(None, &mut connection, false).await;
        // Closing a connection that broke during the run fails; the outcome says that already.
        let _ = connection.close().await;
        outcome.map_err(|failure| stored::migration_error(failure, error::store_error))
    }

    /// Answers no if it cannot open the connections to find out.
    async fn is_passed_around(&self) -> bool {
        let options = self.pool.connect_options();
        matches!(connection::is_passed_around(&options).await, Ok(true))
    }

    /// The names of the migrations that the database lacks, such as `0001_users`.
    ///
    /// A server that is not to migrate by itself asks this before it serves.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Unavailable`] if the database does not answer;
    /// - [`StoreError::Failed`] if a newer version of this crate has migrated it.
    pub async fn pending_migrations(&self) -> Result<Vec<String>, StoreError> {
        let applied = self.read((), |connection, ()| Box::pin(applied(connection)));
        stored::pending(&migrations(), &applied.await?)
    }
}

const PAST_THE_POOLER: &str = "a pooler gives each transaction another connection, and the lock of a \
    migration would stay behind: connect to PostgreSQL itself for this command";

/// The versions of the migrations that the database has.
async fn applied(connection: &mut PgConnection) -> Result<Vec<i64>, Error> {
    let history = sqlx::query_scalar("SELECT to_regclass('auth_migrations') IS NOT NULL");
    if !history.fetch_one(&mut *connection).await? {
        return Ok(Vec::new());
    }
    sqlx::query_scalar("SELECT version FROM auth_migrations WHERE success")
        .fetch_all(connection)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_in_the_folder_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        files.sort();
        let embedded = stored::pending(&migrations(), &[]).unwrap();
        let embedded: Vec<String> = embedded.iter().map(|name| format!("{name}.sql")).collect();
        assert_eq!(embedded, files);
    }
}
