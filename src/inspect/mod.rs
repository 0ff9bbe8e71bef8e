//! Picks rows of a data set and decodes them for display (`docs/reference/inspect.md`).

pub(crate) mod line;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use crate::denoise::{Address, DataSplit, Decoded, Seed, Spec};
use crate::guidance::{Class, Guidance};
use crate::output::commit::ShardFile;
use crate::output::data_set::DataSet;
use crate::output::fetched::Fetched;
use crate::output::schema::{Column, RowFormat};
use crate::reading::Described;
use crate::reading::decode::{self, Example, Reach, Row};
use crate::reading::shard::{RowReader, RowsError, fetch};

/// Selects rows. Each field that is set must match.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    /// Rows of this denoiser of the spec.
    pub(crate) denoiser: Option<usize>,
    /// Rows of this source.
    pub(crate) source: Option<String>,
    /// Rows of this line.
    pub(crate) line: Option<u64>,
    /// Rows of this segment.
    pub(crate) segment: Option<u32>,
    /// Rows of this epoch.
    pub(crate) epoch: Option<u32>,
    /// Rows of this split.
    pub(crate) split: Option<DataSplit>,
    /// Rows with a noise span of at least this many tokens.
    pub(crate) min_span: Option<u32>,
}

/// How many of the matching rows to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// All rows.
    All,
    /// The first rows.
    First(u64),
    /// Random rows.
    Sample {
        /// How many.
        rows: u64,
        /// The seed of the sample.
        seed: Seed,
    },
}

/// An example of a row.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// 0-based row of the data set.
    pub(crate) row: u64,
    /// 0-based index in the row, and the row's number of examples.
    pub(crate) example: (usize, usize),
    /// Name of its source, if there is a column for it; the same for the fields below.
    pub(crate) source: Option<String>,
    /// 1-based line.
    pub(crate) line: Option<i64>,
    /// 0-based segment.
    pub(crate) segment: Option<i32>,
    /// 0-based epoch.
    pub(crate) epoch: Option<i32>,
    /// Its split, if the spec has documents for validation.
    pub(crate) split: Option<DataSplit>,
    /// Its denoiser in the spec.
    pub(crate) denoiser: Option<usize>,
    /// Input ids: the prefix of a causal row.
    pub(crate) inputs: Vec<i32>,
    /// Target ids.
    pub(crate) targets: Vec<i32>,
    /// Tokens and mask, or the law that the row breaks.
    pub(crate) decoded: Result<Decoded, String>,
}

/// Why rows cannot be shown.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectError {
    /// Rows that cannot be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// Rows without the ids, or without the columns that tell examples apart.
    #[error("the data set has no column `{}`", .0.join("`, `"))]
    NoColumn(Vec<String>),
}

impl Guidance for InspectError {
    fn class(&self) -> Option<Class> {
        match self {
            Self::Rows(error) => error.class(),
            Self::NoColumn(_) => Some(Class::Usage),
        }
    }
}

impl Choice {
    /// Stops after the last wanted row, if only the first ones are wanted.
    pub(crate) fn limit<E>(
        self,
        mut visit: impl FnMut(Vec<Found>) -> Result<ControlFlow<()>, E>,
    ) -> impl FnMut(Vec<Found>) -> Result<ControlFlow<()>, E> {
        let mut left = match self {
            Self::First(rows) => rows,
            Self::All | Self::Sample { .. } => u64::MAX,
        };
        move |found| {
            left -= 1;
            let flow = visit(found)?;
            Ok(if left == 0 { ControlFlow::Break(()) } else { flow })
        }
    }
}

impl Filter {
    /// The columns that the filter needs.
    fn columns(&self) -> Vec<Column> {
        let asked = [
            (self.source.is_some(), Column::Source),
            (self.line.is_some(), Column::Line),
            (self.segment.is_some(), Column::Segment),
            (self.epoch.is_some(), Column::Epoch),
        ];
        asked.into_iter().filter(|(is_asked, _)| *is_asked).map(|(_, column)| column).collect()
    }

    fn is_empty(&self) -> bool {
        let Self { denoiser, source, line, segment, epoch, split, min_span } = self;
        denoiser.is_none()
            && source.is_none()
            && line.is_none()
            && segment.is_none()
            && epoch.is_none()
            && split.is_none()
            && min_span.is_none()
    }

    /// Whether an example's columns match; its tokens are not needed.
    fn is_of(&self, row: &Row<'_>, example: &Example<'_>) -> bool {
        fn is<T: PartialEq + Copy>(wanted: Option<T>, found: Option<T>) -> bool {
            wanted.is_none() || wanted == found
        }
        is(self.denoiser, example.denoiser)
            && is(self.source.as_deref(), row.source)
            && is(self.line, example.line.and_then(|line| u64::try_from(line).ok()))
            && is(self.segment, example.segment.and_then(|segment| u32::try_from(segment).ok()))
            && is(self.epoch, row.epoch.and_then(|epoch| u32::try_from(epoch).ok()))
    }

    /// Whether its spans are long enough.
    fn has_span(&self, decoded: &Result<Decoded, String>) -> bool {
        let spans = decoded.as_ref().map(|decoded| decoded.mask.spans()).unwrap_or_default();
        let longest = || spans.iter().map(|span| span.len()).max().unwrap_or_default();
        self.min_span.is_none_or(|least| longest() >= least)
    }
}

/// Selected rows of a data set.
pub(crate) struct Inspection<'a> {
    /// The data set.
    pub(crate) data_set: &'a DataSet,
    /// Its manifest.
    pub(crate) described: &'a Described,
    /// Which rows.
    pub(crate) filter: Filter,
}

impl Inspection<'_> {
    /// Calls `visit` with the examples of each matching row, in order, until it breaks off.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if rows cannot be read or lack what is asked for, or the error that `visit` returns.
    pub(crate) fn visit<E: From<InspectError>>(
        &self,
        choice: Choice,
        visit: impl FnMut(Vec<Found>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let rows = match choice {
            Choice::First(0) => return Ok(()),
            Choice::All | Choice::First(_) => None,
            Choice::Sample { rows, seed } => Some(self.sample(rows, seed)?),
        };
        self.each(rows.as_ref(), choice.limit(visit))
    }

    /// The numbers of random rows.
    fn sample(&self, rows: u64, seed: Seed) -> Result<BTreeSet<u64>, InspectError> {
        let total = self.described.manifest.totals.sources.rows;
        let key = seed.denoise_key("sample", "inspect");
        let address = |line| Address { line, epoch: 0, segment: 0 };
        if self.filter.is_empty() {
            let mut stream = key.stream(address(0));
            let mut picked = BTreeSet::new();
            while (picked.len() as u64) < rows.min(total) {
                // With at most 2^40 rows, no row is preferred by more than 2^-24.
                picked.insert((u64::from(stream.word()) << 32 | u64::from(stream.word())) % total);
            }
            return Ok(picked);
        }
        // The rows with the smallest words.
        let mut picked = BTreeSet::new();
        self.each(None, |found| {
            let Some(Found { row, .. }) = found.first() else { return Ok(ControlFlow::Continue(())) };
            let mut stream = key.stream(address(1 + row));
            picked.insert((u64::from(stream.word()) << 32 | u64::from(stream.word()), *row));
            if picked.len() as u64 > rows {
                picked.pop_last();
            }
            Ok::<_, InspectError>(ControlFlow::Continue(()))
        })?;
        Ok(picked.into_iter().map(|(_, row)| row).collect())
    }

    /// Calls `visit` with the matching examples of each row that has some; only of `rows`, if they are given.
    fn each<E: From<InspectError>>(
        &self,
        rows: Option<&BTreeSet<u64>>,
        mut visit: impl FnMut(Vec<Found>) -> Result<ControlFlow<()>, E>,
    ) -> Result<(), E> {
        let reach = self.reach()?;
        let mut first = 0;
        for file in &self.described.manifest.shards {
            let end = first + file.rows;
            let is_wanted = rows.is_none_or(|rows| rows.range(first..end).next().is_some());
            if is_wanted && self.may_hold(file) {
                let fetched = fetch(self.data_set, &file.path).map_err(InspectError::from)?;
                let shard = ShardRows {
                    file: &fetched,
                    first,
                    split: file.split().filter(|_| self.described.spec.fields().validation.is_some()),
                    spec: &self.described.spec,
                    format: &self.described.format,
                    reach: &reach,
                    filter: &self.filter,
                };
                if shard.each(rows, &mut visit)?.is_break() {
                    return Ok(());
                }
            }
            first = end;
        }
        Ok(())
    }

    /// What the columns allow to check, if that is enough.
    fn reach(&self) -> Result<Reach, InspectError> {
        let Described { spec, format, .. } = self.described;
        let missing = |columns: Vec<Column>| -> Vec<String> {
            let lacks = |column: &Column| !format.columns.contains(column);
            columns.into_iter().filter(lacks).map(|column| column.to_string()).collect()
        };
        let reach = Reach::new(spec, format);
        let mut lacks = missing(self.filter.columns());
        lacks.extend(missing(vec![Column::InputIds, Column::Labels]));
        if format.packed || self.filter.denoiser.is_some() || self.filter.min_span.is_some() {
            lacks.extend(reach.lacks_to_decode().map(|column| column.to_string()));
        }
        let mut seen = BTreeSet::new();
        lacks.retain(|column| seen.insert(column.clone()));
        if lacks.is_empty() { Ok(reach) } else { Err(InspectError::NoColumn(lacks)) }
    }

    /// Whether a shard may have matching rows, judging by its unit.
    fn may_hold(&self, file: &ShardFile) -> bool {
        let Some((split, unit)) = file.split().zip(file.unit()) else { return true };
        let unit = self.described.manifest.plan.units[unit];
        let source = self.filter.source.as_ref().and_then(|name| self.described.places.get(name));
        source.is_none_or(|place| unit.range().contains(place))
            && self.filter.epoch.is_none_or(|epoch| epoch == unit.epoch)
            && self.filter.split.is_none_or(|wanted| wanted == split)
    }
}

/// A shard whose rows are read.
pub(crate) struct ShardRows<'a> {
    /// The shard.
    pub(crate) file: &'a Fetched,
    /// Number of its first row in the data set.
    pub(crate) first: u64,
    /// The split of its rows, if the spec has documents for validation.
    pub(crate) split: Option<DataSplit>,
    /// The spec of its rows.
    pub(crate) spec: &'a Spec,
    /// The format of its rows.
    pub(crate) format: &'a RowFormat,
    /// What its columns allow to check.
    pub(crate) reach: &'a Reach,
    /// The filter.
    pub(crate) filter: &'a Filter,
}

impl ShardRows<'_> {
    /// Calls `visit` with the matching examples of each row that has some; only of `rows`, if they are given.
    ///
    /// # Errors
    ///
    /// [`InspectError`] if the shard cannot be read, or the error that `visit` returns.
    pub(crate) fn each<E: From<InspectError>>(
        &self,
        rows: Option<&BTreeSet<u64>>,
        visit: &mut impl FnMut(Vec<Found>) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let reader = RowReader::open(self.file, self.spec, self.format, self.reach).map_err(InspectError::from)?;
        let mut first = self.first;
        for (row_group, count) in reader.row_groups().into_iter().enumerate() {
            let end = first + count;
            if rows.is_none_or(|rows| rows.range(first..end).next().is_some()) {
                let mut look = |row, apart: &Row<'_>| {
                    let found =
                        if rows.is_none_or(|rows| rows.contains(&row)) { self.examples(row, apart) } else { vec![] };
                    if found.is_empty() { Ok(ControlFlow::Continue(())) } else { visit(found).map_err(Stopped::Visit) }
                };
                if reader.visit(row_group, first, &mut look).map_err(Stopped::into_error)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            first = end;
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The matching examples of a row.
    fn examples(&self, row: u64, apart: &Row<'_>) -> Vec<Found> {
        let examples = apart.examples.len();
        let wanted = |(_, example): &(usize, &Example<'_>)| self.filter.is_of(apart, example);
        let found = |(index, example): (usize, &Example<'_>)| {
            let decoded = decode::tokens(example, self.spec);
            let whole = (example.input_ids, example.labels);
            let (inputs, targets) = decode::sequences(example, self.spec).unwrap_or(whole);
            self.filter.has_span(&decoded).then(|| Found {
                row,
                example: (index, examples),
                source: apart.source.map(str::to_owned),
                line: example.line,
                segment: example.segment,
                epoch: apart.epoch,
                split: self.split,
                denoiser: example.denoiser,
                inputs: inputs.to_vec(),
                targets: targets.to_vec(),
                decoded,
            })
        };
        apart.examples.iter().enumerate().filter(wanted).filter_map(found).collect()
    }
}

/// Why reading stopped: an error of the rows, or of the visitor.
enum Stopped<E> {
    Rows(RowsError),
    Visit(E),
}

impl<E> From<RowsError> for Stopped<E> {
    fn from(error: RowsError) -> Self {
        Self::Rows(error)
    }
}

impl<E: From<InspectError>> Stopped<E> {
    fn into_error(self) -> E {
        match self {
            Self::Rows(error) => InspectError::from(error).into(),
            Self::Visit(error) => error,
        }
    }
}
