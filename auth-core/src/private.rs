//! Files and folders that only their owner may read.

use std::fs::DirBuilder;
use std::io;
use std::path::Path;

/// Makes a folder with the mode 0700, unless it is there.
pub(crate) fn create_folder(folder: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(folder)
}
