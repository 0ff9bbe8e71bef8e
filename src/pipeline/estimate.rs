//! What a run would make, from the beginning of some sources (`docs/inspect.md`, "What `plan` estimates").

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rayon::ThreadPool;
use rayon::prelude::*;

use super::UnitError;
use super::worker::{BatchMasker, Masked, Shared};
use crate::input::batch::{Batch, BatchReader};
use crate::input::reader::Limits;
use crate::input::source::Source;
use crate::output::counts::{DenoiserCounts, SourceCounts};

/// Sources whose beginning is read, at even distances in the order of names.
pub const SOURCES: usize = 16;

/// Bytes of lines that are masked of each.
const MASKED: usize = 1 << 20;

/// What is estimated.
pub struct Estimate {
    /// The sources that were looked at.
    pub sampled: Vec<Sampled>,
    /// Number of all sources.
    pub sources: usize,
    /// Their size on disk.
    pub bytes: u64,
    /// Of all sources: what is expected, and how long it takes one worker.
    pub total: Expected,
    /// Whether all lines of all sources were masked, so that nothing but the time is a guess.
    pub is_whole: bool,
}

/// What is expected of a source.
pub struct Sampled {
    /// Its name.
    pub name: String,
    /// Its size on disk.
    pub bytes: u64,
    /// What is expected of it.
    pub expected: Expected,
}

/// Expected numbers.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Bytes of lines.
    pub text: f64,
    /// Documents.
    pub documents: f64,
    /// Their tokens.
    pub tokens: f64,
    /// Lines that are rejected.
    pub rejects: f64,
    /// Rows of all epochs.
    pub rows: f64,
    /// Bytes of all shards.
    pub shard_bytes: f64,
    /// Seconds of one worker.
    pub seconds: f64,
    /// Examples and their tokens, by denoiser, in the order of the spec, of all epochs.
    pub denoisers: Vec<(f64, f64)>,
}

impl Expected {
    /// The same, so many times.
    fn times(self, factor: f64) -> Self {
        let Self { text, documents, tokens, rejects, rows, shard_bytes, seconds, denoisers } = self;
        Self {
            text: text * factor,
            documents: documents * factor,
            tokens: tokens * factor,
            rejects: rejects * factor,
            rows: rows * factor,
            shard_bytes: shard_bytes * factor,
            seconds: seconds * factor,
            denoisers: denoisers.into_iter().map(|(examples, tokens)| (examples * factor, tokens * factor)).collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { text, documents, tokens, rejects, rows, shard_bytes, seconds, denoisers } = other;
        self.text += text;
        self.documents += documents;
        self.tokens += tokens;
        self.rejects += rejects;
        self.rows += rows;
        self.shard_bytes += shard_bytes;
        self.seconds += seconds;
        self.denoisers.resize(denoisers.len(), (0.0, 0.0));
        for (sum, other) in self.denoisers.iter_mut().zip(denoisers) {
            sum.0 += other.0;
            sum.1 += other.1;
        }
    }
}

/// What makes an estimate.
pub struct Estimator<'a> {
    /// What masks.
    pub shared: &'a Shared,
    /// What a source may ask for.
    pub limits: Limits,
    /// A folder for lines that are too long.
    pub spool: &'a Path,
}

impl Estimator<'_> {
    /// Reads the beginning of some sources and masks some of it.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if a source cannot be read or masked.
    pub fn estimate(&self, sources: &[Source], pool: &ThreadPool) -> Result<Estimate, UnitError> {
        let picked: Vec<&Source> = (0..sources.len().min(SOURCES))
            .map(|place| &sources[place * sources.len() / sources.len().min(SOURCES)])
            .collect();
        let sampled: Vec<(Sampled, bool)> =
            pool.install(|| picked.par_iter().map(|source| self.sample(source)).collect::<Result<_, _>>())?;
        let mut total = Expected::default();
        for (one, _) in &sampled {
            total.add(&one.expected);
        }
        let looked_at: u64 = sampled.iter().map(|(one, _)| one.bytes).sum();
        let all: u64 = sources.iter().map(|source| source.bytes).sum();
        let is_whole = sampled.len() == sources.len() && sampled.iter().all(|(_, is_whole)| *is_whole);
        let total = total.times(share(all, looked_at));
        let sampled = sampled.into_iter().map(|(one, _)| one).collect();
        Ok(Estimate { sampled, sources: sources.len(), bytes: all, total, is_whole })
    }

    /// What is expected of a source, and whether all of it was masked.
    fn sample(&self, source: &Source) -> Result<(Sampled, bool), UnitError> {
        let spec = &self.shared.spec;
        let begin = Instant::now();
        let buffers = Arc::default();
        let sources = std::slice::from_ref(source);
        let mut reader =
            BatchReader::new(sources, spec.fields().max_line, self.spool, &buffers).with_limits(self.limits);
        let sampled = |expected| Sampled { name: source.name.clone(), bytes: source.bytes, expected };
        let Some(mut batch) = reader.next_batch()? else { return Ok((sampled(Expected::default()), true)) };
        let reading = begin.elapsed().as_secs_f64();
        let (read, is_finished) = (text(&batch), !batch.finished.is_empty());
        // What is behind the batch is read as well as the batch, but not counted: its share of a few megabytes is small.
        let of_file = if is_finished { 1.0 } else { share(source.bytes, batch.end.file.bytes) };
        batch.shorten(MASKED);
        let masked = text(&batch);
        let begin = Instant::now();
        let Masked { row_groups, rejects: _, counts } =
            BatchMasker::new(self.shared, 0)?.mask(batch, &[&source.name])?;
        let masking = begin.elapsed().as_secs_f64();
        let SourceCounts { documents, tokens, rows, .. } =
            counts.sources.get(&source.name).cloned().unwrap_or_default();
        let rejects = counts.sources.get(&source.name).map_or(0, SourceCounts::rejected);
        let of_denoiser = |name: &String| counts.denoisers.get(name).copied().unwrap_or_default();
        let of_denoiser = |name| {
            let DenoiserCounts { examples, tokens, .. } = of_denoiser(name);
            (number(examples), number(tokens))
        };
        let of_read = Expected {
            text: number(masked),
            documents: number(documents),
            tokens: number(tokens),
            rejects: number(rejects),
            rows: number(rows),
            shard_bytes: number(row_groups.iter().map(|row_group| row_group.bytes).sum()),
            seconds: masking + reading * share(masked, read),
            denoisers: spec.denoisers().iter().map(|denoiser| of_denoiser(&denoiser.name)).collect(),
        };
        let of_epoch = of_read.times(share(read, masked) * of_file);
        let epochs = f64::from(spec.fields().epochs);
        let Expected { text, documents, tokens, rejects, .. } = of_epoch;
        let expected = Expected { text, documents, tokens, rejects, ..of_epoch.times(epochs) };
        Ok((sampled(expected), is_finished && masked == read))
    }
}

/// Bytes of all lines of a batch.
fn text(batch: &Batch) -> u64 {
    batch.text_bytes() as u64 + batch.long_lines.iter().map(|long| long.bytes).sum::<u64>()
}

/// How many times the second number is in the first; once in nothing.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { number(part) / number(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn number(count: u64) -> f64 {
    count as f64
}
