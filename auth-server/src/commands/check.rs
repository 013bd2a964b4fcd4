//! `auth-server check`

use std::error::Error;

use auth_core::mail::MailTemplates;

use super::first_start::NO_SUPERUSER;
use crate::config::{Config, Database, MailRoute};
use crate::error::CommandError;
use crate::node::{self, NodeKeys, NodeStore};
use crate::output::{causes, say};
use crate::templates::Templates;

/// Tries everything, and only then says whether something failed.
pub(super) async fn run(config: &Config) -> Result<(), CommandError> {
    for (name, value) in config.report() {
        say(format_args!("{name:<34} {value}"))?;
    }
    for warning in config.warnings() {
        say(format_args!("{:<34} {warning}", "WARNING"))?;
    }
    let tried = [
        report("database", &database(config).await)?,
        report("keys and settings", &engine(config).await)?,
        report("templates", &Templates::load(config).map(drop))?,
        report("mail", &mail(config).await)?,
    ];
    if tried.contains(&false) {
        return Err(CommandError::CheckFailed);
    }
    Ok(())
}

/// Says how it went; returns whether it went well.
fn report(part: &str, outcome: &Result<(), CommandError>) -> Result<bool, CommandError> {
    match outcome {
        Ok(()) => say(format_args!("{part:<34} ok"))?,
        Err(error) => say(format_args!(
            "{part:<34} FAILED: {}",
            causes(error as &dyn Error)
        ))?,
    }
    Ok(outcome.is_ok())
}

async fn database(config: &Config) -> Result<(), CommandError> {
    if is_untouched(config) {
        return Ok(());
    }
    let store = NodeStore::open(config).await?;
    let found = store.shortcomings().await?;
    if !found.is_empty() {
        return Err(CommandError::Shortcomings(found.join("; ")));
    }
    if config.is_embedded() {
        // The next start applies what is missing.
        store.pending_migrations().await?;
        return Ok(());
    }
    store.require_migrated().await?;
    warn_of_no_superuser(&store).await
}

/// The first start of the embedded mode makes one by itself.
async fn warn_of_no_superuser(store: &NodeStore) -> Result<(), CommandError> {
    if !store.has_superuser().await? {
        say(format_args!("{:<34} {NO_SUPERUSER}", "WARNING"))?;
    }
    Ok(())
}

async fn engine(config: &Config) -> Result<(), CommandError> {
    node::tls(config)?;
    let public_url = config
        .public_url
        .as_deref()
        .unwrap_or("http://127.0.0.1:8000");
    if is_untouched(config) {
        return node::password_policy(config, public_url).map(drop);
    }
    let store = NodeStore::open(config).await?;
    node::engine(
        config,
        &store,
        NodeKeys::load(config, &store).await?,
        public_url,
        MailTemplates::default(),
    )
    .map(drop)
}

async fn mail(config: &Config) -> Result<(), CommandError> {
    if matches!(config.mail, MailRoute::Folder(_)) && is_untouched(config) {
        return Ok(());
    }
    Ok(node::mail_transport(config)?.check().await?)
}

/// Whether the first start of the embedded mode is still to come, which makes everything.
fn is_untouched(config: &Config) -> bool {
    matches!(&config.database, Database::Sqlite(path) if !path.exists())
}
