//! A recipe file: a mixture of denoisers and the lengths it is meant for, by name or as a TOML file.
//!
//! The built-in recipes are such files, in `src/recipe/`; `ul2r.toml` explains every key.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use crate::denoise::{EosPolicy, Layout, Mode, NoisePattern, RandomSpans, Suffix};

/// The recipe that is used if none is named.
pub const DEFAULT: &str = "ul2r";

/// The built-in recipes: name and TOML text.
pub const BUILT_IN: [(&str, &str); 3] = [
    ("t5", include_str!("recipe/t5.toml")),
    ("ul2", include_str!("recipe/ul2.toml")),
    ("ul2r", include_str!("recipe/ul2r.toml")),
];

/// A recipe as it is written: lengths may be left to the command line, mode tokens are text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// Its name: that of the built-in recipe, or the file's without `.toml`.
    pub name: String,
    /// One line on what it is.
    pub description: Option<String>,
    /// Most ids in `input_ids`.
    pub inputs_length: Option<u32>,
    /// Most ids in `labels`.
    pub labels_length: Option<u32>,
    /// Fewest tokens of a segment.
    pub min_segment: Option<u32>,
    /// Which sequences EOS ends.
    pub eos: EosPolicy,
    /// Sentinel names or patterns with `{n}`, in order.
    pub sentinels: Option<Vec<String>>,
    /// The mixture.
    pub denoisers: Vec<RecipeDenoiser>,
}

/// A denoiser as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipeDenoiser {
    /// Unique in the recipe.
    pub name: String,
    /// Its family.
    pub mode: Mode,
    /// Its share.
    pub weight: NonZeroU32,
    /// Text at the front of the inputs.
    pub mode_token: Option<String>,
    /// Which tokens become noise.
    pub pattern: NoisePattern,
    /// How a mask becomes a row.
    pub layout: Layout,
    /// 1-based line of the file where it begins.
    pub line: usize,
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// Neither a built-in recipe nor a file.
    #[error("there is no recipe `{name}`")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The built-in name nearest to it, if one is near.
        nearest: Option<&'static str>,
    },
    /// The file cannot be read. The message carries the path.
    #[error("cannot read the recipe")]
    Read(#[from] std::io::Error),
    /// Something in the file is wrong.
    #[error("{file}:{line}: {message}")]
    At {
        /// The recipe's name or path.
        file: String,
        /// 1-based line.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecipeTable {
    description: Option<String>,
    inputs_length: Option<u32>,
    labels_length: Option<u32>,
    min_segment: Option<u32>,
    #[serde(default)]
    eos: EosPolicy,
    sentinels: Option<Vec<String>>,
    #[serde(default)]
    denoiser: Vec<Spanned<DenoiserTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DenoiserTable {
    name: String,
    mode: Mode,
    weight: u32,
    mode_token: Option<String>,
    layout: Option<Layout>,
    random_spans: Option<RandomSpans>,
    suffix: Option<Suffix>,
}

impl Recipe {
    /// The recipe of that name, or in that file. A name with `/` or `.toml` is a file.
    ///
    /// # Errors
    ///
    /// [`RecipeError`] if there is none or something in it is wrong.
    pub fn find(name_or_path: &str) -> Result<Self, RecipeError> {
        if let Some((name, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Self::parse(name, name, text);
        }
        let path = Path::new(name_or_path);
        let names_a_file =
            path.extension().is_some_and(|extension| extension == "toml") || path.components().count() > 1;
        if !names_a_file {
            let names = BUILT_IN.iter().map(|(name, _)| *name);
            return Err(RecipeError::Unknown { name: name_or_path.to_owned(), nearest: nearest(name_or_path, names) });
        }
        let text = fs_err::read_to_string(path)?;
        let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
        Self::parse(&name, name_or_path, &text)
    }

    /// The recipe that `text` writes. `file` names it in messages.
    ///
    /// # Errors
    ///
    /// [`RecipeError::At`] if something in it is wrong.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, RecipeError> {
        let at = |line, message: String| RecipeError::At { file: file.to_owned(), line, message };
        let line_of = |span: Range<usize>| 1 + text[..span.start.min(text.len())].matches('\n').count();
        let table: RecipeTable = toml::from_str(text).map_err(|error| {
            at(error.span().map_or(1, line_of), error.message().lines().collect::<Vec<_>>().join(" "))
        })?;
        let mut denoisers = Vec::new();
        for denoiser in table.denoiser {
            let line = line_of(denoiser.span());
            denoisers.push(RecipeDenoiser::new(denoiser.into_inner(), line).map_err(|message| at(line, message))?);
        }
        if denoisers.is_empty() {
            return Err(at(1, "expected at least one `[[denoiser]]`, found none".to_owned()));
        }
        Ok(Self {
            name: name.to_owned(),
            description: table.description,
            inputs_length: table.inputs_length,
            labels_length: table.labels_length,
            min_segment: table.min_segment,
            eos: table.eos,
            sentinels: table.sentinels,
            denoisers,
        })
    }
}

impl RecipeDenoiser {
    fn new(table: DenoiserTable, line: usize) -> Result<Self, String> {
        let DenoiserTable { name, mode, weight, mode_token, layout, random_spans, suffix } = table;
        let weight = NonZeroU32::new(weight)
            .ok_or_else(|| format!("denoiser `{name}` has weight 0: leave it out, or give it a share"))?;
        let pattern = match (random_spans, suffix) {
            (Some(spans), None) => NoisePattern::RandomSpans(spans),
            (None, Some(suffix)) => NoisePattern::Suffix(suffix),
            (None, None) => return Err(format!("denoiser `{name}` has no noise: expected `random_spans` or `suffix`")),
            (Some(_), Some(_)) => {
                return Err(format!("denoiser `{name}` has both `random_spans` and `suffix`: expected one of them"));
            }
        };
        let layout = layout.unwrap_or(match pattern {
            NoisePattern::RandomSpans(_) => Layout::Sentinels,
            NoisePattern::Suffix(_) => Layout::Split,
        });
        Ok(Self { name, mode, weight, mode_token: mode_token.filter(|text| !text.is_empty()), pattern, layout, line })
    }
}

/// The known name nearest to a misspelled one, if it is near enough to be meant.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let name = name.to_lowercase();
    let distance = |candidate: &&str| strsim::damerau_levenshtein(&name, &candidate.to_lowercase());
    known.into_iter().min_by_key(distance).filter(|candidate| 3 * distance(candidate) <= candidate.len().max(3))
}

impl fmt::Display for Recipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_built_in_recipe_is_one() {
        for (name, text) in BUILT_IN {
            let recipe = Recipe::parse(name, name, text).unwrap();
            assert!(recipe.description.is_some(), "{name}");
        }
    }

    fn message(text: &str) -> String {
        Recipe::parse("x", "x.toml", text).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_recipe_is_refused_with_its_line() {
        assert_eq!(message("description = \"\""), "x.toml:1: expected at least one `[[denoiser]]`, found none");
        assert_eq!(
            message("eos = \"both\"\n\nsentinel = 3\n"),
            "x.toml:3: unknown field `sentinel`, expected one of `description`, `inputs_length`, `labels_length`, \
             `min_segment`, `eos`, `sentinels`, `denoiser`"
        );
        let denoiser = "\n[[denoiser]]\nname = \"a\"\nmode = \"R\"\nweight = 1\n";
        assert_eq!(message(denoiser), "x.toml:2: denoiser `a` has no noise: expected `random_spans` or `suffix`");
        assert_eq!(
            message(&format!("{denoiser}random_spans = {{ noise_density = 0.1234567, mean_span_length = 3 }}")),
            "x.toml:6: expected at most six decimals, found 0.1234567"
        );
        assert_eq!(
            message(&denoiser.replace("weight = 1", "weight = 0")),
            "x.toml:2: denoiser `a` has weight 0: leave it out, or give it a share"
        );
        assert_eq!(message("a = ["), "x.toml:1: unclosed array, expected `]`");
    }

    #[test]
    fn a_misspelled_name_gets_the_nearest_one() {
        assert_eq!(nearest("ul2R", ["t5", "ul2", "ul2r"]), Some("ul2r"));
        assert_eq!(nearest("bert", ["t5", "ul2", "ul2r"]), None);
    }
}
