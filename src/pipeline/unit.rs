//! The program: one unit from its sources to its shards.

use crate::input::batch::{Batch, FinishedSource, Position};
use crate::input::batch_reader::BatchReader;
use crate::input::source::Source;
use crate::output::commit::{CommitRecord, FinishedFile, ReaderPosition};
use crate::output::unit_writer::{BatchOutput, UnitWriter};
use crate::pipeline::crew::Crew;
use crate::pipeline::error::UnitError;
use crate::pipeline::job::Job;
use crate::pipeline::masker::{BatchMasker, Masked};
use crate::pipeline::progress::Snapshot;
use crate::pipeline::reject_limit::{Allowance, room};

/// Makes the shards of unit `index` that are not committed yet.
///
/// Reads a batch, masks it on a worker, appends its row group; commits each shard when it is full. An interrupted unit
/// resumes after its last committed shard: it reads the sources again up to there, and does nothing else again.
///
/// # Errors
///
/// [`UnitError`]; the committed shards stay.
pub(crate) fn run_unit(job: &Job, crew: &UnitCrew<'_>, index: usize) -> Result<(), UnitError> {
    let unit = job.plan().units[index];
    let sources = &job.sources[unit.range()];
    let may_commit = || job.plans.check_in_place(&job.data_set);
    let Some((mut writer, committed)) =
        UnitWriter::resume(&job.data_set, &job.shard_options, job.plans.fingerprint(index), index, &may_commit)?
    else {
        job.progress.add(Snapshot { file_bytes: job.plan().unit_bytes(unit), ..Snapshot::default() });
        return Ok(());
    };
    let (from, to) = unit.bounds();
    let mut allowance = Allowance::new(job.max_rejects, unit, &job.shared.spec);
    let spool = job.data_set.temporary_folder();
    let max_line = job.shared.spec.fields().max_line;
    let mut reader =
        BatchReader::new(sources, max_line, &spool, &job.buffers).with_limits(job.limits).between(from, to);
    writer.begin_at(approach(job, sources, &mut reader)?);
    let mut read_before = skip_committed(job, sources, &mut reader, &mut allowance, &committed)?;

    crew.in_order(
        || job.check_stop().and_then(|()| Ok(reader.next_batch()?.map(|batch| UnitBatch { unit: index, batch }))),
        |(output, progress)| {
            allowance.check(&output, sources)?;
            writer.append(output)?;
            let file_bytes = progress.file_bytes - std::mem::replace(&mut read_before, progress.file_bytes);
            job.progress.add(Snapshot { file_bytes, ..progress });
            Ok(())
        },
    )?;

    Ok(writer.finish()?)
}

/// The threads that mask the batches of all units.
pub(crate) type UnitCrew<'a> = Crew<'a, UnitBatch, (BatchOutput, Snapshot)>;

/// A batch, and the index of its unit in the plan.
pub(crate) struct UnitBatch {
    unit: usize,
    batch: Batch,
}

impl UnitBatch {
    /// Its weight in permits.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        self.batch.weight()
    }
}

/// On any thread: makes the rows of a batch as a row group, and the unit's progress after it.
///
/// # Errors
///
/// [`UnitError`] if the rows cannot be encoded.
pub(crate) fn mask_batch(
    job: &Job,
    UnitBatch { unit, batch }: UnitBatch,
) -> Result<(BatchOutput, Snapshot), UnitError> {
    let unit = job.plan().units[unit];
    let sources = &job.sources[unit.range()];
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let index = batch.index;
    let text_bytes = batch.text_bytes() as u64;
    let position = reader_position(&names, &batch.end);
    let file_bytes = bytes_before(sources, &batch.end).saturating_sub(unit.bounds().0).min(job.plan().unit_bytes(unit));
    let finished = batch.finished.iter().map(|source| finished_file(&names, source)).collect();
    let room = room(job.max_rejects, &batch, sources, unit);
    // Later epochs reject the same lines, which are kept once.
    let room = |source| if unit.epoch == 0 { room(source) } else { 0 };
    #[expect(clippy::cast_possible_truncation, reason = "a spec has at most 2^16 epochs")]
    let epoch = unit.epoch as u16;
    let Masked { row_groups, rejects, counts } = BatchMasker::new(&job.shared, epoch)?.mask(&batch, &names, room)?;
    let sum = |count: fn(&crate::output::counts::SourceCounts) -> u64| counts.sources.values().map(count).sum();
    let progress = Snapshot {
        file_bytes,
        text_bytes,
        documents: sum(|counts| counts.documents),
        rows: sum(|counts| counts.rows),
        tokens: sum(|counts| counts.tokens),
    };
    Ok((BatchOutput { batch: index, row_groups, rejects, counts, finished, position }, progress))
}

/// Reads up to the unit's beginning in its source. Returns the position, if it is inside a source.
fn approach(job: &Job, sources: &[Source], reader: &mut BatchReader<'_>) -> Result<Option<ReaderPosition>, UnitError> {
    while !reader.approach()? {
        job.check_stop()?;
    }
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    Ok(reader_position(&names, &reader.position()))
}

/// Reads up to the first batch that is not committed. Returns the bytes of files read on the way.
fn skip_committed(
    job: &Job,
    sources: &[Source],
    reader: &mut BatchReader<'_>,
    allowance: &mut Allowance<'_>,
    committed: &[CommitRecord],
) -> Result<u64, UnitError> {
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    let finished: Vec<&FinishedFile> = committed.iter().flat_map(|record| &record.finished).collect();
    for record in committed {
        for (name, counts) in &record.counts.sources {
            allowance.count(name, counts);
        }
    }
    let Some(last) = committed.last() else { return Ok(0) };
    let (mut end, mut read_again) = (None, Vec::new());
    for _ in 0..last.end_batch {
        job.check_stop()?;
        let Some(batch) = reader.next_batch()? else {
            // More batches are committed than the source has.
            let source_name = names.last().copied().unwrap_or_default().to_owned();
            let lines = last.counts.sources.get(&source_name).map_or(0, |counts| counts.lines);
            return Err(UnitError::SourceChanged { source_name, lines });
        };
        read_again.extend(batch.finished.iter().map(|source| finished_file(&names, source)));
        end = Some(batch.end);
    }
    let changed = |name: &str| {
        let counts = committed.iter().filter_map(|record| record.counts.sources.get(name));
        let lines = counts.map(|counts| counts.lines).sum();
        Err(UnitError::SourceChanged { source_name: name.to_owned(), lines })
    };
    // Compare exactly the sources that ended, then the reader's position.
    for place in 0..finished.len().max(read_again.len()) {
        let (before, now) = (finished.get(place).copied(), read_again.get(place));
        if before != now
            && let Some(file) = before.or(now)
        {
            return changed(&file.name);
        }
    }
    let position = end.as_ref().and_then(|end| reader_position(&names, end));
    if position != last.position
        && let Some(place) = last.position.as_ref().or(position.as_ref())
    {
        return changed(&place.source);
    }
    let read = end.map_or(0, |end| bytes_before(sources, &end)).saturating_sub(reader.from());
    job.progress.add(Snapshot { file_bytes: read, ..Snapshot::default() });
    Ok(read)
}

fn reader_position(names: &[&str], end: &Position) -> Option<ReaderPosition> {
    let source = (*names.get(end.source)?).to_owned();
    (end.file.bytes > 0).then(|| ReaderPosition {
        source,
        lines: end.lines,
        file_bytes: end.file.bytes,
        file_sha256: crate::digest::hex(&end.file.sha256),
    })
}

fn finished_file(names: &[&str], source: &FinishedSource) -> FinishedFile {
    let FinishedSource { source, lines: _, file } = source;
    FinishedFile { name: names[*source].to_owned(), bytes: file.bytes, sha256: crate::digest::hex(&file.sha256) }
}

/// Bytes on disk of the unit's sources before a position.
fn bytes_before(sources: &[Source], end: &Position) -> u64 {
    sources[..end.source].iter().map(|source| source.bytes).sum::<u64>() + end.file.bytes
}
