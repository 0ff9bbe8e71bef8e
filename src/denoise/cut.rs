//! From documents to segments, each with its denoiser (`docs/reference/masking.md`, section 4).

use std::ops::Range;

use crate::denoise::segmenting::{Start, Window};
use crate::denoise::spec::{SourceKeys, Spec};
use crate::denoise::stream::Address;

/// The tokens that one denoiser gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// The address of its random stream.
    pub address: Address,
    /// Index of its denoiser in the spec.
    pub denoiser: usize,
    /// First token, counted from the sequence's start.
    pub start: u32,
    /// Number of tokens, at least the spec's `min_segment`.
    pub length: u32,
}

impl Segment {
    /// Its range in the sequence's tokens.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// Where a line's tokens begin in a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LineStart {
    /// First token of the line, counted from the sequence's start.
    pub start: u32,
    /// 1-based line.
    pub line: u64,
}

/// Cuts a sequence into segments from left to right. No token is lost, unless the whole sequence is shorter than
/// `min_segment`: then there is no segment.
#[derive(Debug)]
pub struct Cut<'a> {
    spec: &'a Spec,
    keys: &'a SourceKeys,
    next: Address,
    position: u32,
    tokens: u32,
    /// The lines that begin later, in order.
    later: &'a [LineStart],
}

impl<'a> Cut<'a> {
    /// The segments of the document of `tokens` tokens on `line`.
    #[must_use]
    pub fn new(spec: &'a Spec, keys: &'a SourceKeys, line: u64, epoch: u16, tokens: u32) -> Self {
        Self { spec, keys, next: Address { line, epoch, segment: 0 }, position: 0, tokens, later: &[] }
    }

    /// The segments of `tokens` tokens of several lines, which begin at `lines`; the first at token 0.
    #[must_use]
    pub fn joined(spec: &'a Spec, keys: &'a SourceKeys, lines: &'a [LineStart], epoch: u16, tokens: u32) -> Self {
        let next = Address { line: lines.first().map_or(0, |first| first.line), epoch, segment: 0 };
        Self { spec, keys, next, position: 0, tokens, later: lines.get(1..).unwrap_or_default() }
    }

    /// Restarts the count of segments if the position is in another line than the last segment's first token.
    fn enter_line(&mut self) {
        while let Some((LineStart { start, line }, later)) = self.later.split_first()
            && *start <= self.position
        {
            self.next = Address { line: *line, segment: 0, ..self.next };
            self.later = later;
        }
    }
}

impl Iterator for Cut<'_> {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        let left = self.tokens - self.position;
        let min_segment = self.spec.min_segment();
        if left < min_segment {
            return None;
        }
        self.enter_line();
        let address = self.next;
        let denoiser = self.spec.choose(&mut self.keys.choose.stream(address));
        let mut length = left.min(self.spec.segment_length(denoiser).tokens);
        let rest = left - length;
        if rest > 0 && rest < min_segment {
            // The last segment gets its `min_segment` tokens from this one; otherwise the rest would be lost.
            length = left - min_segment;
        }
        let segment = Segment { address, denoiser, start: self.position, length };
        self.position += length;
        self.next.segment += 1;
        Some(segment)
    }
}

impl Window {
    /// The window of the document of `tokens` tokens on `line`.
    #[must_use]
    pub fn place(self, spec: &Spec, keys: &SourceKeys, line: u64, epoch: u16, tokens: u32) -> Range<u32> {
        let first = Address { line, epoch, segment: 0 };
        let one_segment = || spec.segment_length(spec.choose(&mut keys.choose.stream(first))).tokens;
        let length = self.tokens.unwrap_or_else(one_segment).min(tokens);
        let start = match self.start {
            Start::Random => keys.window.stream(first).below(tokens - length + 1),
            Start::First => 0,
        };
        start..start + length
    }
}
