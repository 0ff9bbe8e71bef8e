//! How often the documents of a source are masked (`docs/reference/masking.md`, section 12).

use serde::{Deserialize, Serialize};

use crate::denoise::ratio::Ratio;
use crate::denoise::stream::{Address, Seed, StreamKey};
use crate::denoise::validation::matches;

/// The weight of some sources: how many times as often as others their documents are masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Weight {
    /// A pattern of names of sources.
    pub sources: String,
    /// The factor; 0 leaves the sources out.
    pub weight: Ratio,
}

/// How often the documents of a source are masked: each a whole number of times, and a share of them once more.
#[derive(Clone)]
pub(crate) struct Maskings {
    /// Whether the spec has weights: without them an epoch is as good as any other, also one that no set has.
    is_weighted: bool,
    whole: u64,
    share: Ratio,
    key: StreamKey,
}

impl Maskings {
    /// Those of `source`: the first weight whose pattern matches its name, times `epochs`.
    pub(super) fn of_source(weights: &[Weight], epochs: u32, seed: Seed, source: &str) -> Self {
        let weight = weights.iter().find(|weight| matches(&weight.sources, source));
        let millionths = weight.map_or(MILLION, |weight| weight.weight.millionths()) * u64::from(epochs);
        let (whole, share) = (millionths / MILLION, Ratio::from_millionths(millionths % MILLION));
        Self { is_weighted: !weights.is_empty(), whole, share, key: seed.weight_key(source) }
    }

    /// The number of epochs in which some of its documents are masked.
    #[must_use]
    pub(crate) fn epochs(&self) -> u64 {
        self.whole + u64::from(self.share.is_share())
    }

    /// The mean number of maskings of a document.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 2^16")]
    pub(crate) fn mean(&self) -> f64 {
        self.whole as f64 + self.share.as_f64()
    }

    /// Whether the document on a line is masked in an epoch.
    #[must_use]
    pub(crate) fn has(&self, line: u64, epoch: u16) -> bool {
        let epoch = u64::from(epoch);
        if !self.is_weighted {
            return true;
        }
        if epoch != self.whole {
            return epoch < self.whole;
        }
        let drawn = || self.key.stream(Address { line, epoch: 0, segment: 0 }).below(1_000_000);
        self.share.is_share() && u64::from(drawn()) < self.share.millionths()
    }
}

const MILLION: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn of(weight: f64, epochs: u32) -> Maskings {
        let weights = [Weight { sources: "a*".to_owned(), weight: Ratio::from_decimal(weight).unwrap() }];
        Maskings::of_source(&weights, epochs, Seed(7), "a")
    }

    #[test]
    fn a_weight_is_a_number_of_maskings_and_a_share_of_the_documents() {
        let masked = |maskings: &Maskings, epoch| (1..=4000).filter(|line| maskings.has(*line, epoch)).count();
        let half = of(2.5, 1);
        assert_eq!((half.epochs(), masked(&half, 0), masked(&half, 1), masked(&half, 3)), (3, 4000, 4000, 0));
        assert!((1800..2200).contains(&masked(&half, 2)));
        let twice = of(2.5, 2);
        assert_eq!((twice.epochs(), masked(&twice, 4), masked(&twice, 5)), (5, 4000, 0));
        assert_eq!(of(0.0, 3).epochs(), 0);
        assert_eq!(Maskings::of_source(&[], 3, Seed(7), "a").epochs(), 3);
        // The share of a smaller weight is among that of a larger one.
        let (some, more) = (of(0.2, 1), of(0.3, 1));
        assert!((1..=4000).all(|line| more.has(line, 0) || !some.has(line, 0)));
    }
}
