//! A recipe file: a mixture of denoisers and the rows it is meant for, by name or as a TOML file.
//!
//! The built-in recipes are such files, in `src/recipe/`; `ul2r.toml` explains every key, `docs/reference/recipes.md` every recipe.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;

use schemars::JsonSchema;
use serde::Deserialize;
use toml::Spanned;

use crate::denoise::{
    Denoiser, EosPolicy, IndependentTokens, Label, LabelsRule, Layout, Loss, Mode, MultipleChoice, NoisePattern,
    Permute, RandomSpans, SSentinel, Segmenting, Separate, SpecError, Suffix, Whole,
};
use crate::files::bounded;
use crate::guidance::Guidance;

/// The default recipe.
pub(crate) const DEFAULT: &str = "ul2r";

/// Most bytes of a recipe file.
pub(crate) const MAX_FILE: u64 = 1 << 20;

/// The built-in recipes: name and TOML text.
pub const BUILT_IN: [(&str, &str); 20] = [
    ("t5", include_str!("t5.toml")),
    ("t5-iid", include_str!("t5-iid.toml")),
    ("prefix-lm", include_str!("prefix-lm.toml")),
    ("causal-lm", include_str!("causal-lm.toml")),
    ("ul2", include_str!("ul2.toml")),
    ("ul2-20b", include_str!("ul2-20b.toml")),
    ("flan-ul2", include_str!("flan-ul2.toml")),
    ("ul2r", include_str!("ul2r.toml")),
    ("u-palm", include_str!("u-palm.toml")),
    ("text-denoising", include_str!("text-denoising.toml")),
    ("oslo-t5", include_str!("oslo-t5.toml")),
    ("fairseq-t5", include_str!("fairseq-t5.toml")),
    ("label-aware-concat", include_str!("label-aware-concat.toml")),
    ("label-aware-full-label", include_str!("label-aware-full-label.toml")),
    ("label-aware-multiple-choice", include_str!("label-aware-multiple-choice.toml")),
    ("label-aware-separate", include_str!("label-aware-separate.toml")),
    ("label-aware-permute", include_str!("label-aware-permute.toml")),
    ("openmoe", include_str!("openmoe.toml")),
    ("improved-t5-ul2", include_str!("improved-t5-ul2.toml")),
    ("garcia-ul2", include_str!("garcia-ul2.toml")),
];

/// A recipe as written: the command line may set its lengths, and its tokens are texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipe {
    /// The name of the built-in recipe, or of the file without `.toml`.
    pub(crate) name: String,
    /// The name or path for messages.
    pub(crate) file: String,
    /// Its top-level keys.
    pub(crate) options: RecipeOptions,
    /// The mixture.
    pub(crate) denoisers: Vec<RecipeDenoiser>,
    /// The 1-based lines of its top-level keys.
    key_lines: BTreeMap<String, usize>,
}

/// A denoiser as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecipeDenoiser {
    /// The denoiser, without the ids of its texts.
    pub(crate) denoiser: Denoiser,
    /// The token at the front of the inputs.
    pub(crate) mode_token: Option<ModeToken>,
    /// The texts of a multiple choice.
    pub(crate) prompts: Option<Prompts>,
    /// 1-based line of the file where it begins.
    pub(crate) line: usize,
}

/// The texts before labels and text of a multiple choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prompts {
    /// Before the labels.
    pub(crate) label: String,
    /// Before the text.
    pub(crate) text: String,
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the message says it")]
pub enum RecipeError {
    /// Neither a built-in recipe nor a file.
    #[error("there is no recipe `{name}`")]
    Unknown {
        name: String,
        /// The nearest built-in name, if one is near.
        nearest: Option<&'static str>,
    },
    /// The file cannot be read. The message carries the path.
    #[error("cannot read the recipe")]
    Read(#[from] std::io::Error),
    /// A pattern of labels, but records with one field.
    #[error("{file}:{line}: denoiser `{name}`: {rule}", rule = LabelsRule::Field)]
    NoLabelField {
        file: String,
        /// 1-based line.
        line: usize,
        name: String,
    },
    /// Something in the file is wrong.
    #[error("{file}:{line}: {message}")]
    At {
        file: String,
        /// 1-based line.
        line: usize,
        message: String,
    },
}

impl Guidance for RecipeError {
    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } => Some(format!("there is a recipe `{nearest}`")),
            Self::Unknown { nearest: None, .. } => {
                Some("`ul2-prep recipes` lists the built-in ones; a file's name ends in `.toml`".into())
            }
            Self::NoLabelField { .. } => {
                Some("name the label's field with `--label-field`, or `label_field` in the recipe".into())
            }
            Self::At { .. } => Some("`ul2-prep recipes ul2r` prints a recipe with every key explained".into()),
            Self::Read(_) => None,
        }
    }
}

/// A recipe: a mixture of denoisers and the rows it is meant for. Command-line flags of the same names win.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "ul2-prep recipe", extend("required" = ["denoiser"]))]
pub(crate) struct RecipeOptions {
    /// One line on what it is.
    pub(crate) description: Option<String>,
    /// Most ids of the inputs, everything included.
    #[schemars(range(min = 2, max = 131_072))]
    pub(crate) inputs_length: Option<u32>,
    /// Most ids of the labels, everything included.
    #[schemars(range(min = 2, max = 131_072))]
    pub(crate) labels_length: Option<u32>,
    /// Most ids of a causal row. The default is both lengths together.
    #[schemars(range(min = 2, max = 262_144))]
    pub(crate) sequence_length: Option<u32>,
    /// Fewest tokens of a segment, at least 2.
    #[schemars(range(min = 2, max = 131_072))]
    pub(crate) min_segment: Option<u32>,
    /// Which sequences EOS ends. The default is `both`, in the causal layout `labels`.
    pub(crate) eos: Option<EosPolicy>,
    /// The BOS token at the front of every example: a name, `auto` for the tokenizer's own, or `none`, the default.
    pub(crate) bos_token: Option<String>,
    /// The EOS token: a name, `auto` for the tokenizer's own, which is the default, or `none`.
    pub(crate) eos_token: Option<String>,
    /// The pad token: a name, `auto` for the tokenizer's own, which is the default, or `none`.
    pub(crate) pad_token: Option<String>,
    /// Sentinels in their order of use: names, names with `{n}`, `{0..127}` or `{8..}` at the number's place, or
    /// `ids 0..127`.
    pub(crate) sentinels: Option<Vec<String>>,
    /// Whether inputs and labels are two sequences or one.
    pub(crate) layout: Option<RowLayout>,
    /// Which ids of a causal row the loss is taken on.
    #[serde(default)]
    pub(crate) loss: Loss,
    /// The token between the prefix and the targets of a causal row, by name.
    pub(crate) separator: Option<String>,
    /// What is cut into segments.
    #[serde(default)]
    pub(crate) segmenting: Segmenting,
    /// Whether a row holds several examples.
    #[serde(default)]
    pub(crate) pack: bool,
    /// Whether the rows of a batch change places.
    #[serde(default)]
    pub(crate) shuffle: bool,
    /// Whether rows are filled up to their lengths.
    #[serde(default)]
    pub(crate) pad: bool,
    /// The field of a record that holds the text; `a.b` for a nested one.
    pub(crate) text_field: Option<String>,
    /// The field that holds the label, in records of two fields.
    pub(crate) label_field: Option<String>,
    /// The mark that ends texts and labels of two-field records without punctuation at their end. White space at both ends is removed.
    pub(crate) end_mark: Option<String>,
    /// The mixture: each segment gets one of these.
    #[serde(default)]
    #[schemars(with = "Vec<DenoiserTable>", length(min = 1))]
    denoiser: Vec<Spanned<DenoiserTable>>,
}

/// What inputs and labels become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum RowLayout {
    /// Two sequences, for an encoder and a decoder.
    #[default]
    EncoderDecoder,
    /// One sequence for a decoder alone: the inputs, then the labels.
    Causal,
}

/// The token at the front of the inputs: a name or a text, or an id.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a text, an id or `{ text = \"…\" }`")]
pub(crate) enum ModeToken {
    /// One id if the tokenizer has an added token of that name, else the ids of the text. A text in angle or square
    /// brackets must be such a token.
    Text(String),
    /// That id.
    Id(u32),
    /// The same as a text, but a text in brackets need not be a token.
    Spelled(Spelled),
}

/// A text that is spelled with pieces where the tokenizer has no added token of that name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Spelled {
    /// The text.
    pub text: String,
}

impl ModeToken {
    /// The text, if it is given as one.
    #[must_use]
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) | Self::Spelled(Spelled { text }) => Some(text),
            Self::Id(_) => None,
        }
    }
}

/// A weighted denoiser. It has exactly one kind of noise.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Denoiser", extend("oneOf" = [
    { "required": ["random_spans"] },
    { "required": ["independent_tokens"] },
    { "required": ["union"] },
    { "required": ["suffix"] },
    { "required": ["whole"] },
    { "required": ["label"] },
    { "required": ["separate"] },
    { "required": ["permute"] },
    { "required": ["multiple_choice"] },
]))]
struct DenoiserTable {
    /// Unique. It is in the rows and in the address of the random stream: another name gives other masks.
    name: String,
    /// The family.
    mode: Mode,
    /// The share of the segments, as an integer of at least 1.
    #[serde(deserialize_with = "whole_weight")]
    #[schemars(range(min = 1))]
    weight: u32,
    /// The token at the front of the inputs.
    mode_token: Option<ModeToken>,
    /// How a mask becomes an example. The default is `split` for noise that is a suffix, else `sentinels`.
    layout: Option<Layout>,
    /// Where the split layout has its sentinel.
    #[serde(default)]
    s_sentinel: SSentinel,
    /// Whether a sentinel follows the last span of the labels.
    #[serde(default)]
    closing_sentinel: bool,
    /// Spans of random length at random places.
    random_spans: Option<RandomSpans>,
    /// Single tokens at random places.
    independent_tokens: Option<IndependentTokens>,
    /// Everything that is noise in one of two to four masks of random spans.
    #[schemars(length(min = 2, max = 4))]
    union: Option<Vec<RandomSpans>>,
    /// Everything from some place on.
    suffix: Option<Suffix>,
    /// Every token.
    whole: Option<Whole>,
    /// The label of a record of two fields.
    label: Option<Label>,
    /// Random spans of the text and of the label, each with its own numbers.
    separate: Option<Separate>,
    /// Every set of the label's tokens, a row each.
    permute: Option<Permute>,
    /// The label, which the inputs offer among others.
    multiple_choice: Option<MultipleChoiceTable>,
}

/// The right label among others of the source.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MultipleChoice")]
struct MultipleChoiceTable {
    /// Fewest other labels.
    least: u32,
    /// Most other labels.
    most: u32,
    /// Text before the labels.
    #[serde(default)]
    label_prompt: String,
    /// Text before the text.
    #[serde(default)]
    text_prompt: String,
}

/// The JSON Schema of recipe files.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(RecipeOptions).to_value()
}

impl Recipe {
    /// The recipe with that name, or in that file. A name with `/` or `.toml` is a file.
    ///
    /// # Errors
    ///
    /// [`RecipeError`] if there is none or something in it is wrong.
    pub(crate) fn find(name_or_path: &str) -> Result<Self, RecipeError> {
        let text = Self::text(name_or_path)?;
        let stem = Path::new(name_or_path).file_stem();
        let is_built_in = BUILT_IN.iter().any(|(name, _)| *name == name_or_path);
        let name = stem.filter(|_| !is_built_in).map_or(name_or_path.into(), |stem| stem.to_string_lossy());
        Self::parse(&name, name_or_path, &text)
    }

    /// The file with that name, built in or not. A name with `/` or `.toml` is a file.
    ///
    /// # Errors
    ///
    /// [`RecipeError`] if there is none.
    pub(crate) fn text(name_or_path: &str) -> Result<String, RecipeError> {
        if let Some((_, text)) = BUILT_IN.iter().find(|(name, _)| *name == name_or_path) {
            return Ok((*text).to_owned());
        }
        let path = Path::new(name_or_path);
        let names_a_file =
            path.extension().is_some_and(|extension| extension == "toml") || path.components().count() > 1;
        if !names_a_file {
            let names = BUILT_IN.iter().map(|(name, _)| *name);
            return Err(RecipeError::Unknown { name: name_or_path.to_owned(), nearest: nearest(name_or_path, names) });
        }
        let bytes = bounded::read_any(path, MAX_FILE)?;
        String::from_utf8(bytes).map_err(|error| {
            let line = 1 + memchr::memchr_iter(b'\n', &error.as_bytes()[..error.utf8_error().valid_up_to()]).count();
            RecipeError::At { file: name_or_path.to_owned(), line, message: "the file is not UTF-8".to_owned() }
        })
    }

    /// Parses the recipe in `text`. `file` names it in messages.
    ///
    /// # Errors
    ///
    /// [`RecipeError::At`] if something in it is wrong.
    pub fn parse(name: &str, file: &str, text: &str) -> Result<Self, RecipeError> {
        let at = |line, message: String| RecipeError::At { file: file.to_owned(), line, message };
        let line_of = |span: Range<usize>| 1 + text[..span.start.min(text.len())].matches('\n').count();
        let mut options: RecipeOptions = toml::from_str(text).map_err(|error| {
            at(error.span().map_or(1, line_of), error.message().lines().collect::<Vec<_>>().join(" "))
        })?;
        let mut denoisers: Vec<RecipeDenoiser> = Vec::new();
        for table in std::mem::take(&mut options.denoiser) {
            let line = line_of(table.span());
            let denoiser = RecipeDenoiser::new(table.into_inner(), line).map_err(|message| at(line, message))?;
            let of_labels = denoiser.denoiser.pattern.is_of_labels();
            let name = &denoiser.denoiser.name;
            if denoisers.iter().any(|other| other.denoiser.name == *name) {
                return Err(at(line, SpecError::DuplicateName(name.clone()).to_string()));
            }
            if denoisers.first().is_some_and(|first| first.denoiser.pattern.is_of_labels() != of_labels) {
                return Err(at(line, format!("denoiser `{name}`: {}", LabelsRule::Alone)));
            }
            denoisers.push(denoiser);
        }
        if denoisers.is_empty() {
            return Err(at(1, "expected at least one `[[denoiser]]`, found none".to_owned()));
        }
        let key_lines = key_lines(text);
        Ok(Self { name: name.to_owned(), file: file.to_owned(), options, denoisers, key_lines })
    }

    /// The 1-based line of a top-level key; `None` if the file does not have it.
    #[must_use]
    pub(crate) fn has(&self, key: &str) -> Option<usize> {
        self.key_lines.get(key).copied()
    }

    /// The 1-based line of a top-level key, or the first.
    #[must_use]
    pub(crate) fn line_of(&self, key: &str) -> usize {
        self.has(key).unwrap_or(1)
    }

    /// The error that something at `line` is wrong.
    #[must_use]
    pub(crate) fn error(&self, line: usize, message: String) -> RecipeError {
        RecipeError::At { file: self.file.clone(), line, message }
    }
}

/// The lines of the top-level keys: the text before `=` in the lines before the first table.
fn key_lines(text: &str) -> BTreeMap<String, usize> {
    let lines = (1..).zip(text.lines()).take_while(|(_, line)| !line.trim_start().starts_with("[["));
    let key = |(number, line): (usize, &str)| {
        let (key, _) = line.split_once('=')?;
        let key = key.trim().trim_matches(['"', '\'']);
        (!key.is_empty() && !key.contains([' ', '#', '{', '['])).then(|| (key.to_owned(), number))
    };
    lines.filter_map(key).collect()
}

impl RecipeDenoiser {
    fn new(table: DenoiserTable, line: usize) -> Result<Self, String> {
        let DenoiserTable {
            name,
            mode,
            weight,
            mode_token,
            layout,
            s_sentinel,
            closing_sentinel,
            random_spans,
            independent_tokens,
            union,
            suffix,
            whole,
            label,
            separate,
            permute,
            multiple_choice,
        } = table;
        let weight = NonZeroU32::new(weight)
            .ok_or_else(|| format!("denoiser `{name}` has weight 0: leave it out, or give it a share"))?;
        if name.is_empty() {
            return Err("a denoiser needs a name that is not empty".to_owned());
        }
        let mut prompts = None;
        let multiple_choice = multiple_choice.map(|table| {
            let MultipleChoiceTable { least, most, label_prompt, text_prompt } = table;
            prompts = Some(Prompts { label: label_prompt, text: text_prompt });
            MultipleChoice { least, most, label_prompt: Vec::new(), text_prompt: Vec::new() }
        });
        let patterns = [
            ("random_spans", random_spans.map(NoisePattern::RandomSpans)),
            ("independent_tokens", independent_tokens.map(NoisePattern::IndependentTokens)),
            ("union", union.map(NoisePattern::Union)),
            ("suffix", suffix.map(NoisePattern::Suffix)),
            ("whole", whole.map(NoisePattern::Whole)),
            ("label", label.map(NoisePattern::Label)),
            ("separate", separate.map(NoisePattern::Separate)),
            ("permute", permute.map(NoisePattern::Permute)),
            ("multiple_choice", multiple_choice.map(NoisePattern::MultipleChoice)),
        ];
        let keys = patterns.each_ref().map(|(key, _)| *key).join("`, `");
        let mut found = patterns.into_iter().filter_map(|(key, pattern)| Some((key, pattern?)));
        let Some((key, pattern)) = found.next() else {
            return Err(format!("denoiser `{name}` has no noise: expected one of `{keys}`"));
        };
        if let Some((second, _)) = found.next() {
            return Err(format!("denoiser `{name}` has both `{key}` and `{second}`: expected one of them"));
        }
        let layout = layout.unwrap_or(match pattern {
            NoisePattern::Suffix(_) | NoisePattern::Whole(_) | NoisePattern::MultipleChoice(_) => Layout::Split,
            _ => Layout::Sentinels,
        });
        let mode_token = mode_token.filter(|token| token.text() != Some(""));
        let denoiser =
            Denoiser { name, mode, weight, pattern, layout, s_sentinel, closing_sentinel, mode_token: Vec::new() };
        denoiser.check().map_err(|error| format!("denoiser `{}`: {error}", denoiser.name))?;
        Ok(Self { denoiser, mode_token, prompts, line })
    }
}

/// A weight; a fraction gets an error that says what to write instead.
fn whole_weight<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    struct Whole;
    impl serde::de::Visitor<'_> for Whole {
        type Value = u32;

        fn expecting(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            text.write_str("a whole number")
        }

        fn visit_u64<E: serde::de::Error>(self, weight: u64) -> Result<u32, E> {
            u32::try_from(weight).map_err(|_| E::custom(format!("weights are at most {}, found {weight}", u32::MAX)))
        }

        fn visit_i64<E: serde::de::Error>(self, weight: i64) -> Result<u32, E> {
            let weight = u64::try_from(weight)
                .map_err(|_| E::custom(format!("weights are whole numbers of at least 1, found {weight}")))?;
            self.visit_u64(weight)
        }

        fn visit_f64<E: serde::de::Error>(self, weight: f64) -> Result<u32, E> {
            Err(E::custom(format!(
                "weights are whole numbers, found {weight:?}: multiply all of them, as 0.5 and 0.25 by 4 to 2 and 1"
            )))
        }
    }
    deserializer.deserialize_u32(Whole)
}

/// The known name nearest to a misspelled one, if it is near enough to be meant.
pub(crate) fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
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
            assert!(recipe.options.description.is_some(), "{name}");
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
             `sequence_length`, `min_segment`, `eos`, `bos_token`, `eos_token`, `pad_token`, `sentinels`, `layout`, `loss`, `separator`, `segmenting`, `pack`, \
             `shuffle`, `pad`, `text_field`, `label_field`, `end_mark`, `denoiser`"
        );
        let denoiser = "\n[[denoiser]]\nname = \"a\"\nmode = \"R\"\nweight = 1\n";
        assert_eq!(
            message(denoiser),
            "x.toml:2: denoiser `a` has no noise: expected one of `random_spans`, `independent_tokens`, `union`, \
             `suffix`, `whole`, `label`, `separate`, `permute`, `multiple_choice`"
        );
        assert_eq!(
            message(&format!("{denoiser}suffix = {{}}\nwhole = {{}}")),
            "x.toml:2: denoiser `a` has both `suffix` and `whole`: expected one of them"
        );
        let spans = |density: &str, mean: &str| {
            message(&format!("{denoiser}random_spans = {{ noise_density = {density}, mean_span_length = {mean} }}"))
        };
        assert_eq!(
            spans("1.5", "3"),
            "x.toml:2: denoiser `a`: `noise_density` must lie between 0 and 1, both excluded, found 1.5"
        );
        assert_eq!(
            spans("0.15", "{ share = 1 }"),
            "x.toml:2: denoiser `a`: `share` must lie between 0 and 1, both excluded, found 1"
        );
        assert_eq!(
            spans("0.15", "\"long\""),
            "x.toml:6: invalid type: string \"long\", expected a number of tokens, or `{ share = … }` of the segment"
        );
        assert_eq!(
            message(&format!("{denoiser}union = [{{ noise_density = 0.1, mean_span_length = 2 }}]")),
            "x.toml:2: denoiser `a`: `union` takes 2 to 4 masks, found 1"
        );
        assert_eq!(
            message(&format!("{denoiser}independent_tokens = {{ noise_density = 0.1 }}\nlayout = \"split\"")),
            "x.toml:2: denoiser `a`: layout `split` needs noise that is a suffix"
        );
        assert_eq!(
            message(&format!("{denoiser}suffix = {{}}\nclosing_sentinel = true")),
            "x.toml:2: denoiser `a`: `closing_sentinel` belongs to layout `sentinels`"
        );
        assert_eq!(
            message(&format!("{denoiser}label = {{}}\n{}suffix = {{}}", denoiser.replace("\"a\"", "\"b\""))),
            "x.toml:8: denoiser `b`: patterns of labels and of segments cannot be in one recipe"
        );
        assert_eq!(
            message(&format!("{denoiser}random_spans = {{ noise_density = 0.1234567, mean_span_length = 3 }}")),
            "x.toml:6: expected at most six decimals, found 0.1234567"
        );
        assert_eq!(
            message(&denoiser.replace("weight = 1", "weight = 0.5")),
            "x.toml:5: weights are whole numbers, found 0.5: multiply all of them, as 0.5 and 0.25 by 4 to 2 and 1"
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
