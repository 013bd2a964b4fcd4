//! Authentication for Rust applications, independent of storage and transport: a superuser
//! registers users, who verify their e-mail address, log in, refresh and log out.
//!
//! The access tokens are JWTs that any service verifies without asking anybody; the refresh tokens
//! are opaque, and a logout ends them for good. HTTP is in `auth-tower`: its documentation goes from
//! `cargo add` to a protected route. A whole server is in `auth-server`.
//!
//! ```console
//! $ cargo add auth-core
//! $ cargo add tokio --features full
//! ```
//!
//! ```
//! # #[cfg(all(feature = "sqlite", feature = "mail-folder"))]
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! use std::sync::Arc;
//!
//! use auth_core::mail::FolderTransport;
//! use auth_core::store::SqliteStore;
//! use auth_core::{
//!     AuthService, Bootstrap, Engine, JwtKeys, Login, Password, Registration, RequestContext,
//!     SecretKey, SecretKeys,
//! };
//!
//! let store = SqliteStore::open(folder.join("auth.sqlite3")).await?;
//! store.migrate().await?;
//! let engine = Engine::builder(
//!     Arc::new(store),
//!     // Read yours from where you keep secrets: new ones log everybody out.
//!     SecretKeys::new(SecretKey::generate()?),
//!     JwtKeys::hs256(SecretKey::generate()?),
//! )
//! .with_public_url("https://auth.example.org")
//! .build()?;
//!
//! // One worker on each node sends the mails that are owed.
//! let mails = FolderTransport::new(folder.join("outbox"), "auth@example.org".parse()?)?;
//! tokio::spawn(engine.mail_worker(Arc::new(mails)).run(std::future::pending()));
//!
//! // Another learns of sessions that end, so that their access tokens end with them.
//! tokio::spawn(engine.revocation_follower().run(std::future::pending()));
//!
//! // The operator makes the first superuser, who can register the others.
//! let password = || Password::new("correct horse battery");
//! let admin = Registration::new("admin", password(), "admin@example.org");
//! engine.create_superuser(admin, Bootstrap::FirstSuperuser).await?;
//!
//! // Who asks, and from where: `auth-tower` fills it in for requests over HTTP.
//! let context = RequestContext::default();
//! let tokens = engine.log_in(Login::new("admin", password()), &context).await?;
//! let caller = engine.access_token_verifier().verify(tokens.access_token.expose())?;
//! let superuser = engine.require_superuser(&caller, &context).await?;
//! let alice = Registration::new("alice", password(), "alice@example.org");
//! engine.register(superuser, alice, &context).await?;
//! engine.log_out(tokens.refresh_token.expose(), &context).await?;
//! # Ok(())
//! # }
//! # #[cfg(not(all(feature = "sqlite", feature = "mail-folder")))]
//! # fn main() {}
//! ```
//!
//! # Map
//!
//! | item | what |
//! |---|---|
//! | [`AuthService`] | what a caller can ask for, as an object-safe trait |
//! | [`Engine`] | implements it over any store; its [builder](EngineBuilder) has every setting |
//! | [`Account`] | what users can do to their own accounts |
//! | [`Enrollment`] | how people make accounts for themselves, on demand: sign up, accept an invitation |
//! | [`Administration`] | what administrators can do to accounts and sessions |
//! | [`AccessTokenVerifier`] | verifies access tokens: a plain value, without I/O |
//! | [`JwtKeys`], [`signature`] | the keys of access tokens: HS256, EdDSA, ES256, RS256 |
//! | [`VerifyingKeys`] | the keys of services that verify only, from the issuer's JWKS |
//! | [`store`] | what a database must do; the stores for PostgreSQL and SQLite |
//! | [`revocation`] | access tokens that are refused before they expire |
//! | [`claims`] | claims of the host's own in access tokens |
//! | [`audit`] | the audit trail: who did what, when, from where |
//! | [`mail`] | what is written to users, and how it travels |
//! | [`password`] | what passwords may be, and how they are hashed |
//! | `testing` | the conformance suite for stores, and a test kit (feature `testing`) |
//!
//! # Features
//!
//! | feature | default | what |
//! |---|---|---|
//! | `aws-lc` | yes | EdDSA, ES256 and RS256, computed by aws-lc |
//! | `rust-crypto` | | the same without C code; RS256 to verify only; not used beside `aws-lc` |
//! | `sqlite` | yes | the SQLite store |
//! | `postgres` | | the PostgreSQL store |
//! | `mail-folder` | yes | mails as files in a folder |
//! | `mail-smtp` | | mails over SMTP |
//! | `breached-passwords` | | a downloaded list of breached passwords |
//! | `foreign-hashes` | | password hashes of other systems, for users who are imported |
//! | `simd-argon2` | | Argon2 at more than twice the speed, by `argon2-rust`, which nobody has audited |
//! | `testing` | | the conformance suite for stores, a clock to move, a mailbox |

mod account;
mod administration;
pub mod audit;
mod blanks;
pub mod claims;
mod client_network;
mod clock;
mod context;
mod database_clock;
mod email;
mod engine;
mod enrollment;
mod error;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod housekeeping;
mod jitter;
pub mod mail;
pub mod password;
mod principal;
#[cfg_attr(
    not(all(feature = "mail-folder", feature = "sqlite")),
    allow(dead_code, reason = "each feature uses its part")
)]
mod private;
pub mod revocation;
mod roles;
mod rotation_key;
mod secret;
mod service;
mod session;
pub mod signature;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
mod token;
mod user;
mod username;

pub use account::{Account, EmailChangeRequest, OwnSessions, PasswordChange};
pub use administration::{Administration, Administrator, EmailProof, UserChanges};
pub use client_network::ClientNetwork;
pub use clock::{Clock, SystemClock, Timestamp};
pub use context::{IdempotencyKey, RequestContext, RequestId};
pub use email::{EmailAddress, EmailError};
#[cfg(feature = "sqlite")]
pub use engine::EmbeddedError;
pub use engine::{
    Bootstrap, EmailVerification, Engine, EngineBuilder, LoginThrottle, Rotation, SettingsError,
    Workers,
};
pub use enrollment::{Enrollment, RegistrationMode, TakenNames};
pub use error::{AuthError, FieldErrors};
pub use housekeeping::{Housekeeper, Removals};
pub use password::{
    Argon2Params, Password, PasswordHash, PasswordHasher, PasswordHasherBuilder, PasswordPolicy,
    PasswordProblem,
};
pub use principal::{Principal, Superuser};
pub use roles::{Role, RoleError, Roles};
pub use rotation_key::RotationKey;
pub use service::{AuthService, Login, Refreshed, Registration, TokenPair};
pub use session::{Generation, RevocationReason, Session, SessionId, SessionOwner};
/// The database driver, in the version that the stores take the pools of.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub use sqlx;
pub use token::{
    AccessToken, AccessTokenVerifier, Jwks, JwksError, JwtKeys, KeyFileError, LeewayTooLong,
    RandomnessUnavailable, RefreshToken, SecretKey, SecretKeys, VerifyingKeys, WeakKey,
};
pub use user::{User, UserId};
pub use username::{Username, UsernameError, UsernamePolicy};
