//! Files of a data set, on this machine wherever the data set is.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// A file that can be opened as often as is needed. A copy is removed when dropped.
#[derive(Debug)]
pub struct Fetched {
    pub(super) path: PathBuf,
    pub(super) shown: PathBuf,
    pub(super) is_copy: bool,
}

impl Fetched {
    /// A file that is here already.
    #[must_use]
    pub fn at(path: PathBuf) -> Self {
        Self { shown: path.clone(), path, is_copy: false }
    }

    /// Where it can be opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What messages call it.
    #[must_use]
    pub fn shown(&self) -> &Path {
        &self.shown
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        if self.is_copy {
            let _ = fs::remove_file(&self.path); // its folder goes with the process
        }
    }
}

pub(crate) fn missing(name: &str) -> io::Error {
    io::Error::new(ErrorKind::NotFound, format!("`{name}` is not there"))
}
