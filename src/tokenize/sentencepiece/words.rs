//! Shared by the models: words, reserved texts, unknown pieces.

use crate::tokenize::sentencepiece::model::SPACE;

/// Whether an id is reserved, so that no text may give it.
pub(crate) type Reserved<'a> = &'a dyn Fn(u32) -> bool;

/// The parts of a normalized text. Each begins at a `▁` that follows something other than `▁`.
pub(crate) fn words(text: &[u8]) -> impl Iterator<Item = (usize, usize)> {
    let begins = |place: &usize| *place > 0 && !text[..*place].ends_with(SPACE);
    let ends = memchr::memmem::find_iter(text, SPACE).filter(begins).chain((!text.is_empty()).then_some(text.len()));
    let mut start = 0;
    ends.map(move |end| (std::mem::replace(&mut start, end), end))
}

/// Merges neighbouring unknown ids into one.
pub(crate) fn merge_unknown(ids: &mut Vec<u32>, first: usize, unknown: u32) {
    let mut kept = first;
    for place in first..ids.len() {
        let id = ids[place];
        if !(id == unknown && kept > first && ids[kept - 1] == unknown) {
            ids[kept] = id;
            kept += 1;
        }
    }
    ids.truncate(kept);
}
