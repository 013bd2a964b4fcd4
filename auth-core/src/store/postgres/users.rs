//! Users in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgRow;
use sqlx::{Error, PgExecutor, PgPool, Row};

use super::lookup::{Lookup, lookup};
use super::{
    Leases, PostgresStore, Replay, email_changes, error, events, lookup, outbox, rows, skeletons,
};
use crate::audit::AuditEvent;
use crate::store::batch::Batches;
use crate::store::stored::Change;
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
        let outcome = self
            .run(Replay::Unsafe, || register(&self.pool, user, mail, event))
            .await?;
        Result::from(outcome).map(drop)
    }

    async fn create_first_superuser(
        &self,
        user: &NewUser,
        event: &AuditEvent,
    ) -> Result<bool, StoreError> {
        let outcome = self
            .run(Replay::Unsafe, || {
                insert_first_superuser(&self.pool, user, event)
            })
            .await
            .and_then(Result::from);
        match outcome {
            // Of two at once with the same name, the later may meet the name before the conflict.
            Err(StoreError::UsernameTaken | StoreError::EmailTaken)
                if superuser_exists(&self.pool)
                    .await
                    .map_err(error::store_error)? =>
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
        self.run(Replay::Safe, || select_credentials(&self.leases, username))
            .await
    }

    async fn find_credentials_by_email(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, PasswordHash)>, StoreError> {
        self.run(Replay::Safe, || {
            select_credentials_by_email(&self.leases, email)
        })
        .await
    }

    async fn find_user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        self.user_reads.call(self, id).await
    }

    async fn list_users(&self, filter: &UserFilter) -> Result<Vec<User>, StoreError> {
        self.run(Replay::Safe, || select_users(&self.pool, filter))
            .await
    }

    async fn fill_username_skeletons(
        &self,
        after: Option<UserId>,
        limit: u32,
    ) -> Result<Option<UserId>, StoreError> {
        loop {
            let fill = || skeletons::fill(&self.pool, after, limit);
            match self.run(Replay::Safe, fill).await {
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
        self.run(Replay::Unsafe, || {
            swap_password_hash(&self.pool, id, current, replacement)
        })
        .await
    }

    async fn begin_email_verification(
        &self,
        email: &EmailAddress,
    ) -> Result<Option<(User, Generation)>, StoreError> {
        // A second run ends the verification of the first, of which nobody knows yet.
        self.run(Replay::Safe, || begin_verification(&self.pool, email))
            .await
    }

    async fn confirm_email(
        &self,
        id: UserId,
        email: &EmailAddress,
        verification: Generation,
        event: &AuditEvent,
    ) -> Result<EmailConfirmation, StoreError> {
        self.run(Replay::Unsafe, || async {
            if confirm(&self.pool, id, email, verification, event).await? {
                return Ok(EmailConfirmation::Confirmed);
            }
            Ok(match is_verified(&self.pool, id, email).await? {
                Some(true) => EmailConfirmation::AlreadyConfirmed,
                Some(false) | None => EmailConfirmation::Superseded,
            })
        })
        .await
    }
}

/// Reads of single users, of which one statement serves those that come at the same time.
pub(super) type UserReads = Batches<PostgresStore, UserId, Option<User>>;

pub(super) fn reads(pool: &PgPool) -> Arc<UserReads> {
    let limits = lookup::limits(pool);
    Arc::new(Batches::new(limits, |store: &PostgresStore, ids| {
        Box::pin(async move {
            let select = || select(&store.leases, &ids);
            store.run(Replay::Safe, select).await
        })
    }))
}

async fn register(
    pool: &PgPool,
    user: &NewUser,
    mail: Option<&NewMail>,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED")
        .await?;
    insert_user(&mut *transaction, user).await?;
    if email_changes::has_reserved_address(&mut transaction, user.user.id, event.at).await? {
        return Ok(Change::EmailReserved);
    }
    if let Some(mail) = mail {
        outbox::enqueue(&mut *transaction, mail).await?;
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
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
    pool: &PgPool,
    new: &NewUser,
    event: &AuditEvent,
) -> Result<Change, Error> {
    let user = &new.user;
    let mut transaction = pool
        .begin_with("BEGIN ISOLATION LEVEL SERIALIZABLE")
        .await?;
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
    .execute(&mut *transaction)
    .await?;
    if created.rows_affected() == 0 {
        return Ok(Change::NoSuchUser);
    }
    if email_changes::has_reserved_address(&mut transaction, user.id, event.at).await? {
        return Ok(Change::EmailReserved);
    }
    events::insert(&mut *transaction, event).await?;
    transaction.commit().await?;
    Ok(Change::Done)
}

async fn superuser_exists(pool: &PgPool) -> Result<bool, Error> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM auth_users WHERE is_superuser)")
        .fetch_one(pool)
        .await
}

async fn select_credentials(
    leases: &Leases,
    username: &Username,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let mut lease = leases.acquire().await?;
    let found = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, created_at
         FROM auth_users
         WHERE username_canonical = $1",
    )
    .bind(username.canonical())
    .fetch_optional(&mut *lease)
    .await?;
    lease.keep();
    found.as_ref().map(credentials).transpose()
}

async fn select_credentials_by_email(
    leases: &Leases,
    email: &EmailAddress,
) -> Result<Option<(User, PasswordHash)>, Error> {
    let mut lease = leases.acquire().await?;
    let found = sqlx::query(
        "SELECT id, username, username_canonical, email, email_key, password_hash,
                email_verified_at, is_active, is_superuser, roles, created_at
         FROM auth_users
         WHERE email_key = $1",
    )
    .bind(email.key())
    .fetch_optional(&mut *lease)
    .await?;
    lease.keep();
    found.as_ref().map(credentials).transpose()
}

fn credentials(row: &PgRow) -> Result<(User, PasswordHash), Error> {
    let hash = PasswordHash::from_stored(row.try_get::<String, _>("password_hash")?);
    Ok((rows::user(row)?, hash))
}

const BY_ID: Lookup = lookup!(
    "SELECT id, username, username_canonical, email, email_key,
            email_verified_at, is_active, is_superuser, roles, created_at
     FROM auth_users",
    "id"
);

async fn select(leases: &Leases, ids: &[UserId]) -> Result<Vec<Option<User>>, Error> {
    let found = BY_ID.find(leases, ids.iter().map(UserId::as_uuid)).await?;
    let found = found.iter().map(rows::user);
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let of = |id: &UserId| found.iter().find(|user| user.id == *id).cloned();
    Ok(ids.iter().map(of).collect())
}

async fn select_users(pool: &PgPool, filter: &UserFilter) -> Result<Vec<User>, Error> {
    let query = match filter.search {
        UserSearch::Username(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, created_at
             FROM auth_users
             WHERE username_canonical COLLATE \"C\" >= $1 AND username_canonical COLLATE \"C\" < $2
             ORDER BY username_canonical COLLATE \"C\"
             LIMIT $3",
        ),
        UserSearch::Email(_) => sqlx::query(
            "SELECT id, username, username_canonical, email, email_key,
                    email_verified_at, is_active, is_superuser, roles, created_at
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
        .fetch_all(pool)
        .await?
        .iter()
        .map(rows::user)
        .collect()
}

async fn swap_password_hash(
    pool: &PgPool,
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
    .execute(pool)
    .await?;
    Ok(swapped.rows_affected() == 1)
}

async fn begin_verification(
    pool: &PgPool,
    email: &EmailAddress,
) -> Result<Option<(User, Generation)>, Error> {
    let row = sqlx::query(
        "UPDATE auth_users
         SET email_verification = email_verification + 1
         WHERE email_key = $1 AND is_active AND email_verified_at IS NULL
         RETURNING id, username, username_canonical, email, email_key,
                   email_verified_at, email_verification, is_active, is_superuser, roles, created_at",
    )
    .bind(email.key())
    .fetch_optional(pool)
    .await?;
    row.map(|row| {
        let verification = stored::generation(row.try_get("email_verification")?)?;
        Ok((rows::user(&row)?, verification))
    })
    .transpose()
}

async fn confirm(
    pool: &PgPool,
    id: UserId,
    email: &EmailAddress,
    verification: Generation,
    event: &AuditEvent,
) -> Result<bool, Error> {
    let mut transaction = pool.begin().await?;
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
    .execute(&mut *transaction)
    .await?;
    let confirmed = confirmed.rows_affected() == 1;
    if confirmed {
        events::insert(&mut *transaction, event).await?;
    }
    transaction.commit().await?;
    Ok(confirmed)
}

async fn is_verified(
    pool: &PgPool,
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
    .fetch_optional(pool)
    .await
}
