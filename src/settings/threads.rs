//! The worker threads of a command.

use anyhow::{Context as _, Result};

use crate::settings::error::SettingsError;

/// The number of workers: the number asked for, or one a core.
///
/// # Errors
///
/// [`SettingsError::NoWorkers`] if the number is 0.
pub(crate) fn workers(asked: Option<usize>) -> Result<usize, SettingsError> {
    match asked {
        Some(0) => Err(SettingsError::NoWorkers),
        Some(workers) => Ok(workers),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// Starts the worker threads.
///
/// # Errors
///
/// If they cannot be started.
pub fn pool(workers: usize) -> Result<rayon::ThreadPool> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|worker| format!("worker-{worker}"))
        .build()
        .context("cannot start the workers")
}
