//! Faults on purpose: what a power cut, a kill, a full disk or a lost reply does, at a step that a test picks.
//!
//! The steps of a file are numbered as they come. A run with one worker takes them in the same order each time, so a test can go
//! through all of them (`docs/reliability.md`).

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A step on a file's way to its final name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Before the file is made.
    BeforeCreate,
    /// After its last byte is written, before it is synced.
    BeforeSync,
    /// After it is synced, before it has its name.
    BeforeName,
    /// After it has its name, before its folder is synced.
    AfterName,
    /// After its folder is synced.
    AfterFolderSync,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::BeforeCreate => "before create",
            Self::BeforeSync => "before sync",
            Self::BeforeName => "before name",
            Self::AfterName => "after name",
            Self::AfterFolderSync => "after folder sync",
        })
    }
}

/// The fault that a test asked for, if it asked for one.
#[derive(Debug, Clone, Default)]
pub struct Faults(Option<Arc<Planned>>);

#[derive(Debug)]
struct Planned {
    action: Action,
    /// Steps or bytes before it happens.
    left: AtomicU64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    /// The process ends at a step, as by SIGKILL.
    Abort,
    /// A step says that it failed, once. What comes after the name has happened all the same: a lost reply.
    Fail,
    /// The disk has room for so many bytes.
    Full,
}

impl FromStr for Faults {
    type Err = String;

    /// `abort:STEP`, `fail:STEP` or `full:BYTES`; steps are counted from 0.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("expected `abort:STEP`, `fail:STEP` or `full:BYTES`, found `{text}`");
        let (action, number) = text.split_once(':').ok_or_else(expected)?;
        let action = match action {
            "abort" => Action::Abort,
            "fail" => Action::Fail,
            "full" => Action::Full,
            _ => return Err(expected()),
        };
        let left = AtomicU64::new(number.parse().map_err(|_| expected())?);
        Ok(Self(Some(Arc::new(Planned { action, left }))))
    }
}

impl Faults {
    /// A step is taken: nothing, or the fault.
    ///
    /// # Errors
    ///
    /// The fault, if it is one of [`fail`](Faults::from_str).
    pub(super) fn step(&self, step: Step, file: &str) -> io::Result<()> {
        let Some(planned) = &self.0 else { return Ok(()) };
        if planned.action == Action::Full || planned.left.fetch_sub(1, Ordering::Relaxed) != 0 {
            return Ok(());
        }
        if planned.action == Action::Abort {
            std::process::abort();
        }
        Err(io::Error::other(format!("fault on purpose {step} of `{file}`")))
    }

    /// How many of `bytes` bytes may be written.
    ///
    /// # Errors
    ///
    /// If the disk is to be full.
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
