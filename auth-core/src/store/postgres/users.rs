//! Users in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection, PgExecutor, PgPool, Row};

use super::lookup::{Lookup, lookup};
use super::{PostgresStore, Replay, email_changes, events, lookup, outbox, rows, skeletons};
use crate::audit::AuditEvent;
use crate::store::batch::Batches;
use crate::store::stored::Change;
use crate::store::transaction::End;
use crate::store::{
    EmailConfirmation, NewMail, NewUser, StoreError, UserFilter, UserSearch, UserStore, stored,
};
use crate::{EmailAddress, Generation, PasswordHash, User, UserId, Username};

#[async_trait]
impl UserStore for PostgresStore {
    async fn create_user(
        &self,
        user: &NewUser,
        mail: Option<&NewMail>,
        event: &AuditEvent,
    ) -> Result<(), StoreError> {
        let outcome = self.transact(
            Replay::Unsafe,
            (user.clone(), mail.cloned(), event.clone()),
            |connection, (user, mail, event)| {
                Box::pin(register(connection, user, mail.as_ref(), event))
            },
        );
        Result::<bool, StoreError>::from(outcome.await?).map(drop)
    }

    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = self.transact_serializable(
            Replay::Unsafe,
            (user.clone(), event.clone()),
            |connection, (user, event)| Box::pin(insert_first_superuser(connection, user, event)),
        );
        match outcome.await.and_then(Result::from) {
            // Of two at once with the same name, the later may meet the name before the conflict.
            Err(StoreError::UsernameTaken | StoreError::EmailTaken)
                if self
                    .read((), |connection, ()| Box::pin(superuser_exists(connection)))
                    .await? =>
            {
                Ok(false)
            }
            other => other,
        }
    }

    async fn find_credentials(
        &self,
        username: &Username,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.read(username.clone(), |connection, username| {
            Box::pin(select_credentials(connection, username))
        })
        .await
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.read(email.clone(), |connection, email| {
            Box::pin(select_credentials_by_email(connection, email))
        })
        .await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.user_reads.call(self, id).await
    }

    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        self.read(filter.clone(), |connection, filter| {
            Box::pin(select_users(connection, filter))
        })
        .await
    }

    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError> {
        loop {
            let filled = self.write(
                Replay::Safe,
                (after, limit),
                |connection, &(after, limit)| Box::pin(skeletons::fill(connection, after, limit)),
            );
            match filled.await {
                Err(StoreError::UsernameTaken) => {}
                other => return other,
            }
        }
    }

    async fn replace_password_hash(
        &self,
        id: UserId,
        current: &PasswordHash,
        replacement: &PasswordHash,
    ) -> Result<bool, StoreError> {
        self.write(
            Replay::Unsafe,
            (id, current.clone(), replacement.clone()),
            |connection, (id, current, replacement)| {
                Box::pin(swap_password_hash(connection, *id, current, replacement))
            },
        )
        .await
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        // A second run ends the verification of the first, of which nobody knows yet.
        self.write(Replay::Safe, email.clone(), |connection, email| {
            Box::pin(begin_verification(connection, email))
        })
        .await
    }

    async fn find_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        self.read(email.clone(), |connection, email| {
            Box::pin(select_verification(connection, email))
        })
        .await
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        let confirmed = self.transact(
            Replay::Unsafe,
            (id, email.clone(), verification, event.clone()),
            |connection, (id, email, verification, event)| {
                Box::pin(confirm(connection, *id, email, *verification, event))
            },
        );
        if confirmed.await? {
            return Ok(EmailConfirmation::Confirmed);
        }
        let is_verified = self.read((id, email.clone()), |connection, (id, email)| {
            Box::pin(is_verified(connection, *id, email))
        });
        Ok(match is_verified.await? {
            Some(true) => EmailConfirmation::AlreadyConfirmed,
            Some(false) | None => EmailConfirmation::Superseded,
        })
    }
}

/// Reads of single users, of which one statement serves those that come at the same time.
pub(super) type UserReads = Batches<PostgresStore, UserId, Option<User>>;

pub(super) fn reads(pool: &PgPool) -> Arc<UserReads> {
    let limits = lookup::limits(pool);
    Arc::new(Batches::new(limits, |store: &PostgresStore, ids| {
        Box::pin(async move {
            let found = store.read(ids, |connection, ids| Box::pin(select(connection, ids)));
            found.await
        })
    }))
}

async fn register(
    connection: &mut PgConnection,
    user: &NewUser,
    mail: Option<&NewMail>,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    insert_user(&mut *connection, user).await?;
    if email_changes::has_reserved_address(connection, user.user.id, event.at).await? {
        return Ok(Change::EmailReserved.into());
    }
    if let Some(mail) = mail {
        outbox::enqueue(&mut *connection, mail).await?;
    }
    events::insert(&mut *connection, event).await?;
    Ok(Change::done().into())
}

pub(super) async fn insert_user(executor: impl PgExecutor<'_>, new: &NewUser) -> Result<(), Error> {
    let user = &new.user;
    sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at, roles,
              username_skeleton)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(rows::to_sql).transpose()?)
    .bind(user.is_active)
    .bind(user.is_superuser)
    .bind(rows::to_sql(user.created_at)?)
    .bind(user.roles.to_string())
    .bind(new.username_skeleton.as_deref())
    .execute(executor)
    .await
    .map(drop)
}

/// Serializable isolation, since not all compatible engines have advisory locks: of two
/// transactions that both found no superuser, one fails and is run again. Its snapshot does not
/// show an address that another user gives up in the same moment as reserved: nobody but the
/// operator, who chooses the address, could make use of it.
async fn insert_first_superuser(
    connection: &mut PgConnection,
    new: &NewUser,
    event: &AuditEvent,
) -> Result<End<Change>, Error> {
    let user = &new.user;
    let created = sqlx::query(
        "INSERT INTO auth_users
             (id, username, username_canonical, email, email_key, password_hash,
              email_verified_at, is_active, is_superuser, created_at, roles,
              username_skeleton)
         SELECT $1, $2, $3, $4, $5, $6, $7, $8, TRUE, $9, $10, $11
         WHERE NOT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)",
    )
    .bind(user.id.as_uuid())
    .bind(user.username.as_str())
    .bind(user.username.canonical())
    .bind(user.email.as_str())
    .bind(user.email.key())
    .bind(new.password_hash.as_stored())
    .bind(user.email_verified_at.map(rows::to_sql).transpose()?)
    .bind(user.is_active)
    .bind(rows::to_sql(user.created_at)?)
    .bind(user.roles.to_string())
    .bind(new.username_skeleton.as_deref())
    .execute(&mut *connection)
    .await?;
    if created.rows_affected() == 0 {
        return Ok(Change::NoSuchUser.into());
    }
    if email_changes::has_reserved_address(connection, user.id, event.at).await? {
        return Ok(Change::EmailReserved.into());
    }
    events::insert(&mut *connection, event).await?;
    Ok(Change::done().into())
}

async fn superuser_exists(connection: &mut PgConnection) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)")
        .fetch_one(connection)
        .await
}

async fn select_credentials(
    connection: &mut PgConnection,
    username: &Username,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let found = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, token_epoch,
                created_at
         FROM auth_users
         WHERE username_canonical = $1",
    )
    .bind(username.canonical())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(credentials).transpose()
}

async fn select_credentials_by_email(
    connection: &mut PgConnection,
    email: &EmailAddress,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let found = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, token_epoch,
                created_at
         FROM auth_users
         WHERE email_key = $1",
    )
    .bind(email.key())
    .fetch_optional(connection)
    .await?;
    found.as_ref().map(credentials).transpose()
}

fn credentials(row: &PgRow) -> Result<(User, PasswordHash), Error> {
    let hash = PasswordHash::from_stored(row.try_get::<String, _>("password_hash")?);
    Ok((rows::user(row)?, hash))
}

const BY_ID: Lookup = lookup!(
    "SELECT id, username, username_canonical, email, email_key,
            email_verified_at, is_active, is_superuser, roles, token_epoch,
                created_at
     FROM auth_users",
    "id"
);

async fn select(connection: &mut PgConnection, ids: &[UserId]) -> Result<Vec<Option<User>>, Error> {
    let found = BY_ID
        .find(connection, ids.iter().map(UserId::as_uuid))
        .await?;
    let found = found.iter().map(rows::user);
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let of = |id: &UserId| found.iter().find(|user| user.id == *id).cloned();
    Ok(ids.iter().map(of).collect())
}

async fn select_users(
    connection: &mut PgConnection,
    filter: &UserFilter,
) -> Result<Vec<User>, Error> {
    let query = match filter.search {
        UserSearch::Username(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, token_epoch,
                created_at
             FROM auth_users
             WHERE username_canonical COLLATE \"C\" >= $1 AND username_canonical COLLATE \"C\" < $2
             ORDER BY username_canonical COLLATE \"C\"
             LIMIT $3",
        ),
        UserSearch::Email(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, token_epoch,
                created_at
             FROM auth_users
             WHERE email_key COLLATE \"C\" >= $1 AND email_key COLLATE \"C\" < $2
             ORDER BY email_key COLLATE \"C\"
             LIMIT $3",
        ),
    };
    let (first, end) = stored::key_range(filter);
    query
        .bind(first)
        .bind(end)
        .bind(i64::from(filter.limit))
        .fetch_all(connection)
        .await?
        .iter()
        .map(rows::user)
        .collect()
}

async fn swap_password_hash(
    connection: &mut PgConnection,
    id: UserId,
    current: &PasswordHash,
    replacement: &PasswordHash,
) -> Result<bool, Error> {
    let swapped = sqlx::query(
        "UPDATE auth_users
         SET password_hash = $3
         WHERE id = $1 AND password_hash = $2",
    )
    .bind(id.as_uuid())
    .bind(current.as_stored())
    .bind(replacement.as_stored())
    .execute(connection)
    .await?;
    Ok(swapped.rows_affected() == 1)
}

async fn begin_verification(
    connection: &mut PgConnection,
    email: &EmailAddress,
) -> Result<Option<(User, Generation)>, Error> {
    let row = sqlx::query(
        "UPDATE auth_users
         SET email_verification = email_verification + 1
         WHERE email_key = $1 AND is_active AND email_verified_at IS NULL
         RETURNING id, username, username_canonical, email, email_key,
                   email_verified_at, email_verification, is_active, is_superuser, roles, token_epoch,
                   created_at",
    )
    .bind(email.key())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(verification).transpose()
}

async fn select_verification(
    connection: &mut PgConnection,
    email: &EmailAddress,
) -> Result<Option<(User, Generation)>, Error> {
    let row = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key,
                email_verified_at, email_verification, is_active, is_superuser, roles, token_epoch,
                created_at
         FROM auth_users
         WHERE email_key = $1 AND is_active AND email_verified_at IS NULL",
    )
    .bind(email.key())
    .fetch_optional(connection)
    .await?;
    row.as_ref().map(verification).transpose()
}

fn verification(row: &PgRow) -> Result<(User, Generation), Error> {
    let verification = stored::generation(row.try_get("email_verification")?)?;
    Ok((rows::user(row)?, verification))
}

async fn confirm(
    connection: &mut PgConnection,
    id: UserId,
    email: &EmailAddress,
    verification: Generation,
    event: &AuditEvent,
) -> Result<End<bool>, Error> {
    let confirmed = sqlx::query(
        "UPDATE auth_users
         SET email_verified_at = $4
         WHERE id = $1 AND email_key = $2 AND email_verification = $3
             AND email_verified_at IS NULL",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .bind(stored::number(verification.number()))
    .bind(rows::to_sql(event.at)?)
    .execute(&mut *connection)
    .await?;
    let confirmed = confirmed.rows_affected() == 1;
    if confirmed {
        events::insert(&mut *connection, event).await?;
    }
    Ok(End::Commit(confirmed))
}

async fn is_verified(
    connection: &mut PgConnection,
    id: UserId,
    email: &EmailAddress,
) -> Result<Option<bool>, Error> {
    sqlx::query_scalar(
        "SELECT email_verified_at IS NOT NULL
         FROM auth_users
         WHERE id = $1 AND email_key = $2",
    )
    .bind(id.as_uuid())
    .bind(email.key())
    .fetch_optional(connection)
    .await
}
