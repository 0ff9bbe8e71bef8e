//! Rows as text: for a terminal, a pager or a file.

use std::fmt::Write as _;

use serde_json::{Value, json};
use unicode_width::UnicodeWidthChar as _;

use crate::denoise::Spec;
use crate::inspect::Found;
use crate::output::schema::Column;
use crate::reading::parts::{Part, PartKind, Text, joined, of_segment, of_sequence};
use crate::report::terminal::{Style, View, one_line, visible};

/// The texts of an example.
pub(crate) struct Texts<'a> {
    /// The example.
    pub(crate) found: &'a Found,
    /// The spec that decided it.
    pub(crate) spec: &'a Spec,
    /// How its ids are shown.
    pub(crate) shown: Text<'a>,
}

impl Texts<'_> {
    /// The text that the example was made from; `None` if tokens and mask are not known.
    #[must_use]
    pub(crate) fn segment(&self) -> Option<Vec<Part>> {
        let decoded = self.found.decoded.as_ref().ok()?;
        Some(of_segment(self.shown, &decoded.segment, &decoded.mask))
    }

    /// The parts of the inputs.
    #[must_use]
    pub(crate) fn inputs(&self) -> Vec<Part> {
        self.sequence(&self.found.inputs, PartKind::Kept)
    }

    /// The parts of the labels.
    #[must_use]
    pub(crate) fn labels(&self) -> Vec<Part> {
        self.sequence(&self.found.targets, PartKind::Noise)
    }

    fn sequence(&self, ids: &[i32], ordinary: PartKind) -> Vec<Part> {
        let form = self.found.denoiser.map(|index| self.spec.form(index));
        of_sequence(self.shown, ids, ordinary, self.spec.vocabulary(), form)
    }
}

/// The narrowest column width at which text is wrapped, whatever the user asks for.
const LEAST_WIDTH: usize = 20;

/// The examples of a row.
#[must_use]
pub(crate) fn row(found: &[Found], spec: &Spec, shown: Text<'_>, style: Style) -> String {
    let mut text = String::new();
    for example in found {
        let gap = if text.is_empty() { "" } else { "\n" };
        let _ = writeln!(text, "{gap}{}", visible(&head(example, spec)));
        let texts = Texts { found: example, spec, shown };
        let mut line = |name: &str, parts: &[Part]| {
            let _ = writeln!(text, "  {name:<8}{}", wrapped(parts, 10, style));
        };
        let inline = (style.view == View::Inline).then(|| texts.segment()).flatten();
        if let Some(segment) = inline {
            line("text", &with_marks(&segment));
            continue;
        }
        line("inputs", &texts.inputs());
        line("labels", &texts.labels());
        if let (Err(reason), Some(_)) = (&example.decoded, example.denoiser) {
            let _ = writeln!(text, "  broken  {}", visible(reason));
        }
    }
    text
}

/// The source and the denoiser of an example.
#[must_use]
pub(crate) fn head(found: &Found, spec: &Spec) -> String {
    let Found {
        row, example: (place, examples), source, line, segment, epoch, split, denoiser, inputs, targets, ..
    } = found;
    let mut parts = vec![if *examples == 1 {
        format!("row {row}")
    } else {
        format!("row {row}, example {} of {examples}", place + 1)
    }];
    let place = match (source, line) {
        (Some(source), Some(line)) => Some(format!("{source}:{line}")),
        (Some(source), None) => Some(source.clone()),
        (None, line) => line.map(|line| format!("line {line}")),
    };
    parts.extend(place);
    parts.extend(segment.map(|segment| format!("segment {segment}")));
    parts.extend(epoch.map(|epoch| format!("epoch {epoch}")));
    parts.extend(split.map(|split| split.to_string()));
    if let Some(denoiser) = denoiser.map(|index| &spec.denoisers()[index]) {
        parts.push(format!("{}  {}  {}", denoiser.name, denoiser.mode, denoiser.pattern));
    }
    parts.push(format!("{} + {} ids", inputs.len(), targets.len()));
    parts.join("  ")
}

/// An example as a JSON object on one line.
#[must_use]
pub(crate) fn json_line(found: &Found, spec: &Spec, shown: Text<'_>) -> String {
    let texts = Texts { found, spec, shown };
    let denoiser = found.denoiser.map(|index| &spec.denoisers()[index].name);
    let mut object = json!({
        "row": found.row,
        "example": found.example.0,
        "inputs": joined(&texts.inputs()),
        "targets": joined(&texts.labels()),
    });
    let columns = [
        (Column::Source, json!(found.source)),
        (Column::Line, json!(found.line)),
        (Column::Segment, json!(found.segment)),
        (Column::Epoch, json!(found.epoch)),
        (Column::Denoiser, json!(denoiser)),
        (Column::InputIds, json!(found.inputs)),
        (Column::Labels, json!(found.targets)),
    ];
    for (column, value) in columns {
        object[column.name()] = value;
    }
    if let Some(split) = found.split {
        object["split"] = split.name().into();
    }
    match &found.decoded {
        Ok(decoded) => {
            let spans: Vec<Value> = decoded.mask.spans().iter().map(|span| json!([span.start, span.end])).collect();
            let part = |part: &Part| json!({ "text": part.text, "noise": part.kind == PartKind::Noise });
            object["spans"] = spans.into();
            object["text"] = texts.segment().iter().flatten().map(part).collect();
        }
        Err(reason) => object["error"] = reason.as_str().into(),
    }
    format!("{object}\n")
}

/// The text of a segment, noise in brackets.
#[must_use]
pub(crate) fn marked(parts: &[Part]) -> String {
    joined(&with_marks(parts))
}

fn with_marks(parts: &[Part]) -> Vec<Part> {
    let mark = |Part { kind, text }: &Part| match kind {
        PartKind::Noise => Part { kind: *kind, text: format!("⟦{text}⟧") },
        _ => Part { kind: *kind, text: text.clone() },
    };
    parts.iter().map(mark).collect()
}

/// The escape sequence that begins a colour.
fn colour(kind: PartKind) -> &'static str {
    match kind {
        PartKind::Kept => "",
        PartKind::Noise => "\u{1B}[33m",
        PartKind::Sentinel => "\u{1B}[36m",
        PartKind::ModeToken => "\u{1B}[35m",
        PartKind::Reserved => "\u{1B}[2m",
    }
}

const PLAIN: &str = "\u{1B}[0m";

/// Parts wrapped to the style's width, of which `indent` columns are taken; continuation lines are indented by as much.
fn wrapped(parts: &[Part], indent: usize, style: Style) -> String {
    let letters: Vec<(char, PartKind)> = parts
        .iter()
        .flat_map(|part| visible(&one_line(&part.text)).chars().map(|letter| (letter, part.kind)).collect::<Vec<_>>())
        .collect();
    let lines = lines(&letters, style.width.saturating_sub(indent).max(LEAST_WIDTH));
    let mut text = String::new();
    for (number, line) in lines.into_iter().enumerate() {
        if number > 0 {
            let _ = write!(text, "\n{:indent$}", "");
        }
        for run in line.chunk_by(|a, b| a.1 == b.1) {
            let code = if style.colour { colour(run[0].1) } else { "" };
            text.push_str(code);
            text.extend(run.iter().map(|(letter, _)| letter));
            text.push_str(if code.is_empty() { "" } else { PLAIN });
        }
    }
    text
}

/// Whether a line may end after the first `cut` letters, of which `fits` fit: after a space, and on either side of a
/// sentinel.
fn is_gap(letters: &[(char, PartKind)], cut: usize, fits: usize) -> bool {
    let before = letters[cut - 1];
    let beside_sentinel = |after: &(char, PartKind)| {
        before.1 != after.1 && (before.1 == PartKind::Sentinel || after.1 == PartKind::Sentinel)
    };
    // A space that does not fit can be dropped.
    before.0 == ' ' || (cut <= fits && letters.get(cut).is_some_and(beside_sentinel))
}

/// Cuts at gaps where there are any, otherwise anywhere.
fn lines(letters: &[(char, PartKind)], width: usize) -> Vec<&[(char, PartKind)]> {
    let mut lines = Vec::new();
    let mut rest = letters;
    loop {
        let mut columns = 0;
        let fits = rest.iter().take_while(|(letter, _)| {
            columns += letter.width().unwrap_or(0);
            columns <= width
        });
        let fits = fits.count();
        if fits == rest.len() {
            lines.push(rest);
            return lines;
        }
        let cut = (1..=fits + 1).rev().find(|&cut| is_gap(rest, cut, fits)).unwrap_or(fits.max(1));
        let line = &rest[..cut];
        let end = line.iter().rposition(|(letter, _)| *letter != ' ').map_or(0, |last| last + 1);
        lines.push(&line[..end]);
        rest = &rest[cut..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn style(colour: bool, width: usize) -> Style {
        Style { colour, width, view: View::Inline }
    }

    fn part(kind: PartKind, text: &str) -> Part {
        Part { kind, text: text.to_owned() }
    }

    #[test]
    fn lines_break_at_spaces_and_colours_do_not_cross_them() {
        let parts = [
            part(PartKind::Kept, "the quick brown "),
            part(PartKind::Noise, "fox jumps over the lazy dog and"),
            part(PartKind::Kept, " runs"),
        ];
        assert_eq!(
            wrapped(&with_marks(&parts), 2, style(false, 24)),
            "the quick brown ⟦fox\n  jumps over the lazy\n  dog and⟧ runs"
        );
        assert_eq!(
            wrapped(&parts, 2, style(true, 24)),
            "the quick brown \u{1B}[33mfox\u{1B}[0m\n  \u{1B}[33mjumps over the lazy\u{1B}[0m\n  \u{1B}[33mdog and\u{1B}[0m runs"
        );
    }

    #[test]
    fn a_sentinel_is_not_cut_if_a_line_can_hold_it() {
        let parts = [
            part(PartKind::Kept, "abcdefghijklmno"),
            part(PartKind::Sentinel, "<extra_id_7>"),
            part(PartKind::Kept, "pqrstuvwxyz"),
        ];
        assert_eq!(wrapped(&parts, 0, style(false, 22)), "abcdefghijklmno\n<extra_id_7>\npqrstuvwxyz");
    }

    #[test]
    fn wide_letters_and_endless_words_are_cut_where_the_line_ends() {
        let wrapped = |text: &str| wrapped(&[part(PartKind::Kept, text)], 0, style(false, 20));
        assert_eq!(wrapped(&"日".repeat(11)), format!("{}\n日", "日".repeat(10)));
        assert_eq!(wrapped(&"x".repeat(45)), format!("{0}\n{0}\nxxxxx", "x".repeat(20)));
        assert_eq!(wrapped("a\u{1B}[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(wrapped(""), "");
    }
}
