//! Checks one batch of a source against its rows, on any thread.

use std::collections::BTreeMap;

use crate::denoise::{Address, PerSplit, Spec};
use crate::input::batch::Batch;
use crate::numbers::{counted, exact};
use crate::output::counts::Counts;
use crate::output::data_set::DataSet;
use crate::output::digest::{Provenance, RowHash, RowsDigest};
use crate::output::encode::RowGroup;
use crate::output::read::Shard;
use crate::output::read_error::ReadError;
use crate::output::rebuild::ShardAgain;
use crate::pipeline::error::UnitError;
use crate::pipeline::lines::{Block, Lines, Made, Sequence, blocks, length};
use crate::pipeline::masker::{BatchMasker, Masked};
use crate::reading::Described;
use crate::reading::decode::{self, Reach};
use crate::reject::Rejects;
use crate::verify::findings::Findings;
use crate::verify::recomputation::{Again, RowGroupPlace, RowsAgain};

/// The laws of batches.
pub(crate) struct BatchLaws<'a> {
    /// The data set.
    pub(crate) data_set: &'a DataSet,
    /// Its manifest.
    pub(crate) described: &'a Described,
    /// What its columns allow to check.
    pub(crate) reach: &'a Reach,
    /// Masks the sources again.
    pub(crate) again: &'a Again<'a>,
    /// Which rows to make again.
    pub(crate) rows: RowsAgain,
    /// Whether this version of the tool wrote it.
    pub(crate) same_version: bool,
}

/// A batch to check, with the row groups made from it.
pub(crate) struct Task {
    /// Index of the unit.
    pub(crate) unit: usize,
    /// The batch.
    pub(crate) batch: Batch,
    /// Its row groups of each split.
    pub(crate) row_groups: PerSplit<Vec<RowGroupPlace>>,
    /// Whether to make its rows again.
    pub(crate) is_masked: bool,
}

impl Task {
    /// Its weight in permits.
    #[must_use]
    pub(crate) fn weight(&self) -> usize {
        self.batch.weight()
    }
}

/// The result of a batch.
pub(crate) struct Outcome {
    /// The findings.
    pub(crate) findings: Vec<Findings>,
    /// The rows made again, if all are.
    pub(crate) row_groups: PerSplit<Vec<RowGroup>>,
    /// Lines, documents and tokens of each source.
    pub(crate) counts: Counts,
    /// The lines that make no rows.
    pub(crate) rejects: Rejects,
    /// Sources that ended in it, with their digests.
    pub(crate) finished: Vec<(String, String)>,
    /// Number of lines.
    pub(crate) lines: u64,
    /// Whether its rows were made again.
    pub(crate) is_masked: bool,
}

/// The rows of a batch as the shards hold them.
#[derive(Default)]
struct Held {
    tokens: Tokens,
    /// The digest of each row group of a split; `None` if it cannot be read.
    digests: PerSplit<Vec<Option<RowsDigest>>>,
}

/// The tokens of each line's segments, by index of the source in the unit and by line.
type Tokens = BTreeMap<(usize, u64), BTreeMap<u32, Vec<u32>>>;

impl BatchLaws<'_> {
    /// Opens a shard of the manifest.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it cannot be read.
    pub(crate) fn open(&self, shard: usize) -> Result<Shard, ReadError> {
        let file = self.data_set.fetch(&self.described.manifest.shards[shard].path)?;
        Shard::open(file.path(), self.described.format.clone())
    }

    /// Compares a batch with its rows.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if its rows cannot be made again.
    pub(crate) fn check(&self, task: Task) -> Result<Outcome, UnitError> {
        let Task { unit, batch, row_groups: places, is_masked } = task;
        let unit = self.described.manifest.plan.units[unit];
        let names: Vec<&str> =
            self.described.manifest.sources[unit.range()].iter().map(|source| source.name.as_str()).collect();
        #[expect(clippy::cast_possible_truncation, reason = "a spec has at most 2^16 epochs")]
        let epoch = unit.epoch as u16;
        let (mut findings, mut held) = (Vec::new(), Held::default());
        for (places, digests) in places.iter().zip(held.digests.iter_mut()) {
            for place in places {
                let digest = self.hold(*place, epoch, &names, &mut held.tokens).unwrap_or_else(|error| {
                    let mut of_shard = self.of_shard(*place);
                    of_shard.add(&format!("cannot be read: {error}"));
                    findings.push(of_shard);
                    None
                });
                digests.push(digest);
            }
        }
        let mut counts = Counts::default();
        let mut left = held.tokens;
        // The rejects of epoch 0 are kept.
        let mut lines = Lines::new(self.again.shared, epoch, |_| if epoch == 0 { u64::MAX } else { 0 });
        for mut block in blocks(&self.described.spec, &batch, &names) {
            let mut of_source = Findings::new(block.source);
            lines.read(&mut block, &mut |block, made| {
                self.compare_tokens(block, &made, &mut left, &mut of_source);
                Ok(())
            })?;
            counts.add_block(block.source, &block.counts);
            findings.push(of_source);
        }
        let rejects = lines.finish(&batch, &names, &mut counts);
        for ((source, line), _) in left {
            let mut of_source = Findings::new(names[source]);
            of_source.at_line(line, "has rows, but no text for them");
            findings.push(of_source);
        }
        let lines = counts.sources.values().map(|counts| counts.lines).sum();
        let hex = |sha256: &[u8; 32]| crate::digest::hex(sha256);
        let finished = batch.finished.iter();
        let finished = finished.map(|one| (names[one.source].to_owned(), hex(&one.file.sha256))).collect();
        let mut row_groups = PerSplit::default();
        if is_masked {
            let Masked { row_groups: again, .. } =
                BatchMasker::new(self.again.shared, epoch)?.mask(&batch, &names, |_| 0)?;
            if self.reach.addresses {
                for ((again, places), digests) in again.iter().zip(places.iter()).zip(held.digests.iter()) {
                    self.compare_rows(again, places, digests, &mut findings);
                }
            }
            match self.rows {
                RowsAgain::Sample(_) => {
                    for (again, places) in again.into_iter().zip(places.iter()) {
                        self.compare_bytes(again, places, &mut findings)?;
                    }
                }
                RowsAgain::All => row_groups = again,
                RowsAgain::None => {}
            }
        }
        // Every piece of every batch has findings, nearly always empty ones.
        findings.retain(|findings| !findings.is_empty());
        Ok(Outcome { findings, row_groups, counts, rejects, finished, lines, is_masked })
    }

    fn of_shard(&self, place: RowGroupPlace) -> Findings {
        Findings::new(&self.described.manifest.shards[place.shard].path)
    }

    /// Reads the tokens of a row group. Returns its digest, if its columns can be read.
    fn hold(
        &self,
        place: RowGroupPlace,
        epoch: u16,
        names: &[&str],
        tokens: &mut Tokens,
    ) -> Result<Option<RowsDigest>, ReadError> {
        let Described { spec, .. } = self.described;
        let shard = self.open(place.shard)?;
        let (inputs, labels) = spec.row_lengths();
        let mut digest = RowsDigest::default();
        if shard.other_columns()?.is_some() {
            return Ok(None);
        }
        for part in shard.read(place.row_group, ((1 << 21) / (inputs + labels)).max(1) as usize)? {
            let part = part?;
            for row in 0..part.len() {
                // The check of rows has already found broken laws.
                let Ok(taken) =
                    decode::take_apart(&part, row, &self.described.spec, &self.described.format, self.reach)
                else {
                    continue;
                };
                let place = |name: &str| {
                    let places = &self.described.places;
                    let place = places.get(name)?.checked_sub(*places.get(names[0])?)?;
                    (place < names.len()).then_some(place)
                };
                let source = taken.source.and_then(|name| Some((name, place(name)?)));
                let mut hash = RowHash::default();
                for example in &taken.examples {
                    let numbers = example.line.and_then(|line| u64::try_from(line).ok());
                    let numbers = numbers.zip(example.segment.and_then(|segment| u32::try_from(segment).ok()));
                    let (Some((name, source)), Some((line, segment))) = (source, numbers) else { continue };
                    if self.compares_tokens()
                        && let Ok(decoded) = decode::tokens(example, spec)
                    {
                        tokens.entry((source, line)).or_default().insert(segment, decoded.segment);
                    }
                    if let Some(denoiser) = example.denoiser {
                        let denoiser = &spec.denoisers()[denoiser].name;
                        let address = Address { line, epoch, segment };
                        let prefix = example.prefix_length.filter(|_| self.described.format.causal);
                        hash.add(
                            Provenance { denoiser, source: name, address },
                            prefix,
                            example.input_ids,
                            example.labels,
                        );
                    }
                }
                digest.add(&hash.finish());
            }
        }
        Ok(Some(digest))
    }

    fn compares_tokens(&self) -> bool {
        self.reach.decodes && self.reach.addresses && !self.described.spec.is_of_labels()
    }

    /// Compares the tokens that a line, or a block, becomes with those that its rows hold, which it takes out of `held`.
    fn compare_tokens(&self, block: &Block<'_>, made: &Made<'_>, held: &mut Tokens, findings: &mut Findings) {
        if !self.compares_tokens() {
            return;
        }
        let mut of_line = |line| held.remove(&(block.index, line)).map(BTreeMap::into_values);
        let difference = match made {
            Made::Blank(line) => of_line(*line).map(|_| (*line, "has rows, but is blank".to_owned())),
            Made::Reject(line, rejected) => {
                of_line(*line).map(|_| (*line, format!("has rows, but is a reject: {}", rejected.detail)))
            }
            Made::Sequence(Sequence { tokens, lines, .. }) => {
                let rows: Vec<_> = lines.iter().filter_map(|start| of_line(start.line)).collect();
                let is_held = !rows.is_empty();
                let rows: Vec<u32> = rows.into_iter().flatten().flatten().collect();
                let difference = compare(&self.described.spec, is_held.then_some(rows.as_slice()), tokens);
                match (difference, *lines) {
                    (Some(what), [only]) => Some((only.line, what)),
                    (Some(what), [first, .., last]) => {
                        Some((first.line, format!("in the lines from here to {}, {what}", last.line)))
                    }
                    _ => None,
                }
            }
            // `compares_tokens` says no to them.
            Made::Records(_) => None,
        };
        if let Some((line, what)) = difference {
            findings.at_line(line, &what);
        }
    }

    fn compare_rows(
        &self,
        again: &[RowGroup],
        places: &[RowGroupPlace],
        digests: &[Option<RowsDigest>],
        findings: &mut Vec<Findings>,
    ) {
        let Some(last) = places.last() else {
            // A batch whose row groups were not found: the check of the shard's bytes reports it.
            return;
        };
        if again.len() != places.len() {
            let mut of_shard = self.of_shard(*last);
            of_shard.add(&format!("a batch has {} row groups, made again it has {}", places.len(), again.len()));
            findings.push(of_shard);
        }
        for ((place, again), digest) in places.iter().zip(again).zip(digests) {
            if self.reach.digests && digest.is_some_and(|digest| again.digest != digest) {
                let mut of_shard = self.of_shard(*place);
                of_shard.add(&format!("row group {} has other rows than those made again", place.row_group));
                findings.push(of_shard);
            }
        }
    }

    fn compare_bytes(
        &self,
        again: Vec<RowGroup>,
        places: &[RowGroupPlace],
        findings: &mut Vec<Findings>,
    ) -> Result<(), UnitError> {
        for (place, again) in places.iter().zip(again).filter(|_| self.same_version) {
            let mut of_shard = self.of_shard(*place);
            let again = ShardAgain::encode(self.again.options, again)?;
            match self.open(place.shard).and_then(|shard| shard.encoded(place.row_group, again.len())) {
                Ok(found) if found == again => {}
                Ok(_) => of_shard.add(&format!("row group {} has other bytes than made again", place.row_group)),
                Err(error) => of_shard.add(&format!("cannot be read: {error}")),
            }
            findings.push(of_shard);
        }
        Ok(())
    }
}

/// How the rows of a sequence differ from its tokens. `rows` is `None` if there are no rows.
fn compare(spec: &Spec, rows: Option<&[u32]>, tokens: &[u32]) -> Option<String> {
    match rows {
        None if length(tokens) < spec.min_segment() => None,
        None => Some(format!("{} in no row", counted(tokens.len() as u64, "token"))),
        Some(rows) if rows == tokens => None,
        Some(rows) => {
            let same = rows.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            Some(format!(
                "the rows hold {}, the source gives {}; they differ from token {same} on",
                exact(rows.len() as u64, "token"),
                tokens.len()
            ))
        }
    }
}
