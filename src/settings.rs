//! From arguments and recipe to a job. The only reader of the environment.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::cli::{MaskingArgs, RunArgs, SpecArgs};
use crate::denoise::{
    Causal, Denoiser, EosPolicy, Layout, MASKING_VERSION, MultipleChoice, NoisePattern, SSentinel, Seed, Spec,
    SpecFields, Vocabulary,
};
use crate::input::source::{Source, discover};
use crate::output::data_set::DataSet;
use crate::output::rows::RowGroupEncoder;
use crate::output::schema::{self, RowFormat};
use crate::output::shard::ShardOptions;
use crate::pipeline::document::Fields;
use crate::pipeline::ordered::Permits;
use crate::pipeline::plan::Plan;
use crate::pipeline::progress::Progress;
use crate::pipeline::run::Job;
use crate::pipeline::worker::Shared;
use crate::recipe::{ModeToken, Prompts, Recipe, RecipeDenoiser, RecipeError, RowLayout};
use crate::tokenize::bytes::{ByteNames, ByteTokenizer};
use crate::tokenize::hf::TokenizerFile;
use crate::tokenize::names::{EOS_NAMES, PAD_NAMES, SENTINEL_PATTERNS, first_known, sentinels};
use crate::tokenize::{Tokenizer, TokenizerNames};

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
    /// The sources, in the order of names.
    pub sources: Vec<Source>,
    /// What will be done.
    pub plan: Plan,
    /// Worker threads.
    pub workers: usize,
    /// What a person should know before the run.
    pub warnings: Vec<String>,
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
    /// Sentinels by a pattern of the recipe that finds none.
    #[error("the tokenizer has no token that the recipe's `sentinels` name: `{}`", patterns.join("`, `"))]
    NoSuchSentinels {
        /// The patterns.
        patterns: Vec<String>,
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
    /// No worker.
    #[error("`--workers` must be at least 1")]
    NoWorkers,
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
            workers,
            shard_size,
        } = args;
        let recipe = Recipe::find(recipe)?;
        let file = TokenizerFile::named(tokenizer)?;
        let spec = resolve(&recipe, names(file.as_ref()), spec)?;
        let warnings = alike_mode_tokens(spec.denoisers());
        if *strict_sentinels && let Some(shortening) = spec.shortenings().next() {
            return Err(SettingsError::TooFewSentinels {
                denoiser: shortening.denoiser.clone(),
                needed: shortening.sentinels_needed,
                length: shortening.full_segment_length,
                sentinels: shortening.sentinels,
            }
            .into());
        }
        let tokenizer: Box<dyn Tokenizer> = match file {
            None => Box::new(ByteTokenizer::new(spec.vocabulary().clone())),
            Some(file) => Box::new(file.into_tokenizer(spec.vocabulary().clone(), *tokenizer_path)),
        };
        let format = RowFormat::new(&spec, columns.as_deref())?;
        let sources = discover(sources)?;
        let plan = Plan::new(&spec, &format, &sources, *shard_size);
        let workers = match workers {
            Some(0) => return Err(SettingsError::NoWorkers.into()),
            Some(workers) => *workers,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(Self { spec, format, tokenizer, sources, plan, workers, warnings })
    }

    /// The job that writes the data set.
    ///
    /// # Errors
    ///
    /// If the folder holds something else, or the workers cannot be started.
    pub fn into_job(self, args: &RunArgs, interrupted: Arc<AtomicUsize>) -> Result<Job> {
        let RunArgs { masking: _, out, max_rejects, quiet: _ } = args;
        let Self { spec, format, tokenizer, sources, plan, workers, warnings: _ } = self;
        let data_set = DataSet::at(out);
        if data_set.is_foreign()? {
            return Err(SettingsError::ForeignFolder(out.display().to_string()).into());
        }
        let properties = schema::properties(&spec)?;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers)
            .thread_name(|worker| format!("worker-{worker}"))
            .build()
            .context("cannot start the workers")?;
        // One lane decompresses and commits for about eight workers; one more, so that they are busy while a unit ends.
        let lanes = 1 + workers.div_ceil(8);
        Ok(Job {
            shard_options: ShardOptions {
                plan: plan.fingerprint(),
                shard_bytes: plan.shard_bytes,
                format: format.clone(),
                properties: properties.clone(),
            },
            plan,
            sources,
            data_set,
            shared: Shared {
                fields: Fields::new(&spec),
                spec,
                tokenizer,
                encoder: RowGroupEncoder::new(format, properties)?,
                scratches: Mutex::default(),
            },
            max_rejects: *max_rejects,
            pool,
            permits: Permits::new(workers + 1),
            lanes,
            progress: Arc::new(Progress::default()),
            interrupted,
            failed: AtomicBool::new(false),
        })
    }
}

/// What the tokenizer says about itself: the file's, or the embedded one's.
#[must_use]
pub fn names(file: Option<&TokenizerFile>) -> &dyn TokenizerNames {
    match file {
        Some(file) => file,
        None => &ByteNames,
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
    let eos = token(names, eos_token.as_deref(), "--eos-token", names.configured_eos(), &EOS_NAMES)?;
    let pad = token(names, pad_token.as_deref(), "--pad-token", names.configured_pad(), &PAD_NAMES)?;
    let sentinels = find_sentinels(names, recipe)?;
    let taken = Taken { eos, pad, sentinels: &sentinels };
    let is_causal = layout.or(options.layout).unwrap_or_default() == RowLayout::Causal;
    // Whoever gives a length for whole rows wants rows of that length, however they are divided.
    let whole = sequence_length.filter(|_| is_causal);
    let inputs_length = inputs_length.or(whole).or(options.inputs_length).unwrap_or(DEFAULT_LENGTH);
    let labels_length = labels_length.or(whole).or(options.labels_length).unwrap_or(DEFAULT_LENGTH);
    let (mut reserved, mut causal) = (Vec::new(), None);
    if is_causal {
        let separator = separator(names, recipe, taken)?;
        reserved.extend(separator.filter(|_| separator != eos && separator != pad));
        let sequence_length =
            sequence_length.or(options.sequence_length).unwrap_or_else(|| inputs_length.saturating_add(labels_length));
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
            .context("the tokenizer's reserved tokens clash")?,
        tokenizer: names.identity(),
    };
    Spec::new(spec).with_context(|| format!("recipe `{recipe}` cannot be used"))
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

/// The id of a token: the one given by name, else the first that is configured or known.
fn token(
    names: &dyn TokenizerNames,
    given: Option<&str>,
    flag: &'static str,
    configured: Option<&str>,
    known: &[&str],
) -> Result<Option<u32>> {
    match given {
        None => Ok(first_known(names, configured, known).map(|(_, id)| id)),
        Some(token) => match names.id(token) {
            Some(id) => Ok(Some(id)),
            None => Err(SettingsError::NoSuchToken { token: token.to_owned(), flag }.into()),
        },
    }
}

fn find_sentinels(names: &dyn TokenizerNames, recipe: &Recipe) -> Result<Vec<u32>> {
    let Some(patterns) = &recipe.options.sentinels else { return Ok(sentinels(names, SENTINEL_PATTERNS)) };
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
    match others.meaning(id).filter(|_| others.sentinels.contains(&id)) {
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
                    names.pieces(text).with_context(|| format!("{}:{line}: the prompt `{text}`", recipe.file))
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
