//! What the first start of the embedded mode makes: folder and keys.

use std::path::Path;

use auth_core::SecretKey;

use crate::error::CommandError;
use crate::private;

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
    Ok(SecretKey::read_or_generate(data_dir.join(name))?)
}
