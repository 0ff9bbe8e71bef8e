//! Digests of files and rows.

use std::fmt::Write as _;

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The first eight hex digits of the SHA-256, for names.
#[must_use]
pub fn short(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    hex(&Sha256::digest(bytes)[..4])
}

/// The bytes that [`hex`] wrote; `None` if the text is not hex.
#[must_use]
pub fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// SHA-256 of a JSON value in its compact form with sorted keys, in hex.
#[must_use]
pub fn fingerprint(json: &serde_json::Value) -> String {
    use sha2::{Digest as _, Sha256};
    hex(&Sha256::digest(json.to_string()))
}
