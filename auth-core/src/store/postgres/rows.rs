//! Rows and values, as PostgreSQL and the domain spell them.

use sqlx::postgres::PgRow;
use sqlx::{Error, Row};
use time::OffsetDateTime;

use crate::store::stored;
use crate::{
    EmailAddress, Roles, Session, SessionId, SessionOwner, Timestamp, User, UserId, Username,
};

pub(super) fn to_sql(time: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(time.unix_micros()) * 1000)
        .map_err(|error| Error::Encode(error.into()))
}

fn timestamp(stored: OffsetDateTime) -> Result<Timestamp, Error> {
    i64::try_from(stored.unix_timestamp_nanos() / 1000)
        .map(Timestamp::from_unix_micros)
        .map_err(|error| Error::Decode(error.into()))
}

pub(super) fn time(row: &PgRow, column: &str) -> Result<Timestamp, Error> {
    timestamp(row.try_get(column)?)
}

pub(super) fn optional_time(row: &PgRow, column: &str) -> Result<Option<Timestamp>, Error> {
    row.try_get::<Option<_>, _>(column)?
        .map(timestamp)
        .transpose()
}

pub(super) fn user(row: &PgRow) -> Result<User, Error> {
    let id = UserId::from_uuid(row.try_get("id")?);
    let username = Username::from_stored(
        row.try_get::<&str, _>("username")?,
        row.try_get::<&str, _>("username_canonical")?,
    );
    let email = email(row, "email", "email_key")?;
    Ok(User {
        email_verified_at: optional_time(row, "email_verified_at")?,
        is_active: row.try_get("is_active")?,
        is_superuser: row.try_get("is_superuser")?,
        roles: Roles::from_stored(row.try_get("roles")?),
        token_epoch: stored::epoch(row.try_get("token_epoch")?)?,
        ..User::new(id, username, email, time(row, "created_at")?)
    })
}

pub(super) fn session(row: &PgRow) -> Result<Session, Error> {
    let id = SessionId::from_uuid(row.try_get("id")?);
    let owner = SessionOwner {
        is_active: row.try_get("is_active")?,
        is_superuser: row.try_get("is_superuser")?,
        roles: Roles::from_stored(row.try_get("roles")?),
        token_epoch: stored::epoch(row.try_get("token_epoch")?)?,
        email_verified: row.try_get("email_verified")?,
        ..SessionOwner::new(UserId::from_uuid(row.try_get("user_id")?))
    };
    Ok(Session {
        generation: stored::generation(row.try_get("generation")?)?,
        rotated_at: optional_time(row, "rotated_at")?,
        rotation_key: stored::rotation_key(row.try_get("rotation_key")?)?,
        used_at: optional_time(row, "used_at")?,
        revoked_at: optional_time(row, "revoked_at")?,
        client: stored::address(row.try_get("client")?)?,
        ..Session::new(
            id,
            owner,
            time(row, "created_at")?,
            time(row, "expires_at")?,
        )
    })
}

pub(super) fn email(row: &PgRow, typed: &str, key: &str) -> Result<EmailAddress, Error> {
    Ok(EmailAddress::from_stored(
        row.try_get::<&str, _>(typed)?,
        row.try_get::<&str, _>(key)?,
    ))
}
