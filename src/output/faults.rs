//! Deliberate faults: imitates a power cut, a kill, a full disk or a lost reply at a step that a test picks.
//!
//! The steps of a file are numbered in the order they happen. A run with one worker takes them in the same order each
//! time, so a test can go through all of them (`docs/internals/testing.md`).

use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use crate::system::{link_new, rename_new};

/// A step on a file's way to its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Before the file is created.
    BeforeCreate,
    /// After its last byte is written, before it is synced.
    BeforeSync,
    /// After it is synced, before it gets its name.
    BeforeName,
    /// After it has its name, before its folder is synced.
    AfterName,
    /// After its folder is synced.
    AfterFolderSync,
    /// Before the sync of a folder whose names another process may have made.
    BeforeSettle,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BeforeCreate => "before create",
            Self::BeforeSync => "before sync",
            Self::BeforeName => "before name",
            Self::AfterName => "after name",
            Self::AfterFolderSync => "after folder sync",
            Self::BeforeSettle => "before settle",
        })
    }
}

/// The fault that a test asks for, if any.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults(Option<Arc<Planned>>);

#[derive(Debug)]
struct Planned {
    action: Action,
    /// Steps or bytes before it happens.
    left: AtomicU64,
    /// The duration of a slow step.
    pause: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The process ends at a step, as by SIGKILL.
    Abort,
    /// A step reports a failure, once. If the failure comes after the naming, the file has its name all the same: a
    /// lost reply.
    Fail,
    /// The disk has room for this many bytes.
    Full,
    /// A step takes long.
    Slow,
    /// The file system has no hard links; from 1 on it also has no rename that keeps an existing file.
    Links,
}

impl FromStr for Faults {
    type Err = String;

    /// `abort:STEP`, `fail:STEP`, `slow:STEP:MILLISECONDS`, `full:BYTES` or `links:LACKS`; steps are counted from 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || {
            format!(
                "expected `abort:STEP`, `fail:STEP`, `slow:STEP:MILLISECONDS`, `full:BYTES` or `links:LACKS`, found `{text}`"
            )
        };
        let (action, number) = text.split_once(':').ok_or_else(expected)?;
        let (number, pause) = match number.split_once(':') {
            Some((number, pause)) if action == "slow" => (number, pause.parse().map_err(|_| expected())?),
            _ => (number, 0),
        };
        let pause = Duration::from_millis(pause);
        let action = match action {
            "abort" => Action::Abort,
            "fail" => Action::Fail,
            "full" => Action::Full,
            "slow" => Action::Slow,
            "links" => Action::Links,
            _ => return Err(expected()),
        };
        let left = AtomicU64::new(number.parse().map_err(|_| expected())?);
        Ok(Self(Some(Arc::new(Planned { action, left, pause }))))
    }
}

impl Faults {
    /// Takes a step: does nothing, or triggers the fault.
    ///
    /// # Errors
    ///
    /// The fault, if it is a [`fail`](Faults::from_str).
    pub(super) fn step(&self, step: Step, file: &str) -> io::Result<()> {
        let Some(planned) = &self.0 else { return Ok(()) };
        if matches!(planned.action, Action::Full | Action::Links) || planned.left.fetch_sub(1, Ordering::Relaxed) != 0 {
            return Ok(());
        }
        match planned.action {
            Action::Abort => std::process::abort(),
            Action::Slow => {
                std::thread::sleep(planned.pause);
                Ok(())
            }
            _ => Err(io::Error::other(format!("fault on purpose {step} of `{file}`"))),
        }
    }

    /// What the file system lacks: 0 for hard links, 1 also for a rename that keeps an existing file.
    fn lacks(&self) -> Option<u64> {
        let planned = self.0.as_ref().filter(|planned| planned.action == Action::Links)?;
        Some(planned.left.load(Ordering::Relaxed))
    }

    /// Gives a file a second name, unless that is taken.
    ///
    /// # Errors
    ///
    /// If the file system refuses, or the fault makes it refuse as FAT does.
    pub(super) fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        match self.lacks() {
            None => link_new(path, target),
            Some(_) => Err(io::Error::new(io::ErrorKind::PermissionDenied, "fault on purpose: no hard links")),
        }
    }

    /// Renames a file, unless the new name is taken.
    ///
    /// # Errors
    ///
    /// If the file system cannot do so, or the fault says so.
    pub(super) fn rename_new(&self, path: &Path, target: &Path) -> io::Result<()> {
        if self.lacks().is_some_and(|lacks| lacks > 0) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "fault on purpose: no such rename"));
        }
        rename_new(path, target)
    }

    /// How many of `bytes` bytes may be written.
    ///
    /// # Errors
    ///
    /// If the fault makes the disk full.
    pub(super) fn room(&self, bytes: usize) -> io::Result<usize> {
        let Some(planned) = self.0.as_ref().filter(|planned| planned.action == Action::Full) else { return Ok(bytes) };
        let take = |left: u64| left.checked_sub(left.min(bytes as u64));
        let left = planned.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_default();
        match usize::try_from(left).unwrap_or(usize::MAX).min(bytes) {
            0 if bytes > 0 => Err(io::Error::new(io::ErrorKind::StorageFull, "fault on purpose: no space left")),
            room => Ok(room),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_fails_once() {
        let faults: Faults = "fail:1".parse().unwrap();
        let failed = [0; 4].map(|_| faults.step(Step::BeforeSync, "x").is_err());
        assert_eq!(failed, [false, true, false, false]);
    }

    #[test]
    fn a_disk_has_room_for_so_many_bytes() {
        let faults: Faults = "full:10".parse().unwrap();
        assert_eq!(faults.room(7).unwrap(), 7);
        assert_eq!(faults.room(7).unwrap(), 3);
        assert_eq!(faults.room(7).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(Faults::default().room(7).unwrap(), 7);
        for bad in ["", "full", "full:x", "other:1"] {
            assert!(bad.parse::<Faults>().is_err());
        }
    }
}
