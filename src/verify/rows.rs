//! The laws of a shard and of its rows.

use std::collections::BTreeMap;

use crate::denoise::{
    Address, DataSplit, Decoded, Law, Maskings, NoiseMask, NoisePattern, Segmenting, SourceSplit, Spec, Suffix,
};
use crate::numbers::exact;
use crate::output::commit::ShardFile;
use crate::output::counts::{DenoiserCounts, SourceCounts};
use crate::output::data_set::DataSet;
use crate::output::digest::{Provenance, RowHash, RowsDigest};
use crate::output::names;
use crate::output::read::{Footer, Rows, Shard};
use crate::output::read_error::ReadError;
use crate::output::schema::Column;
use crate::output::unit::Unit;
use crate::reading::Described;
use crate::reading::decode::{self, Example, Reach, Row};
use crate::reading::shard::rows_at_once;
use crate::verify::findings::Findings;

/// The laws of shards.
pub(crate) struct ShardLaws<'a> {
    /// The data set.
    pub(crate) data_set: &'a DataSet,
    /// Its manifest.
    pub(crate) described: &'a Described,
    /// What its columns allow to check.
    pub(crate) reach: &'a Reach,
}

/// The result of checking a shard's rows.
pub(crate) struct CheckedShard {
    /// The findings.
    pub(crate) findings: Findings,
    /// Whether all rows were read.
    pub(crate) is_whole: bool,
    /// Rows.
    pub(crate) rows: u64,
    /// The counts of each denoiser.
    pub(crate) denoisers: BTreeMap<String, DenoiserCounts>,
    /// Rows and examples of each source.
    pub(crate) sources: BTreeMap<String, SourceCounts>,
    /// Digest of the rows.
    pub(crate) digest: RowsDigest,
    /// The split of its rows.
    pub(crate) split: DataSplit,
    /// The unit.
    unit: usize,
    /// Where the documents of the source of the last row belong and how often they are masked, by its index.
    of_source: Option<(usize, SourceSplit, Maskings)>,
    /// The first and the last address.
    ends: Option<(Place, Place)>,
}

/// The address of an example in its unit: index of the source, line, segment. It sorts like rows.
type Place = (usize, u64, u32);

impl CheckedShard {
    /// The result for a shard that could not be read.
    #[must_use]
    pub(crate) fn not_read(path: &str) -> Self {
        let (split, unit, _) = names::of_shard_file(path).unwrap_or((DataSplit::Train, 0, 0));
        Self {
            findings: Findings::new(path),
            is_whole: false,
            rows: 0,
            denoisers: BTreeMap::new(),
            sources: BTreeMap::new(),
            digest: RowsDigest::default(),
            split,
            unit,
            of_source: None,
            ends: None,
        }
    }
}

/// Checks that each shard of a unit and a split begins where the one before it ended.
pub(crate) fn check_seams(shards: &mut [CheckedShard]) {
    let mut last: Option<((DataSplit, usize), Option<Place>)> = None;
    for shard in shards {
        let Some((first, end)) = shard.ends else {
            last = Some(((shard.split, shard.unit), None));
            continue;
        };
        match last.filter(|(of, _)| *of == (shard.split, shard.unit)) {
            Some((_, Some(before))) => {
                if let Some(what) = out_of_order(Some(before), first) {
                    shard.findings.add(&format!("the first row: {what}"));
                }
            }
            None if first.2 != 0 => shard.findings.add("the first row: segments before it are missing"),
            // The shard before could not be read, or there was none.
            Some((_, None)) | None => {}
        }
        last = Some(((shard.split, shard.unit), Some(end)));
    }
}

/// Why an address may not follow the one before it.
fn out_of_order(before: Option<Place>, place: Place) -> Option<String> {
    let before = before?;
    let shown = |place: Place| format!("line {}, segment {}", place.1, place.2);
    if place <= before {
        if place == before {
            return Some(format!("{} comes twice", shown(place)));
        }
        return Some(format!("{} comes after {}", shown(place), shown(before)));
    }
    let next = if (place.0, place.1) == (before.0, before.1) { before.2 + 1 } else { 0 };
    (place.2 != next).then(|| format!("{} comes where segment {next} should", shown(place)))
}

impl ShardLaws<'_> {
    /// Reads a shard and checks every row.
    #[must_use]
    pub(crate) fn check(&self, file: &ShardFile) -> CheckedShard {
        let mut rows = CheckedShard::not_read(&file.path);
        match self.check_shard(file, &mut rows) {
            Ok(is_whole) => rows.is_whole = is_whole,
            Err(error) => rows.findings.add(&format!("cannot be read: {error}")),
        }
        rows
    }

    fn check_shard(&self, file: &ShardFile, found: &mut CheckedShard) -> Result<bool, ReadError> {
        let Described { manifest, spec, format, places: _ } = self.described;
        let fetched = self.data_set.fetch(&file.path)?;
        let shard = Shard::open(fetched.path(), format.clone())?;
        let findings = &mut found.findings;
        let bytes = fs_err::metadata(fetched.path())?.len();
        if bytes != file.bytes {
            findings.add(&format!("has {bytes} bytes, the manifest says {}", file.bytes));
        }
        let row_groups = shard.row_groups();
        findings.differ("`rows` in the manifest", &file.rows, "the footer says", &shard.rows());
        findings.differ(
            "`row_groups` in the manifest",
            &file.row_groups,
            "the footer says",
            &(row_groups.len() as u64),
        );
        if row_groups.contains(&0) {
            findings.add("has a row group without rows");
        }
        let footer = Footer {
            version: Some(manifest.tool_version.clone()),
            spec: Some(manifest.spec.to_string()),
            fingerprint: Some(manifest.spec_fingerprint.clone()),
        };
        if shard.footer() != footer {
            findings.add("the footer has another version or spec than the manifest");
        }
        if let Some(names) = shard.other_columns()? {
            let expected: Vec<String> = format.columns.iter().map(ToString::to_string).collect();
            findings.add(&format!(
                "has the columns `{}`, or these with other types; the manifest says `{}`",
                names.join("`, `"),
                expected.join("`, `")
            ));
            return Ok(false);
        }
        let mut last = None;
        for row_group in 0..row_groups.len() {
            // In packed and shuffled rows, the order is known only within a row group.
            let mut places = Vec::new();
            for part in shard.read(row_group, rows_at_once(spec))? {
                let part = part?;
                for row in 0..part.len() {
                    self.check_row(&part, row, found, &mut places);
                    found.rows += 1;
                }
            }
            self.check_order(places, &mut last, found);
        }
        found.findings.differ("`rows` in the manifest", &file.rows, "the row groups have", &found.rows);
        if self.reach.digests {
            let digest = found.digest.hex();
            found.findings.differ("`rows_digest` in the manifest", &file.rows_digest, "the rows give", &digest);
        }
        Ok(true)
    }

    /// Checks that examples are in the order of their addresses, each once, with no segment left out.
    fn check_order(&self, mut places: Vec<(Place, u64)>, last: &mut Option<Place>, found: &mut CheckedShard) {
        let fields = self.described.spec.fields();
        if fields.pack || fields.shuffle {
            places.sort_unstable();
        }
        for (place, row) in places {
            if let Some(what) = out_of_order(*last, place) {
                found.findings.at_row(row, &what);
            }
            *last = Some(place);
            found.ends = Some((found.ends.map_or(place, |ends| ends.0), place));
        }
    }

    fn check_row(&self, rows: &Rows, row: usize, found: &mut CheckedShard, places: &mut Vec<(Place, u64)>) {
        let number = found.rows;
        let taken = match decode::take_apart(rows, row, &self.described.spec, &self.described.format, self.reach) {
            Ok(taken) => taken,
            Err(what) => return found.findings.at_row(number, &what),
        };
        let unit = self.described.manifest.plan.units[found.unit];
        let source = match self.check_provenance(&taken, unit) {
            Ok(source) => source,
            Err(what) => return found.findings.at_row(number, &what),
        };
        if let Some(what) = self.check_lengths(&taken) {
            found.findings.at_row(number, &what);
        }
        if let Some(what) = source.and_then(|source| self.check_documents(&taken, unit, source, found)) {
            found.findings.at_row(number, &what);
        }
        if let Some(name) = taken.source {
            let counts = found.sources.entry(name.to_owned()).or_default();
            counts.rows += 1;
            counts.examples += taken.examples.len() as u64;
        }
        let mut hash = RowHash::default();
        for example in &taken.examples {
            if self.reach.decodes {
                match self.check_example(example) {
                    Ok((denoiser, counts)) => *found.denoisers.entry(denoiser).or_default() += &counts,
                    Err(what) => found.findings.at_row(number, &what),
                }
            }
            let Some((place, address)) = source
                .zip(address(example, unit))
                .map(|(source, address)| ((source, address.line, address.segment), address))
            else {
                continue;
            };
            places.push((place, number));
            if let (true, Some(denoiser), Some(source)) = (self.reach.digests, example.denoiser, taken.source) {
                let denoiser = &self.described.spec.denoisers()[denoiser].name;
                let prefix = example.prefix_length.filter(|_| self.described.format.causal);
                hash.add(Provenance { denoiser, source, address }, prefix, example.input_ids, example.labels);
            }
        }
        if self.reach.digests {
            found.digest.add(&hash.finish());
        }
    }

    /// The index of the row's source, if it is known.
    fn check_provenance(&self, row: &Row<'_>, unit: Unit) -> Result<Option<usize>, String> {
        let manifest = &self.described.manifest;
        if let Some(epoch) = row.epoch.filter(|epoch| u32::try_from(*epoch) != Ok(unit.epoch)) {
            return Err(format!("the epoch is {epoch}, the unit is of epoch {}", unit.epoch));
        }
        let index = match row.source {
            None if unit.sources == 1 => Some(unit.first_source),
            None => None,
            Some(name) => {
                let place = self.described.places.get(name).copied().filter(|place| unit.range().contains(place));
                Some(place.ok_or_else(|| format!("the source is {name:?}, which is none of the unit's"))?)
            }
        };
        for example in &row.examples {
            let lines = index.map_or(u64::MAX, |index| manifest.sources[index].counts.lines);
            if let Some(line) = example.line.filter(|line| !(1..=lines).contains(&u64::try_from(*line).unwrap_or(0))) {
                return Err(format!("the line is {line}, the source has {lines}"));
            }
            if let Some(segment) = example.segment.filter(|segment| *segment < 0) {
                return Err(format!("the segment is {segment}"));
            }
        }
        Ok(index)
    }

    /// Checks that the documents of a row belong to the split of its shard, and are masked in its epoch.
    fn check_documents(&self, row: &Row<'_>, unit: Unit, source: usize, found: &mut CheckedShard) -> Option<String> {
        let Described { manifest, spec, .. } = self.described;
        let fields = spec.fields();
        if fields.validation.is_none() && fields.weights.is_empty() {
            return None;
        }
        let known = found.of_source.take().filter(|known| known.0 == source);
        let (_, splits, maskings) = found.of_source.insert(known.unwrap_or_else(|| {
            let name = &manifest.sources[source].name;
            (source, spec.source_split(name), spec.maskings(name))
        }));
        let epoch = u16::try_from(unit.epoch).ok()?;
        row.examples.iter().find_map(|example| {
            let line = u64::try_from(example.line?).ok()?;
            let split = splits.of(line);
            if split != found.split {
                return Some(format!("line {line} belongs to the split `{split}`"));
            }
            (!maskings.has(line, epoch)).then(|| format!("line {line} is not masked in epoch {epoch}"))
        })
    }

    fn check_lengths(&self, row: &Row<'_>) -> Option<String> {
        let spec = &self.described.spec;
        let (most_inputs, most_labels) = spec.row_lengths();
        let (inputs, labels) = row.lengths;
        let too_many = |what: Column, found: usize, most: u32| {
            (found > most as usize).then(|| format!("`{what}` has {found} ids, the spec allows {most}"))
        };
        too_many(Column::InputIds, inputs, most_inputs).or_else(|| too_many(Column::Labels, labels, most_labels))
    }

    /// Checks layout, tokens, lengths and density of an example. Returns its part of the denoiser's counts.
    fn check_example(&self, example: &Example<'_>) -> Result<(String, DenoiserCounts), String> {
        let spec = &self.described.spec;
        let Decoded { segment, mask } = decode::tokens(example, spec)?;
        let index = example.denoiser.unwrap_or_default();
        let denoiser = &spec.denoisers()[index];
        if let Some((place, id)) = (0..).zip(&segment).find(|(_, id)| !is_token(spec, &denoiser.pattern, **id)) {
            return Err(format!("token {place} of the segment is the reserved id {id}"));
        }
        check_segment(spec, index, &mask)?;
        let counts = DenoiserCounts {
            examples: 1,
            tokens: segment.len() as u64,
            noise_tokens: u64::from(mask.noise()),
            spans: mask.spans().len() as u64,
            input_ids: example.input_ids.len() as u64,
            labels: example.labels.len() as u64,
        };
        Ok((denoiser.name.clone(), counts))
    }
}

fn address(example: &Example<'_>, unit: Unit) -> Option<Address> {
    let line = u64::try_from(example.line?).ok()?;
    let segment = u32::try_from(example.segment?).ok()?;
    Some(Address { line, epoch: u16::try_from(unit.epoch).ok()?, segment })
}

/// Whether a segment may hold an id: text never gives a reserved id, but joined documents and prompts may.
fn is_token(spec: &Spec, pattern: &NoisePattern, id: u32) -> bool {
    let joins = matches!(spec.fields().segmenting, Segmenting::Concat(concat) if concat.eos_between);
    let prompts = match pattern {
        NoisePattern::MultipleChoice(choice) => [choice.label_prompt.as_slice(), &choice.text_prompt],
        _ => [&[], &[] as &[u32]],
    };
    spec.vocabulary().is_ordinary(id)
        || (joins && spec.vocabulary().eos() == Some(id))
        || prompts.iter().any(|prompt| prompt.contains(&id))
}

/// Checks length and density of a segment.
fn check_segment(spec: &Spec, index: usize, mask: &NoiseMask) -> Result<(), String> {
    let denoiser = &spec.denoisers()[index];
    let name = &denoiser.name;
    let (length, noise) = (mask.length(), mask.noise());
    #[expect(clippy::cast_possible_truncation, reason = "a segment has at most 2^18 tokens")]
    let spans = mask.spans().len() as u32;
    let is_suffix = mask.spans().last().is_some_and(|span| span.end == length);
    if denoiser.pattern.is_suffix() && (spans, is_suffix) != (1, true) {
        return Err(format!("the noise of `{name}` is not one suffix"));
    }
    if noise == 0 {
        return Err(format!("the segment of `{name}` has no noise"));
    }
    if denoiser.pattern.is_of_labels() {
        return Ok(());
    }
    let (least, most) = (spec.min_segment(), spec.segment_length(index).tokens);
    if !(least..=most).contains(&length) {
        return Err(format!("the segment of `{name}` has {length} tokens, the spec allows {least} to {most}"));
    }
    let bounds = denoiser.pattern.bounds(length.into());
    let least = length - bounds.kept;
    if !(least..=bounds.noise).contains(&noise) {
        let expected = if least == bounds.noise { least.to_string() } else { format!("{least} to {}", bounds.noise) };
        return Err(format!("`{name}` makes {expected} of {length} tokens noise, the row has {noise}"));
    }
    let least = match &denoiser.pattern {
        NoisePattern::RandomSpans(law) if law.law == Law::T5 => law.counts(length).spans,
        NoisePattern::RandomSpans(_)
        | NoisePattern::IndependentTokens(_)
        | NoisePattern::Union(_)
        | NoisePattern::Suffix(Suffix { .. })
        | NoisePattern::Whole(_)
        | NoisePattern::Label(_)
        | NoisePattern::Separate(_)
        | NoisePattern::Permute(_)
        | NoisePattern::MultipleChoice(_) => 1,
    };
    if !(least..=bounds.spans).contains(&spans) {
        return Err(format!(
            "`{name}` makes {least} to {} of noise, the row has {spans}",
            exact(u64::from(bounds.spans), "span")
        ));
    }
    Ok(())
}
