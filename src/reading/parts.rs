//! Ids as a person reads them: the text of each part of a row, and what that part is.

use crate::denoise::{NoiseMask, RowForm, Vocabulary};

/// The kind of a part of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartKind {
    /// Text that the inputs keep.
    Kept,
    /// Text that the model is to produce.
    Noise,
    /// A sentinel, which stands for a span.
    Sentinel,
    /// The mode token of the denoiser.
    ModeToken,
    /// BOS, EOS, a pad or a separator.
    Reserved,
}

/// Consecutive ids of one kind, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Part {
    /// The kind of all its ids.
    pub(crate) kind: PartKind,
    /// The text of its ids.
    pub(crate) text: String,
}

/// Turns ids into what is shown: a tokenizer's text, or their numbers.
pub(crate) type Text<'a> = &'a dyn Fn(&[u32]) -> String;

/// Ids as numbers, for when there is no tokenizer.
#[must_use]
pub(crate) fn numbers(ids: &[u32]) -> String {
    ids.iter().flat_map(|id| [id.to_string(), " ".to_owned()]).collect()
}

/// The text of a segment, kept and noise parts by turns.
#[must_use]
pub(crate) fn of_segment(shown: Text<'_>, segment: &[u32], mask: &NoiseMask) -> Vec<Part> {
    let spans = mask.spans().iter();
    let ends = spans.flat_map(|span| [(span.start as usize, PartKind::Kept), (span.end as usize, PartKind::Noise)]);
    cut(shown, segment, ends.chain([(segment.len(), PartKind::Kept)]))
}

/// The text of one sequence of an example, whose ordinary ids are `ordinary`. `form` is the form of its denoiser, if
/// known.
#[must_use]
pub(crate) fn of_sequence(
    shown: Text<'_>,
    ids: &[i32],
    ordinary: PartKind,
    vocabulary: &Vocabulary,
    form: Option<&RowForm>,
) -> Vec<Part> {
    let ids: Vec<u32> = ids.iter().map(|id| id.cast_unsigned()).collect();
    // A mode token may be several ordinary ids.
    let mode = form.filter(|_| ordinary == PartKind::Kept).map_or(0..0, |form| {
        let front = form.bos.as_slice().len();
        let is_there = ids.get(front..).is_some_and(|ids| ids.starts_with(&form.mode_token));
        if is_there { front..front + form.mode_token.len() } else { 0..0 }
    });
    let kind = |place: usize| match ids[place] {
        _ if mode.contains(&place) => PartKind::ModeToken,
        id if vocabulary.is_ordinary(id) => ordinary,
        id if vocabulary.sentinels().contains(&id) => PartKind::Sentinel,
        _ => PartKind::Reserved,
    };
    let kinds: Vec<PartKind> = (0..ids.len()).map(kind).collect();
    let mut end = 0;
    let ends = kinds.chunk_by(|a, b| a == b).map(|run| {
        end += run.len();
        (end, run[0])
    });
    cut(shown, &ids, ends)
}

/// The text of all parts together.
#[must_use]
pub(crate) fn joined(parts: &[Part]) -> String {
    parts.iter().map(|part| part.text.as_str()).collect()
}

/// The parts that end at these positions, in order. The text of some ids is what they add to the text before them:
/// decoding pieces one at a time may lose a space.
fn cut(shown: Text<'_>, ids: &[u32], ends: impl Iterator<Item = (usize, PartKind)>) -> Vec<Part> {
    let (mut parts, mut from, mut before) = (Vec::new(), 0, shown(&[]));
    for (to, kind) in ends {
        if from == to {
            continue;
        }
        let with = shown(&ids[..to]);
        let text = with.strip_prefix(&before).map_or_else(|| shown(&ids[from..to]), str::to_owned);
        parts.push(Part { kind, text });
        (from, before) = (to, with);
    }
    parts
}
