//! Which tokens of a segment are noise, and how such masks are drawn (`docs/masking.md`, section 5).
//!
//! Masks are lists of spans, not booleans: the laws hold by construction, encoding is one pass over the spans,
//! and sentinels are numbered by the span, so inputs and labels cannot disagree.

use super::denoiser::{NoiseCounts, NoisePattern, RandomSpans, Split, Suffix};
use super::stream::{Stream, Subset};

/// Consecutive tokens `start..end` of a segment, at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// First token.
    pub start: u32,
    /// One past the last token.
    pub end: u32,
}

impl Span {
    /// Number of tokens. A span is never empty.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a span is never empty")]
    pub fn len(self) -> u32 {
        self.end - self.start
    }
}

/// Which tokens of a segment are noise.
///
/// Spans are sorted, disjoint, non-empty, inside the segment, and never touch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NoiseMask {
    length: u32,
    spans: Vec<Span>,
}

/// Why spans are no [`NoiseMask`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MaskError {
    /// An empty span.
    #[error("noise span {0} is empty")]
    Empty(usize),
    /// A span that starts before or where the one before it ends.
    #[error("noise span {0} touches or overlaps the one before it")]
    Touching(usize),
    /// A span beyond the segment.
    #[error("noise span {0} ends beyond the segment")]
    OutOfSegment(usize),
}

impl NoiseMask {
    /// A mask of a segment of `length` tokens.
    ///
    /// # Errors
    ///
    /// [`MaskError`] if a law does not hold.
    pub fn new(length: u32, spans: Vec<Span>) -> Result<Self, MaskError> {
        let mut free_from = 0;
        for (index, span) in spans.iter().enumerate() {
            if span.start >= span.end {
                return Err(MaskError::Empty(index));
            }
            if span.start < free_from {
                return Err(MaskError::Touching(index));
            }
            if span.end > length {
                return Err(MaskError::OutOfSegment(index));
            }
            free_from = span.end + 1;
        }
        Ok(Self { length, spans })
    }

    /// Number of tokens of the segment.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.length
    }

    /// The noise spans, left to right.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Number of noise tokens.
    #[must_use]
    pub fn noise(&self) -> u32 {
        self.spans.iter().map(|span| span.len()).sum()
    }
}

/// Draws masks, reusing its memory: time and space in proportion to the spans.
#[derive(Debug, Default)]
pub struct Masker {
    subset: Subset,
    noise_ends: Vec<u32>,
    kept_ends: Vec<u32>,
    mask: NoiseMask,
}

impl Masker {
    /// Draws the mask of a segment of `length` (at least 2) tokens.
    pub fn draw(&mut self, pattern: &NoisePattern, length: u32, stream: &mut Stream) -> &NoiseMask {
        self.mask.length = length;
        self.mask.spans.clear();
        match pattern {
            NoisePattern::RandomSpans(spans) => self.random_spans(*spans, length, stream),
            NoisePattern::Suffix(Suffix { split: Split::Uniform }) => {
                let start = 1 + stream.below(length - 1);
                self.mask.spans.push(Span { start, end: length });
            }
        }
        debug_assert_eq!(NoiseMask::new(length, self.mask.spans.clone()).as_ref(), Ok(&self.mask));
        &self.mask
    }

    fn random_spans(&mut self, law: RandomSpans, length: u32, stream: &mut Stream) {
        let NoiseCounts { noise, spans } = law.counts(length);
        composition(&mut self.subset, stream, noise, spans, &mut self.noise_ends);
        composition(&mut self.subset, stream, length - noise, spans, &mut self.kept_ends);
        let mut noise_before = 0;
        for (&noise_end, &kept_end) in self.noise_ends.iter().zip(&self.kept_ends) {
            let span = Span { start: kept_end + noise_before, end: kept_end + noise_end };
            self.mask.spans.push(span);
            noise_before = noise_end;
        }
        if law.rolls(spans) {
            let offset = stream.below(length);
            roll(&mut self.mask, offset);
        }
    }
}

/// Draws a uniform composition of `total` into `parts`; `ends` become the parts' cumulative sums.
fn composition(subset: &mut Subset, stream: &mut Stream, total: u32, parts: u32, ends: &mut Vec<u32>) {
    ends.clear();
    subset.draw(stream, parts - 1, total - 1, |cut| ends.push(cut + 1));
    ends.push(total);
}

/// Moves the flag of token `i` to `(i + offset) mod length`; a span cut by the end becomes two.
fn roll(mask: &mut NoiseMask, offset: u32) {
    let length = mask.length;
    // Spans from `first_wrapped` on reach past the end, so they come first; the first of them may straddle it.
    let first_wrapped = mask.spans.partition_point(|span| span.end + offset <= length);
    mask.spans.rotate_left(first_wrapped);
    let wrapped = mask.spans.len() - first_wrapped;
    let mut straddling = None;
    for (index, span) in mask.spans.iter_mut().enumerate() {
        span.end += offset;
        span.start += offset;
        if index < wrapped {
            span.end -= length;
            if span.start < length {
                straddling = Some(Span { start: span.start, end: length });
                span.start = 0;
            } else {
                span.start -= length;
            }
        }
    }
    mask.spans.extend(straddling);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `#` is noise.
    fn mask(picture: &str) -> NoiseMask {
        let length = u32::try_from(picture.len()).unwrap();
        let mut spans: Vec<Span> = Vec::new();
        for (place, flag) in (0..).zip(picture.bytes()) {
            match spans.last_mut() {
                Some(span) if flag == b'#' && span.end == place => span.end += 1,
                _ if flag == b'#' => spans.push(Span { start: place, end: place + 1 }),
                _ => {}
            }
        }
        NoiseMask::new(length, spans).unwrap()
    }

    fn picture(mask: &NoiseMask) -> String {
        let mut flags = vec!['.'; mask.length() as usize];
        for span in mask.spans() {
            flags[span.start as usize..span.end as usize].fill('#');
        }
        flags.into_iter().collect()
    }

    #[test]
    fn a_mask_refuses_spans_that_break_a_law() {
        let span = |start, end| Span { start, end };
        assert_eq!(NoiseMask::new(5, vec![span(1, 1)]), Err(MaskError::Empty(0)));
        assert_eq!(NoiseMask::new(5, vec![span(0, 2), span(2, 3)]), Err(MaskError::Touching(1)));
        assert_eq!(NoiseMask::new(5, vec![span(3, 6)]), Err(MaskError::OutOfSegment(0)));
        assert!(NoiseMask::new(5, vec![span(0, 2), span(3, 5)]).is_ok());
    }

    #[test]
    fn a_roll_rotates_the_picture() {
        for drawn in ["...##.#", ".#.#.#", ".#", "..###", "#..##..#"] {
            for offset in 0..drawn.len() {
                let mut rolled = mask(drawn);
                roll(&mut rolled, u32::try_from(offset).unwrap());
                let cut = drawn.len() - offset;
                let expected = format!("{}{}", &drawn[cut..], &drawn[..cut]);
                assert_eq!(picture(&rolled), expected, "{drawn} rolled by {offset}");
                // Circularly touching spans aside, the laws still hold.
                if !(drawn.starts_with('#') && drawn.ends_with('#')) {
                    assert_eq!(NoiseMask::new(rolled.length, rolled.spans.clone()), Ok(rolled));
                }
            }
        }
    }
}
