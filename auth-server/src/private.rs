//! Files and folders that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown,
};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

/// Makes a folder with the mode 0700, unless it is there.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    create_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        // Made meanwhile by another start.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
            let mut options = OpenOptions::new();
            options.read(true).custom_flags(flags.bits().cast_signed());
            keep_owner(&options.open(folder)?, parent)
        }
    }
}

/// Gives what root has just made to whom the folder belongs: a command that root ran must leave
/// nothing that the server cannot open.
///
/// By the open file, not by its name: whom the folder belongs to could have put a link there.
fn keep_owner(made: &File, folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(folder)?;
    if made.metadata()?.uid() == 0 && owner.uid() != 0 {
        fchown(made, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

/// Makes a file with the mode 0600 and this content, unless it is there; whoever finds the file
/// finds all of it, whatever happens in between.
pub(crate) fn create_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = write_unfinished(file, content)?;
    // Unlike a rename, a link never replaces what another start has made.
    let linked = fs::hard_link(&unfinished, file);
    fs::remove_file(&unfinished)?;
    match linked {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder_of(file)
}

/// Gives a file this content and the mode 0600, whether or not it is there; whoever reads it finds
/// all of the old or all of the new.
pub(crate) fn replace_file(file: &Path, content: &[u8]) -> io::Result<()> {
    let unfinished = write_unfinished(file, content)?;
    if let Err(error) = fs::rename(&unfinished, file) {
        fs::remove_file(&unfinished)?;
        return Err(error);
    }
    sync_folder_of(file)
}

/// Removes a file for good.
pub(crate) fn remove_file(file: &Path) -> io::Result<()> {
    fs::remove_file(file)?;
    sync_folder_of(file)
}

fn write_unfinished(file: &Path, content: &[u8]) -> io::Result<PathBuf> {
    let unfinished = folder_of(file).join(format!(".{}.part", uuid::Uuid::new_v4()));
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let mut writer = options.open(&unfinished)?;
    let written = keep_owner(&writer, folder_of(file))
        .and_then(|()| writer.write_all(content))
        .and_then(|()| writer.sync_all());
    if let Err(error) = written {
        fs::remove_file(&unfinished)?;
        return Err(error);
    }
    Ok(unfinished)
}

/// The folder that a file or folder is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Makes sure that a power failure undoes no name that was given or taken.
fn sync_folder_of(file: &Path) -> io::Result<()> {
    File::open(folder_of(file))?.sync_all()
}

/// Fails if others than the owner may read the file.
pub(crate) fn check(file: &Path) -> Result<(), String> {
    let metadata = fs::metadata(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(format!(
            "{} holds secrets but others can read it: run `chmod 600` on it",
            file.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s13_2_files_and_folders_are_the_owners_alone() {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path().join("data");
        create_folder(&folder).unwrap();
        let file = folder.join("key");
        create_file(&file, b"first").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&file)), (0o700, 0o600));
        assert!(check(&file).is_ok());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(check(&file).unwrap_err().contains("chmod 600"));
    }

    #[test]
    fn a_file_that_is_there_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        create_file(&file, b"first").unwrap();
        create_file(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"first");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_is_replaced_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("name");
        replace_file(&file, b"first").unwrap();
        replace_file(&file, b"second").unwrap();
        assert_eq!(fs::read(&file).unwrap(), b"second");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        remove_file(&file).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
