//! How often each number was counted.

use serde::ser::{Serialize, SerializeMap as _, Serializer};

/// Counts of numbers from 0 on. The numbers are lengths, so the table is small.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    /// Counts a number.
    pub(crate) fn add(&mut self, number: u32) {
        let place = number as usize;
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] += 1;
    }

    /// Adds the counts of another histogram.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.0.len() > self.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (count, other) in self.0.iter_mut().zip(&other.0) {
            *count += other;
        }
    }

    /// The numbers that were counted, and how often, in increasing order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u64)> {
        (0..).zip(self.0.iter().copied()).filter(|(_, count)| *count > 0)
    }

    /// How many numbers were counted.
    #[must_use]
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().sum()
    }

    /// The sum of all numbers.
    #[must_use]
    pub(crate) fn sum(&self) -> u64 {
        self.iter().map(|(number, count)| u64::from(number) * count).sum()
    }

    /// The mean; `None` if nothing was counted.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits")]
    pub(crate) fn mean(&self) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| self.sum() as f64 / count as f64)
    }

    /// The smallest number that at least `hundredths` of all numbers do not exceed; `None` if nothing was counted. The
    /// 0th is the least, the 100th the greatest.
    #[must_use]
    pub(crate) fn quantile(&self, hundredths: u64) -> Option<u32> {
        let needed = (self.count() * hundredths).div_ceil(100).max(1);
        let mut seen = 0;
        self.iter().find_map(|(number, count)| {
            seen += count;
            (seen >= needed).then_some(number)
        })
    }
}

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (number, count) in self.iter() {
            map.serialize_entry(&number, &count)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_numbers_that_were_counted() {
        let mut histogram = Histogram::default();
        assert_eq!((histogram.quantile(50), histogram.mean()), (None, None));
        for number in [5, 1, 3, 3, 9] {
            histogram.add(number);
        }
        assert_eq!([0, 20, 21, 50, 80, 81, 100].map(|q| histogram.quantile(q).unwrap()), [1, 1, 3, 3, 5, 9, 9]);
        assert_eq!((histogram.count(), histogram.sum(), histogram.mean()), (5, 21, Some(4.2)));
        let mut both = Histogram::default();
        both.add(0);
        both.merge(&histogram);
        assert_eq!(both.iter().collect::<Vec<_>>(), [(0, 1), (1, 1), (3, 2), (5, 1), (9, 1)]);
        assert_eq!(serde_json::to_string(&both).unwrap(), r#"{"0":1,"1":1,"3":2,"5":1,"9":1}"#);
    }
}
