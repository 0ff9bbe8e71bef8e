//! The ids that no text gets: BOS, EOS, pad and sentinels, by flags, by the recipe or by the tokenizer's files.

use anyhow::{Context as _, Result};

use crate::cli::masking::SpecArgs;
use crate::denoise::{Layout, SSentinel, Vocabulary};
use crate::recipe::{ModeToken, Recipe, RecipeDenoiser, Spelled};
use crate::settings::error::SettingsError;
use crate::tokenize::names::{SENTINEL_PATTERNS, SentinelPattern, largest_families, of_role};
use crate::tokenize::{Role, TokenizerNames, sentencepiece};

/// Ids with a meaning of their own.
pub(super) struct ReservedIds {
    pub(super) bos: Option<u32>,
    pub(super) eos: Option<u32>,
    pub(super) pad: Option<u32>,
    /// In their order of use.
    pub(super) sentinels: Vec<u32>,
    /// Whether no more sentinels are to be taken than the recipe needs.
    pub(super) are_open: bool,
    /// One more than the largest id: of the tokenizer, or of a sentinel after its vocabulary.
    pub(super) size: u32,
}

impl ReservedIds {
    /// The ids of a tokenizer. A flag comes before the recipe, and the recipe before the tokenizer's files.
    ///
    /// # Errors
    ///
    /// A name that the tokenizer does not have, or a recipe that needs sentinels where there are none.
    pub(super) fn find(names: &dyn TokenizerNames, recipe: &Recipe, args: &SpecArgs) -> Result<Self> {
        let given = |role: Role| {
            let (flag, key) = option_names(role);
            let (by_flag, by_recipe) = match role {
                Role::Bos => (&args.bos_token, &recipe.options.bos_token),
                Role::Eos => (&args.eos_token, &recipe.options.eos_token),
                Role::Pad => (&args.pad_token, &recipe.options.pad_token),
            };
            let by_flag = by_flag.clone().map(|token| (format!("`{flag}`"), token));
            by_flag.or_else(|| by_recipe.clone().map(|token| (recipe_key(recipe, key), token)))
        };
        let eos = token(names, given(Role::Eos), Role::Eos)?;
        let pad = token(names, given(Role::Pad), Role::Pad)?;
        let bos = token(names, given(Role::Bos), Role::Bos)?;
        let (sentinels, are_open) = sentinels(names, recipe, &args.sentinels, [eos, pad, bos])?;
        let size = sentinels.iter().fold(names.size(), |size, id| size.max(id.saturating_add(1)));
        Ok(Self { bos, eos, pad, sentinels, are_open, size })
    }

    /// The meaning of the id, if it has one.
    pub(super) fn meaning(&self, id: u32) -> Option<String> {
        if let Some(place) = self.sentinels.iter().position(|&sentinel| sentinel == id) {
            return Some(format!("sentinel {place}"));
        }
        [(self.eos, "EOS"), (self.pad, "pad"), (self.bos, "BOS")]
            .into_iter()
            .find(|(taken, _)| *taken == Some(id))
            .map(|(_, name)| name.to_owned())
    }

    /// The vocabulary with these ids, and with the mode tokens and the separator that are reserved as well.
    ///
    /// # Errors
    ///
    /// If an id has two meanings.
    pub(super) fn vocabulary(&self, others: &[u32]) -> Result<Vocabulary> {
        let sentinels = self.sentinels.clone();
        let vocabulary = Vocabulary::new(self.size, self.eos, self.pad, sentinels, others.to_vec());
        let vocabulary = vocabulary.and_then(|vocabulary| vocabulary.with_bos(self.bos));
        vocabulary.context("the tokenizer's ids cannot be used")
    }
}

/// The flag and the key of a recipe that name a role's token.
fn option_names(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Bos => ("--bos-token", "bos_token"),
        Role::Eos => ("--eos-token", "eos_token"),
        Role::Pad => ("--pad-token", "pad_token"),
    }
}

/// A recipe's key with its place, as messages name it.
pub(super) fn recipe_key(recipe: &Recipe, key: &str) -> String {
    format!("`{key}` in {}:{}", recipe.file, recipe.line_of(key))
}

/// The id of a role's token: the one given by name, with the option that gives it; none, for `none`; or the one that the
/// tokenizer's files name, for `auto` and by default. By default there is no BOS.
fn token(
    names: &dyn TokenizerNames,
    given: Option<(String, String)>,
    role: Role,
) -> Result<Option<u32>, SettingsError> {
    let (flag, key) = option_names(role);
    let of_files = || {
        let unknown = |token: &str| SettingsError::NoConfiguredToken { token: token.to_owned(), key, flag };
        of_role(names, role).map_err(unknown)
    };
    match given {
        None if role == Role::Bos => Ok(None),
        None => of_files(),
        Some((_, token)) if token == "none" => Ok(None),
        Some((_, token)) if token == "auto" && role == Role::Bos => of_files()?.map(Some).ok_or(SettingsError::NoBos),
        Some((_, token)) if token == "auto" => of_files(),
        Some((option, token)) => {
            let id = names.id(&token);
            id.map(Some).ok_or(SettingsError::NoSuchToken { token, option })
        }
    }
}

/// The sentinels in their order of use, and whether no more are to be taken than the recipe needs.
fn sentinels(
    names: &dyn TokenizerNames,
    recipe: &Recipe,
    given: &[String],
    others: [Option<u32>; 3],
) -> Result<(Vec<u32>, bool)> {
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
    let (mut found, mut are_open) = (Vec::new(), false);
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
                are_open = true;
            }
            _ => {}
        }
        found.extend(ids);
    }
    let needed = |denoiser: &RecipeDenoiser| {
        denoiser.denoiser.layout == Layout::Sentinels || denoiser.denoiser.s_sentinel != SSentinel::None
    };
    if found.is_empty() && recipe.denoisers.iter().any(needed) {
        let families = largest_families(names);
        let model_size = (names.identity().kind == sentencepiece::KIND).then(|| names.size());
        return Err(SettingsError::NoSuchSentinels { patterns, option, families, model_size }.into());
    }
    Ok((found, are_open))
}
