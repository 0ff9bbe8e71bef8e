//! Test vectors: `tests/vectors/v1.json` holds words, samples, masks and whole documents of masking version 1.
//!
//! The file is what other implementations are checked against (`tests/oracle/check_vectors.py` is one). This test makes its text anew
//! and compares it byte for byte, so that a change which moves a row cannot pass unseen. `UL2_PREP_BLESS=1` writes the file; for version 1
//! that must never change a case, only add some. Tokens of a document are painted by a formula, token `i` is `3 + (7·i mod 256)`, so the
//! file stays small. Seeds are texts: readers that hold numbers as floats would round them.

use std::fmt::Write as _;

use fs_err as fs;
use serde_json::{Map, Value, json};
use ul2_prep::denoise::{
    Address, Causal, Denoiser, EosPolicy, IndependentTokens, Law, Layout, Loss, MASKING_VERSION, Masker, NoisePattern,
    Normal, RandomSpans, Roll, SSentinel, Seed, SpanLength, Spec, SpecFields, Split, Stream, Subset, Suffix,
    Vocabulary, Whole,
};

use crate::support::{denoiser, fields, mask_document, random_spans, repository, spec_of_arguments, suffix};

const FILE: &str = "tests/vectors/v1.json";

const COMMENT: &str = "Test vectors of docs/reference/masking.md, version 1. tests/it/vectors.rs makes this file, \
                       tests/oracle/check_vectors.py recomputes it.";

/// The name of one stream.
#[derive(Clone, Copy)]
struct Name {
    seed: u64,
    role: &'static str,
    denoiser: &'static str,
    source: &'static str,
    address: Address,
}

impl Name {
    fn stream(self) -> Stream {
        let seed = Seed(self.seed);
        let key = match self.role {
            "choose" => seed.choose_key(self.source),
            "denoise" => seed.denoise_key(self.denoiser, self.source),
            role => panic!("no stream has the role {role}"),
        };
        key.stream(self.address)
    }

    /// A case: the name and what else it has.
    fn case(self, more: Value) -> Value {
        let Self { seed, role, denoiser, source, address } = self;
        let Address { line, epoch, segment } = address;
        let name = json!({
            "seed": seed.to_string(), "role": role, "denoiser": denoiser, "source": source,
            "line": line, "epoch": epoch, "segment": segment,
        });
        let (Value::Object(mut case), Value::Object(more)) = (name, more) else { panic!("objects") };
        case.extend(more);
        Value::Object(case)
    }
}

fn at(line: u64, epoch: u16, segment: u32) -> Address {
    Address { line, epoch, segment }
}

/// Every part of a stream's name at its least and its greatest value, and texts of more than one byte a character.
fn names() -> Vec<Name> {
    let plain = Name { seed: 7, role: "denoise", denoiser: "r", source: "shards/a.jsonl.zst", address: at(1, 0, 0) };
    let mut names = vec![plain];
    for seed in [0, 1, u64::from(u32::MAX) + 1, u64::MAX] {
        names.push(Name { seed, ..plain });
        names.push(Name { seed, role: "choose", denoiser: "", ..plain });
    }
    for denoiser in ["x-32", "x-dense", "", "präfix", "choose"] {
        names.push(Name { denoiser, ..plain });
    }
    for source in ["a", "", "Bücher/été.jsonl.gz", "書籍/一.ndjson", "📚.json", "shards/a.jsonl.zs"] {
        names.push(Name { source, ..plain });
    }
    for line in [0, 2, 1 << 32, (1 << 32) + 1, u64::MAX - 1, u64::MAX] {
        names.push(Name { address: at(line, 0, 0), ..plain });
    }
    for epoch in [1, 2, 255, u16::MAX] {
        names.push(Name { address: at(1, epoch, 0), ..plain });
    }
    for segment in [1, 2, 65_535, 65_536, u32::MAX] {
        names.push(Name { address: at(1, 0, segment), ..plain });
    }
    names.push(Name { seed: u64::MAX, address: at(u64::MAX, u16::MAX, u32::MAX), ..plain });
    names
}

fn streams() -> Vec<Value> {
    let case = |name: Name| {
        let mut stream = name.stream();
        let words: Vec<u32> = (0..8).map(|_| stream.word()).collect();
        name.case(json!({ "words": words }))
    };
    names().into_iter().map(case).collect()
}

fn below() -> Vec<Value> {
    // Near 2^32 and at 3·2^30 draws are rejected; powers of two never are.
    let bounds = [1, 2, 3, 7, 10, 255, 256, 257, 65_537, 1 << 31, (1 << 31) + 1, 3 << 30, u32::MAX - 1, u32::MAX];
    let case = |(name, n): (Name, u32)| {
        let mut stream = name.stream();
        let values: Vec<u32> = (0..16).map(|_| stream.below(n)).collect();
        name.case(json!({ "n": n, "values": values }))
    };
    names().into_iter().cycle().zip(bounds.into_iter().chain(bounds)).map(case).collect()
}

fn subsets() -> Vec<Value> {
    let sizes = [
        (0, 0),
        (0, 1),
        (1, 1),
        (0, 10),
        (1, 10),
        (9, 10),
        (10, 10),
        (2, 6),
        (5, 63),
        (5, 64),
        (5, 65),
        (27, 84),
        (64, 128),
        (100, 129),
        (3, 100_000),
        (200, 262_143),
    ];
    let case = |(name, (k, n)): (Name, (u32, u32))| {
        let mut values = Vec::new();
        Subset::default().draw(&mut name.stream(), k, n, |member| values.push(member));
        name.case(json!({ "k": k, "n": n, "values": values }))
    };
    names().into_iter().cycle().zip(sizes).map(case).collect()
}

fn masks() -> Vec<Value> {
    let mut patterns = vec![suffix()];
    for (density, mean) in [(0.15, 3.0), (0.15, 32.0), (0.5, 3.0), (0.5, 64.0), (0.5, 1.0), (0.333_333, 2.5)] {
        for roll in [Roll::SingleSpan, Roll::Always, Roll::Never] {
            patterns.push(NoisePattern::RandomSpans(random_spans(density, mean, roll)));
        }
    }
    // 2 and 3 are the least; noise grows by one token between 189 and 191, half to even at 190 and 210; 23 is where rounding makes the
    // clamp on spans bind at (1, .5); 568 is T5's segment length.
    let lengths = [2, 3, 4, 9, 10, 11, 22, 23, 24, 63, 64, 65, 189, 190, 191, 210, 567, 568, 569];
    let mut cases = Vec::new();
    let mut names = names().into_iter().filter(|name| name.role == "denoise").cycle();
    for (index, pattern) in patterns.iter().enumerate() {
        for (place, length) in lengths.into_iter().enumerate() {
            // The long ones fill the file: each pattern gets every second of them.
            if length > 100 && (index + place) % 2 == 1 {
                continue;
            }
            cases.push(mask(names.next().unwrap(), pattern, length));
        }
    }
    cases
}

fn mask(name: Name, pattern: &NoisePattern, length: u32) -> Value {
    let mut masker = Masker::default();
    let mask = masker.draw(pattern, length, &mut name.stream());
    let spans: Vec<[u32; 2]> = mask.spans().iter().map(|span| [span.start, span.end]).collect();
    name.case(json!({ "pattern": pattern, "length": length, "spans": spans }))
}

/// The patterns that came after the first ones.
fn more_masks() -> Vec<Value> {
    let spans =
        |law: Law, density: f64, mean: f64, roll: Roll| RandomSpans { law, ..random_spans(density, mean, roll) };
    let of_segment = |density: f64, share: f64| RandomSpans {
        mean_span_length: SpanLength::Share(crate::support::ratio(share)),
        ..random_spans(density, 1.0, Roll::SingleSpan)
    };
    let normal = |std: f64| Law::Normal(Normal { std: crate::support::ratio(std) });
    let split = |split: Split| NoisePattern::Suffix(Suffix { split });
    let patterns = [
        NoisePattern::RandomSpans(spans(Law::Uniform, 0.15, 3.0, Roll::SingleSpan)),
        NoisePattern::RandomSpans(spans(Law::Uniform, 0.5, 1.25, Roll::Always)),
        NoisePattern::RandomSpans(spans(Law::Geometric, 0.15, 3.0, Roll::Never)),
        NoisePattern::RandomSpans(spans(Law::Geometric, 0.5, 64.0, Roll::SingleSpan)),
        NoisePattern::RandomSpans(spans(normal(1.0), 0.15, 8.0, Roll::SingleSpan)),
        NoisePattern::RandomSpans(spans(normal(20.5), 0.3, 2.5, Roll::Always)),
        NoisePattern::RandomSpans(of_segment(0.3, 0.1)),
        NoisePattern::RandomSpans(RandomSpans { law: Law::Uniform, ..of_segment(0.5, 0.037) }),
        NoisePattern::IndependentTokens(IndependentTokens { noise_density: crate::support::ratio(0.15) }),
        NoisePattern::IndependentTokens(IndependentTokens { noise_density: crate::support::ratio(0.9) }),
        NoisePattern::Union(vec![random_spans(0.5, 32.0, Roll::SingleSpan), random_spans(0.2, 64.0, Roll::SingleSpan)]),
        NoisePattern::Union(vec![
            spans(Law::Geometric, 0.15, 2.0, Roll::Always),
            spans(Law::Uniform, 0.15, 4.0, Roll::Never),
            random_spans(0.6, 100.0, Roll::Always),
        ]),
        split(Split::UpTo(crate::support::ratio(0.5))),
        split(Split::Share(crate::support::ratio(0.25))),
        NoisePattern::Whole(Whole {}),
    ];
    let mut cases = Vec::new();
    let mut names = names().into_iter().filter(|name| name.role == "denoise").cycle();
    for pattern in &patterns {
        for length in [2, 3, 5, 10, 23, 64, 191, 568] {
            cases.push(mask(names.next().unwrap(), pattern, length));
        }
    }
    cases
}

fn permutations() -> Vec<Value> {
    let case = |(name, n): (Name, u32)| {
        let mut values: Vec<u32> = (0..n).collect();
        name.stream().shuffle(&mut values);
        name.case(json!({ "n": n, "values": values }))
    };
    names().into_iter().cycle().zip([0, 1, 2, 3, 10, 64, 100]).map(case).collect()
}

fn documents() -> Vec<Value> {
    let mut cases = Vec::new();
    for recipe in ["t5", "ul2", "ul2r"] {
        let spec = spec_of_arguments(&format!("--recipe {recipe} --seed 7 --epochs 3"));
        let mut boundaries: Vec<u32> =
            (0..spec.denoisers().len()).map(|index| spec.segment_length(index).tokens).collect();
        boundaries.sort_unstable();
        boundaries.dedup();
        let around = boundaries.into_iter().flat_map(|length| [length - 1, length, length + 1]);
        for (line, length) in (1..).zip([1, 2, 3].into_iter().chain(around)) {
            cases.push(document(&spec, "shards/a.jsonl.zst", line, 0, length));
        }
        cases.push(document(&spec, "Bücher/été.jsonl.gz", u64::from(u32::MAX) + 1, 2, 3000));
    }
    // Small lengths, few sentinels, another EOS policy: what the built-in recipes do not show.
    let ul2 = spec_of_arguments("--recipe ul2 --seed 7");
    for (eos, seed, min_segment) in [("none", 0, 2), ("labels", u64::MAX, 5)] {
        let fields = SpecFields {
            seed: Seed(seed),
            inputs_length: 64,
            labels_length: 40,
            min_segment,
            eos: serde_json::from_value(eos.into()).unwrap(),
            ..ul2.fields().clone()
        };
        let spec = Spec::new(fields).unwrap();
        for length in [4, 5, 6, 7, 500] {
            cases.push(document(&spec, "a.json", 9, 0, length));
        }
    }
    // Spans of one token, which no roll can cut; a suffix with a sentinel; a mode token that is one reserved id.
    let vocabulary = Vocabulary::new(385, Some(1), Some(0), (259..269).collect(), vec![384]).unwrap();
    let single = NoisePattern::RandomSpans(random_spans(0.3, 1.0, Roll::Always));
    let rolled = NoisePattern::RandomSpans(random_spans(0.3, 2.0, Roll::Always));
    let denoisers = vec![
        Denoiser { mode_token: vec![384], ..denoiser("single", single) },
        Denoiser { mode_token: vec![384, 5], ..denoiser("rolled", rolled) },
        Denoiser { layout: Layout::Sentinels, ..denoiser("suffix", suffix()) },
    ];
    let fields = SpecFields { vocabulary, inputs_length: 40, labels_length: 24, ..fields(denoisers) };
    let spec = Spec::new(fields).unwrap();
    for (line, length) in (1..).zip([2, 21, 22, 23, 24, 33, 34, 35, 400]) {
        cases.push(document(&spec, "b.json", line, 1, length));
    }
    cases
}

/// The layouts that came after the first ones.
fn more_documents() -> Vec<Value> {
    let vocabulary = Vocabulary::new(385, Some(1), Some(0), (259..269).collect(), vec![384]).unwrap();
    let spans = NoisePattern::RandomSpans(random_spans(0.3, 2.0, Roll::SingleSpan));
    let denoisers = vec![
        Denoiser { closing_sentinel: true, mode_token: vec![7], ..denoiser("closing", spans) },
        Denoiser { s_sentinel: SSentinel::Input, ..denoiser("input", suffix()) },
        Denoiser { s_sentinel: SSentinel::Both, ..denoiser("both", suffix()) },
        denoiser("whole", NoisePattern::Whole(Whole {})),
    ];
    let mut cases = Vec::new();
    let causal = |loss, separator| Some(Causal { loss, separator, sequence_length: 50 });
    for (eos, causal) in [
        (EosPolicy::Both, None),
        (EosPolicy::Labels, causal(Loss::Targets, None)),
        (EosPolicy::Both, causal(Loss::All, Some(384))),
        (EosPolicy::None, causal(Loss::Targets, Some(1))),
    ] {
        let fields = SpecFields {
            vocabulary: vocabulary.clone(),
            inputs_length: 40,
            labels_length: 32,
            eos,
            causal,
            ..fields(denoisers.clone())
        };
        let spec = Spec::new(fields).unwrap();
        for (line, length) in (1..).zip([2, 30, 33, 200]) {
            cases.push(document(&spec, "c.json", line, 0, length));
        }
    }
    cases
}

fn document(spec: &Spec, source: &str, line: u64, epoch: u16, length: u32) -> Value {
    let tokens: Vec<u32> = (0..length).map(|place| 3 + place * 7 % 256).collect();
    let row = |row: crate::support::Masked| {
        let denoiser = &spec.denoisers()[row.denoiser].name;
        let mut case =
            json!({ "denoiser": denoiser, "segment": row.segment, "input_ids": row.input_ids, "labels": row.labels });
        if spec.fields().causal.is_some() {
            case["prefix_length"] = row.prefix_length.into();
        }
        case
    };
    let rows: Vec<Value> = mask_document(spec, source, line, epoch, &tokens).into_iter().map(row).collect();
    json!({ "spec": spec.to_json(), "source": source, "line": line, "epoch": epoch, "length": length, "rows": rows })
}

/// The file: one case a line, so that a difference can be read.
fn text() -> String {
    let mut text = format!("{{\n\"comment\": {},\n\"masking_version\": {MASKING_VERSION}", json!(COMMENT));
    for (kind, cases) in [
        ("streams", streams()),
        ("below", below()),
        ("subsets", subsets()),
        ("masks", [masks(), more_masks()].concat()),
        ("documents", [documents(), more_documents()].concat()),
        ("permutations", permutations()),
    ] {
        let lines: Vec<String> = cases.iter().map(Value::to_string).collect();
        let _ = write!(text, ",\n\"{kind}\": [\n{}\n]", lines.join(",\n"));
    }
    text.push_str("\n}\n");
    text
}

#[test]
fn the_vectors_of_version_1_are_what_the_code_gives() {
    assert_eq!(MASKING_VERSION, 1, "a new version gets a new file; this one stays");
    let path = repository(FILE);
    let text = text();
    if std::env::var_os("UL2_PREP_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, &text).unwrap();
    }
    let committed = fs::read_to_string(&path).unwrap();
    for (number, (ours, theirs)) in (1..).zip(text.lines().zip(committed.lines())) {
        assert!(ours == theirs, "{FILE}:{number}: the code gives\n{ours}\nand the file has\n{theirs}");
    }
    assert_eq!(text.len(), committed.len(), "the code gives more or fewer cases than {FILE} has");

    assert!(text.len() < 500_000, "{} bytes are too many for the repository", text.len());
    let file: Map<String, Value> = serde_json::from_str(&text).unwrap();
    let kinds: Vec<&str> = file.keys().map(String::as_str).collect();
    assert_eq!(
        kinds,
        ["below", "comment", "documents", "masking_version", "masks", "permutations", "streams", "subsets"]
    );
}
