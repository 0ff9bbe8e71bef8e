//! Parsers for the values of flags.

use crate::denoise::{DataSplit, Ratio, Weight};
use crate::input::limits::Limits;
use crate::output::schema::Column;
use crate::recipe::nearest;

/// Whether large sources are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceSplit {
    /// No source is divided.
    None,
    /// Sources with more bytes on disk.
    Above(u64),
}

impl SourceSplit {
    /// The default of `plan --write`.
    pub(crate) const OF_PLANS: Self = Self::Above(4 << 30);
}

/// Parses the name of a column.
pub(crate) fn column(name: &str) -> Result<Column, String> {
    let names = || Column::ALL.into_iter().map(Column::name);
    Column::named(name).ok_or_else(|| match nearest(name, names()) {
        Some(nearest) => format!("there is no column `{name}`; there is `{nearest}`"),
        None => format!("there is no column `{name}`; there are `{}`", names().collect::<Vec<_>>().join("`, `")),
    })
}

/// Bytes: `1000`, `64MiB`, `1.5GB`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 7] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("kB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("B", 1),
    ];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit))).unwrap_or((text, 1));
    let number: f64 = number.trim().parse().map_err(|_| format!("expected a size like `256MiB`, found `{text}`"))?;
    #[expect(clippy::cast_precision_loss, reason = "units are small")]
    let bytes = number * unit as f64;
    if !(1.0..=1e15).contains(&bytes) {
        return Err(format!("expected a size from 1 B to 1,000,000 GB, found `{text}`"));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    Ok(bytes as u64)
}

/// Parses the weight of some sources: `wiki/**=2.5`.
pub(crate) fn weight(text: &str) -> Result<Weight, String> {
    let expected = || format!("expected a pattern and a number like `wiki/**=2.5`, found `{text}`");
    let (sources, number) = text.rsplit_once('=').ok_or_else(expected)?;
    let number: f64 = number.trim().parse().map_err(|_| expected())?;
    let weight = Ratio::from_decimal(number).map_err(|error| format!("`{text}`: {error}"))?;
    if sources.is_empty() { Err(expected()) } else { Ok(Weight { sources: sources.to_owned(), weight }) }
}

/// Parses the name of a split.
pub(crate) fn data_split(name: &str) -> Result<DataSplit, String> {
    let named = DataSplit::ALL.into_iter().find(|split| split.name() == name);
    named.ok_or_else(|| format!("expected `train` or `validation`, found `{name}`"))
}

/// Parses a share of documents: `0.5%` or `0.005`.
pub(crate) fn share_of_documents(text: &str) -> Result<Ratio, String> {
    let expected = || format!("expected a share like `0.5%` or `0.005`, found `{text}`");
    let percent = text.strip_suffix('%');
    let number: f64 = percent.unwrap_or(text).trim().parse().map_err(|_| expected())?;
    if percent.is_none() && number >= 1.0 {
        return Err(format!(
            "expected a share like `0.5%` or `0.005`, found `{text}`: a number of documents cannot be drawn before all are read; \
             divide it by the number of documents that `ul2-prep plan` estimates"
        ));
    }
    let share = Ratio::from_decimal(if percent.is_some() { number / 100.0 } else { number }).map_err(|_| expected())?;
    if share.is_share() { Ok(share) } else { Err(expected()) }
}

/// Parses the size above which sources are divided.
pub(crate) fn split(text: &str) -> Result<SourceSplit, String> {
    if text == "none" { Ok(SourceSplit::None) } else { size(text).map(SourceSplit::Above) }
}

/// Parses the size of a Zstandard window.
pub(crate) fn window(text: &str) -> Result<u64, String> {
    let bytes = size(text)?;
    if (Limits::LEAST_WINDOW..=Limits::MOST_WINDOW).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(format!("expected a window from `1KiB` to `2GiB`, found `{text}`"))
    }
}

pub(crate) const MAX_LINE: &str = "64MiB";

pub(crate) fn seed(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("seeds are whole numbers from 0 to {}", u64::MAX))
}
