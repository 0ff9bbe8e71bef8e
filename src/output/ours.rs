//! Decides from a file's contents whether the tool wrote it: nothing else is replaced or removed.

use std::io::{self, Read as _, Seek as _, SeekFrom};

use crate::output::data_set::{DATA, DataSet, REJECTS};
use crate::reject::IndexEntry;

/// Bytes before the end of a shard that hold the name of its writer.
const TAIL: u64 = 16 << 10;

/// Whether a file in `data/` or `rejects/` was written by the tool: a Parquet file whose footer names it, an index of
/// rejects, or lines next to such an index.
///
/// # Errors
///
/// If it cannot be read.
pub(crate) fn is_shard_or_rejects(data_set: &DataSet, name: &str) -> io::Result<bool> {
    let Ok(bytes) = data_set.size(name) else { return Ok(false) };
    if name.starts_with(DATA) {
        let mut file = data_set.open_file(name)?;
        file.seek(SeekFrom::Start(bytes.saturating_sub(TAIL)))?;
        let mut tail = Vec::new();
        file.take(TAIL).read_to_end(&mut tail)?;
        let writer = b"ul2-prep version ";
        return Ok(tail.ends_with(b"PAR1") && tail.windows(writer.len()).any(|part| part == writer));
    }
    let index = match name.strip_suffix(".lines") {
        Some(stem) => format!("{stem}.jsonl"),
        None => name.to_owned(),
    };
    if !name.starts_with(REJECTS) || data_set.size(&index).is_err() {
        return Ok(false);
    }
    let mut first = Vec::new();
    data_set.open_file(&index)?.take(1 << 20).read_to_end(&mut first)?;
    let first = first.split(|byte| *byte == b'\n').next().unwrap_or_default();
    // Its form counts, not what it says: another version may know other reasons.
    Ok(serde_json::from_slice::<IndexEntry<'_, String>>(first).is_ok())
}
