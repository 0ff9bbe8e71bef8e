//! The worker threads of a command.

use anyhow::{Context as _, Result};

use crate::settings::error::SettingsError;

/// The number of workers: what is asked for, or one a core.
///
/// # Errors
///
/// [`SettingsError::NoWorkers`] if none is asked for.
pub fn workers(asked: Option<usize>) -> Result<usize, SettingsError> {
    match asked {
        Some(0) => Err(SettingsError::NoWorkers),
        Some(workers) => Ok(workers),
        None => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
    }
}

/// The workers.
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
