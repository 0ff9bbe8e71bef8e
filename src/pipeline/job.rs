//! All that the units of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::ThreadPool;

use crate::input::buffers::Buffers;
use crate::input::reader::Limits;
use crate::input::source::Source;
use crate::output::data_set::DataSet;
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::Shared;
use crate::pipeline::error::UnitError;
use crate::pipeline::finish::Ending;
use crate::pipeline::progress::Progress;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::Plan;
use crate::plan::chain::Plans;
use crate::plan::inputs::Inputs;

/// All that the units of a run share.
pub struct Job {
    /// What to do.
    pub plans: Plans,
    /// The plan's sources in its order, and where they are.
    pub sources: Vec<Source>,
    /// Where to.
    pub data_set: DataSet,
    /// Where the tokenizer is, to be noted in the data set.
    pub inputs: Option<Inputs>,
    /// What shards have in common.
    pub shard_options: ShardOptions,
    /// What workers share.
    pub shared: Shared,
    /// What sources may ask for.
    pub limits: Limits,
    /// How many bad lines a source may have.
    pub max_rejects: MaxRejects,
    /// The workers: all threads of the run.
    pub pool: ThreadPool,
    /// What batches on their way weigh together, at most ([`Batch::weight`](crate::input::batch::Batch::weight)).
    pub permits: usize,
    /// Workers that also read and commit.
    pub lanes: usize,
    /// Memory that batches hand on.
    pub buffers: Arc<Buffers>,
    /// How far it is.
    pub progress: Arc<Progress>,
    /// Set by a signal.
    pub interrupted: Arc<AtomicUsize>,
    /// Set by the first unit that fails.
    pub failed: AtomicBool,
}

impl Job {
    /// What finishes the data set once its units are done.
    #[must_use]
    pub fn ending(&self) -> Ending<'_> {
        let Self { plans, data_set, shared, max_rejects, .. } = self;
        Ending {
            plans,
            data_set,
            spec: &shared.spec,
            tokenizer_path: shared.tokenizer.path(),
            max_rejects: *max_rejects,
        }
    }

    /// All that is to be done.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        self.plans.whole()
    }

    /// [`UnitError::Stopped`] if the run is to stop.
    ///
    /// # Errors
    ///
    /// See above.
    pub fn check_stop(&self) -> Result<(), UnitError> {
        let stop = self.interrupted.load(Ordering::Relaxed) != 0 || self.failed.load(Ordering::Relaxed);
        if stop { Err(UnitError::Stopped) } else { Ok(()) }
    }
}
