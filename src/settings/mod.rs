//! From arguments and recipe to a job. The only reader of the environment.

pub mod preview;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::cli::{MaskingArgs, SpecArgs, Split, When};
use crate::denoise::{
    Causal, Denoiser, EosPolicy, Layout, MASKING_VERSION, MultipleChoice, NoisePattern, SSentinel, Seed, Spec,
    SpecError, SpecFields, Vocabulary,
};
use crate::files::private::Spool;
use crate::input::reader::Limits;
use crate::input::source::{Discovered, Source, discover};
use crate::output::data_set::DataSet;
use crate::output::encode::RowGroupEncoder;
use crate::output::encoding::PageFormat;
use crate::output::faults::Faults;
use crate::output::schema::{self, Column, RowFormat};
use crate::output::unit_writer::ShardOptions;
use crate::pipeline::documents::Fields;
use crate::pipeline::masker::Shared;
use crate::pipeline::memory;
use crate::pipeline::progress::Progress;
use crate::pipeline::reject_limit::MaxRejects;
use crate::pipeline::run::Job;
use crate::plan::chain::{Earlier, Extend, Plans};
use crate::plan::inputs::{Inputs, noted_place};
use crate::plan::{Cutting, Plan};
use crate::recipe::{ModeToken, Prompts, Recipe, RecipeDenoiser, RecipeError, RowLayout};
use crate::report;
use crate::report::examples::{Style, View};
use crate::store::Location;
use crate::tokenize::bytes::{ByteNames, ByteTokenizer};
use crate::tokenize::config::CONFIG_NAME;
use crate::tokenize::file::{BYTES, MAX_FILE, TokenizerFile, names_in_folder};
use crate::tokenize::names::{NUMBER, SENTINEL_PATTERNS, of_role, sentinels};
use crate::tokenize::{Role, Tokenizer, TokenizerNames, TokenizerPath};

/// Most ids of a sequence, if neither the command line nor the recipe says it.
const DEFAULT_LENGTH: u32 = 512;

/// Fewest tokens of a segment, if the recipe does not say it.
const DEFAULT_MIN_SEGMENT: u32 = 2;

/// Where the text is, if neither the command line nor the recipe says it.
const TEXT_FIELD: &str = "text";

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

/// Why settings do not go together.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// A token given by name that the tokenizer does not have.
    #[error("the tokenizer has no token `{token}` (`{flag}`)")]
    NoSuchToken {
        /// The name.
        token: String,
        /// The flag.
        flag: &'static str,
    },
    /// A token that the configuration beside the tokenizer names, and the tokenizer does not have.
    #[error("the tokenizer has no token `{token}`, which `{key}` of its `{CONFIG_NAME}` names")]
    NoConfiguredToken {
        /// The name.
        token: String,
        /// The key of the configuration.
        key: &'static str,
        /// The flag that names another one.
        flag: &'static str,
    },
    /// Sentinels by a pattern of the recipe that finds none.
    #[error("the tokenizer has no token that the recipe's `sentinels` name: `{}`", patterns.join("`, `"))]
    NoSuchSentinels {
        /// The patterns.
        patterns: Vec<String>,
    },
    /// A sentinel given by its whole name that the tokenizer does not have.
    #[error("{file}:{line}: the tokenizer has no token `{token}` (`sentinels`)")]
    NoSuchSentinel {
        /// The recipe's name or path.
        file: String,
        /// 1-based line.
        line: usize,
        /// The name.
        token: String,
    },
    /// Something that only the causal layout has.
    #[error("`{option}` belongs to the causal layout")]
    OnlyCausal {
        /// The option.
        option: String,
    },
    /// A separator that marks a span.
    #[error("the separator `{token}` is {meaning} already")]
    TakenSeparator {
        /// The name.
        token: String,
        /// What it is.
        meaning: String,
    },
    /// `--strict-sentinels`, and too few.
    #[error(
        "denoiser `{denoiser}` needs {needed} sentinels for segments of {length} tokens, but the vocabulary has {sentinels}"
    )]
    TooFewSentinels {
        /// The denoiser.
        denoiser: String,
        /// Sentinels needed.
        needed: u32,
        /// Its segment length.
        length: u32,
        /// Sentinels there are.
        sentinels: u32,
    },
    /// `--tokenizer-path oracle` for a file that no library reads.
    #[error("`--tokenizer-path oracle` is for a `tokenizer.json`: only the tool itself reads a SentencePiece model")]
    NoOracle,
    /// No worker.
    #[error("`--workers` must be at least 1")]
    NoWorkers,
    /// A folder without a data set.
    #[error("`{0}` holds no data set of `ul2-prep`")]
    NoDataSet(String),
    /// A data set that is not finished.
    #[error("the data set in `{0}` is not finished")]
    Unfinished(String),
    /// Neither a data set nor a line of a source.
    #[error("`{0}` is neither the folder of a data set nor a line of a source")]
    NoTarget(String),
    /// A page that would be a file of the data set.
    #[error("`{0}` would be a file of the data set")]
    InDataSet(String),
    /// A page in the place of a file of someone else.
    #[error("`{0}` is in the way: the tool did not write it")]
    ForeignFile(String),
    /// A source that a data set was not made from.
    #[error("the data set has no source `{name}`")]
    NoSource {
        /// The name.
        name: String,
        /// The nearest one, if it is near enough to be meant.
        near: Option<String>,
    },
    /// A denoiser that the spec does not have.
    #[error("there is no denoiser `{name}`; there is `{known}`")]
    NoDenoiser {
        /// The name.
        name: String,
        /// The nearest one, or all.
        known: String,
    },
    /// A data set that cannot be made where its manifest is.
    #[error("`{0}` is the data set to be made again")]
    SameFolder(String),
    /// Another tokenizer than the data set was made with.
    #[error("the data set was made with the tokenizer {recorded}, not with {given}")]
    OtherTokenizer {
        /// Of the data set.
        recorded: String,
        /// The one given.
        given: String,
    },
    /// A data set without a plan.
    #[error("no plan is written in `{0}`")]
    NoPlan(String),
    /// A plan of another version.
    #[error("the plan was written by version {0} of the tool, this is {VERSION}", VERSION = env!("CARGO_PKG_VERSION"))]
    OtherVersion(String),
    /// Another library than the plan was written with.
    #[error("it is not certain {0}")]
    OtherLibrary(String),
    /// A unit that the plan does not have.
    #[error("there is no unit {unit}: the plan has {units}, counted from 0")]
    NoUnit {
        /// The number.
        unit: usize,
        /// How many there are.
        units: usize,
    },
    /// A number of a unit that is none.
    #[error("`{variable}` is `{value}`, which is no number of a unit")]
    NoNumber {
        /// The variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// An offset of nothing.
    #[error("`--index-offset` is added to `SLURM_ARRAY_TASK_ID` or `JOB_COMPLETION_INDEX`, and neither is set")]
    NoIndex,
    /// What stands beside a plan cannot be read.
    #[error("`{path}` cannot be read: {reason}")]
    Inputs {
        /// The file.
        path: String,
        /// Why.
        reason: String,
    },
    /// A tokenizer whose place is not known.
    #[error("the data set needs the tokenizer {0}, whose location is not recorded")]
    NoTokenizer(String),
    /// A tokenizer that is not where the run had it.
    #[error("the data set needs the tokenizer {recorded}, which the run had at `{place}`")]
    TokenizerGone {
        /// Of the data set.
        recorded: String,
        /// Where it was.
        place: String,
        /// Why it cannot be read there.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A source whose place is not known.
    #[error("{source_name}: the source is not among the SOURCEs, and where it was is not written beside the plan")]
    NotGiven {
        /// The source.
        source_name: String,
    },
    /// A folder with something else in it.
    #[error("`{0}` is not empty and holds no data set of `ul2-prep`")]
    ForeignFolder(String),
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

/// The data set that is, or is to be, in a place.
///
/// # Errors
///
/// If there is something else.
pub fn data_set(place: &Location) -> Result<DataSet> {
    let data_set = DataSet::open(place)?.with_faults(faults()?);
    data_set.check_folders()?;
    if data_set.is_foreign()? {
        return Err(SettingsError::ForeignFolder(place.to_string()).into());
    }
    Ok(data_set)
}

/// How sources are cut into units. Tests, which have small ones, close units at `UL2_PREP_UNIT_BYTES`.
///
/// # Errors
///
/// If that is no number.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub fn cutting(split: Split) -> Result<Cutting> {
    let split = match split {
        Split::None => None,
        Split::Above(bytes) => Some(bytes),
    };
    let unit_bytes = match std::env::var("UL2_PREP_UNIT_BYTES") {
        Err(_) => Cutting::default().unit_bytes,
        Ok(bytes) => bytes.parse().context("UL2_PREP_UNIT_BYTES")?,
    };
    Ok(Cutting { unit_bytes, split })
}

/// The unit that is asked for, by a flag or by an engine that numbers its tasks. Numbers of engines are small; `offset` is added to them.
///
/// # Errors
///
/// [`SettingsError`] if an engine's is none, or there is an offset and no engine.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
pub fn unit(asked: Option<usize>, offset: Option<usize>) -> Result<Option<usize>, SettingsError> {
    if asked.is_some() {
        return Ok(asked);
    }
    for variable in ["SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"] {
        if let Ok(value) = std::env::var(variable) {
            let unit = value.parse::<usize>().ok().and_then(|index| index.checked_add(offset.unwrap_or_default()));
            return unit.map(Some).ok_or(SettingsError::NoNumber { variable, value });
        }
    }
    // A launcher whose number did not arrive must not make every task do everything.
    if offset.is_some() { Err(SettingsError::NoIndex) } else { Ok(None) }
}

/// The fault that a test asks for (`docs/internals/testing.md`); none otherwise.
#[expect(clippy::disallowed_methods, reason = "the only reader of the environment")]
fn faults() -> Result<Faults> {
    match std::env::var("UL2_PREP_FAULT") {
        Err(_) => Ok(Faults::default()),
        Ok(fault) => fault.parse().map_err(anyhow::Error::msg).context("UL2_PREP_FAULT"),
    }
}

/// Columns of a line where there is no terminal.
const WIDTH: usize = 120;

/// How rows are shown.
#[must_use]
pub fn style(colour: When, width: Option<usize>, inline: bool) -> Style {
    let refused = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let colour = match colour {
        When::Always => true,
        When::Never => false,
        When::Auto => report::is_terminal() && !refused(),
    };
    let of_terminal = || terminal_size::terminal_size().map(|(terminal_size::Width(width), _)| usize::from(width));
    let width = width.or_else(|| of_terminal().filter(|_| report::is_terminal())).unwrap_or(WIDTH);
    Style { colour, width, view: if inline { View::Inline } else { View::Row } }
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

/// The file of a tokenizer by name, path or URL; `None` for the embedded one. From a store it is fetched, and what stands beside it.
///
/// # Errors
///
/// If there is none or it cannot be used.
pub fn tokenizer_file(name: &str) -> Result<Option<TokenizerFile>> {
    let remote = match Location::parse(name)? {
        Location::Local(_) if name == BYTES => return Ok(None),
        Location::Local(path) => return Ok(Some(TokenizerFile::read(&path)?)),
        Location::Remote(remote) => remote,
    };
    let spool = Spool::new()?;
    let is_file = remote.head()?.is_some();
    let (folder, names) = if is_file {
        (remote.parent(), vec![remote.file_name()])
    } else {
        (remote.clone(), names_in_folder().collect())
    };
    for name in names.into_iter().chain([CONFIG_NAME]) {
        let object = folder.join(name);
        let Some(found) = object.head()? else { continue };
        anyhow::ensure!(
            found.bytes <= MAX_FILE,
            "`{object}` has {} bytes, more than a tokenizer's file may have",
            found.bytes
        );
        let mut file = fs_err::File::create(spool.path().join(name))?;
        std::io::copy(&mut object.open(&found), &mut file)?;
    }
    let read =
        TokenizerFile::read(&if is_file { spool.path().join(remote.file_name()) } else { spool.path().to_owned() });
    read.map(Some).with_context(|| format!("`{remote}`"))
}

/// What the tokenizer says about itself: the file's, or the embedded one's.
#[must_use]
pub fn names(file: Option<&TokenizerFile>) -> &dyn TokenizerNames {
    match file {
        Some(file) => file.names(),
        None => &ByteNames,
    }
}

/// The tokenizer of a file, or the embedded one, with the reserved ids of a spec.
#[must_use]
pub fn tokenizer(file: Option<TokenizerFile>, spec: &Spec, path: TokenizerPath) -> Box<dyn Tokenizer> {
    match file {
        None => Box::new(ByteTokenizer::new(spec.vocabulary().clone())),
        Some(file) => file.into_tokenizer(spec.vocabulary().clone(), path),
    }
}

/// Everything that decides rows: a recipe, the names of a tokenizer, and what the recipe leaves open.
///
/// # Errors
///
/// What does not go together.
pub fn resolve(recipe: &Recipe, names: &dyn TokenizerNames, args: &SpecArgs) -> Result<Spec> {
    let SpecArgs {
        text_field,
        label_field,
        eos_token,
        pad_token,
        max_line,
        seed,
        epochs,
        inputs_length,
        labels_length,
        layout,
        sequence_length,
        pack,
        shuffle,
        pad: fill_up,
    } = args;
    let options = &recipe.options;
    let eos = token(names, eos_token.as_deref(), Role::Eos)?;
    let pad = token(names, pad_token.as_deref(), Role::Pad)?;
    let sentinels = find_sentinels(names, recipe)?;
    let taken = Taken { eos, pad, sentinels: &sentinels };
    let is_causal = layout.or(options.layout).unwrap_or_default() == RowLayout::Causal;
    if !is_causal {
        refuse_causal_options(recipe, args)?;
    }
    // Whoever gives a length for whole rows wants rows of that length, however they are divided.
    let whole = sequence_length.filter(|_| is_causal);
    let shortened = inputs_length.is_some() || labels_length.is_some();
    let inputs_length = inputs_length.or(whole).or(options.inputs_length).unwrap_or(DEFAULT_LENGTH);
    let labels_length = labels_length.or(whole).or(options.labels_length).unwrap_or(DEFAULT_LENGTH);
    let (mut reserved, mut causal) = (Vec::new(), None);
    if is_causal {
        let separator = separator(names, recipe, taken)?;
        reserved.extend(separator.filter(|_| separator != eos && separator != pad));
        let most = inputs_length.saturating_add(labels_length);
        // Shorter parts by a flag shorten the recipe's rows as well.
        let by_recipe = options.sequence_length.map(|length| if shortened { length.min(most) } else { length });
        let sequence_length = sequence_length.or(by_recipe).unwrap_or(most);
        causal = Some(Causal { loss: options.loss, separator, sequence_length });
    }
    let denoisers = denoisers(names, recipe, taken, &mut reserved)?;
    let label_field = label_field.clone().or_else(|| options.label_field.clone());
    if let Some(denoiser) = recipe.denoisers.iter().find(|denoiser| denoiser.denoiser.pattern.is_of_labels())
        && label_field.is_none()
    {
        let (file, line, name) = (recipe.file.clone(), denoiser.line, denoiser.denoiser.name.clone());
        return Err(RecipeError::NoLabelField { file, line, name }.into());
    }
    let spec = SpecFields {
        masking_version: MASKING_VERSION,
        seed: Seed(*seed),
        epochs: *epochs,
        recipe: recipe.name.clone(),
        denoisers,
        inputs_length,
        labels_length,
        min_segment: options.min_segment.unwrap_or(DEFAULT_MIN_SEGMENT),
        eos: options.eos.unwrap_or(if causal.is_some() { EosPolicy::Labels } else { EosPolicy::Both }),
        segmenting: options.segmenting,
        causal,
        pack: pack.unwrap_or(options.pack),
        shuffle: shuffle.unwrap_or(options.shuffle),
        pad: fill_up.unwrap_or(options.pad),
        text_field: text_field.clone().or_else(|| options.text_field.clone()).unwrap_or_else(|| TEXT_FIELD.to_owned()),
        label_field,
        end_mark: options.end_mark.clone(),
        max_line: *max_line,
        vocabulary: Vocabulary::new(names.size(), eos, pad, sentinels, reserved)
            .context("the tokenizer's ids cannot be used")?,
        tokenizer: names.identity(),
    };
    Spec::new(spec).map_err(|error| {
        let place = place_of(&error, recipe, args);
        anyhow::Error::new(error).context(place.unwrap_or_else(|| format!("recipe `{recipe}` cannot be used")))
    })
}

/// Where in the recipe an error of the spec comes from: `file:line`, unless a flag is the reason or nobody knows.
fn place_of(error: &SpecError, recipe: &Recipe, args: &SpecArgs) -> Option<String> {
    let of_denoiser = |name: &String| {
        recipe.denoisers.iter().find(|denoiser| denoiser.denoiser.name == *name).map(|denoiser| denoiser.line)
    };
    let by_flag = |field: &str| match field {
        "inputs_length" => args.inputs_length.or(args.sequence_length).is_some(),
        "labels_length" => args.labels_length.or(args.sequence_length).is_some(),
        "sequence_length" => args.sequence_length.is_some(),
        _ => false,
    };
    let of_key = |key: &str| recipe.has(key).filter(|_| !by_flag(key));
    let line = match error {
        SpecError::Range { field, .. } => of_key(field),
        SpecError::SequenceLength { .. } => of_key("sequence_length"),
        SpecError::ShortWindow { .. } | SpecError::NoEosBetween => of_key("segmenting"),
        SpecError::NoPad => of_key("pad").filter(|_| args.pad.is_none()),
        SpecError::NoEos { .. } => of_key("eos"),
        SpecError::Denoiser { name, .. }
        | SpecError::NoSentinels { name }
        | SpecError::TooShort { name, .. }
        | SpecError::EmptyInputs { name }
        | SpecError::Labels { name, .. }
        | SpecError::DuplicateName(name) => of_denoiser(name),
        _ => None,
    };
    line.map(|line| format!("{}:{line}", recipe.file))
}

/// What only the causal layout has, where another one is asked for. A causal recipe in another layout just does without.
fn refuse_causal_options(recipe: &Recipe, args: &SpecArgs) -> Result<()> {
    if args.sequence_length.is_some() {
        return Err(SettingsError::OnlyCausal { option: "--sequence-length".to_owned() }.into());
    }
    if recipe.options.layout == Some(RowLayout::Causal) {
        return Ok(());
    }
    match ["sequence_length", "loss", "separator"].into_iter().find_map(|key| Some((key, recipe.has(key)?))) {
        Some((key, line)) => Err(recipe.error(line, format!("`{key}` belongs to the causal layout")).into()),
        None => Ok(()),
    }
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

/// Ids that have a meaning already.
#[derive(Clone, Copy)]
struct Taken<'a> {
    eos: Option<u32>,
    pad: Option<u32>,
    sentinels: &'a [u32],
}

impl Taken<'_> {
    /// What the id is, if it is taken.
    fn meaning(self, id: u32) -> Option<String> {
        if let Some(place) = self.sentinels.iter().position(|&sentinel| sentinel == id) {
            return Some(format!("sentinel {place}"));
        }
        [(self.eos, "EOS"), (self.pad, "pad")]
            .into_iter()
            .find(|(taken, _)| *taken == Some(id))
            .map(|(_, name)| name.to_owned())
    }
}

/// The id of a role's token: the one given by name, else the one that the tokenizer's files say.
fn token(names: &dyn TokenizerNames, given: Option<&str>, role: Role) -> Result<Option<u32>, SettingsError> {
    let (flag, key) = match role {
        Role::Eos => ("--eos-token", "eos_token"),
        Role::Pad => ("--pad-token", "pad_token"),
    };
    match given {
        None => of_role(names, role).map_err(|token| SettingsError::NoConfiguredToken {
            token: token.to_owned(),
            key,
            flag,
        }),
        Some(token) => {
            let unknown = || SettingsError::NoSuchToken { token: token.to_owned(), flag };
            names.id(token).map(Some).ok_or_else(unknown)
        }
    }
}

fn find_sentinels(names: &dyn TokenizerNames, recipe: &Recipe) -> Result<Vec<u32>> {
    let Some(patterns) = &recipe.options.sentinels else { return Ok(sentinels(names, SENTINEL_PATTERNS)) };
    // A pattern may find none; a name that finds none would move all sentinels behind it.
    if let Some(token) = patterns.iter().find(|name| !name.contains(NUMBER) && names.id(name).is_none()) {
        let (file, line, token) = (recipe.file.clone(), recipe.line_of("sentinels"), token.clone());
        return Err(SettingsError::NoSuchSentinel { file, line, token }.into());
    }
    let found = sentinels(names, patterns.iter().map(String::as_str));
    let needed = |denoiser: &RecipeDenoiser| {
        denoiser.denoiser.layout == Layout::Sentinels || denoiser.denoiser.s_sentinel != SSentinel::None
    };
    if found.is_empty() && recipe.denoisers.iter().any(needed) {
        return Err(SettingsError::NoSuchSentinels { patterns: patterns.clone() }.into());
    }
    Ok(found)
}

/// The id between prefix and targets. It may be EOS.
fn separator(names: &dyn TokenizerNames, recipe: &Recipe, others: Taken<'_>) -> Result<Option<u32>> {
    let Some(token) = &recipe.options.separator else { return Ok(None) };
    let Some(id) = names.id(token) else {
        return Err(SettingsError::NoSuchToken { token: token.clone(), flag: "separator" }.into());
    };
    match others.meaning(id).filter(|_| others.eos != Some(id)) {
        Some(meaning) => Err(SettingsError::TakenSeparator { token: token.clone(), meaning }.into()),
        None => Ok(Some(id)),
    }
}

/// The recipe's denoisers with their texts as ids; added tokens among these become `reserved`.
fn denoisers(
    names: &dyn TokenizerNames,
    recipe: &Recipe,
    taken: Taken<'_>,
    reserved: &mut Vec<u32>,
) -> Result<Vec<Denoiser>> {
    let mut denoisers = Vec::new();
    for RecipeDenoiser { denoiser, mode_token, prompts, line } in recipe.denoisers.clone() {
        let mode_token = mode_token_ids(names, mode_token.as_ref(), reserved)?;
        if let Some((id, meaning)) = mode_token.iter().find_map(|&id| Some((id, taken.meaning(id)?))) {
            let message = format!("denoiser `{}`: id {id} of its mode token is {meaning} already", denoiser.name);
            return Err(recipe.error(line, message).into());
        }
        if let Some(id) = mode_token.iter().find(|&&id| id >= names.size()) {
            let (name, size) = (&denoiser.name, names.size());
            let message = format!("denoiser `{name}`: its mode token is id {id}, but the vocabulary has {size} ids");
            return Err(recipe.error(line, message).into());
        }
        let pattern = match (denoiser.pattern, prompts) {
            (NoisePattern::MultipleChoice(choice), Some(Prompts { label, text })) => {
                let pieces = |text: &str| {
                    let ids =
                        names.pieces(text).with_context(|| format!("{}:{line}: the prompt `{text}`", recipe.file))?;
                    match ids.iter().find_map(|&id| Some((id, taken.meaning(id)?))) {
                        Some((id, meaning)) => {
                            let name = &denoiser.name;
                            let message =
                                format!("denoiser `{name}`: id {id} of the prompt `{text}` is {meaning} already");
                            Err(anyhow::Error::from(recipe.error(line, message)))
                        }
                        None => Ok(ids),
                    }
                };
                let (label_prompt, text_prompt) = (pieces(&label)?, pieces(&text)?);
                NoisePattern::MultipleChoice(MultipleChoice { label_prompt, text_prompt, ..choice })
            }
            (pattern, _) => pattern,
        };
        denoisers.push(Denoiser { pattern, mode_token, ..denoiser });
    }
    Ok(denoisers)
}

fn mode_token_ids(
    names: &dyn TokenizerNames,
    mode_token: Option<&ModeToken>,
    reserved: &mut Vec<u32>,
) -> Result<Vec<u32>> {
    match mode_token {
        None => Ok(Vec::new()),
        // A token of its own is reserved; a text is spelled with ordinary pieces, as in the released checkpoints.
        Some(ModeToken::Text(text)) if names.is_added(text) => {
            let id = names.id(text);
            reserved.extend(id);
            Ok(id.into_iter().collect())
        }
        Some(ModeToken::Text(text)) => names.pieces(text).with_context(|| format!("mode token `{text}`")),
        Some(ModeToken::Id(id)) => {
            reserved.extend(names.added(*id).then_some(*id));
            Ok(vec![*id])
        }
    }
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
                spelled.push(format!("`{text}` becomes {}", report::counted(ids.len() as u64, "id")));
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
