//! Turns a manifest back into the settings that made it: for `verify` with sources, and for `reproduce`.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::ReproduceArgs;
use crate::commands::exit::{EXIT_DATA, EXIT_DONE, Failure};
use crate::commands::signals::interruption;
use crate::input::batch::BLOCK_BYTES;
use crate::input::source::{Source, discover, named};
use crate::json::difference::differences;
use crate::output::data_set::DataSet;
use crate::output::manifest::{Manifest, SourceEntry};
use crate::pipeline::error::RunError;
use crate::pipeline::reject_limit::MaxRejects;
use crate::pipeline::run::run;
use crate::plan::Plan;
use crate::plan::chain::Plans;
use crate::plan::inputs::tokenizer_place;
use crate::reading::Described;
use crate::reading::manifest::{ManifestError, read};
use crate::settings::data_set::{OtherLibrary, canonical, given_tokenizer, manifest_file, noted, planned};
use crate::settings::error::SettingsError;
use crate::settings::masking::Masking;
use crate::store::Location;
use crate::{report, settings};

/// The rejects of a data set were allowed when it was made.
pub(crate) const ALL_REJECTS: MaxRejects = MaxRejects::ALL;

/// A data set that can be made again.
pub(crate) struct Begun {
    /// The contents of its manifest.
    pub(crate) described: Described,
    /// How it was masked.
    pub(crate) masking: Masking,
    /// The plan that its manifest describes.
    pub(crate) plan: Plan,
    /// Its sources, in the plan's order.
    pub(crate) sources: Vec<Source>,
    /// Warnings before the run.
    pub(crate) warnings: Vec<String>,
}

/// Prepares to make a data set again, or returns the differences that are already known.
///
/// # Errors
///
/// If the manifest, a source, the tokenizer or the folder cannot be used at all.
pub(crate) fn begin(args: &ReproduceArgs) -> Result<Result<Begun, Vec<String>>> {
    let ReproduceArgs { manifest, sources, out, tokenizer, workers, limits, quiet: _ } = args;
    let (path, bytes) = manifest_file(manifest)?;
    if same_folder(path.parent(), out) {
        return Err(SettingsError::SameFolder(out.to_string()).into());
    }
    let described = match read(&bytes) {
        Ok(described) => described,
        Err(error @ ManifestError::MaskingVersion { .. }) => return Ok(Err(vec![error.to_string()])),
        Err(error) => return Err(error).with_context(|| format!("`{}`", path.display())),
    };
    let Described { manifest, spec, format, places: _ } = &described;
    let mut differ = Vec::new();
    let inputs = match path.parent() {
        Some(folder) if args.manifest.local().is_some() => {
            noted(&DataSet::open(&Location::Local(folder.to_owned()))?, tokenizer.as_deref())?
        }
        _ => None,
    };
    let place = tokenizer.clone().or_else(|| inputs.as_ref().map(|inputs| inputs.tokenizer.clone()));
    let (mut tokenizer, mut warnings) = match given_tokenizer(spec, tokenizer.as_deref(), inputs.as_ref()) {
        Ok((tokenizer, other_library)) => {
            let warning = other_library.map(|OtherLibrary { recorded, given }| {
                format!("ids may differ: the data set was made with {recorded}, this tool has {given}")
            });
            (Some(tokenizer), Vec::from_iter(warning))
        }
        Err(error) if error.is::<SettingsError>() => {
            differ.push(error.to_string());
            (None, Vec::new())
        }
        Err(error) => return Err(error),
    };
    if manifest.plan.batch_bytes != BLOCK_BYTES as u64 {
        let said = manifest.plan.batch_bytes;
        differ.push(format!("batches end at {said} bytes in the manifest, but at {BLOCK_BYTES} in this tool"));
    }
    let (sources, unknown) = matching(&manifest.sources, discover(sources)?.sources, &mut differ);
    let Some(tokenizer) = tokenizer.take().filter(|_| differ.is_empty()) else { return Ok(Err(differ)) };
    let version = &manifest.tool_version;
    if version != env!("CARGO_PKG_VERSION") {
        let ours = env!("CARGO_PKG_VERSION");
        warnings
            .push(format!("the data set was made by version {version} of the tool, this is {ours}: bytes may differ"));
    }
    warnings.extend(unknown.iter().map(|name| format!("the manifest does not name `{name}`: it is left out")));
    let masking = Masking {
        spec: spec.clone(),
        format: format.clone(),
        tokenizer,
        tokenizer_place: place.map(|place| tokenizer_place(&place)).transpose()?,
        workers: settings::workers(*workers)?,
        limits: limits.limits(),
    };
    let plan = planned(manifest, spec);
    Ok(Ok(Begun { described, masking, plan, sources, warnings }))
}

/// The differences between a data set made again and the one its manifest describes.
#[must_use]
pub(crate) fn compare(said: &Manifest, made: &Manifest) -> Vec<String> {
    let same_version = said.tool_version == made.tool_version;
    let json = |manifest: &Manifest| {
        let mut json = serde_json::to_value(manifest).unwrap_or_default();
        // Both paths make the same ids.
        json["tokenizer_path"] = Value::Null;
        if !same_version {
            json["tool_version"] = Value::Null;
            json["totals"]["shard_bytes"] = Value::Null;
            for shard in json["shards"].as_array_mut().into_iter().flatten() {
                shard["bytes"] = Value::Null;
                shard["sha256"] = Value::Null;
            }
        }
        json
    };
    let mut found = differences(&json(said), &json(made));
    // Differences in the sources come first: the others follow from them.
    found.sort_by_key(|one| !(one.path.starts_with("sources[") && one.path.ends_with("].sha256")));
    found.iter().map(|one| one.shown("in the manifest", "made again")).collect()
}

/// The sources of a manifest, in its order, and the names of given sources that it does not list.
fn matching(entries: &[SourceEntry], found: Vec<Source>, differ: &mut Vec<String>) -> (Vec<Source>, Vec<String>) {
    let mut sources = Vec::new();
    for entry in entries {
        match named(&found, &entry.name) {
            None => differ.push(format!("the source `{}` of the manifest is not among those given", entry.name)),
            Some(source) if source.bytes != entry.bytes => differ.push(format!(
                "the source `{}` has {} bytes in the manifest, but {} here",
                entry.name, entry.bytes, source.bytes
            )),
            Some(source) => sources.push(source.clone()),
        }
    }
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let is_unknown = |source: &Source| !known.contains(source.name.as_str());
    let unknown = found.into_iter().filter(is_unknown).map(|source| source.name).collect();
    (sources, unknown)
}

fn same_folder(first: Option<&Path>, second: &Location) -> bool {
    match second {
        Location::Local(second) => {
            let first = first.and_then(canonical);
            first.is_some() && first == canonical(second)
        }
        Location::Remote(_) => first.is_some_and(|first| first.as_os_str() == second.to_string().as_str()),
    }
}

pub(crate) fn execute_reproduce(args: &ReproduceArgs) -> Result<u8, Failure> {
    let begun = match begin(args)? {
        Ok(begun) => begun,
        Err(differences) => {
            report::data(&report::verification::differences(&differences, "")).map_err(anyhow::Error::from)?;
            return Ok(EXIT_DATA);
        }
    };
    let Begun { described, masking, plan, sources, warnings } = begun;
    report::before(&warnings, &[]);
    let signals = interruption().context("cannot listen for signals")?;
    let data_set = settings::data_set::data_set(&args.out)?;
    let plans = Plans::resolve(&data_set, plan, None).map_err(RunError::from)?;
    let sources = plans.sources(sources, &data_set).map_err(RunError::from)?;
    let mut job = masking.job(data_set, plans, sources, ALL_REJECTS, signals)?;
    job.card = described.manifest.card.clone();
    let made = {
        let _shown = (!args.quiet).then(|| report::ProgressReport::start(job.progress.clone(), job.plan().bytes()));
        run(&job)?
    };
    let differences = compare(&described.manifest, &made);
    let equal = report::verification::equal(&made, &described.manifest.tool_version);
    report::data(&report::verification::differences(&differences, &equal)).map_err(anyhow::Error::from)?;
    Ok(if differences.is_empty() { EXIT_DONE } else { EXIT_DATA })
}
