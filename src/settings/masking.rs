//! How to mask: everything that makes rows, for any sources.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::Result;

use crate::denoise::Spec;
use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::output::card_fields::CardFields;
use crate::output::data_set::DataSet;
use crate::output::encode::RowGroupEncoder;
use crate::output::encoding::PageFormat;
use crate::output::schema::{self, RowFormat};
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::{Fields, Shared};
use crate::pipeline::job::Job;
use crate::pipeline::memory;
use crate::pipeline::progress::Progress;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::chain::Plans;
use crate::plan::inputs::Inputs;
use crate::settings::threads::pool;
use crate::tokenize::Tokenizer;

/// How to mask.
pub struct Masking {
    /// Everything that decides rows.
    pub spec: Spec,
    /// The columns of rows and how they are written.
    pub(crate) format: RowFormat,
    /// Turns text into ids.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Where the tokenizer is, to be recorded in the data set. `None` if it is embedded, or if it came from a web
    /// address, which may hold a secret.
    pub(crate) tokenizer_place: Option<String>,
    /// The number of worker threads.
    pub(crate) workers: usize,
    /// Limits on what a source may ask for.
    pub(crate) limits: Limits,
}

impl Masking {
    /// The job that makes units of plans, from their sources.
    ///
    /// # Errors
    ///
    /// If the workers cannot be started.
    pub(crate) fn job(
        self,
        data_set: DataSet,
        plans: Plans,
        sources: Vec<Source>,
        max_rejects: MaxRejects,
        interrupted: Arc<AtomicUsize>,
    ) -> Result<Job> {
        let Self { spec, format, tokenizer, tokenizer_place, workers, limits, .. } = self;
        let plan = plans.whole();
        let (shared, shard_options) = shared(spec, format, tokenizer, plan.pages(), plan.shard_bytes)?;
        let pool = pool(workers)?;
        Ok(Job {
            shard_options,
            plans,
            sources,
            data_set,
            inputs: tokenizer_place.map(|tokenizer| Inputs { tokenizer, ..Inputs::default() }),
            card: CardFields::default(),
            shared,
            limits,
            max_rejects,
            pool,
            permits: memory::permits(workers),
            lanes: memory::lanes(workers),
            buffers: Arc::default(),
            progress: Arc::new(Progress::default()),
            interrupted,
            failed: AtomicBool::new(false),
        })
    }
}

/// The state that workers share, and how they encode shards of at most `shard_bytes`.
///
/// # Errors
///
/// If Parquet refuses the format.
pub(crate) fn shared(
    spec: Spec,
    format: RowFormat,
    tokenizer: Box<dyn Tokenizer>,
    pages: PageFormat,
    shard_bytes: u64,
) -> Result<(Shared, ShardOptions)> {
    let properties = schema::properties(&spec, pages)?;
    let encoder = RowGroupEncoder::new(format.clone(), properties.clone())?;
    let shared = Shared { fields: Fields::new(&spec), spec, tokenizer, encoder, scratches: Mutex::default() };
    let options = ShardOptions { shard_bytes, format, properties };
    Ok((shared, options))
}
