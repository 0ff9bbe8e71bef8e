//! A process's private folder and files.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::system::{make_private, private_folder};

/// Names that a [`Spool`] tries.
const MOST_ATTEMPTS: u32 = 10_000;

/// How to create a new file, readable as well; only its owner may read it if others may share the folder.
#[must_use]
pub(crate) fn new_file(is_private: bool) -> fs_err::OpenOptions {
    let mut options = fs_err::OpenOptions::new();
    options.read(true).write(true).create_new(true);
    if is_private {
        make_private(&mut options);
    }
    options
}

/// A folder that is removed on drop, for a command that may not write where it reads, or that writes to a store.
#[derive(Debug)]
pub(crate) struct Spool(PathBuf);

impl Spool {
    /// Creates a folder in the system's folder for temporary files, where other users can write too: never an existing
    /// folder, and only its owner may look into it.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(crate) fn new() -> io::Result<Self> {
        Self::new_in(&Self::parent())
    }

    /// The system's folder for temporary files.
    #[must_use]
    pub(crate) fn parent() -> PathBuf {
        std::env::temp_dir()
    }

    fn new_in(parent: &Path) -> io::Result<Self> {
        let process = std::process::id();
        let mut attempt = 0;
        loop {
            let folder = parent.join(format!("ul2-prep-{process}-{attempt}"));
            match private_folder().create(&folder) {
                Ok(()) => return Ok(Self(folder)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < MOST_ATTEMPTS => attempt += 1,
                Err(error) => {
                    let message = format!("cannot make the folder `{}`: {error}", folder.display());
                    return Err(io::Error::new(error.kind(), message));
                }
            }
        }
    }

    /// Its path.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        let _ = fs_err::remove_dir_all(&self.0); // the system clears it some day
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spool_is_a_new_folder_that_nobody_else_may_look_into() {
        let parent = tempfile::tempdir().unwrap();
        // Another user has guessed the first name.
        let guessed = parent.path().join(format!("ul2-prep-{}-0", std::process::id()));
        fs_err::write(&guessed, "").unwrap();
        let (first, second) = (Spool::new_in(parent.path()).unwrap(), Spool::new_in(parent.path()).unwrap());
        assert_ne!(first.path(), second.path());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs_err::metadata(first.path()).unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop((first, second));
        let left: Vec<_> = fs_err::read_dir(parent.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(left, [guessed]);
    }
}
