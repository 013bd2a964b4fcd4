//! Breached passwords in a local file or folder.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::hash_lines::{HashLines, HashListError, HashListFlaw};
use super::{BreachedPasswords, Password};

/// How many hexadecimal digits of a hash name its file in a folder.
const RANGE_DIGITS: usize = 5;
/// A folder's files have their names from the official downloader, or from the path of the API.
const RANGE_ENDINGS: [&str; 2] = [".txt", ""];
/// How many hashes are looked for, evenly spread, before a list is trusted.
const PROBES: u8 = 16;

/// The passwords of Have I Been Pwned, downloaded: nothing about a password leaves the machine.
///
/// The list is one file, sorted by SHA-1, or a folder of the files `00000.txt` to `FFFFF.txt`
/// (or `00000` to `FFFFF`), as its downloader makes them:
///
/// | | lines |
/// |---|---|
/// | file | `21BD12DC183F740EE76F27B78EB39C8AD972A757:1010` |
/// | `21BD1.txt` in a folder | `2DC183F740EE76F27B78EB39C8AD972A757:1010` |
///
/// Nothing of it is kept in memory: a look-up reads two or three times 8 KiB, on a thread for blocking
/// work. The list may be replaced while it is used, by renaming a complete one over it.
///
/// ```
/// use std::sync::Arc;
///
/// use auth_core::password::{BreachedPasswordFile, OnCheckFailure, PasswordProblem};
/// use auth_core::{Password, PasswordPolicy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("pwnedpasswords.txt");
/// # std::fs::write(&path, "4F01D2EA91DF4AD5E8BD1706D53DBEC52DCAC7C3:7\r\n")?;
/// let breached = BreachedPasswordFile::open(path)?;
/// let policy = PasswordPolicy::default()
///     .with_breached_passwords(Arc::new(breached), OnCheckFailure::Refuse);
///
/// let password = Password::new("churning potato");
/// let problems = policy.check(&password, "alice", "alice@example.org").await;
/// assert_eq!(problems, Err(vec![PasswordProblem::Breached]));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct BreachedPasswordFile {
    path: PathBuf,
}

impl BreachedPasswordFile {
    /// Takes a file or a folder, after a few look-ups throughout the list.
    ///
    /// # Errors
    ///
    /// - [`BreachedPasswordFileError::Unreadable`] if the path does not lead to a file or folder
    ///   that can be read;
    /// - [`BreachedPasswordFileError::Unusable`] if what it leads to is not such a list, or only
    ///   the beginning of one.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, BreachedPasswordFileError> {
        let list = Self { path: path.into() };
        for probe in 0..=PROBES {
            list.look_up(&Hash::at(probe))?;
        }
        Ok(list)
    }

    fn look_up(&self, hash: &Hash) -> Result<bool, BreachedPasswordFileError> {
        find(&self.path, hash).map_err(|error| {
            let path = self.path.clone();
            match error {
                HashListError::Read(source) => {
                    BreachedPasswordFileError::Unreadable { path, source }
                }
                HashListError::Flaw(flaw) => BreachedPasswordFileError::Unusable { path, flaw },
            }
        })
    }
}

#[async_trait]
impl BreachedPasswords for BreachedPasswordFile {
    async fn contains(
        &self,
        password: &Password,
    ) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
        let (list, hash) = (self.clone(), Hash::of(password));
        let looked_up = tokio::task::spawn_blocking(move || list.look_up(&hash));
        Ok(looked_up.await??)
    }
}

/// Why a list of breached passwords gives no answer.
///
/// It names the path that was given, and never the file in a folder: its name is a part of the
/// password's hash.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BreachedPasswordFileError {
    /// The file or the folder cannot be read.
    #[error("{} cannot be read", path.display())]
    #[non_exhaustive]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else than a list of SHA-1 hashes from Have I Been Pwned.
    #[error("{} {flaw}", path.display())]
    #[non_exhaustive]
    Unusable {
        /// The path.
        path: PathBuf,
        /// What is wrong with it.
        flaw: HashListFlaw,
    },
}

/// The SHA-1 of a password, in upper-case hexadecimal digits: as good as the password for who
/// looks for it in a list.
struct Hash(Zeroizing<String>);

impl Hash {
    const DIGITS: usize = 40;

    fn of(password: &Password) -> Self {
        let digest: Zeroizing<[u8; 20]> = Zeroizing::new(Sha1::digest(password.expose()).into());
        let mut digits = Zeroizing::new(String::with_capacity(Self::DIGITS));
        for byte in digest.iter() {
            // Nothing can fail in a string.
            let _ = write!(digits, "{byte:02X}");
        }
        Self(digits)
    }

    /// One of the evenly spread hashes from the least to the greatest.
    fn at(probe: u8) -> Self {
        let digits = match probe {
            PROBES.. => "F".repeat(Self::DIGITS),
            _ => format!("{probe:X}{}", "0".repeat(Self::DIGITS - 1)),
        };
        Self(Zeroizing::new(digits))
    }

    /// The name of its file in a folder, and the digits that stand in it.
    fn split(&self) -> (&str, &str) {
        self.0.split_at(RANGE_DIGITS)
    }
}

fn find(path: &Path, hash: &Hash) -> Result<bool, HashListError> {
    let metadata = fs::metadata(path)?;
    if metadata.is_dir() {
        let (range, rest) = hash.split();
        return HashLines::new(open_range(path, range)?)?.contain(rest.as_bytes());
    }
    if !metadata.is_file() {
        // Who opens a pipe may wait for ever.
        let kind = io::ErrorKind::Unsupported;
        return Err(io::Error::new(kind, "neither a file nor a folder").into());
    }
    HashLines::new(File::open(path)?)?.contain(hash.0.as_bytes())
}

fn open_range(folder: &Path, range: &str) -> Result<File, HashListError> {
    for ending in RANGE_ENDINGS {
        match File::open(folder.join(format!("{range}{ending}"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            opened => return Ok(opened?),
        }
    }
    Err(HashListFlaw::RangeMissing.into())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use tempfile::TempDir;

    use super::super::test_support::Log;
    use super::super::{OnCheckFailure, PasswordPolicy, PasswordProblem};
    use super::*;

    const PASSWORD: &str = "churning potato";
    const HASH: &str = "4F01D2EA91DF4AD5E8BD1706D53DBEC52DCAC7C3";

    /// The list of some passwords, and the one above.
    fn lines() -> String {
        let others = (0..3_000).map(|number| Hash::of(&Password::new(number.to_string())));
        let mut hashes: Vec<_> = others.map(|hash| hash.0.to_string()).collect();
        hashes.push(HASH.to_owned());
        hashes.sort();
        hashes.iter().map(|hash| format!("{hash}:3\r\n")).collect()
    }

    fn write(text: &str) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.txt");
        fs::write(&path, text).unwrap();
        (folder, path)
    }

    /// A folder with all files that the probes and the password lead to.
    fn write_ranges(lines: &str, ending: &str) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        let mut ranges: BTreeMap<String, String> = BTreeMap::new();
        for probe in 0..=PROBES {
            let probe = Hash::at(probe);
            let (range, rest) = probe.split();
            ranges.insert(range.to_owned(), format!("{rest}:1"));
        }
        for line in lines.lines() {
            let (range, rest) = line.split_at(RANGE_DIGITS);
            ranges.insert(range.to_owned(), rest.to_owned());
        }
        for (range, lines) in ranges {
            fs::write(folder.path().join(format!("{range}{ending}")), lines).unwrap();
        }
        folder
    }

    async fn check(list: &BreachedPasswordFile, password: &str) -> Vec<PasswordProblem> {
        check_or(list, password, OnCheckFailure::Refuse).await
    }

    async fn check_or(
        list: &BreachedPasswordFile,
        password: &str,
        on_failure: OnCheckFailure,
    ) -> Vec<PasswordProblem> {
        let list = Arc::new(list.clone());
        let policy = PasswordPolicy::default().with_breached_passwords(list, on_failure);
        let password = Password::new(password);
        let outcome = policy.check(&password, "alice", "a@b.example").await;
        outcome.err().unwrap_or_default()
    }

    #[tokio::test]
    async fn s2_6_a_password_in_the_file_is_breached() {
        let (_folder, path) = write(&lines());
        let list = BreachedPasswordFile::open(path).unwrap();
        assert_eq!(check(&list, PASSWORD).await, [PasswordProblem::Breached]);
        assert_eq!(check(&list, "churning potatoes").await, []);
    }

    #[tokio::test]
    async fn s2_6_a_password_in_the_folder_is_breached() {
        let in_the_same_range = format!("4F01D{}", "0".repeat(35));
        assert_eq!(Hash::of(&Password::new(PASSWORD)).0.as_str(), HASH);
        for ending in [".txt", ""] {
            let folder = write_ranges(&lines(), ending);
            let list = BreachedPasswordFile::open(folder.path()).unwrap();
            assert_eq!(check(&list, PASSWORD).await, [PasswordProblem::Breached]);
            let other = Hash(Zeroizing::new(in_the_same_range.clone()));
            assert!(!list.look_up(&other).unwrap());
        }
    }

    #[test]
    fn s2_6_a_path_without_a_list_is_refused_with_its_name() {
        let lines = lines();
        let (folder, path) = write("");
        let refused = |path: &Path, why: &str| {
            let error = BreachedPasswordFile::open(path).unwrap_err();
            assert_eq!(error.to_string(), format!("{} {why}", path.display()));
        };
        let example = "has a line that is not a SHA-1 hash and a count, \
                       such as 21BD12DC183F740EE76F27B78EB39C8AD972A757:1010";
        let half = &lines[..lines.len() / 88 * 44];
        refused(&folder.path().join("nowhere"), "cannot be read");
        refused(
            folder.path(),
            "lacks some of the files 00000.txt to FFFFF.txt: the download is not complete",
        );
        for (text, why) in [
            ("", "is empty"),
            ("correct horse battery\n", example),
            (&lines[..lines.len() - 20], example),
            (half, "ends too early: the download is not complete"),
            (&lines.repeat(2), "is not sorted by hash"),
        ] {
            fs::write(&path, text).unwrap();
            refused(&path, why);
        }
    }

    #[cfg(unix)]
    #[test]
    fn s2_6_a_pipe_is_refused_instead_of_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        assert!(BreachedPasswordFile::open(path).is_err());
    }

    #[tokio::test]
    async fn s2_6_a_list_that_is_gone_or_broken_fails_as_configured_and_tells_no_hash() {
        let lines = lines();
        let (_folder, path) = write(&lines);
        let ranges = write_ranges(&lines, ".txt");
        let file = BreachedPasswordFile::open(&path).unwrap();
        let folder = BreachedPasswordFile::open(ranges.path()).unwrap();
        let fails = async |list: &BreachedPasswordFile| {
            let (log, _guard) = Log::capture();
            let accepted = check_or(list, PASSWORD, OnCheckFailure::Accept).await;
            assert_eq!(accepted, []);
            let refused = check_or(list, PASSWORD, OnCheckFailure::Refuse).await;
            assert_eq!(refused, [PasswordProblem::Unchecked]);
            let text = log.text();
            assert!(text.contains(&list.path.display().to_string()), "{text}");
            for secret in ["potato", &HASH[..RANGE_DIGITS], &HASH[RANGE_DIGITS..]] {
                assert!(!text.contains(secret), "{secret} in {text}");
            }
        };
        fs::write(&path, "another list\n").unwrap();
        fails(&file).await;
        fs::remove_file(&path).unwrap();
        fails(&file).await;
        let range = ranges.path().join("4F01D.txt");
        fs::write(&range, "").unwrap();
        fails(&folder).await;
        fs::remove_file(range).unwrap();
        fails(&folder).await;
    }

    #[tokio::test]
    async fn s2_6_a_list_may_be_replaced_while_it_is_used() {
        let (folder, path) = write("21BD12DC183F740EE76F27B78EB39C8AD972A757:1010\n");
        let list = BreachedPasswordFile::open(&path).unwrap();
        assert_eq!(check(&list, PASSWORD).await, []);
        let newer = folder.path().join("newer.txt");
        fs::write(&newer, lines()).unwrap();
        fs::rename(newer, path).unwrap();
        assert_eq!(check(&list, PASSWORD).await, [PasswordProblem::Breached]);
    }
}
