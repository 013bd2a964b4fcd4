//! What the first start of the embedded mode makes: folder, keys, a superuser.

use std::fs;
use std::path::Path;

use auth_core::store::{SqliteStore, UserStore as _};
use auth_core::{Bootstrap, Engine, Password, Registration, SecretKey};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::private;

const SUPERUSER: &str = "admin";

/// Makes a folder for ourselves.
pub(crate) fn create_folder(folder: &Path) -> Result<(), CommandError> {
    private::create_folder(folder).map_err(|source| CommandError::File {
        path: folder.to_owned(),
        source,
    })
}

/// Reads a key of the data folder, which is made if it is missing.
pub(crate) fn key(data_dir: &Path, name: &str) -> Result<SecretKey, CommandError> {
    create_folder(data_dir)?;
    let path = data_dir.join(name);
    let failed = |source| CommandError::File {
        path: path.clone(),
        source,
    };
    if !path.exists() {
        private::create_file(&path, SecretKey::generate()?.expose()).map_err(failed)?;
    }
    let unusable = |problem: String| CommandError::KeyFile {
        path: path.clone(),
        problem,
    };
    private::check(&path).map_err(unusable)?;
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(failed)?);
    SecretKey::parse(text.trim()).map_err(|error| unusable(error.to_string()))
}

/// Makes the first superuser if there is none, and gives the password, which nobody else knows.
pub(crate) async fn first_superuser(
    engine: &Engine,
    store: &SqliteStore,
) -> Result<Option<(&'static str, Password)>, CommandError> {
    // Asked first, since a hash would cost every start the time of a login.
    let name = SUPERUSER.parse().expect("the name is a valid username");
    if store.find_credentials(&name).await?.is_some() {
        return Ok(None);
    }
    let generated = SecretKey::generate()?;
    let password = Password::new(String::from_utf8_lossy(generated.expose()));
    let registration = Registration::new(SUPERUSER, password.clone(), "admin@localhost");
    let created = engine
        .create_superuser(registration, Bootstrap::FirstSuperuser)
        .await?;
    Ok(created.map(|_| (SUPERUSER, password)))
}
