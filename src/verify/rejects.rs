//! Rejects: whether index and lines go together, and are counted.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader};

use fs_err as fs;
use serde::Deserialize;

use super::findings::Findings;
use crate::output::commit::RejectFiles;
use crate::output::data_set::{DataSet, MANIFEST};
use crate::output::manifest::{Manifest, SourceEntry};
use crate::reject::Reason;

/// A line of the index.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    source: String,
    line: u64,
    reason: Reason,
    #[expect(dead_code, reason = "it has to be there")]
    detail: String,
    offset: u64,
    length: u64,
}

type Reasons = BTreeMap<(String, Reason), u64>;

/// Reads all files of rejects that are not damaged.
#[must_use]
pub fn check(data_set: &DataSet, manifest: &Manifest, damaged: &BTreeSet<String>) -> Vec<Findings> {
    let (mut reasons, mut found, mut is_whole) = (Reasons::new(), Vec::new(), true);
    for files in &manifest.rejects {
        if damaged.contains(&files.index) || damaged.contains(&files.lines) {
            is_whole = false;
            continue;
        }
        let mut findings = Findings::new(&files.index);
        if let Err(error) = check_files(data_set, files, &mut reasons, &mut findings) {
            findings.add(&format!("cannot be read: {error}"));
            is_whole = false;
        }
        found.push(findings);
    }
    let mut findings = Findings::new(MANIFEST);
    let of_source = |source: &SourceEntry| -> Vec<_> {
        source.counts.rejects.iter().map(|(reason, count)| ((source.name.clone(), *reason), *count)).collect()
    };
    let said: Reasons = manifest.sources.iter().flat_map(of_source).collect();
    for key in said.keys().chain(reasons.keys()).filter(|_| is_whole).collect::<BTreeSet<_>>() {
        let of = |reasons: &Reasons| reasons.get(key).copied().unwrap_or_default();
        let place = format!("`sources[{}].rejects.{}`", key.0, key.1);
        findings.differ(&place, &of(&said), "kept are", &of(&reasons));
    }
    found.push(findings);
    found
}

fn check_files(
    data_set: &DataSet,
    files: &RejectFiles,
    reasons: &mut Reasons,
    findings: &mut Findings,
) -> std::io::Result<()> {
    let (mut count, mut offset) = (0, 0);
    let mut before: Option<(String, u64)> = None;
    for (number, line) in (1_u64..).zip(BufReader::new(fs::File::open(data_set.path(&files.index))?).lines()) {
        let entry: Entry = match serde_json::from_str(&line?) {
            Ok(entry) => entry,
            Err(error) => {
                findings.at_line(number, &format!("is no reject: {error}"));
                return Ok(());
            }
        };
        if entry.offset != offset {
            findings.at_line(number, &format!("its bytes begin at {}, those before it end at {offset}", entry.offset));
        }
        let place = (entry.source, entry.line);
        if before.as_ref().is_some_and(|before| *before >= place) {
            findings.at_line(number, "comes after a later line, or twice");
        }
        offset = entry.offset.saturating_add(entry.length).saturating_add(1);
        count += 1;
        *reasons.entry((place.0.clone(), entry.reason)).or_default() += 1;
        before = Some(place);
    }
    findings.differ("`count` of the manifest", &files.count, "the index has", &count);
    let bytes = fs::metadata(data_set.path(&files.lines))?.len();
    if bytes != offset {
        findings.add(&format!("ends at byte {offset} of `{}`, which has {bytes}", files.lines));
    }
    Ok(())
}
