//! How files of a data set get their final names: whole, synced, and never half written.

use std::io::{self, ErrorKind, Seek as _, Write as _};

use fs_err as fs;

use crate::digest;
use crate::files::bounded;
use crate::output::data_set::{DataSet, most};
use crate::output::error::NoNewNames;
use crate::output::faults::Step;
use crate::output::temporary::{TemporaryFile, sync_folder_of};
use crate::store::{Created, Location};
use crate::system::{is_at, sync_file};

impl DataSet {
    /// Syncs a temporary file and gives it its final name, unless a file has that name: then returns the temporary
    /// file.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or named.
    pub(crate) fn publish_new(&self, mut file: TemporaryFile, relative: &str) -> io::Result<Published> {
        let target = match self.place.join(relative) {
            Location::Local(target) => target,
            Location::Remote(remote) if remote.head()?.is_some() => return Ok(Published::Taken(file)),
            Location::Remote(remote) => {
                let is_put = file.put(&remote, true)?;
                return Ok(if is_put { Published::New(None) } else { Published::Taken(file) });
            }
        };
        let opened = Some(file.file.try_clone()?);
        file.sync()?;
        let Some(path) = file.path.as_ref() else { return Err(io::Error::other("the temporary file is gone")) };
        match self.faults.link(path, &target) {
            Ok(()) => {}
            // The reply to a successful link may be lost: the file's presence counts.
            Err(_) if fs::symlink_metadata(&target).is_ok() => return Ok(Published::Taken(file)),
            Err(cause) if has_no_links(&cause) => match self.faults.rename_new(path, &target) {
                Ok(()) => file.path = None,
                Err(_) if fs::symlink_metadata(&target).is_ok() => return Ok(Published::Taken(file)),
                // Linking into a folder without write permission gives the same error.
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Err(cause),
                Err(_) => return Err(NoNewNames { folder: self.place.to_string(), cause }.into()),
            },
            Err(error) => return Err(error),
        }
        file.sync_folder_of(&target).map(|()| Published::New(opened))
    }

    /// Gives a file its name back if another process has put another file there meanwhile.
    ///
    /// # Errors
    ///
    /// If it cannot be read, written or named.
    pub(crate) fn keep(&self, file: &fs::File, relative: &str) -> io::Result<()> {
        if self.place.local().is_none() || is_at(file, &self.path(relative)) {
            return Ok(());
        }
        let (mut from, mut again) = (file.try_clone()?, self.temporary(&relative.replace('/', "-"))?);
        from.rewind()?;
        io::copy(&mut from, &mut again)?;
        self.publish(again, relative)
    }

    /// Whether a file has the same bytes as a temporary one. If so, it is synced, to survive a power cut.
    ///
    /// # Errors
    ///
    /// If it cannot be read or synced.
    pub(crate) fn holds(&self, relative: &str, file: &TemporaryFile) -> io::Result<bool> {
        // A pipe and a dangling link have no size.
        if self.size(relative).ok() != Some(file.bytes) {
            return Ok(false);
        }
        let mut found = self.open_file(relative)?;
        let (_, sha256) = digest::read(&mut found)?;
        let is_same = digest::hex(&sha256) == file.sha256();
        if let (true, Location::Local(path)) = (is_same, self.place.join(relative)) {
            sync_file(&found, &path)?;
            sync_folder_of(&path)?;
        }
        Ok(is_same)
    }

    /// Syncs a temporary file and gives it its final name. It replaces a file of that name.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or renamed.
    pub(crate) fn publish(&self, file: TemporaryFile, relative: &str) -> io::Result<()> {
        self.publish_unless(file, relative, || Ok(false))
    }

    /// The same, unless `is_too_late` is true when everything is ready for the name.
    ///
    /// # Errors
    ///
    /// If it cannot be synced or renamed.
    pub(crate) fn publish_unless<E: From<io::Error>>(
        &self,
        mut file: TemporaryFile,
        relative: &str,
        is_too_late: impl FnOnce() -> Result<bool, E>,
    ) -> Result<(), E> {
        let target = match self.place.join(relative) {
            Location::Local(target) => target,
            Location::Remote(_) if is_too_late()? => return Ok(()),
            Location::Remote(remote) => return Ok(file.put(&remote, false).map(drop)?),
        };
        file.sync()?;
        if is_too_late()? {
            return Ok(());
        }
        if let Some(path) = file.path.take()
            && let Err(error) = fs::rename(&path, &target)
        {
            file.path = Some(path);
            return Err(error.into());
        }
        Ok(file.sync_folder_of(&target)?)
    }

    /// Writes a small file atomically, replacing a file of that name.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub(crate) fn replace(&self, relative: &str, bytes: &[u8]) -> io::Result<()> {
        self.check_size(relative, bytes)?;
        let mut file = self.temporary(&relative.replace('/', "-"))?;
        file.write_all(bytes)?;
        match self.publish(file, relative) {
            // Another process that finishes the same data set may have removed the temporary file as a leftover, and
            // has written this one.
            Err(error) if error.kind() == ErrorKind::NotFound && self.read(relative)?.as_deref() == Some(bytes) => {
                Ok(())
            }
            published => published,
        }
    }

    /// Writes a small file atomically, unless a file has that name: the first writer wins, the other reads.
    ///
    /// # Errors
    ///
    /// If it cannot be written, or the existing file cannot be read.
    pub(crate) fn create_only(&self, relative: &str, bytes: &[u8]) -> io::Result<Created> {
        self.check_size(relative, bytes)?;
        if let Location::Remote(remote) = self.place.join(relative) {
            self.faults.step(Step::BeforeName, relative)?;
            let created = remote.create(bytes, most(relative))?;
            self.faults.step(Step::AfterName, relative)?;
            return Ok(created);
        }
        let mut file = self.temporary(&relative.replace('/', "-"))?;
        file.write_all(bytes)?;
        match self.publish_new(file, relative)? {
            Published::New(_) => Ok(Created::New),
            Published::Taken(_) => Ok(Created::Existing(bounded::read(&self.path(relative), most(relative))?)),
        }
    }

    /// Refuses to write a file that could not be read again.
    fn check_size(&self, relative: &str, bytes: &[u8]) -> io::Result<()> {
        let most = most(relative);
        let shown = || format!("`{}`", self.path(relative).display());
        if bytes.len() as u64 > most { Err(bounded::too_large(&shown(), most)) } else { Ok(()) }
    }
}

/// The result of naming a file if the name is free.
#[derive(Debug)]
pub(crate) enum Published {
    /// It has the name; on this machine it is still open.
    New(Option<fs::File>),
    /// Another file has the name; this is the temporary file.
    Taken(TemporaryFile),
}

/// Whether a failed link shows that the file system has no hard links.
fn has_no_links(error: &io::Error) -> bool {
    // Linux reports EPERM for FAT, and EOPNOTSUPP, ENOSYS or EMLINK for others.
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported | ErrorKind::TooManyLinks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_second_reads_what_the_first_wrote() {
        let folder = tempfile::tempdir().unwrap();
        let data_set = DataSet::at(folder.path());
        data_set.create_folders().unwrap();
        assert_eq!(data_set.create_only("a.json", b"first").unwrap(), Created::New);
        assert_eq!(data_set.create_only("a.json", b"second").unwrap(), Created::Existing(b"first".to_vec()));
        assert_eq!(fs::read_dir(data_set.temporary_folder()).unwrap().count(), 0);
    }
}
