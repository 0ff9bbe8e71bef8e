//! Temporary files, before they get a name in the data set.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::output::faults::{Faults, Step};
use crate::store::Remote;
use crate::system::sync_folder;

/// Makes a new name survive a power cut.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// A file without a final name. It counts and digests what is written to it.
#[derive(Debug)]
pub(crate) struct TemporaryFile {
    pub(super) file: fs::File,
    /// The name for messages.
    pub(super) name: String,
    pub(super) path: Option<PathBuf>,
    pub(super) bytes: u64,
    pub(super) sha256: Sha256,
    pub(super) faults: Faults,
}

impl TemporaryFile {
    /// The number of bytes written.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of the bytes written, in hex.
    #[must_use]
    pub(crate) fn sha256(&self) -> String {
        crate::digest::hex(&self.sha256.clone().finalize())
    }

    /// Uploads it to a store; if `new`, only if no object is there, as far as the store supports that for its size.
    /// Returns whether it did.
    pub(super) fn put(&self, remote: &Remote, new: bool) -> io::Result<bool> {
        self.faults.step(Step::BeforeName, &self.name)?;
        let is_put = remote.put_file(&self.file, self.bytes, new)?;
        self.faults.step(Step::AfterName, &self.name)?;
        Ok(is_put)
    }

    /// Makes its bytes survive a power cut.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.faults.step(Step::BeforeSync, &self.name)?;
        self.file.sync_all()?;
        self.faults.step(Step::BeforeName, &self.name)
    }

    /// Makes its new name survive a power cut.
    pub(super) fn sync_folder_of(&self, target: &Path) -> io::Result<()> {
        self.faults.step(Step::AfterName, &self.name)?;
        sync_folder_of(target)?;
        self.faults.step(Step::AfterFolderSync, &self.name)
    }
}

impl Write for TemporaryFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.faults.room(bytes.len())?;
        let written = self.file.write(&bytes[..room])?;
        self.sha256.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            let _ = fs::remove_file(path); // a leftover goes when the data set is finished
        }
    }
}
