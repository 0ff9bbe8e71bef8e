//! Digests of files and rows.

use std::fmt::Write as _;
use std::io;

use sha2::{Digest as _, Sha256};

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

/// The bytes that [`hex`] wrote; `None` if the text is not hex.
#[must_use]
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

/// SHA-256 of a JSON value in its compact form with sorted keys, in hex.
#[must_use]
pub(crate) fn fingerprint(json: &serde_json::Value) -> String {
    sha256(json.to_string().as_bytes())
}

/// SHA-256 in hex.
#[must_use]
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The number of bytes to the end of a reader, and their SHA-256.
///
/// # Errors
///
/// If they cannot be read.
pub(crate) fn read(mut reader: impl io::Read) -> io::Result<(u64, [u8; 32])> {
    let (mut sha256, mut bytes) = (Sha256::new(), 0);
    let mut buffer = vec![0; 1 << 17];
    loop {
        let read = match reader.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        if read == 0 {
            return Ok((bytes, sha256.finalize().into()));
        }
        sha256.update(&buffer[..read]);
        bytes += read as u64;
    }
}
