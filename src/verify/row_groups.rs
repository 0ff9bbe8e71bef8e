//! Matches the row groups of a unit with its batches: existing row groups, and row groups made again.

use std::ops::Range;

use crate::input::batch::Batch;
use crate::input::source::Source;
use crate::numbers::counted;
use crate::output::commit::ShardFile;
use crate::output::data_set::DATA;
use crate::output::encode::RowGroup;
use crate::output::read::Shard;
use crate::output::read_error::ReadError;
use crate::output::rebuild::ShardAgain;
use crate::pipeline::error::UnitError;
use crate::verify::batches::BatchLaws;
use crate::verify::findings::Findings;
use crate::verify::recomputation::RowGroupPlace;

/// A row group, and the source and line that it begins with.
type Begins = (RowGroupPlace, String, u64);

/// The row groups of a split of a unit, in order, each with its first line.
pub(super) struct Queue<'a, 'b> {
    laws: &'a BatchLaws<'b>,
    /// The shards that are not opened yet.
    shards: std::vec::IntoIter<usize>,
    open: Option<(usize, Shard, Range<usize>)>,
    peeked: Option<Begins>,
    findings: Vec<Findings>,
}

impl<'a, 'b> Queue<'a, 'b> {
    pub(super) fn new(laws: &'a BatchLaws<'b>, shards: Vec<usize>) -> Self {
        let mut shards = shards.into_iter();
        if !laws.reach.addresses {
            // It is not known which batch a row group belongs to.
            shards = Vec::new().into_iter();
        }
        Self { laws, shards, open: None, peeked: None, findings: Vec::new() }
    }

    /// The row groups that begin in the batch.
    pub(super) fn of_batch(&mut self, batch: &Batch, sources: &[Source]) -> Vec<RowGroupPlace> {
        let mut places = Vec::new();
        while let Some((place, source, line)) = self.peek() {
            let is_inside = batch.pieces.iter().any(|piece| {
                sources[piece.source].name == *source
                    && (piece.first_line..piece.first_line + piece.lines).contains(line)
            });
            if !is_inside {
                break;
            }
            places.push(*place);
            self.peeked = None;
        }
        places
    }

    fn peek(&mut self) -> Option<&Begins> {
        if self.peeked.is_none() {
            self.peeked = self.next().unwrap_or_else(|(shard, error)| {
                let mut findings = Findings::new(&self.laws.described.manifest.shards[shard].path);
                findings.add(&format!("cannot be read: {error}"));
                self.findings.push(findings);
                self.shards = Vec::new().into_iter();
                self.open = None;
                None
            });
        }
        self.peeked.as_ref()
    }

    fn next(&mut self) -> Result<Option<Begins>, (usize, ReadError)> {
        loop {
            if let Some((shard, open, row_groups)) = &mut self.open
                && let Some(row_group) = row_groups.next()
            {
                let first = open.first_line(row_group).map_err(|error| (*shard, error))?;
                let (source, line) = first.unwrap_or_default();
                let place = RowGroupPlace { shard: *shard, row_group };
                return Ok(Some((place, source, line.try_into().unwrap_or_default())));
            }
            let Some(shard) = self.shards.next() else { return Ok(None) };
            let open = self.laws.open(shard).map_err(|error| (shard, error))?;
            let row_groups = 0..open.row_groups().len();
            self.open = Some((shard, open, row_groups));
        }
    }

    /// The findings about row groups that belong to no batch.
    pub(super) fn finish(mut self) -> Vec<Findings> {
        while let Some((place, source, line)) = self.peek().cloned() {
            let mut findings = Findings::new(&self.laws.described.manifest.shards[place.shard].path);
            let RowGroupPlace { row_group, .. } = place;
            findings.add(&format!("row group {row_group} begins with {source}:{line}, which is not the next batch's"));
            self.findings.push(findings);
            self.peeked = None;
        }
        self.findings
    }
}

/// Makes the shards of a split of a unit again, one after the other, each with its number of row groups.
pub(super) struct Rebuilt<'a, 'b> {
    laws: &'a BatchLaws<'b>,
    shards: Vec<usize>,
    /// Index in `shards` of the current one.
    place: usize,
    open: Option<(ShardAgain, u64)>,
    findings: Vec<Findings>,
}

impl<'a, 'b> Rebuilt<'a, 'b> {
    pub(super) fn new(laws: &'a BatchLaws<'b>, shards: Vec<usize>) -> Self {
        Self { laws, shards, place: 0, open: None, findings: Vec::new() }
    }

    fn shard(&self) -> Option<&ShardFile> {
        Some(&self.laws.described.manifest.shards[*self.shards.get(self.place)?])
    }

    pub(super) fn append(&mut self, row_group: RowGroup) -> Result<(), UnitError> {
        let (mut shard, count) = match self.open.take() {
            Some(open) => open,
            None => (ShardAgain::new(self.laws.again.options)?, 0),
        };
        shard.append(row_group)?;
        let count = count + 1;
        match self.shard() {
            Some(file) if file.row_groups == count => {
                let (bytes, sha256) = shard.finish()?;
                if self.laws.same_version && sha256 != file.sha256 {
                    let mut findings = Findings::new(&file.path);
                    let what = format!("made again it has {bytes} bytes and SHA-256 {sha256}, not {}", file.sha256);
                    findings.add(&what);
                    self.findings.push(findings);
                }
                self.place += 1;
            }
            _ => self.open = Some((shard, count)),
        }
        Ok(())
    }

    /// The findings about unfinished shards.
    pub(super) fn finish(mut self) -> Vec<Findings> {
        let made = self.open.as_ref().map_or(0, |open| open.1);
        match self.shard().cloned() {
            Some(file) => {
                let mut findings = Findings::new(&file.path);
                findings.add(&format!("made again it has {made} row groups, not {}", file.row_groups));
                self.findings.push(findings);
            }
            None if made > 0 => {
                let last = self.shards.last().map(|shard| &self.laws.described.manifest.shards[*shard].path);
                let mut findings = Findings::new(last.map_or(DATA, String::as_str));
                findings.add(&format!("made again, it is followed by {}", counted(made, "more row group")));
                self.findings.push(findings);
            }
            None => {}
        }
        self.findings
    }
}
