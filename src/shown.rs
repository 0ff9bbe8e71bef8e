//! Ids as a person reads them: the text of each part of a row, and what that part is.

use crate::denoise::{NoiseMask, RowForm, Vocabulary};

/// What a part of a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text that the inputs keep.
    Kept,
    /// Text that is to be produced.
    Noise,
    /// What stands for a span.
    Sentinel,
    /// What names the denoiser's mode.
    ModeToken,
    /// EOS, a pad or a separator.
    Reserved,
}

/// Consecutive ids of one kind, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What they are.
    pub kind: Kind,
    /// Their text.
    pub text: String,
}

/// What a person reads for ids: a tokenizer's text, or their numbers.
pub type Text<'a> = &'a dyn Fn(&[u32]) -> String;

/// The numbers of ids, for whoever has no tokenizer at hand.
#[must_use]
pub fn numbers(ids: &[u32]) -> String {
    ids.iter().flat_map(|id| [id.to_string(), " ".to_owned()]).collect()
}

/// The text of a segment, kept and noise by turns.
#[must_use]
pub fn of_segment(shown: Text<'_>, segment: &[u32], mask: &NoiseMask) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut add = |from: usize, to: usize, kind: Kind| {
        if from < to {
            parts.push(Part { kind, text: between(shown, segment, from, to) });
        }
    };
    let mut end = 0;
    for span in mask.spans() {
        add(end, span.start as usize, Kind::Kept);
        add(span.start as usize, span.end as usize, Kind::Noise);
        end = span.end as usize;
    }
    add(end, segment.len(), Kind::Kept);
    parts
}

/// The text of one sequence of an example, whose ordinary ids are `ordinary`. `form` is that of its denoiser, if that is known.
#[must_use]
pub fn of_sequence(
    shown: Text<'_>,
    ids: &[i32],
    ordinary: Kind,
    vocabulary: &Vocabulary,
    form: Option<&RowForm>,
) -> Vec<Part> {
    let ids: Vec<u32> = ids.iter().map(|id| id.cast_unsigned()).collect();
    // A mode token may be several ordinary ids.
    let mode = form.map_or(&[][..], |form| &form.mode_token);
    let of_mode = if ordinary == Kind::Kept && ids.starts_with(mode) { mode.len() } else { 0 };
    let kind = |place: usize| match ids[place] {
        _ if place < of_mode => Kind::ModeToken,
        id if vocabulary.is_ordinary(id) => ordinary,
        id if vocabulary.sentinels().contains(&id) => Kind::Sentinel,
        _ => Kind::Reserved,
    };
    let mut parts = Vec::new();
    let mut from = 0;
    while from < ids.len() {
        let of = kind(from);
        let to = (from + 1..ids.len()).find(|&place| kind(place) != of).unwrap_or(ids.len());
        parts.push(Part { kind: of, text: between(shown, &ids, from, to) });
        from = to;
    }
    parts
}

/// The whole text of parts.
#[must_use]
pub fn joined(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect()
}

/// The text of some ids where they stand: what they add to the text before them. Pieces alone may lose a space.
fn between(shown: Text<'_>, ids: &[u32], from: usize, to: usize) -> String {
    let (before, with) = (shown(&ids[..from]), shown(&ids[..to]));
    with.strip_prefix(&before).map_or_else(|| shown(&ids[from..to]), str::to_owned)
}
