//! `stats`: the counts of a data set, as a table, as JSON or as a page.

use std::io::Read as _;
use std::ops::ControlFlow;
use std::path::Path;

use anyhow::Result;

use crate::cli::StatsArgs;
use crate::commands::shown_ids::Names;
use crate::denoise::Spec;
use crate::files::bounded;
use crate::inspect::{Choice, Filter, Found, InspectError, Inspection};
use crate::output::data_set::DataSet;
use crate::reading::{Described, parts};
use crate::report::examples::{Texts, head};
use crate::report::page::{self, RowShown};
use crate::settings::error::SettingsError;
use crate::stats::{self, Stats, Summary};
use crate::{report, settings};

pub(crate) fn execute_stats(args: &StatsArgs) -> Result<()> {
    let counted = Counted::new(args)?;
    if let Some(file) = &args.html {
        let page = counted.page()?;
        check_page(file)?;
        fs_err::write(file, page)?;
        if let Some(note) = &counted.note {
            report::message(&format!("note: {note}"));
        }
        report::message(&format!("the page is in `{}`", file.display()));
    }
    let text = if args.json {
        format!("{}\n", serde_json::to_string_pretty(&counted.summary)?)
    } else {
        report::stats::summary(&counted.summary)
    };
    Ok(report::data(&text)?)
}

/// The counts of a data set.
pub(crate) struct Counted {
    data_set: DataSet,
    described: Described,
    names: Names,
    /// Why the page shows no text.
    pub(crate) note: Option<String>,
    /// The counts.
    pub(crate) summary: Summary,
}

impl Counted {
    /// Counts all rows.
    ///
    /// # Errors
    ///
    /// If the folder holds no data set, rows cannot be read, the tokenizer is not the data set's, or the page would
    /// replace a file of the data set.
    pub(crate) fn new(args: &StatsArgs) -> Result<Self> {
        let StatsArgs { dir, html, tokenizer, workers, json: _ } = args;
        let pool = settings::pool(settings::workers(*workers)?)?;
        let (data_set, described) = settings::data_set::described(dir)?;
        // Report what is wrong with the page before reading all rows.
        let mut note = None;
        let names = match html.as_ref().map(|_| Names::of(&data_set, &described.spec, tokenizer.as_deref())) {
            None => Names::Ids,
            // A data set made on another machine is shown all the same.
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
    pub(crate) fn page(&self) -> Result<String> {
        let Self { data_set, described, names, summary, note: _ } = self;
        let spec = &described.spec;
        let text = |ids: &[u32]| names.shown(ids);
        let mut rows = Vec::new();
        // Searching for a row of a denoiser without rows would read all of them.
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

/// Refuses to replace a file that is not one of our pages. A pipe or a device is written to, and an empty file has
/// nothing to lose.
///
/// # Errors
///
/// [`SettingsError::ForeignFile`], or if the file cannot be read.
pub(crate) fn check_page(file: &Path) -> Result<()> {
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

/// Whether a file would be in a folder or below it.
fn is_below(file: &Path, folder: &Path) -> bool {
    let parent = file.parent().and_then(settings::data_set::canonical);
    parent.zip(settings::data_set::canonical(folder)).is_some_and(|(parent, folder)| parent.starts_with(folder))
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
