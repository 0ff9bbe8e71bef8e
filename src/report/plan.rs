//! The output of `plan`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::denoise::{Denoiser, Ratio, Spec, Validation, Weight};
use crate::input::source::listed;
use crate::numbers::{counted, grouped};
use crate::pipeline::memory::{self, USUAL_LINE};
use crate::plan::Plan;
use crate::report::numbers::bytes;
use crate::report::run::shortened;
use crate::report::table::table;
use crate::report::terminal::visible;
use crate::report::{mode_ids, remarks, tokenizer};
use crate::settings::Settings;
use crate::settings::masking::Masking;

/// The text that `plan` prints: what a run would do.
#[must_use]
pub(crate) fn plan(settings: &Settings) -> String {
    let Settings { masking, sources, passed_over, left_out, plan, .. } = settings;
    let Masking { spec, tokenizer: path, workers, .. } = masking;
    let fields = spec.fields();
    let mut text = String::new();
    let total: u64 = sources.iter().map(|source| source.bytes).sum();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("sources", format!("{}, {} on disk", grouped(sources.len() as u64), bytes(total)));
    if !passed_over.is_empty() {
        let files = counted(passed_over.len() as u64, "file");
        line("passed over", format!("{files} next to them that cannot be read: {}", listed(passed_over)));
    }
    line("units", units(plan));
    line("recipe", format!("{}, seed {}, epochs {}", fields.recipe, fields.seed.0, fields.epochs));
    for Weight { sources, weight } in &fields.weights {
        line("weight", format!("{weight}: {sources}"));
    }
    if !left_out.is_empty() {
        line("left out", format!("{} of weight 0: {}", counted(left_out.len() as u64, "source"), listed(left_out)));
    }
    line("lengths", format!("inputs {}, labels {}", fields.inputs_length, fields.labels_length));
    if let Some(validation) = &fields.validation {
        line("validation", self::validation(validation));
    }
    line("tokenizer", tokenizer(&fields.tokenizer));
    line("path", path.path());
    line("vocabulary", vocabulary(spec, &settings.token_names));
    line("workers", workers.to_string());
    line("memory", memory(settings));
    let _ = writeln!(text);
    text += &denoiser_table(spec);
    for shortening in spec.shortenings() {
        let _ = write!(text, "\nnote: {}\n", self::shortened(shortening));
    }
    for remark in remarks(&settings.warnings, &settings.notes) {
        let _ = write!(text, "\n{remark}\n");
    }
    visible(&text).into_owned()
}

/// The memory that a run needs besides the tokenizer's tables: with lines of common length, and with the longest lines
/// allowed.
fn memory(settings: &Settings) -> String {
    let Settings { masking: Masking { spec, format, workers, .. }, plan, sources, .. } = settings;
    let most = |line| bytes(memory::most(spec, format, plan.pages().compression, sources, *workers, line));
    let longest = spec.fields().max_line;
    let mut text = format!("up to {} besides the tokenizer, for sources of any size", most(longest.min(USUAL_LINE)));
    if longest > USUAL_LINE {
        let _ = write!(text, "; {} if lines are as long as `--max-line` allows", most(longest));
    }
    text
}

fn validation(validation: &Validation) -> String {
    match validation {
        Validation::Share(share) => {
            format!("{} % of the documents", Ratio::from_millionths(100 * share.millionths()))
        }
        Validation::Sources(patterns) => format!("the sources named {}", patterns.join(", ")),
    }
}

fn units(plan: &Plan) -> String {
    let largest = plan.units.iter().map(|unit| unit.sources).max().unwrap_or_default();
    match plan.units.len() {
        1 => format!("1, of {}", counted(largest as u64, "source")),
        units => format!("{}, of up to {} each", grouped(units as u64), counted(largest as u64, "source")),
    }
}

fn vocabulary(spec: &Spec, names: &BTreeMap<u32, String>) -> String {
    let vocabulary = spec.vocabulary();
    let shown = |id: u32| names.get(&id).map_or_else(|| id.to_string(), |name| format!("{id} {name}"));
    let role = |id: Option<u32>| id.map_or("none".to_owned(), shown);
    let bos = vocabulary.bos().map_or_else(String::new, |id| format!("bos {}, ", shown(id)));
    let sentinels = match vocabulary.sentinels() {
        [] => "no sentinels".to_owned(),
        [only] => format!("1 sentinel ({})", shown(*only)),
        [first, .., last] => {
            format!("{} sentinels ({} to {})", vocabulary.sentinels().len(), shown(*first), shown(*last))
        }
    };
    let (eos, pad) = (role(vocabulary.eos()), role(vocabulary.pad()));
    format!("{} ids, {bos}eos {eos}, pad {pad}, {sentinels}", vocabulary.size())
}

/// A denoiser's mode token: one id of the tokenizer, or the pieces of a text.
fn mode_token(spec: &Spec, denoiser: &Denoiser) -> String {
    let ids = mode_ids(&denoiser.mode_token);
    match denoiser.mode_token.as_slice() {
        [] => ids,
        [id] if !spec.vocabulary().is_ordinary(*id) => format!("1 id: {ids}"),
        pieces => format!("text, {}: {ids}", counted(pieces.len() as u64, "id")),
    }
}

fn denoiser_table(spec: &Spec) -> String {
    let mut rows = vec![
        ["denoiser", "mode", "share", "noise", "segment", "inputs", "labels", "sentinels", "mode token"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (index, denoiser) in spec.denoisers().iter().enumerate() {
        let length = spec.segment_length(index);
        rows.push(vec![
            denoiser.name.clone(),
            denoiser.mode.to_string(),
            share(spec, denoiser),
            denoiser.pattern.to_string(),
            length.tokens.to_string(),
            length.bounds.inputs.to_string(),
            length.bounds.labels.to_string(),
            length.bounds.sentinels.to_string(),
            mode_token(spec, denoiser),
        ]);
    }
    table(&rows)
}

pub(crate) fn share(spec: &Spec, denoiser: &Denoiser) -> String {
    let share = 100.0 * f64::from(denoiser.weight.get()) / f64::from(spec.total_weight());
    format!("{share:.1} %")
}
