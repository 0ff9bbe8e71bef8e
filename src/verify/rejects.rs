//! Checks rejects: whether index and lines agree, are counted, and match the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};

use fs_err as fs;

use crate::digest;
use crate::numbers::exact;
use crate::output::commit::RejectFiles;
use crate::output::data_set::{DataSet, MANIFEST};
use crate::output::manifest::{Manifest, SourceEntry};
use crate::reject::{IndexEntry, KeptBytes, Reason, Reject, Rejected};
use crate::verify::findings::Findings;

/// A line of the index.
type Entry = IndexEntry<'static, Reason>;

type Reasons = BTreeMap<(String, Reason), u64>;

/// Reads all files of rejects that are not damaged.
#[must_use]
pub(crate) fn check(data_set: &DataSet, manifest: &Manifest, damaged: &BTreeSet<String>) -> Vec<Findings> {
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
) -> io::Result<()> {
    let (mut count, mut offset) = (0, 0);
    let mut before: Option<(String, u64)> = None;
    for (number, line) in (1_u64..).zip(BufReader::new(data_set.open_file(&files.index)?).lines()) {
        let entry: Entry = match serde_json::from_str(&line?) {
            Ok(entry) => entry,
            Err(error) => {
                findings.at_line(number, &format!("is not a reject: {error}"));
                return Ok(());
            }
        };
        if entry.offset != offset {
            findings.at_line(number, &format!("its bytes begin at {}, those before it end at {offset}", entry.offset));
        }
        let place = (entry.source.into_owned(), entry.line);
        if before.as_ref().is_some_and(|before| *before >= place) {
            findings.at_line(number, "comes after a later line, or twice");
        }
        offset = entry.offset.saturating_add(entry.length).saturating_add(1);
        count += 1;
        *reasons.entry((place.0.clone(), entry.reason)).or_default() += 1;
        before = Some(place);
    }
    findings.differ("`count` of the manifest", &files.count, "the index has", &count);
    let bytes = data_set.size(&files.lines)?;
    if bytes != offset {
        findings.add(&format!("ends at byte {offset} of `{}`, which has {bytes}", files.lines));
    }
    Ok(())
}

/// The stored rejects of a unit, in step with the rejects that its batches make again.
pub(crate) struct Kept<'a> {
    data_set: &'a DataSet,
    /// The files that are not opened yet.
    files: std::vec::IntoIter<&'a RejectFiles>,
    open: Option<Open<'a>>,
    findings: Vec<Findings>,
    /// Whether the next reject could not be found: the ones after it cannot be identified.
    is_lost: bool,
}

struct Open<'a> {
    path: &'a str,
    index: io::Lines<BufReader<fs::File>>,
    /// Lines of the index before the next one.
    before: u64,
    lines: BufReader<fs::File>,
    /// The offset in the file of lines.
    offset: u64,
}

/// A stored reject, and its place.
struct KeptReject<'a> {
    path: &'a str,
    number: u64,
    entry: Entry,
    /// The number of its stored bytes, and their SHA-256.
    bytes: (u64, [u8; 32]),
    is_ended: bool,
}

impl<'a> Kept<'a> {
    /// The rejects in a unit's files.
    #[must_use]
    pub(crate) fn new(data_set: &'a DataSet, files: Vec<&'a RejectFiles>) -> Self {
        Self { data_set, files: files.into_iter(), open: None, findings: Vec::new(), is_lost: false }
    }

    /// Compares the next stored reject with the expected one, made again from the source.
    ///
    /// # Errors
    ///
    /// If a line that was moved into a file cannot be read.
    pub(crate) fn compare(&mut self, again: Reject<'_>) -> io::Result<()> {
        if self.is_lost {
            return Ok(());
        }
        let Reject { source, line, rejected: Rejected { reason, .. }, bytes } = again;
        let bytes = match bytes {
            KeptBytes::Inline(bytes) => digest::read(bytes)?,
            KeptBytes::File(file) => digest::read(file.contents()?)?,
        };
        let Some(kept) = self.next() else {
            if !self.is_lost {
                self.is_lost = true;
                let mut findings = Findings::new(source);
                findings.at_line(line, &format!("is a reject (`{reason}`), but none that is kept"));
                self.findings.push(findings);
            }
            return Ok(());
        };
        let KeptReject { path, number, entry, bytes: found, is_ended } = kept;
        let mut findings = Findings::new(path);
        if (&*entry.source, entry.line) != (source, line) {
            self.is_lost = true;
            findings
                .at_line(number, &format!("is {}:{}, the next reject is {source}:{line}", entry.source, entry.line));
        } else if entry.reason != *reason {
            findings.at_line(number, &format!("`reason` is {}, made again it is {reason}", entry.reason));
        } else if entry.length != bytes.0 {
            findings.at_line(
                number,
                &format!("`length` is {}, {source}:{line} has {}", entry.length, exact(bytes.0, "byte")),
            );
        } else if found != bytes {
            findings.at_line(number, &format!("its bytes are not those of {source}:{line}"));
        } else if !is_ended {
            findings.at_line(number, "no line feed follows its bytes");
        }
        self.push(findings);
        Ok(())
    }

    /// The findings, after all batches are compared.
    #[must_use]
    pub(crate) fn finish(mut self) -> Vec<Findings> {
        if !self.is_lost
            && let Some(KeptReject { path, number, entry, .. }) = self.next()
        {
            let mut findings = Findings::new(path);
            findings.at_line(number, &format!("is {}:{}, the sources give no more rejects", entry.source, entry.line));
            self.push(findings);
        }
        self.findings
    }

    fn push(&mut self, findings: Findings) {
        if !findings.is_empty() {
            self.findings.push(findings);
        }
    }

    /// The next reject; `None` if there are no more, or it cannot be read.
    fn next(&mut self) -> Option<KeptReject<'a>> {
        self.try_next().unwrap_or_else(|(path, error)| {
            self.is_lost = true;
            let mut findings = Findings::new(path);
            findings.add(&format!("cannot be compared with the sources: {error}"));
            self.findings.push(findings);
            None
        })
    }

    fn try_next(&mut self) -> Result<Option<KeptReject<'a>>, (&'a str, io::Error)> {
        loop {
            if let Some(open) = &mut self.open
                && let Some(kept) = open.next().map_err(|error| (open.path, error))?
            {
                return Ok(Some(kept));
            }
            let Some(files) = self.files.next() else { return Ok(None) };
            self.open = Some(Open::new(self.data_set, files).map_err(|error| (files.index.as_str(), error))?);
        }
    }
}

impl<'a> Open<'a> {
    fn new(data_set: &DataSet, files: &'a RejectFiles) -> io::Result<Self> {
        let open = |name: &str| Ok::<_, io::Error>(BufReader::new(data_set.open_file(name)?));
        let (index, lines) = (open(&files.index)?.lines(), open(&files.lines)?);
        Ok(Self { path: &files.index, index, before: 0, lines, offset: 0 })
    }

    fn next(&mut self) -> io::Result<Option<KeptReject<'a>>> {
        let Some(line) = self.index.next() else { return Ok(None) };
        self.before += 1;
        let entry: Entry = serde_json::from_str(&line?)?;
        if entry.offset != self.offset {
            self.lines.seek(SeekFrom::Start(entry.offset))?;
        }
        let bytes = digest::read((&mut self.lines).take(entry.length))?;
        let mut end = Vec::new();
        (&mut self.lines).take(1).read_to_end(&mut end)?;
        self.offset = entry.offset.saturating_add(bytes.0).saturating_add(end.len() as u64);
        Ok(Some(KeptReject { path: self.path, number: self.before, entry, bytes, is_ended: end == b"\n" }))
    }
}
