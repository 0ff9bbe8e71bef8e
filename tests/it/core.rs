//! Laws of the core that segments alone do not show: records of two fields, rows of several examples, joined documents, small choices of
//! denoisers, what a spec refuses. Most were first met by changing the code and seeing no test fail (`docs/internals/testing.md`, "Mutants").

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use ul2_prep::denoise::denoiser::RowBounds;
use ul2_prep::denoise::pattern::NoiseBounds;
use ul2_prep::denoise::{
    Address, Causal, Choices, Composed, Concat, Cut, Denoiser, EosPolicy, FirstFit, IndependentTokens, Label,
    LabelsRule, Law, Layout, LineStart, Loss, MASKING_VERSION, MAX_LENGTH, Masker, Mode, MultipleChoice, NoiseMask,
    NoisePattern, Normal, Parts, Permute, RandomSpans, Record, Roll, RowForm, SSentinel, Seed, SegmentLength,
    Segmenting, Separate, Shortening, Span, SpanLength, Spec, SpecError, SpecFields, Split, Start, Stream, Suffix,
    TokenSequence, Vocabulary, Whole, Window, compose, encode, label_fits, record_rows,
};

use crate::support::{bytes_vocabulary, denoiser, fields, random_spans, suffix};

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..crate::support::config(cases) }
}

fn stream(line: u64) -> Stream {
    Seed(3).denoise_key("core", "tests").stream(Address { line, epoch: 0, segment: 0 })
}

fn spans(mask: &NoiseMask) -> Vec<(u32, u32)> {
    mask.spans().iter().map(|span| (span.start, span.end)).collect()
}

fn separate() -> Separate {
    Separate { text: random_spans(0.15, 3.0, Roll::SingleSpan), label: random_spans(0.5, 2.0, Roll::SingleSpan) }
}

fn choice() -> MultipleChoice {
    MultipleChoice { least: 1, most: 3, label_prompt: vec![101, 102], text_prompt: vec![103] }
}

// --- masks of labels ---

/// The bounds of a mask whose parts are bounded apart.
fn sum(a: NoiseBounds, b: NoiseBounds) -> NoiseBounds {
    NoiseBounds {
        kept: a.kept + b.kept,
        noise: a.noise + b.noise,
        spans: a.spans + b.spans,
        kept_and_spans: a.kept_and_spans + b.kept_and_spans,
        noise_and_spans: a.noise_and_spans + b.noise_and_spans,
    }
}

#[test]
fn bounds_of_labels_are_those_of_their_parts() {
    let parts = |text, label| Parts { text, label, row: 0 };
    let Separate { text, label } = separate();
    let of = |law, length: u32| NoisePattern::RandomSpans(law).bounds(length.into());
    let one = |noise: u32| NoiseBounds {
        kept: 1 - noise,
        noise,
        spans: noise,
        kept_and_spans: 1,
        noise_and_spans: 2 * noise,
    };
    let pattern = NoisePattern::Separate(separate());
    assert_eq!(pattern.bounds(parts(40, 12)), sum(of(text, 40), of(label, 12)));
    assert_eq!(pattern.bounds(parts(2, 2)), sum(of(text, 2), of(label, 2)));
    assert_eq!(pattern.bounds(parts(1, 12)), sum(one(0), of(label, 12)));
    assert_eq!(pattern.bounds(parts(40, 1)), sum(of(text, 40), one(1)));
    assert_eq!(pattern.bounds(parts(1, 1)), sum(one(0), one(1)));
    let whole = NoiseBounds { kept: 7, noise: 5, spans: 1, kept_and_spans: 8, noise_and_spans: 6 };
    assert_eq!(NoisePattern::Label(Label {}).bounds(parts(7, 5)), whole);
    assert_eq!(NoisePattern::MultipleChoice(choice()).bounds(parts(7, 5)), whole);
    let permuted = NoiseBounds { kept: 11, noise: 5, spans: 3, kept_and_spans: 12, noise_and_spans: 6 };
    assert_eq!(NoisePattern::Permute(Permute { rows: 9 }).bounds(parts(7, 5)), permuted);
}

#[test]
fn the_noise_of_a_label_pattern_is_the_label() {
    let mut masker = Masker::default();
    for pattern in [NoisePattern::Label(Label {}), NoisePattern::MultipleChoice(choice())] {
        assert!(pattern.is_of_labels() && pattern.is_suffix());
        let mut draw = |text, label| spans(masker.draw(&pattern, Parts { text, label, row: 0 }, &mut stream(1)));
        assert_eq!(draw(5, 3), [(5, 8)]);
        assert_eq!(draw(5, 1), [(5, 6)]);
        // A row without a label has no noise, rather than a span of nothing.
        assert_eq!(draw(5, 0), []);
    }
    let is_suffix = |pattern: NoisePattern| (pattern.is_suffix(), pattern.is_of_labels());
    assert_eq!(is_suffix(NoisePattern::Separate(separate())), (false, true));
    assert_eq!(is_suffix(NoisePattern::Permute(Permute { rows: 1 })), (false, true));
    assert_eq!(is_suffix(NoisePattern::Whole(Whole {})), (true, false));
    assert_eq!(is_suffix(NoisePattern::Suffix(Suffix { split: Split::Uniform })), (true, false));
    assert_eq!(is_suffix(NoisePattern::RandomSpans(random_spans(0.15, 3.0, Roll::Never))), (false, false));
}

#[test]
fn text_and_label_are_masked_by_their_own_numbers() {
    let pattern = NoisePattern::Separate(separate());
    let mut masker = Masker::default();
    for line in 0..300 {
        for (text, label) in [(40, 12), (2, 2), (100, 1), (1, 9), (1, 1), (30, 2)] {
            let mask = masker.draw(&pattern, Parts { text, label, row: 0 }, &mut stream(line));
            let flags: Vec<bool> = (0..text + label)
                .map(|token| mask.spans().iter().any(|span| (span.start..span.end).contains(&token)))
                .collect();
            let noise = |flags: &[bool]| u32::try_from(flags.iter().filter(|flag| **flag).count()).unwrap();
            let (of_text, of_label) = flags.split_at(text as usize);
            let expected_text = if text < 2 { 0 } else { separate().text.counts(text).noise };
            let expected_label = if label < 2 { label } else { separate().label.counts(label).noise };
            assert_eq!((noise(of_text), noise(of_label)), (expected_text, expected_label), "{text} {label}");
            assert_eq!(mask.length(), text + label);
        }
    }
}

#[test]
fn rows_of_a_permuted_label_hide_every_set_of_its_tokens_once() {
    let mut masker = Masker::default();
    for (label, rows) in [(1, 1), (3, 7), (3, 8), (4, 15), (4, 100)] {
        let pattern = NoisePattern::Permute(Permute { rows });
        let sets = (1 << label) - 1;
        assert_eq!(record_rows(&pattern, label as usize), sets);
        let mut seen = BTreeSet::new();
        for row in 0..sets {
            let mask = masker.draw(&pattern, Parts { text: 5, label, row }, &mut stream(1));
            // The set of row r is that of the bits of r + 1.
            let bits: u32 =
                mask.spans().iter().flat_map(|span| span.start..span.end).map(|token| 1 << (token - 5)).sum();
            assert_eq!(bits, row + 1);
            seen.insert(bits);
        }
        assert_eq!(seen.len(), sets as usize);
    }
}

#[test]
fn a_label_with_more_sets_than_rows_gets_random_ones_that_are_not_empty() {
    let mut masker = Masker::default();
    for (label, rows) in [(3, 6), (4, 14), (33, 5)] {
        let pattern = NoisePattern::Permute(Permute { rows });
        assert_eq!(record_rows(&pattern, label as usize), rows);
        let mut hidden = vec![0_u32; label as usize];
        for line in 0..2000 {
            let mask = masker.draw(&pattern, Parts { text: 5, label, row: 0 }, &mut stream(line));
            assert!(mask.noise() > 0);
            for token in mask.spans().iter().flat_map(|span| span.start..span.end) {
                hidden[token as usize - 5] += 1;
            }
        }
        // A token is in 2^(n − 1) of 2^n − 1 sets. Six standard deviations of 2,000 draws are 134.
        let share = f64::from(1_u32 << (label - 1).min(20)) / (f64::from(1_u32 << label.min(21)) - 1.0);
        for count in hidden {
            assert!((f64::from(count) - 2000.0 * share).abs() < 134.0, "{label}: {count}");
        }
    }
}

// --- records ---

/// Fields of records with a text and a label.
fn of_records(denoisers: Vec<Denoiser>) -> SpecFields {
    SpecFields { label_field: Some("label".to_owned()), ..fields(denoisers) }
}

fn spec_of(pattern: NoisePattern, layout: Layout, inputs_length: u32, labels_length: u32) -> Spec {
    let denoiser = Denoiser { layout, mode: Mode::S, ..denoiser("d", pattern) };
    Spec::new(SpecFields { inputs_length, labels_length, ..of_records(vec![denoiser]) }).unwrap()
}

#[test]
fn a_record_keeps_its_label_and_as_much_text_as_fits() {
    // 20 ids of inputs: EOS and 19 tokens of text.
    let spec = spec_of(NoisePattern::Label(Label {}), Layout::Split, 20, 8);
    let (text, label): (Vec<u32>, Vec<u32>) = ((10..60).collect(), vec![7, 8, 9]);
    let mut segment = Vec::new();
    let record = Record { text: &text, label: &label, choice: 0 };
    let composed = compose(&spec, 0, record, &Choices::default(), &mut stream(1), &mut segment).unwrap();
    let Composed { parts, left_out } = composed;
    assert_eq!((parts.text, parts.label, parts.row, left_out), (19, 3, 0, 31));
    assert_eq!(segment, [&text[..19], &label].concat());
    // 8 ids of labels: EOS and 7 tokens.
    assert!(label_fits(&spec, &[1; 7]) && !label_fits(&spec, &[1; 8]));
    let long = Record { text: &text, label: &[1; 8], choice: 0 };
    assert!(compose(&spec, 0, long, &Choices::default(), &mut stream(1), &mut segment).is_none());
}

#[test]
fn a_multiple_choice_offers_the_label_once_among_others() {
    let spec = spec_of(NoisePattern::MultipleChoice(choice()), Layout::Split, 64, 8);
    let mut choices = Choices::default();
    let labels: Vec<Vec<u32>> = (0..9).map(|label| vec![20 + label, 40 + label]).collect();
    for label in &labels {
        choices.add(label);
    }
    let text = [11, 12, 13];
    let mut counts = [0_u32; 5];
    let mut offered_with = vec![0_u32; labels.len()];
    for line in 0..600 {
        let record = Record { text: &text, label: &labels[4], choice: 4 };
        let mut segment = Vec::new();
        let composed = compose(&spec, 0, record, &choices, &mut stream(line), &mut segment).unwrap();
        assert_eq!((composed.parts.label, composed.left_out), (2, 0));
        let offered = segment.strip_prefix(&[101, 102][..]).unwrap();
        let offered = offered.strip_suffix(&[103, 11, 12, 13, 24, 44][..]).unwrap();
        let offered: Vec<usize> = offered.chunks(2).map(|pair| pair[0] as usize - 20).collect();
        assert_eq!(offered.iter().collect::<BTreeSet<_>>().len(), offered.len(), "each once");
        assert!(offered.contains(&4));
        counts[offered.len() - 1] += 1;
        for &label in &offered {
            offered_with[label] += 1;
        }
        assert_eq!(composed.parts.text as usize + 2, segment.len());
    }
    // One to three others, equally often: six standard deviations of 600 draws are 70.
    assert_eq!((counts[0], counts[4]), (0, 0));
    assert!(counts[1..4].iter().all(|&count| (130..=270).contains(&count)), "{counts:?}");
    // Two of eight others on average: 150 of 600, six standard deviations are 64.
    assert_eq!(offered_with[4], 600);
    for (label, &count) in offered_with.iter().enumerate().filter(|(label, _)| *label != 4) {
        assert!((86..=214).contains(&count), "{label}: {count}");
    }
}

#[test]
fn others_that_do_not_fit_are_not_offered() {
    // EOS, three ids of prompts, two of the label and two of text: room for three others of two.
    let spec =
        spec_of(NoisePattern::MultipleChoice(MultipleChoice { least: 8, most: 8, ..choice() }), Layout::Split, 14, 8);
    let mut choices = Choices::default();
    let labels: Vec<Vec<u32>> = (0..9).map(|label| vec![20 + label, 40 + label]).collect();
    for label in &labels {
        choices.add(label);
    }
    for line in 0..50 {
        let record = Record { text: &[11, 12], label: &labels[0], choice: 0 };
        let mut segment = Vec::new();
        let composed = compose(&spec, 0, record, &choices, &mut stream(line), &mut segment).unwrap();
        assert_eq!((segment.len(), composed.parts.text, composed.left_out), (15, 13, 0));
    }
}

#[test]
fn a_choice_needs_room_for_prompts_label_and_a_token_of_text() {
    // EOS, three ids of prompts, the label, and a token of text in 14 ids: a label of nine.
    let spec = spec_of(NoisePattern::MultipleChoice(choice()), Layout::Split, 14, 20);
    assert_eq!([1, 9, 10].map(|tokens| label_fits(&spec, &vec![7; tokens])), [true, true, false]);
    let spec = spec_of(NoisePattern::Label(Label {}), Layout::Split, 14, 20);
    assert_eq!([1, 10, 19, 20].map(|tokens| label_fits(&spec, &vec![7; tokens])), [true, true, true, false]);
}

// --- rows of several examples ---

/// First fit as its page says it, row by row.
fn first_fit(capacity: (u32, u32), examples: &[(u32, u32)]) -> Vec<usize> {
    let mut rows: Vec<(u32, u32)> = Vec::new();
    let place = |&(inputs, labels): &(u32, u32)| {
        let row = rows.iter().position(|room| room.0 >= inputs && room.1 >= labels).unwrap_or_else(|| {
            rows.push(capacity);
            rows.len() - 1
        });
        rows[row] = (rows[row].0.saturating_sub(inputs), rows[row].1.saturating_sub(labels));
        row
    };
    examples.iter().map(place).collect()
}

proptest! {
    #![proptest_config(config(500))]

    #[test]
    fn examples_are_placed_as_by_a_walk_over_all_rows(
        examples in vec((0..14_u32, 0..14_u32), 0..120), inputs in 4..16_u32, labels in 4..16_u32,
    ) {
        let mut rows = FirstFit::new(inputs, labels);
        let placed: Vec<usize> = examples.iter().map(|example| rows.place(example.0, example.1)).collect();
        let expected = first_fit((inputs, labels), &examples);
        prop_assert_eq!(rows.rows(), expected.iter().max().map_or(0, |last| last + 1));
        prop_assert_eq!(placed, expected);
    }

    #[test]
    fn an_example_behind_others_is_the_one_that_it_is_alone(
        segment in vec(3..259_u32, 2..60), start in 1..40_u32, before in 0..30_usize, all in any::<bool>(), is_causal in any::<bool>(),
    ) {
        let length = u32::try_from(segment.len()).unwrap();
        let start = start.min(length - 1);
        let mask = NoiseMask::new(length, vec![Span { start, end: length }]).unwrap();
        let loss = if all { Loss::All } else { Loss::Targets };
        let causal = is_causal.then_some(Causal { loss, separator: Some(2), sequence_length: 400 });
        let form = RowForm { causal, inputs_eos: Some(1), labels_eos: Some(1), ..crate::support::form(Layout::Sentinels, vec![1000]) };
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        let given = encode(&segment, &mask, &form, &mut inputs, &mut labels);
        let (mut more_inputs, mut more_labels) = (vec![5; before], vec![6; before]);
        prop_assert_eq!(encode(&segment, &mask, &form, &mut more_inputs, &mut more_labels), given);
        prop_assert_eq!(&more_inputs[before..], &inputs[..]);
        prop_assert_eq!(&more_labels[before..], &labels[..]);
    }
}

// --- denoisers ---

#[test]
fn options_belong_to_a_layout_and_patterns_too() {
    let spans = || NoisePattern::RandomSpans(random_spans(0.15, 3.0, Roll::Never));
    let suffix = || NoisePattern::Suffix(Suffix { split: Split::Uniform });
    let check = |pattern, layout, s_sentinel, closing_sentinel| {
        let one = Denoiser { layout, s_sentinel, closing_sentinel, ..denoiser("d", pattern) };
        one.check().map_err(|error| error.to_string())
    };
    let none = SSentinel::None;
    assert_eq!(check(spans(), Layout::Sentinels, none, false), Ok(()));
    assert_eq!(check(spans(), Layout::Sentinels, none, true), Ok(()));
    assert_eq!(check(suffix(), Layout::Split, SSentinel::Both, false), Ok(()));
    assert_eq!(check(suffix(), Layout::Sentinels, none, false), Ok(()));
    assert!(check(spans(), Layout::Split, none, false).is_err());
    assert!(check(NoisePattern::MultipleChoice(choice()), Layout::Sentinels, none, false).is_err());
    assert_eq!(
        check(suffix(), Layout::Split, none, true),
        Err("`closing_sentinel` belongs to layout `sentinels`".to_owned())
    );
    assert_eq!(
        check(spans(), Layout::Sentinels, SSentinel::Input, false),
        Err("`s_sentinel` belongs to layout `split`".to_owned())
    );
    assert_eq!([Mode::R, Mode::S, Mode::X].map(|mode| mode.to_string()), ["R", "S", "X"]);
}

#[test]
fn numbers_of_patterns_have_their_limits() {
    let is_good = |pattern: NoisePattern| pattern.check().is_ok();
    let united = |masks: usize| NoisePattern::Union(vec![random_spans(0.15, 3.0, Roll::Never); masks]);
    assert_eq!([0, 1, 2, 4, 5].map(|masks| is_good(united(masks))), [false, false, true, true, false]);
    let rows = |rows: u32| NoisePattern::Permute(Permute { rows });
    assert_eq!([0, 1, 1 << 16, (1 << 16) + 1].map(|count| is_good(rows(count))), [false, true, true, false]);
    let choices = |least, most| NoisePattern::MultipleChoice(MultipleChoice { least, most, ..choice() });
    let found =
        [(0, 0), (3, 3), (4, 3), (2, 1000), (2, 1001), (1001, 1000)].map(|(least, most)| is_good(choices(least, most)));
    assert_eq!(found, [true, true, false, true, false, false]);
    let law = |(density, mean)| is_good(NoisePattern::RandomSpans(random_spans(density, mean, Roll::Never)));
    let laws = [(0.0, 3.0), (1.0, 3.0), (0.15, 0.99), (0.15, 1.0), (0.5, 1.0), (0.51, 1.0)].map(law);
    assert_eq!(laws, [false, false, false, true, true, false]);
    let tokens =
        |share: f64| NoisePattern::IndependentTokens(IndependentTokens { noise_density: crate::support::ratio(share) });
    assert_eq!([0.0, 0.5, 1.0].map(|density| is_good(tokens(density))), [false, true, false]);
    let share = |share: f64| NoisePattern::Suffix(Suffix { split: Split::Share(crate::support::ratio(share)) });
    assert_eq!([0.0, 0.25, 1.0].map(|part| is_good(share(part))), [false, true, false]);
}

#[test]
fn patterns_are_written_as_papers_write_them_and_know_their_density() {
    let spans = |law| RandomSpans { law, ..random_spans(0.15, 3.0, Roll::Never) };
    let suffix = |split| NoisePattern::Suffix(Suffix { split });
    let of_segment = RandomSpans { mean_span_length: SpanLength::Share(crate::support::ratio(0.2)), ..spans(Law::T5) };
    let normal = Law::Normal(Normal { std: crate::support::ratio(2.0) });
    let cases = [
        (NoisePattern::RandomSpans(spans(Law::T5)), "(3, 0.15)", Some(0.15)),
        (NoisePattern::RandomSpans(spans(Law::Uniform)), "(3, 0.15) uniform", Some(0.15)),
        (NoisePattern::RandomSpans(spans(Law::Geometric)), "(3, 0.15) geometric", Some(0.15)),
        (NoisePattern::RandomSpans(spans(normal)), "(3, 0.15) normal ± 2", Some(0.15)),
        (NoisePattern::RandomSpans(of_segment), "(0.2·n, 0.15)", Some(0.15)),
        (
            NoisePattern::IndependentTokens(IndependentTokens { noise_density: crate::support::ratio(0.3) }),
            "tokens 0.3",
            Some(0.3),
        ),
        // Half of what the first leaves, and a fifth of that.
        (
            NoisePattern::Union(vec![random_spans(0.5, 32.0, Roll::Never), random_spans(0.2, 64.0, Roll::Never)]),
            "(32, 0.5) ∪ (64, 0.2)",
            Some(0.6),
        ),
        (suffix(Split::Uniform), "suffix", Some(0.5)),
        (suffix(Split::UpTo(crate::support::ratio(0.5))), "suffix up to 0.5", Some(0.25)),
        (suffix(Split::Share(crate::support::ratio(0.25))), "suffix 0.25", Some(0.25)),
        (NoisePattern::Whole(Whole {}), "whole", Some(1.0)),
        (NoisePattern::Label(Label {}), "label", None),
        (NoisePattern::Separate(separate()), "text (3, 0.15), label (2, 0.5)", None),
        (NoisePattern::Permute(Permute { rows: 9 }), "label, up to 9 rows", None),
        (NoisePattern::MultipleChoice(choice()), "label beside 1 to 3", None),
    ];
    for (pattern, written, density) in cases {
        assert_eq!(pattern.to_string(), written);
        let close = match (pattern.nominal_density(), density) {
            (Some(found), Some(expected)) => (found - expected).abs() < 1e-12,
            (found, expected) => found.is_none() && expected.is_none(),
        };
        assert!(close, "{written}: {:?}", pattern.nominal_density());
    }
}

// --- segments of joined documents ---

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn a_segment_of_joined_documents_has_the_address_of_its_first_token(
        documents in vec((0..30_u32, 1..4_u64), 1..25), epoch in any::<u16>(),
    ) {
        let spans = NoisePattern::RandomSpans(random_spans(0.15, 3.0, Roll::Never));
        let segmenting = Segmenting::Concat(Concat { eos_between: false });
        let mixture = vec![denoiser("spans", spans), denoiser("suffix", suffix())];
        let lengths = SpecFields { inputs_length: 12, labels_length: 8, ..fields(mixture) };
        let spec = Spec::new(SpecFields { segmenting, ..lengths }).unwrap();
        let keys = spec.source_keys("a.jsonl");
        let (mut lines, mut line, mut tokens) = (Vec::new(), 0, 0);
        for (length, lines_on) in documents {
            line += lines_on;
            lines.push(LineStart { start: tokens, line });
            tokens += length;
        }
        let mut position = 0;
        let mut earlier = Vec::new();
        for segment in Cut::joined(&spec, &keys, &lines, epoch, tokens) {
            prop_assert_eq!(segment.start, position);
            // A document without tokens is the line of no token.
            let line = lines.iter().rfind(|line| line.start <= position).unwrap().line;
            let index = u32::try_from(earlier.iter().filter(|other| **other == line).count()).unwrap();
            prop_assert_eq!(segment.address, Address { line, epoch, segment: index });
            prop_assert_eq!(segment.denoiser, spec.choose(&mut keys.choose.stream(segment.address)));
            earlier.push(line);
            position += segment.length;
        }
        prop_assert_eq!(position, if tokens < spec.min_segment() { 0 } else { tokens });
    }
}

// --- tokens and vocabularies ---

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn a_token_sequence_has_the_ids_that_it_is_made_of(ids in vec(3..259_u32, 0..40)) {
        prop_assert_eq!(TokenSequence::new(&ids, &bytes_vocabulary()).unwrap().ids(), &ids[..]);
    }

    #[test]
    fn a_vocabulary_has_the_reserved_ids_that_it_is_made_of(
        eos in prop::option::of(0..50_u32), pad in prop::option::of(0..50_u32), sentinels in 0..50_u32,
    ) {
        let sentinels: Vec<u32> = (50..50 + sentinels).rev().collect();
        let vocabulary = Vocabulary::new(100, eos, pad, sentinels.clone(), vec![]).unwrap();
        prop_assert_eq!((vocabulary.size(), vocabulary.eos(), vocabulary.pad()), (100, eos, pad));
        prop_assert_eq!(vocabulary.sentinels(), sentinels);
    }
}

// --- specs ---

/// The longest segments there are: half of a segment is noise, and a row is its tokens alone.
fn longest() -> SpecFields {
    let half = denoiser("half", NoisePattern::Suffix(Suffix { split: Split::Share(crate::support::ratio(0.5)) }));
    SpecFields { inputs_length: MAX_LENGTH, labels_length: MAX_LENGTH, eos: EosPolicy::None, ..fields(vec![half]) }
}

/// As the vocabulary of the `bytes` tokenizer, with the reserved ids that are wanted.
fn vocabulary(eos: Option<u32>, pad: Option<u32>, sentinels: u32) -> Vocabulary {
    Vocabulary::new(384, eos, pad, (259..259 + sentinels).collect(), vec![]).unwrap()
}

/// Whether the fields are refused, which is for this reason and no other.
fn is_refused(fields: SpecFields, reason: impl Fn(&SpecError) -> bool) -> bool {
    let Err(error) = Spec::new(fields) else { return false };
    assert!(reason(&error), "{error}");
    true
}

#[test]
fn the_longest_segment_has_262_144_tokens() {
    assert_eq!(Spec::new(longest()).unwrap().segment_length(0).tokens, 1 << 18);
}

#[test]
fn numbers_of_a_spec_have_their_ranges() {
    let set = |field: &str, number: u64| -> SpecFields {
        let mut json = serde_json::to_value(longest()).unwrap();
        json[field] = number.into();
        serde_json::from_value(json).unwrap()
    };
    for (name, lower, upper) in [
        ("epochs", 1, 1 << 16),
        ("inputs_length", 2, 1 << 17),
        ("labels_length", 2, 1 << 17),
        ("min_segment", 2, 1 << 17),
        ("max_line", 1, 1 << 30),
    ] {
        let is_out = |number| {
            is_refused(set(name, number), |error| {
                matches!(error, SpecError::Range { field, least, most, found }
                    if (*field, *least, *most, *found) == (name, lower, upper, number))
            })
        };
        assert_eq!([lower - 1, lower, upper, upper + 1].map(is_out), [true, false, false, true], "{name}");
    }
    let is_other = |version: u32| {
        is_refused(
            set("masking_version", version.into()),
            |error| matches!(error, SpecError::MaskingVersion { found } if *found == version),
        )
    };
    let version = MASKING_VERSION;
    assert_eq!([version - 1, version, version + 1].map(is_other), [true, false, true]);
}

#[test]
fn a_mixture_has_denoisers_of_different_names_and_a_32_bit_sum_of_weights() {
    let mixture = |parts: &[(&str, u32)]| {
        let part = |(name, weight): &(&str, u32)| Denoiser {
            weight: NonZeroU32::new(*weight).unwrap(),
            ..denoiser(name, suffix())
        };
        fields(parts.iter().map(part).collect())
    };
    assert!(is_refused(mixture(&[]), |error| matches!(error, SpecError::NoDenoiser)));
    let is_too_heavy = |weight| {
        is_refused(mixture(&[("a", u32::MAX - 1), ("b", weight)]), |error| matches!(error, SpecError::Weights))
    };
    assert_eq!([1, 2].map(is_too_heavy), [false, true]);
    let is_taken = |name| {
        is_refused(
            mixture(&[("a", 1), ("b", 1), (name, 1)]),
            |error| matches!(error, SpecError::DuplicateName(taken) if taken == name),
        )
    };
    assert_eq!(["a", "b", "c"].map(is_taken), [true, true, false]);
    let is_wrong = |closing_sentinel| {
        let second = Denoiser { closing_sentinel, ..denoiser("b", suffix()) };
        is_refused(
            fields(vec![denoiser("a", suffix()), second]),
            |error| matches!(error, SpecError::Denoiser { name, source: _ } if name == "b"),
        )
    };
    assert_eq!([false, true].map(is_wrong), [false, true]);
}

#[test]
fn eos_and_pad_must_be_known_where_rows_have_them() {
    for (id, without) in [(Some(1), false), (None, true)] {
        let vocabulary = || vocabulary(id, Some(0), 9);
        let has_no_end = |eos| {
            is_refused(
                SpecFields { eos, vocabulary: vocabulary(), ..longest() },
                |error| matches!(error, SpecError::NoEos { labels_only } if *labels_only == (eos == EosPolicy::Labels)),
            )
        };
        let policies = [EosPolicy::None, EosPolicy::Labels, EosPolicy::Both];
        assert_eq!(policies.map(has_no_end), [false, without, without]);
        let has_none_between = |eos_between| {
            let segmenting = Segmenting::Concat(Concat { eos_between });
            is_refused(SpecFields { segmenting, vocabulary: vocabulary(), ..longest() }, |error| {
                matches!(error, SpecError::NoEosBetween)
            })
        };
        assert_eq!([false, true].map(has_none_between), [false, without]);
    }
    for (id, without) in [(Some(0), false), (None, true)] {
        let has_no_pad = |pad| {
            is_refused(SpecFields { pad, vocabulary: vocabulary(Some(1), id, 9), ..longest() }, |error| {
                matches!(error, SpecError::NoPad)
            })
        };
        assert_eq!([false, true].map(has_no_pad), [false, without]);
    }
}

#[test]
fn a_separator_is_no_id_of_text() {
    let is_of_text = |separator| {
        let causal = Some(Causal { loss: Loss::Targets, separator, sequence_length: 100 });
        is_refused(
            SpecFields { causal, vocabulary: vocabulary(Some(1), Some(0), 9), ..longest() },
            |error| matches!(error, SpecError::Separator(id) if Some(*id) == separator),
        )
    };
    // The sentinels are 259 to 267.
    let separators = [None, Some(1), Some(258), Some(259), Some(267), Some(268)];
    assert_eq!(separators.map(is_of_text), [false, false, true, false, false, true]);
}

#[test]
fn a_causal_row_is_no_longer_than_inputs_and_labels_together() {
    for (inputs_length, labels_length) in [(9, 9), (4, 20), (MAX_LENGTH, MAX_LENGTH)] {
        let sum = inputs_length + labels_length;
        let is_refused = |sequence_length| {
            let causal = Some(Causal { loss: Loss::Targets, separator: None, sequence_length });
            is_refused(SpecFields { inputs_length, labels_length, causal, ..longest() }, |error| match error {
                SpecError::SequenceLength { most, found } => (*most, *found) == (sum, sequence_length),
                // Two ids are a row, but too few for a segment that can give up tokens.
                SpecError::TooShort { tokens: 2, needed: 3, .. } => sequence_length == 2,
                _ => false,
            })
        };
        assert_eq!([1, 2, 3, sum, sum + 1].map(is_refused), [true, true, false, false, true]);
    }
}

#[test]
fn a_segment_can_give_up_tokens_for_the_one_behind_it() {
    for min_segment in [2, 3, 7, 100] {
        let least = 2 * min_segment - 1;
        let is_short_window = |tokens| {
            let segmenting = Segmenting::Window(Window { tokens, start: Start::First });
            is_refused(SpecFields { min_segment, segmenting, ..longest() }, |error| {
                matches!(error, SpecError::ShortWindow { tokens: found, min_segment: asked, needed }
                    if (Some(*found), *asked, *needed) == (tokens, min_segment, least))
            })
        };
        let windows = [None, Some(least - 1), Some(least), Some(least + 1)];
        assert_eq!(windows.map(is_short_window), [false, true, false, false]);
        // Labels are a whole segment and EOS.
        let is_too_short = |tokens| {
            let whole = denoiser("d", NoisePattern::Whole(Whole {}));
            let labels_length = tokens + 1;
            is_refused(SpecFields { min_segment, labels_length, ..fields(vec![whole]) }, |error| {
                matches!(error, SpecError::TooShort { tokens: found, needed, .. }
                    if (*found, *needed) == (tokens, least))
            })
        };
        assert_eq!([least - 1, least, least + 1].map(is_too_short), [true, false, false]);
    }
}

#[test]
fn inputs_hold_something_unless_they_begin_a_causal_row() {
    let whole = || denoiser("d", NoisePattern::Whole(Whole {}));
    let labels_end = |denoiser| SpecFields { eos: EosPolicy::Labels, ..fields(vec![denoiser]) };
    let causal = Some(Causal { loss: Loss::All, separator: None, sequence_length: 100 });
    for (is_empty, fields) in [
        (true, labels_end(whole())),
        (true, SpecFields { eos: EosPolicy::None, ..labels_end(whole()) }),
        (false, SpecFields { eos: EosPolicy::Both, ..labels_end(whole()) }),
        (false, SpecFields { causal, ..labels_end(whole()) }),
        (false, labels_end(Denoiser { layout: Layout::Sentinels, ..whole() })),
        (false, labels_end(Denoiser { s_sentinel: SSentinel::Input, ..whole() })),
        (false, labels_end(Denoiser { mode_token: vec![5], ..whole() })),
        (false, labels_end(denoiser("d", suffix()))),
    ] {
        assert_eq!(
            is_refused(fields, |error| matches!(error, SpecError::EmptyInputs { name } if name == "d")),
            is_empty
        );
    }
}

#[test]
fn patterns_of_labels_need_a_label_documents_and_no_others_beside_them() {
    let mixture = |patterns: [NoisePattern; 2]| {
        of_records(["a", "b"].into_iter().zip(patterns).map(|(name, pattern)| denoiser(name, pattern)).collect())
    };
    let label = || NoisePattern::Label(Label {});
    let labels = || mixture([label(), NoisePattern::Permute(Permute { rows: 3 })]);
    let segments = || mixture([suffix(), suffix()]);
    let joined = Segmenting::Concat(Concat { eos_between: true });
    let window = Segmenting::Window(Window { tokens: None, start: Start::First });
    for (fields, expected) in [
        (labels(), None),
        (SpecFields { label_field: None, ..labels() }, Some(("a", LabelsRule::Field))),
        (mixture([label(), suffix()]), Some(("b", LabelsRule::Alone))),
        (mixture([suffix(), label()]), Some(("a", LabelsRule::Alone))),
        (SpecFields { segmenting: joined, ..labels() }, Some(("a", LabelsRule::Document))),
        (SpecFields { segmenting: window, ..labels() }, Some(("a", LabelsRule::Document))),
        (segments(), None),
        (SpecFields { label_field: None, ..segments() }, None),
        (SpecFields { segmenting: joined, ..segments() }, None),
        (SpecFields { segmenting: window, ..segments() }, None),
    ] {
        let is_expected = |error: &SpecError| {
            matches!(error, SpecError::Labels { name, rule }
                if Some((name.as_str(), *rule)) == expected)
        };
        assert_eq!(is_refused(fields, is_expected), expected.is_some());
    }
    let is_of_labels = |fields| Spec::new(fields).unwrap().is_of_labels();
    assert_eq!([labels(), segments()].map(is_of_labels), [true, false]);
}

#[test]
fn only_rows_with_sentinels_need_some() {
    for pattern in [suffix(), NoisePattern::Label(Label {})] {
        let needs_more = |(layout, sentinels)| {
            let denoiser = Denoiser { layout, ..denoiser("d", pattern.clone()) };
            let vocabulary = vocabulary(Some(1), Some(0), sentinels);
            is_refused(
                SpecFields { vocabulary, ..of_records(vec![denoiser]) },
                |error| matches!(error, SpecError::NoSentinels { name } if name == "d"),
            )
        };
        let rows = [(Layout::Split, 0), (Layout::Split, 1), (Layout::Sentinels, 0), (Layout::Sentinels, 1)];
        assert_eq!(rows.map(needs_more), [false, false, true, false]);
    }
}

#[test]
fn a_denoiser_with_too_few_sentinels_is_named_with_what_it_would_need() {
    // Half of 12 tokens are noise, each a span: with EOS 13 inputs. Half of 7 are three spans.
    let singles = || denoiser("singles", NoisePattern::RandomSpans(random_spans(0.5, 1.0, Roll::Never)));
    let shortenings = |sentinels| -> Vec<Shortening> {
        let vocabulary = vocabulary(Some(1), Some(0), sentinels);
        let mixture = vec![denoiser("suffix", suffix()), singles()];
        let spec = Spec::new(SpecFields { inputs_length: 13, vocabulary, ..fields(mixture) }).unwrap();
        spec.shortenings().cloned().collect()
    };
    let short = Shortening {
        denoiser: "singles".to_owned(),
        full_segment_length: 12,
        segment_length: 7,
        sentinels_needed: 6,
        sentinels: 3,
    };
    assert_eq!(shortenings(3), [short]);
    assert_eq!(shortenings(6), []);
}

#[test]
fn the_longest_record_of_a_choice_has_prompts_and_label_in_front() {
    for (label_prompt, text_prompt) in [(0, 0), (3, 0), (0, 3), (2, 3), (3, 2)] {
        let choice =
            MultipleChoice { label_prompt: vec![101; label_prompt], text_prompt: vec![102; text_prompt], ..choice() };
        let of_inputs = |inputs_length| SpecFields {
            inputs_length,
            ..of_records(vec![denoiser("d", NoisePattern::MultipleChoice(choice.clone()))])
        };
        // Prompts, the label, a token of text and EOS.
        let least = u32::try_from(label_prompt + 1 + text_prompt + 1 + 1).unwrap();
        assert!(is_refused(of_inputs(least - 1), |error| matches!(error, SpecError::TooShort { tokens: 0, .. })));
        for inputs in least..least + 4 {
            // A segment has the label behind it where its inputs have EOS; its row has EOS twice.
            let bounds = RowBounds { inputs, labels: 2, sentinels: 0, total: inputs + 2 };
            let length = SegmentLength { tokens: inputs, bounds, shortening: None };
            assert_eq!(*Spec::new(of_inputs(inputs)).unwrap().segment_length(0), length);
        }
    }
}

#[test]
fn a_spec_that_records_another_segment_length_is_refused() {
    // 511 tokens and EOS are the inputs where one token more is noise.
    let spec = Spec::new(fields(vec![denoiser("a", suffix()), denoiser("b", suffix())])).unwrap();
    let found = |length: Option<u64>| {
        let mut json = spec.to_json();
        json["denoisers"][1]["segment_length"] = length.into();
        match Spec::from_json(json) {
            Err(SpecError::SegmentLength { name, recorded, computed }) => Some((name, recorded, computed)),
            other => other.map_or_else(|error| panic!("{error}"), |_| None),
        }
    };
    let wrong = |recorded| Some(("b".to_owned(), recorded, 512));
    assert_eq!([Some(511), Some(512), Some(513), None].map(found), [wrong(511), None, wrong(513), wrong(0)]);
    // Patterns of labels record none.
    let json = spec_of(NoisePattern::Label(Label {}), Layout::Split, 20, 8).to_json();
    assert!(json["denoisers"][0]["segment_length"].is_null() && Spec::from_json(json).is_ok());
}
