//! Specs for tests of the core, and a document's rows. Nothing here needs more of the tool than the core: `tests/machines/run` builds both alone.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use ul2_prep::denoise::{
    Address, Cut, Denoiser, EosPolicy, Law, Layout, MASKING_VERSION, Masker, Mode, NoisePattern, RandomSpans, Ratio,
    Roll, RowForm, SSentinel, Seed, Segment, Segmenting, Span, SpanLength, Spec, SpecFields, Split, Suffix,
    TokenizerId, Vocabulary, encode,
};

/// A file or folder of the repository, such as `fixtures/shards`.
pub(crate) fn repository(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

/// The vocabulary of the `bytes` tokenizer.
pub(crate) fn bytes_vocabulary() -> Vocabulary {
    Vocabulary::new(384, Some(1), Some(0), (259..384).collect(), vec![]).unwrap()
}

/// T5 v1.1's: sentinel `k` is id 32,099 − k.
pub(crate) fn t5_vocabulary() -> Vocabulary {
    Vocabulary::new(32_100, Some(1), Some(0), (32_000..32_100).rev().collect(), vec![]).unwrap()
}

/// Fields of a spec with the defaults of the command line.
pub(crate) fn fields(denoisers: Vec<Denoiser>) -> SpecFields {
    SpecFields {
        masking_version: MASKING_VERSION,
        seed: Seed(7),
        epochs: 1,
        recipe: "test".to_owned(),
        denoisers,
        inputs_length: 512,
        labels_length: 512,
        min_segment: 2,
        eos: EosPolicy::Both,
        segmenting: Segmenting::Document,
        causal: None,
        pack: false,
        shuffle: false,
        validation: None,
        weights: Vec::new(),
        pad: false,
        label_field: None,
        end_mark: None,
        text_field: "text".to_owned(),
        max_line: 1 << 26,
        vocabulary: bytes_vocabulary(),
        tokenizer: TokenizerId { kind: "bytes".to_owned(), sha256: String::new(), library: String::new() },
    }
}

/// A denoiser of weight 1 without a mode token.
pub(crate) fn denoiser(name: &str, pattern: NoisePattern) -> Denoiser {
    let (mode, layout) = match pattern {
        NoisePattern::Suffix(_) | NoisePattern::Whole(_) | NoisePattern::MultipleChoice(_) => (Mode::S, Layout::Split),
        _ => (Mode::R, Layout::Sentinels),
    };
    Denoiser {
        name: name.to_owned(),
        mode,
        weight: NonZeroU32::MIN,
        pattern,
        layout,
        s_sentinel: SSentinel::None,
        closing_sentinel: false,
        mode_token: Vec::new(),
    }
}

/// Random spans of a density and a mean length, as a recipe writes them.
pub(crate) fn random_spans(noise_density: f64, mean_span_length: f64, roll: Roll) -> RandomSpans {
    let mean_span_length = SpanLength::Tokens(ratio(mean_span_length));
    RandomSpans { noise_density: ratio(noise_density), mean_span_length, law: Law::T5, roll }
}

pub(crate) fn ratio(number: f64) -> Ratio {
    Ratio::from_decimal(number).unwrap()
}

/// A form without mode token and EOS.
pub(crate) fn form(layout: Layout, sentinels: Vec<u32>) -> RowForm {
    RowForm {
        layout,
        s_sentinel: SSentinel::None,
        closing_sentinel: false,
        bos: None,
        mode_token: Vec::new(),
        sentinels,
        inputs_eos: None,
        labels_eos: None,
        causal: None,
    }
}

pub(crate) fn suffix() -> NoisePattern {
    NoisePattern::Suffix(Suffix { split: Split::Uniform })
}

/// A segment of a document with its row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Masked {
    pub(crate) denoiser: usize,
    pub(crate) segment: u32,
    pub(crate) start: u32,
    pub(crate) tokens: Vec<u32>,
    pub(crate) spans: Vec<Span>,
    pub(crate) input_ids: Vec<i32>,
    pub(crate) labels: Vec<i32>,
    pub(crate) prefix_length: u32,
}

/// The rows of one document, as the worker makes them: one masker for all of them.
pub(crate) fn mask_document(spec: &Spec, source: &str, line: u64, epoch: u16, tokens: &[u32]) -> Vec<Masked> {
    let keys = spec.source_keys(source);
    let mut masker = Masker::default();
    let length = u32::try_from(tokens.len()).unwrap();
    let cut = Cut::new(spec, &keys, line, epoch, length);
    let row = |segment: Segment| {
        let denoiser = &spec.denoisers()[segment.denoiser];
        let mut stream = keys.denoise[segment.denoiser].stream(segment.address);
        let mask = masker.draw(&denoiser.pattern, segment.length, &mut stream);
        let (mut input_ids, mut labels) = (Vec::new(), Vec::new());
        let window = &tokens[segment.range()];
        let prefix_length = encode(window, mask, spec.form(segment.denoiser), &mut input_ids, &mut labels);
        Masked {
            denoiser: segment.denoiser,
            segment: segment.address.segment,
            start: segment.start,
            tokens: window.to_vec(),
            spans: mask.spans().to_vec(),
            input_ids,
            labels,
            prefix_length,
        }
    };
    cut.map(row).collect()
}

/// The first segment of a line, in the first epoch.
pub(crate) fn line(line: u64) -> Address {
    Address { line, epoch: 0, segment: 0 }
}
