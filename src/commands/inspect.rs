//! Turns the arguments of `inspect` and `stats` into rows and counts.

use std::ops::ControlFlow;

use anyhow::{Context as _, Result};

use crate::cli::inspect::{InspectArgs, Target};
use crate::commands::shown_ids::{Names, denoiser};
use crate::denoise::{Seed, Spec};
use crate::files::private::Spool;
use crate::input::source::{check_name, discover};
use crate::inspect::line::{LineError, LineMasker};
use crate::inspect::{Choice, Filter, Found, InspectError, Inspection, ShardRows};
use crate::output::data_set::DataSet;
use crate::output::encoding::PageFormat;
use crate::output::fetched::Fetched;
use crate::output::schema::RowFormat;
use crate::reading::Described;
use crate::reading::decode::Reach;
use crate::recipe::{DEFAULT, Recipe, nearest};
use crate::report;
use crate::report::examples::{json_line, row};
use crate::report::terminal::Style;
use crate::settings;
use crate::settings::error::SettingsError;
use crate::settings::masking::shared;
use crate::settings::spec::resolve;
use crate::settings::tokenizer::tokenizer_file;
use crate::store::Location;
use crate::tokenize::TokenizerPath;
use crate::tokenize::file::BYTES;

/// The number of rows of a data set to show by default.
const ROWS: u64 = 10;

/// The rows to look at.
pub(crate) struct Looking {
    target: What,
    spec: Spec,
    names: Names,
    filter: Filter,
    choice: Choice,
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

/// A line, and the message for a line without a row.
struct Line {
    source_name: String,
    line: u64,
}

impl Looking {
    /// Opens a data set, or masks a line.
    ///
    /// # Errors
    ///
    /// If the arguments name neither, or a flag belongs to the other one.
    pub(crate) fn new(args: &InspectArgs) -> Result<Self> {
        let place = Location::parse(&args.target)?;
        let line = |line: &str| line.parse().ok().filter(|line| *line > 0);
        match (args.target.rsplit_once(':'), place.local()) {
            (_, Some(path)) if path.is_file() => Err(SettingsError::NoTarget(args.target.clone()).into()),
            (Some((source, number)), Some(path)) if !path.exists() => {
                let number = line(number).ok_or_else(|| SettingsError::NoTarget(args.target.clone()))?;
                args.refuse_for(Target::Line)?;
                Self::line(args, source, number)
            }
            // No number follows the colon of a URL scheme.
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
        let (data_set, described) = settings::data_set::described(dir)?;
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
            split: args.split,
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
        let recipe = Recipe::find(args.recipe.as_deref().unwrap_or(DEFAULT))?;
        let file = tokenizer_file(args.tokenizer.as_deref().unwrap_or(BYTES))?;
        let spec = resolve(&recipe, file.names(), &args.spec)?;
        let format = RowFormat::new(&spec, None)?;
        let mut sources = discover(&[source.to_owned()])?.sources;
        anyhow::ensure!(sources.len() == 1, SettingsError::NoTarget(args.target.clone()));
        let mut source = sources.remove(0);
        if let Some(name) = &args.name {
            check_name(name)?;
            source.name.clone_from(name);
        }
        let epoch = args.epoch.unwrap_or_default();
        let epoch = u16::try_from(epoch).ok().with_context(|| format!("there is no epoch {epoch}"))?;
        let tokenizer = file.tokenizer(spec.vocabulary().clone(), TokenizerPath::Auto);
        let (sharing, options) = shared(spec.clone(), format.clone(), tokenizer, PageFormat::default(), u64::MAX)?;
        let spool = Spool::new()?;
        let shard = spool.path().join("rows.parquet");
        let masker = LineMasker {
            shared: &sharing,
            options: &options,
            source: &source,
            limits: args.limits.limits(),
            epoch,
            spool: spool.path(),
        };
        masker.mask(line, &shard)?;
        let names = if args.ids { Names::Ids } else { Names::Text(file) };
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
    /// If rows cannot be read, or the error that `visit` returns.
    pub(crate) fn visit(&self, visit: impl FnMut(Vec<Found>) -> Result<ControlFlow<()>>) -> Result<()> {
        match &self.target {
            What::DataSet { data_set, described } => {
                Inspection { data_set, described, filter: self.filter.clone() }.visit(self.choice, visit)
            }
            What::Line { shard, format, line: Line { source_name, line }, _spool: _ } => {
                let reach = Reach::new(&self.spec, format);
                let filter = &self.filter;
                let split =
                    self.spec.fields().validation.is_some().then(|| self.spec.source_split(source_name).of(*line));
                let rows = ShardRows { file: shard, first: 0, split, spec: &self.spec, format, reach: &reach, filter };
                let mut visit = self.choice.limit(visit);
                let mut shown = 0;
                let _ = rows.each(None, &mut |mut found: Vec<Found>| {
                    // Their places in the batch have no meaning here.
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
    pub(crate) fn shown(&self, found: &[Found], json: bool, style: Style) -> String {
        let text = |ids: &[u32]| self.names.shown(ids);
        if json {
            found.iter().map(|example| json_line(example, &self.spec, &text)).collect()
        } else {
            row(found, &self.spec, &text, style)
        }
    }
}

pub(crate) fn execute_inspect(args: &InspectArgs) -> Result<()> {
    let looking = Looking::new(args)?;
    let style = report::terminal::style(args.color, args.width, args.inline);
    let mut none = true;
    looking.visit(|found| {
        let gap = if none || args.json { "" } else { "\n" };
        none = false;
        Ok(report::part_of_data(&format!("{gap}{}", looking.shown(&found, args.json, style)))?)
    })?;
    if none {
        report::message("no row matches");
    }
    Ok(())
}
