//! Why a command failed.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use auth_core::mail::{MailError, SmtpSetupError, TemplateError};
use auth_core::password::{BreachedPasswordFileError, HasherSetupError, PasswordPolicyError};
use auth_core::store::StoreError;
use auth_core::{AuthError, KeyFileError, SettingsError};
use auth_tower::api::PageTemplateError;

use metrics_exporter_prometheus::BuildError;

use crate::config::ConfigError;
use crate::serve::TlsError;

/// Why a command failed; told to the operator with all its causes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A file or folder of ours cannot be used.
    #[error("{} cannot be used", path.display())]
    File {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A secret of the data folder cannot be used.
    #[error(transparent)]
    SecretFile(#[from] KeyFileError),
    /// A file of the key folder holds something else, or others can read it.
    #[error("the key file {} cannot be used: {problem}", path.display())]
    KeyFile {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The database failed.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// The way to the database is not as a node needs it.
    #[error("{0}")]
    Shortcomings(String),
    /// The database cannot be opened, or its tables not be read.
    #[error("the database {database} cannot be used")]
    Database {
        /// Which, without secrets.
        database: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The tables are not up to date.
    #[error("the database lacks the migrations {0}: run `auth-server migrate`")]
    Unmigrated(String),
    /// The mail server's URL cannot be used.
    #[error("AUTH_MAIL (`mail`) cannot be used")]
    Smtp(#[from] SmtpSetupError),
    /// Mail cannot be handed on.
    #[error("mail cannot be sent")]
    Mail(#[from] MailError),
    /// The hashing threads cannot be started.
    #[error(transparent)]
    Hasher(#[from] HasherSetupError),
    /// The rules for passwords cannot be had.
    #[error(transparent)]
    PasswordPolicy(#[from] PasswordPolicyError),
    /// The list of breached passwords cannot be used.
    #[error("AUTH_BREACHED_PASSWORDS (`breached_passwords`) cannot be used")]
    BreachedPasswords(#[from] BreachedPasswordFileError),
    /// A template of the mails cannot be used.
    #[error("AUTH_TEMPLATES (`templates`) cannot be used")]
    MailTemplates(#[from] TemplateError),
    /// A template of the pages cannot be used.
    #[error("AUTH_TEMPLATES (`templates`) cannot be used")]
    PageTemplates(#[from] PageTemplateError),
    /// A file in the folder of templates is none of them.
    #[error("AUTH_TEMPLATES (`templates`): {name} is no template; the templates are {known}")]
    UnknownTemplate {
        /// The file.
        name: String,
        /// The names that a template can have.
        known: String,
    },
    /// The settings do not fit together.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The use case was refused.
    #[error(transparent)]
    Refused(AuthError),
    /// The fields of an input break the rules.
    #[error("{0}")]
    Invalid(String),
    /// There is a superuser already.
    #[error("there is a superuser already; say --force to create another")]
    SuperuserExists,
    /// Nobody would know the first superuser's password.
    #[error(
        "the password of the first superuser cannot be printed to standard output: no superuser was created"
    )]
    Unprinted(#[source] io::Error),
    /// The password cannot be had.
    #[error("{0}")]
    Password(&'static str),
    /// What was asked for cannot be written.
    #[error("standard output cannot be written")]
    Output(#[source] io::Error),
    /// Standard input failed.
    #[error("standard input cannot be read")]
    Input(#[source] io::Error),
    /// The terminal failed.
    #[error("the terminal cannot be used")]
    Terminal(#[source] io::Error),
    /// The address cannot be listened at.
    #[error("cannot listen at {address} ({setting})")]
    Bind {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Metrics cannot be kept.
    #[error("metrics cannot be kept (AUTH_OBSERVE_BIND)")]
    Metrics(#[from] BuildError),
    /// The signals that the server goes by cannot be received.
    #[error("SIGTERM, SIGINT and SIGHUP cannot be received")]
    Signals(#[source] io::Error),
    /// A task ended before its time.
    #[error("a task was interrupted")]
    Interrupted(#[source] tokio::task::JoinError),
    /// TLS cannot be served.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// An argument of a command cannot be understood.
    #[error("{name}: {problem}")]
    Argument {
        /// The argument.
        name: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing is known of the request.
    #[error(
        "no event has this request id: refreshes that succeed and answers that ask nothing leave none, \
         and old events are removed"
    )]
    UnknownRequest,
    /// A part that was tried did not work.
    #[error("not everything works")]
    CheckFailed,
}

impl CommandError {
    /// Whether the reader of the output has gone, as `head` does when it has read enough.
    #[must_use]
    pub fn is_of_the_reader(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl From<AuthError> for CommandError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Validation(fields) => {
                let fields = fields
                    .iter()
                    .map(|(field, messages)| format!("the {field} {}", messages.join(", ")));
                Self::Invalid(fields.collect::<Vec<_>>().join("; "))
            }
            other => Self::Refused(other),
        }
    }
}
