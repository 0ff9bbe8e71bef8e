//! The headers of a Zstandard file, for messages: the decompressor says that a window is too large, but not how large.
//!
//! It follows the frames of RFC 8878 without decompressing them: frame header, block headers, checksum. Nothing here is on the way of
//! a good source.

use std::io::{self, Read, Seek, SeekFrom};

/// The largest window that a frame asks for, up to where the file ends or is no Zstandard any more.
///
/// # Errors
///
/// If the file cannot be read.
pub fn largest_window(mut file: impl Read + Seek) -> io::Result<u64> {
    let mut largest = 0;
    loop {
        let step = frame(&mut file, &mut largest);
        match step {
            Ok(true) => {}
            Ok(false) => return Ok(largest),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(largest),
            Err(error) => return Err(error),
        }
    }
}

/// Goes over a frame. Whether it was one.
fn frame(file: &mut (impl Read + Seek), largest: &mut u64) -> io::Result<bool> {
    let magic = u32::from_le_bytes(bytes(file)?);
    if magic & 0xFFFF_FFF0 == 0x184D_2A50 {
        let length = u32::from_le_bytes(bytes(file)?);
        return skip(file, u64::from(length)).map(|()| true);
    }
    if magic != 0xFD2F_B528 {
        return Ok(false);
    }
    let [descriptor] = bytes(file)?;
    let is_single_segment = descriptor >> 5 & 1 == 1;
    let mut window = 0;
    if !is_single_segment {
        let [byte] = bytes(file)?;
        let base = 1_u64 << (10 + (byte >> 3));
        window = base + base / 8 * u64::from(byte & 7);
    }
    skip(file, [0, 1, 2, 4][usize::from(descriptor & 3)])?;
    let content_size = match descriptor >> 6 {
        0 if is_single_segment => u64::from(u8::from_le_bytes(bytes(file)?)),
        0 => 0,
        1 => 256 + u64::from(u16::from_le_bytes(bytes(file)?)),
        2 => u64::from(u32::from_le_bytes(bytes(file)?)),
        _ => u64::from_le_bytes(bytes(file)?),
    };
    // The window of a single segment is all of it.
    *largest = (*largest).max(if is_single_segment { content_size } else { window });
    loop {
        let [low, middle, high] = bytes(file)?;
        let header = u32::from_le_bytes([low, middle, high, 0]);
        // A block of one repeated byte holds that byte alone.
        skip(file, if header >> 1 & 3 == 1 { 1 } else { u64::from(header >> 3) })?;
        if header & 1 == 1 {
            break;
        }
    }
    skip(file, if descriptor >> 2 & 1 == 1 { 4 } else { 0 })?;
    Ok(true)
}

fn bytes<const N: usize>(file: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn skip(file: &mut impl Seek, bytes: u64) -> io::Result<()> {
    // At most 2^32 bytes.
    file.seek(SeekFrom::Current(bytes.cast_signed())).map(drop)
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
    fn the_largest_window_of_all_frames_is_found() {
        let skippable = [0x50, 0x2A, 0x4D, 0x18, 3, 0, 0, 0, 1, 2, 3];
        let file = [&skippable[..], &frame_with_window(20), &frame_with_window(27), &frame_with_window(11)].concat();
        assert_eq!(largest_window(Cursor::new(&file)).unwrap(), 1 << 27);
        assert_eq!(largest_window(Cursor::new(&file[..40])).unwrap(), 1 << 20);
        assert_eq!(largest_window(Cursor::new(b"plain text")).unwrap(), 0);
        assert_eq!(largest_window(Cursor::new(b"")).unwrap(), 0);
    }
}
