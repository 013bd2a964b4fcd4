//! What both databases keep in the same form.

use std::collections::BTreeMap;
use std::net::{AddrParseError, IpAddr};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType};
use sqlx::{Error, SqlSafeStr};
use uuid::Uuid;

use super::{
    Ending, Enrollee, EnrollmentId, EnrollmentOrigin, EventFilter, LoginSettlement, Placement,
    Revoked, SignUpSource, StoreError, ThrottleKey, TryRecord, UserFilter,
};
use crate::audit::AuditEvent;
use crate::mail::MailKind;
use crate::revocation::{Revocation, RevokedTokens, TokenEpoch};
use crate::{
    Generation, PasswordHash, RotationKey, SessionId, Timestamp, UserId, Username, username,
};

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
///
/// # Errors
///
/// If there are others in it: the tables may have changed in any way.
pub(super) fn pending(known: &[Migration], applied: &[i64]) -> Result<Vec<String>, StoreError> {
    let is_known = |version: &i64| known.iter().any(|migration| migration.version == *version);
    if let Some(newer) = applied.iter().find(|version| !is_known(version)) {
        return Err(made_by_a_newer_version(*newer));
    }
    let pending = known
        .iter()
        .filter(|migration| !applied.contains(&migration.version))
        .map(|migration| format!("{:04}_{}", migration.version, migration.description));
    Ok(pending.collect())
}

/// Why a migration failed.
pub(super) fn migration_error(
    failure: MigrateError,
    store_error: fn(Error) -> StoreError,
) -> StoreError {
    match failure {
        MigrateError::Execute(cause) => store_error(cause),
        MigrateError::VersionMissing(newer) => made_by_a_newer_version(newer),
        other => StoreError::Failed(other.into()),
    }
}

fn made_by_a_newer_version(migration: i64) -> StoreError {
    let sentence = format!(
        "the database was made by a newer version of this program (migration {migration:04}): use that \
         version or a later one"
    );
    StoreError::Failed(sentence.into())
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

pub(super) fn address(stored: Option<&str>) -> Result<Option<IpAddr>, Error> {
    let address = stored.map(str::parse).transpose();
    address.map_err(|error: AddrParseError| Error::Decode(error.into()))
}

pub(super) fn count(stored: i32) -> Result<u32, Error> {
    u32::try_from(stored).map_err(|error| Error::Decode(error.into()))
}

pub(super) fn epoch(stored: i32) -> Result<TokenEpoch, Error> {
    count(stored).map(TokenEpoch::new)
}

pub(super) fn mail_kind(stored: &str) -> Result<MailKind, Error> {
    MailKind::from_stored(stored).ok_or_else(|| Error::Decode("no known kind of mail".into()))
}

/// What a mail is about; nil stands for nothing.
pub(super) fn about(stored: Uuid) -> Option<Uuid> {
    (!stored.is_nil()).then_some(stored)
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

/// The slot of a new enrollment among those of its address, and the one that it replaces there. The
/// first slot is an invitation's, and the others are those of sign-ups.
pub(super) fn slot(
    enrollment: &Enrollee,
    slots: &[i16],
    others: &[Enrollee],
) -> Option<(i16, Option<EnrollmentId>)> {
    let (first, count) = match enrollment.origin {
        EnrollmentOrigin::Invitation { .. } => (0, 1),
        EnrollmentOrigin::SignUp { .. } => (1, Enrollee::MAX_SIGN_UPS),
    };
    match enrollment.place_among(others) {
        Placement::Beside => {
            let free = (first..).take(count).find(|slot| !slots.contains(slot));
            free.map(|slot| (slot, None))
        }
        Placement::InPlaceOf(id) => {
            let mut found = slots.iter().zip(others);
            let found = found.find(|(_, other)| other.id == id);
            found.map(|(slot, _)| (*slot, Some(id)))
        }
        Placement::Nowhere => None,
    }
}

/// What stands in a row with a name is a sign-up.
pub(super) fn enrollment_origin(
    username: Option<String>,
    canonical: Option<String>,
    password_hash: Option<String>,
    source: Option<Uuid>,
    invited_by: Option<Uuid>,
) -> EnrollmentOrigin {
    match (username, canonical, password_hash) {
        (Some(username), Some(canonical), Some(hash)) => EnrollmentOrigin::SignUp {
            username: Username::from_stored(username, canonical),
            password_hash: PasswordHash::from_stored(hash),
            source: SignUpSource::from_uuid(source.unwrap_or_default()),
        },
        _ => EnrollmentOrigin::Invitation {
            by: invited_by.map(UserId::from_uuid),
        },
    }
}

pub(super) fn session_revocation(session: SessionId, expires_at: Timestamp) -> Revocation {
    Revocation::new(RevokedTokens::OfSession(session), expires_at)
}

pub(super) fn revocation_of_all(ending: &Ending) -> Revocation {
    let issued_before = ending.issued_before;
    Revocation::new(
        RevokedTokens::All { issued_before },
        ending.remembered_until,
    )
}

pub(super) fn revocation_of_user(user: UserId, epoch: TokenEpoch, ending: &Ending) -> Revocation {
    let tokens = RevokedTokens::OfUser {
        user,
        issued_before: ending.issued_before,
        epoch: Some(epoch),
    };
    Revocation::new(tokens, ending.remembered_until)
}

/// The name of the kind of a revocation.
pub(super) const fn kind(revocation: &Revocation) -> &'static str {
    match revocation.tokens {
        RevokedTokens::OfSession(_) => "session",
        RevokedTokens::OfUser { .. } => "user",
        RevokedTokens::All { .. } => "all",
    }
}

pub(super) const fn subject(revocation: &Revocation) -> Option<Uuid> {
    match revocation.tokens {
        RevokedTokens::OfSession(session) => Some(session.as_uuid()),
        RevokedTokens::OfUser { user, .. } => Some(user.as_uuid()),
        RevokedTokens::All { .. } => None,
    }
}

pub(super) const fn issued_before(revocation: &Revocation) -> Option<Timestamp> {
    match revocation.tokens {
        RevokedTokens::OfSession(_) => None,
        RevokedTokens::OfUser { issued_before, .. } | RevokedTokens::All { issued_before } => {
            Some(issued_before)
        }
    }
}

/// The epoch from which on tokens are good, as the databases keep it.
pub(super) fn epoch_of(revocation: &Revocation) -> Option<i32> {
    match revocation.tokens {
        RevokedTokens::OfUser { epoch, .. } => epoch.and_then(|epoch| number(epoch.number())),
        RevokedTokens::OfSession(_) | RevokedTokens::All { .. } => None,
    }
}

pub(super) fn revocation(
    kind: &str,
    subject: Option<Uuid>,
    issued_before: Option<Timestamp>,
    stored_epoch: Option<i32>,
    expires_at: Timestamp,
) -> Result<Revocation, Error> {
    let tokens = match (kind, subject, issued_before) {
        ("session", Some(id), _) => RevokedTokens::OfSession(SessionId::from_uuid(id)),
        ("user", Some(id), Some(issued_before)) => RevokedTokens::OfUser {
            user: UserId::from_uuid(id),
            issued_before,
            epoch: stored_epoch.map(epoch).transpose()?,
        },
        ("all", _, Some(issued_before)) => RevokedTokens::All { issued_before },
        _ => return Err(Error::Decode("no known kind of revocation".into())),
    };
    Ok(Revocation::new(tokens, expires_at))
}

/// What a login makes of the records that are kept of its settlement's keys, as far as they change.
pub(super) fn settled(
    settlement: &LoginSettlement,
    records: &[(ThrottleKey, TryRecord)],
    now: Timestamp,
) -> Vec<(ThrottleKey, TryRecord)> {
    let find = |key| {
        let kept = records.iter().find(|(kept, _)| *kept == key);
        kept.map(|(_, record)| *record)
    };
    let mut changed = Vec::new();
    if let Some(key) = settlement.forgotten.filter(|key| find(*key).is_some()) {
        changed.push((key, TryRecord::new(now)));
    }
    for key in &settlement.given_back {
        if let Some(mut record) = find(*key) {
            record.give_back(now);
            changed.push((*key, record));
        }
    }
    if let Some((key, until)) = settlement.known {
        let mut record = find(key).unwrap_or(TryRecord::new(now));
        if is_news(&record, until) {
            record.know(until);
            changed.retain(|(given_back, _)| *given_back != key);
            changed.push((key, record));
        }
    }
    changed
}

/// The keys that it concerns.
pub(super) fn settlement_keys(settlement: &LoginSettlement) -> Vec<ThrottleKey> {
    let known = settlement.known.iter().map(|(key, _)| key);
    let all = settlement.given_back.iter().chain(&settlement.forgotten);
    all.chain(known).copied().collect()
}

/// Whether a success is worth a write: a known key is noted once a day, unless tries have failed.
fn is_news(record: &TryRecord, known_until: Timestamp) -> bool {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    record.tries > 0
        || record
            .known_until
            .is_none_or(|until| until + DAY <= known_until)
}

/// The first key of the page, and the first one beyond the search.
///
/// No key holds a control character or U+10FFFF: nothing stands between a key and itself followed
/// by the least character that every database can hold, nor after the last.
pub(super) fn key_range(filter: &UserFilter) -> (String, String) {
    let prefix = printable(filter.search.prefix());
    let first = match &filter.after {
        Some(last) => printable(last) + "\u{1}",
        None => prefix.clone(),
    };
    (first, prefix + "\u{10FFFF}")
}

fn printable(key: &str) -> String {
    key.chars().filter(|c| !c.is_control()).collect()
}

/// What these names look like, each with the first of those who look so.
pub(super) fn skeletons(names: Vec<(Uuid, String)>) -> BTreeMap<String, Uuid> {
    let mut skeletons = BTreeMap::new();
    for (id, name) in names {
        skeletons.entry(username::skeleton(&name)).or_insert(id);
    }
    skeletons
}

/// What a foreign key says to the deletion of a user: ours go along with it.
pub(super) fn refused_deletion(error: StoreError) -> StoreError {
    let is_foreign_key = |source: &(dyn std::error::Error + 'static)| {
        let error = source.downcast_ref::<Error>();
        let error = error.and_then(Error::as_database_error);
        error.is_some_and(|error| error.is_foreign_key_violation())
    };
    match error {
        StoreError::Failed(source) if is_foreign_key(&*source) => StoreError::UserInUse(source),
        other => other,
    }
}

/// What became of a change to an account.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Done(Revoked),
    NoSuchUser,
    LastSuperuser,
    EmailReserved,
}

impl From<Change> for Result<Option<Revoked>, StoreError> {
    fn from(change: Change) -> Self {
        match change {
            Change::Done(revoked) => Ok(Some(revoked)),
            Change::NoSuchUser => Ok(None),
            Change::LastSuperuser => Err(StoreError::LastSuperuser),
            Change::EmailReserved => Err(StoreError::EmailTaken),
        }
    }
}

/// For changes that end no session and no token.
impl From<Change> for Result<bool, StoreError> {
    fn from(change: Change) -> Self {
        Result::<Option<Revoked>, StoreError>::from(change).map(|revoked| revoked.is_some())
    }
}

impl Change {
    pub(super) fn done() -> Self {
        Self::Done(Revoked::default())
    }
}
