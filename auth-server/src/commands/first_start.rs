//! What a start does and says that finds no superuser.

use std::fs::File;
use std::path::PathBuf;

use auth_core::{AuthError, Bootstrap, Engine, Password, Registration, SecretKey, Username};

use crate::config::{Config, Database};
use crate::error::CommandError;
use crate::node::NodeStore;
use crate::output::say;
use crate::private::folder_of;

const NAME: &str = "admin";

pub(super) const NO_SUPERUSER: &str =
    "there is no superuser: nobody can administer; make one with `auth-server createsuperuser`";

/// In the embedded mode makes the first superuser, and says how to try it.
///
/// The password is printed before there is a superuser who has it: a start that cannot print it
/// creates nobody, and the next one tries again.
pub(super) async fn welcome(
    config: &Config,
    store: &NodeStore,
    engine: &Engine,
    address: &str,
) -> Result<(), CommandError> {
    let Database::Sqlite(path) = &config.database else {
        // Of a database that is away nothing is known.
        if let Ok(false) = store.has_superuser().await {
            tracing::warn!("{NO_SUPERUSER}");
        }
        return Ok(());
    };
    if store.has_superuser().await? {
        return Ok(());
    }
    let _alone = lock(folder_of(path).to_owned()).await?;
    if store.has_superuser().await? {
        return Ok(());
    }
    if let Some(name) = Username::for_lookup(NAME)
        && store.shared().find_credentials(&name).await?.is_some()
    {
        tracing::warn!("{NO_SUPERUSER}");
        return Ok(());
    }
    let secret = SecretKey::generate().map_err(|error| AuthError::Internal(error.into()))?;
    let password = Password::new(String::from_utf8_lossy(secret.expose()));
    let registration = Registration::new(NAME, password.clone(), "admin@localhost");
    say(format_args!(
        "superuser: {NAME} password: {}",
        password.expose()
    ))
    .map_err(unprinted)?;
    engine
        .create_superuser(registration, Bootstrap::FirstSuperuser)
        .await?;
    // Nobody depends on the hints: a reader that took the password and went is no reason to stop.
    let _ = say(format_args!(
        "\nTry it:\n  curl {address}/api/auth/token/ -H 'Content-Type: application/json' \\\n    \
         -d '{{\"username\":\"{NAME}\",\"password\":\"THE PASSWORD ABOVE\"}}'\n  \
         curl {address}/api/register/ -H 'Content-Type: application/json' \\\n    \
         -H 'Authorization: Bearer THE ACCESS TOKEN' \\\n    \
         -d '{{\"username\":\"alice\",\"password\":\"correct horse battery\",\
         \"email\":\"alice@example.org\"}}'\n\
         Mails: {}\n",
        config.mail
    ));
    Ok(())
}

fn unprinted(error: CommandError) -> CommandError {
    match error {
        CommandError::Output(source) => CommandError::Unprinted(source),
        other => other,
    }
}

/// Lets one start after the other look for a superuser: of those at once, one prints a password.
async fn lock(folder: PathBuf) -> Result<File, CommandError> {
    let locked = tokio::task::spawn_blocking(move || {
        let failed = |source| CommandError::File {
            path: folder.clone(),
            source,
        };
        let file = File::open(&folder).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    });
    locked.await.map_err(CommandError::Interrupted)?
}
