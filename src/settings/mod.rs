//! Turns arguments and a recipe into a job.

pub(crate) mod data_set;
pub(crate) mod environment;
pub(crate) mod error;
pub(crate) mod masking;
pub(crate) mod preview;
mod reserved;
pub mod spec;
pub(crate) mod threads;
pub mod tokenizer;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use anyhow::{Context as _, Result};

use crate::cli::masking::MaskingArgs;
use crate::cli::values::SourceSplit;
use crate::denoise::validation::matches;
use crate::denoise::{Denoiser, Spec, Validation, Vocabulary, Weight};
use crate::input::source::{Discovered, Source, discover};
use crate::numbers::counted;
use crate::output::encoding::PageFormat;
use crate::output::schema::{Column, RowFormat};
use crate::pipeline::job::Job;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::chain::{Earlier, Extend, Plans};
use crate::plan::inputs::noted_place;
use crate::plan::{Cutting, Plan};
use crate::recipe::{ModeToken, Recipe, Spelled};
use crate::settings::data_set::data_set;
use crate::settings::environment::cutting;
use crate::settings::error::SettingsError;
use crate::settings::masking::Masking;
use crate::settings::spec::resolve;
pub use crate::settings::threads::pool;
pub(crate) use crate::settings::threads::workers;
use crate::settings::tokenizer::tokenizer_file;
use crate::store::Location;
use crate::tokenize::file::BYTES;
use crate::tokenize::names::document_end;
use crate::tokenize::{TokenizerNames, TokenizerPath};

/// The resolved and checked settings of a command: how to mask, and what.
pub struct Settings {
    /// How to mask.
    pub masking: Masking,
    /// The sources, sorted by name.
    pub(crate) sources: Vec<Source>,
    /// The names of files next to them that look like sources and are not.
    pub(crate) passed_over: Vec<String>,
    /// The names of sources of weight 0.
    pub(crate) left_out: Vec<String>,
    /// The plan of the run.
    pub(crate) plan: Plan,
    /// How sources are cut into the plan's units.
    pub(crate) cutting: Cutting,
    /// The names of BOS, EOS, pad and sentinels, by id.
    pub(crate) token_names: BTreeMap<u32, String>,
    /// Warnings before the run: things that are probably not meant.
    pub(crate) warnings: Vec<String>,
    /// Notes before the run.
    pub(crate) notes: Vec<String>,
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
            spec: spec_args,
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
        if *tokenizer_path == TokenizerPath::Oracle && !file.has_oracle() {
            return Err(SettingsError::NoOracle.into());
        }
        let spec = resolve(&recipe, file.names(), spec_args)?;
        let mut warnings = alike_mode_tokens(spec.denoisers());
        if spec_args.eos_token.is_none() && recipe.options.eos_token.is_none() {
            warnings.extend(ends_a_turn(file.names(), &spec));
        }
        warnings.extend(ordinary_roles(file.names(), spec.vocabulary()));
        let mut notes = Vec::from_iter(switched_off(file.names()));
        notes.extend(spelled_mode_tokens(file.names(), &recipe)?);
        let token_names = reserved_names(file.names(), spec.vocabulary());
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
        let tokenizer = file.tokenizer(spec.vocabulary().clone(), *tokenizer_path);
        let format = RowFormat::asked(&spec, columns.as_deref())?;
        warnings.extend(missing_columns(&format));
        let Discovered { sources, passed_over } = discover(sources)?;
        let (sources, left_out) = weighted(sources, &spec)?;
        let cutting = cutting(split.unwrap_or(SourceSplit::None))?;
        let pages = PageFormat { encoding: *encoding, compression: *compression };
        let plan = Plan::new(&spec, &format, pages, &sources, *shard_size, cutting);
        let plan = Plan { passed_over: passed_over.len() as u64, left_out: left_out.len() as u64, ..plan };
        let workers = self::workers(*workers)?;
        Ok(Self {
            masking: Masking { spec, format, tokenizer, tokenizer_place, workers, limits: limits.limits() },
            sources,
            passed_over,
            left_out,
            plan,
            cutting,
            token_names,
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
        self,
        out: &Location,
        extend: bool,
        max_rejects: MaxRejects,
        interrupted: Arc<AtomicUsize>,
    ) -> Result<Job> {
        let data_set = data_set(out)?;
        let extends = extend;
        let extend = extend.then_some(Extend { cutting: self.cutting, earlier: Earlier::GivesWay });
        let plans = Plans::resolve(&data_set, self.plan, extend)?;
        // An extension does not know which sources earlier commands left out.
        let left_out = (!extends).then_some(self.left_out.as_slice());
        check_patterns(plans.whole(), &self.masking.spec, left_out)?;
        let sources = plans.sources(self.sources, &data_set)?;
        self.masking.job(data_set, plans, sources, max_rejects, interrupted)
    }
}

/// The sources that are masked at all, and the names of the others.
///
/// # Errors
///
/// [`SettingsError`] if none is left.
fn weighted(sources: Vec<Source>, spec: &Spec) -> Result<(Vec<Source>, Vec<String>), SettingsError> {
    let (kept, left_out): (Vec<_>, Vec<_>) =
        sources.into_iter().partition(|source| spec.maskings(&source.name).epochs() > 0);
    if kept.is_empty() && !left_out.is_empty() {
        return Err(SettingsError::NoWeight);
    }
    Ok((kept, left_out.into_iter().map(|source| source.name).collect()))
}

/// Checks that each pattern of sources with a weight matches a source of the plan, or one that it leaves out, if these
/// are known.
fn check_weights(plan: &Plan, spec: &Spec, left_out: Option<&[String]>) -> Result<(), SettingsError> {
    let others = left_out.unwrap_or_default().iter().map(String::as_str);
    let names = || plan.sources.iter().map(|source| source.name.as_str()).chain(others.clone());
    let is_known = |weight: &&Weight| left_out.is_some() || weight.weight.millionths() > 0;
    let matches_none = |weight: &&Weight| !names().any(|name| matches(&weight.sources, name));
    let Some(weight) = spec.fields().weights.iter().filter(is_known).find(matches_none) else { return Ok(()) };
    let (pattern, example) = (weight.sources.clone(), names().next().unwrap_or_default().to_owned());
    Err(SettingsError::NoSuchSources { pattern, flag: "--weight", example })
}

/// Checks that the patterns of sources with a weight and of those for validation match sources of the plan, each at
/// least one; those for validation not all.
///
/// # Errors
///
/// [`SettingsError`] if they do not.
pub(crate) fn check_patterns(plan: &Plan, spec: &Spec, left_out: Option<&[String]>) -> Result<(), SettingsError> {
    check_weights(plan, spec, left_out)?;
    let Some(Validation::Sources(patterns)) = &spec.fields().validation else { return Ok(()) };
    let names = || plan.sources.iter().map(|source| source.name.as_str());
    let example = || names().next().unwrap_or_default().to_owned();
    if let Some(pattern) = patterns.iter().find(|pattern| !names().any(|name| matches(pattern, name))) {
        let (pattern, flag) = (pattern.clone(), "--validation-source");
        return Err(SettingsError::NoSuchSources { pattern, flag, example: example() });
    }
    if names().all(|name| patterns.iter().any(|pattern| matches(pattern, name))) {
        return Err(SettingsError::OnlyValidation);
    }
    Ok(())
}

/// A warning about rows that no trainer can use.
fn missing_columns(format: &RowFormat) -> Option<String> {
    let missing: Vec<&str> = [Column::InputIds, Column::Labels]
        .into_iter()
        .filter(|id| !format.columns.contains(id))
        .map(Column::name)
        .collect();
    (!missing.is_empty())
        .then(|| format!("the columns are without `{}`: the rows cannot be trained on", missing.join("` and `")))
}

/// A warning about settings in the tokenizer's file that no run applies, because they would lose text or give a text
/// different ids each time.
fn switched_off(names: &dyn TokenizerNames) -> Option<String> {
    let what = names.switched_off();
    (!what.is_empty()).then(|| format!("the tokenizer's file asks for {}: switched off", what.join(" and ")))
}

/// A warning about an EOS that ends a turn of a chat, while the file has a token that ends a document.
fn ends_a_turn(names: &dyn TokenizerNames, spec: &Spec) -> Option<String> {
    let eos = names.token(spec.vocabulary().eos()?)?;
    let end = document_end(names, &eos)?;
    Some(format!(
        "EOS is `{eos}`, which ends a turn of a chat; `{end}` ends a document, and `--eos-token '{end}'` selects it"
    ))
}

/// Warnings about roles that a piece of ordinary text has, though the file has special tokens.
fn ordinary_roles(names: &dyn TokenizerNames, vocabulary: &Vocabulary) -> impl Iterator<Item = String> {
    let roles = [("BOS", vocabulary.bos()), ("EOS", vocabulary.eos()), ("pad", vocabulary.pad())];
    roles.into_iter().filter_map(|(role, id)| {
        let name = id.filter(|id| names.has_special() && !names.added(*id)).and_then(|id| names.token(id))?;
        Some(format!("{role} is `{name}`, an ordinary piece of text: a document that has it becomes a reject"))
    })
}

/// The names of the tokens that `plan` shows beside their ids.
fn reserved_names(names: &dyn TokenizerNames, vocabulary: &Vocabulary) -> BTreeMap<u32, String> {
    let sentinels = vocabulary.sentinels();
    let others = [vocabulary.bos(), vocabulary.eos(), vocabulary.pad()];
    let ids = others.into_iter().flatten().chain(sentinels.first().copied()).chain(sentinels.last().copied());
    ids.filter_map(|id| Some((id, names.token(id)?))).collect()
}

/// A note about mode tokens that are not tokens of the file, so that ordinary pieces spell them, as in the released
/// checkpoints. The embedded tokenizer spells all of them.
fn spelled_mode_tokens(names: &dyn TokenizerNames, recipe: &Recipe) -> Result<Option<String>> {
    if names.identity().kind == BYTES {
        return Ok(None);
    }
    let texts: BTreeSet<&str> = recipe
        .denoisers
        .iter()
        .filter_map(|denoiser| match &denoiser.mode_token {
            Some(ModeToken::Spelled(Spelled { text })) if !names.is_added(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    let mut spelled = Vec::new();
    for text in texts {
        let ids = names.pieces(text).with_context(|| format!("mode token `{text}`"))?;
        if ids.len() != 1 {
            spelled.push(format!("`{text}` becomes {}", counted(ids.len() as u64, "id")));
        }
    }
    let said =
        || format!("mode tokens that are not tokens of the tokenizer are spelled as text: {}", spelled.join(", "));
    Ok((!spelled.is_empty()).then(said))
}

/// Families whose mode tokens are alike, so that a model could not tell them apart.
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
