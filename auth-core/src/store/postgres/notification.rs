//! A revocation as the text of a notification.

use sqlx::Error;
use uuid::Uuid;

use crate::Timestamp;
use crate::revocation::Revocation;
use crate::store::stored;

pub(super) fn payload(revocation: &Revocation) -> Result<String, Error> {
    let issued_before = stored::issued_before(revocation).map(Timestamp::unix_micros);
    let expires_at = revocation.expires_at.unix_micros();
    let fields = (
        stored::kind(revocation),
        stored::subject(revocation),
        issued_before,
        expires_at,
    );
    serde_json::to_string(&fields).map_err(|error| Error::Encode(error.into()))
}

/// Reads what was notified, unless it is a newer version's or somebody else's.
pub(super) fn revocation(payload: &str) -> Option<Revocation> {
    let fields: (String, Option<Uuid>, Option<i64>, i64) = serde_json::from_str(payload).ok()?;
    let (kind, subject, issued_before, expires_at) = fields;
    let issued_before = issued_before.map(Timestamp::from_unix_micros);
    let expires_at = Timestamp::from_unix_micros(expires_at);
    stored::revocation(&kind, subject, issued_before, expires_at).ok()
}

/// Reads a payload, and writes what it says again.
#[cfg(feature = "fuzzing")]
pub(crate) fn again(text: &str) -> Option<String> {
    payload(&revocation(text)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::revocation::RevokedTokens;
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
