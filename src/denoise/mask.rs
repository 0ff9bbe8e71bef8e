//! Which tokens of a segment are noise, and how such masks are drawn (`docs/reference/masking.md`, sections 5 and 8).
//!
//! Masks are lists of spans, not booleans: the laws hold by construction, encoding is one pass over the spans,
//! and sentinels are numbered by the span, so inputs and labels cannot disagree.

use crate::denoise::pattern::{
    Label, Law, NoiseCounts, NoisePattern, Normal, Parts, Permute, RandomSpans, Separate, Split, Whole, share_of,
};
use crate::denoise::ratio::Ratio;
use crate::denoise::stream::{Stream, Subset};

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

/// Why spans are not a [`NoiseMask`].
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
    /// Spans of a mask to unite with others, or to shift past a text.
    apart: Vec<Span>,
}

impl Masker {
    /// Draws the mask of a segment: a number of tokens, at least 2, or the [`Parts`] of a record.
    pub fn draw(&mut self, pattern: &NoisePattern, parts: impl Into<Parts>, stream: &mut Stream) -> &NoiseMask {
        let parts = parts.into();
        let length = parts.length();
        self.mask.length = length;
        self.mask.spans.clear();
        match pattern {
            NoisePattern::RandomSpans(law) => self.random_spans(*law, length, stream),
            NoisePattern::IndependentTokens(law) => self.independent_tokens(law.noise(length), length, stream),
            NoisePattern::Union(laws) => self.union(laws, length, stream),
            NoisePattern::Suffix(suffix) => {
                let noise = match suffix.split {
                    Split::Uniform => length - 1 - stream.below(length - 1),
                    Split::UpTo(share) => 1 + stream.below(share_of(share, length)),
                    Split::Share(share) => share_of(share, length),
                };
                self.suffix(noise);
            }
            NoisePattern::Whole(Whole {}) => self.suffix(length),
            NoisePattern::Label(Label {}) | NoisePattern::MultipleChoice(_) => self.suffix(parts.label),
            NoisePattern::Separate(Separate { text, label }) => self.separate(*text, *label, parts, stream),
            NoisePattern::Permute(Permute { rows }) => self.permute(*rows, parts, stream),
        }
        debug_assert_eq!(NoiseMask::new(length, self.mask.spans.clone()).as_ref(), Ok(&self.mask));
        &self.mask
    }

    fn suffix(&mut self, noise: u32) {
        let end = self.mask.length;
        if noise > 0 {
            self.mask.spans.push(Span { start: end - noise, end });
        }
    }

    /// Draws into `self.mask`, whose length it sets.
    fn random_spans(&mut self, law: RandomSpans, length: u32, stream: &mut Stream) {
        self.mask.length = length;
        let NoiseCounts { noise, spans } = law.counts(length);
        let spans = match law.law {
            Law::T5 => {
                composition(&mut self.subset, stream, noise, spans, &mut self.noise_ends);
                spans
            }
            Law::Uniform | Law::Geometric | Law::Normal(_) => self.independent_lengths(law, length, noise, stream),
        };
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

    /// Draws noise lengths one by one until `noise` is used up; `noise_ends` become their cumulative sums. Returns
    /// their number.
    fn independent_lengths(&mut self, law: RandomSpans, length: u32, noise: u32, stream: &mut Stream) -> u32 {
        let lengths = &mut self.noise_ends;
        lengths.clear();
        let most = law.most_drawn(length) as usize;
        let mean = law.mean(length);
        let mut left = noise;
        while left > 0 {
            let drawn =
                if lengths.len() + 1 == most { left } else { span_length(law.law, mean, left, stream).min(left) };
            lengths.push(drawn);
            left -= drawn;
        }
        // The last length is cut to the rest; a random place keeps the end of a segment from being special.
        #[expect(clippy::cast_possible_truncation, reason = "no more spans than noise tokens")]
        let spans = lengths.len() as u32;
        lengths.swap(stream.below(spans) as usize, spans as usize - 1);
        let mut end = 0;
        for length in lengths {
            end += *length;
            *length = end;
        }
        spans
    }

    fn independent_tokens(&mut self, noise: u32, length: u32, stream: &mut Stream) {
        let spans = &mut self.mask.spans;
        self.subset.draw(stream, noise, length, |token| append(spans, Span { start: token, end: token + 1 }));
    }

    fn union(&mut self, laws: &[RandomSpans], length: u32, stream: &mut Stream) {
        self.apart.clear();
        for law in laws {
            self.mask.spans.clear();
            self.random_spans(*law, length, stream);
            self.apart.append(&mut self.mask.spans);
        }
        self.apart.sort_unstable();
        for span in &self.apart {
            append(&mut self.mask.spans, *span);
        }
        if let [only] = self.mask.spans.as_mut_slice()
            && only.len() == length
        {
            only.start = 1;
        }
    }

    fn separate(&mut self, text: RandomSpans, label: RandomSpans, parts: Parts, stream: &mut Stream) {
        if parts.text >= 2 {
            self.random_spans(text, parts.text, stream);
        }
        self.apart.clear();
        self.apart.append(&mut self.mask.spans);
        match parts.label {
            0 => {}
            1 => self.mask.spans.push(Span { start: 0, end: 1 }),
            tokens => self.random_spans(label, tokens, stream),
        }
        for span in &self.mask.spans {
            append(&mut self.apart, Span { start: parts.text + span.start, end: parts.text + span.end });
        }
        std::mem::swap(&mut self.apart, &mut self.mask.spans);
        self.mask.length = parts.length();
    }

    fn permute(&mut self, rows: u32, parts: Parts, stream: &mut Stream) {
        let Parts { text, label, row } = parts;
        let token = |place: u32| Span { start: text + place, end: text + place + 1 };
        let spans = &mut self.mask.spans;
        if all_sets_fit(rows, label) {
            (0..label).filter(|place| (row + 1) >> place & 1 == 1).for_each(|place| append(spans, token(place)));
            return;
        }
        while spans.is_empty() {
            (0..label).filter(|_| stream.below(2) == 1).for_each(|place| append(spans, token(place)));
        }
    }
}

/// Whether `tokens` tokens have at most `rows` non-empty sets.
pub(super) fn all_sets_fit(rows: u32, tokens: u32) -> bool {
    1_u64.checked_shl(tokens).is_some_and(|sets| sets - 1 <= u64::from(rows))
}

/// Appends a span that starts at or after the last one's start; spans that touch or overlap become one.
fn append(spans: &mut Vec<Span>, span: Span) {
    match spans.last_mut() {
        Some(last) if last.end >= span.start => last.end = last.end.max(span.end),
        _ => spans.push(span),
    }
}

/// One length of a law of independent lengths, at least 1. Values above `most` are not exact; the caller clamps.
fn span_length(law: Law, mean: Ratio, most: u32, stream: &mut Stream) -> u32 {
    match law {
        Law::T5 | Law::Uniform => {
            let (longest, rest) = mean.twice_less_one();
            let longer = rest > 0 && stream.below(1_000_000) < rest;
            1 + stream.below(longest + u32::from(longer))
        }
        Law::Geometric => {
            let longer = mean.of(1000).max(1000);
            (1..most).find(|_| stream.below(longer) < 1000).unwrap_or(most)
        }
        Law::Normal(Normal { std }) => mean.plus_halves(std, stream.sum_of_halves()).max(1),
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
