//! Secrets in files of their own.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::{RandomnessUnavailable, SecretKey, WeakKey};
use crate::private;

impl SecretKey {
    /// Reads the secret in a file, which is made with a [fresh one](Self::generate) if there is
    /// none, readable by nobody but its owner (0600).
    ///
    /// Several processes may do so at once: all get the same secret.
    ///
    /// # Errors
    ///
    /// The file cannot be made or read, others than its owner may read it, or what it holds is no
    /// [good secret](Self::parse).
    pub fn read_or_generate(path: impl AsRef<Path>) -> Result<Self, KeyFileError> {
        let path = path.as_ref();
        read_or_generate(path).map_err(|problem| KeyFileError {
            path: path.to_owned(),
            problem,
        })
    }
}

fn read_or_generate(path: &Path) -> Result<SecretKey, Problem> {
    if !path.exists() {
        create_file(path, SecretKey::generate()?.expose())?;
    }
    if private::is_exposed(path)? {
        return Err(Problem::Exposed);
    }
    let text = Zeroizing::new(fs::read_to_string(path)?);
    Ok(SecretKey::parse(text.trim())?)
}

/// Makes a file with the mode 0600 and this content, unless it is there; whoever finds the file
/// finds all of it, whatever happens in between.
fn create_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let folder = private::folder_of(file);
    let unfinished = folder.join(format!(".{}.part", uuid::Uuid::new_v4()));
    let mut writer = private::create_file(&unfinished)?;
    let linked = writer
        .write_all(content)
        .and_then(|()| writer.sync_all())
        // Unlike a rename, a link never replaces what another start has made.
        .and_then(|()| fs::hard_link(&unfinished, file));
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    File::open(folder)?.sync_all()
}

/// A key file cannot be used; the source says why.
#[derive(Debug, thiserror::Error)]
#[error("the key file {} cannot be used", path.display())]
pub struct KeyFileError {
    path: PathBuf,
    #[source]
    problem: Problem,
}

#[derive(Debug, thiserror::Error)]
enum Problem {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it holds a secret but others can read it: run `chmod 600` on it")]
    Exposed,
    #[error("the secret {0}")]
    Weak(#[from] WeakKey),
    #[error(transparent)]
    Randomness(#[from] RandomnessUnavailable),
}

#[cfg(all(test, unix))]
mod tests {
    use std::error::Error as _;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn problem(path: &Path) -> Option<String> {
        let error = SecretKey::read_or_generate(path).err()?;
        Some(error.source()?.to_string())
    }

    #[test]
    fn s13_2_a_fresh_secret_is_the_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let made = SecretKey::read_or_generate(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let read = SecretKey::read_or_generate(&path).unwrap();
        assert_eq!(made.expose(), read.expose());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(problem(&path).unwrap().contains("chmod 600"));
    }

    #[test]
    fn a_file_that_was_made_meanwhile_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create_file(&file, b"first").unwrap();
        create_file(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert!(problem(&file).unwrap().contains("at least 32 bytes"));
    }
}
