//! The SQLite schema.

use sqlx::migrate::{MigrateError, Migration, Migrator};
use sqlx::{Error, SqliteConnection};

use super::{SqliteStore, error};
use crate::store::run_to_end::run_to_end;
use crate::store::{StoreError, stored};

fn migrations() -> Vec<Migration> {
    vec![
        stored::migration(
            1,
            "users",
            include_str!("../../../migrations/sqlite/0001_users.sql"),
        ),
        stored::migration(
            2,
            "sessions",
            include_str!("../../../migrations/sqlite/0002_sessions.sql"),
        ),
        stored::migration(
            3,
            "outbox",
            include_str!("../../../migrations/sqlite/0003_outbox.sql"),
        ),
        stored::migration(
            4,
            "events",
            include_str!("../../../migrations/sqlite/0004_events.sql"),
        ),
        stored::migration(
            5,
            "revocations",
            include_str!("../../../migrations/sqlite/0005_revocations.sql"),
        ),
        stored::migration(
            6,
            "throttle",
            include_str!("../../../migrations/sqlite/0006_throttle.sql"),
        ),
        stored::migration(
            7,
            "sessions_use",
            include_str!("../../../migrations/sqlite/0007_sessions_use.sql"),
        ),
        stored::migration(
            8,
            "housekeeping",
            include_str!("../../../migrations/sqlite/0008_housekeeping.sql"),
        ),
        stored::migration(
            9,
            "users_list",
            include_str!("../../../migrations/sqlite/0009_users_list.sql"),
        ),
        stored::migration(
            10,
            "sessions_client",
            include_str!("../../../migrations/sqlite/0010_sessions_client.sql"),
        ),
        stored::migration(
            11,
            "users_roles",
            include_str!("../../../migrations/sqlite/0011_users_roles.sql"),
        ),
        stored::migration(
            12,
            "outbox_about",
            include_str!("../../../migrations/sqlite/0012_outbox_about.sql"),
        ),
        stored::migration(
            13,
            "email_changes",
            include_str!("../../../migrations/sqlite/0013_email_changes.sql"),
        ),
        stored::migration(
            14,
            "enrollments",
            include_str!("../../../migrations/sqlite/0014_enrollments.sql"),
        ),
        stored::migration(
            15,
            "email_reservations",
            include_str!("../../../migrations/sqlite/0015_email_reservations.sql"),
        ),
        stored::migration(
            16,
            "users_skeleton",
            include_str!("../../../migrations/sqlite/0016_users_skeleton.sql"),
        ),
        stored::migration(
            17,
            "token_epochs",
            include_str!("../../../migrations/sqlite/0017_token_epochs.sql"),
        ),
        stored::migration(
            18,
            "sign_ups",
            include_str!("../../../migrations/sqlite/0018_sign_ups.sql"),
        ),
    ]
}

impl SqliteStore {
    /// Applies the migrations that the database lacks; any number of processes may call it at the
    /// same time.
    ///
    /// # Errors
    ///
    /// - [`StoreError::Unavailable`] if the file cannot be used;
    /// - [`StoreError::Failed`] if a migration fails, was changed after it had been applied, or
    ///   was applied by a newer version of this crate.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let mut migrator = Migrator::with_migrations(migrations());
        migrator.dangerous_set_table_name(stored::MIGRATIONS_TABLE);
        // SQLite has no lock to name: the write lock is taken before the history is read, and the
        // migrations' own transactions become savepoints within it.
        let writer = self.writer.clone();
        let migrated = run_to_end(async move {
            let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await?;
            migrator.run_direct(None, &mut *transaction, false).await?;
            transaction.commit().await?;
            Ok(())
        });
        let migrated: Result<(), MigrateError> = migrated.await;
        migrated.map_err(|failure| stored::migration_error(failure, error::store_error))
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

/// The versions of the migrations that the database has.
async fn applied(connection: &mut SqliteConnection) -> Result<Vec<i64>, Error> {
    let history: i64 = sqlx::query_scalar(
        "SELECT COUNT(*)
         FROM sqlite_schema
         WHERE type = 'table' AND name = 'auth_migrations'",
    )
    .fetch_one(&mut *connection)
    .await?;
    if history == 0 {
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
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
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
