//! `verify`: checks that a data set keeps its laws.

use anyhow::Result;

use crate::cli::VerifyArgs;
use crate::commands::exit::{EXIT_DATA, EXIT_DONE};
use crate::files::private::Spool;
use crate::input::source::discover;
use crate::output::data_set::{MANIFEST, PRIVATE};
use crate::pipeline::memory;
use crate::reading::Described;
use crate::settings::data_set::{OtherLibrary, existing, given_tokenizer, is_there, noted, planned};
use crate::settings::error::SettingsError;
use crate::verify::findings::Report;
use crate::verify::recomputation::{Again, RowsAgain};
use crate::verify::{Opened, verify as verify_data_set};
use crate::{report, settings};

pub(crate) fn execute_verify(args: &VerifyArgs) -> Result<u8> {
    let found = verify(args)?;
    report::data(&report::verification::verification(&found))?;
    Ok(if found.count() == 0 { EXIT_DONE } else { EXIT_DATA })
}

/// Runs the checks of `verify`.
///
/// # Errors
///
/// If the folder, a source or the tokenizer cannot be used.
pub(crate) fn verify(args: &VerifyArgs) -> Result<Report> {
    let VerifyArgs { dir, sources, tokenizer, reproduce, workers, limits } = args;
    let workers = settings::workers(*workers)?;
    let data_set = existing(dir)?;
    if !is_there(&data_set, MANIFEST)? && !data_set.has_folder(PRIVATE)? {
        return Err(SettingsError::NoDataSet(dir.to_string()).into());
    }
    let opened = Opened::new(data_set);
    let pool = settings::pool(workers)?;
    let (Some(described), false) = (opened.described(), sources.is_empty()) else {
        let mut report = verify_data_set(opened, None, &pool);
        if !sources.is_empty() {
            report.not_checked.push("the sources, since the manifest cannot be read".to_owned());
        }
        return Ok(report);
    };
    let Described { manifest, spec, format, places: _ } = described;
    let inputs = noted(opened.data_set(), tokenizer.as_deref())?;
    let (tokenizer, other_library) = given_tokenizer(spec, tokenizer.as_deref(), inputs.as_ref())?;
    let sources = discover(sources)?.sources;
    let plan = planned(manifest, spec);
    let (shared, options) =
        settings::masking::shared(spec.clone(), format.clone(), tokenizer, plan.pages(), plan.shard_bytes)?;
    let spool = Spool::new()?;
    let rows = match reproduce {
        None => RowsAgain::None,
        Some(None) => RowsAgain::All,
        Some(Some(batches)) => RowsAgain::Sample(*batches),
    };
    let again = Again {
        shared: &shared,
        options: &options,
        sources,
        rows,
        spool: spool.path().to_owned(),
        permits: memory::permits(workers),
        limits: limits.limits(),
    };
    let mut report = verify_data_set(opened, Some(&again), &pool);
    report.not_checked.extend(other_library.map(|OtherLibrary { recorded, given }| {
        format!("that ids are the same: the data set was made with {recorded}, this tool has {given}")
    }));
    Ok(report)
}
