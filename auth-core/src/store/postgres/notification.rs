//! A revocation as the text of a notification.

use sqlx::Error;
use uuid::Uuid;

use crate::Timestamp;
use crate::revocation::Revocation;
use crate::store::stored;

pub(super) fn payload(revocation: &Revocation) -> Result<String, Error> {
    let issued_before = stored::issued_before(revocation).map(Timestamp::unix_micros);
    let expires_at = revocation.expires_at.unix_micros();
    let (kind, subject) = (stored::kind(revocation), stored::subject(revocation));
    // A node of an older version does not read five fields, and asks the table at once.
    if let Some(epoch) = stored::epoch_of(revocation) {
        let fields = (kind, subject, issued_before, expires_at, epoch);
        return serde_json::to_string(&fields).map_err(|error| Error::Encode(error.into()));
    }
    let fields = (kind, subject, issued_before, expires_at);
    serde_json::to_string(&fields).map_err(|error| Error::Encode(error.into()))
}

/// Reads what was notified, unless it is a newer version's or somebody else's.
pub(super) fn revocation(payload: &str) -> Option<Revocation> {
    type Fields = (String, Option<Uuid>, Option<i64>, i64);
    type WithEpoch = (String, Option<Uuid>, Option<i64>, i64, i32);
    let (kind, subject, issued_before, expires_at, epoch) =
        match serde_json::from_str::<Fields>(payload) {
            Ok((kind, subject, before, until)) => (kind, subject, before, until, None),
            Err(_) => {
                let fields = serde_json::from_str::<WithEpoch>(payload).ok()?;
                let (kind, subject, before, until, epoch) = fields;
                (kind, subject, before, until, Some(epoch))
            }
        };
    let issued_before = issued_before.map(Timestamp::from_unix_micros);
    let expires_at = Timestamp::from_unix_micros(expires_at);
    stored::revocation(&kind, subject, issued_before, epoch, expires_at).ok()
}

/// Reads a payload, and writes what it says again.
#[cfg(feature = "fuzzing")]
pub(crate) fn again(text: &str) -> Option<String> {
    payload(&revocation(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::{RevokedTokens, TokenEpoch};
    use crate::{SessionId, UserId};

    #[test]
    fn a_revocation_is_read_as_it_was_told() {
        let issued_before = Timestamp::from_unix_micros(1_700_000_000_123_457);
        let user = UserId::generate();
        for tokens in [
            RevokedTokens::OfSession(SessionId::generate()),
            RevokedTokens::OfUser {
                user,
                issued_before,
                epoch: None,
            },
            RevokedTokens::OfUser {
                user,
                issued_before,
                epoch: Some(TokenEpoch::new(7)),
            },
            RevokedTokens::All { issued_before },
        ] {
            let told = Revocation::new(tokens, issued_before);
            assert_eq!(revocation(&payload(&told).unwrap()), Some(told));
        }
    }

    #[test]
    fn what_somebody_else_tells_is_no_revocation() {
        for payload in [
            "",
            "{}",
            "[]",
            r#"["session",null,null,1]"#,
            r#"["moon",null,1,1]"#,
        ] {
            assert_eq!(revocation(payload), None, "{payload}");
        }
    }
}
