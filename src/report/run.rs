//! The summary after a run.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize as _;

use crate::denoise::TokenizerId;
use crate::input::source::listed;
use crate::numbers::{counted, exact, grouped};
use crate::output::manifest::Manifest;
use crate::report::numbers::bytes;
use crate::report::tokenizer;

/// The text of the summary after a run.
#[must_use]
pub(crate) fn summary(manifest: &Manifest, passed_over: &[String], out: &str, elapsed: Duration) -> String {
    let totals = &manifest.totals;
    let sources = &totals.sources;
    let mut text = format!(
        "{} from {} ({}) in {}, {}, in {:.1} s\n",
        counted(sources.rows, "row"),
        counted(sources.documents, "document"),
        counted(sources.tokens, "token"),
        counted(manifest.shards.len() as u64, "shard"),
        bytes(totals.shard_bytes),
        elapsed.as_secs_f64(),
    );
    if let Some(validation) = &manifest.validation {
        let of = &validation.totals.documents;
        let _ = writeln!(
            text,
            "of these for validation: {} from {} ({})",
            counted(of.rows, "row"),
            counted(of.documents, "document"),
            counted(of.tokens, "token")
        );
    }
    let id = TokenizerId::deserialize(&manifest.spec["tokenizer"]).map(|id| tokenizer(&id)).unwrap_or_default();
    let _ = writeln!(text, "recipe {}, tokenizer {id}", manifest.spec["recipe"].as_str().unwrap_or_default());
    if !passed_over.is_empty() {
        let _ = writeln!(text, "{} passed over: {}", counted(passed_over.len() as u64, "file"), listed(passed_over));
    } else if manifest.plan.passed_over > 0 {
        let files = counted(manifest.plan.passed_over, "file");
        let _ = writeln!(text, "{files} passed over when the sources were listed: `ul2-prep plan` names them");
    }
    if manifest.plan.left_out > 0 {
        let _ = writeln!(text, "{} of weight 0 left out", counted(manifest.plan.left_out, "source"));
    }
    if sources.unused_documents > 0 {
        let _ = writeln!(
            text,
            "{} in no row because of weights below 1 ({})",
            counted(sources.unused_documents, "document"),
            counted(sources.unused_tokens, "token")
        );
    }
    if sources.short_documents > 0 {
        let _ = writeln!(
            text,
            "{} shorter than `min_segment`, no rows ({})",
            counted(sources.short_documents, "document"),
            counted(sources.short_tokens, "token")
        );
    }
    if sources.rejected() > 0 {
        let reasons: Vec<String> =
            sources.rejects.iter().map(|(reason, count)| format!("{} {reason}", grouped(*count))).collect();
        let _ = writeln!(
            text,
            "{}, kept in `{out}/rejects`: {}",
            counted(sources.rejected(), "rejected line"),
            reasons.join(", ")
        );
    }
    if sources.left_out_tokens > 0 {
        let _ = writeln!(text, "{} left out, as the recipe asks", counted(sources.left_out_tokens, "token"));
    }
    if let Some(fill_rate) = totals.fill_rate {
        let examples = counted(sources.examples, "example");
        let _ = writeln!(text, "{examples}, which fill {:.1} % of the rows' lengths", 100.0 * fill_rate);
    }
    for shortening in &manifest.shortened {
        let _ = writeln!(text, "note: {}", shortened(shortening));
    }
    text
}

pub(crate) fn shortened(shortening: &crate::denoise::Shortening) -> String {
    let crate::denoise::Shortening { denoiser, full_segment_length, segment_length, sentinels_needed, sentinels } =
        shortening;
    format!(
        "denoiser `{denoiser}` gets segments of {} instead of {full_segment_length}: these would need {}, the vocabulary has {sentinels}",
        exact(u64::from(*segment_length), "token"),
        exact(u64::from(*sentinels_needed), "sentinel"),
    )
}
