//! From the arguments of `inspect` and `stats` to rows and counts.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::cli::{InspectArgs, MaskingArgs, StatsArgs, Target};
use crate::commands::reproduce;
use crate::denoise::{Seed, Spec};
use crate::files::bounded;
use crate::files::private::Spool;
use crate::input::source::check_name;
use crate::inspect::line::{LineError, LineMasker};
use crate::inspect::{Choice, Filter, Found, InspectError, Inspection, ShardRows};
use crate::output::data_set::{DataSet, Fetched};
use crate::output::encoding::{Compression, TokenEncoding};
use crate::output::schema::RowFormat;
use crate::pipeline::estimate::{Estimate, Estimator};
use crate::reading::Described;
use crate::reading::decode::Reach;
use crate::recipe::{DEFAULT, nearest};
use crate::report::examples::{Style, Texts, head, json_line, row};
use crate::report::page::{self, RowShown};
use crate::report::parts;
use crate::settings::{self, Settings, SettingsError};
use crate::stats::{self, Stats, Summary};
use crate::store::Location;
use crate::tokenize::TokenizerPath;
use crate::tokenize::file::{BYTES, TokenizerFile};

/// Rows of a data set that are shown if nobody says how many.
const ROWS: u64 = 10;

/// Rows that are looked at.
pub struct Looking {
    target: What,
    spec: Spec,
    names: Names,
    filter: Filter,
    choice: Choice,
}

/// What ids mean.
enum Names {
    /// What a tokenizer's file says, or the embedded one's.
    Text(Option<TokenizerFile>),
    /// Nothing: their numbers.
    Ids,
}

impl Names {
    /// Those of a data set's tokenizer: the one named, or where the run had it.
    fn of(data_set: &DataSet, spec: &Spec, named: Option<&str>) -> Result<Self> {
        let inputs = reproduce::noted(data_set, named)?;
        Ok(Self::Text(reproduce::given_file(spec, named, inputs.as_ref())?))
    }

    fn shown(&self, ids: &[u32]) -> String {
        match self {
            Self::Text(file) => settings::names(file.as_ref()).shown(ids),
            Self::Ids => parts::numbers(ids),
        }
    }
}

enum What {
    DataSet {
        data_set: DataSet,
        described: Box<Described>,
    },
    /// The rows of a batch, in a file.
    Line {
        shard: Fetched,
        format: RowFormat,
        line: Line,
        _spool: Spool,
    },
}

/// A line, and what is said if it has no row.
struct Line {
    source_name: String,
    line: u64,
}

impl Looking {
    /// Opens a data set, or masks a line.
    ///
    /// # Errors
    ///
    /// If there is neither, or the flags are of the other.
    pub fn new(args: &InspectArgs) -> Result<Self> {
        let place = Location::parse(&args.target)?;
        let line = |line: &str| line.parse().ok().filter(|line| *line > 0);
        match (args.target.rsplit_once(':'), place.local()) {
            (_, Some(path)) if path.is_file() => Err(SettingsError::NoTarget(args.target.clone()).into()),
            (Some((source, number)), Some(path)) if !path.exists() => {
                let number = line(number).ok_or_else(|| SettingsError::NoTarget(args.target.clone()))?;
                args.refuse_for(Target::Line)?;
                Self::line(args, source, number)
            }
            // The colon of a scheme is followed by no number.
            (Some((source, number)), None) if let Some(number) = line(number) => {
                args.refuse_for(Target::Line)?;
                Self::line(args, source, number)
            }
            _ => {
                args.refuse_for(Target::DataSet)?;
                Self::data_set(args, &place)
            }
        }
    }

    fn data_set(args: &InspectArgs, dir: &Location) -> Result<Self> {
        let (data_set, described) = reproduce::described(dir)?;
        let spec = described.spec.clone();
        if let Some(name) = args.source.as_ref().filter(|name| !described.places.contains_key(*name)) {
            let near = nearest(name, described.places.keys().map(String::as_str)).map(str::to_owned);
            return Err(SettingsError::NoSource { name: name.clone(), near }.into());
        }
        let names = if args.ids { Names::Ids } else { Names::of(&data_set, &spec, args.tokenizer.as_deref())? };
        let lacking: Vec<String> =
            Reach::new(&spec, &described.format).lacks_to_decode().map(|column| column.to_string()).collect();
        if args.inline && !lacking.is_empty() {
            return Err(InspectError::NoColumn(lacking).into());
        }
        let filter = Filter {
            denoiser: denoiser(&spec, args.denoiser.as_deref())?,
            source: args.source.clone(),
            line: args.line,
            segment: args.segment,
            epoch: args.epoch,
            min_span: args.min_span,
        };
        let choice = match (args.sample, args.rows.unwrap_or(ROWS)) {
            (Some(rows), _) => Choice::Sample { rows, seed: Seed(args.spec.seed) },
            (None, 0) => Choice::All,
            (None, rows) => Choice::First(rows),
        };
        Ok(Self { target: What::DataSet { data_set, described: Box::new(described) }, spec, names, filter, choice })
    }

    fn line(args: &InspectArgs, source: &str, line: u64) -> Result<Self> {
        let tokenizer = args.tokenizer.as_deref().unwrap_or(BYTES);
        let settings = Settings::new(&MaskingArgs {
            sources: vec![source.to_owned()],
            tokenizer: Some(tokenizer.to_owned()),
            tokenizer_path: TokenizerPath::default(),
            spec: args.spec.clone(),
            recipe: args.recipe.clone().unwrap_or_else(|| DEFAULT.to_owned()),
            strict_sentinels: false,
            columns: None,
            encoding: TokenEncoding::default(),
            compression: Compression::default(),
            workers: Some(1),
            shard_size: u64::MAX,
            split: None,
            limits: args.limits,
        })?;
        let Settings { spec, format, tokenizer: made, mut sources, plan, limits, .. } = settings;
        anyhow::ensure!(sources.len() == 1, SettingsError::NoTarget(args.target.clone()));
        let mut source = sources.remove(0);
        if let Some(name) = &args.name {
            check_name(name)?;
            source.name.clone_from(name);
        }
        let epoch = args.epoch.unwrap_or_default();
        let epoch = u16::try_from(epoch).ok().with_context(|| format!("there is no epoch {epoch}"))?;
        let names = if args.ids { Names::Ids } else { Names::Text(settings::tokenizer_file(tokenizer)?) };
        let (sharing, options) = settings::shared(spec.clone(), format.clone(), made, &plan)?;
        let spool = Spool::new()?;
        let shard = spool.path().join("rows.parquet");
        let masker =
            LineMasker { shared: &sharing, options: &options, source: &source, limits, epoch, spool: spool.path() };
        masker.mask(line, &shard)?;
        let filter = Filter {
            denoiser: denoiser(&spec, args.denoiser.as_deref())?,
            line: Some(line),
            segment: args.segment,
            min_span: args.min_span,
            ..Filter::default()
        };
        let choice = args.rows.filter(|rows| *rows > 0).map_or(Choice::All, Choice::First);
        let line = Line { source_name: source.name, line };
        let shard = Fetched::at(shard);
        Ok(Self { target: What::Line { shard, format, line, _spool: spool }, spec, names, filter, choice })
    }

    /// Calls `visit` with the examples of each row.
    ///
    /// # Errors
    ///
    /// If rows cannot be read, or what `visit` says.
    pub fn visit(&self, visit: impl FnMut(Vec<Found>) -> Result<ControlFlow<()>>) -> Result<()> {
        match &self.target {
            What::DataSet { data_set, described } => {
                Inspection { data_set, described, filter: self.filter.clone() }.visit(self.choice, visit)
            }
            What::Line { shard, format, line: Line { source_name, line }, _spool: _ } => {
                let reach = Reach::new(&self.spec, format);
                let filter = &self.filter;
                let rows = ShardRows { file: shard, first: 0, spec: &self.spec, format, reach: &reach, filter };
                let mut visit = self.choice.limit(visit);
                let mut shown = 0;
                let _ = rows.each(None, &mut |mut found: Vec<Found>| {
                    // Their places in the batch say nothing.
                    for example in &mut found {
                        example.row = shown;
                    }
                    shown += 1;
                    visit(found)
                })?;
                let is_all =
                    self.filter.denoiser.is_none() && self.filter.segment.is_none() && self.filter.min_span.is_none();
                if shown > 0 || !is_all {
                    return Ok(());
                }
                Err(LineError::no_row(source_name, *line).into())
            }
        }
    }

    /// The examples of a row as they are printed.
    #[must_use]
    pub fn shown(&self, found: &[Found], json: bool, style: Style) -> String {
        let text = |ids: &[u32]| self.names.shown(ids);
        if json {
            found.iter().map(|example| json_line(example, &self.spec, &text)).collect()
        } else {
            row(found, &self.spec, &text, style)
        }
    }
}

/// What a run with these settings would make, from a sample, and the spec.
///
/// # Errors
///
/// If a source cannot be read, or rows cannot be made.
pub fn estimate(settings: Settings) -> Result<(Spec, Estimate)> {
    let Settings { spec, format, tokenizer, sources, plan, cutting: _, workers, limits, .. } = settings;
    let (sharing, _) = settings::shared(spec.clone(), format, tokenizer, &plan)?;
    let (pool, spool) = (settings::pool(workers)?, Spool::new()?);
    let estimator = Estimator { shared: &sharing, limits, spool: spool.path() };
    Ok((spec, estimator.estimate(&sources, &pool)?))
}

/// The place of a denoiser in a spec.
fn denoiser(spec: &Spec, name: Option<&str>) -> Result<Option<usize>> {
    let Some(name) = name else { return Ok(None) };
    let place = spec.denoisers().iter().position(|denoiser| denoiser.name == name);
    let names = || spec.denoisers().iter().map(|denoiser| denoiser.name.as_str());
    let known = || match nearest(name, names()) {
        Some(near) => near.to_owned(),
        None => names().collect::<Vec<_>>().join("`, `"),
    };
    place.map(Some).ok_or_else(|| SettingsError::NoDenoiser { name: name.to_owned(), known: known() }.into())
}

/// A data set whose rows are counted.
pub struct Counted {
    data_set: DataSet,
    described: Described,
    names: Names,
    /// Why the page shows no text.
    pub note: Option<String>,
    /// What was counted.
    pub summary: Summary,
}

impl Counted {
    /// Counts all rows.
    ///
    /// # Errors
    ///
    /// If it is no data set, or rows cannot be read; if the tokenizer is another than its own, or the page would be a file of it.
    pub fn new(args: &StatsArgs) -> Result<Self> {
        let StatsArgs { dir, html, tokenizer, workers, json: _ } = args;
        let pool = settings::pool(settings::workers(*workers)?)?;
        let (data_set, described) = reproduce::described(dir)?;
        // What is wrong with the page is said before all rows are read.
        let mut note = None;
        let names = match html.as_ref().map(|_| Names::of(&data_set, &described.spec, tokenizer.as_deref())) {
            None => Names::Ids,
            // What was made elsewhere is shown all the same.
            Some(Err(error)) if tokenizer.is_none() => {
                note = Some(format!("the page shows ids: {error:#}"));
                Names::Ids
            }
            Some(names) => names?,
        };
        if let Some(page) = html.as_ref().filter(|page| dir.local().is_some_and(|dir| is_below(page, dir))) {
            return Err(SettingsError::InDataSet(page.display().to_string()).into());
        }
        html.as_deref().map_or(Ok(()), check_page)?;
        let stats: stats::Stats = Stats::count(&data_set, &described, &pool)?;
        let summary = Summary::new(&described, &stats);
        Ok(Self { data_set, described, names, note, summary })
    }

    /// The page, with the first row of each denoiser.
    ///
    /// # Errors
    ///
    /// If rows cannot be read.
    pub fn page(&self) -> Result<String> {
        let Self { data_set, described, names, summary, note: _ } = self;
        let spec = &described.spec;
        let text = |ids: &[u32]| names.shown(ids);
        let mut rows = Vec::new();
        // To find no row of a denoiser would take all of them.
        for index in (0..summary.denoisers.len()).filter(|&index| summary.denoisers[index].examples > 0) {
            let filter = Filter { denoiser: Some(index), ..Filter::default() };
            let inspection = Inspection { data_set, described, filter };
            inspection.visit(Choice::First(1), |found| {
                rows.extend(found.first().map(|found| row_shown(found, spec, &text)));
                Ok::<_, InspectError>(ControlFlow::Continue(()))
            })?;
        }
        Ok(page::page(&described.manifest, summary, &rows))
    }
}

/// Refuses to replace a file that is not a page of ours. A pipe or a device is written to, and an empty file has nothing to lose.
///
/// # Errors
///
/// [`SettingsError::ForeignFile`], or if the file cannot be read.
pub fn check_page(file: &Path) -> Result<()> {
    if !fs_err::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.len() > 0) {
        return Ok(());
    }
    let mut beginning = Vec::new();
    bounded::open(file)?.take(page::BEGINNING.len() as u64).read_to_end(&mut beginning)?;
    if beginning == page::BEGINNING.as_bytes() {
        return Ok(());
    }
    Err(SettingsError::ForeignFile(file.display().to_string()).into())
}

/// Whether a file would stand in a folder or below it.
fn is_below(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().and_then(reproduce::canonical);
    parent.zip(reproduce::canonical(folder)).is_some_and(|(parent, folder)| parent.starts_with(folder))
}

fn row_shown(found: &Found, spec: &Spec, text: parts::Text<'_>) -> RowShown {
    let texts = Texts { found, spec, shown: text };
    RowShown {
        denoiser: found.denoiser.map(|index| spec.denoisers()[index].name.clone()).unwrap_or_default(),
        place: head(found, spec),
        text: texts.segment().unwrap_or_default(),
        inputs: texts.inputs(),
        labels: texts.labels(),
    }
}
