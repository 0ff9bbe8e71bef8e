//! Reads small files whole, up to a limit, and opens plain files: a name may belong to anything.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

use fs_err as fs;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::system::open_without_waiting;

/// Most values of a spec and of a list of columns: in memory each takes thirty times its bytes.
const MOST_VALUES: u32 = 1 << 20;

/// Most bytes of a manifest, of sums, of a plan and of the file next to it: they are read as a whole.
pub(crate) const MOST: u64 = 1 << 30;

/// Most bytes of a commit record, which describes one shard.
pub(crate) const MOST_RECORD: u64 = 256 << 20;

/// Opens a plain file, or the one that a link leads to: download caches use links. It opens nothing else: a pipe would
/// wait for a writer, and a device may never end.
///
/// # Errors
///
/// If it cannot be opened, or is something else. The message carries the path.
pub(crate) fn open(path: &Path) -> io::Result<fs::File> {
    let plain = |metadata: std::fs::Metadata| {
        if metadata.is_file() { Ok(()) } else { Err(not_plain(&format!("`{}`", path.display()))) }
    };
    // The name may refer to something else a moment later: check what was opened, and open it without waiting.
    plain(fs::metadata(path)?)?;
    let mut options = fs::OpenOptions::new();
    options.read(true);
    open_without_waiting(&mut options);
    let file = options.open(path)?;
    plain(file.metadata()?)?;
    Ok(file)
}

/// The error for something that is not a plain file.
#[must_use]
pub(crate) fn not_plain(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("{what} is not a plain file"))
}

/// The error for a file of more than `most` bytes.
#[must_use]
pub(crate) fn too_large(what: &str, most: u64) -> io::Error {
    let message = format!("{what} has more than the {most} bytes that such a file may have");
    io::Error::new(ErrorKind::FileTooLarge, message)
}

/// The bytes of a plain file.
///
/// # Errors
///
/// If it is something else, cannot be read, or has more than `most` bytes ([`ErrorKind::FileTooLarge`]). The message carries the path.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let file = open(path)?;
    if file.metadata()?.len() > most {
        return Err(too_large(&format!("`{}`", path.display()), most));
    }
    whole(file, path, most)
}

/// Like [`read`], for a file that the user names and that may be a pipe from another command.
///
/// # Errors
///
/// If it cannot be read, or has more than `most` bytes.
pub(crate) fn read_any(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    whole(fs::File::open(path)?, path, most)
}

/// Does not rely on the size that the system reports: a pipe or a device has none, and a file may grow.
fn whole(file: impl Read, path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(too_large(&format!("`{}`", path.display()), most));
    }
    Ok(bytes)
}

/// A JSON value from a file, with a bounded number of values: for `serde`.
///
/// # Errors
///
/// If it has more.
pub(crate) fn value<'de, D: Deserializer<'de>>(json: D) -> Result<Value, D::Error> {
    Limited(&Cell::new(MOST_VALUES)).deserialize(json)
}

/// A list of texts from a file, of bounded length: for `serde`.
///
/// # Errors
///
/// If it has more, or something else.
pub(crate) fn texts<'de, D: Deserializer<'de>>(json: D) -> Result<Vec<String>, D::Error> {
    let Value::Array(values) = value(json)? else { return Err(D::Error::custom("expected a list of texts")) };
    let text = |value| match value {
        Value::String(text) => Ok(text),
        _ => Err(D::Error::custom("expected a list of texts")),
    };
    values.into_iter().map(text).collect()
}

/// Makes a value as long as some are left.
struct Limited<'a>(&'a Cell<u32>);

impl Limited<'_> {
    fn one<E: Error>(self, value: Value) -> Result<Value, E> {
        let left = self.0.get().checked_sub(1);
        self.0.set(left.ok_or_else(|| E::custom(format!("it has more than {MOST_VALUES} values")))?);
        Ok(value)
    }
}

impl<'de> DeserializeSeed<'de> for Limited<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Value, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Limited<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        self.one(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        self.one(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        self.one(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut json: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = json.next_element_seed(Limited(self.0))? {
            values.push(value);
        }
        self.one(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut json: A) -> Result<Value, A::Error> {
        let mut values = Map::new();
        while let Some(key) = json.next_key()? {
            values.insert(key, json.next_value_seed(Limited(self.0))?);
        }
        self.one(values.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_have_exactly_as_many_bytes_as_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        assert_eq!(read(&path, 4).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read_any(Path::new("/dev/zero"), 9).unwrap_err().kind(), ErrorKind::FileTooLarge);
        assert_eq!(read(&folder.path().join("b"), 9).unwrap_err().kind(), ErrorKind::NotFound);
    }

    #[test]
    #[cfg(unix)]
    fn nothing_but_a_plain_file_is_opened_and_nothing_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/zero"), folder.path()] {
            let error = read(path, 9).unwrap_err();
            assert_eq!(error.to_string(), format!("`{}` is not a plain file", path.display()));
        }
    }
}
