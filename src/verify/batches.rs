//! Checks one batch of a source against its rows, on any thread.

use std::collections::BTreeMap;

use crate::denoise::{Address, Segmenting, Spec};
use crate::input::batch::{Batch, LongLine, Piece};
use crate::input::jsonl;
use crate::numbers::{counted, exact};
use crate::output::counts::SourceCounts;
use crate::output::data_set::DataSet;
use crate::output::digest::{Provenance, RowHash, RowsDigest};
use crate::output::encode::RowGroup;
use crate::output::read::Shard;
use crate::output::read_error::ReadError;
use crate::output::rebuild::ShardAgain;
use crate::pipeline::documents::too_long;
use crate::pipeline::error::UnitError;
use crate::pipeline::masker::{BatchMasker, Masked};
use crate::reading::Described;
use crate::reading::decode::{self, Reach};
use crate::reject::{Rejected, Rejects};
use crate::tokenize::Scratch;
use crate::verify::findings::Findings;
use crate::verify::recomputation::{Again, RowGroupPlace, RowsAgain};

/// The laws of batches.
pub struct BatchLaws<'a> {
    /// The data set.
    pub data_set: &'a DataSet,
    /// Its manifest.
    pub described: &'a Described,
    /// What its columns allow to check.
    pub reach: &'a Reach,
    /// Masks the sources again.
    pub again: &'a Again<'a>,
    /// Which rows to make again.
    pub rows: RowsAgain,
    /// Whether this version of the tool wrote it.
    pub same_version: bool,
}

/// A batch to check, with the row groups made from it.
pub struct Task {
    /// Index of the unit.
    pub unit: usize,
    /// The batch.
    pub batch: Batch,
    /// Its row groups.
    pub row_groups: Vec<RowGroupPlace>,
    /// Whether to make its rows again.
    pub is_masked: bool,
}

impl Task {
    /// Its weight in permits.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.batch.weight()
    }
}

/// The result of a batch.
pub struct Outcome {
    /// The findings.
    pub findings: Vec<Findings>,
    /// The rows made again, if all are.
    pub row_groups: Vec<RowGroup>,
    /// Lines, documents and tokens of each source.
    pub counts: BTreeMap<String, SourceCounts>,
    /// The lines that make no rows.
    pub rejects: Rejects,
    /// Sources that ended in it, with their digests.
    pub finished: Vec<(String, String)>,
    /// Number of lines.
    pub lines: u64,
    /// Whether its rows were made again.
    pub is_masked: bool,
}

/// The rows of a batch as the shards hold them.
#[derive(Default)]
struct Held {
    tokens: Tokens,
    /// The digest of each row group; `None` if it cannot be read.
    digests: Vec<Option<RowsDigest>>,
}

/// The tokens of each line's segments, by index of the source in the unit and by line.
type Tokens = BTreeMap<(usize, u64), BTreeMap<u32, Vec<u32>>>;

impl BatchLaws<'_> {
    /// Opens a shard of the manifest.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if it cannot be read.
    pub fn open(&self, shard: usize) -> Result<Shard, ReadError> {
        let file = self.data_set.fetch(&self.described.manifest.shards[shard].path)?;
        Shard::open(file.path(), self.described.format.clone())
    }

    /// Compares a batch with its rows.
    ///
    /// # Errors
    ///
    /// [`UnitError`] if its rows cannot be made again.
    pub fn check(&self, task: Task) -> Result<Outcome, UnitError> {
        let Task { unit, batch, row_groups: places, is_masked } = task;
        let unit = self.described.manifest.plan.units[unit];
        let names: Vec<&str> =
            self.described.manifest.sources[unit.range()].iter().map(|source| source.name.as_str()).collect();
        #[expect(clippy::cast_possible_truncation, reason = "a spec has at most 2^16 epochs")]
        let epoch = unit.epoch as u16;
        let (mut findings, mut held) = (Vec::new(), Held::default());
        for place in &places {
            let digest = self.hold(*place, epoch, &names, &mut held.tokens).unwrap_or_else(|error| {
                let mut of_shard = self.of_shard(*place);
                of_shard.add(&format!("cannot be read: {error}"));
                findings.push(of_shard);
                None
            });
            held.digests.push(digest);
        }
        let mut counts: BTreeMap<String, SourceCounts> = BTreeMap::new();
        let scratch = self.again.shared.tokenizer.scratch();
        let mut comparison = Comparison { laws: self, epoch, held: held.tokens, scratch, rejects: Rejects::default() };
        for pieces in batch.pieces.chunk_by(|a, b| a.source == b.source) {
            let mut of_source = Findings::new(names[pieces[0].source]);
            let counted = comparison.block(&batch, pieces, names[pieces[0].source], &mut of_source);
            *counts.entry(names[pieces[0].source].to_owned()).or_default() += &counted;
            findings.push(of_source);
        }
        let Comparison { held: left, mut rejects, .. } = comparison;
        for LongLine { source, line, bytes, file } in &batch.long_lines {
            let name = names[*source];
            counts.entry(name.to_owned()).or_default().lines += 1;
            if epoch == 0 {
                let rejected = too_long(*bytes, self.described.spec.fields().max_line);
                rejects.push_aside(*source, name, *line, rejected, file.clone());
            }
        }
        for ((source, line), _) in left {
            let mut of_source = Findings::new(names[source]);
            of_source.at_line(line, "has rows, but no text for them");
            findings.push(of_source);
        }
        let lines = counts.values().map(|counts| counts.lines).sum();
        let hex = |sha256: &[u8; 32]| crate::digest::hex(sha256);
        let finished = batch.finished.iter();
        let finished = finished.map(|one| (names[one.source].to_owned(), hex(&one.file.sha256))).collect();
        let mut row_groups = Vec::new();
        if is_masked {
            let Masked { row_groups: again, .. } =
                BatchMasker::new(self.again.shared, epoch)?.mask(batch, &names, |_| 0)?;
            if self.reach.addresses {
                self.compare_rows(&again, &places, &held.digests, &mut findings);
            }
            match self.rows {
                RowsAgain::Sample(_) => self.compare_bytes(again, &places, &mut findings)?,
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

/// Compares tokens made again with the tokens of the rows.
struct Comparison<'a, 'b> {
    laws: &'a BatchLaws<'b>,
    epoch: u16,
    held: Tokens,
    scratch: Scratch,
    /// The rejects of epoch 0, which are kept.
    rejects: Rejects,
}

impl Comparison<'_, '_> {
    /// Compares the lines of one source in the batch: each by itself, or joined.
    fn block(&mut self, batch: &Batch, pieces: &[Piece], name: &str, findings: &mut Findings) -> SourceCounts {
        let spec = &self.laws.described.spec;
        let source = pieces[0].source;
        let mut counts =
            SourceCounts { lines: pieces.iter().map(|piece| piece.lines).sum(), ..SourceCounts::default() };
        let compares = self.laws.compares_tokens();
        let keys = spec.source_keys(name);
        let between = match spec.fields().segmenting {
            Segmenting::Concat(concat) => Some(spec.vocabulary().eos().filter(|_| concat.eos_between)),
            Segmenting::Document | Segmenting::Window(_) => None,
        };
        let (mut tokens, mut joined) = (Vec::new(), Vec::new());
        for (line, bytes) in pieces.iter().flat_map(|piece| batch.lines(piece)) {
            tokens.clear();
            let made = self.tokens(line, bytes, &mut tokens);
            match &made {
                Made::Tokens => {
                    counts.documents += 1;
                    counts.tokens += tokens.len() as u64;
                }
                Made::Reject(rejected) if self.epoch == 0 => {
                    self.rejects.push(source, name, line, rejected.clone(), bytes);
                }
                Made::Reject(_) | Made::Blank => {}
            }
            if !compares {
                continue;
            }
            match (between, spec.fields().segmenting) {
                (Some(between), _) => {
                    if let Made::Tokens = made {
                        joined.extend(between.filter(|_| !joined.is_empty()));
                        joined.append(&mut tokens);
                    }
                }
                (None, segmenting) => {
                    let used = match segmenting {
                        Segmenting::Window(window) if !tokens.is_empty() => {
                            let place = window.place(spec, &keys, line, self.epoch, length(&tokens));
                            &tokens[place.start as usize..place.end as usize]
                        }
                        _ => &tokens[..],
                    };
                    let rows = self.held.remove(&(source, line));
                    let rows = rows.map(|segments| segments.into_values().flatten().collect::<Vec<u32>>());
                    if let Some(what) = compare(spec, rows.as_deref(), used, &made) {
                        findings.at_line(line, &what);
                    }
                }
            }
        }
        if between.is_some() && compares {
            let first = pieces[0].first_line;
            let last = pieces.last().map_or(first, |piece| piece.first_line + piece.lines - 1);
            let lines: Vec<u64> = self.held.range((source, first)..=(source, last)).map(|(place, _)| place.1).collect();
            let rows = lines.iter().filter_map(|line| self.held.remove(&(source, *line)));
            let rows: Vec<u32> = rows.flat_map(BTreeMap::into_values).flatten().collect();
            let rows = (!lines.is_empty()).then_some(rows.as_slice());
            if let Some(what) = compare(spec, rows, &joined, &Made::Tokens) {
                findings.at_line(first, &format!("in the lines from here to {last}, {what}"));
            }
        }
        counts
    }

    /// Appends the tokens of a line.
    fn tokens(&mut self, line: u64, bytes: &[u8], tokens: &mut Vec<u32>) -> Made {
        let shared = self.laws.again.shared;
        if bytes.len() as u64 <= shared.spec.fields().max_line && jsonl::is_blank(bytes) {
            return Made::Blank;
        }
        let made = if shared.spec.is_of_labels() {
            shared.append_record(line, bytes, &mut self.scratch, tokens).map(|_| ())
        } else {
            shared.append_document(line, bytes, &mut self.scratch, tokens)
        };
        made.map_or_else(Made::Reject, |()| Made::Tokens)
    }
}

/// The result of a line.
enum Made {
    Blank,
    Reject(Rejected),
    Tokens,
}

/// How the rows of a line, or of a block, differ from its tokens.
fn compare(spec: &Spec, rows: Option<&[u32]>, tokens: &[u32], made: &Made) -> Option<String> {
    match (rows, made) {
        (None, Made::Blank | Made::Reject(_)) => None,
        (Some(_), Made::Blank) => Some("has rows, but is blank".to_owned()),
        (Some(_), Made::Reject(rejected)) => Some(format!("has rows, but is a reject: {}", rejected.detail)),
        (None, Made::Tokens) if length(tokens) < spec.min_segment() => None,
        (None, Made::Tokens) => Some(format!("{} in no row", counted(tokens.len() as u64, "token"))),
        (Some(rows), Made::Tokens) if rows == tokens => None,
        (Some(rows), Made::Tokens) => {
            let same = rows.iter().zip(tokens).take_while(|(a, b)| a == b).count();
            Some(format!(
                "the rows hold {}, the source gives {}; they differ from token {same} on",
                exact(rows.len() as u64, "token"),
                tokens.len()
            ))
        }
    }
}

/// A line has at most 2^30 bytes, and a token at least one.
#[expect(clippy::cast_possible_truncation, reason = "a block has fewer than 2^31 tokens")]
fn length(tokens: &[u32]) -> u32 {
    tokens.len() as u32
}
