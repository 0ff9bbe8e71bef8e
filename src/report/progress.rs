//! How far a run is: one line that is redrawn on a terminal, or timestamped lines in a log.

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::numbers::{noun, short};
use crate::pipeline::progress::{Progress, Snapshot};
use crate::report::message;
use crate::report::numbers::{bytes, duration};

/// How often the line on a terminal is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// How often a line is added to a log.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Columns of a terminal that does not report its width.
const COLUMNS: usize = 80;

/// Whether a progress line is on screen, which other messages have to clear first.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);

/// Clears the progress line, if one is drawn. The next update draws it again.
pub(crate) fn clear() {
    if IS_DRAWN.swap(false, Ordering::Relaxed) {
        let _ = write!(io::stderr().lock(), "\r\u{1B}[K"); // nowhere left to report a closed stderr
    }
}

/// Shows how far a run is until it is dropped. None of this stays on a terminal.
pub(crate) struct ProgressReport {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl ProgressReport {
    /// Starts the display: a line that is redrawn on a terminal, timestamped lines in a log. `total` is the size of the
    /// sources on disk, in bytes.
    #[must_use]
    pub(crate) fn start(progress: Arc<Progress>, total: u64) -> Self {
        let (stop, stopped) = channel();
        let is_terminal = io::stderr().is_terminal();
        let thread = std::thread::spawn(move || {
            let begin = Instant::now();
            let every = if is_terminal { REDRAW } else { LOG_EVERY };
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let parts = parts(progress.snapshot(), total, begin.elapsed());
                if is_terminal {
                    draw(&fitting(&parts, columns()));
                } else {
                    message(&format!("{} {}", clock(), fitting(&parts, usize::MAX)));
                }
            }
            clear();
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for ProgressReport {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join(); // a panic while drawing must not fail the run
        }
    }
}

fn draw(line: &str) {
    let mut stderr = io::stderr().lock();
    IS_DRAWN.store(true, Ordering::Relaxed);
    let _ = write!(stderr, "\r{line}\u{1B}[K").and_then(|()| stderr.flush()); // nowhere left to report a closed stderr
}

fn columns() -> usize {
    let size = terminal_size::terminal_size_of(io::stderr());
    size.map_or(COLUMNS, |(terminal_size::Width(columns), _)| usize::from(columns))
}

/// The parts of a progress line, the most useful first.
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, shown with three digits")]
fn parts(now: Snapshot, total: u64, elapsed: Duration) -> [String; 6] {
    let seconds = elapsed.as_secs_f64().max(1e-3);
    let share = if total == 0 { 1.0 } else { (now.file_bytes as f64 / total as f64).min(1.0) };
    let left = if share > 0.0 { seconds * (1.0 - share) / share } else { f64::INFINITY };
    [
        format!("{:.1} %", 100.0 * share),
        hours(elapsed),
        format!("{} left", duration(left)),
        format!("{} tokens/s", short((now.tokens as f64 / seconds) as u64)),
        format!("{} of text", bytes(now.text_bytes)),
        format!("{} {}", short(now.documents), noun(now.documents, "document")),
    ]
}

/// `25.0 %, 0:02:05, 6 min left, 11.1 M tokens/s, 1.23 GB of text, 123.4 k documents`: as many parts as fit in
/// `columns` and leave the last column free, where a terminal puts the cursor.
fn fitting(parts: &[String], columns: usize) -> String {
    let mut line = String::new();
    for part in parts {
        let gap = if line.is_empty() { "" } else { ", " };
        if line.len() + gap.len() + part.len() >= columns {
            break;
        }
        line = line + gap + part;
    }
    line
}

/// `0:02:05`
fn hours(time: Duration) -> String {
    let seconds = time.as_secs();
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// The time now, in UTC. The outputs hold no time; a log is not one of them.
fn clock() -> String {
    #[expect(clippy::disallowed_methods, reason = "lines of a log")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    utc(now.as_secs())
}

/// `2026-11-28T05:10:36Z`
fn utc(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Years begin in March here, so that a leap day is the last day of its year; 719,468 days lie between 0000-03-01
    // and 1970-01-01.
    let day = days + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_fits_the_terminal_whatever_the_numbers_are() {
        let most = u64::MAX;
        let snapshots = [
            Snapshot::default(),
            Snapshot { file_bytes: 25, text_bytes: 1_234_000_000, documents: 1, rows: 2, tokens: 111_000_000 },
            Snapshot { file_bytes: most, text_bytes: most, documents: most, rows: most, tokens: most },
        ];
        for now in snapshots {
            for seconds in [0, 10, 10_000_000] {
                for columns in [0, 1, 10, 40, 80, 200] {
                    let parts = parts(now, 100, Duration::from_secs(seconds));
                    let line = fitting(&parts, columns);
                    assert!(line.len() < columns.max(1), "{columns}: {line}");
                    assert_eq!(line.is_empty(), columns <= parts[0].len(), "{columns}: {line}");
                }
            }
        }
        let line = |columns| fitting(&parts(snapshots[1], 100, Duration::from_secs(10)), columns);
        assert_eq!(line(80), "25.0 %, 0:00:10, 30 s left, 11.1 M tokens/s, 1.23 GB of text, 1 document");
        assert_eq!(line(40), "25.0 %, 0:00:10, 30 s left");
    }

    #[test]
    fn logs_have_a_clock_in_utc() {
        let times = [0, 951_782_400, 1_709_251_199, 1_795_842_636, 4_102_444_800];
        let expected = [
            "1970-01-01T00:00:00Z",
            "2000-02-29T00:00:00Z",
            "2024-02-29T23:59:59Z",
            "2026-11-28T05:10:36Z",
            "2100-01-01T00:00:00Z",
        ];
        assert_eq!(times.map(utc), expected);
        assert_eq!(hours(Duration::from_secs(360_065)), "100:01:05");
    }
}
