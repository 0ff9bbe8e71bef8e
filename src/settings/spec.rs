//! Builds the spec, which decides rows, from a recipe, a tokenizer's names and the flags.

use anyhow::{Context as _, Result};

use crate::cli::masking::SpecArgs;
use crate::denoise::{
    Causal, Denoiser, EosPolicy, MASKING_VERSION, MultipleChoice, NoisePattern, Seed, Spec, SpecError, SpecFields,
    Validation,
};
use crate::recipe::{ModeToken, Prompts, Recipe, RecipeDenoiser, RecipeError, RowLayout, Spelled};
use crate::settings::error::SettingsError;
use crate::settings::reserved::{ReservedIds, recipe_key};
use crate::tokenize::TokenizerNames;
use crate::tokenize::file::BYTES;
use crate::tokenize::names::is_marked;

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
        bos_token: _,
        eos_token: _,
        pad_token: _,
        sentinels: _,
        max_line,
        seed,
        epochs,
        weight,
        inputs_length,
        labels_length,
        validation,
        validation_source,
        layout,
        sequence_length,
        pack,
        shuffle,
        pad: fill_up,
    } = args;
    let options = &recipe.options;
    let mut ids = ReservedIds::find(names, recipe, args)?;
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
        let separator = separator(names, recipe, &ids)?;
        reserved.extend(separator.filter(|id| ids.meaning(*id).is_none()));
        let most = inputs_length.saturating_add(labels_length);
        // A flag that shortens the parts also shortens the recipe's rows.
        let by_recipe = options.sequence_length.map(|length| if shortened { length.min(most) } else { length });
        let sequence_length = sequence_length.or(by_recipe).unwrap_or(most);
        causal = Some(Causal { loss: options.loss, separator, sequence_length });
    }
    let denoisers = denoisers(names, recipe, &ids, &mut reserved)?;
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
        weights: weight.clone(),
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
        validation: match (validation, validation_source.as_slice()) {
            (Some(share), _) => Some(Validation::Share(*share)),
            (None, []) => None,
            (None, patterns) => Some(Validation::Sources(patterns.to_vec())),
        },
        text_field: text_field.clone().or_else(|| options.text_field.clone()).unwrap_or_else(|| TEXT_FIELD.to_owned()),
        label_field,
        end_mark: options.end_mark.clone(),
        max_line: *max_line,
        vocabulary: ids.vocabulary(&reserved)?,
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
    if !ids.are_open || spec.is_of_labels() {
        return Ok(spec);
    }
    let needed = (0..spec.denoisers().len()).map(|index| spec.segment_length(index).bounds.sentinels).max();
    ids.sentinels.truncate(needed.unwrap_or_default() as usize);
    checked(SpecFields { vocabulary: ids.vocabulary(&reserved)?, ..spec.fields().clone() })
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
        SpecError::WeightPattern { .. } | SpecError::Range { field: "weights" | "weight", .. } => {
            return Some("`--weight`".to_owned());
        }
        SpecError::ValidationPattern { .. } | SpecError::Range { field: "validation.sources", .. } => {
            return Some("`--validation-source`".to_owned());
        }
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

/// The id between prefix and targets, which may be EOS.
fn separator(names: &dyn TokenizerNames, recipe: &Recipe, others: &ReservedIds) -> Result<Option<u32>> {
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
    recipe: &Recipe,
    taken: &ReservedIds,
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
        if let Some(id) = mode_token.iter().find(|&&id| id >= taken.size) {
            let name = &denoiser.name;
            let message =
                format!("denoiser `{name}`: its mode token is id {id}, but the vocabulary has {} ids", taken.size);
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
