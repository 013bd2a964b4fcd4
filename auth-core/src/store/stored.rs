//! What both databases keep in the same form.

use sqlx::migrate::{Migration, MigrationType};
use sqlx::{Error, SqlSafeStr};
use uuid::Uuid;

use super::EventFilter;
use crate::audit::AuditEvent;
use crate::mail::MailKind;
use crate::{Generation, RotationKey, UserId};

/// The table that remembers which migrations were applied; the host application may be a user of
/// sqlx too, and then the usual name is its own.
pub(super) const MIGRATIONS_TABLE: &str = "auth_migrations";

/// The most characters of a reason that are kept for the operator.
const NOTE_CHARS: usize = 1000;

pub(super) fn migration(version: i64, name: &'static str, sql: &'static str) -> Migration {
    let kind = MigrationType::Simple;
    Migration::new(version, name.into(), kind, sql.into_sql_str(), false)
}

/// The names of those migrations that the list of applied versions lacks.
pub(super) fn pending(known: &[Migration], applied: &[i64]) -> Vec<String> {
    known
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| format!("{:04}_{}", migration.version, migration.description))
        .collect()
}

pub(super) fn generation(stored: i32) -> Result<Generation, Error> {
    count(stored).map(Generation::new)
}

pub(super) fn rotation_key(stored: Option<&[u8]>) -> Result<Option<RotationKey>, Error> {
    stored
        .map(|hash| hash.try_into().map(RotationKey::from_stored))
        .transpose()
        .map_err(|error| Error::Decode(Box::new(error)))
}

pub(super) fn count(stored: i32) -> Result<u32, Error> {
    u32::try_from(stored).map_err(|error| Error::Decode(error.into()))
}

pub(super) fn mail_kind(stored: &str) -> Result<MailKind, Error> {
    MailKind::from_name(stored).ok_or_else(|| Error::Decode("no known kind of mail".into()))
}

/// Makes a reason fit to be stored: it may quote a mail server, whose words know no limit, and
/// PostgreSQL refuses a text with a NUL.
pub(super) fn note(reason: &str) -> String {
    reason
        .chars()
        .filter(|&c| c != '\0')
        .take(NOTE_CHARS)
        .collect()
}

/// The number of a generation or an attempt as the databases keep it, if it can be one of theirs.
pub(super) fn number(value: u32) -> Option<i32> {
    i32::try_from(value).ok()
}

/// An audit event as a JSON document.
pub(super) fn document(event: &AuditEvent) -> Result<String, Error> {
    serde_json::to_string(event).map_err(|error| Error::Encode(error.into()))
}

/// Reads an event; the column knows better whose account it concerns, since some acts find out
/// while they are done.
pub(super) fn event(document: &str, user: Option<Uuid>) -> Result<AuditEvent, Error> {
    let event: AuditEvent =
        serde_json::from_str(document).map_err(|error| Error::Decode(error.into()))?;
    Ok(AuditEvent {
        user: user.map(UserId::from_uuid),
        ..event
    })
}

pub(super) fn user(event: &AuditEvent) -> Option<Uuid> {
    event.user.map(|user| user.as_uuid())
}

pub(super) fn request(event: &AuditEvent) -> Option<&str> {
    event.request_id.as_ref().map(|id| id.as_str())
}

/// The ids that a filter allows, from the first to before the end.
pub(super) fn event_range(filter: &EventFilter) -> (Uuid, Uuid) {
    let first = filter.since.map_or(Uuid::nil(), AuditEvent::first_id_at);
    (first, filter.before.unwrap_or(Uuid::max()))
}
