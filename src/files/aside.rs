//! Bytes kept in a file until they are needed again.

use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

use crate::files::private::new_file;

/// A file that is removed when it is no longer needed. It stays open, so its contents can be read even if another
/// process removes it.
#[derive(Debug)]
pub(crate) struct AsideFile {
    path: PathBuf,
    file: fs::File,
}

/// A range of an [`AsideFile`].
#[derive(Debug, Clone)]
pub struct AsideBytes {
    /// The file.
    pub(crate) file: Arc<AsideFile>,
    /// The beginning of the range.
    pub(crate) offset: u64,
    /// Its length.
    pub(crate) length: u64,
}

impl AsideFile {
    /// Creates an empty file with a unique name in `folder`.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(crate) fn create(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            // Processes with the same number may share a folder, as in containers.
            let name = format!("long-lines-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(name);
            match new_file(true).open(&path) {
                Ok(file) => {
                    // An open file needs no name, and so a killed process leaves none. Where a system needs the name,
                    // it is removed on drop.
                    let _ = fs::remove_file(&path);
                    return Ok(Self { path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub(crate) fn append(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.file).write_all(bytes)
    }
}

impl AsideBytes {
    /// The bytes.
    ///
    /// # Errors
    ///
    /// If they cannot be read.
    pub fn contents(&self) -> io::Result<impl Read> {
        let mut file = &self.file.file;
        file.seek(SeekFrom::Start(self.offset))?;
        Ok(file.take(self.length))
    }
}

impl Drop for AsideFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path); // a leftover goes when the data set is finished
    }
}
