//! Reads the text of a record whose first key is the text's, as in most files.
//!
//! This code unescapes the text in one pass; `serde_json` would copy it through a growing buffer. `serde_json` still
//! decides whether the line is a record: it reads everything after the text. Lines that do not start with a plain
//! string at this key, and all lines that `serde_json` would refuse, are left to it entirely, so that messages have one
//! source.

use std::borrow::Cow;

use memchr::memchr2;

/// JSON's white space.
const SPACE: [char; 4] = [' ', '\t', '\n', '\r'];

/// The text at `key`, and the record without it: an object with another string in its place, at the key `""`. The rest
/// of both is read alike. `None` if the record does not begin with a string at that key.
pub(super) fn leading_text<'a>(line: &'a str, key: &str) -> Option<(Cow<'a, str>, String)> {
    // Such a key is written with escapes, or cannot be told from the key in the remaining record.
    if key.is_empty() || key.bytes().any(|byte| matches!(byte, ..b' ' | b'"' | b'\\')) {
        return None;
    }
    let after_key = symbol(symbol(line, '{')?, '"')?.strip_prefix(key)?.strip_prefix('"')?;
    let (text, others) = unescape(symbol(symbol(after_key, ':')?, '"')?)?;
    Some((text, ["{\"\":\"\"", others].concat()))
}

/// The rest after white space and `symbol`.
fn symbol(json: &str, symbol: char) -> Option<&str> {
    json.trim_start_matches(SPACE).strip_prefix(symbol)
}

/// The string whose opening quote is just before `json`, and the rest after its closing quote. `None` if it is not a
/// string that `serde_json` accepts.
fn unescape(json: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut text = String::new();
    let mut rest = json;
    loop {
        let (plain, special) = rest.split_at(memchr2(b'"', b'\\', rest.as_bytes())?);
        if let Some(after) = special.strip_prefix('"') {
            let raw = &json[..json.len() - special.len()];
            // Without an early exit, the compiler can check many bytes at once.
            if raw.bytes().fold(0, |found, byte| found | u8::from(byte < b' ')) != 0 {
                return None;
            }
            let text = if plain.len() == raw.len() {
                Cow::Borrowed(raw)
            } else {
                text.push_str(plain);
                Cow::Owned(text)
            };
            return Some((text, after));
        }
        // An escape is never shorter than its character.
        text.reserve(rest.len());
        text.push_str(plain);
        let (escaped, after) = escape(&special[1..])?;
        text.push(escaped);
        rest = after;
    }
}

/// The character of the escape whose `\` is just before `json`, and the rest after it.
fn escape(json: &str) -> Option<(char, &str)> {
    let letter = json.chars().next()?;
    let after = &json[letter.len_utf8()..];
    let escaped = match letter {
        '"' | '\\' | '/' => letter,
        'b' => '\u{8}',
        'f' => '\u{C}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => return code_point(after),
        _ => return None,
    };
    Some((escaped, after))
}

/// The character of four hex digits, or of eight: two surrogates.
fn code_point(json: &str) -> Option<(char, &str)> {
    let (unit, after) = hex(json)?;
    if let Some(escaped) = char::from_u32(unit) {
        return Some((escaped, after));
    }
    let (low, after) = hex(after.strip_prefix("\\u")?)?;
    let pair = [unit, low].map(|unit| u16::try_from(unit).unwrap_or_default());
    let escaped = char::decode_utf16(pair).next()?.ok()?;
    Some((escaped, after))
}

fn hex(json: &str) -> Option<(u32, &str)> {
    let (digits, after) = json.split_at_checked(4)?;
    let mut unit = 0;
    for digit in digits.chars() {
        unit = unit << 4 | digit.to_digit(16)?;
    }
    Some((unit, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<(String, String)> {
        leading_text(line, "text").map(|(text, others)| (text.into_owned(), others))
    }

    #[test]
    fn the_text_and_what_is_left() {
        let found = |line, text: &str, others: &str| assert_eq!(read(line), Some((text.to_owned(), others.to_owned())));
        found(r#"{"text":"a","b":"\u00e9"}"#, "a", r#"{"":"","b":"\u00e9"}"#);
        found(" {\t\"text\" : \"é\" }\r", "é", "{\"\":\"\" }\r");
        found(
            r#"{"text":"\"\\\/\b\f\n\r\t.\u00e9\u20AC\uD83d\uDe00\u0000"}"#,
            "\"\\/\u{8}\u{C}\n\r\t.é€😀\0",
            "{\"\":\"\"}",
        );
        assert!(matches!(leading_text(r#"{"text":"plain"}"#, "text"), Some((Cow::Borrowed("plain"), _))));
    }

    #[test]
    fn what_is_no_string_is_left_to_others() {
        for string in [
            r"a",
            r"a\",
            r#"\x""#,
            r#"\u12""#,
            r#"\u+123""#,
            r#"\u12é""#,
            r#"\ud83d""#,
            r#"\ude00""#,
            r#"\ud83d\n""#,
            r#"\ud83d\u0041""#,
            "\t\"",
            "a\n\\n\"",
            "\\",
            "\\é\"",
        ] {
            assert_eq!(read(&format!("{{\"text\":\"{string}")), None, "{string}");
        }
        for line in [
            "",
            "[",
            "{",
            r#"{"b":0,"text":"a"}"#,
            r#"{"text":["a"]}"#,
            r#"{"texts":"a"}"#,
            r#"{"t\u0065xt":"a"}"#,
            r#"x{"text":"a"}"#,
        ] {
            assert_eq!(read(line), None, "{line}");
        }
        for key in ["", "a\"", "a\\", "a\n"] {
            assert!(leading_text(&format!("{{\"{key}\":\"a\"}}"), key).is_none(), "{key}");
        }
    }
}
