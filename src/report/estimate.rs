//! The estimate that `plan` prints, from a sample.

use std::fmt::Write as _;

use crate::denoise::Spec;
use crate::pipeline::estimate::{Estimate, Forecast, Sampled};
use crate::report::numbers::{bytes, duration};
use crate::report::stats::percent;
use crate::report::table::table;
use crate::report::{counted, grouped};

/// The text of the estimate: what a run would make.
#[must_use]
pub(crate) fn estimate(estimate: &Estimate, spec: &Spec, workers: usize) -> String {
    let Estimate { sampled, sources, bytes: on_disk, total, is_whole } = estimate;
    let about = |number: f64| if *is_whole { rounded(number) } else { format!("~{}", three_digits(number)) };
    let sizes = |number: f64| bytes(whole_number(number));
    let mut head = ["source", "on disk", "text", "documents", "tokens", "rows", "shards"].map(str::to_owned).to_vec();
    let is_weighted = !spec.fields().weights.is_empty();
    if is_weighted {
        head.extend(["weight", "masked tokens", "share"].map(str::to_owned));
    }
    let masked = |expected: &Forecast| expected.denoisers.iter().map(|(_, tokens)| tokens).sum::<f64>();
    let all_masked = masked(total);
    let row = |name: &str, on_disk: u64, expected: &Forecast| {
        let Forecast { text, documents, tokens, rows, shard_bytes, .. } = expected;
        let mut row = vec![
            name.to_owned(),
            bytes(on_disk),
            sizes(*text),
            about(*documents),
            about(*tokens),
            about(*rows),
            sizes(*shard_bytes),
        ];
        if is_weighted {
            let weight = spec.maskings(name).mean() / f64::from(spec.fields().epochs);
            let masked = masked(expected);
            row.extend([weight.to_string(), about(masked), percent((all_masked > 0.0).then(|| masked / all_masked))]);
        }
        row
    };
    let mut rows = vec![head];
    rows.extend(sampled.iter().map(|Sampled { name, bytes, expected }| row(name, *bytes, expected)));
    let epochs = spec.fields().epochs;
    if *sources > 1 {
        let mut all = row(&format!("all {}", counted(*sources as u64, "source")), *on_disk, total);
        if is_weighted {
            "-".clone_into(&mut all[7]);
        }
        rows.push(all);
    }
    let of = match (*is_whole, sampled.len()) {
        (true, _) => String::new(),
        (false, 1) => ", estimated from the beginning of one source".to_owned(),
        (false, some) => format!(", estimated from the beginning of {some} sources"),
    };
    let of_epochs = if epochs > 1 { format!(", rows of {epochs} epochs") } else { String::new() };
    let mut text = format!("\nwhat would be made{of}{of_epochs}\n\n{}", table(&rows));
    let mut denoisers = vec![["denoiser", "examples", "share", "tokens", "share"].map(str::to_owned).to_vec()];
    let sums = total.denoisers.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let part = |part: f64, whole: f64| percent((whole > 0.0).then(|| part / whole));
    for (denoiser, (examples, tokens)) in spec.denoisers().iter().zip(&total.denoisers) {
        denoisers.push(vec![
            denoiser.name.clone(),
            about(*examples),
            part(*examples, sums.0),
            about(*tokens),
            part(*tokens, sums.1),
        ]);
    }
    let _ = write!(text, "\n{}", table(&denoisers));
    if spec.fields().validation.is_some() {
        let _ = writeln!(text, "\nrows for validation: {}", about(total.validation_rows));
    }
    if total.rejects > 0.0 {
        let _ = writeln!(text, "\nlines that would be rejected: {}", about(total.rejects));
    }
    #[expect(clippy::cast_precision_loss, reason = "a number of threads")]
    let seconds = total.seconds / workers as f64;
    let _ = writeln!(text, "\ntime  about {} with {}", duration(seconds.max(1.0)), counted(workers as u64, "worker"));
    crate::report::terminal::visible(&text).into_owned()
}

/// `1,234,567`
fn rounded(number: f64) -> String {
    grouped(whole_number(number))
}

/// `1,230,000`: more digits would promise too much.
fn three_digits(number: f64) -> String {
    let unit = 10_f64.powf((number.max(1.0).log10().floor() - 2.0).max(0.0));
    rounded((number / unit).round() * unit)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
fn whole_number(number: f64) -> u64 {
    number.round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_have_three_digits() {
        let numbers = [0.0, 0.4, 7.2, 99.6, 999.4, 1004.9, 1_234_567.0];
        assert_eq!(numbers.map(three_digits), ["0", "0", "7", "100", "999", "1,000", "1,230,000"]);
    }
}
