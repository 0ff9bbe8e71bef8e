//! Files of a data set on this machine, wherever the data set is.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use fs_err as fs;

/// A file that can be opened any number of times. A downloaded copy is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(super) path: PathBuf,
    pub(super) shown: PathBuf,
    pub(super) is_copy: bool,
}

impl Fetched {
    /// A file that is already on this machine.
    #[must_use]
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { shown: path.clone(), path, is_copy: false }
    }

    /// The path to open.
    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The path or URL for messages.
    #[must_use]
    pub(crate) fn shown(&self) -> &Path {
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
