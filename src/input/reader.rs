//! One source, opened and decompressed.

use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};

use flate2::bufread::GzDecoder;
use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::input::InputError;
use crate::input::compression::Compression;
use crate::input::limits::Limits;
use crate::input::source::Source;
use crate::store::{Location, Object, Pieces};

/// Bytes requested from the file at a time.
const FILE_BUFFER: usize = 1 << 17;

/// Decompressed bytes that any source may have, however small its file is.
pub(crate) const FREE_EXPANSION: u64 = 1 << 30;

/// A source as decompressed bytes. Counts and digests the file's own bytes on the way.
pub(crate) struct SourceReader {
    decoder: Decoder,
    /// Decompressed bytes so far.
    text_bytes: u64,
    limits: Limits,
}

enum Decoder {
    None(BufReader<Digesting>),
    Zstd(Box<zstd::Decoder<'static, BufReader<Digesting>>>),
    Gzip(Box<Members>),
}

/// A digest of the part of the file that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileDigest {
    /// Bytes read.
    pub(crate) bytes: u64,
    /// SHA-256 of these bytes.
    pub(crate) sha256: [u8; 32],
}

impl SourceReader {
    /// Opens a source.
    ///
    /// # Errors
    ///
    /// [`InputError`] if it cannot be opened, or its first bytes are not of the compression its name says.
    pub(crate) fn open(source: &Source, limits: Limits) -> Result<Self, InputError> {
        let read_error = |cause| InputError::Read { source_name: source.name.clone(), line: 0, cause };
        let mut file = SourceFile::open(source).map_err(read_error)?;
        check_format(source, &mut file)?;
        let file = Digesting { file, bytes: 0, sha256: Sha256::new() };
        let buffered = BufReader::with_capacity(FILE_BUFFER, file);
        let decoder = match source.compression {
            Compression::None => Decoder::None(buffered),
            Compression::Gzip => Decoder::Gzip(Box::new(Members { member: Some(GzDecoder::new(buffered)) })),
            Compression::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(buffered).map_err(read_error)?;
                decoder.window_log_max(limits.window_log()).map_err(read_error)?;
                Decoder::Zstd(Box::new(decoder))
            }
        };
        Ok(Self { decoder, text_bytes: 0, limits })
    }

    /// The digest of the file so far, read-ahead included.
    #[must_use]
    pub(crate) fn digest(&self) -> FileDigest {
        let file = self.file();
        FileDigest { bytes: file.bytes, sha256: file.sha256.clone().finalize().into() }
    }

    /// Bytes of the file that have been read so far.
    #[must_use]
    pub(crate) fn file_bytes(&self) -> u64 {
        self.file().bytes
    }

    /// Whether the source decompresses to more than it may: decompressed bytes so far, and the bytes of the file they
    /// came from.
    #[must_use]
    pub(crate) fn expands_too_far(&self) -> Option<(u64, u64)> {
        let (text, file) = (self.text_bytes, self.file_bytes());
        (text > FREE_EXPANSION && text / self.limits.expansion.max(1) > file).then_some((text, file))
    }

    fn file(&self) -> &Digesting {
        match &self.decoder {
            Decoder::None(reader) => reader.get_ref(),
            Decoder::Zstd(decoder) => decoder.get_ref().get_ref(),
            Decoder::Gzip(members) => members.file(),
        }
    }
}

impl Read for SourceReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match &mut self.decoder {
            Decoder::None(reader) => reader.read(buffer),
            Decoder::Zstd(decoder) => decoder.read(buffer),
            Decoder::Gzip(members) => members.read(buffer),
        }?;
        self.text_bytes += read as u64;
        Ok(read)
    }
}

/// The members of a gzip file, one after the other. After the last one the file ends, or has only zeros, as tapes and
/// archives pad it.
struct Members {
    /// The current member, or the last one. It is `None` only while it is replaced.
    member: Option<GzDecoder<BufReader<Digesting>>>,
}

impl Members {
    #[expect(clippy::expect_used, reason = "it is only replaced")]
    fn file(&self) -> &Digesting {
        self.member.as_ref().expect("there is a member").get_ref().get_ref()
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() || ends(member.get_mut())? {
                return Ok(read);
            }
            self.member = self.member.take().map(|member| GzDecoder::new(member.into_inner()));
        }
        Ok(0)
    }
}

/// Whether only zeros follow a member. It reads these too: the digest covers all bytes of a file.
fn ends(file: &mut BufReader<Digesting>) -> io::Result<bool> {
    let mut is_padded = false;
    loop {
        let bytes = file.fill_buf()?;
        match bytes.iter().position(|&byte| byte != 0) {
            None if bytes.is_empty() => return Ok(true),
            None => {}
            Some(0) if !is_padded => return Ok(false),
            Some(_) => {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "other bytes follow the zeros after a gzip member",
                ));
            }
        }
        is_padded = true;
        let zeros = bytes.len();
        file.consume(zeros);
    }
}

/// Refuses a file whose first bytes contradict its name, with a better message than the decompressor's.
fn check_format(source: &Source, file: &mut SourceFile) -> Result<(), InputError> {
    let read_error = |cause| InputError::Read { source_name: source.name.clone(), line: 0, cause };
    let mut start = Vec::new();
    file.take(4).read_to_end(&mut start).map_err(read_error)?;
    file.seek(SeekFrom::Start(0)).map_err(read_error)?;
    // An empty compressed file is not a valid stream without lines: even the header is missing.
    let found = match start.as_slice() {
        [] if source.compression == Compression::None => return Ok(()),
        [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Compression::Zstd,
        [0x1F, 0x8B, ..] => Compression::Gzip,
        _ => Compression::None,
    };
    if found == source.compression {
        return Ok(());
    }
    let ending = source.name.rfind('.').map_or("", |dot| &source.name[dot..]);
    let found = match found {
        _ if start.is_empty() => "empty",
        Compression::Zstd => "Zstandard",
        Compression::Gzip => "gzip",
        Compression::None => "neither Zstandard nor gzip",
    };
    Err(InputError::Format { source_name: source.name.clone(), ending: ending.to_owned(), found })
}

/// The bytes of a source as stored, on a disk or in a store.
pub(crate) enum SourceFile {
    /// On a disk.
    Local(fs::File),
    /// In a store.
    Remote(Box<Pieces>),
}

impl SourceFile {
    /// Opens a source. An object in a store must still be the one that was found.
    ///
    /// # Errors
    ///
    /// If it cannot be opened.
    pub(crate) fn open(source: &Source) -> io::Result<Self> {
        match &source.place {
            Location::Local(path) => fs::File::open(path).map(Self::Local),
            Location::Remote(remote) => {
                let object = Object { name: source.name.clone(), bytes: source.bytes, tag: source.tag.clone() };
                Ok(Self::Remote(Box::new(remote.open(&object))))
            }
        }
    }
}

impl Read for SourceFile {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => fill(file, buffer),
            Self::Remote(pieces) => pieces.read(buffer),
        }
    }
}

/// Fills the buffer, up to the end of the file: some file systems return less at a time, and records hold how far a
/// source was read ahead.
fn fill(file: &mut fs::File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

impl Seek for SourceFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Local(file) => file.seek(to),
            Self::Remote(pieces) => pieces.seek(to),
        }
    }
}

/// The file, counted and digested while it is read.
struct Digesting {
    file: SourceFile,
    bytes: u64,
    sha256: Sha256,
}

impl Read for Digesting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        self.bytes += read as u64;
        self.sha256.update(&buffer[..read]);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_rounded_up_to_a_power_of_two() {
        let log = |window| Limits { window, ..Limits::default() }.window_log();
        assert_eq!([1, 1 << 10, 1025, 128 << 20, (128 << 20) + 1, 1 << 31].map(log), [10, 10, 11, 27, 28, 31]);
        assert_eq!(Limits::default().window_log(), 27);
    }
}
