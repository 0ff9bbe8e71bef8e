//! The location of a data set: where its files are, and how they are read.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::files::bounded::{self, MOST, MOST_RECORD};
use crate::files::private::{Spool, new_file};
use crate::output::faults::{Faults, Step};
use crate::output::fetched::{Fetched, missing};
use crate::output::names;
pub(crate) use crate::output::names::{COMMITS, DATA, PRIVATE, REJECTS};
use crate::output::temporary::{TemporaryFile, sync_folder_of};
pub(crate) use crate::store::Created;
use crate::store::Location;
use crate::system::{self, mark_in_use, remove_unless_in_use};

/// The data set's plan.
pub(crate) const PLAN: &str = ".ul2-prep/plan.json";
/// Where the sources and the tokenizer were when the plan was written: it affects no row and no digest.
pub(crate) const INPUTS: &str = ".ul2-prep/inputs.json";
/// Title, license and languages, for the card.
pub(crate) const CARD_FIELDS: &str = ".ul2-prep/card.json";
/// Describes what was made.
pub(crate) const MANIFEST: &str = "manifest.json";
/// The digests of all files.
pub(crate) const SUMS: &str = "SHA256SUMS";
/// The data set card.
pub(crate) const CARD: &str = "README.md";
/// An empty file, written last of all, as other tools expect.
pub(crate) const SUCCESS: &str = "_SUCCESS";

const TEMPORARY: &str = ".ul2-prep/tmp";

/// The location of a data set: a folder, or names in a store. All differences between the two are here.
#[derive(Debug, Clone)]
pub struct DataSet {
    pub(super) place: Location,
    /// The folder for files that are downloaded from a store.
    spool: Arc<OnceLock<Spool>>,
    pub(super) faults: Faults,
}

impl DataSet {
    /// The data set in the folder `dir`. Touches no file.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { place: Location::from(dir), spool: Arc::default(), faults: Faults::default() }
    }

    /// The data set in a location. Touches no file of it.
    ///
    /// # Errors
    ///
    /// If a data set cannot be there.
    pub(crate) fn open(place: &Location) -> io::Result<Self> {
        if let Location::Remote(remote) = place
            && remote.is_of_the_web()
        {
            let message = format!("`{place}`: a data set cannot be on a web server");
            return Err(io::Error::new(ErrorKind::Unsupported, message));
        }
        Ok(Self { place: place.clone(), spool: Arc::default(), faults: Faults::default() })
    }

    /// The same data set with a deliberate fault.
    #[must_use]
    pub(crate) fn with_faults(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// Its location.
    #[must_use]
    pub(crate) fn place(&self) -> &Location {
        &self.place
    }

    /// Whether the location holds something other than a data set.
    ///
    /// # Errors
    ///
    /// If it cannot be listed.
    pub(crate) fn is_foreign(&self) -> io::Result<bool> {
        let is_empty = match &self.place {
            Location::Remote(remote) => !remote.has_any()?,
            Location::Local(dir) => match fs::read_dir(dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => true,
                Err(error) => return Err(error),
                Ok(mut entries) => entries.next().is_none(),
            },
        };
        Ok(!is_empty && !self.has_folder(PRIVATE)?)
    }

    /// Whether there is a folder of this name.
    ///
    /// # Errors
    ///
    /// If the store cannot be asked.
    pub(crate) fn has_folder(&self, relative: &str) -> io::Result<bool> {
        match self.place.join(relative) {
            Location::Local(path) => Ok(path.exists()),
            Location::Remote(remote) => remote.has_any(),
        }
    }

    /// The folders of a data set that are links or files: writing or removing there would affect another place.
    #[must_use]
    pub(crate) fn false_folders(&self) -> Vec<&'static str> {
        let is_false = |folder: &&str| match self.place.join(folder) {
            Location::Local(path) => fs::symlink_metadata(path).is_ok_and(|metadata| !metadata.is_dir()),
            Location::Remote(_) => false,
        };
        [PRIVATE, COMMITS, TEMPORARY, DATA, REJECTS].into_iter().filter(is_false).collect()
    }

    /// Refuses a data set whose folders are links. The data set itself may be one.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::NotADirectory`] for the first of [`Self::false_folders`].
    pub(crate) fn check_folders(&self) -> io::Result<()> {
        let Some(folder) = self.false_folders().into_iter().next() else { return Ok(()) };
        let message = format!("`{}` is a link or a file, expected a folder", self.path(folder).display());
        Err(io::Error::new(ErrorKind::NotADirectory, message))
    }

    /// Makes the folders.
    ///
    /// # Errors
    ///
    /// If one cannot be made.
    pub(crate) fn create_folders(&self) -> io::Result<()> {
        self.check_folders()?;
        // The folder that identifies a data set comes first.
        [COMMITS, TEMPORARY, DATA].into_iter().try_for_each(|folder| self.create_folder(folder))
    }

    /// Creates a folder, unless it exists. A store has no folders.
    ///
    /// # Errors
    ///
    /// If it cannot be created.
    pub(crate) fn create_folder(&self, relative: &str) -> io::Result<()> {
        let Location::Local(folder) = self.place.join(relative) else { return Ok(()) };
        let missing: Vec<&Path> = folder.ancestors().take_while(|folder| !folder.exists()).collect();
        self.faults.step(Step::BeforeCreate, relative)?;
        fs::create_dir_all(&folder)?;
        self.check_folders()?;
        missing.into_iter().try_for_each(sync_folder_of)
    }

    /// Makes the names in a folder survive a power cut, if there is such a folder: an earlier process may have been
    /// killed before it synced them. Objects in a store always survive.
    ///
    /// # Errors
    ///
    /// If it cannot be synced.
    pub(crate) fn sync_folder(&self, relative: &str) -> io::Result<()> {
        let Location::Local(folder) = self.place.join(relative) else { return Ok(()) };
        match fs::metadata(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            there => there?,
        };
        self.faults.step(Step::BeforeSettle, if relative.is_empty() { "." } else { relative })?;
        system::sync_folder(&folder)
    }

    /// Syncs every name that this process found rather than wrote, before it writes anything that relies on them.
    ///
    /// # Errors
    ///
    /// If a folder cannot be synced.
    pub(crate) fn settle(&self) -> io::Result<()> {
        [DATA, REJECTS, COMMITS, PRIVATE, ""].into_iter().try_for_each(|folder| self.sync_folder(folder))?;
        // The name of the data set itself. Its parent may belong to another user.
        match self.place.local().map(sync_folder_of) {
            Some(Err(error)) if error.kind() != ErrorKind::PermissionDenied => Err(error),
            _ => Ok(()),
        }
    }

    /// The path of a file of the data set, for messages; in a store, its URL.
    #[must_use]
    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        match &self.place {
            Location::Local(dir) => dir.join(relative),
            Location::Remote(remote) => PathBuf::from(remote.join(relative).to_string()),
        }
    }

    /// The folder of temporary files, on this machine.
    #[must_use]
    pub(crate) fn temporary_folder(&self) -> PathBuf {
        match self.place.join(TEMPORARY) {
            Location::Local(folder) => folder,
            Location::Remote(_) => Spool::parent(),
        }
    }

    /// The bytes of a file that is read as a whole; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it exists but cannot be read, is not a plain file, or has more bytes than such a file may have.
    pub(crate) fn read(&self, relative: &str) -> io::Result<Option<Vec<u8>>> {
        match self.place.join(relative) {
            Location::Remote(remote) => remote.read(most(relative)),
            Location::Local(path) => match bounded::read(&path, most(relative)) {
                Ok(bytes) => Ok(Some(bytes)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
                Err(error) => Err(error),
            },
        }
    }

    /// A file of the data set on this machine, downloaded if it is in a store.
    ///
    /// # Errors
    ///
    /// If it does not exist, or cannot be downloaded.
    pub(crate) fn fetch(&self, relative: &str) -> io::Result<Fetched> {
        let remote = match self.place.join(relative) {
            Location::Local(path) => return Ok(Fetched::at(path)),
            Location::Remote(remote) => remote,
        };
        let object = remote.head()?.ok_or_else(|| missing(&remote.to_string()))?;
        if self.spool.get().is_none() {
            // If two threads come at once, the second folder is removed again.
            drop(self.spool.set(Spool::new()?));
        }
        let spool = self.spool.get().ok_or_else(|| io::Error::other("no folder for fetched files"))?;
        let path = spool.path().join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        let fetched = Fetched { path, shown: self.path(relative), is_copy: true };
        io::copy(&mut remote.open(&object), &mut fs::File::create(&fetched.path)?)?;
        Ok(fetched)
    }

    /// A file of the data set, opened.
    ///
    /// # Errors
    ///
    /// If it does not exist, or cannot be downloaded.
    pub(crate) fn open_file(&self, relative: &str) -> io::Result<fs::File> {
        bounded::open(self.fetch(relative)?.path())
    }

    /// The size of a plain file, or of the file that a link leads to: download caches use links. It does not open a
    /// pipe, which would wait for a writer.
    ///
    /// # Errors
    ///
    /// If it does not exist, or is not a plain file.
    pub(crate) fn size(&self, relative: &str) -> io::Result<u64> {
        match self.place.join(relative) {
            Location::Local(path) => {
                let metadata = fs::metadata(path)?;
                if metadata.is_file() { Ok(metadata.len()) } else { Err(bounded::not_plain("it")) }
            }
            Location::Remote(remote) => {
                remote.head()?.map(|object| object.bytes).ok_or_else(|| missing(&remote.to_string()))
            }
        }
    }

    /// The size of each plain file in a folder, by name; empty if there is no such folder. Another process may remove
    /// files that are not part of the data set meanwhile.
    ///
    /// # Errors
    ///
    /// If it cannot be listed.
    pub(crate) fn sizes(&self, folder: &str) -> io::Result<BTreeMap<String, u64>> {
        if let Location::Remote(remote) = self.place.join(folder) {
            let sizes = remote.list()?.into_iter().map(|object| (format!("{folder}/{}", object.name), object.bytes));
            return Ok(sizes.collect());
        }
        let size = |name: String| self.size(&name).ok().map(|bytes| (name, bytes));
        Ok(self.files(folder, false)?.into_iter().filter_map(size).collect())
    }

    /// The names of all files in a folder and, if `deep`, in its subfolders; empty if there is no such folder. Links to
    /// folders are not followed: they may form a cycle.
    ///
    /// # Errors
    ///
    /// If it cannot be listed.
    pub(crate) fn files(&self, folder: &str, deep: bool) -> io::Result<Vec<String>> {
        let mut files = Vec::new();
        let path = match self.place.join(folder) {
            Location::Remote(remote) => {
                let names = remote.list()?.into_iter().map(|object| object.name);
                let wanted = names.filter(|name| deep || !name.contains('/'));
                return Ok(wanted.map(|name| format!("{folder}/{name}")).collect());
            }
            Location::Local(path) => path,
        };
        let entries = match fs::read_dir(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            match entry.file_type()?.is_dir() {
                false => files.push(name),
                true if deep => files.extend(self.files(&name, deep)?),
                true => {}
            }
        }
        Ok(files)
    }

    /// A new temporary file on this machine. It is removed when dropped, unless published.
    ///
    /// # Errors
    ///
    /// If it cannot be made.
    pub(crate) fn temporary(&self, name: &str) -> io::Result<TemporaryFile> {
        let process = std::process::id();
        self.faults.step(Step::BeforeCreate, name)?;
        let (folder, is_local) = (self.temporary_folder(), self.place.local().is_some());
        for attempt in 0_u32.. {
            let path = if is_local {
                folder.join(format!("{name}.{process}-{attempt}"))
            } else {
                folder.join(format!("ul2-prep-{process}-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
            };
            match new_file(!is_local).open(&path) {
                Ok(file) => {
                    if is_local && (!mark_in_use(&file) || !path.exists()) {
                        continue; // somebody took it for a leftover
                    }
                    let (name, faults) = (name.to_owned(), self.faults.clone());
                    let path = if is_local {
                        Some(path)
                    } else {
                        // An open file needs no name, and so a killed process leaves none.
                        fs::remove_file(path)?;
                        None
                    };
                    return Ok(TemporaryFile { file, name, path, bytes: 0, sha256: Sha256::new(), faults });
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no free name for a temporary file"))
    }

    /// Whether anything has this name, even a link that leads nowhere.
    ///
    /// # Errors
    ///
    /// If a store cannot be asked.
    pub(crate) fn has_name(&self, relative: &str) -> io::Result<bool> {
        match self.place.join(relative) {
            Location::Local(path) => Ok(fs::symlink_metadata(path).is_ok()),
            Location::Remote(remote) => Ok(remote.head()?.is_some()),
        }
    }

    /// Removes a file, if it exists.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub(crate) fn remove(&self, relative: &str) -> io::Result<()> {
        match self.place.join(relative) {
            Location::Local(path) => match fs::remove_file(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                removed => removed,
            },
            Location::Remote(remote) => remote.remove(),
        }
    }

    /// The shards and rejects of the first `units` units that are not in `named`, by name.
    ///
    /// # Errors
    ///
    /// If a folder cannot be listed.
    pub(crate) fn unnamed(&self, units: usize, named: &BTreeSet<&str>) -> io::Result<Vec<String>> {
        let mut unnamed = self.files(DATA, false)?;
        unnamed.extend(self.files(REJECTS, false)?);
        unnamed.retain(|name| {
            names::of_any_file(name).is_some_and(|(unit, _)| unit < units) && !named.contains(name.as_str())
        });
        Ok(unnamed)
    }

    /// Removes the leftovers of interrupted runs. Files of live processes stay, and so do files without a temporary
    /// file's name. A store has none.
    ///
    /// # Errors
    ///
    /// If a file cannot be removed, or the folder is a link.
    pub(crate) fn remove_temporaries(&self) -> io::Result<()> {
        let Location::Local(folder) = self.place.join(TEMPORARY) else { return Ok(()) };
        self.check_folders()?;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let is_temporary = entry.file_name().to_str().is_some_and(is_temporary);
            if is_temporary && entry.file_type()?.is_file() {
                remove_unless_in_use(&entry.path())?;
            }
        }
        Ok(())
    }
}

/// Most bytes of a file of the data set that is read as a whole.
pub(super) fn most(relative: &str) -> u64 {
    if relative.starts_with(COMMITS) { MOST_RECORD } else { MOST }
}

/// Whether a name under `.ul2-prep/tmp/` was made by [`DataSet::temporary`] or by the reader: `NAME.PROCESS-NUMBER`.
fn is_temporary(name: &str) -> bool {
    let numbers = match name.strip_prefix("long-lines-") {
        Some(numbers) => Some(numbers),
        None => name.rsplit_once('.').map(|(_, numbers)| numbers),
    };
    let numbers = numbers.and_then(|numbers| numbers.split_once('-'));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    numbers.is_some_and(|(process, number)| is_number(process) && is_number(number))
}

/// Numbers the files of this process.
static NEXT: AtomicU64 = AtomicU64::new(0);

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn data_set() -> (tempfile::TempDir, DataSet) {
        let folder = tempfile::tempdir().unwrap();
        let data_set = DataSet::at(folder.path());
        data_set.create_folders().unwrap();
        (folder, data_set)
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
        fs::write(data_set.temporary_folder().join("thesis.tex"), "not a name that the tool gives").unwrap();
        data_set.remove_temporaries().unwrap();
        assert_eq!(fs::read_dir(data_set.temporary_folder()).unwrap().count(), 2);
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
