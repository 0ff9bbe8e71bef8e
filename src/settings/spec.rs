//! Builds the spec, which decides rows, from a recipe, a tokenizer's names and the flags.

use anyhow::{Context as _, Result};

use crate::cli::masking::SpecArgs;
use crate::denoise::{
    Causal, Denoiser, EosPolicy, Layout, MASKING_VERSION, MultipleChoice, NoisePattern, SSentinel, Seed, Spec,
    SpecError, SpecFields, Vocabulary,
};
use crate::recipe::{ModeToken, Prompts, Recipe, RecipeDenoiser, RecipeError, RowLayout, Spelled};
use crate::settings::error::SettingsError;
use crate::tokenize::file::BYTES;
use crate::tokenize::names::{SENTINEL_PATTERNS, SentinelPattern, largest_families, of_role};
use crate::tokenize::{Role, TokenizerNames, sentencepiece};

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
pub(crate) fn resolve(recipe: &Recipe, names: &dyn TokenizerNames, args: &SpecArgs) -> Result<Spec> {
    let SpecArgs {
        text_field,
        label_field,
        bos_token,
        eos_token,
        pad_token,
        sentinels,
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
    let by_recipe = |key: &'static str, token: &Option<String>| Some((recipe_key(recipe, key), token.clone()?));
    let by_flag = |flag: &str, token: &Option<String>| Some((format!("`{flag}`"), token.clone()?));
    let eos = by_flag("--eos-token", eos_token).or_else(|| by_recipe("eos_token", &options.eos_token));
    let eos = token(names, eos, Role::Eos)?;
    let pad = by_flag("--pad-token", pad_token).or_else(|| by_recipe("pad_token", &options.pad_token));
    let pad = token(names, pad, Role::Pad)?;
    let bos = bos(names, by_flag("--bos-token", bos_token).or_else(|| by_recipe("bos_token", &options.bos_token)))?;
    let Sentinels { ids: sentinels, are_open } = find_sentinels(names, recipe, sentinels, [eos, pad, bos])?;
    let taken = Taken { bos, eos, pad, sentinels: &sentinels };
    let size = sentinels.iter().fold(names.size(), |size, id| size.max(id.saturating_add(1)));
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
        reserved.extend(separator.filter(|_| separator != eos && separator != pad && separator != bos));
        let most = inputs_length.saturating_add(labels_length);
        // A flag that shortens the parts also shortens the recipe's rows.
        let by_recipe = options.sequence_length.map(|length| if shortened { length.min(most) } else { length });
        let sequence_length = sequence_length.or(by_recipe).unwrap_or(most);
        causal = Some(Causal { loss: options.loss, separator, sequence_length });
    }
    let denoisers = denoisers(names, size, recipe, taken, &mut reserved)?;
    let label_field = label_field.clone().or_else(|| options.label_field.clone());
    if let Some(denoiser) = recipe.denoisers.iter().find(|denoiser| denoiser.denoiser.pattern.is_of_labels())
        && label_field.is_none()
    {
        let (file, line, name) = (recipe.file.clone(), denoiser.line, denoiser.denoiser.name.clone());
        return Err(RecipeError::NoLabelField { file, line, name }.into());
    }
    let vocabulary = |sentinels: Vec<u32>| {
        let vocabulary = Vocabulary::new(size, eos, pad, sentinels, reserved.clone());
        vocabulary.and_then(|vocabulary| vocabulary.with_bos(bos)).context("the tokenizer's ids cannot be used")
    };
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
        vocabulary: vocabulary(sentinels)?,
        tokenizer: names.identity(),
    };
    let checked = |spec: SpecFields| {
        Spec::new(spec).map_err(|error| {
            let place = place_of(&error, recipe, args).unwrap_or_else(|| format!("recipe `{recipe}` cannot be used"));
            anyhow::Error::new(error).context(place)
        })
    };
    let spec = checked(spec)?;
    // A denoiser of labels may need one more for a longer label.
    if !are_open || spec.is_of_labels() {
        return Ok(spec);
    }
    let needed = (0..spec.denoisers().len()).map(|index| spec.segment_length(index).bounds.sentinels).max();
    let ids = spec.vocabulary().sentinels().iter().take(needed.unwrap_or_default() as usize).copied().collect();
    checked(SpecFields { vocabulary: vocabulary(ids)?, ..spec.fields().clone() })
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
    bos: Option<u32>,
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
        [(self.eos, "EOS"), (self.pad, "pad"), (self.bos, "BOS")]
            .into_iter()
            .find(|(taken, _)| *taken == Some(id))
            .map(|(_, name)| name.to_owned())
    }
}

/// A recipe's key with its place, as messages name it.
fn recipe_key(recipe: &Recipe, key: &str) -> String {
    format!("`{key}` in {}:{}", recipe.file, recipe.line_of(key))
}

/// The id of a role's token: the token given by name with the option that gives it, or else the one in the tokenizer's
/// files.
fn token(
    names: &dyn TokenizerNames,
    given: Option<(String, String)>,
    role: Role,
) -> Result<Option<u32>, SettingsError> {
    let (flag, key) = match role {
        Role::Bos => ("--bos-token", "bos_token"),
        Role::Eos => ("--eos-token", "eos_token"),
        Role::Pad => ("--pad-token", "pad_token"),
    };
    match given {
        None => of_role(names, role).map_err(|token| SettingsError::NoConfiguredToken {
            token: token.to_owned(),
            key,
            flag,
        }),
        Some((option, token)) => {
            let id = names.id(&token);
            id.map(Some).ok_or(SettingsError::NoSuchToken { token, option })
        }
    }
}

/// The id that begins examples: none, unless a token is named, or `auto` asks for the tokenizer's own.
fn bos(names: &dyn TokenizerNames, given: Option<(String, String)>) -> Result<Option<u32>, SettingsError> {
    match given {
        None => Ok(None),
        Some((_, token)) if token == "none" => Ok(None),
        Some((_, token)) if token == "auto" => token_of_files(names),
        given => token(names, given, Role::Bos),
    }
}

fn token_of_files(names: &dyn TokenizerNames) -> Result<Option<u32>, SettingsError> {
    token(names, None, Role::Bos)?.map(Some).ok_or(SettingsError::NoBos)
}

/// Sentinels in their order of use.
struct Sentinels {
    ids: Vec<u32>,
    /// Whether no more are to be taken than the recipe needs.
    are_open: bool,
}

fn find_sentinels(
    names: &dyn TokenizerNames,
    recipe: &Recipe,
    given: &[String],
    others: [Option<u32>; 3],
) -> Result<Sentinels> {
    let (option, patterns) = match (given, &recipe.options.sentinels) {
        ([], Some(patterns)) => (recipe_key(recipe, "sentinels"), patterns.clone()),
        ([], None) => (recipe.file.clone(), SENTINEL_PATTERNS.map(str::to_owned).to_vec()),
        (given, _) => ("`--sentinels`".to_owned(), given.to_vec()),
    };
    let of_mode = |token: &ModeToken| match token {
        ModeToken::Text(text) | ModeToken::Spelled(Spelled { text }) => names.id(text).filter(|_| names.is_added(text)),
        ModeToken::Id(id) => Some(*id),
    };
    let of_modes = recipe.denoisers.iter().filter_map(|denoiser| denoiser.mode_token.as_ref().and_then(of_mode));
    let of_separator = recipe.options.separator.as_deref().and_then(|token| names.id(token));
    let others: Vec<u32> = others.into_iter().flatten().chain(of_modes).chain(of_separator).collect();
    let mut found = Sentinels { ids: Vec::new(), are_open: false };
    for pattern in &patterns {
        let pattern = SentinelPattern::parse(pattern).with_context(|| option.clone())?;
        let mut ids = pattern.ids(names);
        match &pattern {
            // A full name that matches nothing would shift all sentinels after it.
            SentinelPattern::Name(token) if ids.is_empty() => {
                return Err(SettingsError::NoSuchToken { token: token.clone(), option }.into());
            }
            _ if pattern.is_open() => {
                ids.retain(|id| !others.contains(id));
                found.are_open = true;
            }
            _ => {}
        }
        found.ids.extend(ids);
    }
    let needed = |denoiser: &RecipeDenoiser| {
        denoiser.denoiser.layout == Layout::Sentinels || denoiser.denoiser.s_sentinel != SSentinel::None
    };
    if found.ids.is_empty() && recipe.denoisers.iter().any(needed) {
        let families = largest_families(names);
        let model_size = (names.identity().kind == sentencepiece::KIND).then(|| names.size());
        return Err(SettingsError::NoSuchSentinels { patterns, option, families, model_size }.into());
    }
    Ok(found)
}

/// The id between prefix and targets, which may be EOS.
fn separator(names: &dyn TokenizerNames, recipe: &Recipe, others: Taken<'_>) -> Result<Option<u32>> {
    let Some(token) = &recipe.options.separator else { return Ok(None) };
    let Some(id) = names.id(token) else {
        let option = recipe_key(recipe, "separator");
        return Err(SettingsError::NoSuchToken { token: token.clone(), option }.into());
    };
    match others.meaning(id).filter(|_| others.eos != Some(id)) {
        Some(meaning) => Err(SettingsError::TakenSeparator { token: token.clone(), meaning }.into()),
        None => Ok(Some(id)),
    }
}

/// The recipe's denoisers, with their texts as ids; added tokens among these are `reserved`.
fn denoisers(
    names: &dyn TokenizerNames,
    size: u32,
    recipe: &Recipe,
    taken: Taken<'_>,
    reserved: &mut Vec<u32>,
) -> Result<Vec<Denoiser>> {
    let mut denoisers = Vec::new();
    for RecipeDenoiser { denoiser, mode_token, prompts, line } in recipe.denoisers.clone() {
        let mode_token = mode_token_ids(names, mode_token.as_ref(), reserved)
            .with_context(|| format!("{}:{line}: denoiser `{}`", recipe.file, denoiser.name))?;
        if let Some((id, meaning)) = mode_token.iter().find_map(|&id| Some((id, taken.meaning(id)?))) {
            let message = format!("denoiser `{}`: id {id} of its mode token is {meaning} already", denoiser.name);
            return Err(recipe.error(line, message).into());
        }
        if let Some(id) = mode_token.iter().find(|&&id| id >= size) {
            let name = &denoiser.name;
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
        Some(ModeToken::Text(text) | ModeToken::Spelled(Spelled { text })) if names.is_added(text) => {
            let id = names.id(text);
            reserved.extend(id);
            Ok(id.into_iter().collect())
        }
        Some(ModeToken::Text(text)) if is_marked(text) && names.identity().kind != BYTES => {
            Err(SettingsError::NoModeToken(text.clone()).into())
        }
        Some(ModeToken::Text(text) | ModeToken::Spelled(Spelled { text })) => {
            names.pieces(text).with_context(|| format!("mode token `{text}`"))
        }
        Some(ModeToken::Id(id)) => {
            reserved.extend(names.added(*id).then_some(*id));
            Ok(vec![*id])
        }
    }
}

/// Whether a text has the form of a token: in angle or in square brackets.
fn is_marked(text: &str) -> bool {
    [('<', '>'), ('[', ']')].into_iter().any(|(open, close)| text.starts_with(open) && text.ends_with(close))
}
