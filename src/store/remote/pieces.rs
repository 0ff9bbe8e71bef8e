//! Reads an object in pieces.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::Instant;

use bytes::Bytes;
use object_store::{Error, GetOptions, GetRange, ObjectStore as _};
use tokio::task::JoinHandle;

use crate::store::Object;
use crate::store::answer_limits::of_file;
use crate::store::remote::connection::WAIT;
use crate::store::remote::{AHEAD, PIECE, Remote, joined, up_to};

/// An object being read: the next pieces are requested while one is used.
#[derive(Debug)]
pub(crate) struct Pieces {
    remote: Remote,
    bytes: u64,
    tag: Option<String>,
    /// Where the next requested piece begins.
    asked: u64,
    coming: VecDeque<JoinHandle<Result<(Bytes, Seal), Error>>>,
    /// The seal of the first piece: all others must have the same.
    seal: Option<Seal>,
    /// The current piece, and where it begins.
    piece: Bytes,
    piece_start: u64,
    /// The reader's position.
    place: u64,
}

/// Identifies the object that an answer's piece belongs to: size, tag of any kind, time of the last change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seal(u64, Option<String>, i64);

impl Pieces {
    /// Requests the next pieces, and waits for the first of them.
    fn next_piece(&mut self) -> io::Result<()> {
        self.piece_start += self.piece.len() as u64;
        while self.coming.len() < AHEAD && self.asked < self.bytes {
            let range = self.asked..self.bytes.min(self.asked + PIECE);
            self.asked = range.end;
            let (remote, tag) = (self.remote.clone(), self.tag.clone());
            self.coming.push_back(self.remote.store.runtime.spawn(async move { remote.piece(range, tag).await }));
        }
        let next = self.coming.pop_front().ok_or(ErrorKind::UnexpectedEof)?;
        let (piece, seal) = self.remote.wait(joined(next)).map_err(|error| self.remote.error(&error))?;
        if seal.0 != self.bytes || self.seal.as_ref().is_some_and(|first| *first != seal) {
            let path = self.remote.key.to_string();
            return Err(self.remote.error(&Error::Precondition { path, source: "another piece".into() }));
        }
        if self.remote.store.is_web && seal.1.is_none() && seal.2 == 0 {
            self.remote.say_that_versions_may_mix();
        }
        (self.piece, self.seal) = (piece, Some(seal));
        Ok(())
    }
}

impl Remote {
    /// A reader of the object in the version that was found.
    pub(crate) fn open(&self, object: &Object) -> Pieces {
        Pieces {
            remote: self.clone(),
            bytes: object.bytes,
            tag: object.tag.clone(),
            asked: 0,
            coming: VecDeque::new(),
            seal: None,
            piece: Bytes::new(),
            piece_start: 0,
            place: 0,
        }
    }

    /// A range of the object, if it has not changed.
    async fn piece(&self, range: Range<u64>, tag: Option<String>) -> Result<(Bytes, Seal), Error> {
        let (begin, mut wait) = (Instant::now(), WAIT.0);
        loop {
            let options = of_file(GetOptions {
                if_match: tag.as_ref().map(|tag| format!("\"{tag}\"")),
                range: Some(GetRange::Bounded(range.clone())),
                ..GetOptions::default()
            });
            let got = async {
                let answer = self.store.client.get_opts(&self.key, options).await?;
                let seal =
                    Seal(answer.meta.size, answer.meta.e_tag.clone(), answer.meta.last_modified.timestamp_millis());
                let asked = range.end - range.start;
                let source = match up_to(answer, asked).await? {
                    Some(bytes) if bytes.len() as u64 == asked => return Ok((bytes.into(), seal)),
                    Some(bytes) => format!("the server sends {} bytes of the {asked} that were asked for", bytes.len()),
                    None => format!("the server sends more than the {asked} bytes that were asked for"),
                };
                Err(Error::Generic { store: "store", source: source.into() })
            };
            match got.await {
                Err(error) if self.store.may_ask_again(&error, begin) => {}
                answer => return answer,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(WAIT.1);
        }
    }
}

impl Read for Pieces {
    /// Fills the buffer, up to the end of the object: like a file, so that read-ahead is the same.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() && self.place < self.bytes {
            let offset = usize::try_from(self.place - self.piece_start).unwrap_or(usize::MAX);
            let rest = self.piece.get(offset..).unwrap_or_default();
            if rest.is_empty() {
                self.next_piece()?;
                continue;
            }
            let taken = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + taken].copy_from_slice(&rest[..taken]);
            filled += taken;
            self.place += taken as u64;
        }
        Ok(filled)
    }
}

impl Seek for Pieces {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let place = match to {
            SeekFrom::Start(place) => Some(place),
            SeekFrom::Current(by) => self.place.checked_add_signed(by),
            SeekFrom::End(by) => self.bytes.checked_add_signed(by),
        };
        let place = place.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "a place before the beginning"))?;
        if !(self.piece_start..=self.piece_start + self.piece.len() as u64).contains(&place) {
            for piece in self.coming.drain(..) {
                piece.abort();
            }
            (self.piece, self.piece_start, self.asked) = (Bytes::new(), place, place);
        }
        self.place = place;
        Ok(place)
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        for piece in self.coming.drain(..) {
            piece.abort();
        }
    }
}
