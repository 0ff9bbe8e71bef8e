//! The state that the units of a run share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rayon::ThreadPool;

use crate::input::buffers::Buffers;
use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::output::card_fields::CardFields;
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

/// The state that the units of a run share.
pub struct Job {
    /// The plans to carry out.
    pub(crate) plans: Plans,
    /// The plan's sources, in its order, with their locations.
    pub sources: Vec<Source>,
    /// The data set to write.
    pub(crate) data_set: DataSet,
    /// Where the tokenizer is, to be recorded in the data set.
    pub(crate) inputs: Option<Inputs>,
    /// What the command says for the card.
    pub(crate) card: CardFields,
    /// Options of all shards.
    pub(crate) shard_options: ShardOptions,
    /// The state that workers share.
    pub shared: Shared,
    /// Limits on what a source may ask for.
    pub(crate) limits: Limits,
    /// How many lines of a source may be rejected.
    pub(crate) max_rejects: MaxRejects,
    /// The workers: all threads of the run.
    pub(crate) pool: ThreadPool,
    /// The most that batches in flight may weigh together ([`Batch::weight`](crate::input::batch::Batch::weight)).
    pub(crate) permits: usize,
    /// The number of workers that also read and commit.
    pub(crate) lanes: usize,
    /// Memory that batches reuse.
    pub buffers: Arc<Buffers>,
    /// How far the run is.
    pub(crate) progress: Arc<Progress>,
    /// The signal's number, once a signal has come.
    pub(crate) interrupted: Arc<AtomicUsize>,
    /// Set by the first unit that fails.
    pub(crate) failed: AtomicBool,
}

impl Job {
    /// The inputs of the end of the run, once its units are done.
    #[must_use]
    pub(crate) fn ending(&self) -> Ending<'_> {
        let Self { plans, data_set, shared, max_rejects, card, .. } = self;
        Ending {
            plans,
            data_set,
            spec: &shared.spec,
            tokenizer_path: shared.tokenizer.path(),
            max_rejects: *max_rejects,
            card: card.clone(),
        }
    }

    /// The whole plan.
    #[must_use]
    pub(crate) fn plan(&self) -> &Plan {
        self.plans.whole()
    }

    /// [`UnitError::Stopped`] if the run is to stop.
    ///
    /// # Errors
    ///
    /// See above.
    pub(crate) fn check_stop(&self) -> Result<(), UnitError> {
        let stop = self.interrupted.load(Ordering::Relaxed) != 0 || self.failed.load(Ordering::Relaxed);
        if stop { Err(UnitError::Stopped) } else { Ok(()) }
    }
}
