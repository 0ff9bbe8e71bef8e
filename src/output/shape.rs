//! Checks that a Parquet file has the shape of a shard, before it is decoded: a kilobyte may stand for gigabytes, since
//! runs and pages themselves state their decoded length.
//!
//! A row has at most as many ids as its spec allows and at most as many examples as ids, so rows bound values. The
//! check compares what the file claims with that bound: first the footer, then each page header, and in a large row
//! group also the lengths of its lists.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::sync::Arc;

use parquet::basic::Encoding;
use parquet::column::page::{Page, PageReader as _};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::ChunkReader;
use parquet::file::serialized_reader::SerializedPageReader;

use crate::numbers::counted;
use crate::output::read_error::{PlainFile, ReadError};
use crate::output::schema::{Column, RowFormat};
use crate::output::thrift::{Malformed, Thrift, ThriftType};

/// Most bytes of a footer: 32,767 row groups, which Parquet's own numbers allow, need less.
const MOST_FOOTER: u64 = 128 << 20;

/// Most row groups of a file: Parquet numbers them with 16 bits.
const MOST_ROW_GROUPS: u64 = 32_767;

/// Most elements of a schema, and columns of a row group; ours have 40 and 13.
const MOST_COLUMNS: u64 = 64;

/// Most bytes of a page before compression. Pages are closed at 1 MiB.
const MOST_PAGE: i64 = 16 << 20;

/// Most rows of a page: a page is closed when it has 20,000 or more, and at most that many are added at once. So a
/// file's size bounds its rows, and the time they take.
const MOST_PAGE_ROWS: u64 = 40_000;

/// Bytes in which a page header must end; ours have no statistics.
const HEADER: [u64; 2] = [256, 1 << 16];

/// Encodings of pages: plain, the two names of dictionaries, byte stream split. Other encodings could be decompression
/// bombs.
const ENCODINGS: [i64; 4] = [0, 2, 8, 9];

/// Values of a column that may be in memory at once: in a larger chunk, the length of each list is checked.
const VALUES_AT_ONCE: u64 = 1 << 22;

/// Bytes of text that may be in memory at once.
const TEXT_AT_ONCE: u64 = 64 << 20;

/// Most bytes of a text: a source's or a denoiser's name.
const MOST_TEXT: u64 = 1 << 16;

/// Reads a few more items than a row may have, so that `verify` can name the row.
pub(super) fn with_slack(most: u64) -> u64 {
    most.saturating_add(most / 8).saturating_add(16)
}

fn refused<T>(what: impl Into<String>) -> Result<T, ReadError> {
    Err(ReadError::Shape(what.into()))
}

/// Checks a file's footer: that there is one, that it is not too large, and that its claims fit the file.
pub(super) fn check_footer(file: &PlainFile) -> Result<(), ReadError> {
    let mut file = file;
    let bytes = file.metadata()?.len();
    let mut tail = [0; 8];
    // A file that is not Parquet at all is left to its reader's error.
    if bytes < 12 {
        return Ok(());
    }
    file.seek(SeekFrom::Start(bytes - 8))?;
    file.read_exact(&mut tail)?;
    let [a, b, c, d, magic @ ..] = tail;
    let length = u64::from(u32::from_le_bytes([a, b, c, d]));
    if magic != *b"PAR1" || length > bytes - 8 {
        return Ok(());
    }
    if length > MOST_FOOTER {
        return refused(format!("its footer has {length} bytes, more than the {MOST_FOOTER} that one may have"));
    }
    file.seek(SeekFrom::Start(bytes - 8 - length))?;
    let mut footer = Vec::new();
    file.take(length).read_to_end(&mut footer)?;
    match footer_claims(&mut Thrift::new(&footer)) {
        Ok(None) => Ok(()),
        Ok(Some(what)) => refused(what),
        Err(_) => refused("its footer is damaged"),
    }
}

/// What a footer has too much of.
fn footer_claims(thrift: &mut Thrift<'_>) -> Result<Option<String>, Malformed> {
    let mut wrong = None;
    thrift.fields(|thrift, field, kind| {
        match (field, kind) {
            (2, ThriftType::LIST) => {
                let elements = each_struct(thrift, |thrift, field, kind| {
                    if field != 5 || !kind.is_number() {
                        return Ok(false);
                    }
                    let children = thrift.number()?;
                    if u64::try_from(children).is_ok_and(|children| children <= MOST_COLUMNS) {
                        return Ok(true);
                    }
                    Err(Malformed::Wrong)
                })?;
                if elements > MOST_COLUMNS {
                    wrong = Some(format!("its schema has {elements} elements"));
                }
            }
            (4, ThriftType::LIST) => {
                let row_groups = each_struct(thrift, |thrift, field, kind| {
                    if (field, kind) != (1, ThriftType::LIST) {
                        return Ok(false);
                    }
                    let columns = each_struct(thrift, |_, _, _| Ok(false))?;
                    if columns > MOST_COLUMNS { Err(Malformed::Wrong) } else { Ok(true) }
                })?;
                if row_groups > MOST_ROW_GROUPS {
                    wrong = Some(format!("it has {row_groups} row groups"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(wrong)
}

/// The number of structs in a list; `visit` sees their fields.
fn each_struct(
    thrift: &mut Thrift<'_>,
    mut visit: impl FnMut(&mut Thrift<'_>, i64, ThriftType) -> Result<bool, Malformed>,
) -> Result<u64, Malformed> {
    let (count, kind) = thrift.list()?;
    if kind != ThriftType::STRUCT && count > 0 {
        return Err(Malformed::Wrong);
    }
    for _ in 0..count {
        thrift.fields(&mut visit)?;
    }
    Ok(count)
}

/// Checks what the footer says of each row group: that its chunks are in the file, and have at most the values that its
/// rows allow.
pub(super) fn check_row_groups(
    file: &PlainFile,
    row_groups: &[RowGroupMetaData],
    format: &RowFormat,
) -> Result<(), ReadError> {
    let bytes = file.metadata()?.len();
    for (number, row_group) in row_groups.iter().enumerate() {
        let Ok(rows) = u64::try_from(row_group.num_rows()) else {
            return refused(format!("row group {number} has {} rows", row_group.num_rows()));
        };
        for chunk in row_group.columns() {
            let offsets =
                [Some(chunk.data_page_offset()), chunk.dictionary_page_offset(), Some(chunk.compressed_size())];
            let is_inside = offsets.into_iter().flatten().all(|offset| offset >= 0)
                && chunk.byte_range().0.checked_add(chunk.byte_range().1).is_some_and(|end| end <= bytes);
            if !is_inside {
                return refused(format!("row group {number} is not inside the file"));
            }
        }
        // Columns that are not the format's are never read.
        if row_group.columns().len() != format.columns.len() {
            continue;
        }
        for (column, chunk) in format.columns.iter().zip(row_group.columns()) {
            let most = if format.is_list(*column) {
                rows.saturating_mul(with_slack(format.most_items(*column)))
            } else {
                rows
            };
            if u64::try_from(chunk.num_values()).is_ok_and(|values| values <= most) {
                continue;
            }
            let values = chunk.num_values();
            return refused(format!(
                "`{column}` of row group {number} has {values} values, more than the {most} that its {rows} rows can have"
            ));
        }
    }
    Ok(())
}

/// Checks the pages of a row group. Returns how many of `at_once` rows may be read at once.
pub(super) fn check_pages(
    file: &PlainFile,
    row_group: &RowGroupMetaData,
    format: &RowFormat,
    at_once: usize,
) -> Result<usize, ReadError> {
    if row_group.columns().len() != format.columns.len() {
        return Ok(at_once);
    }
    let mut rows_at_once = at_once as u64;
    for (column, chunk) in format.columns.iter().zip(row_group.columns()) {
        let pages = check_headers(file, *column, chunk)?;
        let rows = u64::try_from(row_group.num_rows()).unwrap_or(u64::MAX);
        if rows > pages.saturating_mul(MOST_PAGE_ROWS) {
            let pages = counted(pages, "page");
            return refused(format!(
                "`{column}` has {rows} rows in {pages}, expected {MOST_PAGE_ROWS} rows in a page at most"
            ));
        }
        let values = u64::try_from(chunk.num_values()).unwrap_or(u64::MAX);
        let is_list = format.is_list(*column);
        if !(column.is_text() || is_list && values > VALUES_AT_ONCE) {
            continue;
        }
        let Longest { items, text } = longest(file, row_group, chunk, is_list, column.is_text())?;
        let most = with_slack(format.most_items(*column));
        if is_list && items > most {
            return refused(format!("a row has {items} items of `{column}`, more than the {most} that it can have"));
        }
        if text > MOST_TEXT {
            return refused(format!(
                "a text of `{column}` has {text} bytes, more than the {MOST_TEXT} that it may have"
            ));
        }
        rows_at_once = rows_at_once.min(TEXT_AT_ONCE / text.saturating_mul(items.max(1)).max(1));
    }
    Ok(usize::try_from(rows_at_once.max(1)).unwrap_or(at_once))
}

/// The claims of a page header.
#[derive(Default)]
struct PageClaims {
    bytes: i64,
    compressed: i64,
    values: i64,
    encoding: i64,
    is_data: bool,
}

/// Checks the headers of all pages of a chunk. Returns the number of data pages.
fn check_headers(file: &PlainFile, column: Column, chunk: &ColumnChunkMetaData) -> Result<u64, ReadError> {
    let (start, length) = chunk.byte_range();
    let (mut place, end) = (start, start + length);
    let (mut values, mut pages) = (0_i64, 0);
    while place < end && values < chunk.num_values() {
        let (header, claims) = header(file, place, end)?;
        let PageClaims { bytes, compressed, values: of_page, encoding, is_data } = claims;
        if !ENCODINGS.contains(&encoding) {
            return refused(format!("a page of `{column}` has the encoding {encoding}, which no shard has"));
        }
        let rest = end - place - header;
        let is_inside = u64::try_from(compressed).is_ok_and(|compressed| compressed <= rest);
        if !(0..=MOST_PAGE).contains(&bytes) || !is_inside || of_page < 0 {
            return refused(format!(
                "a page of `{column}` says that it has {bytes} bytes, {compressed} of them in the file; expected {MOST_PAGE} at most"
            ));
        }
        if is_data {
            values = values.saturating_add(of_page);
            pages += 1;
        }
        place += header + compressed.unsigned_abs();
    }
    if values > chunk.num_values() {
        return refused(format!(
            "the pages of `{column}` have {values} values, the footer says {}",
            chunk.num_values()
        ));
    }
    Ok(pages)
}

/// The length of the page header at an offset, and its claims.
fn header(file: &PlainFile, place: u64, end: u64) -> Result<(u64, PageClaims), ReadError> {
    let mut file = file;
    for most in HEADER {
        file.seek(SeekFrom::Start(place))?;
        let mut bytes = Vec::new();
        file.take(most.min(end - place)).read_to_end(&mut bytes)?;
        let mut thrift = Thrift::new(&bytes);
        match page_claims(&mut thrift) {
            Ok(claims) => return Ok((thrift.place() as u64, claims)),
            Err(Malformed::Ended) => {}
            Err(Malformed::Wrong) => break,
        }
    }
    refused("a page header is damaged")
}

fn page_claims(thrift: &mut Thrift<'_>) -> Result<PageClaims, Malformed> {
    let mut claims = PageClaims::default();
    thrift.fields(|thrift, field, kind| {
        match (field, kind) {
            (2, kind) if kind.is_number() => claims.bytes = thrift.number()?,
            (3, kind) if kind.is_number() => claims.compressed = thrift.number()?,
            // The headers of data pages, of dictionary pages, and of data pages of version 2.
            (5 | 7 | 8, ThriftType::STRUCT) => {
                claims.is_data = field != 7;
                let (values, encoding) = (&mut claims.values, &mut claims.encoding);
                let place_of_encoding = if field == 8 { 4 } else { 2 };
                thrift.fields(|thrift, field, kind| {
                    match field {
                        1 if kind.is_number() => *values = thrift.number()?,
                        field if field == place_of_encoding && kind.is_number() => *encoding = thrift.number()?,
                        _ => return Ok(false),
                    }
                    Ok(true)
                })?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(claims)
}

/// The most items of a row, and the most bytes of a text.
#[derive(Default)]
struct Longest {
    items: u64,
    text: u64,
}

/// Looks into the pages of a chunk, one at a time.
fn longest(
    file: &PlainFile,
    row_group: &RowGroupMetaData,
    chunk: &ColumnChunkMetaData,
    is_list: bool,
    is_text: bool,
) -> Result<Longest, ReadError> {
    let rows = usize::try_from(row_group.num_rows()).unwrap_or(usize::MAX);
    let reader = Arc::new(file.try_clone()?);
    let mut longest = Longest::default();
    let mut run = 0;
    for page in pages(reader, chunk, rows)? {
        match page? {
            Page::DictionaryPage { buf, .. } => {
                if is_text {
                    longest.text = longest.text.max(longest_text(&buf));
                }
            }
            Page::DataPage { buf, num_values, encoding, rep_level_encoding, def_level_encoding, .. } => {
                if is_list && (rep_level_encoding, def_level_encoding) != (Encoding::RLE, Encoding::RLE) {
                    return refused("the levels of a page are not those that a shard has");
                }
                let mut rest = &buf[..];
                if is_list {
                    let of_lists = section(&mut rest)?;
                    section(&mut rest)?;
                    longest_list(of_lists, num_values, &mut run, &mut longest.items)?;
                }
                if is_text && encoding == Encoding::PLAIN {
                    longest.text = longest.text.max(longest_text(rest));
                }
            }
            Page::DataPageV2 { buf, num_values, encoding, rep_levels_byte_len, def_levels_byte_len, .. } => {
                let levels = (rep_levels_byte_len as usize, def_levels_byte_len as usize);
                let Some((of_lists, rest)) = buf.split_at_checked(levels.0) else {
                    return refused("a page is damaged");
                };
                if is_list {
                    longest_list(of_lists, num_values, &mut run, &mut longest.items)?;
                }
                if is_text && encoding == Encoding::PLAIN {
                    longest.text = longest.text.max(longest_text(rest.get(levels.1..).unwrap_or_default()));
                }
            }
        }
    }
    Ok(longest)
}

fn pages<R: ChunkReader + 'static>(
    reader: Arc<R>,
    chunk: &ColumnChunkMetaData,
    rows: usize,
) -> Result<impl Iterator<Item = Result<Page, ReadError>>, ReadError> {
    let mut pages = SerializedPageReader::new(reader, chunk, rows, None)?;
    Ok(std::iter::from_fn(move || pages.get_next_page().map_err(ReadError::from).transpose()))
}

/// A section of a page that follows its length.
fn section<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ReadError> {
    let found = rest
        .split_first_chunk()
        .and_then(|(length, after)| after.split_at_checked(u32::from_le_bytes(*length) as usize));
    let Some((section, after)) = found else { return refused("a page is damaged") };
    *rest = after;
    Ok(section)
}

/// The most bytes of any text in a sequence of texts, each of which follows its length.
fn longest_text(mut rest: &[u8]) -> u64 {
    let mut longest = 0;
    while let Some((length, after)) = rest.split_first_chunk() {
        let length = u32::from_le_bytes(*length);
        longest = longest.max(u64::from(length));
        rest = after.get(length as usize..).unwrap_or_default();
    }
    longest
}

/// Counts the items of lists by their repetition levels, in runs and in bits: a list begins where the level is 0. `run`
/// is the number of items in the open list so far.
fn longest_list(levels: &[u8], values: u32, run: &mut u64, longest: &mut u64) -> Result<(), ReadError> {
    let mut add = |is_first: bool, count: u64| {
        // Lists of one item each, or more items of one list.
        *run = if is_first { 1 } else { run.saturating_add(count) };
        *longest = (*longest).max(*run);
    };
    let (mut rest, mut left) = (levels, u64::from(values));
    while left > 0 {
        let Some((head, after)) = run_head(rest) else { return refused("the levels of a page are damaged") };
        rest = after;
        if head & 1 == 0 {
            let Some((level, after)) = rest.split_first() else { return refused("the levels of a page are damaged") };
            let count = (head >> 1).min(left);
            add(level & 1 == 0, count);
            (rest, left) = (after, left - count);
        } else {
            let bytes = usize::try_from((head >> 1).min(left.div_ceil(8))).unwrap_or(usize::MAX);
            let Some((packed, after)) = rest.split_at_checked(bytes) else {
                return refused("the levels of a page are damaged");
            };
            for byte in packed {
                (0..left.min(8)).for_each(|bit| add(byte >> bit & 1 == 0, 1));
                left -= left.min(8);
            }
            rest = after;
        }
    }
    Ok(())
}

/// The head of a run, which is not empty, and the bytes after it.
fn run_head(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut head = 0_u64;
    for (place, byte) in bytes.iter().take(5).enumerate() {
        head |= u64::from(byte & 0x7F) << (7 * place);
        if *byte < 0x80 {
            return (head > 1).then(|| (head, &bytes[place + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn longest_of(levels: &[u8], values: u32) -> Option<u64> {
        let (mut run, mut longest) = (0, 0);
        longest_list(levels, values, &mut run, &mut longest).ok().map(|()| longest)
    }

    #[test]
    fn the_longest_list_is_found_in_runs_and_in_bits() {
        // One 0, then 300 million ones; three lists of one item; bits 0111 0110, lowest first.
        assert_eq!(longest_of(&[0x02, 0, 0x80, 0x8C, 0x8D, 0x9E, 0x02, 1], 300_000_000), Some(300_000_000));
        assert_eq!(longest_of(&[0x06, 0], 3), Some(1));
        assert_eq!(longest_of(&[0x03, 0b0110_1110], 8), Some(4));
        assert_eq!(longest_of(&[0x00, 0], 1), None);
        assert_eq!(longest_of(&[0x03], 8), None);
    }

    #[test]
    fn the_longest_text_is_found() {
        assert_eq!(longest_text(b"\x02\0\0\0ab\x05\0\0\0abcde\x01\0\0\0a"), 5);
        assert_eq!(longest_text(b"\xFF\xFF\xFF\x7F"), 0x7FFF_FFFF);
    }
}
