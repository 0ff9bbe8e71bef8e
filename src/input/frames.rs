//! Reads the headers of a Zstandard file for error messages: the decompressor says that a window is too large, but not
//! how large, and that a dictionary is missing, but not which.
//!
//! It follows the frames of RFC 8878 without decompressing them: frame header, block headers, checksum. A good source
//! never gets here.

use std::io::{self, BufReader, Read, Seek};

/// The first window above `allowed` that a frame asks for; the search ends with the file, or where the file is not
/// Zstandard any more.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn window_above(allowed: u64, file: impl Read + Seek) -> io::Result<Option<u64>> {
    first_frame(file, |frame| (frame.window > allowed).then_some(frame.window))
}

/// The ID of the first dictionary that a frame names; the search ends with the file, or where the file is not Zstandard
/// any more.
///
/// # Errors
///
/// If the file cannot be read.
pub(crate) fn dictionary(file: impl Read + Seek) -> io::Result<Option<u32>> {
    first_frame(file, |frame| (frame.dictionary != 0).then_some(frame.dictionary))
}

/// The result of `look` for the first frame header where it finds something.
fn first_frame<T>(file: impl Read + Seek, look: impl Fn(&Frame) -> Option<T>) -> io::Result<Option<T>> {
    let mut file = BufReader::new(file);
    loop {
        let followed = header(&mut file).and_then(|frame| match frame {
            Some(frame) => match look(&frame) {
                None => skip_blocks(&mut file, &frame).map(|()| None),
                found => Ok(Some(found)),
            },
            None => Ok(Some(None)),
        });
        match followed {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

/// The contents of a frame header.
struct Frame {
    window: u64,
    /// The dictionary's ID; 0 if it names none.
    dictionary: u32,
    /// Bytes of a skippable frame, which holds arbitrary data instead of blocks.
    skippable: Option<u64>,
    has_checksum: bool,
}

/// The header of a frame; `None` if the bytes are not one.
fn header(file: &mut BufReader<impl Read + Seek>) -> io::Result<Option<Frame>> {
    let magic = u32::from_le_bytes(bytes(file)?);
    if magic & 0xFFFF_FFF0 == 0x184D_2A50 {
        let length = u64::from(u32::from_le_bytes(bytes(file)?));
        return Ok(Some(Frame { window: 0, dictionary: 0, skippable: Some(length), has_checksum: false }));
    }
    if magic != 0xFD2F_B528 {
        return Ok(None);
    }
    let [descriptor] = bytes(file)?;
    let is_single_segment = descriptor >> 5 & 1 == 1;
    let mut window = 0;
    if !is_single_segment {
        let [byte] = bytes(file)?;
        let base = 1_u64 << (10 + (byte >> 3));
        window = base + base / 8 * u64::from(byte & 7);
    }
    let dictionary = match descriptor & 3 {
        0 => 0,
        1 => u32::from(u8::from_le_bytes(bytes(file)?)),
        2 => u32::from(u16::from_le_bytes(bytes(file)?)),
        _ => u32::from_le_bytes(bytes(file)?),
    };
    let content_size = match descriptor >> 6 {
        0 if is_single_segment => u64::from(u8::from_le_bytes(bytes(file)?)),
        0 => 0,
        1 => 256 + u64::from(u16::from_le_bytes(bytes(file)?)),
        2 => u64::from(u32::from_le_bytes(bytes(file)?)),
        _ => u64::from_le_bytes(bytes(file)?),
    };
    // The window of a single segment is the whole segment.
    let window = if is_single_segment { content_size } else { window };
    Ok(Some(Frame { window, dictionary, skippable: None, has_checksum: descriptor >> 2 & 1 == 1 }))
}

/// Skips the blocks after a header.
fn skip_blocks(file: &mut BufReader<impl Read + Seek>, frame: &Frame) -> io::Result<()> {
    if let Some(length) = frame.skippable {
        return skip(file, length);
    }
    loop {
        let [low, middle, high] = bytes(file)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        // A block of one repeated byte stores only that byte.
        skip(file, if header >> 1 & 3 == 1 { 1 } else { u64::from(header >> 3) })?;
        if header & 1 == 1 {
            break;
        }
    }
    skip(file, if frame.has_checksum { 4 } else { 0 })
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Seeks within the buffer where it can: blocks may be many and small.
fn skip(file: &mut BufReader<impl Read + Seek>, bytes: u64) -> io::Result<()> {
    // At most 2^32 bytes.
    file.seek_relative(bytes.cast_signed())
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write as _};

    use super::*;

    fn frame_with_window(log: u32) -> Vec<u8> {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(log).unwrap();
        encoder.include_checksum(log.is_multiple_of(2)).unwrap();
        encoder.write_all(&vec![b'x'; 300_000]).unwrap();
        encoder.write_all("something else\n".repeat(10_000).as_bytes()).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn the_first_window_above_what_is_allowed_is_found() {
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let file = [&skippable[..], &frame_with_window(20), &frame_with_window(27), &frame_with_window(11)].concat();
        let above = |log: u32, file: &[u8]| window_above(1 << log, Cursor::new(file)).unwrap();
        assert_eq!(above(20, &file), Some(1 << 27));
        assert_eq!(above(19, &file), Some(1 << 20));
        assert_eq!(above(27, &file), None);
        assert_eq!(above(20, &file[..40]), None);
        assert_eq!(above(19, &file[..40]), Some(1 << 20));
        assert_eq!(above(10, b"plain text"), None);
        assert_eq!(above(10, b""), None);
    }

    #[test]
    fn the_dictionary_that_a_frame_names_is_found() {
        let frame = |id: &[u8]| {
            let flag = [0, 1, 2, 0, 3][id.len()];
            [&[0x28, 0xB5, 0x2F, 0xFD, flag, 0x50], id, &[0x01, 0, 0]].concat()
        };
        let named = |file: &[u8]| dictionary(Cursor::new(file)).unwrap();
        assert_eq!(named(&frame(&[])), None);
        assert_eq!(named(&[frame(&[]), frame(&[42])].concat()), Some(42));
        assert_eq!(named(&frame(&[1, 2])), Some(0x0201));
        assert_eq!(named(&frame(&[1, 2, 3, 4])), Some(0x0403_0201));
        assert_eq!(named(&frame(&[1, 2])[..7]), None);
    }
}
