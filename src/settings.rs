//! From arguments and recipe to a job. The only reader of the environment.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};

use crate::cli::{MaskingArgs, RunArgs};
use crate::denoise::{Denoiser, Layout, MASKING_VERSION, Seed, Spec, SpecFields, Vocabulary};
use crate::input::jsonl::FieldPath;
use crate::input::source::{Source, discover};
use crate::output::data_set::DataSet;
use crate::output::rows::RowGroupEncoder;
use crate::output::schema;
use crate::output::shard::ShardOptions;
use crate::pipeline::ordered::Permits;
use crate::pipeline::plan::Plan;
use crate::pipeline::progress::Progress;
use crate::pipeline::run::Job;
use crate::pipeline::worker::Shared;
use crate::recipe::{Recipe, RecipeDenoiser};
use crate::tokenize::bytes::{ByteNames, ByteTokenizer};
use crate::tokenize::hf::TokenizerFile;
use crate::tokenize::names::{EOS_NAMES, PAD_NAMES, SENTINEL_PATTERNS, first_known, sentinels};
use crate::tokenize::{Tokenizer, TokenizerNames};

/// Most ids of a sequence, if neither the command line nor the recipe says it.
const DEFAULT_LENGTH: u32 = 512;

/// Fewest tokens of a segment, if the recipe does not say it.
const DEFAULT_MIN_SEGMENT: u32 = 2;

/// The name of the embedded tokenizer.
const BYTES: &str = "bytes";

/// What was asked for, resolved and checked.
pub struct Settings {
    /// Everything that decides rows.
    pub spec: Spec,
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
            text_field,
            eos_token,
            pad_token,
            max_line,
            recipe,
            seed,
            epochs,
            inputs_length,
            labels_length,
            strict_sentinels,
            workers,
            shard_size,
        } = args;
        let recipe = Recipe::find(recipe)?;
        let file = if tokenizer == BYTES { None } else { Some(TokenizerFile::read(Path::new(tokenizer))?) };
        let names: &dyn TokenizerNames = file.as_ref().map_or(&ByteNames, |file| file);

        let eos = token(names, eos_token.as_deref(), "--eos-token", names.configured_eos(), &EOS_NAMES)?;
        let pad = token(names, pad_token.as_deref(), "--pad-token", names.configured_pad(), &PAD_NAMES)?;
        let sentinels = find_sentinels(names, &recipe)?;
        let (denoisers, mode_tokens) = denoisers(names, &recipe)?;
        let vocabulary = Vocabulary::new(names.size(), eos, pad, sentinels, mode_tokens)
            .context("the tokenizer's reserved tokens clash")?;
        let warnings = alike_mode_tokens(&denoisers);
        let spec = Spec::new(SpecFields {
            masking_version: MASKING_VERSION,
            seed: Seed(*seed),
            epochs: *epochs,
            recipe: recipe.name.clone(),
            denoisers,
            inputs_length: inputs_length.or(recipe.inputs_length).unwrap_or(DEFAULT_LENGTH),
            labels_length: labels_length.or(recipe.labels_length).unwrap_or(DEFAULT_LENGTH),
            min_segment: recipe.min_segment.unwrap_or(DEFAULT_MIN_SEGMENT),
            eos: recipe.eos,
            text_field: text_field.clone(),
            max_line: *max_line,
            vocabulary: vocabulary.clone(),
            tokenizer: names.identity(),
        })
        .with_context(|| format!("recipe `{recipe}` cannot be used"))?;
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
            None => Box::new(ByteTokenizer::new(vocabulary)),
            Some(file) => Box::new(file.into_tokenizer(vocabulary, *tokenizer_path)),
        };
        let sources = discover(sources)?;
        let plan = Plan::new(&spec, &sources, *shard_size);
        let workers = match workers {
            Some(0) => return Err(SettingsError::NoWorkers.into()),
            Some(workers) => *workers,
            None => std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok(Self { spec, tokenizer, sources, plan, workers, warnings })
    }

    /// The job that writes the data set.
    ///
    /// # Errors
    ///
    /// If the folder holds something else, or the workers cannot be started.
    pub fn into_job(self, args: &RunArgs, interrupted: Arc<AtomicUsize>) -> Result<Job> {
        let RunArgs { masking: _, out, max_rejects, quiet: _ } = args;
        let Self { spec, tokenizer, sources, plan, workers, warnings: _ } = self;
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
                properties: properties.clone(),
            },
            plan,
            sources,
            data_set,
            shared: Shared {
                text_field: FieldPath::new(&spec.fields().text_field),
                spec,
                tokenizer,
                encoder: RowGroupEncoder::new(properties)?,
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
    let Some(patterns) = &recipe.sentinels else { return Ok(sentinels(names, SENTINEL_PATTERNS)) };
    let found = sentinels(names, patterns.iter().map(String::as_str));
    let needed = recipe.denoisers.iter().any(|denoiser| denoiser.layout == Layout::Sentinels);
    if found.is_empty() && needed {
        return Err(SettingsError::NoSuchSentinels { patterns: patterns.clone() }.into());
    }
    Ok(found)
}

/// The recipe's denoisers with their mode tokens as ids, and the mode tokens that are reserved.
fn denoisers(names: &dyn TokenizerNames, recipe: &Recipe) -> Result<(Vec<Denoiser>, Vec<u32>)> {
    let (mut denoisers, mut reserved) = (Vec::new(), Vec::new());
    for RecipeDenoiser { name, mode, weight, mode_token, pattern, layout, line: _ } in recipe.denoisers.clone() {
        let mode_token = match mode_token {
            None => Vec::new(),
            // A token of its own is reserved; a text is spelled with ordinary pieces, as in the released checkpoints.
            Some(text) if names.is_added(&text) => {
                let id = names.id(&text);
                reserved.extend(id);
                id.into_iter().collect()
            }
            Some(text) => names.pieces(&text).with_context(|| format!("mode token `{text}`"))?,
        };
        denoisers.push(Denoiser { name, mode, weight, pattern, layout, mode_token });
    }
    Ok((denoisers, reserved))
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
