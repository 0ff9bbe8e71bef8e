//! Decodes a row of a shard into its examples, and an example into tokens and mask.

use std::ops::Range;

use crate::denoise::{Causal, Decoded, IGNORED, Loss, Spec, decode, split_causal};
use crate::output::read::Rows;
use crate::output::schema::{Column, RowFormat};

/// What the columns of a data set allow to check.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "one for each group of laws")]
pub(crate) struct Reach {
    /// Examples can be told apart and turned into tokens and masks.
    pub(crate) decodes: bool,
    /// Examples have addresses.
    pub(crate) addresses: bool,
    /// The digest of rows can be computed.
    pub(crate) digests: bool,
    /// The ranges of ids of a packed row's examples are known.
    splits: bool,
    /// The columns missing for the first three.
    missing: [Vec<Column>; 3],
}

impl Reach {
    /// What rows of this format allow to check.
    #[must_use]
    pub(crate) fn new(spec: &Spec, format: &RowFormat) -> Self {
        let lacks = |column: &Column| !format.columns.contains(column);
        let mut ids = vec![Column::InputIds, Column::Labels];
        if format.packed {
            ids.push(Column::InputSegmentIds);
            ids.extend((!format.causal).then_some(Column::LabelSegmentIds));
        }
        // With a single denoiser the row need not name it, and the labels show how long a prefix without loss is.
        ids.extend((spec.denoisers().len() > 1).then_some(Column::Denoiser));
        ids.extend(spec.fields().causal.filter(|causal| causal.loss == Loss::All).map(|_| Column::PrefixLength));
        let mut addresses = vec![Column::Source, Column::Line, Column::Segment];
        let splits = !format.packed || !ids[2..].iter().any(|column| *column != Column::Denoiser && lacks(column));
        ids.retain(lacks);
        addresses.retain(lacks);
        let both = ids.iter().chain(&addresses).copied().collect::<Vec<_>>();
        Self {
            decodes: ids.is_empty(),
            addresses: addresses.is_empty(),
            digests: both.is_empty(),
            splits,
            missing: [ids, addresses, both],
        }
    }

    /// The columns that are missing to take examples apart.
    pub(crate) fn lacks_to_decode(&self) -> impl Iterator<Item = Column> {
        self.missing[0].iter().copied()
    }

    /// A line for each group of laws that cannot be checked.
    #[must_use]
    pub(crate) fn not_checked(&self) -> Vec<String> {
        let what = [
            "layout, tokens, lengths of segments, density and counts of examples",
            "order and uniqueness of rows",
            "digests of rows",
        ];
        let line = |(what, missing): (&str, &Vec<Column>)| {
            let names: Vec<String> = missing.iter().map(|column| format!("`{column}`")).collect();
            (!names.is_empty()).then(|| format!("{what}, since there is no column {}", names.join(", ")))
        };
        what.into_iter().zip(&self.missing).filter_map(line).collect()
    }
}

/// A decoded row.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    /// Its source.
    pub(crate) source: Option<&'a str>,
    /// Its epoch.
    pub(crate) epoch: Option<i32>,
    /// Ids of `input_ids` and of `labels`, without padding.
    pub(crate) lengths: (usize, usize),
    /// Its examples.
    pub(crate) examples: Vec<Example<'a>>,
}

/// An example as its row holds it; without ids if the columns do not say which ids belong to it.
#[derive(Debug)]
pub(crate) struct Example<'a> {
    /// Its denoiser in the spec.
    pub(crate) denoiser: Option<usize>,
    /// Its line.
    pub(crate) line: Option<i64>,
    /// Its segment.
    pub(crate) segment: Option<i32>,
    /// Given ids of a causal row.
    pub(crate) prefix_length: Option<u32>,
    /// Its part of `input_ids`.
    pub(crate) input_ids: &'a [i32],
    /// Its part of `labels`.
    pub(crate) labels: &'a [i32],
}

/// Decodes a row.
///
/// # Errors
///
/// The first law of ids, padding or packing that the row breaks.
pub(crate) fn take_apart<'a>(
    rows: &'a Rows,
    row: usize,
    spec: &Spec,
    format: &RowFormat,
    reach: &Reach,
) -> Result<Row<'a>, String> {
    let input_ids = rows.int32(Column::InputIds, row);
    let labels = rows.int32(Column::Labels, row);
    check_ids(Column::InputIds, input_ids, spec, |_| false)?;
    let ignores = format.padding.is_some() || spec.fields().causal.is_some_and(|causal| causal.loss == Loss::Targets);
    check_ids(Column::Labels, labels, spec, |id| ignores && id == IGNORED)?;
    let widths = check_widths(rows, row, input_ids, labels, format)?;
    let runs = ExampleRuns::new(rows, row, spec, format, (input_ids, labels))?;
    let lengths = runs.lengths(widths);
    check_padding(rows, row, format, lengths, runs.inputs.is_some() && runs.labels.is_some())?;
    let examples = examples(rows, row, format, runs.inputs.as_ref(), runs.labels.as_ref())?;
    let example = |place: usize| {
        let slice = |ids: Option<&'a [i32]>, runs: Option<&Vec<Range<usize>>>| match (ids, runs) {
            (Some(ids), Some(runs)) if reach.splits => ids.get(runs[place].clone()).unwrap_or_default(),
            _ => &[],
        };
        let (input_ids, labels) = (slice(input_ids, runs.inputs.as_ref()), slice(labels, runs.labels.as_ref()));
        Ok(Example {
            denoiser: denoiser(rows, row, place, spec)?,
            line: rows.int64(Column::Line, row).and_then(|lines| lines.get(place)).copied(),
            segment: rows.int32(Column::Segment, row).and_then(|segments| segments.get(place)).copied(),
            prefix_length: prefix_length(rows, row, place, spec, labels)?,
            input_ids,
            labels,
        })
    };
    Ok(Row {
        source: rows.text(Column::Source, row, 0),
        epoch: rows.int32(Column::Epoch, row).and_then(<[i32]>::first).copied(),
        lengths,
        examples: (0..examples).map(example).collect::<Result<_, String>>()?,
    })
}

/// Where the ids of each example are in a row, as far as that is known.
struct ExampleRuns {
    inputs: Option<Vec<Range<usize>>>,
    labels: Option<Vec<Range<usize>>>,
}

impl ExampleRuns {
    fn new(
        rows: &Rows,
        row: usize,
        spec: &Spec,
        format: &RowFormat,
        (input_ids, labels): (Option<&[i32]>, Option<&[i32]>),
    ) -> Result<Self, String> {
        if format.packed {
            let inputs = runs(rows, row, Column::InputSegmentIds, format.positions(), format)?;
            let labels = if format.causal {
                inputs.clone()
            } else {
                runs(rows, row, Column::LabelSegmentIds, Column::LabelPositions, format)?
            };
            return Ok(Self { inputs, labels });
        }
        let used = input_ids.zip(labels).map(|(inputs, labels)| used(inputs, labels, spec, format));
        let whole = |end: Option<usize>| end.map(|end| std::iter::once(0..end).collect());
        Ok(Self { inputs: whole(used.map(|used| used.0)), labels: whole(used.map(|used| used.1)) })
    }

    /// The numbers of ids of both sequences without padding; where that is not known, their widths.
    fn lengths(&self, widths: (usize, usize)) -> (usize, usize) {
        let end = |runs: &Option<Vec<Range<usize>>>, width: usize| {
            runs.as_ref().map_or(width, |runs| runs.last().map_or(0, |run| run.end))
        };
        (end(&self.inputs, widths.0), end(&self.labels, widths.1))
    }
}

/// The index of an example's denoiser in the spec, if the row says it or there is only one.
fn denoiser(rows: &Rows, row: usize, place: usize, spec: &Spec) -> Result<Option<usize>, String> {
    let Some(name) = rows.text(Column::Denoiser, row, place) else {
        return Ok((spec.denoisers().len() == 1).then_some(0));
    };
    let index = spec.denoisers().iter().position(|denoiser| denoiser.name == name);
    index.map(Some).ok_or_else(|| format!("the denoiser is {name:?}, the spec has none of that name"))
}

/// The number of given ids of a causal example, if the row says or shows it.
fn prefix_length(rows: &Rows, row: usize, place: usize, spec: &Spec, labels: &[i32]) -> Result<Option<u32>, String> {
    let stored = rows.int32(Column::PrefixLength, row).and_then(|lengths| lengths.get(place));
    match (stored, spec.fields().causal) {
        (Some(&length), _) => Ok(Some(u32::try_from(length).map_err(|_| format!("`prefix_length` is {length}"))?)),
        (None, Some(Causal { loss: Loss::Targets, .. })) => {
            Ok(u32::try_from(labels.iter().take_while(|label| **label == IGNORED).count()).ok())
        }
        (None, _) => Ok(None),
    }
}

/// Inputs and labels of an example, apart, even if its row is one sequence.
///
/// # Errors
///
/// The law of the layout that the row breaks.
pub(crate) fn sequences<'a>(example: &Example<'a>, spec: &Spec) -> Result<(&'a [i32], &'a [i32]), String> {
    match (spec.fields().causal, example.prefix_length) {
        (None, _) => Ok((example.input_ids, example.labels)),
        (Some(causal), Some(prefix)) => {
            split_causal(example.input_ids, example.labels, prefix, causal).map_err(|error| error.to_string())
        }
        (Some(_), None) => Err("the length of the prefix is not known".to_owned()),
    }
}

/// Tokens and mask of an example, if the columns are enough.
///
/// # Errors
///
/// The law of the layout that the row breaks.
pub(crate) fn tokens(example: &Example<'_>, spec: &Spec) -> Result<Decoded, String> {
    let denoiser = example.denoiser.ok_or("the denoiser is not known")?;
    let (inputs, labels) = sequences(example, spec)?;
    decode(inputs, labels, spec.form(denoiser)).map_err(|error| error.to_string())
}

fn check_ids(column: Column, ids: Option<&[i32]>, spec: &Spec, is_allowed: impl Fn(i32) -> bool) -> Result<(), String> {
    let size = spec.vocabulary().size();
    let is_id = |id: i32| u32::try_from(id).is_ok_and(|id| id < size);
    match ids.into_iter().flatten().position(|&id| !is_id(id) && !is_allowed(id)) {
        Some(place) => {
            let id = ids.unwrap_or_default()[place];
            Err(format!("`{column}` has {id} at {place}, the ids of the vocabulary are those below {size}"))
        }
        None => Ok(()),
    }
}

/// Checks the lengths of a row's two sequences, padding included: every list has one of them.
fn check_widths(
    rows: &Rows,
    row: usize,
    input_ids: Option<&[i32]>,
    labels: Option<&[i32]>,
    format: &RowFormat,
) -> Result<(usize, usize), String> {
    let of_inputs = [Column::InputIds, Column::AttentionMask, Column::InputSegmentIds, format.positions()];
    let of_labels = [Column::Labels, Column::LabelSegmentIds, Column::LabelPositions];
    let width = |ids: Option<&[i32]>, others: &[Column], padded: Option<usize>| {
        let some = padded.or(ids.map(<[i32]>::len));
        let some = some.or_else(|| others.iter().find_map(|column| rows.count(*column, row)));
        for column in others {
            match (some, rows.count(*column, row)) {
                (Some(expected), Some(found)) if expected != found => {
                    return Err(format!("`{column}` has {found} items, not {expected}"));
                }
                _ => {}
            }
        }
        Ok(some.unwrap_or_default())
    };
    let inputs = width(input_ids, &of_inputs, format.padding.map(|padding| padding.input_ids))?;
    let targets = width(labels, &of_labels, format.padding.map(|padding| padding.labels))?;
    if format.causal && input_ids.is_some() && labels.is_some() && inputs != targets {
        return Err(format!("`{}` has {targets} items, `{}` has {inputs}", Column::Labels, Column::InputIds));
    }
    Ok((inputs, targets))
}

/// The ranges of the examples in a packed row.
fn runs(
    rows: &Rows,
    row: usize,
    column: Column,
    positions: Column,
    format: &RowFormat,
) -> Result<Option<Vec<Range<usize>>>, String> {
    let Some(numbers) = rows.int32(column, row) else { return Ok(None) };
    let (mut runs, mut start) = (Vec::new(), 0);
    for (number, run) in (1..).zip(numbers.chunk_by(|a, b| a == b)) {
        if run[0] == 0 && format.padding.is_some() && start + run.len() == numbers.len() {
            break;
        }
        if run[0] != number {
            return Err(format!("`{column}` has {} at {start}, where example {number} begins", run[0]));
        }
        runs.push(start..start + run.len());
        start += run.len();
    }
    if let Some(found) = rows.int32(positions, row) {
        let expected = runs.iter().flat_map(|run| 0..run.len()).chain(std::iter::repeat(0));
        let wrong = |(found, expected): (&i32, usize)| usize::try_from(*found) != Ok(expected);
        if let Some(place) = found.iter().zip(expected).position(wrong) {
            return Err(format!("`{positions}` has {} at {place}", found[place]));
        }
    }
    Ok(Some(runs))
}

/// How many ids of an unpacked row's sequences are not padding.
fn used(inputs: &[i32], labels: &[i32], spec: &Spec, format: &RowFormat) -> (usize, usize) {
    let Some(padding) = format.padding else { return (inputs.len(), labels.len()) };
    // Every row ends with an id that has a loss.
    let labelled = labels.iter().rposition(|&label| label != IGNORED).map_or(0, |last| last + 1);
    if format.causal {
        return (labelled, labelled);
    }
    let used = inputs.iter().rposition(|&id| id != padding.pad).map_or(0, |last| last + 1);
    // EOS may be the pad as well.
    let ends_with_pad = spec.fields().eos.ends_inputs() && spec.vocabulary().eos() == spec.vocabulary().pad();
    (inputs.len().min(used + usize::from(ends_with_pad)), labelled)
}

/// Checks the ids after the examples, and the attention mask.
fn check_padding(
    rows: &Rows,
    row: usize,
    format: &RowFormat,
    (inputs, labels): (usize, usize),
    are_known: bool,
) -> Result<(), String> {
    if !are_known {
        return Ok(());
    }
    if let Some(mask) = rows.int32(Column::AttentionMask, row)
        && let Some(place) = (0..mask.len()).find(|&place| mask[place] != i32::from(place < inputs))
    {
        return Err(format!("`{}` has {} at {place}, the row has {inputs} ids", Column::AttentionMask, mask[place]));
    }
    let Some(padding) = format.padding else { return Ok(()) };
    let behind = [(Column::InputIds, inputs, padding.pad), (Column::Labels, labels, IGNORED)];
    for (column, used, pad) in behind {
        let ids = rows.int32(column, row).unwrap_or_default();
        if let Some(place) = (used..ids.len()).find(|&place| ids[place] != pad) {
            return Err(format!("`{column}` has {} at {place}, where {pad} fills the row", ids[place]));
        }
    }
    Ok(())
}

/// The number of a row's examples: every list of examples has the same length.
fn examples(
    rows: &Rows,
    row: usize,
    format: &RowFormat,
    of_inputs: Option<&Vec<Range<usize>>>,
    of_labels: Option<&Vec<Range<usize>>>,
) -> Result<usize, String> {
    if !format.packed {
        return Ok(1);
    }
    let items = |column: Column| rows.count(column, row).map(|count| (column, count));
    let of_lists =
        [Column::Denoiser, Column::Line, Column::Segment, Column::PrefixLength].into_iter().filter_map(items);
    let of_runs = [(Column::InputSegmentIds, of_inputs), (Column::LabelSegmentIds, of_labels)];
    let of_runs = of_runs.into_iter().filter_map(|(column, runs)| Some((column, runs?.len())));
    let counts: Vec<(Column, usize)> = of_runs.chain(of_lists).collect();
    let Some(&(first, count)) = counts.first() else { return Ok(0) };
    match counts.iter().find(|(_, other)| *other != count) {
        Some((column, other)) => Err(format!("`{column}` tells of {other} examples, `{first}` of {count}")),
        None if count == 0 => Err("has no example".to_owned()),
        None => Ok(count),
    }
}
