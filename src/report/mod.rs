//! Everything that is printed: progress, warnings, summaries, tables, rows, errors.

pub mod estimate;
pub mod examples;
pub mod page;
pub mod parts;
mod progress;
pub mod stats;
pub mod units;

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use serde::Deserialize as _;

use crate::denoise::{Denoiser, SegmentLength, Spec, TokenizerId};
use crate::input::source::listed;
use crate::numbers::exact;
pub use crate::numbers::{counted, grouped};
use crate::output::manifest::Manifest;
use crate::pipeline::memory::{self, USUAL_LINE};
use crate::plan::Plan;
use crate::report::parts::joined;
pub use crate::report::progress::{ProgressReport, clear};
use crate::settings::Settings;
use crate::settings::preview::{Left, RecipePreview, Shown, realised_density};
use crate::verify::findings::Report;

/// Standard output takes no more: no matter of the data set, and of no command's usage.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
pub struct OutputClosed(io::Error);

/// Prints data to standard output. A reader that has closed it is not an error.
///
/// # Errors
///
/// If it cannot be written for any other reason.
pub fn data(text: &str) -> Result<(), OutputClosed> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.map_err(OutputClosed),
    }
}

/// Prints a part of data that comes little by little. Whether more is wanted: a pager that was left is not an error.
///
/// # Errors
///
/// If it cannot be written for any other reason.
pub fn part_of_data(text: &str) -> Result<ControlFlow<()>, OutputClosed> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        written => written.map(|()| ControlFlow::Continue(())).map_err(OutputClosed),
    }
}

/// Whether standard output is a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Prints a line for a person to standard error.
pub fn message(text: &str) {
    progress::clear();
    // Nowhere left to report a closed stderr.
    let _ = writeln!(io::stderr().lock(), "{}", visible(text));
}

/// Prints why a command failed, in one line, and what to do about it.
pub fn failure(error: &str, hint: Option<&str>) {
    message(&format!("error: {}", one_line(error)));
    if let Some(hint) = hint {
        message(&format!("\nhint: {}", one_line(hint)));
    }
}

/// The text with escapes for all that a terminal might obey: names of files and contents of records are other people's. Line feeds stay.
#[must_use]
pub fn visible(text: &str) -> Cow<'_, str> {
    // Marks that turn the direction of text around make a line say something else.
    let obeyed = |letter: char| {
        (letter.is_control() && letter != '\n')
            || matches!(letter, '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(obeyed) {
        return Cow::Borrowed(text);
    }
    let escaped = |mut text: String, letter: char| {
        if obeyed(letter) {
            text.extend(letter.escape_default());
        } else {
            text.push(letter);
        }
        text
    };
    Cow::Owned(text.chars().fold(String::new(), escaped))
}

/// Prints what a person should know before a run.
pub fn before(settings: &Settings) {
    for line in remarks(settings) {
        message(&line);
    }
}

/// Warnings and notes, a line each.
fn remarks(settings: &Settings) -> impl Iterator<Item = String> {
    let warnings = settings.warnings.iter().map(|warning| format!("warning: {warning}"));
    warnings.chain(settings.notes.iter().map(|note| format!("note: {note}")))
}

pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        seconds if !seconds.is_finite() => "an unknown time".to_owned(),
        seconds if seconds < 100.0 => format!("{seconds:.0} s"),
        seconds if seconds < 6000.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3600.0),
    }
}

/// `1.2 GB`
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub fn bytes(count: u64) -> String {
    match count {
        0..1_000 => format!("{count} B"),
        1_000..1_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.2} GB", count as f64 / 1e9),
    }
}

/// What a run has made.
#[must_use]
pub fn summary(manifest: &Manifest, passed_over: &[String], out: &str, elapsed: Duration) -> String {
    let totals = &manifest.totals;
    let sources = &totals.sources;
    let mut text = format!(
        "{} from {} ({}) in {}, {}, in {:.1} s\n",
        counted(sources.rows, "row"),
        counted(sources.documents, "document"),
        counted(sources.tokens, "token"),
        counted(manifest.shards.len() as u64, "shard"),
        bytes(totals.shard_bytes),
        elapsed.as_secs_f64(),
    );
    let id = TokenizerId::deserialize(&manifest.spec["tokenizer"]).map(|id| tokenizer(&id)).unwrap_or_default();
    let _ = writeln!(text, "recipe {}, tokenizer {id}", manifest.spec["recipe"].as_str().unwrap_or_default());
    if !passed_over.is_empty() {
        let _ = writeln!(text, "{} passed over: {}", counted(passed_over.len() as u64, "file"), listed(passed_over));
    } else if manifest.plan.passed_over > 0 {
        let files = counted(manifest.plan.passed_over, "file");
        let _ = writeln!(text, "{files} passed over when the sources were listed: `ul2-prep plan` names them");
    }
    if sources.short_documents > 0 {
        let _ = writeln!(
            text,
            "{} shorter than `min_segment`, no rows ({})",
            counted(sources.short_documents, "document"),
            counted(sources.short_tokens, "token")
        );
    }
    if sources.rejected() > 0 {
        let reasons: Vec<String> =
            sources.rejects.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
        let _ = writeln!(
            text,
            "{}, kept in `{out}/rejects`: {}",
            counted(sources.rejected(), "rejected line"),
            reasons.join(", ")
        );
    }
    if sources.left_out_tokens > 0 {
        let _ = writeln!(text, "{} left out, as the recipe asks", counted(sources.left_out_tokens, "token"));
    }
    if let Some(fill_rate) = totals.fill_rate {
        let examples = counted(sources.examples, "example");
        let _ = writeln!(text, "{examples}, which fill {:.1} % of the rows' lengths", 100.0 * fill_rate);
    }
    for shortening in &manifest.shortened {
        let _ = writeln!(text, "note: {}", shortened(shortening));
    }
    text
}

fn shortened(shortening: &crate::denoise::Shortening) -> String {
    let crate::denoise::Shortening { denoiser, full_segment_length, segment_length, sentinels_needed, sentinels } =
        shortening;
    format!(
        "denoiser `{denoiser}` gets segments of {} instead of {full_segment_length}: these would need {}, the vocabulary has {sentinels}",
        exact(u64::from(*segment_length), "token"),
        exact(u64::from(*sentinels_needed), "sentinel"),
    )
}

/// Differences that are shown one by one.
const MOST_DIFFERENCES: usize = 40;

/// What `verify` prints.
#[must_use]
pub fn verification(found: &Report) -> String {
    let mut text = String::new();
    for line in found.lines() {
        let _ = writeln!(text, "{line}");
    }
    for what in &found.not_checked {
        let _ = writeln!(text, "not checked: {what}");
    }
    let _ = match found.count() {
        0 => write!(text, "no finding"),
        count => write!(text, "{}", counted(count, "finding")),
    };
    let _ = write!(text, " in {} and {}", counted(found.files, "file"), counted(found.rows, "row"));
    if found.lines > 0 {
        let _ = write!(text, ", {} of sources", counted(found.lines, "line"));
    }
    if found.batches > 0 {
        let _ = write!(text, ", {} made again", counted(found.batches, "batch"));
    }
    text.push('\n');
    text
}

/// What `reproduce` prints: the differences, or that there is none.
#[must_use]
pub fn differences(found: &[String], equal: &str) -> String {
    if found.is_empty() {
        return format!("equal: {equal}\n");
    }
    let mut text = String::new();
    for line in found.iter().take(MOST_DIFFERENCES) {
        let _ = writeln!(text, "differs: {line}");
    }
    if found.len() > MOST_DIFFERENCES {
        let _ = writeln!(text, "and {} more", grouped((found.len() - MOST_DIFFERENCES) as u64));
    }
    let _ = writeln!(text, "{}", counted(found.len() as u64, "difference"));
    text
}

/// How a data set made again is equal to one that `version` of the tool made.
#[must_use]
pub fn equal(made: &Manifest, version: &str) -> String {
    let rows = counted(made.totals.sources.rows, "row");
    if version == made.tool_version {
        format!("{rows} in {}, byte for byte", counted(made.shards.len() as u64, "shard"))
    } else {
        format!("{rows}; their bytes are not compared, since version {version} of the tool wrote them")
    }
}

/// What `plan` prints.
#[must_use]
pub fn plan(settings: &Settings) -> String {
    let Settings { spec, tokenizer: path, sources, passed_over, plan, workers, .. } = settings;
    let fields = spec.fields();
    let mut text = String::new();
    let total: u64 = sources.iter().map(|source| source.bytes).sum();
    let mut line = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<12} {value}");
    };
    line("sources", format!("{}, {} on disk", grouped(sources.len() as u64), bytes(total)));
    if !passed_over.is_empty() {
        let files = counted(passed_over.len() as u64, "file");
        line("passed over", format!("{files} beside them that cannot be read: {}", listed(passed_over)));
    }
    line("units", units(plan));
    line("recipe", format!("{}, seed {}, epochs {}", fields.recipe, fields.seed.0, fields.epochs));
    line("lengths", format!("inputs {}, labels {}", fields.inputs_length, fields.labels_length));
    line("tokenizer", tokenizer(&fields.tokenizer));
    line("path", path.path());
    line("vocabulary", vocabulary(spec));
    line("workers", workers.to_string());
    line("memory", memory(settings));
    let _ = writeln!(text);
    text += &denoiser_table(spec);
    for shortening in spec.shortenings() {
        let _ = write!(text, "\nnote: {}\n", self::shortened(shortening));
    }
    for remark in remarks(settings) {
        let _ = write!(text, "\n{remark}\n");
    }
    visible(&text).into_owned()
}

/// Which tokenizer it is. Nobody who has given none should take the ids for those of a model.
fn tokenizer(id: &TokenizerId) -> String {
    let TokenizerId { kind, sha256, library } = id;
    match sha256.get(..12) {
        Some(digest) => format!("{kind}, sha256 {digest}…, {library}"),
        None => format!("{kind}: each byte of a text is an id, as in ByT5 (`--tokenizer` names another)"),
    }
}

/// What a run holds beside the tokenizer's tables: with lines as most sources have them, and with those that are allowed.
fn memory(settings: &Settings) -> String {
    let Settings { spec, format, plan, sources, workers, .. } = settings;
    let most = |line| bytes(memory::most(spec, format, plan.pages().compression, sources, *workers, line));
    let longest = spec.fields().max_line;
    let mut text =
        format!("up to {} beside the tokenizer, whatever the size of the sources", most(longest.min(USUAL_LINE)));
    if longest > USUAL_LINE {
        let _ = write!(text, "; {} if lines are as long as `--max-line` allows", most(longest));
    }
    text
}

fn units(plan: &Plan) -> String {
    let largest = plan.units.iter().map(|unit| unit.sources).max().unwrap_or_default();
    match plan.units.len() {
        1 => format!("1, of {}", counted(largest as u64, "source")),
        units => format!("{}, of up to {} each", grouped(units as u64), counted(largest as u64, "source")),
    }
}

fn vocabulary(spec: &Spec) -> String {
    let vocabulary = spec.vocabulary();
    let id = |id: Option<u32>| id.map_or("none".to_owned(), |id| id.to_string());
    let sentinels = match vocabulary.sentinels() {
        [] => "no sentinels".to_owned(),
        [only] => format!("1 sentinel ({only})"),
        [first, .., last] => format!("{} sentinels ({first} to {last})", vocabulary.sentinels().len()),
    };
    format!("{} ids, eos {}, pad {}, {sentinels}", vocabulary.size(), id(vocabulary.eos()), id(vocabulary.pad()))
}

fn denoiser_table(spec: &Spec) -> String {
    let mut rows = vec![
        ["denoiser", "mode", "share", "noise", "segment", "inputs", "labels", "sentinels", "mode ids"]
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
            mode_ids(&denoiser.mode_token),
        ]);
    }
    table(&rows)
}

/// Ids of a mode token that are shown.
const MOST_MODE_IDS: usize = 8;

fn mode_ids(ids: &[u32]) -> String {
    let shown: Vec<String> = ids.iter().take(MOST_MODE_IDS).map(u32::to_string).collect();
    match ids.len() {
        0 => "none".to_owned(),
        count if count > MOST_MODE_IDS => format!("{} … ({count})", shown.join(" ")),
        _ => shown.join(" "),
    }
}

fn share(spec: &Spec, denoiser: &Denoiser) -> String {
    let share = 100.0 * f64::from(denoiser.weight.get()) / f64::from(spec.total_weight());
    format!("{share:.1} %")
}

/// The built-in recipes: what they are, and what their denoisers do at the lengths and with the tokenizer asked for.
#[must_use]
pub fn recipes(previews: &[RecipePreview]) -> String {
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
pub fn example(shown: &[Shown]) -> String {
    let mut text = String::new();
    for Shown { denoiser, text: segment, inputs, labels, left } in shown {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}  {}  {}", denoiser.name, denoiser.mode, denoiser.pattern);
        let _ = writeln!(text, "  text    {}", one_line(&examples::marked(segment)));
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

pub(crate) fn one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

/// Columns as wide as their widest cell; the first to the left, numbers to the right.
#[must_use]
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let gap = if column == 0 { "" } else { "  " };
            let _ = match column {
                0 => write!(line, "{gap}{cell:<width$}"),
                _ => write!(line, "{gap}{cell:>width$}"),
            };
        }
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_might_obey_is_shown() {
        assert_eq!(visible("naïve 日本 `a`\nb"), "naïve 日本 `a`\nb");
        assert_eq!(visible("\u{1B}[2J\r\u{7F}\u{9B}31m\t\u{202E}gpj"), "\\u{1b}[2J\\r\\u{7f}\\u{9b}31m\\t\\u{202e}gpj");
    }

    #[test]
    fn numbers_read_easily() {
        assert_eq!([12, 1_500, 2_000_000, 3_210_000_000].map(bytes), ["12 B", "1.5 kB", "2.0 MB", "3.21 GB"]);
    }
}
