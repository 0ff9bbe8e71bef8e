//! `README.md` of a data set: the card that Hugging Face `datasets` reads, and what a person wants to know first.

use std::fmt::Write as _;

use serde_json::Value;

use super::counts::DenoiserCounts;
use super::data_set::DATA;
use super::manifest::Manifest;

/// The card.
#[must_use]
pub fn card(manifest: &Manifest) -> String {
    let spec = &manifest.spec;
    let text = |key: &str| spec[key].as_str().unwrap_or_default().to_owned();
    let totals = &manifest.totals;
    let mut denoisers = String::new();
    for (name, counts) in &manifest.denoisers {
        let DenoiserCounts { examples, tokens, noise_tokens, spans, .. } = counts;
        let _ = writeln!(denoisers, "| `{name}` | {examples} | {tokens} | {noise_tokens} | {spans} |");
    }
    let lengths = match &spec["causal"] {
        Value::Null => {
            format!("inputs of at most {} ids, labels of at most {}", spec["inputs_length"], spec["labels_length"])
        }
        causal => format!(
            "one sequence of at most {} ids a row (`labels` are -100 on its prefix if loss is on the targets, `prefix_length` says how long that is)",
            causal["sequence_length"]
        ),
    };
    let arranged: String = [("pack", ", packed"), ("pad", ", padded"), ("shuffle", ", shuffled within row groups")]
        .into_iter()
        .filter(|(key, _)| spec[*key] == true)
        .map(|(_, word)| word)
        .collect();
    let packed = totals.fill_rate.map_or_else(String::new, |fill_rate| {
        let examples = totals.sources.examples;
        format!(" {examples} examples fill {:.1} % of the rows' lengths.", 100.0 * fill_rate)
    });
    format!(
        "---\n\
         configs:\n\
         - config_name: default\n\
         \x20 data_files:\n\
         \x20 - split: train\n\
         \x20   path: {DATA}/train-*.parquet\n\
         ---\n\
         \n\
         # Pre-masked training data\n\
         \n\
         {rows} rows from {documents} documents in {sources} sources ({tokens} tokens), made by `ul2-prep` {version} with the \
         recipe `{recipe}`, seed {seed}, {epochs} epoch(s), {lengths}{arranged}.{packed}\n\
         \n\
         | denoiser | examples | tokens | noise tokens | noise spans |\n\
         |---|---:|---:|---:|---:|\n\
         {denoisers}\
         \n\
         ```python\n\
         from datasets import load_dataset\n\
         rows = load_dataset(\"PATH/OF/THIS/FOLDER\", split=\"train\")\n\
         ```\n\
         \n\
         `manifest.json` says what was made from what, with digests; its `spec` is everything that decided the rows.\n",
        rows = totals.sources.rows,
        documents = totals.sources.documents,
        sources = manifest.sources.len(),
        tokens = totals.sources.tokens,
        version = manifest.tool_version,
        recipe = text("recipe"),
        seed = spec["seed"],
        epochs = spec["epochs"],
    )
}
