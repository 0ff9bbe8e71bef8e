//! The table of `stats`.

use std::fmt::Write as _;

use crate::output::schema::Column;
use crate::report::table::table;
use crate::report::{counted, grouped};
use crate::stats::{DenoiserSummary, Lengths, Summary, ValidationSummary};

/// The text that `stats` prints.
#[must_use]
pub(crate) fn summary(summary: &Summary) -> String {
    let Summary {
        recipe,
        rows,
        examples,
        tokens,
        lines,
        documents,
        document_tokens,
        validation,
        undecoded,
        not_counted,
        denoisers,
        inputs,
        labels,
        rejects,
        ..
    } = summary;
    let mut text = format!("{} of {}", counted(*rows, "row"), counted(*examples, "example"));
    if !denoisers.is_empty() {
        let _ = write!(text, ", {}", counted(*tokens, "token"));
    }
    let _ = writeln!(text, ", recipe {recipe}");
    let _ = writeln!(
        text,
        "from {} ({}) in {}",
        counted(*documents, "document"),
        counted(*document_tokens, "token"),
        counted(*lines, "line")
    );
    if let Some(ValidationSummary { rows, examples: _, documents, document_tokens }) = validation {
        let _ = writeln!(
            text,
            "of these for validation: {} from {} ({})",
            counted(*rows, "row"),
            counted(*documents, "document"),
            counted(*document_tokens, "token")
        );
    }
    if *undecoded > 0 {
        let _ = writeln!(text, "not counted: {}, which `ul2-prep verify` names", counted(*undecoded, "broken example"));
    }
    for line in not_counted {
        let _ = writeln!(text, "not counted: {line}");
    }
    if !denoisers.is_empty() {
        let _ = write!(text, "\n{}", table(&denoiser_rows(denoisers)));
    }
    let head = ["ids", "least", "median", "mean", "95 %", "most", "allowed", "filled"].map(str::to_owned).to_vec();
    let lengths =
        vec![head, length_row(&Column::InputIds.to_string(), inputs), length_row(&Column::Labels.to_string(), labels)];
    let _ = write!(text, "\n{}", table(&lengths));
    if !rejects.is_empty() {
        let listed: Vec<String> =
            rejects.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
        let _ = writeln!(text, "\nrejected lines: {}", listed.join(", "));
    }
    crate::report::terminal::visible(&text).into_owned()
}

fn denoiser_rows(denoisers: &[DenoiserSummary]) -> Vec<Vec<String>> {
    let head = [
        "denoiser",
        "examples",
        "share",
        "asked",
        "by tokens",
        "density",
        "asked",
        "spans",
        "mean span",
        "longest",
        "sentinels",
        "most",
    ];
    let row = |denoiser: &DenoiserSummary| {
        vec![
            denoiser.name.clone(),
            grouped(denoiser.examples),
            percent(Some(denoiser.share_of_examples)),
            percent(Some(denoiser.asked)),
            percent(Some(denoiser.share_of_tokens)),
            number(denoiser.density, 3),
            number(denoiser.asked_density, 3),
            number(denoiser.spans_per_example, 1),
            number(denoiser.mean_span, 2),
            whole(denoiser.longest_span),
            number(denoiser.mean_sentinels, 1),
            whole(denoiser.most_sentinels),
        ]
    };
    std::iter::once(head.map(str::to_owned).to_vec()).chain(denoisers.iter().map(row)).collect()
}

fn length_row(name: &str, lengths: &Lengths) -> Vec<String> {
    let Lengths { allowed, ids: _, least, median, mean, p95, most, fill, histogram: _ } = lengths;
    vec![
        name.to_owned(),
        whole(*least),
        whole(*median),
        number(*mean, 1),
        whole(*p95),
        whole(*most),
        grouped(u64::from(*allowed)),
        percent(*fill),
    ]
}

/// `12.3 %`
#[must_use]
pub(crate) fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share))
}

fn number(number: Option<f64>, digits: usize) -> String {
    number.map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
}

fn whole(number: Option<u32>) -> String {
    number.map_or_else(|| "-".to_owned(), |number| grouped(u64::from(number)))
}
