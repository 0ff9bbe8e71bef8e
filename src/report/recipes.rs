//! Recipes, and examples of their denoisers.

use std::fmt::Write as _;

use crate::denoise::SegmentLength;
use crate::numbers::counted;
use crate::reading::parts::joined;
use crate::report::plan::share;
use crate::report::table::table;
use crate::report::terminal::{one_line, visible};
use crate::settings::preview::{Left, RecipePreview, Shown, realised_density};

/// The built-in recipes: what they are, and what their denoisers do with the tokenizer and the lengths asked for.
#[must_use]
pub(crate) fn recipes(previews: &[RecipePreview]) -> String {
    let names: Vec<Vec<String>> = previews
        .iter()
        .map(|RecipePreview { recipe, .. }| {
            vec![recipe.name.clone(), recipe.options.description.clone().unwrap_or_default()]
        })
        .collect();
    let width = names.iter().map(|row| row[0].len()).max().unwrap_or_default();
    let mut text = String::new();
    for row in &names {
        let _ = writeln!(text, "{:<width$}  {}", row[0], row[1]);
    }
    let head = ["recipe", "denoiser", "mode", "share", "noise", "density", "realised", "segment", "sentinels"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut refused = String::new();
    for RecipePreview { recipe, spec } in previews {
        let spec = match spec {
            Ok(spec) => spec,
            Err(error) => {
                let _ = writeln!(refused, "{error:#}");
                continue;
            }
        };
        for (index, denoiser) in spec.denoisers().iter().enumerate() {
            let SegmentLength { tokens, bounds, shortening } = spec.segment_length(index);
            let (segment, sentinels) = match shortening {
                None => (tokens.to_string(), bounds.sentinels),
                Some(short) => (format!("{tokens} of {}", short.full_segment_length), short.sentinels_needed),
            };
            let density = |density: Option<f64>| density.map_or_else(|| "-".to_owned(), |share| format!("{share:.3}"));
            rows.push(vec![
                recipe.name.clone(),
                denoiser.name.clone(),
                denoiser.mode.to_string(),
                share(spec, denoiser),
                denoiser.pattern.to_string(),
                density(denoiser.pattern.nominal_density()),
                density(realised_density(spec, index)),
                segment,
                sentinels.to_string(),
            ]);
        }
    }
    let _ = write!(text, "\n{}", table(&rows));
    if !refused.is_empty() {
        let _ = write!(text, "\n{refused}");
    }
    text
}

/// A text under each denoiser: noise in brackets, then the two sequences.
#[must_use]
pub(crate) fn example(shown: &[Shown]) -> String {
    let mut text = String::new();
    for Shown { denoiser, text: segment, inputs, labels, left } in shown {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}  {}  {}", denoiser.name, denoiser.mode, denoiser.pattern);
        let _ = writeln!(text, "  text    {}", one_line(&crate::report::examples::marked(segment)));
        let _ = writeln!(text, "  inputs  {}", one_line(&joined(inputs)));
        let _ = writeln!(text, "  labels  {}", one_line(&joined(labels)));
        match left {
            Left::Nothing => {}
            Left::ForLater(tokens) => {
                let _ = writeln!(text, "  {} more in further segments", counted(*tokens as u64, "token"));
            }
            Left::Out(tokens) => {
                let _ = writeln!(text, "  {} left out", counted(*tokens as u64, "token"));
            }
        }
    }
    visible(&text).into_owned()
}
