//! How many noise spans of each length masks have on average (`docs/reference/inspect.md`, "The law of span lengths").

use serde::Serialize;

use crate::denoise::{
    Address, IndependentTokens, Law, Masker, NoisePattern, Parts, RandomSpans, Seed, Split, Suffix, Whole,
};
use crate::stats::histogram::Histogram;

/// How an expectation was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Origin {
    /// By the formula of its law.
    Exact,
    /// From masks drawn with another seed.
    Drawn,
}

/// The expected number of spans of each length, from 0 on.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expected {
    /// How it was computed.
    pub(crate) origin: Origin,
    /// By length.
    pub(crate) spans: Vec<f64>,
}

/// Masks to draw for laws without a formula.
const DRAWS: u64 = 20_000;

/// The expectation for a pattern in segments of these lengths, each at least 2. `None` for patterns of labels: it
/// depends on the records.
#[must_use]
pub(crate) fn expected(pattern: &NoisePattern, lengths: &Histogram) -> Option<Expected> {
    let mut sum = Sum::default();
    for (length, count) in lengths.iter() {
        let of_all = as_f64(count);
        match pattern {
            NoisePattern::RandomSpans(spans) if spans.law == Law::T5 => sum.composition(*spans, length, of_all),
            NoisePattern::IndependentTokens(tokens) => sum.independent(*tokens, length, of_all),
            NoisePattern::Suffix(suffix) => sum.suffix(*suffix, length, of_all),
            NoisePattern::Whole(Whole {}) => sum.add(length, of_all),
            NoisePattern::RandomSpans(_) | NoisePattern::Union(_) => return Some(drawn(pattern, lengths)),
            NoisePattern::Label(_)
            | NoisePattern::Separate(_)
            | NoisePattern::Permute(_)
            | NoisePattern::MultipleChoice(_) => return None,
        }
    }
    Some(Expected { origin: Origin::Exact, spans: sum.0 })
}

/// Expected numbers by length.
#[derive(Default)]
struct Sum(Vec<f64>);

impl Sum {
    fn add(&mut self, length: u32, spans: f64) {
        let place = length as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0.0);
        }
        self.0[place] += spans;
    }

    fn composition(&mut self, law: RandomSpans, length: u32, of_all: f64) {
        let counts = law.counts(length);
        let (noise, spans) = (f64::from(counts.noise), f64::from(counts.spans));
        let rolls = law.rolls(counts.spans);
        if counts.spans == 1 {
            return self.span(counts.noise, of_all, rolls.then_some(length));
        }
        // C(N − 2, s − 2) / C(N − 1, s − 1), then by the ratio of neighbours.
        let mut share = (spans - 1.0) / (noise - 1.0);
        for k in 1..=counts.noise - counts.spans + 1 {
            self.span(k, of_all * spans * share, rolls.then_some(length));
            let left = noise - f64::from(k) - 1.0;
            if left <= 0.0 {
                break;
            }
            share *= (left - (spans - 2.0)) / left;
        }
    }

    /// Adds spans of one length. In rolled masks, the end of the segment cuts some of them in two.
    fn span(&mut self, length: u32, spans: f64, rolled_in: Option<u32>) {
        let Some(segment) = rolled_in else { return self.add(length, spans) };
        let at_one_place = spans / f64::from(segment);
        self.add(length, spans - at_one_place * f64::from(length - 1));
        for part in 1..length {
            // One part at the end, the other at the beginning: each length occurs twice.
            self.add(part, 2.0 * at_one_place);
        }
    }

    fn independent(&mut self, law: IndependentTokens, length: u32, of_all: f64) {
        let noise = law.noise(length);
        let ln = LnFactorials::up_to(length);
        let all = ln.choose(length, noise);
        for k in 1..=noise {
            let at = |kept_beside: u32| -> f64 {
                // The run and its neighbours are fixed; the rest of the noise is anywhere else.
                match (length.checked_sub(k + kept_beside), noise - k) {
                    (Some(places), rest) if rest <= places => (ln.choose(places, rest) - all).exp(),
                    _ => 0.0,
                }
            };
            let inside = if length > k + 1 { f64::from(length - k - 1) * at(2) } else { 0.0 };
            self.add(k, of_all * (inside + 2.0 * at(1)));
        }
    }

    fn suffix(&mut self, Suffix { split }: Suffix, length: u32, of_all: f64) {
        let longest = match split {
            Split::Share(_) => {
                return self.add(NoisePattern::Suffix(Suffix { split }).bounds(length.into()).noise, of_all);
            }
            Split::Uniform => length - 1,
            Split::UpTo(_) => NoisePattern::Suffix(Suffix { split }).bounds(length.into()).noise,
        };
        for noise in 1..=longest {
            self.add(noise, of_all / f64::from(longest));
        }
    }
}

/// Draws masks of these lengths in proportion, with a separate seed.
fn drawn(pattern: &NoisePattern, lengths: &Histogram) -> Expected {
    let (mut masker, mut sum) = (Masker::default(), Sum::default());
    let key = Seed(0).denoise_key("drawn", "stats");
    let total = lengths.count();
    let draws = total.min(DRAWS);
    let of_each = as_f64(total) / as_f64(draws.max(1));
    let mut place = 0;
    let mut seen = 0;
    for (length, count) in lengths.iter() {
        seen += count;
        // The draws are at even distances over all segments, sorted by length.
        while place < draws && place * total / draws < seen {
            let mut stream = key.stream(Address { line: place, epoch: 0, segment: 0 });
            for span in masker.draw(pattern, Parts::from(length), &mut stream).spans() {
                sum.add(span.len(), of_each);
            }
            place += 1;
        }
    }
    Expected { origin: Origin::Drawn, spans: sum.0 }
}

/// Logarithms of factorials.
struct LnFactorials(Vec<f64>);

impl LnFactorials {
    fn up_to(n: u32) -> Self {
        let mut sum = 0.0;
        let later = (1..=n).map(|k| {
            sum += f64::from(k).ln();
            sum
        });
        Self(std::iter::once(0.0).chain(later).collect())
    }

    fn choose(&self, n: u32, k: u32) -> f64 {
        let ln = |k: u32| self.0[k as usize];
        ln(n) - ln(k) - ln(n - k)
    }
}

#[expect(clippy::cast_precision_loss, reason = "an expectation")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::denoise::{Ratio, Roll, SpanLength};

    fn spans(density: f64, mean: f64, roll: Roll) -> NoisePattern {
        NoisePattern::RandomSpans(RandomSpans {
            noise_density: Ratio::from_decimal(density).unwrap(),
            mean_span_length: SpanLength::Tokens(Ratio::from_decimal(mean).unwrap()),
            law: Law::T5,
            roll,
        })
    }

    /// Every pattern with a formula, against drawn masks: each count is within six standard deviations of a Poisson
    /// count, which no count of spans exceeds by much.
    #[test]
    fn formulas_are_what_masks_have_on_average() {
        let ratio = |number: f64| Ratio::from_decimal(number).unwrap();
        let patterns = [
            spans(0.15, 3.0, Roll::SingleSpan),
            spans(0.5, 3.0, Roll::Always),
            spans(0.15, 64.0, Roll::SingleSpan),
            spans(0.5, 8.0, Roll::Never),
            NoisePattern::IndependentTokens(IndependentTokens { noise_density: ratio(0.15) }),
            NoisePattern::IndependentTokens(IndependentTokens { noise_density: ratio(0.6) }),
            NoisePattern::Suffix(Suffix { split: Split::Uniform }),
            NoisePattern::Suffix(Suffix { split: Split::UpTo(ratio(0.5)) }),
            NoisePattern::Suffix(Suffix { split: Split::Share(ratio(0.25)) }),
            NoisePattern::Whole(Whole {}),
        ];
        let mut lengths = Histogram::default();
        for _ in 0..DRAWS / 4 {
            for length in [2, 7, 40, 100] {
                lengths.add(length);
            }
        }
        for pattern in patterns {
            let exact = expected(&pattern, &lengths).unwrap();
            assert_eq!(exact.origin, Origin::Exact);
            let drawn = drawn(&pattern, &lengths).spans;
            for length in 0..exact.spans.len().max(drawn.len()) {
                let of = |spans: &[f64]| spans.get(length).copied().unwrap_or_default();
                let (exact, drawn) = (of(&exact.spans), of(&drawn));
                assert!((exact - drawn).abs() <= 6.0 * exact.sqrt() + 1e-6, "{pattern} {length}: {exact} {drawn}");
            }
            let noise =
                |spans: &[f64]| -> f64 { (0..).zip(spans).map(|(length, spans)| f64::from(length) * spans).sum() };
            let (exact, drawn) = (noise(&exact.spans), noise(&drawn));
            assert!((exact / drawn - 1.0).abs() < 0.02, "{pattern}: {exact} {drawn}");
        }
    }

    #[test]
    fn laws_without_a_formula_are_drawn_and_labels_have_none() {
        let mut lengths = Histogram::default();
        (0..100).for_each(|_| lengths.add(50));
        let NoisePattern::RandomSpans(t5) = spans(0.2, 3.0, Roll::Never) else { panic!("spans") };
        let geometric = RandomSpans { law: Law::Geometric, ..t5 };
        let expected_of = |pattern: NoisePattern| expected(&pattern, &lengths);
        let drawn = expected_of(NoisePattern::RandomSpans(geometric)).unwrap();
        assert_eq!(drawn.origin, Origin::Drawn);
        let noise: f64 = (0..).zip(&drawn.spans).map(|(length, spans)| f64::from(length) * spans).sum();
        assert!((noise - 100.0 * 10.0).abs() < 1e-6, "{noise}");
        assert_eq!(expected_of(NoisePattern::Label(crate::denoise::Label {})), None);
    }
}
