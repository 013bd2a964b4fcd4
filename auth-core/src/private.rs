//! Files and folders that only their owner may read.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a folder with the mode 0700, unless it is there.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let parent = folder_of(folder);
    create_folder(parent)?;
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    match builder.create(folder) {
        // Made meanwhile by another start.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        Err(error) => Err(error),
        #[cfg(unix)]
        Ok(()) => keep_owner(&open_folder(folder)?, parent),
        #[cfg(not(unix))]
        Ok(()) => Ok(()),
    }
}

/// Makes a file with the mode 0600 for writing; fails if it is there.
pub(crate) fn create_file(file: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(file)?;
    keep_owner(&made, folder_of(file))?;
    Ok(made)
}

/// Whether others than the owner may read the file.
#[cfg(unix)]
pub(crate) fn is_exposed(file: &Path) -> io::Result<bool> {
    use std::os::unix::fs::PermissionsExt as _;

    Ok(fs::metadata(file)?.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
pub(crate) fn is_exposed(_: &Path) -> io::Result<bool> {
    Ok(false)
}

/// The folder that a file or folder is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    let folder = path.parent();
    let folder = folder.filter(|folder| !folder.as_os_str().is_empty());
    folder.unwrap_or(Path::new("."))
}

/// Gives what root has just made to whom the folder belongs: a command that root ran must leave
/// nothing that the server cannot open.
///
/// By the open file, not by its name: whom the folder belongs to could have put a link there.
#[cfg(unix)]
fn keep_owner(made: &File, folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt as _, fchown};

    let owner = fs::metadata(folder)?;
    if made.metadata()?.uid() == 0 && owner.uid() != 0 {
        fchown(made, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

#[cfg(not(unix))]
fn keep_owner(_: &File, _: &Path) -> io::Result<()> {
    Ok(())
}

/// Opens the folder itself, and not what a link leads to.
#[cfg(unix)]
fn open_folder(folder: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    #[cfg(target_os = "linux")]
    {
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::NOFOLLOW;
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, flags.bits().cast_signed());
    }
    options.read(true).open(folder)
}
