//! The folder of a data set: where files go and how they get their final names.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use super::faults::{Faults, Step};

/// Shards. Loaders look here.
pub const DATA: &str = "data";
/// Rejected lines.
pub const REJECTS: &str = "rejects";
/// Everything that no loader may see.
pub const PRIVATE: &str = ".ul2-prep";
/// The plan that the data set is made by.
pub const PLAN: &str = ".ul2-prep/plan.json";
/// What was made.
pub const MANIFEST: &str = "manifest.json";
/// The digests of all files.
pub const SUMS: &str = "SHA256SUMS";
/// The data set card.
pub const CARD: &str = "README.md";

/// The plan of the `number`-th extension, counted from 1.
#[must_use]
pub fn extension(number: usize) -> String {
    format!("{PRIVATE}/plan-{number:05}.json")
}

/// The commit records.
pub const COMMITS: &str = ".ul2-prep/commits";
const TEMPORARY: &str = ".ul2-prep/tmp";

/// The folder that a data set is written to.
#[derive(Debug, Clone)]
pub struct DataSet {
    dir: PathBuf,
    faults: Faults,
}

/// What [`DataSet::create_only`] found.
#[derive(Debug, PartialEq, Eq)]
pub enum Created {
    /// The file is new.
    New,
    /// There was one already, with these bytes.
    Existing(Vec<u8>),
}

impl DataSet {
    /// The data set in `dir`. Nothing is touched.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), faults: Faults::default() }
    }

    /// The same, with a fault on purpose.
    #[must_use]
    pub fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Whether `dir` holds something, but no data set.
    ///
    /// # Errors
    ///
    /// If the folder cannot be read.
    pub fn is_foreign(&self) -> io::Result<bool> {
        match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
            Ok(mut entries) => Ok(entries.next().is_some() && !self.dir.join(PRIVATE).exists()),
        }
    }

    /// Makes the folders.
    ///
    /// # Errors
    ///
    /// If one cannot be made.
    pub fn create_folders(&self) -> io::Result<()> {
        // What tells a data set from a foreign folder comes first.
        [COMMITS, TEMPORARY, DATA].into_iter().try_for_each(|folder| self.create_folder(folder))
    }

    /// Makes a folder, unless it is there.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn create_folder(&self, relative: &str) -> io::Result<()> {
        let folder = self.dir.join(relative);
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        self.faults.step(Step::BeforeCreate, relative)?;
        fs::create_dir_all(&folder)?;
        missing.into_iter().try_for_each(sync_folder_of)
    }

    /// Makes what stands in a folder survive a power cut, whoever wrote it.
    ///
    /// # Errors
    ///
    /// If it cannot be synced.
    pub fn sync_folder(&self, relative: &str) -> io::Result<()> {
        fs::File::open(self.dir.join(relative))?.sync_all()
    }

    /// The path of a file of the data set.
    #[must_use]
    pub fn path(&self, relative: &str) -> PathBuf {
        self.dir.join(relative)
    }

    /// The folder of temporary files.
    #[must_use]
    pub fn temporary_folder(&self) -> PathBuf {
        self.dir.join(TEMPORARY)
    }

    /// The commit record of a shard, relative to the data set.
    #[must_use]
    pub fn commit_name(unit: usize, shard: usize) -> String {
        format!("{COMMITS}/{unit:05}-{shard:05}.json")
    }

    /// The bytes of a file; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it is there but cannot be read.
    pub fn read(&self, relative: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.dir.join(relative)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// A new temporary file. It is removed when dropped, unless published.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub fn temporary(&self, name: &str) -> io::Result<TemporaryFile> {
        let process = std::process::id();
        self.faults.step(Step::BeforeCreate, name)?;
        for attempt in 0_u32.. {
            let path = self.dir.join(TEMPORARY).join(format!("{name}.{process}-{attempt}"));
            match fs::OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(file) => {
                    if !in_use(&file) || !path.exists() {
                        continue; // somebody took it for a leftover
                    }
                    let (name, faults) = (name.to_owned(), self.faults.clone());
                    return Ok(TemporaryFile { file, name, path: Some(path), bytes: 0, sha256: Sha256::new(), faults });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for a temporary file"))
    }

    /// Gives a temporary file its final name, after its bytes are on the disk, unless there is a file of that name: then it is given back.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or named.
    pub fn publish_new(&self, file: TemporaryFile, relative: &str) -> io::Result<Option<TemporaryFile>> {
        file.sync()?;
        let target = self.dir.join(relative);
        let Some(path) = file.path.as_ref() else { return Err(io::Error::other("the temporary file is gone")) };
        match fs::hard_link(path, &target) {
            Ok(()) => file.sync_folder_of(&target).map(|()| None),
            // The reply to a link that was made may be lost: what counts is what is there.
            Err(_) if target.exists() => Ok(Some(file)),
            Err(error) => Err(error),
        }
    }

    /// Gives a temporary file its final name, after its bytes are on the disk. A file of that name is replaced.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or renamed.
    pub fn publish(&self, mut file: TemporaryFile, relative: &str) -> io::Result<()> {
        file.sync()?;
        let target = self.dir.join(relative);
        if let Some(path) = file.path.take()
            && let Err(error) = fs::rename(&path, &target)
        {
            file.path = Some(path);
            return Err(error);
        }
        file.sync_folder_of(&target)
    }

    /// Writes a small file at once, replacing one of that name.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub fn replace(&self, relative: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.temporary(&relative.replace('/', "-"))?;
        file.write_all(bytes)?;
        match self.publish(file, relative) {
            // Another process that finishes the same data set may have taken the temporary file for a leftover, and has written this one.
            Err(error) if error.kind() == ErrorKind::NotFound && self.read(relative)?.as_deref() == Some(bytes) => {
                Ok(())
            }
            published => published,
        }
    }

    /// Writes a small file at once, unless there is one of that name: whoever comes first wins, the other reads.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or the one that is there cannot be read.
    pub fn create_only(&self, relative: &str, bytes: &[u8]) -> io::Result<Created> {
        let mut file = self.temporary(&relative.replace('/', "-"))?;
        file.write_all(bytes)?;
        match self.publish_new(file, relative)? {
            None => Ok(Created::New),
            Some(_) => Ok(Created::Existing(fs::read(self.path(relative))?)),
        }
    }

    /// Removes shards and rejects of the first `units` units that are not among `named`: runs that were killed left them, and nothing has
    /// taken their place. Only for units that are finished.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed.
    pub fn remove_unnamed(&self, units: usize, named: &BTreeSet<&str>) -> io::Result<()> {
        for folder in [DATA, REJECTS] {
            let entries = match fs::read_dir(self.path(folder)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
                let unit =
                    name.split_once("/train-").and_then(|(_, rest)| rest.split_once('-')?.0.parse::<usize>().ok());
                if unit.is_some_and(|unit| unit < units) && !named.contains(name.as_str()) {
                    fs::remove_file(entry.path())?;
                }
            }
        }
        Ok(())
    }

    /// Removes what interrupted runs left behind. Files of processes that are alive stay.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed.
    pub fn remove_temporaries(&self) -> io::Result<()> {
        let gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
        for entry in fs::read_dir(self.temporary_folder())? {
            let path = entry?.path();
            let removed = match fs::File::open(&path) {
                Ok(file) if is_in_use(&file) => continue,
                _ => fs::remove_file(path),
            };
            match removed {
                Err(error) if !gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Marks a temporary file as one whose process is alive: the system takes the mark away with the process, however it ends. Not if somebody
/// is about to remove it. Where a file system has no locks there is no mark, and [`DataSet::remove_temporaries`] takes it for a leftover.
fn in_use(file: &fs::File) -> bool {
    !matches!(file.file().try_lock_shared(), Err(std::fs::TryLockError::WouldBlock))
}

/// Makes a new name survive a power cut.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => fs::File::open(".")?.sync_all(),
        Some(folder) => fs::File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

fn is_in_use(file: &fs::File) -> bool {
    matches!(file.file().try_lock(), Err(std::fs::TryLockError::WouldBlock))
}

/// A file without a final name. Counts and digests what is written to it.
#[derive(Debug)]
pub struct TemporaryFile {
    file: fs::File,
    /// What it is to be, for messages.
    name: String,
    path: Option<PathBuf>,
    bytes: u64,
    sha256: Sha256,
    faults: Faults,
}

impl TemporaryFile {
    /// Bytes written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// SHA-256 of what was written, in hex.
    #[must_use]
    pub fn sha256(&self) -> String {
        crate::digest::hex(&self.sha256.clone().finalize())
    }

    /// Its bytes survive a power cut.
    fn sync(&self) -> io::Result<()> {
        self.faults.step(Step::BeforeSync, &self.name)?;
        self.file.sync_all()?;
        self.faults.step(Step::BeforeName, &self.name)
    }

    /// Its new name survives one as well.
    fn sync_folder_of(&self, target: &Path) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn data_set() -> (tempfile::TempDir, DataSet) {
        let folder = tempfile::tempdir().unwrap();
        let data_set = DataSet::at(folder.path());
        data_set.create_folders().unwrap();
        (folder, data_set)
    }

    #[test]
    fn who_comes_second_reads_what_the_first_wrote() {
        let (_folder, data_set) = data_set();
        assert_eq!(data_set.create_only("a.json", b"first").unwrap(), Created::New);
        assert_eq!(data_set.create_only("a.json", b"second").unwrap(), Created::Existing(b"first".to_vec()));
        assert_eq!(fs::read_dir(data_set.temporary_folder()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_file_leaves_nothing() {
        let (_folder, data_set) = data_set();
        let mut file = data_set.temporary("x").unwrap();
        file.write_all(b"half").unwrap();
        drop(file);
        assert_eq!(fs::read_dir(data_set.temporary_folder()).unwrap().count(), 0);
    }

    #[test]
    fn leftovers_are_removed_but_not_the_files_of_a_process_that_is_alive() {
        let (_folder, data_set) = data_set();
        let mut alive = data_set.temporary("alive").unwrap();
        alive.write_all(b"half").unwrap();
        fs::write(data_set.temporary_folder().join("left.1-0"), "over").unwrap();
        data_set.remove_temporaries().unwrap();
        assert_eq!(fs::read_dir(data_set.temporary_folder()).unwrap().count(), 1);
        data_set.publish(alive, "alive").unwrap();
        assert_eq!(data_set.read("alive").unwrap().as_deref(), Some(&b"half"[..]));
    }

    #[test]
    fn a_foreign_folder_is_told_from_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let data_set = DataSet::at(folder.path());
        assert!(!data_set.is_foreign().unwrap());
        fs::write(folder.path().join("thesis.tex"), "").unwrap();
        assert!(data_set.is_foreign().unwrap());
        data_set.create_folders().unwrap();
        assert!(!data_set.is_foreign().unwrap());
    }
}
