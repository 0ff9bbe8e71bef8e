//! Fractions in millionths with one rounding rule (`docs/reference/masking.md`, section 1).

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A non-negative fraction or small decimal number, held as whole millionths.
///
/// Densities and span lengths are compared, multiplied and rounded exactly: no float takes part in a count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u64);

/// Why a number is not a [`Ratio`].
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum RatioError {
    /// Negative, infinite, not a number, or above [`Ratio::MAX`].
    #[error("expected a number between 0 and {max}, found {0}", max = Ratio::MAX)]
    OutOfRange(f64),
    /// More than six decimals.
    #[error("expected at most six decimals, found {0}")]
    TooFine(f64),
}

impl Ratio {
    const MILLION: u64 = 1_000_000;

    /// The largest ratio: 2^20, beyond any segment length.
    pub const MAX: Self = Self((1 << 20) * Self::MILLION);

    /// The ratio of that many millionths.
    #[must_use]
    pub const fn from_millionths(millionths: u64) -> Self {
        Self(millionths)
    }

    /// The ratio as whole millionths.
    #[must_use]
    pub const fn millionths(self) -> u64 {
        self.0
    }

    /// The ratio that a recipe's decimal number means.
    ///
    /// # Errors
    ///
    /// [`RatioError`] if the number is out of range or has more than six decimals.
    pub fn from_decimal(number: f64) -> Result<Self, RatioError> {
        if !(0.0..=Self::MAX.as_f64()).contains(&number) {
            return Err(RatioError::OutOfRange(number));
        }
        let scaled = number * 1e6;
        let whole = scaled.round();
        // A decimal of six places is off by at most half a unit in the last place of `scaled`, far below 1e-3.
        if (scaled - whole).abs() > 1e-3 {
            return Err(RatioError::TooFine(number));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked above: 0 ..= 2^20 million"
        )]
        Ok(Self(whole as u64))
    }

    /// `self + deviation · z` rounded half to even, 0 where it is negative.
    ///
    /// `halves` is the sum of twelve uniform 16-bit numbers; `z = (halves − 393,210) / 65,536` is nearly standard normal (Irwin and
    /// Hall): mean 0, variance 1 − 2⁻³², within ±6.
    #[must_use]
    pub(crate) fn plus_halves(self, deviation: Self, halves: u32) -> u32 {
        const MEAN: i128 = 12 * 65_535 / 2;
        let moved = i128::from(deviation.0) * (i128::from(halves) - MEAN);
        let numerator = i128::from(self.0) * 65_536 + moved;
        u128::try_from(numerator).map_or(0, |numerator| round_half_even(numerator, 65_536 * u128::from(Self::MILLION)))
    }

    /// `2 · self − 1` as a whole number and the millionths above it; of 1 where the ratio is less.
    #[must_use]
    #[expect(clippy::cast_possible_truncation, reason = "at most 2^21 and a million")]
    pub(crate) const fn twice_less_one(self) -> (u32, u32) {
        let at_least_one = if self.0 < Self::MILLION { Self::MILLION } else { self.0 };
        let millionths = 2 * at_least_one - Self::MILLION;
        ((millionths / Self::MILLION) as u32, (millionths % Self::MILLION) as u32)
    }

    /// Whether the ratio is a share: above 0, below 1.
    #[must_use]
    pub(crate) const fn is_share(self) -> bool {
        0 < self.0 && self.0 < Self::MILLION
    }

    /// `self · n`, exactly. `self` is a share, so the product is far from [`Ratio::MAX`].
    #[must_use]
    pub(crate) const fn share_of(self, n: u32) -> Self {
        Self(self.0 * n as u64)
    }

    /// The nearest float, for display and statistics only.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "at most 2^40, exact in a float")]
    pub(crate) fn as_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// `self · n`, rounded half to even.
    ///
    /// ```
    /// use ul2_prep::denoise::Ratio;
    /// let density = Ratio::from_millionths(150_000);
    /// assert_eq!(density.of(190), 28); // 28.5: to even, where T5's float32 gives 29
    /// assert_eq!(density.of(210), 32); // 31.5
    /// ```
    #[must_use]
    pub fn of(self, n: u32) -> u32 {
        round_half_even(u128::from(self.0) * u128::from(n), u128::from(Self::MILLION))
    }

    /// `n / self`, rounded half to even. `u32::MAX` where the ratio is zero.
    #[must_use]
    pub fn divide(self, n: u32) -> u32 {
        if self.0 == 0 {
            return u32::MAX;
        }
        round_half_even(u128::from(n) * u128::from(Self::MILLION), u128::from(self.0))
    }
}

/// `numerator / denominator` rounded half to even, saturating at `u32::MAX`.
fn round_half_even(numerator: u128, denominator: u128) -> u32 {
    let quotient = numerator / denominator;
    let twice_rest = 2 * (numerator % denominator);
    let up = twice_rest > denominator || (twice_rest == denominator && quotient % 2 == 1);
    u32::try_from(quotient + u128::from(up)).unwrap_or(u32::MAX)
}

impl fmt::Display for Ratio {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.as_f64())
    }
}

impl JsonSchema for Ratio {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        // Six decimals: no `multipleOf`, which validators compute in floats.
        json_schema!({ "type": "number", "minimum": 0 })
    }
}

impl Serialize for Ratio {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.as_f64())
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_decimal(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even() {
        let half = Ratio::from_millionths(500_000);
        assert_eq!([1, 2, 3, 5, 7].map(|n| half.of(n)), [0, 1, 2, 2, 4]);
        let three = Ratio::from_millionths(3_000_000);
        assert_eq!([1, 2, 4, 5, 77].map(|n| three.divide(n)), [0, 1, 1, 2, 26]);
        let two = Ratio::from_millionths(2_000_000);
        assert_eq!([1, 3, 5, 7].map(|n| two.divide(n)), [0, 2, 2, 4]);
    }

    #[test]
    fn every_six_place_decimal_is_read_exactly() {
        for millionths in (0..2_000_000).step_by(7) {
            let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
            let ratio = Ratio::from_decimal(text.parse().unwrap()).unwrap();
            assert_eq!(ratio.millionths(), millionths, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_ratio() {
        for number in [-0.1, f64::NAN, f64::INFINITY, 2e6] {
            assert!(matches!(Ratio::from_decimal(number), Err(RatioError::OutOfRange(_))));
        }
        assert_eq!(Ratio::from_decimal(0.123_456_7), Err(RatioError::TooFine(0.123_456_7)));
    }
}
