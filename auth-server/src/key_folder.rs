//! The folder of the keys of access tokens: a PEM file each, and one that names the key that signs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use auth_core::JwtKeys;
use auth_core::signature::{Algorithm, PrivateKey, PublicKey};
use zeroize::Zeroizing;

use crate::error::CommandError;
use crate::private;

/// The file that names the signing key; with one private key there need be none.
const SIGNING_KEY: &str = "signing_key";

/// A folder of keys of one algorithm.
#[derive(Debug)]
pub(crate) struct KeyFolder {
    path: PathBuf,
    algorithm: Algorithm,
}

/// A key of the folder.
#[derive(Debug)]
pub(crate) struct StoredKey {
    pub(crate) file: PathBuf,
    public: PublicKey,
    private: Option<PrivateKey>,
}

impl StoredKey {
    pub(crate) fn id(&self) -> &str {
        self.public.id()
    }

    pub(crate) const fn is_private(&self) -> bool {
        self.private.is_some()
    }
}

impl KeyFolder {
    pub(crate) const fn new(path: PathBuf, algorithm: Algorithm) -> Self {
        Self { path, algorithm }
    }

    pub(crate) fn exists(&self) -> bool {
        self.path.exists()
    }

    /// The ring of all keys, as long as it is clear which one signs.
    pub(crate) fn ring(&self) -> Result<JwtKeys, CommandError> {
        let keys = self.keys()?;
        let signing = self.signing(&keys)?;
        let private = signing.private.clone();
        let private = private.ok_or_else(|| self.problem(&"no private key is there"))?;
        let others = keys.iter().filter(|key| key.id() != signing.id());
        others
            .map(|key| key.public.clone())
            .try_fold(JwtKeys::asymmetric(private), JwtKeys::add_public_key)
            .map_err(|error| self.problem(&format_args!("a key {error}")))
    }

    /// All keys, in the order of their files' names.
    pub(crate) fn keys(&self) -> Result<Vec<StoredKey>, CommandError> {
        let entries = fs::read_dir(&self.path).map_err(|error| failed(&self.path, error))?;
        let mut files = Vec::new();
        for entry in entries {
            let file = entry.map_err(|error| failed(&self.path, error))?.path();
            if file.extension().is_some_and(|extension| extension == "pem") {
                files.push(file);
            }
        }
        files.sort();
        let mut keys: Vec<StoredKey> = Vec::new();
        for file in files {
            let key = self.read(file)?;
            if let Some(other) = keys.iter().find(|other| other.id() == key.id()) {
                let twice = format!("holds the same key as {}", other.file.display());
                return Err(unusable(&key.file, twice));
            }
            keys.push(key);
        }
        Ok(keys)
    }

    fn read(&self, file: PathBuf) -> Result<StoredKey, CommandError> {
        let text = fs::read_to_string(&file).map_err(|error| failed(&file, error))?;
        let text = Zeroizing::new(text);
        let (public, private) = if text.contains("PRIVATE KEY-----") {
            private::check(&file).map_err(|problem| unusable(&file, problem))?;
            let key = PrivateKey::from_pem(&text);
            let key = key.map_err(|error| unusable(&file, error.to_string()))?;
            (key.public_key().clone(), Some(key))
        } else {
            let key = PublicKey::from_pem(&text);
            (
                key.map_err(|error| unusable(&file, error.to_string()))?,
                None,
            )
        };
        if public.algorithm() != self.algorithm {
            let problem = format!(
                "is a key for {}, and AUTH_JWT_ALGORITHM says {}",
                public.algorithm(),
                self.algorithm
            );
            return Err(unusable(&file, problem));
        }
        Ok(StoredKey {
            file,
            public,
            private,
        })
    }

    /// The key that signs: the named one, or else the only private one.
    pub(crate) fn signing<'k>(&self, keys: &'k [StoredKey]) -> Result<&'k StoredKey, CommandError> {
        let mut private = keys.iter().filter(|key| key.is_private());
        if let Some(name) = self.named()? {
            return private.find(|key| key.id() == name).ok_or_else(|| {
                let problem = format!("names {name}, and no private key with this id is there");
                unusable(&self.path.join(SIGNING_KEY), problem)
            });
        }
        match (private.next(), private.next()) {
            (Some(only), None) => Ok(only),
            (None, _) => Err(self.problem(
                &"no private key is there: make one with `auth-server keys generate`",
            )),
            (Some(_), Some(_)) => Err(self.problem(
                &"several private keys are there: say which one signs with `auth-server keys use KID`",
            )),
        }
    }

    fn named(&self) -> Result<Option<String>, CommandError> {
        let file = self.path.join(SIGNING_KEY);
        match fs::read_to_string(&file) {
            Ok(name) => Ok(Some(name.trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(&file, error)),
        }
    }

    /// Makes a key, and gives its id. It signs only if it is the first one.
    pub(crate) fn generate(&self) -> Result<String, CommandError> {
        private::create_folder(&self.path).map_err(|error| failed(&self.path, error))?;
        let keys = self.keys()?;
        if keys.iter().any(StoredKey::is_private) {
            // Named before there are two, so that at no moment it is unclear which one signs.
            let signing = self.signing(&keys)?.id();
            self.name(signing)?;
        }
        let unmade = |error: auth_core::signature::KeyError| self.problem(&error);
        let key = PrivateKey::generate(self.algorithm).map_err(unmade)?;
        let id = key.public_key().id().to_owned();
        let file = self.path.join(format!("{id}.pem"));
        let pem = key.to_pem().map_err(unmade)?;
        private::create_file(&file, pem.expose().as_bytes()).map_err(|e| failed(&file, e))?;
        Ok(id)
    }

    /// Makes another key the one that signs.
    pub(crate) fn use_key(&self, id: &str) -> Result<(), CommandError> {
        let keys = self.keys()?;
        if find(&keys, id)?.is_private() {
            return self.name(id);
        }
        Err(unknown(id, "is a public key: it cannot sign"))
    }

    /// Removes a key that does not sign.
    pub(crate) fn retire(&self, id: &str) -> Result<(), CommandError> {
        let keys = self.keys()?;
        let key = find(&keys, id)?;
        if self.signing(&keys)?.id() == id {
            return Err(unknown(
                id,
                "is the key that signs: let another one sign first, with `auth-server keys use`",
            ));
        }
        private::remove_file(&key.file).map_err(|error| failed(&key.file, error))
    }

    fn name(&self, id: &str) -> Result<(), CommandError> {
        let file = self.path.join(SIGNING_KEY);
        let written = private::replace_file(&file, format!("{id}\n").as_bytes());
        written.map_err(|error| failed(&file, error))
    }

    fn problem(&self, problem: &impl ToString) -> CommandError {
        unusable(&self.path, problem.to_string())
    }
}

fn find<'k>(keys: &'k [StoredKey], id: &str) -> Result<&'k StoredKey, CommandError> {
    let key = keys.iter().find(|key| key.id() == id);
    key.ok_or_else(|| unknown(id, "is not the id of a key: see `auth-server keys list`"))
}

fn unknown(id: &str, problem: &str) -> CommandError {
    CommandError::Argument {
        name: "KID",
        problem: format!("{id} {problem}"),
    }
}

fn unusable(path: &Path, problem: String) -> CommandError {
    CommandError::KeyFile {
        path: path.to_owned(),
        problem,
    }
}

fn failed(path: &Path, source: io::Error) -> CommandError {
    CommandError::File {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> (tempfile::TempDir, KeyFolder) {
        let temporary = tempfile::tempdir().unwrap();
        let folder = KeyFolder::new(temporary.path().join("keys"), Algorithm::EdDsa);
        (temporary, folder)
    }

    fn ids(folder: &KeyFolder) -> Vec<String> {
        let ring = folder.ring().unwrap();
        ring.key_ids().into_iter().map(str::to_owned).collect()
    }

    #[track_caller]
    fn fails<T: std::fmt::Debug>(outcome: Result<T, CommandError>, expected: &str) {
        let message = outcome.unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
    }

    #[test]
    fn s13_4_the_first_key_signs_until_another_is_used_and_it_is_retired() {
        let (_temporary, folder) = folder();
        let first = folder.generate().unwrap();
        assert_eq!(ids(&folder), [first.as_str()]);
        let second = folder.generate().unwrap();
        assert_eq!(ids(&folder), [first.as_str(), &second]);
        fails(folder.retire(&first), "is the key that signs");
        folder.use_key(&second).unwrap();
        assert_eq!(ids(&folder), [second.as_str(), &first]);
        folder.retire(&first).unwrap();
        assert_eq!(ids(&folder), [second.as_str()]);
        fails(folder.use_key(&first), "is not the id of a key");
        fails(folder.retire("../etc/passwd"), "is not the id of a key");
    }

    #[test]
    fn a_public_key_verifies_and_cannot_sign() {
        let (_temporary, folder) = folder();
        let signing = folder.generate().unwrap();
        let pem = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n\
                   -----END PUBLIC KEY-----\n";
        fs::write(folder.path.join("partner.pem"), pem).unwrap();
        let public = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";
        assert_eq!(ids(&folder), [signing.as_str(), public]);
        fails(folder.use_key(public), "cannot sign");
        fs::write(folder.path.join("again.pem"), pem).unwrap();
        fails(folder.ring(), "holds the same key as");
    }

    #[test]
    fn what_is_unclear_or_foreign_is_refused() {
        let (_temporary, folder) = folder();
        fails(folder.ring(), "cannot be used");
        fs::create_dir(&folder.path).unwrap();
        fails(folder.ring(), "keys generate");
        let first = folder.generate().unwrap();
        folder.generate().unwrap();
        fs::remove_file(folder.path.join(SIGNING_KEY)).unwrap();
        fails(folder.ring(), "keys use KID");
        fs::write(folder.path.join(SIGNING_KEY), "nobody\n").unwrap();
        fails(folder.ring(), "names nobody");
        folder.use_key(&first).unwrap();
        let other = KeyFolder::new(folder.path.clone(), Algorithm::Es256);
        fails(other.ring(), "is a key for EdDSA");
        fs::write(folder.path.join("broken.pem"), "secret").unwrap();
        fails(folder.ring(), "is not a key in PEM");
    }

    #[cfg(unix)]
    #[test]
    fn s13_2_a_private_key_that_others_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt as _;

        let (_temporary, folder) = folder();
        let id = folder.generate().unwrap();
        let file = folder.path.join(format!("{id}.pem"));
        for (mode, usable) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(folder.ring().is_ok(), usable, "{mode:o}");
        }
        fails(folder.ring(), "chmod 600");
    }
}
