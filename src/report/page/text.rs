//! Text and numbers on the page.

use crate::report::grouped;
use crate::report::terminal::visible;

/// Text as HTML, with escapes for characters that change the direction of text.
pub(crate) fn escape(text: &str) -> String {
    visible(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// `1,234`; numbers such as `0.5` keep the digits that matter.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
pub(crate) fn grouped_f64(number: f64) -> String {
    if number < 10.0 && number.fract() > 1e-9 { format!("{number:.2}") } else { grouped(number.round() as u64) }
}
