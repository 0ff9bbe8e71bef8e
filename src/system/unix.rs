//! Linux, macOS and other kinds of Unix.

use std::fs::{DirBuilder, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use fs_err as fs;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `asked` with the number of each SIGINT and SIGTERM, in a thread. Once `is_ending` is true, the next one ends
/// the process with the exit code `exit_code` plus its number, even if that thread waits for a terminal.
///
/// # Errors
///
/// If the process cannot listen for them.
pub(crate) fn listen(
    exit_code: i32,
    is_ending: &Arc<AtomicBool>,
    asked: impl FnMut(i32) + Send + 'static,
) -> io::Result<()> {
    for number in [SIGINT, SIGTERM] {
        signal_hook::flag::register_conditional_shutdown(number, exit_code + number, is_ending.clone())?;
    }
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let wait = move || signals.forever().for_each(asked);
    std::thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    Ok(())
}

/// Makes the terminal obey escapes: here it does.
pub(crate) fn enable_escapes() {}

/// The path that the rest of a `file://` URL means.
#[must_use]
pub(crate) fn path_of_url(rest: &str) -> PathBuf {
    PathBuf::from(rest)
}

/// Creates folders that only their owner may look into.
#[must_use]
pub(crate) fn private_folder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

/// Makes a new file one that only its owner may read.
pub(crate) fn make_private(options: &mut fs::OpenOptions) {
    options.mode(0o600);
}

/// Lets an opening not wait: a name may be that of a pipe.
pub(crate) fn open_without_waiting(options: &mut fs::OpenOptions) {
    options.custom_flags(libc::O_NONBLOCK);
}

/// Marks a temporary file as one of a live process, by a lock: the system unlocks it when the process ends, however it
/// ends. Returns `false` if another process is about to remove the file. On a file system without locks there is no
/// mark, and [`remove_unless_in_use`] takes the file for a leftover.
#[must_use]
pub(crate) fn mark_in_use(file: &fs::File) -> bool {
    !matches!(file.file().try_lock_shared(), Err(TryLockError::WouldBlock))
}

/// Removes a temporary file that no live process has open. One that is in use, or is gone, is no error.
///
/// # Errors
///
/// If it cannot be removed.
pub(crate) fn remove_unless_in_use(path: &Path) -> io::Result<()> {
    let is_in_use = |file: &fs::File| matches!(file.file().try_lock(), Err(TryLockError::WouldBlock));
    let removed = match fs::File::open(path) {
        Ok(file) if is_in_use(&file) => return Ok(()),
        // The lock holds while the name goes.
        _ => fs::remove_file(path),
    };
    removed.or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

/// Makes the names in a folder survive a power cut.
///
/// # Errors
///
/// If the folder cannot be opened or synced.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

/// Makes the bytes of a file that is open for reading survive a power cut; `_path` is its name.
///
/// # Errors
///
/// If it cannot be synced.
pub(crate) fn sync_file(file: &fs::File, _path: &Path) -> io::Result<()> {
    file.sync_all()
}

/// Gives a file a second name, unless that is taken.
///
/// # Errors
///
/// If the name is taken, or the file system refuses.
pub(crate) fn link_new(path: &Path, target: &Path) -> io::Result<()> {
    fs::hard_link(path, target)
}

/// Renames a file, unless the new name is taken.
///
/// # Errors
///
/// If the name is taken, or the file system cannot do so.
#[cfg(any(target_os = "linux", target_vendor = "apple"))]
pub(crate) fn rename_new(path: &Path, target: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, path, CWD, target, RenameFlags::NOREPLACE)?)
}

/// Renames a file, unless the new name is taken: other systems cannot.
///
/// # Errors
///
/// Always.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
pub(crate) fn rename_new(_path: &Path, _target: &Path) -> io::Result<()> {
    Err(ErrorKind::Unsupported.into())
}

/// Whether a path names an open file.
#[must_use]
pub(crate) fn is_at(file: &fs::File, path: &Path) -> bool {
    let number = |metadata: std::fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(number).ok() == fs::symlink_metadata(path).map(number).ok()
}
