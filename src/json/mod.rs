//! JSON values.

pub(crate) mod difference;

use serde::Serialize;

/// JSON for people and for digests: sorted keys, indented, a line feed at the end.
///
/// # Panics
///
/// Never: JSON can hold everything in the records.
#[must_use]
pub fn to_json(value: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "string keys, finite numbers")]
    let value = serde_json::to_value(value).expect("plain data"); // a map of `serde_json` is sorted
    let mut text = format!("{value:#}");
    text.push('\n');
    text.into_bytes()
}
