//! An engine whose database and keys are files in one folder.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Engine, EngineBuilder};
use crate::store::{SqliteStore, StoreError};
use crate::token::KeyFileError;
use crate::{JwtKeys, SecretKey, SecretKeys, private};

impl Engine {
    /// Begins an engine for an application that is one process and served at this URL: its database
    /// is an SQLite file in this folder, and its keys are two more files.
    ///
    /// What is missing is made, readable by nobody but its owner, and migrations are applied.
    /// `auth-server` has the same files in its data folder, so that one may follow the other.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use auth_core::Engine;
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path().join("auth-data");
    /// let engine = Engine::embedded(folder, "https://app.example.org").await?.build()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`EmbeddedError`] says which file cannot be used.
    pub async fn embedded(
        folder: impl AsRef<Path> + Send,
        public_url: impl Into<String> + Send,
    ) -> Result<EngineBuilder, EmbeddedError> {
        let folder = folder.as_ref();
        private::create_folder(folder).map_err(EmbeddedError::Folder)?;
        let store = SqliteStore::open(folder.join("auth.sqlite3")).await?;
        store.migrate().await?;
        let secret_key = SecretKey::read_or_generate(folder.join("secret_key"))?;
        let jwt_key = SecretKey::read_or_generate(folder.join("jwt_secret_key"))?;
        let (secret_keys, jwt_keys) = (SecretKeys::new(secret_key), JwtKeys::hs256(jwt_key));
        Ok(Self::builder(Arc::new(store), secret_keys, jwt_keys).with_public_url(public_url))
    }
}

/// Why an [embedded](Engine::embedded) engine cannot begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EmbeddedError {
    /// The folder cannot be made.
    #[error("the data folder cannot be made")]
    Folder(#[source] io::Error),
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Store(#[from] StoreError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyFileError),
}
