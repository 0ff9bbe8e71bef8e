//! Flags of `recipes`.

use clap::Args;

use crate::cli::masking::SpecArgs;
use crate::cli::values::seed;
use crate::guidance::Guidance;

/// `ul2-prep recipes`.
#[derive(Debug, Args)]
pub struct RecipesArgs {
    /// The recipe to print, built in or a file.
    pub(crate) name: Option<String>,
    /// Show this text under each of the recipe's denoisers.
    #[arg(long, value_name = "TEXT", requires = "name")]
    pub(crate) example: Option<String>,
    /// The label of the example, for recipes of two-field records; further ones are the other labels of a multiple choice.
    #[arg(long, value_name = "TEXT", requires = "example")]
    pub(crate) label: Vec<String>,
    /// Print the JSON Schema of recipe files.
    #[arg(long, conflicts_with_all = ["name", "example"])]
    pub(crate) schema: bool,
    /// The tokenizer to compute lengths and examples for [default: bytes].
    #[arg(long, value_name = "FILE|bytes")]
    pub(crate) tokenizer: Option<String>,
    /// The BOS token: its name, `auto` or `none` [default: the recipe's, else none].
    #[arg(long, value_name = "TOKEN|auto")]
    pub(crate) bos_token: Option<String>,
    /// The EOS token: its name, `auto` or `none` [default: the recipe's, else auto].
    #[arg(long, value_name = "TOKEN|auto")]
    pub(crate) eos_token: Option<String>,
    /// The pad token: its name, `auto` or `none` [default: the recipe's, else auto].
    #[arg(long, value_name = "TOKEN|auto")]
    pub(crate) pad_token: Option<String>,
    /// Sentinels in their order of use: names, names with a range, or ids. Repeatable [default: the recipe's].
    #[arg(long, value_name = "PATTERN")]
    pub(crate) sentinels: Vec<String>,
    /// The seed that the example's masks follow from [default: 0].
    #[arg(long, value_name = "N", value_parser = seed, requires = "example")]
    pub(crate) seed: Option<u64>,
    /// Most ids of the inputs [default: the recipe's, else 512].
    #[arg(long, value_name = "N")]
    pub(crate) inputs_length: Option<u32>,
    /// Most ids of the labels [default: the recipe's, else 512].
    #[arg(long, value_name = "N")]
    pub(crate) labels_length: Option<u32>,
}

/// A flag that would have no effect.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` changes nothing in the file of a recipe")]
pub(crate) struct FlagOfNoUse(pub(crate) &'static str);

impl RecipesArgs {
    /// Refuses flags that do not affect a printed file.
    ///
    /// # Errors
    ///
    /// [`FlagOfNoUse`] for the first such flag.
    pub(crate) fn refuse_for_a_file(&self) -> Result<(), FlagOfNoUse> {
        let given = [
            ("--tokenizer", self.tokenizer.is_some()),
            ("--bos-token", self.bos_token.is_some()),
            ("--eos-token", self.eos_token.is_some()),
            ("--pad-token", self.pad_token.is_some()),
            ("--sentinels", !self.sentinels.is_empty()),
            ("--inputs-length", self.inputs_length.is_some()),
            ("--labels-length", self.labels_length.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((flag, _)) => Err(FlagOfNoUse(flag)),
            None => Ok(()),
        }
    }

    /// The settings that the recipes leave open.
    #[must_use]
    pub(crate) fn spec(&self) -> SpecArgs {
        SpecArgs {
            seed: self.seed.unwrap_or_default(),
            inputs_length: self.inputs_length,
            labels_length: self.labels_length,
            bos_token: self.bos_token.clone(),
            eos_token: self.eos_token.clone(),
            pad_token: self.pad_token.clone(),
            sentinels: self.sentinels.clone(),
            ..SpecArgs::default()
        }
    }
}

impl Guidance for FlagOfNoUse {
    fn hint(&self) -> Option<String> {
        Some("`--example` shows a recipe with a tokenizer, `ul2-prep recipes` without a name the lengths of all".into())
    }
}
