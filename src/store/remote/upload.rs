//! Uploads: whole, or in parts.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom};
use std::time::Instant;

use fs_err as fs;
use object_store::{Error, ObjectStoreExt as _, PutPayload};
use tokio::task::JoinHandle;

use crate::store::remote::answers::{may_pass, status};
use crate::store::remote::connection::WAIT;
use crate::store::remote::{AHEAD, LISTEN, PIECE, Remote, joined};
use crate::store::{Created, is_stopped};

/// Most parts of an upload; S3 takes 10,000.
const MOST_PARTS: u64 = 9_000;

/// How often an upload is restarted if the store has lost it.
const UPLOADS: u32 = 10;

impl Remote {
    /// Uploads the bytes of a file. Many bytes go in parts, replacing any object of this name; few bytes, if `new`,
    /// only if there is none. Returns whether it was uploaded.
    pub(crate) fn put_file(&self, file: &fs::File, bytes: u64, new: bool) -> io::Result<bool> {
        if bytes <= PIECE {
            let whole = bytes_from(file, 0, bytes)?;
            if new {
                return Ok(self.create(&whole, bytes)? == Created::New);
            }
            return self.put(&whole).map(|()| true);
        }
        let mut tries = 1;
        loop {
            match self.put_parts(file, bytes) {
                // Another process has discarded the parts (Azure discards all others when one upload of a name ends);
                // or the object is complete, and its upload is closed, because a reply was lost. An existing object
                // proves nothing: it may be an older one.
                Err(Upload::Lost(_)) if tries < UPLOADS && !is_stopped() => {
                    // Processes that collided do not all come back at once.
                    std::thread::sleep(WAIT.0 * tries + LISTEN * (std::process::id() % 16));
                    tries += 1;
                }
                Err(Upload::Lost(error) | Upload::Failed(error)) => return Err(error),
                Ok(()) => return Ok(true),
            }
        }
    }

    fn put_parts(&self, file: &fs::File, bytes: u64) -> Result<(), Upload> {
        let failed = |error: Error| Upload::Failed(self.error(&error));
        let mut upload = self.ask(|| self.store.client.put_multipart(&self.key)).map_err(failed)?;
        let mut parts: VecDeque<JoinHandle<Result<(), Error>>> = VecDeque::new();
        let size = PIECE.max(bytes.div_ceil(MOST_PARTS));
        let mut send = || -> Result<(), Upload> {
            let mut sent = 0;
            while sent < bytes {
                let part = bytes_from(file, sent, size.min(bytes - sent))?;
                sent += part.len() as u64;
                parts.push_back(self.store.runtime.spawn(upload.put_part(PutPayload::from(part))));
                if parts.len() == AHEAD {
                    self.sent(parts.pop_front())?;
                }
            }
            while let Some(part) = parts.pop_front() {
                self.sent(Some(part))?;
            }
            Ok(())
        };
        let done = send().and_then(|()| {
            let begin = Instant::now();
            self.wait(upload.complete()).map(drop).map_err(|error| self.of_upload(&error, begin))
        });
        if done.is_err() {
            for part in parts {
                part.abort();
            }
            // A failure to abort is not the error to report.
            drop(self.wait(upload.abort()));
        }
        done
    }

    fn sent(&self, part: Option<JoinHandle<Result<(), Error>>>) -> Result<(), Upload> {
        let Some(part) = part else { return Ok(()) };
        let begin = Instant::now();
        self.wait(joined(part)).map_err(|error| self.of_upload(&error, begin))
    }

    /// What an error means for an upload; the failed request began at `begin`.
    fn of_upload(&self, error: &Error, begin: Instant) -> Upload {
        let is_gone =
            matches!(error, Error::NotFound { .. }) || error.to_string().contains("<Code>NoSuchUpload</Code>");
        // An invalid answer does not tell what happened to an upload either.
        let makes_no_sense = matches!(error, Error::Generic { .. }) && status(error).is_none();
        let is_unknown = (may_pass(error) || makes_no_sense)
            && status(error).is_none()
            && begin.elapsed() < self.store.retry
            && !is_stopped();
        if is_gone || is_unknown { Upload::Lost(self.error(error)) } else { Upload::Failed(self.error(error)) }
    }
}

/// Why an upload in parts did not end.
enum Upload {
    /// The store does not know it any more, or its fate is unknown.
    Lost(io::Error),
    /// Another reason.
    Failed(io::Error),
}

impl From<io::Error> for Upload {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// `count` bytes of a file from `place` on.
fn bytes_from(file: &fs::File, place: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut file = file.file();
    file.seek(SeekFrom::Start(place))?;
    let mut bytes = Vec::new();
    file.take(count).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == count { Ok(bytes) } else { Err(ErrorKind::UnexpectedEof.into()) }
}
