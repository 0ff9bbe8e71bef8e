//! Which files are sources, and how they are compressed, by their names.

/// The endings of sources, for messages.
pub(crate) const ENDINGS: &str = "`.jsonl`, `.json`, `.ndjson`, plain or with `.zst`, `.zstd` or `.gz` after it";

/// The compression of a source, by its name, ignoring case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    /// Not at all.
    None,
    /// `.zst` or `.zstd`: one or more Zstandard frames.
    Zstd,
    /// `.gz`: one or more gzip members.
    Gzip,
}

impl Compression {
    /// The compression of a source of that name; `None` if it is not a source's name.
    #[must_use]
    pub(crate) fn of(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let (stem, compression) = match name.as_str() {
            _ if let Some(stem) = name.strip_suffix(".zst").or_else(|| name.strip_suffix(".zstd")) => {
                (stem, Self::Zstd)
            }
            _ if let Some(stem) = name.strip_suffix(".gz") => (stem, Self::Gzip),
            name => (name, Self::None),
        };
        [".jsonl", ".json", ".ndjson"].iter().any(|ending| stem.ends_with(ending)).then_some(compression)
    }
}
