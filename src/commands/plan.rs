//! `plan`: what a run would do and make, and a stored plan for many machines.

use anyhow::Result;

use crate::cli::PlanArgs;
use crate::cli::values::SourceSplit;
use crate::commands::earlier_runs::{REPLACED, is_covered};
use crate::commands::stored_plan;
use crate::denoise::Spec;
use crate::files::private::Spool;
use crate::output::data_set::PLAN;
use crate::pipeline::estimate::{Estimate, Estimator};
use crate::plan::chain::{Earlier, Extend, Plans};
use crate::report;
use crate::settings::masking::Masking;
use crate::settings::{self, Settings};
use crate::tokenize::file::BYTES;

pub(crate) fn execute_plan(args: &PlanArgs) -> Result<()> {
    let mut masking = args.masking.clone();
    if args.write {
        masking.split.get_or_insert(SourceSplit::OF_PLANS);
    }
    let mut settings = Settings::new(&masking)?;
    // A stored plan needs its sources where they were.
    let earlier = if args.write { Earlier::Stays } else { Earlier::GivesWay };
    let extend = args.extend.then_some(Extend { cutting: settings.cutting, earlier });
    let goes_on = match &args.out {
        None => {
            settings::check_patterns(&settings.plan, &settings.masking.spec, Some(&settings.left_out))?;
            false
        }
        Some(out) => {
            let data_set = settings::data_set::data_set(out)?;
            if !args.extend && is_covered(&settings, out)? {
                return Ok(());
            }
            let is_begun = data_set.read(PLAN)?.is_some();
            let plans = Plans::resolve(&data_set, settings.plan.clone(), extend)?;
            let left_out = (!args.extend).then_some(settings.left_out.as_slice());
            settings::check_patterns(plans.whole(), &settings.masking.spec, left_out)?;
            if !args.write {
                plans.sources(settings.sources.clone(), &data_set)?;
            }
            let goes_on = is_begun && !plans.replace_all();
            if args.write && is_begun && !goes_on {
                report::message(REPLACED);
            }
            if goes_on {
                // The stored units are the ones to make, however the sources would be cut now.
                settings.plan.units.clone_from(&plans.whole().units);
            }
            goes_on
        }
    };
    let mut text = report::plan::plan(&settings);
    if goes_on {
        text += "\na run with these settings resumes the data set in the folder\n";
    }
    // Print what is known at once, before the sample, which takes a second.
    report::data(&text)?;
    if let Some(out) = args.out.as_ref().filter(|_| args.write) {
        let tokenizer = masking.tokenizer.as_deref().unwrap_or(BYTES);
        let units = stored_plan::write(settings, out, tokenizer, args.extend, &args.card.fields())?;
        return Ok(report::data(&report::units::written(&out.to_string(), units))?);
    }
    if args.no_estimate {
        return Ok(());
    }
    let workers = settings.masking.workers;
    let (spec, estimate) = estimate(settings)?;
    Ok(report::data(&report::estimate::estimate(&estimate, &spec, workers))?)
}

/// Estimates from a sample what a run with these settings would make; returns the spec as well.
///
/// # Errors
///
/// If a source cannot be read, or rows cannot be made.
pub(crate) fn estimate(settings: Settings) -> Result<(Spec, Estimate)> {
    let Settings { masking, sources, plan, .. } = settings;
    let Masking { spec, format, tokenizer, workers, limits, .. } = masking;
    let (sharing, _) = settings::masking::shared(spec.clone(), format, tokenizer, plan.pages(), plan.shard_bytes)?;
    let (pool, spool) = (settings::pool(workers)?, Spool::new()?);
    let estimator = Estimator { shared: &sharing, limits, spool: spool.path() };
    Ok((spec, estimator.estimate(&sources, &pool)?))
}
