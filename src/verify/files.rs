//! The files of a data set: which exist, and whether they still have their original bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rayon::prelude::*;

use crate::files::bounded::{self, MOST};
use crate::numbers::exact;
use crate::output::data_set::{CARD, COMMITS, DATA, DataSet, MANIFEST, PLAN, PRIVATE, REJECTS, SUMS};
use crate::output::manifest::Manifest;
use crate::output::sums::Sums;
use crate::verify::findings::Findings;

/// The state of the files.
pub(crate) struct Files {
    /// The findings.
    pub(crate) findings: Vec<Findings>,
    /// Files that are missing or have changed.
    pub(crate) damaged: BTreeSet<String>,
    /// Number of files checked.
    pub(crate) count: u64,
    /// A plan or commit record that must not be read, if there is one.
    pub(crate) unreadable: Option<String>,
    /// What was not checked.
    pub(crate) not_checked: Option<String>,
}

/// A file's digest as it is recorded, and where.
struct Recorded {
    sha256: String,
    by: &'static str,
}

impl Files {
    /// Finds all files and computes their digests, on the threads of the current pool.
    #[must_use]
    pub(crate) fn check(data_set: &DataSet, manifest: Option<&Manifest>) -> Self {
        let mut of_sums = Findings::new(SUMS);
        let sums = read_sums(data_set, &mut of_sums);
        let has_sums = sums.is_some();
        let is_public = !data_set.has_folder(PRIVATE).unwrap_or(true);
        let mut recorded = sums.map_or_else(BTreeMap::new, |sums| sums.0);
        let all = recorded.len();
        recorded.retain(|path, _| !(is_public && is_private(path)));
        let left_out = all - recorded.len();
        let recorded = with_manifest(recorded, has_sums, manifest, &mut of_sums);
        let (there, error) = walk(data_set);
        let mut paths: BTreeSet<String> = [MANIFEST, CARD, PLAN].map(str::to_owned).into_iter().collect();
        paths.extend(there.iter().cloned());
        paths.extend(recorded.keys().cloned());
        let paths: Vec<String> = paths.into_iter().collect();
        let check = |path: &String| check_file(data_set, path, recorded.get(path), has_sums);
        let of_files: Vec<Findings> = paths.par_iter().map(check).collect();
        let damaged = paths.iter().zip(&of_files).filter(|(_, findings)| findings.count() > 0);
        let damaged = damaged.map(|(path, _)| path.clone()).filter(|path| recorded.contains_key(path)).collect();
        let mut private = paths.iter().filter(|path| is_private(path) && there.contains(*path));
        let unreadable = private.find(|path| match data_set.size(path) {
            Ok(bytes) => bytes > MOST,
            Err(error) => {
                of_sums.add(&format!("`{path}` cannot be read: {error}"));
                true
            }
        });
        let unreadable = unreadable.cloned();
        if let Some(error) = error {
            of_sums.add(&format!("the folder cannot be listed: {error}"));
        }
        let mut findings = vec![of_sums];
        findings.extend(data_set.false_folders().into_iter().map(|folder| {
            let mut findings = Findings::new(folder);
            findings.add("is a link or a file, not a folder");
            findings
        }));
        findings.extend(of_files);
        let files = exact(left_out as u64, "file");
        let not_checked = (left_out > 0).then(|| format!("{files} under {PRIVATE}/, which is not here"));
        Self { findings, damaged, count: paths.len() as u64, unreadable, not_checked }
    }
}

/// The list of digests, if there is a valid one.
fn read_sums(data_set: &DataSet, findings: &mut Findings) -> Option<Sums> {
    match read(data_set, SUMS) {
        Ok(Some(bytes)) => Sums::from_bytes(&bytes).map_err(|error| findings.add(&error.to_string())).ok(),
        Ok(None) => {
            findings.add("is missing");
            None
        }
        Err(error) => {
            findings.add(&format!("cannot be read: {error}"));
            None
        }
    }
}

/// The digests of the list and of the manifest, which the list must have too.
fn with_manifest(
    sums: BTreeMap<String, String>,
    has_sums: bool,
    manifest: Option<&Manifest>,
    findings: &mut Findings,
) -> BTreeMap<String, Recorded> {
    let of_sums = |(path, sha256)| (path, Recorded { sha256, by: SUMS });
    let mut recorded: BTreeMap<String, Recorded> = sums.into_iter().map(of_sums).collect();
    for (path, sha256) in manifest.into_iter().flat_map(named) {
        match recorded.get(path) {
            Some(known) if known.sha256 != sha256 => {
                findings.add(&format!("`{path}` has {} here, but {sha256} in the manifest", known.sha256));
            }
            None if has_sums => findings.add(&format!("`{path}` is not in it, but in the manifest")),
            Some(_) | None => {}
        }
        recorded.insert(path.to_owned(), Recorded { sha256: sha256.to_owned(), by: "the manifest" });
    }
    recorded
}

/// Compares a file with its recorded digest.
fn check_file(data_set: &DataSet, path: &str, recorded: Option<&Recorded>, has_sums: bool) -> Findings {
    let mut findings = Findings::new(path);
    match (recorded, digest(data_set, path)) {
        // Without sums, only the files in the manifest have a known digest.
        (None, Ok(_)) if !has_sums && !path.starts_with(DATA) && !path.starts_with(REJECTS) => {}
        (None, Ok(_)) => findings.add("is in no list of the data set"),
        (Some(_), Err(error)) if error.kind() == io::ErrorKind::NotFound => findings.add("is missing"),
        // Neither there nor in the sums: manifest, card and plan are looked for in any case.
        (None, Err(error)) if error.kind() == io::ErrorKind::NotFound => {}
        (_, Err(error)) => findings.add(&format!("cannot be read: {error}")),
        (Some(Recorded { sha256, by }), Ok(found)) if *sha256 != found => {
            findings.add(&format!("has SHA-256 {found}, {by} says {sha256}"));
        }
        (Some(_), Ok(_)) => {}
    }
    findings
}

fn is_private(path: &str) -> bool {
    path.strip_prefix(PRIVATE).is_some_and(|rest| rest.starts_with('/'))
}

/// Files whose digest is in the manifest.
fn named(manifest: &Manifest) -> impl Iterator<Item = (&str, &str)> {
    let shards = manifest.shards.iter().map(|shard| (shard.path.as_str(), shard.sha256.as_str()));
    let rejects = manifest.rejects.iter().flat_map(|files| {
        [(files.index.as_str(), files.index_sha256.as_str()), (files.lines.as_str(), files.lines_sha256.as_str())]
    });
    shards.chain(rejects)
}

/// The existing files in the folders where no other files may be; and the error, if they could not all be listed.
fn walk(data_set: &DataSet) -> (BTreeSet<String>, Option<io::Error>) {
    let mut there = BTreeSet::new();
    for (folder, deep) in [(DATA, true), (REJECTS, true), (COMMITS, true), (PRIVATE, false)] {
        match data_set.files(folder, deep) {
            // Of the other files there, only plans belong to the data set.
            Ok(files) => there.extend(files.into_iter().filter(|name| folder != PRIVATE || is_plan(name))),
            Err(error) => return (there, Some(error)),
        }
    }
    (there, None)
}

/// Whether a name is, or looks like, the name of the plan or of an extension.
fn is_plan(name: &str) -> bool {
    let name = name.strip_prefix(PRIVATE).and_then(|name| name.strip_prefix("/plan"));
    name.and_then(|rest| rest.strip_suffix(".json")).is_some()
}

/// The bytes of a file that is read as a whole; `None` if there is none.
///
/// # Errors
///
/// If it is not a plain file, is too large, or cannot be read.
pub(crate) fn read(data_set: &DataSet, name: &str) -> io::Result<Option<Vec<u8>>> {
    match data_set.size(name) {
        Ok(bytes) if bytes > MOST => Err(bounded::too_large("it", MOST)),
        Ok(_) => data_set.read(name),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// SHA-256 of a plain file, in hex.
fn digest(data_set: &DataSet, name: &str) -> io::Result<String> {
    let bytes = data_set.size(name)?;
    // A file that is too large to be read as a whole is not worth the time.
    if bytes > MOST && !name.starts_with(DATA) && !name.starts_with(REJECTS) {
        return Err(bounded::too_large("it", MOST));
    }
    let (_, sha256) = crate::digest::read(data_set.open_file(name)?)?;
    Ok(crate::digest::hex(&sha256))
}
