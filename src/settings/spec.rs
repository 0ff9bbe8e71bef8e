//! Builds the spec, which decides rows, from a recipe, a tokenizer's names and the flags.

use anyhow::{Context as _, Result};

use crate::cli::masking::SpecArgs;
use crate::denoise::{
    Causal, Denoiser, EosPolicy, Layout, MASKING_VERSION, MultipleChoice, NoisePattern, SSentinel, Seed, Spec,
    SpecError, SpecFields, Vocabulary,
};
use crate::recipe::{ModeToken, Prompts, Recipe, RecipeDenoiser, RecipeError, RowLayout};
use crate::settings::error::SettingsError;
use crate::tokenize::names::{NUMBER, SENTINEL_PATTERNS, of_role, sentinels};
use crate::tokenize::{Role, TokenizerNames};

/// The default for the most ids of a sequence.
const DEFAULT_LENGTH: u32 = 512;

/// The default for the fewest tokens of a segment.
const DEFAULT_MIN_SEGMENT: u32 = 2;

/// The default name of the field with the text.
const TEXT_FIELD: &str = "text";

/// Everything that decides rows: a recipe, a tokenizer's names, and the settings that the recipe leaves open.
///
/// # Errors
///
/// Settings that do not go together.
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
    // `--sequence-length` alone also raises both parts' limits to it.
    let whole = sequence_length.filter(|_| is_causal);
    let shortened = inputs_length.is_some() || labels_length.is_some();
    let inputs_length = inputs_length.or(whole).or(options.inputs_length).unwrap_or(DEFAULT_LENGTH);
    let labels_length = labels_length.or(whole).or(options.labels_length).unwrap_or(DEFAULT_LENGTH);
    let (mut reserved, mut causal) = (Vec::new(), None);
    if is_causal {
        let separator = separator(names, recipe, taken)?;
        reserved.extend(separator.filter(|_| separator != eos && separator != pad));
        let most = inputs_length.saturating_add(labels_length);
        // A flag that shortens the parts also shortens the recipe's rows.
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

/// Where in the recipe a spec error comes from, as `file:line`; `None` if a flag is the reason or the line is not
/// known.
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

/// Refuses flags of the causal layout in another layout. A causal recipe in another layout just leaves its causal
/// settings unused.
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

/// Ids that already have a meaning.
#[derive(Clone, Copy)]
struct Taken<'a> {
    eos: Option<u32>,
    pad: Option<u32>,
    sentinels: &'a [u32],
}

impl Taken<'_> {
    /// The meaning of the id, if it is taken.
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

/// The id of a role's token: the token given by name, or else the one in the tokenizer's files.
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
    // A pattern may match nothing; a full name that matches nothing would shift all sentinels after it.
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

/// The id between prefix and targets, which may be EOS.
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

/// The recipe's denoisers, with their texts as ids; added tokens among these are `reserved`.
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
        // A mode token that is an added token is reserved; any other text is spelled with ordinary pieces, as in the
        // released checkpoints.
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
