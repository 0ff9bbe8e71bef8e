//! Windows. Each function does what its namesake for Unix does, as far as Windows can.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fs_err as fs;
use fs_err::os::windows::fs::OpenOptionsExt as _;
use same_file::Handle;
use tempfile::TempPath;

/// The number of SIGINT, which stands for Ctrl-C.
const CTRL_C: i32 = 2;

/// The right to remove a file: `DELETE`.
const REMOVE: u32 = 0x0001_0000;

/// Removes a file when it is closed: `FILE_FLAG_DELETE_ON_CLOSE`.
const REMOVE_ON_CLOSE: u32 = 0x0400_0000;

/// Another process has the file open: `ERROR_SHARING_VIOLATION`.
const IN_USE: i32 = 32;

/// Calls `asked` with the number of SIGINT for each Ctrl-C, in a thread. Windows has no other signal that asks: closing
/// the console or ending the task kills the process.
///
/// # Errors
///
/// If the process cannot listen for it.
pub(crate) fn listen(
    _exit_code: i32,
    _is_ending: &Arc<AtomicBool>,
    mut asked: impl FnMut(i32) + Send + 'static,
) -> io::Result<()> {
    ctrlc::set_handler(move || asked(CTRL_C)).map_err(io::Error::other)
}

/// Makes the console obey escapes; old ones cannot.
pub(crate) fn enable_escapes() {
    let _ = anstyle_query::windows::enable_ansi_colors(); // an old console shows them
}

/// The path that the rest of a `file://` URL means: `/C:/in` is `C:/in`.
#[must_use]
pub(crate) fn path_of_url(rest: &str) -> PathBuf {
    let has_drive = rest.as_bytes().get(2) == Some(&b':');
    PathBuf::from(if has_drive { &rest[1..] } else { rest })
}

/// Creates folders. The parent folder decides who may look into one: a user's folder for temporary files is private.
#[must_use]
pub(crate) fn private_folder() -> DirBuilder {
    DirBuilder::new()
}

/// Leaves a new file as it is: its folder decides who may read it.
pub(crate) fn make_private(_options: &mut fs::OpenOptions) {}

/// Leaves an opening as it is: no name in a folder is that of a pipe.
pub(crate) fn open_without_waiting(_options: &mut fs::OpenOptions) {}

/// Marks a temporary file as one of a live process: an open file is marked already. A lock would keep its own process
/// from writing.
#[must_use]
pub(crate) fn mark_in_use(_file: &fs::File) -> bool {
    true
}

/// Removes a temporary file that no live process has open. One that is in use, or is gone, is no error.
///
/// # Errors
///
/// If it cannot be removed.
pub(crate) fn remove_unless_in_use(path: &Path) -> io::Result<()> {
    let mut alone = fs::OpenOptions::new();
    alone.access_mode(REMOVE).share_mode(0).custom_flags(REMOVE_ON_CLOSE);
    match alone.options().open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound || error.raw_os_error() == Some(IN_USE) => Ok(()),
        Err(error) => {
            let message = format!("failed to remove file `{}`: {error}", path.display());
            Err(io::Error::new(error.kind(), message))
        }
    }
}

/// Does nothing: Windows has no sync of folders, and keeps names in the journal of NTFS.
///
/// # Errors
///
/// Never.
#[expect(clippy::unnecessary_wraps, reason = "the function for Unix may fail")]
pub(crate) fn sync_folder(_folder: &Path) -> io::Result<()> {
    Ok(())
}

/// Makes the bytes of a file that is open for reading survive a power cut; `path` is its name. Windows syncs only what
/// is open for writing.
///
/// # Errors
///
/// If it cannot be opened or synced.
pub(crate) fn sync_file(_file: &fs::File, path: &Path) -> io::Result<()> {
    fs::OpenOptions::new().write(true).open(path)?.sync_all()
}

/// Gives no file a second name: [`rename_new`] works on every file system here.
///
/// # Errors
///
/// Always [`ErrorKind::Unsupported`].
pub(crate) fn link_new(_path: &Path, _target: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Renames a file, unless the new name is taken.
///
/// # Errors
///
/// If the name is taken, or the file system refuses.
pub(crate) fn rename_new(path: &Path, target: &Path) -> io::Result<()> {
    let mut path = TempPath::try_from_path(path)?;
    path.disable_cleanup(true); // its owner removes it
    path.persist_noclobber(target).map_err(|error| error.error)
}

/// Whether a path names an open file.
#[must_use]
pub(crate) fn is_at(file: &fs::File, path: &Path) -> bool {
    let open = file.file().try_clone().and_then(Handle::from_file);
    matches!((open, Handle::from_path(path)), (Ok(open), Ok(named)) if open == named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_url_may_name_a_drive() {
        assert_eq!(path_of_url("/C:/in/a.jsonl"), Path::new("C:/in/a.jsonl"));
        assert_eq!(path_of_url("/in/a.jsonl"), Path::new("/in/a.jsonl"));
    }

    #[test]
    fn a_file_gets_no_second_name() {
        let error = link_new(Path::new("a"), Path::new("b")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }
}
