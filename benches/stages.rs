//! What each stage of a run costs, over real documents, on one thread: MB/s are of the documents' text for all of them.
//!
//! `UL2_PREP_SHARDS` and `UL2_PREP_TOKENIZER` name other shards and another tokenizer than those of the fixtures (`just stages`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use clap::Parser as _;
use divan::Bencher;
use divan::counter::BytesCount;
use ul2_prep::cli::{Cli, Command};
use ul2_prep::denoise::{Cut, Masker, encode};
use ul2_prep::input::batch::Batch;
use ul2_prep::input::batch_reader::BatchReader;
use ul2_prep::input::jsonl::{self, FieldPath};
use ul2_prep::output::digest::Provenance;
use ul2_prep::pipeline::job::Job;
use ul2_prep::pipeline::masker::BatchMasker;
use ul2_prep::settings::Settings;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The source that benchmarks of a stage in the middle say their rows come from.
const SOURCE: &str = "source";

fn main() {
    divan::main();
}

fn setting(name: &str, fixture: &str) -> PathBuf {
    std::env::var_os(name)
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(fixture), PathBuf::from)
}

/// A run of the recipe `ul2r` that is never begun.
static JOB: LazyLock<Job> = LazyLock::new(|| {
    let out = tempfile::tempdir().unwrap();
    let (shards, tokenizer) = (setting("UL2_PREP_SHARDS", "shards"), setting("UL2_PREP_TOKENIZER", "tokenizer"));
    let arguments =
        [Path::new("ul2-prep"), Path::new("run"), &shards, Path::new("--tokenizer"), &tokenizer, Path::new("--out")];
    let cli = Cli::parse_from(arguments.into_iter().chain([out.path()]));
    let Command::Run(args) = cli.command else { panic!("`run` was asked for") };
    Settings::new(&args.masking)
        .unwrap()
        .into_job(args.out.as_ref().unwrap(), false, args.max_rejects, Arc::default())
        .unwrap()
});

/// The first batches of the sources: enough that they do not fit into a core's cache.
fn batches() -> Vec<Batch> {
    let spool = std::env::temp_dir();
    let mut reader = BatchReader::new(&JOB.sources, JOB.shared.spec.fields().max_line, &spool, &JOB.buffers);
    std::iter::from_fn(|| reader.next_batch().unwrap()).take(4).collect()
}

fn names() -> Vec<&'static str> {
    JOB.sources.iter().map(|source| source.name.as_str()).collect()
}

/// The lines that hold a document.
static LINES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let path = FieldPath::new("text");
    let batches = batches();
    let lines = batches.iter().flat_map(|batch| batch.pieces.iter().flat_map(|piece| batch.lines(piece)));
    lines.map(|(_, line)| line.to_owned()).filter(|line| jsonl::text(line, &path).is_ok()).collect()
});

static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = FieldPath::new("text");
    LINES.iter().map(|line| jsonl::text(line, &path).unwrap().into_owned()).collect()
});

static DOCUMENTS: LazyLock<Vec<Vec<u32>>> = LazyLock::new(|| {
    let mut scratch = JOB.shared.tokenizer.scratch();
    TEXTS.iter().map(|text| JOB.shared.tokenizer.tokenize(text, &mut scratch).unwrap().ids().to_vec()).collect()
});

fn text_bytes() -> BytesCount {
    BytesCount::new(TEXTS.iter().map(String::len).sum::<usize>())
}

/// Decompress, take the digest of the file, cut lines and batches.
#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    bencher.counter(text_bytes()).bench(batches);
}

/// The text of each record.
#[divan::bench]
fn parse(bencher: Bencher<'_, '_>) {
    let path = FieldPath::new("text");
    bencher
        .counter(text_bytes())
        .bench(|| LINES.iter().map(|line| jsonl::text(line, &path).unwrap().len()).sum::<usize>());
}

/// Text to ids, with a worker's warm cache.
#[divan::bench]
fn tokenize(bencher: Bencher<'_, '_>) {
    let mut scratch = JOB.shared.tokenizer.scratch();
    bencher.counter(text_bytes()).bench_local(|| {
        TEXTS.iter().map(|text| JOB.shared.tokenizer.tokenize(text, &mut scratch).unwrap().ids().len()).sum::<usize>()
    });
}

/// Cut documents into segments, draw their masks.
#[divan::bench]
fn draw(bencher: Bencher<'_, '_>) {
    let mut masker = Masker::default();
    bencher.counter(text_bytes()).bench_local(|| {
        let mut noise = 0;
        for_each_segment(|_, denoiser, tokens, stream| {
            let pattern = &JOB.shared.spec.denoisers()[denoiser].pattern;
            noise += u64::from(masker.draw(pattern, length(tokens), stream).noise());
        });
        noise
    });
}

/// The same, and their ids of `input_ids` and `labels`.
#[divan::bench]
fn draw_and_encode(bencher: Bencher<'_, '_>) {
    let mut masker = Masker::default();
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    bencher.counter(text_bytes()).bench_local(|| {
        let mut ids = 0;
        for_each_segment(|_, denoiser, tokens, stream| {
            let mask = masker.draw(&JOB.shared.spec.denoisers()[denoiser].pattern, length(tokens), stream);
            inputs.clear();
            labels.clear();
            encode(tokens, mask, JOB.shared.spec.form(denoiser), &mut inputs, &mut labels);
            ids += inputs.len() + labels.len();
        });
        ids
    });
}

/// The same, and the rows' digests and Parquet pages.
#[divan::bench]
fn draw_encode_and_compress(bencher: Bencher<'_, '_>) {
    let mut masker = Masker::default();
    bencher.counter(text_bytes()).bench_local(|| {
        let mut rows = JOB.shared.encoder.start().unwrap();
        for_each_segment(|address, denoiser, tokens, stream| {
            let denoisers = JOB.shared.spec.denoisers();
            let mask = masker.draw(&denoisers[denoiser].pattern, length(tokens), stream);
            let from = Provenance { denoiser: &denoisers[denoiser].name, source: SOURCE, address };
            rows.add(from, |inputs, labels| encode(tokens, mask, JOB.shared.spec.form(denoiser), inputs, labels));
            rows.end_row().unwrap();
        });
        rows.finish().unwrap()
    });
}

/// All that a worker does: from the lines of batches to their row groups.
#[divan::bench]
fn mask(bencher: Bencher<'_, '_>) {
    let names = names();
    bencher.counter(text_bytes()).with_inputs(batches).bench_local_values(|batches| {
        let mask = |batch| BatchMasker::new(&JOB.shared, 0).unwrap().mask(&batch, &names, |_| u64::MAX).unwrap();
        batches.into_iter().map(mask).collect::<Vec<_>>()
    });
}

/// Calls `each` with the address, denoiser, tokens and stream of every segment.
fn for_each_segment(mut each: impl FnMut(ul2_prep::denoise::Address, usize, &[u32], &mut ul2_prep::denoise::Stream)) {
    let spec = &JOB.shared.spec;
    let keys = spec.source_keys(SOURCE);
    for (line, tokens) in (1..).zip(DOCUMENTS.iter()) {
        for segment in Cut::new(spec, &keys, line, 0, length(tokens)) {
            let mut stream = keys.denoise[segment.denoiser].stream(segment.address);
            each(segment.address, segment.denoiser, &tokens[segment.range()], &mut stream);
        }
    }
}

fn length(tokens: &[u32]) -> u32 {
    u32::try_from(tokens.len()).unwrap()
}
