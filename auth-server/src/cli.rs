//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use auth_core::audit::AuditAct;
use auth_core::signature::Algorithm;
use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory as _, Parser, Subcommand};
use uuid::Uuid;

/// An authentication server: registration, e-mail verification, login, refresh, logout.
///
/// Settings come from the defaults, a TOML file, the environment and these flags, each before the
/// next. Secrets come from files or the environment only.
#[derive(Debug, Parser)]
#[command(name = "auth-server", version)]
pub struct Cli {
    /// What to do; `serve` if nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The flags of `serve`.
    #[command(flatten)]
    pub serve: Serve,
    /// The settings that every command takes.
    #[command(flatten)]
    pub settings: Settings,
}

impl Cli {
    /// Reads the command line; ends the process if it cannot be understood, or asks for help.
    #[must_use]
    pub fn read() -> Self {
        let cli = Self::parse();
        // clap would let the flags of `serve` stand before any other command.
        let serves = matches!(cli.command, None | Some(Command::Serve(_)));
        if cli.serve.migrate && !serves {
            let mut command = Self::command();
            let conflict = "--migrate is a flag of `serve` only";
            command.error(ErrorKind::ArgumentConflict, conflict).exit();
        }
        cli
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Command {
    /// Serve HTTP until SIGTERM or SIGINT.
    Serve(Serve),
    /// Bring the database's tables up to date.
    Migrate,
    /// Create a superuser, whose e-mail address counts as verified.
    #[command(name = "createsuperuser")]
    CreateSuperuser(CreateSuperuser),
    /// List users and change accounts; it takes effect on running servers at once.
    #[command(subcommand)]
    Users(Users),
    /// End sessions of all users; it takes effect on running servers at once.
    #[command(subcommand)]
    Sessions(Sessions),
    /// Make, list and replace the asymmetric keys of access tokens; running servers read them anew
    /// on SIGHUP.
    #[command(subcommand)]
    Keys(Keys),
    /// List the mails that are owed, let those that were given up be tried again, and show those
    /// that were written into a folder.
    #[command(subcommand)]
    Mails(Mails),
    /// Report the effective settings, and try the database and the mail server.
    Check,
    /// Print the audit trail, the latest event first.
    Events(Events),
    /// Tell what became of a request, such as the rule that refused a login.
    Explain(Explain),
    /// Print the description of all endpoints (OpenAPI 3.1, JSON).
    #[command(name = "openapi")]
    OpenApi,
}

/// The flags of `serve`.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Serve {
    /// Bring the database's tables up to date first.
    #[arg(long)]
    pub migrate: bool,
}

/// The flags of `createsuperuser`.
#[derive(Args, Debug)]
pub struct CreateSuperuser {
    /// The name to log in with.
    #[arg(long)]
    pub username: String,
    /// The e-mail address.
    #[arg(long)]
    pub email: String,
    /// Read the password from AUTH_SUPERUSER_PASSWORD instead of asking for it.
    #[arg(long)]
    pub noinput: bool,
    /// Create it although there is a superuser already.
    #[arg(long)]
    pub force: bool,
}

/// What to do with sessions.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Sessions {
    /// End every session that began before a time, such as when a backup was restored.
    End(EndSessions),
}

/// The flags of `sessions end`.
#[derive(Args, Debug)]
pub struct EndSessions {
    /// A time such as 2026-11-23T05:00:00Z, or how long ago, such as 2h; "now" ends all sessions.
    #[arg(long, value_name = "TIME")]
    pub begun_before: String,
}

/// What to do with accounts.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Users {
    /// List users in the order of their names.
    List(ListUsers),
    /// Tell what is known of a user.
    Show(ShowUser),
    /// Create a user without privileges.
    Create(CreateUser),
    /// Invite an address: the link that it is sent sets name and password.
    Invite(InviteUser),
    /// Let a user log in again.
    Activate(ChosenUser),
    /// Forbid a user to log in, and end all sessions.
    Deactivate(ChosenUser),
    /// Make a user a superuser.
    Promote(ChosenUser),
    /// Make a superuser an ordinary user, and end the access tokens that say otherwise.
    Demote(ChosenUser),
    /// Give a user these roles and no others, and end the access tokens that say otherwise.
    Roles(SetRoles),
    /// Replace a user's password, and end all sessions.
    SetPassword(SetPassword),
    /// End all sessions of a user, or of everybody.
    Logout(LogOutUsers),
    /// Delete a user for ever; the audit trail stays.
    Delete(DeleteUser),
}

/// The flags of `users list`.
#[derive(Args, Debug)]
pub struct ListUsers {
    /// Only those whose name begins so; with an @ in it, whose e-mail address does.
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub search: String,
    /// At most so many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// A JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `users show`.
#[derive(Args, Debug)]
pub struct ShowUser {
    /// Which user.
    #[command(flatten)]
    pub user: ChosenUser,
    /// A JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The flags of `users create`.
#[derive(Args, Debug)]
pub struct CreateUser {
    /// The name to log in with.
    #[arg(long)]
    pub username: String,
    /// The e-mail address, which is sent a link to verify it.
    #[arg(long)]
    pub email: String,
    /// Count the address as verified, and send nothing.
    #[arg(long)]
    pub verified: bool,
    /// Read the password from AUTH_USER_PASSWORD instead of asking for it.
    #[arg(long)]
    pub noinput: bool,
}

/// The arguments of `users invite`.
#[derive(Args, Debug)]
pub struct InviteUser {
    /// The e-mail address.
    #[arg(value_name = "EMAIL")]
    pub email: String,
    /// A JSON object.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `users roles`.
#[derive(Args, Debug)]
pub struct SetRoles {
    /// Which user.
    #[command(flatten)]
    pub user: ChosenUser,
    /// The roles.
    #[arg(value_name = "ROLE", required_unless_present = "none")]
    pub roles: Vec<String>,
    /// Take all roles away.
    #[arg(long, conflicts_with = "roles")]
    pub none: bool,
}

/// The arguments of `users set-password`.
#[derive(Args, Debug)]
pub struct SetPassword {
    /// Which user.
    #[command(flatten)]
    pub user: ChosenUser,
    /// Read the password from AUTH_USER_PASSWORD instead of asking for it.
    #[arg(long)]
    pub noinput: bool,
}

/// The arguments of `users logout`.
#[derive(Args, Debug)]
pub struct LogOutUsers {
    /// The user's name, or the id.
    #[arg(value_name = "USER", required_unless_present = "all")]
    pub user: Option<String>,
    /// End the sessions of all users, such as after the database was restored from a backup.
    #[arg(long, conflicts_with = "user")]
    pub all: bool,
}

/// The arguments of `users delete`.
#[derive(Args, Debug)]
pub struct DeleteUser {
    /// Which user.
    #[command(flatten)]
    pub user: ChosenUser,
    /// Do not ask whether it is meant.
    #[arg(long)]
    pub yes: bool,
}

/// Which user.
#[derive(Args, Debug)]
pub struct ChosenUser {
    /// The user's name, or the id.
    #[arg(value_name = "USER")]
    pub user: String,
}

/// What to do with the keys of access tokens.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Keys {
    /// Make a key, which is published and signs nothing yet, and print its id.
    Generate(GenerateKey),
    /// List the keys.
    List,
    /// Let a key sign: it must have been published for as long as its readers cache the keys.
    Use(ChosenKey),
    /// Remove a key that signs no more: its tokens are refused from then on.
    Retire(ChosenKey),
}

/// The flags of `keys generate`.
#[derive(Args, Clone, Copy, Debug)]
pub struct GenerateKey {
    /// What the key is for [default: AUTH_JWT_ALGORITHM, or EdDSA].
    #[arg(long, value_name = "EdDSA|ES256|RS256")]
    pub algorithm: Option<Algorithm>,
}

/// Which key.
#[derive(Args, Debug)]
pub struct ChosenKey {
    /// The id of the key.
    #[arg(value_name = "KID", allow_hyphen_values = true)]
    pub id: String,
}

/// What to do with mails.
#[derive(Debug, Subcommand)]
#[non_exhaustive]
pub enum Mails {
    /// List the mails that wait, and those that were given up, the oldest first.
    List(ListMails),
    /// Try mails again that were given up.
    Retry(RetryMails),
    /// Show a mail in the folder of AUTH_MAIL, with its link.
    Show(ShowMail),
}

/// The flags of `mails list`.
#[derive(Args, Clone, Copy, Debug)]
pub struct ListMails {
    /// Maximum number of mails.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// Print one JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// The arguments of `mails retry`.
#[derive(Args, Debug)]
pub struct RetryMails {
    /// The ids of the mails.
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub ids: Vec<Uuid>,
    /// Try all of them again.
    #[arg(long, conflicts_with = "ids")]
    pub all: bool,
}

/// The arguments of `mails show`.
#[derive(Args, Debug)]
pub struct ShowMail {
    /// The file, by its name in the folder or its path [default: the newest].
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
}

/// The flags of `events`.
#[derive(Args, Debug)]
pub struct Events {
    /// Only those of this user: the name, or the id, which stays good when the user is deleted.
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Only those of this kind, such as `login_refused`.
    #[arg(long, hide_possible_values = true, value_parser = PossibleValuesParser::new(AuditAct::KINDS))]
    pub kind: Option<String>,
    /// Only those since then: a time such as 2026-11-23T05:00:00Z, or how long ago, such as 2h.
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
    /// A JSON object a line.
    #[arg(long)]
    pub json: bool,
}

/// The argument of `explain`.
#[derive(Args, Debug)]
pub struct Explain {
    /// The id of the request, from the answer's header `x-request-id` or from the log.
    #[arg(value_name = "REQUEST-ID")]
    pub request_id: String,
}

/// The settings that every command takes.
#[derive(Args, Clone, Debug, Default)]
pub struct Settings {
    /// A TOML file with settings.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The address to listen at; port 0 picks one [env: AUTH_BIND].
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub bind: Option<SocketAddr>,
    /// The folder of the embedded database, its keys and its mails [env: AUTH_DATA_DIR].
    #[arg(long, global = true, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// The base of the links in mails, and the issuer of tokens [env: AUTH_PUBLIC_URL].
    #[arg(long, global = true, value_name = "URL")]
    pub public_url: Option<String>,
    /// What to log, such as `info` or `auth_core=debug` [env: AUTH_LOG].
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

impl Settings {
    /// The settings by their names in the file.
    pub(crate) fn settings(&self) -> [(&'static str, Option<String>); 4] {
        let data_dir = self.data_dir.as_ref();
        [
            ("bind", self.bind.map(|address| address.to_string())),
            (
                "data_dir",
                data_dir.map(|folder| folder.display().to_string()),
            ),
            ("public_url", self.public_url.clone()),
            ("log", self.log.clone()),
        ]
    }
}
