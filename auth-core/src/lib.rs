//! Authentication for Rust applications, independent of storage and transport.

mod clock;
mod email;
mod error;
pub mod mail;
pub mod password;
mod principal;
mod secret;
mod service;
mod session;
pub mod store;
mod token;
mod user;
mod username;

pub use clock::{Clock, SystemClock, Timestamp};
pub use email::{EmailAddress, EmailError};
pub use error::{AuthError, FieldErrors};
pub use password::{
    Argon2Params, Password, PasswordHash, PasswordHasher, PasswordHasherBuilder, PasswordPolicy,
    PasswordProblem,
};
pub use principal::{Principal, Role, Superuser};
pub use service::{AuthService, Login, Refreshed, Registration, TokenPair};
pub use session::{Generation, RevocationReason, Session, SessionId, SessionOwner};
pub use token::{AccessToken, RefreshToken};
pub use user::{User, UserId};
pub use username::{Username, UsernameError};
