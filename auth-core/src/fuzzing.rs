//! Parsers without a public path of their own, for the fuzz targets in `auth-core/fuzz`.
//!
//! There with the feature `fuzzing` only, which is for this repository and promises nothing.

use crate::SecretKeys;
use crate::token::{PasswordResetTokens, RecordTokens, RefreshTokens, VerificationTokens};

/// Reads a stored password hash; gives one of ours as it would be written again.
///
/// # Errors
///
/// The reason why it cannot be verified.
pub fn stored_hash(stored: &str) -> Result<Option<String>, String> {
    crate::password::fuzzing::stored_hash(stored)
}

/// The kinds of opaque tokens that this text opens as.
#[must_use]
pub fn opens_as(keys: &SecretKeys, token: &str) -> Vec<&'static str> {
    [
        ("refresh", RefreshTokens::new(keys).open(token).is_some()),
        (
            "verification",
            VerificationTokens::new(keys).open(token).is_some(),
        ),
        (
            "password reset",
            PasswordResetTokens::new(keys).open(token).is_some(),
        ),
        (
            "e-mail change",
            RecordTokens::for_email_change(keys).open(token).is_some(),
        ),
        (
            "e-mail undo",
            RecordTokens::for_email_undo(keys).open(token).is_some(),
        ),
        (
            "sign-up",
            RecordTokens::for_sign_up(keys).open(token).is_some(),
        ),
        (
            "invitation",
            RecordTokens::for_invitation(keys).open(token).is_some(),
        ),
    ]
    .into_iter()
    .filter_map(|(kind, opens)| opens.then_some(kind))
    .collect()
}

/// Reads a notification of PostgreSQL; gives the revocation as it would be sent again.
#[cfg(feature = "postgres")]
#[must_use]
pub fn notification(payload: &str) -> Option<String> {
    crate::store::notification_again(payload)
}
