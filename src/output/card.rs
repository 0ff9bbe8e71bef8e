//! `README.md` of a data set: the card that Hugging Face `datasets` reads, and what a person wants to know first. It follows from the manifest alone.

use std::fmt::Write as _;

use serde_json::Value;

use super::counts::DenoiserCounts;
use super::data_set::{DATA, MANIFEST, REJECTS};
use super::manifest::{Manifest, SourceEntry};
use super::schema::Column;

/// Sources that the card lists; the manifest has all.
const MOST_SOURCES: usize = 50;

/// The card.
#[must_use]
pub fn card(manifest: &Manifest) -> String {
    let mut card = head(manifest);
    card += &about(manifest);
    card += &denoisers(manifest);
    card += &columns(manifest);
    card += &loading(manifest);
    card += &recipe(manifest);
    card += &sources(manifest);
    card += &again(manifest);
    card
}

/// What loaders read.
fn head(manifest: &Manifest) -> String {
    let rows = manifest.totals.sources.rows;
    // The Hub's own names of sizes.
    let size = match rows {
        0..1_000 => "n<1K",
        1_000..10_000 => "1K<n<10K",
        10_000..100_000 => "10K<n<100K",
        100_000..1_000_000 => "100K<n<1M",
        1_000_000..10_000_000 => "1M<n<10M",
        10_000_000..100_000_000 => "10M<n<100M",
        100_000_000..1_000_000_000 => "100M<n<1B",
        _ => "1B<n<10B",
    };
    format!(
        "---\n\
         configs:\n\
         - config_name: default\n\
         \x20 description: rows {digest}\n\
         \x20 data_files:\n\
         \x20 - split: train\n\
         \x20   path: {DATA}/train-*.parquet\n\
         tags:\n\
         - ul2-prep\n\
         - denoising\n\
         size_categories:\n\
         - {size}\n\
         ---\n\
         \n\
         # Pre-masked training data\n",
        // `datasets` keeps what it has read by the folder's name and this head: other rows need another one.
        digest = manifest.totals.rows_digest
    )
}

fn about(manifest: &Manifest) -> String {
    let (spec, totals) = (&manifest.spec, &manifest.totals);
    let lengths = match &spec["causal"] {
        Value::Null => {
            format!("inputs of at most {} ids, labels of at most {}", spec["inputs_length"], spec["labels_length"])
        }
        causal => format!(
            "one sequence of at most {} ids a row (`{}` are -100 on its prefix if loss is on the targets, `{}` says how long that is)",
            causal["sequence_length"],
            Column::Labels,
            Column::PrefixLength
        ),
    };
    let arranged: String = [("pack", ", packed"), ("pad", ", padded"), ("shuffle", ", shuffled within row groups")]
        .into_iter()
        .filter(|(key, _)| spec[*key] == true)
        .map(|(_, word)| word)
        .collect();
    let mut text = format!(
        "\n{rows} rows from {documents} documents in {sources} sources ({tokens} tokens), made by `ul2-prep` {version} with the \
         recipe {recipe}, seed {seed}, {epochs} epoch(s), {lengths}{arranged}.",
        rows = totals.sources.rows,
        documents = totals.sources.documents,
        sources = manifest.sources.len(),
        tokens = totals.sources.tokens,
        version = manifest.tool_version,
        recipe = code(text_of(&spec["recipe"])),
        seed = spec["seed"],
        epochs = spec["epochs"],
    );
    if let Some(fill_rate) = totals.fill_rate {
        let _ =
            write!(text, " {} examples fill {:.1} % of the rows' lengths.", totals.sources.examples, 100.0 * fill_rate);
    }
    let tokenizer = &spec["tokenizer"];
    let _ = match text_of(&tokenizer["sha256"]) {
        "" => write!(text, "\n\nTokenizer: `{}`.", text_of(&tokenizer["kind"])),
        sha256 => write!(text, "\n\nTokenizer: a `{}` with SHA-256 `{sha256}`.", text_of(&tokenizer["kind"])),
    };
    if totals.sources.rejected() > 0 {
        let reasons: Vec<String> =
            totals.sources.rejects.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        let _ = write!(text, "\n\nRejected lines, kept in `{REJECTS}/`: {}.", reasons.join(", "));
    }
    text + "\n"
}

/// A name as code, also in a table, whatever is in it.
fn code(name: &str) -> String {
    let name = name.replace('|', "\\|");
    if name.contains('`') { format!("`` {name} ``") } else { format!("`{name}`") }
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn percent(part: u64, whole: u64) -> String {
    if whole == 0 { "-".to_owned() } else { format!("{:.1} %", 100.0 * part as f64 / whole as f64) }
}

fn denoisers(manifest: &Manifest) -> String {
    let weights = |denoiser: &Value| denoiser["weight"].as_u64().unwrap_or_default();
    let mixture = manifest.spec["denoisers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let total = mixture.iter().map(weights).sum();
    let all = manifest.denoisers.values().fold((0, 0), |sum, one| (sum.0 + one.examples, sum.1 + one.tokens));
    let mut text =
        "\n| denoiser | asked for | examples | share | tokens | share | noise tokens | density | noise spans |\n\
                    |---|---:|---:|---:|---:|---:|---:|---:|---:|\n"
            .to_owned();
    for denoiser in mixture {
        let name = text_of(&denoiser["name"]);
        let DenoiserCounts { examples, tokens, noise_tokens, spans, .. } =
            manifest.denoisers.get(name).copied().unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {} | {examples} | {} | {tokens} | {} | {noise_tokens} | {} | {spans} |",
            code(name),
            percent(weights(denoiser), total),
            percent(examples, all.0),
            percent(tokens, all.1),
            percent(noise_tokens, tokens)
        );
    }
    text
}

fn columns(manifest: &Manifest) -> String {
    let mut text = "\n## Columns\n\n| column | what |\n|---|---|\n".to_owned();
    for column in manifest.plan.columns.iter().filter_map(|name| Column::named(name)) {
        let _ = writeln!(text, "| `{column}` | {} |", column.about());
    }
    text
}

/// What stands for the folder in code.
const FOLDER: &str = "PATH/OF/THIS/FOLDER";

/// Code that loads the rows, once it has the folder's path.
fn loading(manifest: &Manifest) -> String {
    let has = |column: Column| manifest.plan.columns.iter().any(|name| name == column.name());
    let mut text = format!(
        "\n## Loading\n\
         \n\
         ```python\n\
         from datasets import load_dataset\n\
         rows = load_dataset(\"{FOLDER}\", split=\"train\")\n\
         ```\n\
         \n\
         ```python\n\
         import pandas\n\
         rows = pandas.read_parquet(\"{FOLDER}/{DATA}\")\n\
         ```\n\
         \n\
         ```python\n\
         import polars\n\
         rows = polars.scan_parquet(\"{FOLDER}/{DATA}/*.parquet\").collect()\n\
         ```\n\
         \n\
         ```python\n\
         import duckdb\n\
         rows = duckdb.sql(\"SELECT * FROM '{FOLDER}/{DATA}/*.parquet'\").fetchall()\n\
         ```\n"
    );
    if has(Column::InputIds) && has(Column::Labels) {
        let pad = manifest.spec["vocabulary"]["pad"].as_u64().unwrap_or_default();
        let (inputs, labels) = (Column::InputIds, Column::Labels);
        let _ = write!(
            text,
            "\n\
             Batches for PyTorch, filled up to the longest row:\n\
             \n\
             ```python\n\
             import torch\n\
             from datasets import load_dataset\n\
             \n\
             def batch(rows):\n\
             \x20   fill = {{\"{inputs}\": {pad}, \"{labels}\": -100}}\n\
             \x20   column = lambda name: [torch.tensor(row[name]) for row in rows]\n\
             \x20   return {{name: torch.nn.utils.rnn.pad_sequence(column(name), batch_first=True, padding_value=value) for name, value in fill.items()}}\n\
             \n\
             rows = load_dataset(\"{FOLDER}\", split=\"train\").select_columns([\"{inputs}\", \"{labels}\"])\n\
             batches = torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True, collate_fn=batch)\n\
             ```\n"
        );
    }
    text
}

/// The recipe as the spec has it.
fn recipe(manifest: &Manifest) -> String {
    let keys = ["denoisers", "inputs_length", "labels_length", "min_segment", "eos", "segmenting", "causal"];
    let mut recipe = serde_json::Map::new();
    for key in keys {
        if let Some(value) = manifest.spec.get(key).filter(|value| !value.is_null()) {
            recipe.insert(key.to_owned(), value.clone());
        }
    }
    let json = serde_json::to_string_pretty(&recipe).unwrap_or_default();
    format!("\n## Recipe\n\nOf `spec` in `{MANIFEST}`, which decides every row:\n\n```json\n{json}\n```\n")
}

fn sources(manifest: &Manifest) -> String {
    let mut text =
        "\n## Sources\n\n| source | bytes | documents | rows | SHA-256 |\n|---|---:|---:|---:|---|\n".to_owned();
    for SourceEntry { name, bytes, sha256, counts } in manifest.sources.iter().take(MOST_SOURCES) {
        let name = code(name);
        let _ = writeln!(
            text,
            "| {name} | {bytes} | {} | {} | `{}…` |",
            counts.documents,
            counts.rows,
            sha256.get(..16).unwrap_or(sha256)
        );
    }
    if manifest.sources.len() > MOST_SOURCES {
        let _ = writeln!(text, "\nand {} more in `{MANIFEST}`", manifest.sources.len() - MOST_SOURCES);
    }
    text
}

fn again(manifest: &Manifest) -> String {
    let tokenizer = if text_of(&manifest.spec["tokenizer"]["sha256"]).is_empty() { "" } else { " --tokenizer FILE" };
    format!(
        "\n## Checking, and making it again\n\
         \n\
         ```sh\n\
         sha256sum --quiet -c SHA256SUMS\n\
         ul2-prep verify .\n\
         ul2-prep verify . --sources SOURCE...{tokenizer} --reproduce\n\
         ul2-prep reproduce {MANIFEST} SOURCE...{tokenizer} --out DIR\n\
         ```\n\
         \n\
         `{MANIFEST}` says what was made from what, with digests; `ul2-prep inspect .{tokenizer}` shows rows, `ul2-prep stats .` counts them.\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_code_whatever_is_in_them() {
        assert_eq!(code("a.jsonl"), "`a.jsonl`");
        assert_eq!(code("n`o|de"), "`` n`o\\|de ``");
    }
}
