//! From arguments and recipe to a job. The only reader of the environment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::cli::masking::MaskingArgs;
use crate::cli::values::Split;
use crate::denoise::{Denoiser, Spec};
use crate::input::reader::Limits;
use crate::input::source::{Discovered, Source, discover};
use crate::numbers::counted;
use crate::output::data_set::DataSet;
use crate::output::encode::RowGroupEncoder;
use crate::output::encoding::PageFormat;
use crate::output::schema::{self, Column, RowFormat};
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::{Fields, Shared};
use crate::pipeline::job::Job;
use crate::pipeline::memory;
use crate::pipeline::progress::Progress;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::chain::{Earlier, Extend, Plans};
use crate::plan::inputs::{Inputs, noted_place};
use crate::plan::{Cutting, Plan};
use crate::recipe::{ModeToken, Recipe};
use crate::settings::data_set::data_set;
use crate::settings::environment::cutting;
use crate::settings::error::SettingsError;
use crate::settings::spec::resolve;
use crate::settings::tokenizer::{names, tokenizer, tokenizer_file};
use crate::store::Location;
use crate::tokenize::file::BYTES;
use crate::tokenize::{Tokenizer, TokenizerNames, TokenizerPath};
pub mod data_set;
pub mod environment;
pub mod error;
pub mod preview;
pub mod spec;
pub mod tokenizer;

/// What was asked for, resolved and checked.
pub struct Settings {
    /// Everything that decides rows.
    pub spec: Spec,
    /// What rows are made of.
    pub format: RowFormat,
    /// Text to ids.
    pub tokenizer: Box<dyn Tokenizer>,
    /// Where it is, to be noted in the data set. `None` if it is embedded, or if the place is a web address, which may hold a secret.
    pub tokenizer_place: Option<String>,
    /// The sources, in the order of names.
    pub sources: Vec<Source>,
    /// The names of files beside them that look like sources and are none.
    pub passed_over: Vec<String>,
    /// What will be done.
    pub plan: Plan,
    /// How sources are cut into its units.
    pub cutting: Cutting,
    /// Worker threads.
    pub workers: usize,
    /// What a source may ask for.
    pub limits: Limits,
    /// What a person should know before the run, since it is likely not meant.
    pub warnings: Vec<String>,
    /// What a person may want to know.
    pub notes: Vec<String>,
}

impl Settings {
    /// Resolves the arguments: reads the recipe and the tokenizer, finds the sources, writes nothing.
    ///
    /// # Errors
    ///
    /// Anything that makes the run impossible.
    pub fn new(args: &MaskingArgs) -> Result<Self> {
        let MaskingArgs {
            sources,
            tokenizer,
            tokenizer_path,
            spec,
            recipe,
            strict_sentinels,
            columns,
            encoding,
            compression,
            workers,
            limits,
            shard_size,
            split,
        } = args;
        let recipe = Recipe::find(recipe)?;
        let file = tokenizer_file(tokenizer.as_deref().unwrap_or(BYTES))?;
        if *tokenizer_path == TokenizerPath::Oracle && file.as_ref().is_some_and(|file| !file.has_oracle()) {
            return Err(SettingsError::NoOracle.into());
        }
        let spec = resolve(&recipe, names(file.as_ref()), spec)?;
        let mut warnings = alike_mode_tokens(spec.denoisers());
        let mut notes = Vec::from_iter(switched_off(names(file.as_ref())));
        spelled_mode_tokens(names(file.as_ref()), &recipe, &mut warnings, &mut notes)?;
        if *strict_sentinels && let Some(shortening) = spec.shortenings().next() {
            return Err(SettingsError::TooFewSentinels {
                denoiser: shortening.denoiser.clone(),
                needed: shortening.sentinels_needed,
                length: shortening.full_segment_length,
                sentinels: shortening.sentinels,
            }
            .into());
        }
        let tokenizer_place = tokenizer.as_deref().map(noted_place).transpose()?.flatten();
        let tokenizer = self::tokenizer(file, &spec, *tokenizer_path);
        let format = RowFormat::new(&spec, columns.as_deref())?;
        warnings.extend(missing_columns(&format));
        let Discovered { sources, passed_over } = discover(sources)?;
        let cutting = cutting(split.unwrap_or(Split::None))?;
        let pages = PageFormat { encoding: *encoding, compression: *compression };
        let plan = Plan::new(&spec, &format, pages, &sources, *shard_size, cutting);
        let plan = Plan { passed_over: passed_over.len() as u64, ..plan };
        let workers = self::workers(*workers)?;
        Ok(Self {
            spec,
            format,
            tokenizer,
            tokenizer_place,
            sources,
            passed_over,
            plan,
            cutting,
            workers,
            limits: limits.limits(),
            warnings,
            notes,
        })
    }

    /// The job that writes the data set.
    ///
    /// # Errors
    ///
    /// If the folder holds something else, or the workers cannot be started.
    pub fn into_job(
        mut self,
        out: &Location,
        extend: bool,
        max_rejects: MaxRejects,
        interrupted: Arc<AtomicUsize>,
    ) -> Result<Job> {
        let data_set = data_set(out)?;
        let extend = extend.then_some(Extend { cutting: self.cutting, earlier: Earlier::GivesWay });
        let plans = Plans::resolve(&data_set, self.plan.clone(), extend)?;
        let sources = plans.sources(std::mem::take(&mut self.sources), &data_set)?;
        self.job(data_set, plans, sources, max_rejects, interrupted)
    }

    /// The job that makes units of plans, from their sources.
    ///
    /// # Errors
    ///
    /// If the workers cannot be started.
    pub fn job(
        self,
        data_set: DataSet,
        plans: Plans,
        sources: Vec<Source>,
        max_rejects: MaxRejects,
        interrupted: Arc<AtomicUsize>,
    ) -> Result<Job> {
        let Self { spec, format, tokenizer, tokenizer_place, workers, limits, .. } = self;
        let (shared, shard_options) = shared(spec, format, tokenizer, plans.whole())?;
        let pool = pool(workers)?;
        Ok(Job {
            shard_options,
            plans,
            sources,
            data_set,
            inputs: tokenizer_place.map(|tokenizer| Inputs { tokenizer, sources: BTreeMap::new() }),
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

/// What workers share, and how they encode the shards of a plan.
///
/// # Errors
///
/// If Parquet refuses the format.
pub fn shared(
    spec: Spec,
    format: RowFormat,
    tokenizer: Box<dyn Tokenizer>,
    plan: &Plan,
) -> Result<(Shared, ShardOptions)> {
    let properties = schema::properties(&spec, plan.pages())?;
    let encoder = RowGroupEncoder::new(format.clone(), properties.clone())?;
    let shared = Shared { fields: Fields::new(&spec), spec, tokenizer, encoder, scratches: Mutex::default() };
    let options = ShardOptions { shard_bytes: plan.shard_bytes, format, properties };
    Ok((shared, options))
}

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

/// Rows that no trainer can use.
fn missing_columns(format: &RowFormat) -> Option<String> {
    let missing: Vec<&str> = [Column::InputIds, Column::Labels]
        .into_iter()
        .filter(|id| !format.columns.contains(id))
        .map(Column::name)
        .collect();
    (!missing.is_empty())
        .then(|| format!("the columns are without `{}`: the rows cannot be trained on", missing.join("` and `")))
}

/// What the tokenizer's file asks for that no run does: it would lose text, or give a text other ids each time.
fn switched_off(names: &dyn TokenizerNames) -> Option<String> {
    let what = names.switched_off();
    (!what.is_empty()).then(|| format!("the tokenizer's file asks for {}: switched off", what.join(" and ")))
}

/// Mode tokens by text that are not tokens of the file, so that ordinary pieces spell them. The released checkpoints have theirs in square
/// brackets; a text in angle brackets is hardly ever meant to be spelled. The embedded tokenizer spells all.
fn spelled_mode_tokens(
    names: &dyn TokenizerNames,
    recipe: &Recipe,
    warnings: &mut Vec<String>,
    notes: &mut Vec<String>,
) -> Result<()> {
    if names.identity().kind == BYTES {
        return Ok(());
    }
    let texts: BTreeSet<&str> = recipe
        .denoisers
        .iter()
        .filter_map(|denoiser| match &denoiser.mode_token {
            Some(ModeToken::Text(text)) if !names.is_added(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    for (open, close, said) in [('<', '>', warnings), ('[', ']', notes)] {
        let mut spelled = Vec::new();
        for text in texts.iter().filter(|text| text.starts_with(open) && text.ends_with(close)) {
            let ids = names.pieces(text).with_context(|| format!("mode token `{text}`"))?;
            if ids.len() != 1 {
                spelled.push(format!("`{text}` becomes {}", counted(ids.len() as u64, "id")));
            }
        }
        if !spelled.is_empty() {
            said.push(format!(
                "mode tokens that are not tokens of the tokenizer are spelled as text: {}",
                spelled.join(", ")
            ));
        }
    }
    Ok(())
}

/// Two families that a model could not tell apart.
fn alike_mode_tokens(denoisers: &[Denoiser]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (index, first) in denoisers.iter().enumerate() {
        for second in &denoisers[index + 1..] {
            if first.mode != second.mode && !first.mode_token.is_empty() && first.mode_token == second.mode_token {
                warnings.push(format!(
                    "the mode tokens of `{}` ({}) and `{}` ({}) are the same ids {:?}",
                    first.name, first.mode, second.name, second.mode, first.mode_token
                ));
            }
        }
    }
    warnings
}
