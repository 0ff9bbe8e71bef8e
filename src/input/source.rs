//! Finds the sources and names them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use crate::input::DiscoverError;
use crate::input::compression::Compression;
use crate::store::{Location, Object, Remote};

/// Endings of other formats for a corpus.
const FORMATS: &[&str] = &[
    "jsonl",
    "json",
    "ndjson",
    "jsonlines",
    "txt",
    "csv",
    "tsv",
    "xml",
    "parquet",
    "arrow",
    "feather",
    "avro",
    "orc",
    "tfrecord",
    "warc",
    "wet",
];

/// Endings of archives.
const PACKED: &[&str] = &[
    "zst", "zstd", "gz", "gzip", "bz2", "xz", "lzma", "lz4", "br", "sz", "snappy", "z", "zip", "7z", "rar", "tar",
    "tgz", "tbz2", "txz", "tzst",
];

/// Endings of unfinished downloads.
const UNFINISHED: &[&str] = &["part", "partial", "incomplete", "crdownload"];

/// One input file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its path below the SOURCE that found it, with `/`; for a file given by its path, the file name.
    pub name: String,
    /// Its location.
    pub(crate) place: Location,
    /// Its size on disk.
    pub(crate) bytes: u64,
    /// A tag that changes with its content, if a store gives one.
    pub(crate) tag: Option<String>,
    /// Its compression.
    pub(crate) compression: Compression,
}

impl Source {
    /// A source that is not read any more.
    #[must_use]
    pub(crate) fn absent(name: &str, bytes: u64) -> Self {
        let compression = Compression::of(name).unwrap_or(Compression::None);
        Self { name: name.to_owned(), place: Location::Local(PathBuf::from(name)), bytes, tag: None, compression }
    }

    /// A file or an object at its earlier location.
    ///
    /// # Errors
    ///
    /// [`DiscoverError`] if it is gone.
    pub(crate) fn found(name: &str, place: Location) -> Result<Self, DiscoverError> {
        let compression = Compression::of(name).ok_or_else(|| DiscoverError::Ending(PathBuf::from(name)))?;
        let (bytes, tag) = match &place {
            Location::Local(path) => (fs_err::metadata(path).map_err(|error| missing(path, error))?.len(), None),
            Location::Remote(remote) => {
                let object = remote.head()?.ok_or_else(|| DiscoverError::Nothing(place.to_string()))?;
                (object.bytes, object.tag)
            }
        };
        Ok(Self { name: name.to_owned(), place, bytes, tag, compression })
    }

    fn local(name: String, path: &Path, bytes: u64, compression: Compression) -> Self {
        Self { name, place: Location::Local(path.to_owned()), bytes, tag: None, compression }
    }
}

/// Whether a file that is not a source looks like part of a corpus, by its ending (`docs/reference/sources.md`,
/// "Sources").
fn is_of_a_corpus(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    match name.rsplit_once('.') {
        Some((stem, ending)) if UNFINISHED.contains(&ending) => Compression::of(stem).is_some() || is_of_a_corpus(stem),
        Some((_, ending)) => FORMATS.contains(&ending) || PACKED.contains(&ending),
        None => false,
    }
}

/// The result of the SOURCE arguments.
#[derive(Debug, Default)]
pub struct Discovered {
    /// The sources, sorted by the bytes of their names.
    pub sources: Vec<Source>,
    /// The names of files in the same folders that look like part of a corpus, but cannot be read; sorted.
    pub(crate) passed_over: Vec<String>,
}

/// The sources of all SOURCE arguments, and the files passed over next to them.
///
/// A SOURCE is a file, a folder (searched recursively, without hidden entries and this tool's data sets) or a glob, on
/// a disk or in a store. A file that is found twice under one name counts once.
///
/// # Errors
///
/// [`DiscoverError`] if a SOURCE gives no source, or two different files have one name.
pub fn discover(arguments: &[String]) -> Result<Discovered, DiscoverError> {
    let mut found = Found::default();
    for argument in arguments {
        let (before, passed_over) = (found.sources.len(), found.passed_over.len());
        let location = Location::parse(argument)?;
        let path = location.local().unwrap_or(Path::new(""));
        if let Location::Remote(remote) = &location {
            find(remote, &mut found)?;
        } else if path.is_dir() {
            walk(path, path, &mut found)?;
        } else if path.exists() || !is_glob(&path.to_string_lossy()) {
            let metadata = fs_err::metadata(path).map_err(|error| missing(path, error))?;
            if !metadata.is_file() {
                return Err(DiscoverError::NoFile(path.to_owned()));
            }
            let name = file_name(path)?;
            let compression = Compression::of(&name).ok_or_else(|| DiscoverError::Ending(path.to_owned()))?;
            found.sources.push(Source::local(name, path, metadata.len(), compression));
        } else {
            expand(path.to_str().unwrap_or(argument), &mut found)?;
        }
        if found.sources.len() == before {
            let argument = argument.clone();
            if found.passed_over.len() == passed_over {
                return Err(DiscoverError::Nothing(argument));
            }
            let names: Vec<String> = found.passed_over.into_values().collect();
            return Err(DiscoverError::PassedOver { argument, passed_over: listed(&names) });
        }
    }
    let Found { mut sources, passed_over } = found;
    sources.sort_by_cached_key(|source| (source.name.clone(), source.place.to_string()));
    for pair in sources.windows(2) {
        if pair[0].name == pair[1].name && !same_file(&pair[0].place, &pair[1].place) {
            let (first, second) = (pair[0].place.to_string(), pair[1].place.to_string());
            return Err(DiscoverError::SameName { name: pair[0].name.clone(), first, second });
        }
    }
    sources.dedup_by(|a, b| a.name == b.name);
    for source in &sources {
        check_name(&source.name)?;
    }
    let mut passed_over: Vec<String> = passed_over.into_values().collect();
    passed_over.sort();
    Ok(Discovered { sources, passed_over })
}

/// The source of that name among those found, which are sorted by name.
#[must_use]
pub(crate) fn named<'a>(found: &'a [Source], name: &str) -> Option<&'a Source> {
    found.binary_search_by(|source| source.name.as_str().cmp(name)).ok().map(|place| &found[place])
}

/// The first few names of many.
#[must_use]
pub(crate) fn listed(names: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len().saturating_sub(SHOWN);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// The files found so far.
#[derive(Default)]
struct Found {
    sources: Vec<Source>,
    /// Names, by the files' paths.
    passed_over: BTreeMap<PathBuf, String>,
}

/// Reports a missing path as missing.
fn missing(path: &Path, error: std::io::Error) -> DiscoverError {
    match error.kind() {
        std::io::ErrorKind::NotFound if path.is_symlink() => DiscoverError::DanglingLink(path.to_owned()),
        std::io::ErrorKind::NotFound => DiscoverError::Missing(path.to_owned()),
        _ => error.into(),
    }
}

/// Whether a source may have this name.
///
/// # Errors
///
/// [`DiscoverError`] if it leads out of its folder, or would break a line.
pub(crate) fn check_name(name: &str) -> Result<(), DiscoverError> {
    if name.split('/').any(|part| part == "..") {
        return Err(DiscoverError::ParentFolder(name.to_owned()));
    }
    if name.is_empty() || name.contains(char::is_control) {
        return Err(DiscoverError::ControlCharacter(name.to_owned()));
    }
    Ok(())
}

fn is_hidden(name: &str) -> bool {
    name.starts_with('.') && name != "." && name != ".."
}

/// Whether a folder holds a data set of this tool: its manifest and rejects are not sources.
fn is_data_set(folder: &Path) -> bool {
    folder.join(".ul2-prep").is_dir()
}

fn is_glob(argument: &str) -> bool {
    argument.contains(['*', '?', '['])
}

fn same_file(first: &Location, second: &Location) -> bool {
    match (first.local().map(fs_err::canonicalize), second.local().map(fs_err::canonicalize)) {
        (Some(Ok(first)), Some(Ok(second))) => first == second,
        _ => first == second,
    }
}

/// The objects of a URL, by the rules for files: an object, all objects below a folder, or the matches of a glob.
fn find(remote: &Remote, found: &mut Found) -> Result<(), DiscoverError> {
    let is_pattern = is_glob(remote.key()) && !remote.is_of_the_web();
    if !is_pattern && let Some(object) = remote.head()? {
        let name = remote.file_name().to_owned();
        let compression = Compression::of(&name).ok_or_else(|| DiscoverError::Ending(remote.to_string().into()))?;
        let Object { bytes, tag, .. } = object;
        found.sources.push(Source { name, place: Location::Remote(remote.clone()), bytes, tag, compression });
        return Ok(());
    }
    if remote.is_of_the_web() {
        return Err(DiscoverError::Nothing(remote.to_string()));
    }
    let root = if is_pattern { remote.before(is_glob) } else { remote.clone() };
    let objects = root.list()?;
    let private = |name: &str| name.match_indices(".ul2-prep/").map(|(place, _)| place).next();
    let in_folder = |name: &str, place: usize| place == 0 || name[..place].ends_with('/');
    let data_sets: BTreeSet<&str> = objects
        .iter()
        .filter_map(|object| {
            let place = private(&object.name).filter(|place| in_folder(&object.name, *place))?;
            Some(&object.name[..place])
        })
        .collect();
    let in_data_set = |name: &str| data_sets.iter().any(|folder| name.starts_with(folder));
    let below = remote.key().strip_prefix(root.key()).unwrap_or_default().trim_start_matches('/');
    // A folder is everything in it.
    let glob = Glob::new(if is_pattern { below } else { "*" });
    let has = glob.matcher().map_err(|source| DiscoverError::Pattern { pattern: remote.to_string(), source })?;
    for Object { name, bytes, tag } in &objects {
        if glob.hides(name.split('/')) || in_data_set(name) || !has(name) {
            continue;
        }
        let place = root.join(name);
        if let Some(compression) = Compression::of(name) {
            let place = Location::Remote(place);
            found.sources.push(Source { name: name.clone(), place, bytes: *bytes, tag: tag.clone(), compression });
        } else if is_of_a_corpus(name) {
            found.passed_over.insert(place.to_string().into(), name.clone());
        }
    }
    Ok(())
}

/// A glob, on a disk or in a store: what it matches is used, and all files in the folders that it matches.
struct Glob {
    searched: String,
    names_hidden: bool,
}

impl Glob {
    fn new(pattern: &str) -> Self {
        // A `**` at the end matches only folders; with everything in the first of them, it matches files as well.
        let searched = pattern.strip_suffix("**").map_or_else(|| pattern.to_owned(), |folder| format!("{folder}*"));
        Self { searched, names_hidden: pattern.split(std::path::is_separator).any(is_hidden) }
    }

    /// Whether a name with these parts is left out. As in a shell, and as in the search of folders, only a pattern with
    /// a leading dot matches such a name.
    fn hides<'a>(&self, mut parts: impl Iterator<Item = &'a str>) -> bool {
        !self.names_hidden && parts.any(is_hidden)
    }

    /// The files and folders on this machine that it matches.
    fn paths(&self) -> Result<glob::Paths, glob::PatternError> {
        glob::glob(&self.searched)
    }

    /// Tells whether it matches an object, or a folder that the object is in.
    fn matcher(&self) -> Result<impl Fn(&str) -> bool + use<>, glob::PatternError> {
        let pattern = glob::Pattern::new(&self.searched)?;
        let options = glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        Ok(move |name: &str| {
            let folders = name.match_indices('/').map(|(end, _)| &name[..end]);
            folders.chain([name]).any(|name| pattern.matches_with(name, options))
        })
    }
}

/// Walks a folder; names are paths below `root`.
fn walk(root: &Path, folder: &Path, found: &mut Found) -> Result<(), DiscoverError> {
    let visible = |entry: &walkdir::DirEntry| {
        let hidden = entry.depth() > 0 && entry.file_name().as_encoded_bytes().starts_with(b".");
        !hidden && !is_data_set(entry.path())
    };
    for entry in walkdir::WalkDir::new(folder).follow_links(true).into_iter().filter_entry(visible) {
        let entry = entry?;
        if !entry.file_type().is_dir() {
            add_below(root, entry.path(), found)?;
        }
    }
    Ok(())
}

/// Names are paths below the pattern's longest folder without a wildcard.
fn expand(pattern: &str, found: &mut Found) -> Result<(), DiscoverError> {
    // `./in/*` finds `in/a.jsonl`, so the root is `in`.
    let root: PathBuf = Path::new(pattern)
        .components()
        .take_while(|component| !is_glob(&component.as_os_str().to_string_lossy()))
        .filter(|component| *component != Component::CurDir)
        .collect();
    let glob = Glob::new(pattern);
    let paths = glob.paths().map_err(|source| DiscoverError::Pattern { pattern: pattern.to_owned(), source })?;
    for path in paths {
        let path = path?;
        // The library lets a wildcard after a dot match the folder itself and its parent.
        if dots(&path.to_string_lossy()) > dots(pattern) {
            continue;
        }
        let below = path.strip_prefix(&root).unwrap_or(&path);
        let hidden = glob.hides(below.components().filter_map(|part| part.as_os_str().to_str()));
        let in_data_set = below.ancestors().any(|folder| is_data_set(&root.join(folder)));
        if hidden || in_data_set {
            continue;
        }
        if path.is_dir() {
            walk(&root, &path, found)?;
        } else {
            add_below(&root, &path, found)?;
        }
    }
    Ok(())
}

/// How many parts of a path are `.` or `..`.
fn dots(path: &str) -> usize {
    path.split(std::path::is_separator).filter(|part| matches!(*part, "." | "..")).count()
}

/// Adds the file if its name is a source's, or notes that it looks like one.
fn add_below(root: &Path, path: &Path, found: &mut Found) -> Result<(), DiscoverError> {
    let file_name = path.file_name().unwrap_or_default().to_string_lossy();
    let Some(compression) = Compression::of(&file_name) else {
        if is_of_a_corpus(&file_name) {
            let below = path.strip_prefix(root).unwrap_or(path);
            let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
            found.passed_over.insert(path.to_owned(), parts.join("/"));
        }
        return Ok(());
    };
    let name = name_below(root, path)?;
    let metadata = fs_err::metadata(path)?;
    // Anything other than a file or a folder, such as a pipe, cannot be read twice.
    if metadata.is_file() {
        found.sources.push(Source::local(name, path, metadata.len(), compression));
    } else {
        found.passed_over.insert(path.to_owned(), name);
    }
    Ok(())
}

fn name_below(root: &Path, path: &Path) -> Result<String, DiscoverError> {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Option<Vec<&str>> = below.components().map(|part| part.as_os_str().to_str()).collect();
    Ok(parts.ok_or_else(|| DiscoverError::NotUtf8(path.to_owned()))?.join("/"))
}

fn file_name(path: &Path) -> Result<String, DiscoverError> {
    let name = path.file_name().ok_or_else(|| DiscoverError::Ending(path.to_owned()))?;
    Ok(name.to_str().ok_or_else(|| DiscoverError::NotUtf8(path.to_owned()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_the_compression() {
        assert_eq!(Compression::of("a.jsonl.zst"), Some(Compression::Zstd));
        assert_eq!(Compression::of("a.ndjson.gz"), Some(Compression::Gzip));
        assert_eq!(Compression::of("a.json"), Some(Compression::None));
        assert_eq!(Compression::of("A.JSONL"), Some(Compression::None));
        assert_eq!(Compression::of("a.jsonl.zstd"), Some(Compression::Zstd));
        assert_eq!(Compression::of("a.Json.ZST"), Some(Compression::Zstd));
        for other in ["a.txt", "a.zst", "a.jsonl.bz2", "jsonl", "a.parquet"] {
            assert_eq!(Compression::of(other), None, "{other}");
        }
    }

    #[test]
    fn a_glob_matches_the_same_names_on_a_disk_and_in_a_store() {
        // A hidden folder before the first wildcard would name hidden files.
        let folder = tempfile::Builder::new().prefix("glob").tempdir().unwrap();
        let names =
            ["a.json", "b.json", ".h.json", "x/a.json", "x/y/a.json", "x/.y/a.json", "x/y/.h.json", "[x]/a.json"];
        for name in names {
            fs_err::create_dir_all(folder.path().join(name).parent().unwrap()).unwrap();
            fs_err::write(folder.path().join(name), "").unwrap();
        }
        let mut matched = 0;
        for pattern in [
            "*",
            "**",
            "*.json",
            "*/*.json",
            "**/*.json",
            "x*",
            "x**",
            "x/**",
            "x/*",
            "x/**/a.json",
            "*/**",
            "?.json",
            "[ab].json",
            "[!a].json",
            ".*",
            "x/.*",
            "x/*/.h*",
            "[[]x]/*",
            "*/y",
            "**/y/*",
            "{a,b}.json",
            "**/**",
        ] {
            let mut found = Found::default();
            // The root has no wildcard, and so the two see the same part of the pattern.
            expand(folder.path().join(pattern).to_str().unwrap(), &mut found).unwrap();
            let below = |source: &Source| {
                source.place.local().unwrap().strip_prefix(folder.path()).unwrap().to_str().unwrap().to_owned()
            };
            let on_disk: BTreeSet<String> = found.sources.iter().map(below).collect();
            let glob = Glob::new(pattern);
            let has = glob.matcher().unwrap();
            let in_store = names.iter().filter(|name| !glob.hides(name.split('/')) && has(name));
            assert_eq!(on_disk, in_store.map(ToString::to_string).collect(), "{pattern}");
            matched += on_disk.len();
        }
        assert!(matched > 40, "{matched} matches");
    }

    #[test]
    fn what_looks_like_a_corpus_is_told_from_what_lies_beside_one() {
        for name in [
            "a.jsonl.xz",
            "a.JSONL.BZ2",
            "a.jsonl.lz4",
            "RC_2015-01.zst",
            "dump.tar.gz",
            "a.parquet",
            "a.csv",
            "a.txt.gz",
            "a.jsonl.zst.part",
        ] {
            assert!(is_of_a_corpus(name), "{name}");
        }
        for name in ["README.md", "a.jsonl.zst.sha256", "a.jsonl.idx", "SHA256SUMS", "load.py", "x.part", "txt"] {
            assert!(!is_of_a_corpus(name), "{name}");
        }
    }
}
