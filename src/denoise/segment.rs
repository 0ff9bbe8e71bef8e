//! From a document to segments, each with its denoiser (`docs/masking.md`, section 4).

use std::ops::Range;

use super::spec::{SourceKeys, Spec};
use super::stream::Address;

/// The window of tokens that one denoiser gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Where its random stream is.
    pub address: Address,
    /// Index of its denoiser in the spec.
    pub denoiser: usize,
    /// First token, counted from the document's start.
    pub start: u32,
    /// Number of tokens, at least the spec's `min_segment`.
    pub length: u32,
}

impl Segment {
    /// Its place in the document's tokens.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..(self.start + self.length) as usize
    }
}

/// Cuts one document into segments from left to right. No token is lost, unless the whole document is shorter than
/// `min_segment`: then there is no segment.
#[derive(Debug)]
pub struct Cut<'a> {
    spec: &'a Spec,
    keys: &'a SourceKeys,
    next: Address,
    position: u32,
    tokens: u32,
}

impl<'a> Cut<'a> {
    /// The segments of the document of `tokens` tokens on `line`.
    #[must_use]
    pub fn new(spec: &'a Spec, keys: &'a SourceKeys, line: u64, epoch: u16, tokens: u32) -> Self {
        Self { spec, keys, next: Address { line, epoch, segment: 0 }, position: 0, tokens }
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
        let address = self.next;
        let denoiser = self.spec.choose(&mut self.keys.choose.stream(address));
        let mut length = left.min(self.spec.segment_length(denoiser).tokens);
        let rest = left - length;
        if rest > 0 && rest < min_segment {
            // The last segment gets its `min_segment` tokens from this one, rather than the rest being lost.
            length = left - min_segment;
        }
        let segment = Segment { address, denoiser, start: self.position, length };
        self.position += length;
        self.next.segment += 1;
        Some(segment)
    }
}
