//! Numbers as people read them. All counts agree with their nouns through [`noun`].

/// The noun after a count: `row` for 1, else `rows`.
#[must_use]
pub(crate) fn noun(count: u64, one: &str) -> String {
    match (count, one.ends_with("ch")) {
        (1, _) => one.to_owned(),
        (_, true) => format!("{one}es"),
        (_, false) => format!("{one}s"),
    }
}

/// `1 row`, `2,000 rows`, `2 batches`
#[must_use]
pub(crate) fn counted(count: u64, one: &str) -> String {
    format!("{} {}", grouped(count), noun(count, one))
}

/// `1 byte`, `2000 bytes`: a size that a person compares with another one.
#[must_use]
pub(crate) fn exact(count: u64, one: &str) -> String {
    format!("{count} {}", noun(count, one))
}

/// `1,234,567`
#[must_use]
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.char_indices() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `999`, `11.1 k`, `2.5 M`, `1.2 G`: three digits and a factor of a thousand.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "shown with three digits")]
pub(crate) fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{:.1} k", count as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.1} M", count as f64 / 1e6),
        1_000_000_000..1_000_000_000_000 => format!("{:.1} G", count as f64 / 1e9),
        _ => format!("{:.1} T", count as f64 / 1e12),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_agree_with_their_nouns() {
        assert_eq!([0, 1, 2, 1_234].map(|count| counted(count, "row")), ["0 rows", "1 row", "2 rows", "1,234 rows"]);
        assert_eq!([1, 2].map(|count| counted(count, "batch")), ["1 batch", "2 batches"]);
        assert_eq!([1, 4_500].map(|count| exact(count, "byte")), ["1 byte", "4500 bytes"]);
    }

    #[test]
    fn numbers_read_easily() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([7, 11_123, 11_100_000, u64::MAX].map(short), ["7", "11.1 k", "11.1 M", "18446744.1 T"]);
    }
}
