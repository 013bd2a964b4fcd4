//! What a host may share between threads and hold across an `.await`: a change here is breaking.

use auth_core::audit::{AuditEvent, AuditHook, AuditWriter};
use auth_core::claims::{ClaimsError, ClaimsHook, ExtraClaims, TokenSubject, UnreadableClaims};
use auth_core::mail::{Mail, MailTemplates, MailTransport, MailWorker};
use auth_core::revocation::{RevocationFollower, Revocations};
use auth_core::store::{Store, StoreError};
use auth_core::{
    AccessToken, AccessTokenVerifier, Account, Administration, AuthError, AuthService, Engine,
    EngineBuilder, Housekeeper, JwtKeys, Password, PasswordHasher, PasswordPolicy, Principal,
    RefreshToken, SecretKey, SecretKeys, SettingsError, Superuser, Workers,
};

const fn is_shared<T: Send + Sync + ?Sized + 'static>() {}

/// An error goes into `Box<dyn Error + Send + Sync>`, as `?` in a host's `main` wants it.
const fn is_error<T: std::error::Error + Send + Sync + 'static>() {}

const _: () = {
    is_shared::<dyn AuthService>();
    is_shared::<dyn Account>();
    is_shared::<dyn Administration>();
    is_shared::<dyn Store>();
    is_shared::<dyn MailTransport>();
    is_shared::<dyn AuditHook>();
    is_shared::<dyn ClaimsHook>();
    is_shared::<Engine>();
    is_shared::<EngineBuilder>();
    is_shared::<Workers>();
    is_shared::<MailWorker>();
    is_shared::<AuditWriter>();
    is_shared::<Housekeeper>();
    is_shared::<RevocationFollower>();
    is_shared::<Revocations>();
    is_shared::<AccessTokenVerifier>();
    is_shared::<PasswordHasher>();
    is_shared::<PasswordPolicy>();
    is_shared::<MailTemplates>();
    is_shared::<Principal>();
    is_shared::<Superuser>();
    is_shared::<TokenSubject>();
    is_shared::<ExtraClaims>();
    is_shared::<AuditEvent>();
    is_shared::<Mail>();
    is_shared::<Password>();
    is_shared::<AccessToken>();
    is_shared::<RefreshToken>();
    is_shared::<SecretKey>();
    is_shared::<SecretKeys>();
    is_shared::<JwtKeys>();
    is_error::<AuthError>();
    is_error::<StoreError>();
    is_error::<SettingsError>();
    is_error::<ClaimsError>();
    is_error::<UnreadableClaims>();
};

#[cfg(feature = "sqlite")]
const _: () = {
    is_shared::<auth_core::store::SqliteStore>();
    is_error::<auth_core::EmbeddedError>();
};

#[cfg(feature = "postgres")]
const _: () = is_shared::<auth_core::store::PostgresStore>();
