//! `SHA256SUMS`: the digests of all files of a data set, in the format of `sha256sum`.

use std::collections::BTreeMap;

use crate::digest::sha256;
use crate::json::to_json;
use crate::output::commit::CommitRecord;
use crate::output::data_set::{CARD, MANIFEST, SUCCESS};
use crate::output::manifest::Manifest;
use crate::output::names;

/// Digests by path, in hex.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Sums(pub(crate) BTreeMap<String, String>);

/// Why bytes are not valid [`Sums`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SumsError {
    /// A line that is not a digest, two spaces and a path.
    #[error("line {line} is not a SHA-256 in lower-case hex, two spaces and a path")]
    Line {
        /// 1-based.
        line: usize,
    },
    /// A path that does not sort after the previous one.
    #[error("line {line} is not in the order of paths")]
    Order {
        /// 1-based.
        line: usize,
    },
}

impl Sums {
    /// The digests of a data set: of shards and rejects from the records, of other files from their bytes.
    #[must_use]
    pub(crate) fn new<'a>(
        manifest: &Manifest,
        card: &str,
        plans: impl Iterator<Item = (String, Vec<u8>)>,
        records: impl Iterator<Item = &'a CommitRecord>,
    ) -> Self {
        let mut sums = BTreeMap::from([
            (MANIFEST.to_owned(), sha256(&manifest.to_json())),
            (CARD.to_owned(), sha256(card.as_bytes())),
            (SUCCESS.to_owned(), sha256(&[])),
        ]);
        sums.extend(plans.map(|(path, bytes)| (path, sha256(&bytes))));
        for record in records {
            sums.insert(names::commit(record.unit, record.shard), sha256(&to_json(record)));
            sums.extend(record.files().map(|file| (file.path.clone(), file.sha256.clone())));
            if let Some(files) = &record.rejects {
                sums.insert(files.index.clone(), files.index_sha256.clone());
                sums.insert(files.lines.clone(), files.lines_sha256.clone());
            }
        }
        Self(sums)
    }

    /// The text of the file.
    #[must_use]
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(|(path, digest)| format!("{digest}  {path}\n").into_bytes()).collect()
    }

    /// Parses the output of [`Sums::to_bytes`], and nothing else.
    ///
    /// # Errors
    ///
    /// [`SumsError`] for the first bad line.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, SumsError> {
        let mut sums = BTreeMap::new();
        for (line, text) in (1..).zip(bytes.split_inclusive(|&byte| byte == b'\n')) {
            let (digest, path) = entry(text).ok_or(SumsError::Line { line })?;
            if sums.last_key_value().is_some_and(|(last, _): (&String, _)| last.as_str() >= path) {
                return Err(SumsError::Order { line });
            }
            sums.insert(path.to_owned(), digest.to_owned());
        }
        Ok(Self(sums))
    }
}

fn entry(line: &[u8]) -> Option<(&str, &str)> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (digest, path) = line.split_at_checked(64)?;
    let path = path.strip_prefix("  ")?;
    let is_digest = digest.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    // A path that leaves the folder would make the tool read files outside the data set.
    let is_inside = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    (is_digest && is_inside && !path.contains(char::is_control)).then_some((digest, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_written_is_read() {
        let digest = "0f".repeat(32);
        let sums = Sums(BTreeMap::from([("a".to_owned(), digest.clone()), ("data/b".to_owned(), digest.clone())]));
        let bytes = sums.to_bytes();
        assert_eq!(Sums::from_bytes(&bytes), Ok(sums));
        let bad = |text: String| Sums::from_bytes(text.as_bytes()).unwrap_err();
        assert_eq!(bad(format!("{digest} *a\n")), SumsError::Line { line: 1 });
        assert_eq!(bad(format!("{digest}  a")), SumsError::Line { line: 1 });
        assert_eq!(bad(format!("{}  a\n", digest.to_uppercase())), SumsError::Line { line: 1 });
        assert_eq!(bad(format!("{digest}  ../a\n")), SumsError::Line { line: 1 });
        assert_eq!(bad(format!("{digest}  b\n{digest}  a\n")), SumsError::Order { line: 2 });
    }
}
