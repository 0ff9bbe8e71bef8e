//! Reads a line's text, or the reason for its rejection.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::input::leading_text::leading_text;
use crate::reject::{Reason, Rejected};

/// The path to the text in a record: the keys of nested objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(Vec<String>);

impl FieldPath {
    /// The path that `text` or `a.b` names.
    #[must_use]
    pub fn new(path: &str) -> Self {
        Self(path.split('.').map(str::to_owned).collect())
    }
}

/// Whether the line is blank, which is neither a record nor a reject.
#[must_use]
pub fn is_blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

/// The first line of a source without the byte order mark, which is not part of its record.
#[must_use]
pub fn without_mark(line: u64, bytes: &[u8]) -> &[u8] {
    let mark = if line == 1 { bytes.strip_prefix(b"\xEF\xBB\xBF") } else { None };
    mark.unwrap_or(bytes)
}

/// The text of a record. Borrowed from the line unless it holds escapes.
///
/// If a key occurs twice, the last one counts, as in Python's and most other JSON readers.
///
/// # Errors
///
/// The reason why the line has no text.
pub fn text<'a>(line: &'a [u8], path: &FieldPath) -> Result<Cow<'a, str>, Rejected> {
    let line = std::str::from_utf8(line).map_err(|error| {
        let detail = format!("byte {} of the line is not UTF-8", error.valid_up_to() + 1);
        Rejected::new(Reason::InvalidUtf8, detail)
    })?;
    if let [key] = path.0.as_slice()
        && let Some((text, others)) = leading_text(line, key)
        && !text.is_empty()
        && matches!(field(&others, path), Ok(Found::Missing { .. }))
    {
        return Ok(text);
    }
    any_text(line, path)
}

/// The text, wherever it is in the record.
fn any_text<'a>(line: &'a str, path: &FieldPath) -> Result<Cow<'a, str>, Rejected> {
    match field(line, path) {
        Err(error) => Err(Rejected::new(Reason::InvalidJson, without_line(&error))),
        Ok(Found::Text(text)) if text.is_empty() => Err(Rejected::new(Reason::EmptyText, "the text is empty")),
        Ok(Found::Text(text)) => Ok(text),
        Ok(Found::NoString(kind)) => Err(Rejected::new(Reason::TextNotAString, format!("the field is {kind}"))),
        Ok(Found::NoObject(kind)) => Err(Rejected::new(Reason::NotAnObject, format!("the line is {kind}"))),
        Ok(Found::NoObjectAt { key, kind }) => {
            Err(Rejected::new(Reason::MissingText, format!("the field `{key}` is {kind}, not an object")))
        }
        Ok(Found::Missing { keys }) => Err(Rejected::new(Reason::MissingText, keys_found(&keys))),
    }
}

fn field<'a>(line: &'a str, path: &FieldPath) -> serde_json::Result<Found<'a>> {
    let mut json = serde_json::Deserializer::from_str(line);
    let found = Field { keys: &path.0 }.deserialize(&mut json)?;
    json.end().map(|()| found)
}

/// `serde_json` counts lines inside the record, which is always its first.
fn without_line(error: &serde_json::Error) -> String {
    error.to_string().replace(" at line 1 column ", " at byte ")
}

fn keys_found(keys: &[Cow<'_, str>]) -> String {
    match keys {
        [] => "the record has no keys".to_owned(),
        keys => format!("the record has the keys `{}`", keys.join("`, `")),
    }
}

/// The beginning of a key, short enough for a message.
fn shown(key: Cow<'_, str>) -> Cow<'_, str> {
    let end = key.char_indices().nth(40).map_or(key.len(), |(end, _)| end);
    match key {
        Cow::Borrowed(key) => Cow::Borrowed(&key[..end]),
        Cow::Owned(key) => Cow::Owned(key[..end].to_owned()),
    }
}

/// The value found at a path.
enum Found<'a> {
    Text(Cow<'a, str>),
    NoString(&'static str),
    NoObject(&'static str),
    NoObjectAt { key: String, kind: &'static str },
    Missing { keys: Vec<Cow<'a, str>> },
}

/// Looks for `keys` in the current value and skips everything else.
#[derive(Clone, Copy)]
struct Field<'k> {
    keys: &'k [String],
}

/// Keys that a message about a missing field lists at most.
const KEYS_SHOWN: usize = 8;

impl<'de> DeserializeSeed<'de> for Field<'_> {
    type Value = Found<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Found<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Field<'_> {
    /// A value that is neither the text nor an object on the way to it.
    fn other<'de>(self, kind: &'static str) -> Found<'de> {
        if self.keys.is_empty() { Found::NoString(kind) } else { Found::NoObject(kind) }
    }
}

impl<'de> Visitor<'de> for Field<'_> {
    type Value = Found<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Found<'de>, A::Error> {
        let Some((wanted, rest)) = self.keys.split_first() else {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Found::NoString("an object"));
        };
        let mut found = None;
        let mut keys = Vec::new();
        while let Some(Key(key)) = map.next_key()? {
            if key == wanted.as_str() {
                let inner = map.next_value_seed(Field { keys: rest })?;
                // If a value on the way is not an object, the text is missing; the line is still an object.
                found = Some(match inner {
                    Found::NoObject(kind) => Found::NoObjectAt { key: wanted.clone(), kind },
                    inner => inner,
                });
            } else {
                if keys.len() < KEYS_SHOWN && found.is_none() {
                    keys.push(shown(key));
                }
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found.unwrap_or(Found::Missing { keys }))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Found<'de>, E> {
        Ok(if self.keys.is_empty() { Found::Text(Cow::Borrowed(text)) } else { self.other("a string") })
    }

    fn visit_str<E>(self, text: &str) -> Result<Found<'de>, E> {
        Ok(if self.keys.is_empty() { Found::Text(Cow::Owned(text.to_owned())) } else { self.other("a string") })
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut items: A) -> Result<Found<'de>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other("an array"))
    }

    fn visit_unit<E>(self) -> Result<Found<'de>, E> {
        Ok(self.other("null"))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Found<'de>, E> {
        Ok(self.other("a boolean"))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Found<'de>, E> {
        Ok(self.other("a number"))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Found<'de>, E> {
        Ok(self.other("a number"))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Found<'de>, E> {
        Ok(self.other("a number"))
    }
}

/// A key, borrowed unless it holds escapes.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]
        #[test]
        fn a_text_read_the_short_way_is_what_serde_json_reads(
            inside in vec(select(parts()), 0..6),
            behind in vec(select(parts()), 0..4),
            is_closed in any::<bool>(),
        ) {
            let inside = inside.concat().replace('"', "'");
            let line = format!("{{\"text\":\"{inside}\"{}{}", behind.concat(), if is_closed { "}" } else { "" });
            let path = FieldPath::new("text");
            prop_assert_eq!(format!("{:?}", text(line.as_bytes(), &path)), format!("{:?}", any_text(&line, &path)));
        }
    }

    /// Parts of records whose text comes first, valid and invalid.
    fn parts() -> Vec<&'static str> {
        let marks = r#"a é " "" , : ,"x":1 ,"text":"b" ,"text":0 ,"text":"" ,"":1 ,"y":[{"text":1}] } {} [ ] \n \\ \" \/ \u00e9 \ud83d \ude00 \u \ "#;
        let numbers = "0 -1 .5 e5 E+5 1e999 - tru true null";
        marks.split(' ').chain(numbers.split(' ')).chain([" ", "\t", "\r"]).collect()
    }

    fn read(line: &str) -> Result<String, String> {
        read_at("text", line)
    }

    fn read_at(path: &str, line: &str) -> Result<String, String> {
        let found = text(line.as_bytes(), &FieldPath::new(path));
        found.map(Cow::into_owned).map_err(|rejected| format!("{}: {}", rejected.reason, rejected.detail))
    }

    #[test]
    fn a_text_is_found_wherever_it_stands() {
        assert_eq!(read(r#"{"meta":{"text":1},"text":"a\u00e9\n"}"#).unwrap(), "aé\n");
        assert_eq!(read(r#"{"text":"first","text":"last"}"#).unwrap(), "last");
        assert_eq!(read_at("a.b", r#"{"a":{"x":[1,{}],"b":"deep"}} "#).unwrap(), "deep");
        assert!(matches!(text(br#"{"text":"plain"}"#, &FieldPath::new("text")), Ok(Cow::Borrowed("plain"))));
    }

    #[test]
    fn each_bad_line_has_its_reason() {
        let reason = |line| read(line).unwrap_err();
        assert_eq!(reason("{"), "invalid-json: EOF while parsing an object at byte 1");
        assert_eq!(reason(r#"{"text":"a"} x"#), "invalid-json: trailing characters at byte 14");
        assert_eq!(reason(r#"{"text":"a".5}"#), "invalid-json: expected `,` or `}` at byte 12");
        assert_eq!(reason(r#"{"text":"a"e5,"b":1}"#), "invalid-json: expected `,` or `}` at byte 12");
        assert_eq!(reason("[1]"), "not-an-object: the line is an array");
        assert_eq!(reason("3"), "not-an-object: the line is a number");
        assert_eq!(reason("{}"), "missing-text: the record has no keys");
        assert_eq!(reason(r#"{"id":1,"body":""}"#), "missing-text: the record has the keys `id`, `body`");
        assert_eq!(reason(r#"{"text":null}"#), "text-not-a-string: the field is null");
        assert_eq!(reason(r#"{"text":{"a":1}}"#), "text-not-a-string: the field is an object");
        assert_eq!(reason(r#"{"text":""}"#), "empty-text: the text is empty");
        assert_eq!(read_at("a.b", r#"{"a":1}"#).unwrap_err(), "missing-text: the field `a` is a number, not an object");
        assert_eq!(
            text(b"{\"text\":\"\xFF\"}", &FieldPath::new("text")).unwrap_err().detail,
            "byte 10 of the line is not UTF-8"
        );
    }

    #[test]
    fn a_million_levels_take_no_stack() {
        let levels = 1_000_000;
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        let objects = format!("{}1{}", r#"{"a":"#.repeat(levels), "}".repeat(levels));
        let read_all = move || {
            let reason = |line: &str| {
                let found = text(line.as_bytes(), &FieldPath::new("text"));
                found.map(Cow::into_owned).map_err(|rejected| rejected.reason)
            };
            assert_eq!(reason(&format!(r#"{{"a":{open}{close},"text":"b"}}"#)).unwrap(), "b");
            assert_eq!(reason(&format!(r#"{{"text":"b","a":{objects}}}"#)).unwrap(), "b");
            assert_eq!(reason(&format!(r#"{{"text":{open}{close}}}"#)), Err(Reason::TextNotAString));
            assert_eq!(reason(&format!(r#"{{"text":{objects}}}"#)), Err(Reason::TextNotAString));
            assert_eq!(reason(&format!("{open}{close}")), Err(Reason::NotAnObject));
            assert_eq!(reason(&objects), Err(Reason::MissingText));
            assert_eq!(reason(&open), Err(Reason::InvalidJson));
            assert_eq!(reason(&format!(r#"{{"text":{open}"#)), Err(Reason::InvalidJson));
        };
        std::thread::Builder::new().stack_size(128 << 10).spawn(read_all).unwrap().join().unwrap();
    }

    #[test]
    fn a_path_of_many_keys_takes_no_stack() {
        let (line, path) = (r#"{"a":"#.repeat(200) + "1" + &"}".repeat(200), ["a"; 200].join("."));
        let rejected = text(line.as_bytes(), &FieldPath::new(&path)).unwrap_err();
        assert_eq!(rejected.reason, Reason::InvalidJson);
        assert!(rejected.detail.starts_with("recursion limit exceeded"), "{}", rejected.detail);
    }

    #[test]
    fn a_lone_surrogate_is_invalid_json() {
        assert!(read(r#"{"text":"\ud800"}"#).unwrap_err().starts_with("invalid-json"));
    }
}
