//! The data set card, `README.md`: Hugging Face `datasets` reads it, and it tells people the basics. It follows from
//! the manifest alone.

use std::fmt::Write as _;

use serde_json::Value;

use crate::denoise::{DataSplit, Spec};
use crate::numbers::counted;
use crate::output::card_fields::CardFields;
use crate::output::counts::DenoiserCounts;
use crate::output::data_set::{DATA, MANIFEST, REJECTS};
use crate::output::dataset_info::dataset_info;
use crate::output::encoding::TokenEncoding;
use crate::output::manifest::{Manifest, SourceEntry};
use crate::output::schema::Column;

/// Sources that the card lists; the manifest has all.
const MOST_SOURCES: usize = 50;

/// The text of the card.
#[must_use]
pub(crate) fn card(manifest: &Manifest, spec: &Spec) -> String {
    let mut card = head(manifest, spec);
    card += &about(manifest);
    card += &denoisers(manifest);
    card += &columns(manifest);
    card += &loading(manifest);
    card += &recipe(manifest);
    card += &sources(manifest);
    card += &again(manifest);
    card
}

/// How a card begins, up to the digest of its rows.
const BEGIN: &str = "---\nconfigs:\n- config_name: default\n  description: rows ";

/// The digest of the rows that a card describes; `None` if it does not begin like a card.
pub(super) fn rows_digest(card: &[u8]) -> Option<&str> {
    let rest = card.strip_prefix(BEGIN.as_bytes())?;
    std::str::from_utf8(rest.split(|byte| *byte == b'\n').next()?).ok()
}

/// The metadata that loaders read.
fn head(manifest: &Manifest, spec: &Spec) -> String {
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
    // A title of the command line is one line; a manifest from elsewhere may hold anything.
    let title = manifest.card.title.as_ref().map(|title| title.replace(char::is_control, " "));
    let mut data_files = String::new();
    for split in splits(manifest) {
        let _ = write!(data_files, "  - split: {split}\n    path: {}\n", paths(split));
    }
    format!(
        "{BEGIN}{digest}\n\
         \x20 data_files:\n\
         {data_files}\
         {info}\
         {fields}\
         tags:\n\
         - ul2-prep\n\
         - denoising\n\
         size_categories:\n\
         - {size}\n\
         ---\n\
         \n\
         # {title}\n",
        info = dataset_info(manifest, spec, splits(manifest)),
        fields = fields(&manifest.card),
        title = title.as_deref().unwrap_or("Pre-masked training data"),
        // `datasets` caches by the folder's name and this head, so different rows need a different head.
        digest = manifest.totals.rows_digest
    )
}

/// What a person said, as YAML. JSON's quotes are YAML's: without them the language `no` would be a boolean.
fn fields(card: &CardFields) -> String {
    let CardFields { title, license, languages } = card;
    let mut text = String::new();
    for (key, value) in [("pretty_name", title), ("license", license)] {
        if let Some(value) = value {
            let _ = writeln!(text, "{key}: {}", Value::from(value.as_str()));
        }
    }
    if !languages.is_empty() {
        text += "language:\n";
        for language in languages {
            let _ = writeln!(text, "- {}", Value::from(language.as_str()));
        }
    }
    text
}

/// The splits that have shards, which loaders ask for; a data set without rows has a train split.
fn splits(manifest: &Manifest) -> impl Iterator<Item = DataSplit> {
    let has = |split| manifest.shards.iter().any(|shard| shard.split() == Some(split));
    let is_empty = manifest.shards.is_empty();
    DataSplit::ALL.into_iter().filter(move |split| has(*split) || (is_empty && *split == DataSplit::Train))
}

/// The shards of a split, as a pattern.
fn paths(split: DataSplit) -> String {
    format!("{DATA}/{split}-*.parquet")
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
        "\n{rows} from {documents} in {sources} ({tokens}), made by `ul2-prep` {version} with the recipe {recipe}, seed {seed}, {epochs}, \
         {lengths}{arranged}.",
        rows = counted(totals.sources.rows, "row"),
        documents = counted(totals.sources.documents, "document"),
        sources = counted(manifest.sources.len() as u64, "source"),
        tokens = counted(totals.sources.tokens, "token"),
        version = manifest.tool_version,
        recipe = code(text_of(&spec["recipe"])),
        seed = spec["seed"],
        epochs = counted(spec["epochs"].as_u64().unwrap_or_default(), "epoch"),
    );
    if let Some(validation) = &manifest.validation {
        let of = &validation.totals.documents;
        let _ = write!(
            text,
            " {} from {} are for validation: no document is in both splits.",
            counted(of.rows, "row"),
            counted(of.documents, "document")
        );
    }
    if let Some(fill_rate) = totals.fill_rate {
        let _ = write!(
            text,
            " {}: {:.1} % of the rows' lengths.",
            counted(totals.sources.examples, "example"),
            100.0 * fill_rate
        );
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

/// A name as code, safe in a table whatever it contains.
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

/// Stands for the folder in code.
const FOLDER: &str = "PATH/OF/THIS/FOLDER";

/// Code that loads the rows, once it has the folder's path.
fn loading(manifest: &Manifest) -> String {
    let has_validation = splits(manifest).any(|split| split == DataSplit::Validation);
    let validation = if has_validation {
        format!("validation_rows = load_dataset(\"{FOLDER}\", split=\"validation\")\n")
    } else {
        String::new()
    };
    // A reader of the whole folder would mix the splits.
    let (pandas, all) = if has_validation {
        let train = paths(DataSplit::Train);
        (format!("import glob\nimport pandas\nrows = pandas.read_parquet(glob.glob(\"{FOLDER}/{train}\"))\n"), train)
    } else {
        (format!("import pandas\nrows = pandas.read_parquet(\"{FOLDER}/{DATA}\")\n"), format!("{DATA}/*.parquet"))
    };
    let mut text = format!(
        "\n## Loading\n\
         \n\
         ```python\n\
         from datasets import load_dataset\n\
         rows = load_dataset(\"{FOLDER}\", split=\"train\")\n\
         {validation}\
         ```\n\
         \n\
         `rows.select_columns([\"input_ids\", \"labels\"])` gives a plain loop what it trains on: PyTorch's own collation fails on \
         texts. Other readers read `{DATA}/`, not the folder itself, which has JSON files too.\n\
         \n\
         ```python\n\
         {pandas}\
         ```\n\
         \n\
         ```python\n\
         import polars\n\
         rows = polars.scan_parquet(\"{FOLDER}/{all}\").collect()\n\
         ```\n\
         \n\
         ```python\n\
         import duckdb\n\
         rows = duckdb.sql(\"SELECT * FROM '{FOLDER}/{all}'\").fetchall()\n\
         ```\n"
    );
    let shards = manifest.shards.iter().filter(|shard| shard.split() == Some(DataSplit::Train)).count() as u64;
    let _ = write!(
        text,
        "\n\
         Streamed, {} of the train split can feed {}: each reads whole shards, and more than these read nothing.\n\
         ",
        counted(shards, "shard"),
        counted(shards, "loader worker"),
    );
    let _ = write!(
        text,
        "\n\
         Token columns: encoding `{encoding}`, compression `{compression}`. {readers}\n",
        encoding = manifest.plan.encoding,
        compression = manifest.plan.compression,
        readers = if manifest.plan.encoding == TokenEncoding::ByteStreamSplit { NEW_READERS } else { OLDEST_READERS }
    );
    text + &training(manifest)
}

/// The oldest versions that `tests/run` reads shards with.
const OLDEST_READERS: &str = "The oldest readers tried: DuckDB 1.0, pyarrow 14, pandas 2.2, Polars 0.20, Spark 3.5, `datasets` 3 with pyarrow 15; and \
                              fastparquet 2026.9.";

/// The note for the encoding that only new readers know.
const NEW_READERS: &str = "Only new readers read it: DuckDB 2.0, pyarrow 26, Polars 2.1 and `datasets` 5.2 were tried; \
                           DuckDB 1.5, pyarrow 15, Polars 0.20, fastparquet and Spark 3.5 do not.";

/// Code that makes batches in which each example's loss is separate.
fn training(manifest: &Manifest) -> String {
    let has = |column: Column| manifest.plan.columns.iter().any(|name| name == column.name());
    let spec = &manifest.spec;
    let (is_packed, is_padded, is_causal) = (spec["pack"] == true, spec["pad"] == true, !spec["causal"].is_null());
    let mut needed = vec![Column::InputIds, Column::Labels];
    if is_packed {
        needed.push(Column::InputSegmentIds);
        // `--columns` may give the positions of causal rows their other name.
        let positions = if has(Column::InputPositions) { Column::InputPositions } else { Column::PositionIds };
        needed.push(if is_causal { positions } else { Column::LabelSegmentIds });
    } else if is_padded {
        needed.push(Column::AttentionMask);
    }
    let missing: Vec<String> =
        needed.iter().filter(|column| !has(**column)).map(|column| format!("`{column}`")).collect();
    if !missing.is_empty() {
        return format!("\nThe rows cannot be trained on as they are: the column {} is missing.\n", missing.join(", "));
    }
    let pad = spec["vocabulary"]["pad"].as_u64().unwrap_or_default();
    let (about, batch) = match (is_packed, is_causal) {
        (true, true) => (PACKED_CAUSAL_ABOUT, PACKED_CAUSAL),
        (true, false) => (PACKED_ABOUT, PACKED),
        (false, true) => (CAUSAL_ABOUT, ROWS),
        (false, false) => (ROWS_ABOUT, ROWS),
    };
    let columns: Vec<String> = needed.iter().map(|column| format!("\"{column}\"")).collect();
    format!(
        "\n\
         {about}\n\
         \n\
         ```python\n\
         import torch\n\
         from datasets import load_dataset\n\
         \n\
         def padded(rows, name, fill):\n\
         \x20   longest = max(len(row[name]) for row in rows)\n\
         \x20   return torch.tensor([row[name] + [fill] * (longest - len(row[name])) for row in rows])\n\
         \n\
         {batch}\
         \n\
         rows = load_dataset(\"{FOLDER}\", split=\"train\").select_columns([{columns}])\n\
         batches = torch.utils.data.DataLoader(rows, batch_size=8, shuffle=True, collate_fn=batch)\n\
         ```\n",
        batch =
            batch.replace("PAD", &pad.to_string()).replace("POSITIONS", needed.last().map_or("", |last| last.name())),
        columns = columns.join(", "),
    )
}

const ROWS_ABOUT: &str = "Batches for PyTorch, filled up to the longest row. `attention_mask` keeps the encoder from padding; \
                          `model(**batch)` takes all three.";

const CAUSAL_ABOUT: &str = "Batches for PyTorch, filled up to the longest row. Labels stand at the places of their ids, as the causal \
                            models of Hugging Face take them, which shift them. An id of the prefix sees only what comes before it.";

const ROWS: &str = "\
def batch(rows):
    rows = [{\"attention_mask\": [1] * len(row[\"input_ids\"])} | row for row in rows]
    fill = {\"input_ids\": PAD, \"attention_mask\": 0, \"labels\": -100}
    return {name: padded(rows, name, value) for name, value in fill.items()}
";

const PACKED_ABOUT: &str = "Batches for PyTorch. The T5 models of Hugging Face would look from one example of a packed row into the next: \
                            so the examples are taken apart, and a batch has as many rows as the 8 packed ones have examples. A model that \
                            takes segment ids and positions takes the packed rows as they are.";

const PACKED: &str = "\
def examples(row):
    for number in range(1, max(row[\"input_segment_ids\"]) + 1):
        yield {
            name: [value for value, segment in zip(row[name], row[segments]) if segment == number]
            for name, segments in [(\"input_ids\", \"input_segment_ids\"), (\"labels\", \"label_segment_ids\")]
        }

def batch(rows):
    rows = [example for row in rows for example in examples(row)]
    rows = [{\"attention_mask\": [1] * len(row[\"input_ids\"])} | row for row in rows]
    fill = {\"input_ids\": PAD, \"attention_mask\": 0, \"labels\": -100}
    return {name: padded(rows, name, value) for name, value in fill.items()}
";

const PACKED_CAUSAL_ABOUT: &str = "Batches for PyTorch, for the causal models of Hugging Face, which shift the labels. The mask is added to the \
                                   attention's scores: an id sees itself and what comes before it in its own example. The first label of an example \
                                   is left out, since it would be asked of the example before.";

const PACKED_CAUSAL: &str = "\
def batch(rows):
    segments, positions = padded(rows, \"input_segment_ids\", 0), padded(rows, \"POSITIONS\", 0)
    seen = torch.tril(segments[:, :, None] == segments[:, None, :])
    return {
        \"input_ids\": padded(rows, \"input_ids\", PAD),
        \"attention_mask\": torch.where(seen, 0.0, torch.finfo(torch.float32).min)[:, None],
        \"position_ids\": positions,
        \"labels\": torch.where(positions == 0, -100, padded(rows, \"labels\", -100)),
    }
";

/// The recipe in the spec's form.
fn recipe(manifest: &Manifest) -> String {
    let keys = [
        "denoisers",
        "inputs_length",
        "labels_length",
        "min_segment",
        "eos",
        "segmenting",
        "causal",
        "weights",
        "validation",
    ];
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
