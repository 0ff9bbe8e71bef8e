//! From a manifest back to what made it: for `verify` with sources, and for `reproduce`.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::cli::{ReproduceArgs, VerifyArgs};
use crate::denoise::{Spec, TokenizerId};
use crate::files::bounded::{self, MOST};
use crate::files::private::Spool;
use crate::input::batch::BLOCK_BYTES;
use crate::input::source::{Source, discover};
use crate::json::difference::differences;
use crate::output::data_set::{DataSet, MANIFEST, PRIVATE};
use crate::output::manifest::{Manifest, PlanParts, SourceEntry};
use crate::pipeline::memory;
use crate::pipeline::reject_limit::MaxRejects;
use crate::plan::inputs::{Inputs, tokenizer_place};
use crate::plan::{Cutting, PLAN_VERSION, Plan, PlannedSource};
use crate::reading::Described;
use crate::reading::manifest::{ManifestError, read};
use crate::settings::{self, Settings, SettingsError};
use crate::store::Location;
use crate::tokenize::file::{BYTES, TokenizerFile};
use crate::tokenize::{Tokenizer, TokenizerPath};
use crate::verify::findings::Report;
use crate::verify::sources::{Again, RowsAgain};
use crate::verify::{Opened, verify as verify_data_set};

/// The rejects of a data set were allowed when it was made.
pub const ALL_REJECTS: MaxRejects = MaxRejects::ALL;

/// A data set that can be made again.
pub struct Begun {
    /// What its manifest says.
    pub described: Described,
    /// What makes it.
    pub settings: Settings,
}

/// What `verify` finds.
///
/// # Errors
///
/// If the folder, a source or the tokenizer cannot be used.
pub fn verify(args: &VerifyArgs) -> Result<Report> {
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
    let (shared, options) = settings::shared(spec.clone(), format.clone(), tokenizer, &plan)?;
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
    report.not_checked.extend(other_library);
    Ok(report)
}

/// Gets ready to make a data set again, or says what differs already.
///
/// # Errors
///
/// If manifest, source, tokenizer or folder cannot be used at all.
pub fn begin(args: &ReproduceArgs) -> Result<Result<Begun, Vec<String>>> {
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
        Ok((tokenizer, warning)) => (Some(tokenizer), Vec::from_iter(warning)),
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
    let settings = Settings {
        plan: planned(manifest, spec),
        cutting: Cutting::default(),
        spec: spec.clone(),
        format: format.clone(),
        tokenizer,
        tokenizer_place: place.map(|place| tokenizer_place(&place)).transpose()?,
        sources,
        passed_over: Vec::new(),
        workers: settings::workers(*workers)?,
        limits: limits.limits(),
        warnings,
        notes: Vec::new(),
    };
    Ok(Ok(Begun { described, settings }))
}

/// How a data set made again differs from the one of a manifest.
#[must_use]
pub fn compare(said: &Manifest, made: &Manifest) -> Vec<String> {
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
    // What the sources are comes first: the rest follows from them.
    found.sort_by_key(|one| !(one.path.starts_with("sources[") && one.path.ends_with("].sha256")));
    found.iter().map(|one| one.shown("in the manifest", "made again")).collect()
}

/// The plan that a manifest tells of.
fn planned(manifest: &Manifest, spec: &Spec) -> Plan {
    let PlanParts { columns, shard_bytes, batch_bytes, encoding, compression, units, passed_over } =
        manifest.plan.clone();
    let planned = |source: &SourceEntry| PlannedSource { name: source.name.clone(), bytes: source.bytes, tag: None };
    Plan {
        plan_version: PLAN_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        spec: spec.to_json(),
        columns,
        shard_bytes,
        batch_bytes,
        encoding,
        compression,
        sources: manifest.sources.iter().map(planned).collect(),
        units,
        passed_over,
    }
}

/// The sources of a manifest, in its order, and the names of those that it does not name.
fn matching(entries: &[SourceEntry], found: Vec<Source>, differ: &mut Vec<String>) -> (Vec<Source>, Vec<String>) {
    let mut sources = Vec::new();
    for entry in entries {
        // Sources are found in the order of names.
        match found.binary_search_by(|source| source.name.cmp(&entry.name)).ok().map(|place| &found[place]) {
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

/// A finished data set and what its manifest says.
///
/// # Errors
///
/// If the folder holds none, or its manifest cannot be used.
pub fn described(dir: &Location) -> Result<(DataSet, Described)> {
    let data_set = existing(dir)?;
    if !is_there(&data_set, MANIFEST)? {
        let dir = dir.to_string();
        let unfinished = data_set.has_folder(PRIVATE)?;
        return Err(if unfinished { SettingsError::Unfinished(dir) } else { SettingsError::NoDataSet(dir) }.into());
    }
    let (path, bytes) = manifest_of(&data_set)?;
    let described = read(&bytes).with_context(|| format!("`{}`", path.display()))?;
    Ok((data_set, described))
}

/// The data set in a folder that is there; a store has no folders.
fn existing(dir: &Location) -> Result<DataSet> {
    if let Some(path) = dir.local() {
        fs_err::read_dir(path)?;
    }
    Ok(DataSet::open(dir)?)
}

/// Whether a data set has this file, of whatever kind it is.
fn is_there(data_set: &DataSet, name: &str) -> Result<bool> {
    match data_set.size(name) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) if data_set.place().local().is_none() => Err(error.into()),
        Ok(_) | Err(_) => Ok(true),
    }
}

/// Where the run had its tokenizer, unless another is named. A data set that came from elsewhere must not make this command fetch anything, so only
/// a place on this machine counts.
///
/// # Errors
///
/// If what is noted cannot be read.
pub(crate) fn noted(data_set: &DataSet, named: Option<&str>) -> Result<Option<Inputs>> {
    if named.is_some() {
        return Ok(None);
    }
    let is_local = |inputs: &Inputs| Location::parse(&inputs.tokenizer).is_ok_and(|place| place.local().is_some());
    Ok(Inputs::read(data_set)?.filter(is_local))
}

/// The tokenizer that a spec names, and what is to be said if another version of the library reads it.
pub(crate) fn given_tokenizer(
    spec: &Spec,
    name: Option<&str>,
    inputs: Option<&Inputs>,
) -> Result<(Box<dyn Tokenizer>, Option<String>)> {
    let file = given_file(spec, name, inputs)?;
    let (given, recorded) = (settings::names(file.as_ref()).identity(), &spec.fields().tokenizer);
    let warning = (given.library != recorded.library)
        .then(|| format!("that ids are the same: the library was {}, now it is {}", recorded.library, given.library));
    Ok((settings::tokenizer(file, spec, TokenizerPath::Auto), warning))
}

/// The file of the tokenizer that a spec names: the one given, or where the run had it; `None` for the embedded one.
///
/// # Errors
///
/// If it is another one, or cannot be read, or is not known.
pub fn given_file(spec: &Spec, name: Option<&str>, inputs: Option<&Inputs>) -> Result<Option<TokenizerFile>> {
    let recorded = &spec.fields().tokenizer;
    let place = match (name, inputs) {
        (Some(name), _) => name,
        (None, _) if recorded.kind == BYTES => BYTES,
        (None, Some(inputs)) => &inputs.tokenizer,
        (None, None) => return Err(SettingsError::NoTokenizer(shown(recorded)).into()),
    };
    let file = match settings::tokenizer_file(place) {
        Err(error) if name.is_none() => {
            let (recorded, place) = (shown(recorded), place.to_owned());
            return Err(SettingsError::TokenizerGone { recorded, place, source: error.into_boxed_dyn_error() }.into());
        }
        file => file?,
    };
    let given = settings::names(file.as_ref()).identity();
    if (&given.kind, &given.sha256) != (&recorded.kind, &recorded.sha256) {
        return Err(SettingsError::OtherTokenizer { recorded: shown(recorded), given: shown(&given) }.into());
    }
    Ok(file)
}

fn shown(tokenizer: &TokenizerId) -> String {
    match tokenizer.sha256.as_str() {
        "" => format!("`{}`", tokenizer.kind),
        sha256 => format!("`{}` of SHA-256 {sha256}", tokenizer.kind),
    }
}

/// The manifest of a data set, given by itself or by its folder: its path, and its bytes.
fn manifest_file(given: &Location) -> Result<(PathBuf, Vec<u8>)> {
    match given {
        Location::Local(path) if !path.is_dir() => Ok((path.clone(), bounded::read(path, MOST)?)),
        Location::Remote(remote) if remote.file_name() == MANIFEST => {
            manifest_of(&DataSet::open(&Location::Remote(remote.parent()))?)
        }
        Location::Local(_) | Location::Remote(_) => manifest_of(&DataSet::open(given)?),
    }
}

fn manifest_of(data_set: &DataSet) -> Result<(PathBuf, Vec<u8>)> {
    let path = data_set.path(MANIFEST);
    let missing = || std::io::Error::new(ErrorKind::NotFound, format!("`{}` is not there", path.display()));
    let bytes = data_set.read(MANIFEST)?.ok_or_else(missing)?;
    Ok((path, bytes))
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

/// The folder's only path, if it is there. The parent of a bare name is an empty path: the folder at hand.
pub(crate) fn canonical(folder: &Path) -> Option<PathBuf> {
    fs_err::canonicalize(if folder.as_os_str().is_empty() { Path::new(".") } else { folder }).ok()
}
