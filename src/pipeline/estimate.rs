//! Estimates what a run would make, from the beginning of some sources (`docs/reference/inspect.md`, "What `plan`
//! estimates").

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use rayon::ThreadPool;
use rayon::prelude::*;

use crate::input::batch::Batch;
use crate::input::batch_reader::BatchReader;
use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::output::counts::{DenoiserCounts, SourceCounts};
use crate::pipeline::documents::Shared;
use crate::pipeline::error::UnitError;
use crate::pipeline::first_reject::{Document, First, LinesRead};
use crate::pipeline::masker::{BatchMasker, Masked};
use crate::pipeline::reject_limit::without_documents;

/// Sources that are sampled, at even distances in the order of names.
pub(crate) const SOURCES: usize = 16;

/// Bytes of lines to mask in each sampled source.
const MASKED: usize = 1 << 20;

/// Batches in which lines are masked.
const BATCHES: usize = 2;

/// Least bytes of the file between the first and the last batch, to measure how well it is compressed; and the most
/// text to read for that.
const LEAST_FILE: u64 = 1 << 20;
const MOST_TEXT: u64 = 128 << 20;

/// An estimate of a run.
pub(crate) struct Estimate {
    /// The sources that were sampled.
    pub(crate) sampled: Vec<Sampled>,
    /// Number of all sources.
    pub(crate) sources: usize,
    /// Their size on disk.
    pub(crate) bytes: u64,
    /// The expected numbers of all sources, and the time for one worker.
    pub(crate) total: Forecast,
    /// Whether all lines of all sources were masked, so that only the time is a guess.
    pub(crate) is_whole: bool,
}

/// The estimate of one source.
pub(crate) struct Sampled {
    /// Its name.
    pub(crate) name: String,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// The expected numbers.
    pub(crate) expected: Forecast,
}

/// Expected numbers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Forecast {
    /// Bytes of lines.
    pub(crate) text: f64,
    /// Documents.
    pub(crate) documents: f64,
    /// Tokens of the documents.
    pub(crate) tokens: f64,
    /// Rejected lines.
    pub(crate) rejects: f64,
    /// Rows of all epochs.
    pub(crate) rows: f64,
    /// The part of these rows that is for validation.
    pub(crate) validation_rows: f64,
    /// Bytes of all shards.
    pub(crate) shard_bytes: f64,
    /// Time for one worker, in seconds.
    pub(crate) seconds: f64,
    /// Examples and their tokens for each denoiser, in the order of the spec, in all epochs.
    pub(crate) denoisers: Vec<(f64, f64)>,
}

impl Forecast {
    /// These numbers times `factor`.
    fn times(self, factor: f64) -> Self {
        let Self { text, documents, tokens, rejects, rows, validation_rows, shard_bytes, seconds, denoisers } = self;
        Self {
            text: text * factor,
            documents: documents * factor,
            tokens: tokens * factor,
            rejects: rejects * factor,
            rows: rows * factor,
            validation_rows: validation_rows * factor,
            shard_bytes: shard_bytes * factor,
            seconds: seconds * factor,
            denoisers: denoisers.into_iter().map(|(examples, tokens)| (examples * factor, tokens * factor)).collect(),
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { text, documents, tokens, rejects, rows, validation_rows, shard_bytes, seconds, denoisers } = other;
        self.text += text;
        self.documents += documents;
        self.tokens += tokens;
        self.rejects += rejects;
        self.rows += rows;
        self.validation_rows += validation_rows;
        self.shard_bytes += shard_bytes;
        self.seconds += seconds;
        self.denoisers.resize(denoisers.len(), (0.0, 0.0));
        for (sum, other) in self.denoisers.iter_mut().zip(denoisers) {
            sum.0 += other.0;
            sum.1 += other.1;
        }
    }
}

/// Makes an estimate.
pub(crate) struct Estimator<'a> {
    /// The state that workers share, for masking.
    pub(crate) shared: &'a Shared,
    /// Limits on what a source may ask for.
    pub(crate) limits: Limits,
    /// A folder for lines that are too long.
    pub(crate) spool: &'a Path,
}

impl Estimator<'_> {
    /// Reads the beginning of some sources and masks some of it.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if a source cannot be read or masked, or if no masked line of it is a document: the error of the
    /// first such source by name.
    pub(crate) fn estimate(&self, sources: &[Source], pool: &ThreadPool) -> Result<Estimate, UnitError> {
        let some: Vec<&Source> = sources.iter().filter(|source| source.bytes > 0).collect();
        let count = some.len().min(SOURCES);
        let picked: Vec<&Source> = (0..count).map(|place| some[place * some.len() / count]).collect();
        let sampled: Vec<Result<(Sampled, bool), UnitError>> =
            pool.install(|| picked.par_iter().map(|source| self.sample(source)).collect());
        let sampled = sampled.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut total = Forecast::default();
        for (one, _) in &sampled {
            total.add(&one.expected);
        }
        let looked_at: u64 = sampled.iter().map(|(one, _)| one.bytes).sum();
        let all: u64 = sources.iter().map(|source| source.bytes).sum();
        // Each epoch draws its own segments and masks.
        let is_once = |source: &&Source| self.shared.spec.maskings(&source.name).epochs() <= 1;
        let is_whole =
            some.iter().all(is_once) && sampled.len() == some.len() && sampled.iter().all(|(_, is_whole)| *is_whole);
        let total = total.times(share(all, looked_at));
        let sampled = sampled.into_iter().map(|(one, _)| one).collect();
        Ok(Estimate { sampled, sources: sources.len(), bytes: all, total, is_whole })
    }

    /// The expected numbers of a source, and whether all of it was masked.
    fn sample(&self, source: &Source) -> Result<(Sampled, bool), UnitError> {
        let begin = Instant::now();
        let mut sum = Sum { denoisers: vec![(0, 0); self.shared.spec.denoisers().len()], ..Sum::default() };
        let Reading { places, is_finished } = self.read(source, &mut sum)?;
        let reading = begin.elapsed().as_secs_f64() - sum.masking;
        let (text, file) = places.last().copied().unwrap_or_default();
        let is_whole = is_finished && sum.masked == text;
        Self::check_documents(source, &sum, is_whole)?;
        let first = places.first().copied().unwrap_or_default();
        let all_text = if text == 0 {
            0.0
        } else if is_finished {
            number(text)
        } else if file > first.1 {
            share(text - first.0, file - first.1) * number(source.bytes)
        } else {
            share(text, file) * number(source.bytes)
        };
        let reading = reading * all_text / number(text).max(1.0);
        // A share of the documents in the first epoch is that of the sample too.
        let epochs = self.shared.spec.maskings(&source.name).mean().max(1.0);
        let expected = sum.times(all_text, reading, epochs);
        Ok((Sampled { name: source.name.clone(), bytes: source.bytes, expected }, is_whole))
    }

    /// Reads the beginning of a source and masks some of it.
    fn read(&self, source: &Source, sum: &mut Sum) -> Result<Reading, UnitError> {
        let buffers = Arc::default();
        let (sources, max_line) = (std::slice::from_ref(source), self.shared.spec.fields().max_line);
        let mut reader = BatchReader::new(sources, max_line, self.spool, &buffers).with_limits(self.limits);
        let mut reading = Reading::default();
        while let Some(batch) = reader.next_batch()? {
            let (text, _) = reading.places.last().copied().unwrap_or_default();
            let text = text + batch.text_bytes() as u64;
            reading.is_finished = !batch.finished.is_empty();
            let file = if reading.is_finished { source.bytes } else { batch.end.file.bytes };
            reading.places.push((text, file));
            if reading.places.len() <= BATCHES {
                let begin = Instant::now();
                self.mask(batch, &source.name, sum)?;
                sum.masking += begin.elapsed().as_secs_f64();
            }
            let of_file = file - reading.places[0].1;
            if reading.places.len() >= BATCHES && (of_file >= LEAST_FILE || text >= MOST_TEXT) {
                break;
            }
        }
        Ok(reading)
    }

    /// Checks that at least one masked line is a document, unless all are blank: a run checks the same for all lines.
    fn check_documents(source: &Source, sum: &Sum, is_whole: bool) -> Result<(), UnitError> {
        let Some((reject, document)) = &sum.first else { return Ok(()) };
        let document = document[usize::from(!(is_whole && sum.counts.lines == sum.counts.blank_lines + 1))];
        match without_documents(source, &sum.counts, reject, document) {
            None => Ok(()),
            Some(UnitError::NoDocument { source_name, lines: LinesRead::All(lines), first }) if !is_whole => {
                let first = Box::new(first.without_line(&source.name));
                Err(UnitError::NoDocument { source_name, lines: LinesRead::Sample(lines), first })
            }
            Some(error) => Err(error),
        }
    }

    /// Masks some lines of a batch.
    fn mask(&self, mut batch: Batch, name: &str, sum: &mut Sum) -> Result<(), UnitError> {
        sum.read += batch.text_bytes() as u64;
        sum.read_lines += lines(&batch);
        let long_lines = batch.long_lines.len() as u64;
        sum.long_lines += long_lines;
        batch.thin(MASKED / BATCHES);
        sum.masked += batch.text_bytes() as u64;
        sum.masked_lines += lines(&batch);
        let Masked { row_groups, rejects, counts } = BatchMasker::new(self.shared, 0)?.mask(&batch, &[name], |_| 1)?;
        let of_source = counts.sources.get(name).cloned().unwrap_or_default();
        sum.counts += &of_source;
        if sum.first.is_none() && sum.documents == 0 {
            sum.first = rejects.iter().next().map(|reject| {
                // If the sample has documents, only a reject on line 1 is known to be the first record.
                let is_first = reject.line == 1 || of_source.documents == 0;
                let begun = |is_only| Document::begun_by(&reject, is_only).filter(|_| is_first);
                (First::new(&reject, &self.shared.spec), [true, false].map(begun))
            });
        }
        sum.rejects += of_source.rejected() - long_lines;
        let SourceCounts { documents, tokens, rows, .. } = of_source;
        sum.documents += documents;
        sum.tokens += tokens;
        sum.rows += rows;
        sum.validation_rows += counts.validation.sources.get(name).map_or(0, |counts| counts.rows);
        sum.shard_bytes += row_groups.iter().flatten().map(|row_group| row_group.bytes).sum::<u64>();
        for (denoiser, sum) in self.shared.spec.denoisers().iter().zip(&mut sum.denoisers) {
            let DenoiserCounts { examples, tokens, .. } =
                counts.denoisers.get(&denoiser.name).copied().unwrap_or_default();
            sum.0 += examples;
            sum.1 += tokens;
        }
        Ok(())
    }
}

/// The sums over the sampled lines of a source.
#[derive(Default)]
struct Sum {
    /// Counts of the masked lines.
    counts: SourceCounts,
    /// The first reject, and the JSON document that it begins: if it is the only record, and if it is not.
    first: Option<(First, [Option<Document>; 2])>,
    read: u64,
    read_lines: u64,
    long_lines: u64,
    masked: u64,
    masked_lines: u64,
    documents: u64,
    tokens: u64,
    rejects: u64,
    rows: u64,
    validation_rows: u64,
    shard_bytes: u64,
    denoisers: Vec<(u64, u64)>,
    /// Seconds.
    masking: f64,
}

impl Sum {
    /// The numbers of a whole source of `all_text` bytes of lines, which takes `reading` seconds to read.
    fn times(&self, all_text: f64, reading: f64, epochs: f64) -> Forecast {
        let by_bytes = share(self.read, self.masked) * all_text / number(self.read).max(1.0);
        let by_lines = share(self.read_lines, self.masked_lines) * all_text / number(self.read).max(1.0);
        let of_epochs = |count: u64| number(count) * by_bytes * epochs;
        let denoisers = self.denoisers.iter();
        Forecast {
            text: all_text,
            documents: number(self.documents) * by_lines,
            tokens: number(self.tokens) * by_bytes,
            rejects: number(self.rejects) * by_lines + number(self.long_lines) * all_text / number(self.read).max(1.0),
            rows: of_epochs(self.rows),
            validation_rows: of_epochs(self.validation_rows),
            shard_bytes: of_epochs(self.shard_bytes),
            seconds: epochs * (self.masking * by_bytes + reading),
            denoisers: denoisers.map(|(examples, tokens)| (of_epochs(*examples), of_epochs(*tokens))).collect(),
        }
    }
}

/// What was read of a source.
#[derive(Default)]
struct Reading {
    /// Bytes of lines and of the file after each batch: the reader reads the file ahead, so only differences mean
    /// anything.
    places: Vec<(u64, u64)>,
    is_finished: bool,
}

/// Lines of a batch that were not spooled to disk.
fn lines(batch: &Batch) -> u64 {
    batch.pieces.iter().map(|piece| piece.lines).sum()
}

/// The first number divided by the second; 1 if the second is 0.
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { number(part) / number(whole) }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn number(count: u64) -> f64 {
    count as f64
}
