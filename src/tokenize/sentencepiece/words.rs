//! Shared by the models: words, reserved texts, unknown pieces.

use crate::tokenize::fast::cache::Key;
use crate::tokenize::sentencepiece::model::SPACE;

/// Whether an id is reserved, so that no text may give it.
pub(crate) type Reserved<'a> = &'a dyn Fn(u32) -> bool;

/// The key of a word in a text of UTF-8. Each `▁` at its beginning counts one byte: the last of its three, with which no
/// character begins.
#[inline]
pub(in crate::tokenize) fn key(text: &[u8], (start, end): (usize, usize)) -> Option<Key> {
    let word = &text[start..end];
    match word.strip_prefix(SPACE) {
        None => Key::new(text, start, end),
        Some(rest) if rest.starts_with(SPACE) => key_of_spaces(word),
        Some(_) => Key::new(text, start + SPACE.len() - 1, end),
    }
}

/// The key of a word that begins with several `▁`.
fn key_of_spaces(word: &[u8]) -> Option<Key> {
    let spaces = word.chunks(SPACE.len()).take_while(|part| *part == SPACE).count();
    let rest = &word[spaces * SPACE.len()..];
    let mut bytes = [SPACE[SPACE.len() - 1]; Key::MAX];
    bytes.get_mut(spaces..spaces + rest.len())?.copy_from_slice(rest);
    Key::new(&bytes, 0, spaces + rest.len())
}

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
