//! Bytes put aside in a file until they are wanted again.

use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fs_err as fs;

use crate::files::private::new_file;

/// A file that is removed when nobody needs it any more. It stays open, so what is in it can be read even if somebody else removed it.
#[derive(Debug)]
pub struct AsideFile {
    path: PathBuf,
    file: fs::File,
}

/// A stretch of an [`AsideFile`].
#[derive(Debug, Clone)]
pub struct AsideBytes {
    /// The file.
    pub file: Arc<AsideFile>,
    /// Where the stretch begins.
    pub offset: u64,
    /// Its length.
    pub length: u64,
}

impl AsideFile {
    /// An empty file of a name that no other has, in `folder`.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create(folder: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            // Processes of one number may share a folder: those of containers.
            let name = format!("long-lines-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = folder.join(name);
            match new_file(true).open(&path) {
                Ok(file) => {
                    // What is open needs no name, and a process that is killed leaves none. Where a system wants names, it goes when dropped.
                    let _ = fs::remove_file(&path);
                    return Ok(Self { path, file });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes behind what is there.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
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
