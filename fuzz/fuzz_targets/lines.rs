//! Lines in batches, put together again, are what the decompressor gives, cut at line feeds.
//!
//! The first byte chooses how the rest becomes a file: as it is, or (one in eight) unfolded into up to 9 MB of lines of any length and then compressed.
//! The second byte chooses `--max-line`.

#![no_main]

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use ul2_prep::input::InputError;
use ul2_prep::input::batch_reader::BatchReader;
use ul2_prep::input::source::discover;

/// Most bytes that are compared.
const MOST: usize = 9 << 20;

const NAMES: [&str; 3] = ["a.jsonl", "a.jsonl.zst", "a.jsonl.gz"];

thread_local! {
    static FOLDER: tempfile::TempDir = tempfile::tempdir().unwrap();
}

/// Three bytes are a length and what stands there: up to a megabyte of letters, with or without a line feed behind.
fn unfolded(data: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    for run in data.chunks_exact(3) {
        let length = usize::from(run[0]) << (run[1] % 13);
        text.resize(text.len() + length, b'a' + run[1] % 26);
        if run[2] % 4 == 0 {
            text.push(b'\n');
        }
        if text.len() > MOST {
            break;
        }
    }
    text.truncate(MOST);
    text
}

fn compressed(kind: usize, text: &[u8]) -> Vec<u8> {
    match kind {
        0 => text.to_vec(),
        1 => zstd::encode_all(text, 1).unwrap(),
        _ => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(text).unwrap();
            encoder.finish().unwrap()
        }
    }
}

/// What the library makes of the file; `None` if it is damaged.
fn decompressed(kind: usize, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    match kind {
        0 => text.extend_from_slice(bytes),
        1 => drop(zstd::Decoder::new(bytes).unwrap().take(MOST as u64 + 1).read_to_end(&mut text).ok()?),
        _ => drop(flate2::bufread::MultiGzDecoder::new(bytes).take(MOST as u64 + 1).read_to_end(&mut text).ok()?),
    }
    Some(text)
}

fuzz_target!(|data: &[u8]| {
    let [choice, limit, rest @ ..] = data else { return };
    let kind = usize::from(choice % 3);
    let bytes = if choice / 3 % 8 != 1 { rest.to_vec() } else { compressed(kind, &unfolded(rest)) };
    let expected = decompressed(kind, &bytes);
    if expected.as_ref().is_some_and(|text| text.len() > MOST) {
        return;
    }
    let max_line = 1_u64 << (limit % 25);
    FOLDER.with(|folder| check(folder.path(), NAMES[kind], &bytes, max_line, expected.as_deref()));
});

fn check(folder: &std::path::Path, name: &str, bytes: &[u8], max_line: u64, expected: Option<&[u8]>) {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    let sources = discover(&[path.to_str().unwrap().to_owned()]).unwrap().sources;
    let buffers = Arc::default();
    let mut reader = BatchReader::new(&sources, max_line, folder, &buffers);
    let mut lines: Vec<(u64, Vec<u8>)> = Vec::new();
    loop {
        let batch = match reader.next_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => break,
            // A name that contradicts the first bytes is refused before anything is decompressed.
            Err(InputError::Format { .. }) => return,
            Err(error) => {
                assert!(expected.is_none(), "{error:?}");
                return;
            }
        };
        for piece in &batch.pieces {
            lines.extend(batch.lines(piece).map(|(number, line)| (number, line.to_vec())));
        }
        for long in &batch.long_lines {
            let mut line = Vec::new();
            long.file.contents().unwrap().read_to_end(&mut line).unwrap();
            assert!(line.len() as u64 > max_line && line.len() as u64 == long.bytes);
            lines.push((long.line, line));
        }
    }
    let expected = expected.expect("what the library refuses is refused");
    lines.sort_by_key(|(number, _)| *number);
    // Put together again: quicker than to cut what is expected, byte by byte in instrumented code.
    let mut joined = Vec::with_capacity(expected.len() + 1);
    for (wanted, (number, line)) in (1..).zip(&lines) {
        assert_eq!(*number, wanted);
        assert!(!line.contains(&b'\n'), "line {number} holds a line feed");
        joined.extend_from_slice(line);
        joined.push(b'\n');
    }
    let whole = expected.strip_suffix(b"\n").unwrap_or(expected);
    assert_eq!(lines.is_empty(), expected.is_empty());
    assert!(joined.strip_suffix(b"\n").unwrap_or(&joined) == whole, "the lines are not those of the file");
}
