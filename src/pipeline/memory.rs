//! The most memory that a run uses, besides its tokenizer's tables. The terms were measured
//! (`docs/internals/performance.md`), and a test compares their sum with runs.
//!
//! The sum leaves out Zstandard windows of more than 8 MiB, the memory of the `tokenizers` crate for a long text, and
//! the padding of rows that are not compressed.

use crate::denoise::Spec;
use crate::input::batch::{BLOCK_BYTES, weight};
use crate::input::source::Source;
use crate::output::encoding::Compression;
use crate::output::schema::RowFormat;
use crate::tokenize::file::BYTES;

/// The program, and the shard that is being written.
const PROGRAM: u64 = 48 << 20;

/// A lane: the batch that it has read while the one before it waits for its permits, and a Zstandard window. A long
/// line is added to this, twice while it is being read: its buffer moves as it grows.
const LANE: u64 = 32 << 20;

/// A permit: the text of a batch, the ids of its longest document in the tokenizer's memory and again outside it,
/// encoded rows.
const PERMIT: u64 = 96 << 20;

/// Added to a permit for each two columns of ids that Zstandard does not compress.
const NOT_COMPRESSED: u64 = 64 << 20;

/// A worker that holds the examples of a batch until their places are known, twice while their memory grows.
const HELD: u64 = 240 << 20;

/// A worker's cache of the fast path.
const CACHE: u64 = 40 << 20;

/// A source, and each byte of its name: plan, counts, commit record, manifest and their JSON.
const SOURCE: u64 = 9 << 10;
const NAME_BYTE: u64 = 18;

/// Lines up to this length, a block, need no memory beyond their batch.
pub(crate) const USUAL_LINE: u64 = BLOCK_BYTES as u64;

/// The most that the batches of a run with `workers` workers weigh together: for each worker one batch in work, and one
/// that is finished or waits.
#[must_use]
pub(crate) fn permits(workers: usize) -> usize {
    workers + 1
}

/// The number of workers that also read and commit. One decompresses for about eight; one more keeps them busy while a
/// unit ends.
#[must_use]
pub(crate) fn lanes(workers: usize) -> usize {
    workers.min(1 + workers.div_ceil(8))
}

/// The most bytes that a run uses, if no line has more than `line` bytes.
#[must_use]
pub(crate) fn most(
    spec: &Spec,
    format: &RowFormat,
    compression: Compression,
    sources: &[Source],
    workers: usize,
    line: u64,
) -> u64 {
    let fields = spec.fields();
    let (lanes, permits, workers) = (lanes(workers) as u64, permits(workers) as u64, workers as u64);
    // A batch that weighs more than all permits goes alone, but still uses its full weight.
    let (long, permits) = if line > USUAL_LINE {
        (2 * line, permits.max(weight(usize::try_from(line).unwrap_or(usize::MAX)) as u64))
    } else {
        (0, permits)
    };
    let mut of_worker = 0;
    if fields.pack || fields.shuffle {
        of_worker += HELD;
    }
    if fields.tokenizer.kind != BYTES {
        of_worker += CACHE;
    }
    let of_permit = match compression {
        Compression::Zstd(_) => PERMIT,
        Compression::Snappy | Compression::None => PERMIT + NOT_COMPRESSED * format.id_columns().div_ceil(2) as u64,
    };
    let names: u64 = sources.iter().map(|source| SOURCE + NAME_BYTE * source.name.len() as u64).sum();
    PROGRAM + lanes * (LANE + long) + permits * of_permit + workers * of_worker + names
}
