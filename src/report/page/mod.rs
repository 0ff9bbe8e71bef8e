//! A data set on one HTML page that includes its plots and fetches nothing (`docs/reference/inspect.md`).

#![expect(clippy::cast_precision_loss, reason = "what is drawn has a few digits")]

pub(crate) mod plot;
pub(crate) mod text;

use std::fmt::Write as _;

use crate::output::manifest::Manifest;
use crate::output::schema::Column;
use crate::reading::parts::{Part, PartKind};
use crate::report::numbers::bytes;
use crate::report::page::plot::Labels;
use crate::report::page::text::{escape, grouped_f64};
use crate::report::stats::percent;
use crate::report::terminal::one_line;
use crate::report::{counted, grouped};
use crate::stats::expected_lengths::Origin;
use crate::stats::histogram::Histogram;
use crate::stats::{DenoiserSummary, Lengths, Summary};

/// How each of our pages begins. A file that begins differently is not ours, and is not replaced.
pub(crate) const BEGINNING: &str = "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"generator\" content=\"ul2-prep stats\">\n";

/// Sources whose documents are drawn at most.
const MOST_SOURCES: usize = 30;

/// Letters of a row's part that the page shows at most.
const MOST_LETTERS: usize = 2_000;

const STYLE: &str = include_str!("page.css");

/// A row as the page shows it.
#[derive(Debug, Clone)]
pub(crate) struct RowShown {
    /// Its denoiser.
    pub(crate) denoiser: String,
    /// Its source and line.
    pub(crate) place: String,
    /// The text that it was made from.
    pub(crate) text: Vec<Part>,
    /// The parts of the inputs.
    pub(crate) inputs: Vec<Part>,
    /// The parts of the labels.
    pub(crate) labels: Vec<Part>,
}

/// The HTML of the page.
#[must_use]
pub(crate) fn page(manifest: &Manifest, summary: &Summary, rows: &[RowShown]) -> String {
    let title = format!("{} with seed {}", summary.recipe, manifest.spec["seed"]);
    let mut body = head(manifest, summary);
    if !summary.denoisers.is_empty() {
        body += &mixture(summary);
        body += &denoisers(&summary.denoisers);
    }
    body += &lengths(summary);
    body += &sources(summary);
    body += &rejects(summary);
    body += &examples(rows);
    format!(
        "{BEGINNING}<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escape(&title)
    )
}

fn head(manifest: &Manifest, summary: &Summary) -> String {
    let totals = &manifest.totals;
    let mut text = format!(
        "<h1>{}</h1>\n<p class=\"soft\">{} of {} from {} in {} ({}), {} in {}; seed {}, {}; ul2-prep {}, spec {}</p>\n",
        escape(&summary.recipe),
        counted(summary.rows, "row"),
        counted(summary.examples, "example"),
        counted(totals.sources.documents, "document"),
        counted(manifest.sources.len() as u64, "source"),
        counted(totals.sources.tokens, "token"),
        bytes(totals.shard_bytes),
        counted(manifest.shards.len() as u64, "shard"),
        manifest.spec["seed"],
        counted(manifest.spec["epochs"].as_u64().unwrap_or_default(), "epoch"),
        escape(&manifest.tool_version),
        escape(manifest.spec_fingerprint.get(..12).unwrap_or_default()),
    );
    if summary.undecoded > 0 {
        let _ = writeln!(
            text,
            "<p>Not counted: {}, which <code>ul2-prep verify</code> names.</p>",
            counted(summary.undecoded, "broken example")
        );
    }
    for line in &summary.not_counted {
        let _ = writeln!(text, "<p>Not counted: {}.</p>", escape(line));
    }
    text
}

fn mixture(summary: &Summary) -> String {
    let groups: Vec<(String, Vec<f64>)> = summary
        .denoisers
        .iter()
        .map(|one| (one.name.clone(), vec![one.asked, one.share_of_examples, one.share_of_tokens]))
        .collect();
    let series = ["asked for", "by examples", "by tokens"];
    let plot = plot::groups("shares of the denoisers", &series, &groups, |share| percent(Some(share)));
    let mut table = String::from(
        "<tr><th>denoiser<th>pattern<th>examples<th>density<th>asked<th>spans<th>mean span<th>longest<th>sentinels, most</tr>\n",
    );
    let number =
        |number: Option<f64>, digits: usize| number.map_or("–".to_owned(), |number| format!("{number:.digits$}"));
    let whole = |number: Option<u32>| number.map_or("–".to_owned(), |number| grouped(number.into()));
    for one in &summary.denoisers {
        let _ = writeln!(
            table,
            "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>",
            escape(&one.name),
            escape(&one.pattern),
            grouped(one.examples),
            number(one.density, 3),
            number(one.asked_density, 3),
            number(one.spans_per_example, 1),
            number(one.mean_span, 2),
            whole(one.longest_span),
            whole(one.most_sentinels),
        );
    }
    format!(
        "<h2>Mixture</h2>\n<figure id=\"mixture\">{plot}</figure>\n<div class=\"scroll\"><table>{table}</table></div>\n"
    )
}

fn denoisers(denoisers: &[DenoiserSummary]) -> String {
    let mut text = String::from(
        "<h2>Masks</h2>\n<p class=\"soft\">Bars are counted; the line is what the law gives for these segments. Right: the share of noise in each fiftieth of a segment; dashed, all of it.</p>\n<div class=\"grid2\">\n",
    );
    for one in denoisers {
        let counts = from_one(&one.spans);
        let law = one.expected.as_ref().map(|expected| expected.spans.as_slice());
        let origin = match one.expected.as_ref().map(|expected| expected.origin) {
            Some(Origin::Exact) => "line: exact law",
            Some(Origin::Drawn) => "line: masks drawn with another seed",
            None => "no law of its own",
        };
        let name = escape(&one.name);
        let id: String = one
            .name
            .chars()
            .map(|letter| if letter.is_alphanumeric() || "-_".contains(letter) { letter } else { '-' })
            .collect();
        let title = format!("span lengths of {}", one.name);
        let labels = Labels { title: &title, across: "tokens of a span", up: "spans" };
        let spans = plot::histogram(labels, 1, &counts, law);
        let title = format!("noise of {} by position", one.name);
        let labels = Labels { title: &title, across: "place in the segment", up: "share of noise" };
        let profile = plot::profile(labels, &one.positions, one.density);
        let _ = write!(
            text,
            "<figure id=\"spans-{id}\"><h3>{name}: span lengths <span class=\"soft\">{} · {origin}</span></h3>{spans}</figure>\n\
             <figure id=\"positions-{id}\"><h3>{name}: noise by position</h3>{profile}</figure>\n",
            escape(&one.pattern)
        );
    }
    text + "</div>\n"
}

fn lengths(summary: &Summary) -> String {
    let mut text = String::from("<h2>Lengths</h2>\n<div class=\"grid2\">\n");
    for (column, lengths) in [(Column::InputIds, &summary.inputs), (Column::Labels, &summary.labels)] {
        let Lengths { allowed, mean, fill, histogram, .. } = lengths;
        let title = format!("lengths of {column}");
        let labels = Labels { title: &title, across: "ids of a row", up: "rows" };
        let counts: Vec<u64> = dense(histogram, 0);
        let plot = plot::histogram(labels, 0, &counts, None);
        let mean = mean.map_or(String::new(), |mean| format!("mean {mean:.1}, "));
        let _ = writeln!(
            text,
            "<figure id=\"lengths-{column}\"><h3>{column} <span class=\"soft\">{mean}at most {} allowed, {} filled</span></h3>{plot}</figure>",
            grouped(u64::from(*allowed)),
            percent(*fill)
        );
    }
    text + "</div>\n"
}

fn sources(summary: &Summary) -> String {
    let mut sources = summary.sources.clone();
    sources.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let others = sources.len().saturating_sub(MOST_SOURCES);
    sources.truncate(MOST_SOURCES);
    let groups: Vec<(String, Vec<f64>)> =
        sources.into_iter().map(|(name, documents)| (name, vec![documents as f64])).collect();
    let plot = plot::groups("documents by source", &["documents"], &groups, grouped_f64);
    let more =
        if others > 0 { format!("<p class=\"soft\">and {} more</p>\n", grouped(others as u64)) } else { String::new() };
    format!("<h2>Documents by source</h2>\n<figure id=\"sources\">{plot}</figure>\n{more}")
}

fn rejects(summary: &Summary) -> String {
    let plot = if summary.rejects.is_empty() {
        "<p>No line was rejected.</p>".to_owned()
    } else {
        let groups: Vec<(String, Vec<f64>)> =
            summary.rejects.iter().map(|(reason, lines)| (reason.clone(), vec![*lines as f64])).collect();
        plot::groups("rejected lines by reason", &["lines"], &groups, grouped_f64)
    };
    format!("<h2>Rejected lines</h2>\n<figure id=\"rejects\">{plot}</figure>\n")
}

fn examples(rows: &[RowShown]) -> String {
    let mut text = String::from(
        "<h2>Rows</h2>\n<p class=\"soft\">The first of each denoiser. <span class=\"noise\">Noise</span>, <span class=\"sentinel\">sentinels</span>, <span class=\"mode\">mode tokens</span>.</p>\n",
    );
    for RowShown { denoiser, place, text: segment, inputs, labels } in rows {
        let _ = writeln!(
            text,
            "<div class=\"row\"><h3>{} <span class=\"soft\">{}</span></h3>",
            escape(denoiser),
            escape(place)
        );
        for (name, parts) in [("text", segment), ("inputs", inputs), ("labels", labels)] {
            let _ =
                writeln!(text, "<div><b>{name}</b><code>{}</code></div>", parts.iter().map(span).collect::<String>());
        }
        text += "</div>\n";
    }
    text
}

/// A part of a row. A long one is shown by both its ends.
fn span(Part { kind, text }: &Part) -> String {
    let letters = text.chars().count();
    let text = if letters > MOST_LETTERS {
        let half = MOST_LETTERS / 2;
        let (head, tail): (String, String) =
            (text.chars().take(half).collect(), text.chars().skip(letters - half).collect());
        format!("{head} […] {tail}")
    } else {
        text.clone()
    };
    let text = escape(&one_line(&text));
    match kind {
        PartKind::Kept => text,
        PartKind::Noise => format!("<span class=\"noise\">{text}</span>"),
        PartKind::Sentinel => format!("<span class=\"sentinel\">{text}</span>"),
        PartKind::ModeToken => format!("<span class=\"mode\">{text}</span>"),
        PartKind::Reserved => format!("<span class=\"reserved\">{text}</span>"),
    }
}

fn from_one(histogram: &Histogram) -> Vec<u64> {
    dense(histogram, 1)
}

/// All counts from `first` on, zeros included.
fn dense(histogram: &Histogram, first: u32) -> Vec<u64> {
    let mut counts = Vec::new();
    for (number, count) in histogram.iter().filter(|(number, _)| *number >= first) {
        counts.resize((number - first) as usize, 0);
        counts.push(count);
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_no_markup() {
        let part = Part { kind: PartKind::Noise, text: "<script>alert(\"a\")</script>&\u{202E}\n".to_owned() };
        let expected =
            "<span class=\"noise\">&lt;script&gt;alert(&quot;a&quot;)&lt;/script&gt;&amp;\\u{202e}\\n</span>";
        assert_eq!(span(&part), expected);
    }

    #[test]
    fn counts_without_gaps() {
        let mut histogram = Histogram::default();
        for number in [0, 2, 2, 5] {
            histogram.add(number);
        }
        assert_eq!(dense(&histogram, 0), [1, 0, 2, 0, 0, 1]);
        assert_eq!(dense(&histogram, 1), [0, 2, 0, 0, 1]);
    }
}
