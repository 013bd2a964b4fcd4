//! Passwords: what they may be, and how they are hashed.
//!
//! [`PasswordPolicy`] decides whether a new password is good enough, [`PasswordHasher`] hashes and
//! verifies: Argon2id, on threads of its own behind a bounded queue. Both know a password by its
//! Unicode NFC form.

mod blocklist;
mod breached;
#[cfg(feature = "breached-passwords")]
mod breached_file;
mod compute;
mod error;
#[cfg(feature = "foreign-hashes")]
mod foreign;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
#[cfg(feature = "breached-passwords")]
mod hash_lines;
mod hasher;
mod joined;
mod memory;
mod normal;
mod params;
mod pepper;
mod phc;
mod policy;
mod pool;
mod problem;
mod recipe;
#[cfg(feature = "simd-argon2")]
mod simd;
mod stored;

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::secret::secret_string;

pub use breached::{BreachedPasswords, OnCheckFailure};
#[cfg(feature = "breached-passwords")]
pub use breached_file::{BreachedPasswordFile, BreachedPasswordFileError};
pub use error::{HashError, HasherSetupError};
#[cfg(feature = "foreign-hashes")]
pub use foreign::ForeignCeilings;
#[cfg(feature = "breached-passwords")]
pub use hash_lines::HashListFlaw;
pub use hasher::{PasswordHasher, PasswordHasherBuilder, Verification};
pub use params::{Argon2Ceilings, Argon2Params, Argon2ParamsError};
pub use pepper::{Pepper, PepperError, PepperKeys};
pub use policy::{PasswordPolicy, PasswordPolicyError};
pub(crate) use pool::Place;
pub use problem::PasswordProblem;

secret_string! {
    /// A password, as it was typed; wiped when dropped, never shown.
    pub Password
}

impl Password {
    /// The most bytes of UTF-8 that a password may have in its NFC form.
    pub const MAX_BYTES: usize = 1024;

    /// Whether no user can have this password, by the measure that the policy and the hasher use.
    pub(crate) fn is_too_long(&self) -> bool {
        normal::normalise(self).is_none()
    }
}

/// A stored password hash: a PHC string, or the string of a system whose users were imported.
///
/// With the feature `foreign-hashes`, the strings of Django, bcrypt, scrypt and PBKDF2 are verified
/// like our own, and replaced at the first login. So users keep their passwords when they move:
///
/// ```
/// # #[cfg(not(feature = "sqlite"))]
/// # fn main() {}
/// # #[cfg(feature = "sqlite")]
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use auth_core::audit::{Actor, AuditAct, AuditEvent};
/// use auth_core::store::{NewUser, SqliteStore, UserStore};
/// use auth_core::{PasswordHash, RequestContext, Timestamp, User, UserId};
///
/// # let store = SqliteStore::in_memory().await?;
/// # store.migrate().await?;
/// # let joined_at = Timestamp::from_unix_seconds(1_600_000_000);
/// # let (is_active, is_superuser, is_verified) = (true, false, true);
/// # let password = "pbkdf2_sha256$1000000$salt$...";
/// let id = UserId::generate();
/// let mut user = User::new(id, "alice".parse()?, "alice@example.org".parse()?, joined_at);
/// user.is_active = is_active;
/// user.is_superuser = is_superuser;
/// // Else the first thing that alice is asked for is the link of a mail.
/// user.email_verified_at = is_verified.then_some(joined_at);
/// let user = NewUser::new(user, PasswordHash::from_stored(password));
///
/// let context = RequestContext::default();
/// let act = AuditAct::UserRegistered;
/// let event = AuditEvent::new(joined_at, act, Actor::System, &context).about(id);
/// store.create_user(&user, None, &event).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PasswordHash(Zeroizing<String>);

impl PasswordHash {
    /// Wraps a string read from a database; whether it is a hash shows when it is used.
    #[must_use]
    pub fn from_stored(stored: impl Into<String>) -> Self {
        Self(Zeroizing::new(stored.into()))
    }

    /// A hash that no password matches, and no other is equal to: until it is replaced, nobody logs
    /// in with a password.
    pub(crate) fn unusable() -> Result<Self, HashError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(HashError::failed)?;
        let random = URL_SAFE_NO_PAD.encode(random);
        Ok(Self::from_stored(format!("!{random}")))
    }

    /// The string to store.
    #[must_use]
    pub fn as_stored(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash([redacted])")
    }
}

#[cfg(test)]
pub(crate) mod test_support {
    use std::future::{Future, poll_fn};
    use std::io::{self, Write};
    use std::pin::Pin;
    use std::sync::{Arc, Mutex};
    use std::task::Poll;

    use tracing::subscriber::DefaultGuard;

    /// Polls a future once, so that it has done all it can do at once.
    pub(super) async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Option<F::Output> {
        poll_fn(|context| match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    /// What this thread logs while the guard lives.
    #[derive(Clone, Default)]
    pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

    impl Log {
        pub(crate) fn capture() -> (Self, DefaultGuard) {
            let log = Self::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_writer(move || writer.clone())
                .finish();
            (log, tracing::subscriber::set_default(subscriber))
        }

        pub(crate) fn text(&self) -> String {
            let bytes = self.0.lock().map(|bytes| bytes.clone());
            String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
        }
    }

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .map_err(|_| io::Error::other("poisoned"))?
                .write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compiles only while the type has no `==`: else it is not clear which impl is meant.
    macro_rules! assert_no_eq {
        ($($secret:ty),*) => {
            trait NoEq<Marker> {
                fn holds() -> bool {
                    true
                }
            }
            struct WithEq;
            impl<T: ?Sized> NoEq<()> for T {}
            impl<T: ?Sized + PartialEq> NoEq<WithEq> for T {}
            $(assert!(<$secret as NoEq<_>>::holds());)*
        };
    }

    #[test]
    fn s1_5_secrets_cannot_be_compared_with_eq() {
        assert_no_eq!(Password, PasswordHash, Pepper, PepperKeys);
    }

    #[test]
    fn s13_3_debug_shows_no_secret() {
        let secrets = (Password::new("canary"), PasswordHash::from_stored("canary"));
        assert!(!format!("{secrets:?} {secrets:#?}").contains("canary"));
    }
}
