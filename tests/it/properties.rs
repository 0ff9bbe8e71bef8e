//! Laws of the core, for arbitrary denoisers, lengths and documents (`docs/reference/masking.md`; the pipeline's laws are in
//! `determinism.rs` and `faults.rs`).
//!
//! Counts are computed here a second time, from the page, so that a formula that is wrong in `src/` is not its own witness. Cases
//! come from a fixed seed: the suite gives the same verdict every time. `PROPTEST_RNG_SEED=N PROPTEST_CASES=M` looks elsewhere, and
//! what it finds is kept in `tests/proptest-regressions`.

use std::num::NonZeroU32;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use ul2_prep::denoise::{
    Address, Causal, Cut, Decoded, Denoiser, EosPolicy, IndependentTokens, Law, Layout, Loss, MAX_LENGTH, Masker, Mode,
    NoiseMask, NoisePattern, Normal, RandomSpans, Ratio, Roll, RowForm, SSentinel, Seed, Span, SpanLength, Spec,
    SpecError, SpecFields, Split, Suffix, TokenError, TokenSequence, Vocabulary, Whole, decode, encode, split_causal,
};

use crate::support::{Masked, bytes_vocabulary, denoiser, fields, mask_document};

fn config(cases: u32) -> ProptestConfig {
    let regressions = FileFailurePersistence::Direct("tests/proptest-regressions/properties.txt");
    ProptestConfig { failure_persistence: Some(Box::new(regressions)), ..crate::support::config(cases) }
}

const MILLION: u64 = 1_000_000;

/// T5's random spans that a recipe may ask for: `density ≤ mean · (1 − density)`, often with equality or near it.
fn spans() -> impl Strategy<Value = RandomSpans> {
    let density = prop_oneof![
        2 => Just(150_000_u64),
        2 => Just(500_000_u64),
        3 => 1..MILLION,
        1 => 1..2_000_u64,
        1 => 990_000..MILLION,
    ];
    let more = prop_oneof![2 => Just(0_u64), 3 => 0..10 * MILLION, 1 => 0..500 * MILLION];
    let roll = prop_oneof![Just(Roll::SingleSpan), Just(Roll::Always), Just(Roll::Never)];
    (density, more, roll)
        .prop_map(|(density, more, roll)| {
            let least = (density * MILLION).div_ceil(MILLION - density).max(MILLION);
            let mean = (least + more).min(Ratio::MAX.millionths());
            RandomSpans {
                noise_density: Ratio::from_millionths(density),
                mean_span_length: SpanLength::Tokens(Ratio::from_millionths(mean)),
                law: Law::T5,
                roll,
            }
        })
        // The densest have no mean below the largest ratio; those are refused, which has its own test.
        .prop_filter("too dense", |spans| is_sparse_enough(*spans))
}

/// Random spans of any law, with lengths in tokens or as a share.
fn any_spans() -> impl Strategy<Value = RandomSpans> {
    let std = prop_oneof![Just(0), 0..5 * MILLION, 0..200 * MILLION];
    let law = prop_oneof![
        2 => Just(Law::T5),
        1 => Just(Law::Uniform),
        1 => Just(Law::Geometric),
        1 => std.prop_map(|std| Law::Normal(Normal { std: Ratio::from_millionths(std) })),
    ];
    let share = prop_oneof![3 => Just(None), 1 => (1..MILLION).prop_map(Some)];
    (spans(), law, share).prop_map(|(spans, law, share)| match share {
        None => RandomSpans { law, ..spans },
        Some(share) => RandomSpans { law, mean_span_length: SpanLength::Share(Ratio::from_millionths(share)), ..spans },
    })
}

/// A pattern of segments, and a layout that goes with it.
fn any_pattern() -> impl Strategy<Value = (NoisePattern, Layout, SSentinel)> {
    let share = || (1..MILLION).prop_map(Ratio::from_millionths);
    let random = prop_oneof![
        4 => any_spans().prop_map(NoisePattern::RandomSpans),
        1 => share().prop_map(|noise_density| NoisePattern::IndependentTokens(IndependentTokens { noise_density })),
        1 => vec(any_spans(), 2..5).prop_map(NoisePattern::Union),
    ];
    let split = prop_oneof![Just(Split::Uniform), share().prop_map(Split::UpTo), share().prop_map(Split::Share)];
    let suffix = prop_oneof![
        4 => split.prop_map(|split| NoisePattern::Suffix(Suffix { split })),
        1 => Just(NoisePattern::Whole(Whole {})),
    ];
    let sentinel = prop_oneof![Just(SSentinel::None), Just(SSentinel::Input), Just(SSentinel::Both)];
    prop_oneof![
        3 => random.prop_map(|pattern| (pattern, Layout::Sentinels, SSentinel::None)),
        1 => suffix.clone().prop_map(|pattern| (pattern, Layout::Sentinels, SSentinel::None)),
        2 => (suffix, sentinel).prop_map(|(pattern, sentinel)| (pattern, Layout::Split, sentinel)),
    ]
}

fn is_sparse_enough(spans: RandomSpans) -> bool {
    let SpanLength::Tokens(mean) = spans.mean_span_length else { return true };
    let (density, mean) = (spans.noise_density.millionths(), mean.millionths());
    u128::from(density) * u128::from(MILLION) <= u128::from(mean) * u128::from(MILLION - density)
}

fn eos() -> impl Strategy<Value = EosPolicy> {
    prop_oneof![Just(EosPolicy::Both), Just(EosPolicy::Labels), Just(EosPolicy::None)]
}

/// A denoiser of any kind; its name is set by [`mixture`].
fn any_denoiser() -> impl Strategy<Value = Denoiser> {
    (any_pattern(), any::<bool>(), vec(3..259_u32, 0..5), 1..10_u32).prop_map(
        |((pattern, layout, s_sentinel), closing, mode_token, weight)| Denoiser {
            layout,
            s_sentinel,
            closing_sentinel: closing && layout == Layout::Sentinels,
            mode_token,
            mode: Mode::X,
            weight: NonZeroU32::new(weight).unwrap(),
            ..denoiser("", pattern)
        },
    )
}

fn mixture() -> impl Strategy<Value = Vec<Denoiser>> {
    vec(any_denoiser(), 1..5).prop_map(|denoisers| {
        let named = (0..).zip(denoisers).map(|(index, denoiser)| Denoiser { name: format!("d{index}"), ..denoiser });
        named.collect()
    })
}

/// Fields that are plausible; [`Spec::new`] still refuses some.
fn any_fields() -> impl Strategy<Value = SpecFields> {
    let length = || prop_oneof![3 => 10..700_u32, 1 => 2..20_u32];
    let sentinels = prop_oneof![3 => Just(125_u32), 2 => 1..125_u32];
    let min_segment = prop_oneof![3 => Just(2_u32), 1 => 2..12_u32];
    (mixture(), any::<u64>(), length(), length(), min_segment, eos(), sentinels, causal()).prop_map(
        |(denoisers, seed, inputs_length, labels_length, min_segment, eos, sentinels, causal)| SpecFields {
            seed: Seed(seed),
            inputs_length,
            labels_length,
            min_segment,
            eos,
            causal: causal.map(|(loss, separator, share)| Causal {
                loss,
                separator: separator.then_some(SEPARATOR),
                sequence_length: ((inputs_length + labels_length) * share / 100).max(2),
            }),
            vocabulary: Vocabulary::new(385, Some(1), Some(0), (259..259 + sentinels).collect(), vec![SEPARATOR])
                .unwrap(),
            ..fields(denoisers)
        },
    )
}

/// A token that is none of the text's.
const SEPARATOR: u32 = 384;

/// The loss, whether there is a separator, and the share of both lengths that a row may have; or no causal layout.
fn causal() -> impl Strategy<Value = Option<(Loss, bool, u32)>> {
    let loss = prop_oneof![Just(Loss::Targets), Just(Loss::All)];
    prop_oneof![2 => Just(None), 1 => (loss, any::<bool>(), 40..101_u32).prop_map(Some)]
}

fn any_spec() -> impl Strategy<Value = Spec> {
    any_fields().prop_filter_map("lengths that fit no segment", |fields| Spec::new(fields).ok())
}

/// Ids of ordinary text; which ones does not matter to a mask.
fn document(length: u32) -> Vec<u32> {
    (0..length).map(|place| 3 + place * 7 % 256).collect()
}

/// Maximal runs of set flags.
fn spans_of(flags: &[bool]) -> Vec<Span> {
    let mut spans: Vec<Span> = Vec::new();
    for (place, _) in (0..).zip(flags).filter(|(_, flag)| **flag) {
        match spans.last_mut() {
            Some(span) if span.end == place => span.end += 1,
            _ => spans.push(Span { start: place, end: place + 1 }),
        }
    }
    spans
}

/// Section 1 of the page: half to even, on integers.
fn round(numerator: u128, denominator: u128) -> u32 {
    let (whole, rest) = (numerator / denominator, numerator % denominator);
    let up = 2 * rest > denominator || (2 * rest == denominator && whole % 2 == 1);
    u32::try_from(whole + u128::from(up)).unwrap()
}

/// Section 5: noise tokens and spans of a segment of `n` tokens.
fn counts(law: RandomSpans, n: u32) -> (u32, u32) {
    let million = u128::from(MILLION);
    let noise = share(law.noise_density, n);
    let mean = match law.mean_span_length {
        SpanLength::Tokens(mean) => u128::from(mean.millionths()),
        SpanLength::Share(share) => u128::from(share.millionths()) * u128::from(n),
    };
    let spans = round(u128::from(noise) * million, mean).clamp(1, noise.min(n - noise));
    (noise, spans)
}

/// A share of `n` tokens: at least one, never all.
fn share(share: Ratio, n: u32) -> u32 {
    round(u128::from(n) * u128::from(share.millionths()), u128::from(MILLION)).clamp(1, n - 1)
}

/// Section 6: kept tokens, noise tokens and spans of random spans.
fn most_of_spans(law: RandomSpans, n: u32) -> (u32, u32, u32) {
    let (noise, spans) = counts(law, n);
    let drawn = match law.law {
        Law::T5 => spans,
        _ => (spans + 4 * (1..=spans).find(|root| root * root >= spans).unwrap()).min(noise).min(n - noise),
    };
    let spans = match law.roll {
        Roll::Always if noise > drawn => drawn + 1,
        Roll::SingleSpan if drawn == 1 && noise > 1 => 2,
        _ => drawn,
    };
    (n - noise, noise, spans)
}

fn most_of_pattern(pattern: &NoisePattern, n: u32) -> (u32, u32, u32) {
    match pattern {
        NoisePattern::RandomSpans(law) => most_of_spans(*law, n),
        NoisePattern::IndependentTokens(law) => {
            let noise = share(law.noise_density, n);
            (n - noise, noise, noise.min(n - noise + 1))
        }
        NoisePattern::Union(laws) => {
            let all: Vec<_> = laws.iter().map(|law| most_of_spans(*law, n)).collect();
            let kept = all.iter().map(|most| most.0).min().unwrap();
            (kept, all.iter().map(|most| most.1).sum::<u32>().min(n - 1), all.iter().map(|most| most.2).sum())
        }
        NoisePattern::Suffix(Suffix { split: Split::Uniform }) => (n - 1, n - 1, 1),
        NoisePattern::Suffix(Suffix { split: Split::UpTo(most) }) => (n - 1, share(*most, n), 1),
        NoisePattern::Suffix(Suffix { split: Split::Share(noise) }) => (n - share(*noise, n), share(*noise, n), 1),
        NoisePattern::Whole(Whole {}) => (0, n, 1),
        _ => unreachable!("patterns of labels have tests of their own"),
    }
}

/// Section 6: the most inputs, labels, sentinels and ids in all that a segment of `n` tokens can need.
fn most(denoiser: &Denoiser, fields: &SpecFields, n: u32) -> (u32, u32, u32, u32) {
    let mode = u32::try_from(denoiser.mode_token.len()).unwrap();
    let (eos_i, eos_l) = match fields.eos {
        EosPolicy::Both => (1, 1),
        EosPolicy::Labels => (0, 1),
        EosPolicy::None => (0, 0),
    };
    let separator = u32::from(fields.causal.is_some_and(|causal| causal.separator.is_some()));
    let (kept, noise, spans) = most_of_pattern(&denoiser.pattern, n);
    let closing = u32::from(denoiser.closing_sentinel);
    let (in_inputs, in_labels) = match (denoiser.layout, denoiser.s_sentinel) {
        (Layout::Sentinels, _) => (spans, spans + closing),
        (Layout::Split, SSentinel::None) => (0, 0),
        (Layout::Split, SSentinel::Input) => (1, 0),
        (Layout::Split, SSentinel::Both) => (1, 1),
    };
    (
        mode + kept + in_inputs + eos_i + separator,
        noise + in_labels + eos_l,
        in_inputs.max(in_labels),
        mode + n + in_inputs + in_labels + eos_i + eos_l + separator,
    )
}

/// Whether a segment of `n` tokens is within its lengths, sentinels aside.
fn is_short_enough(denoiser: &Denoiser, fields: &SpecFields, n: u32) -> bool {
    let (inputs, labels, _, total) = most(denoiser, fields, n);
    inputs <= fields.inputs_length
        && labels <= fields.labels_length
        && fields.causal.is_none_or(|causal| total <= causal.sequence_length)
}

fn fits(denoiser: &Denoiser, fields: &SpecFields, n: u32) -> bool {
    is_short_enough(denoiser, fields, n) && most(denoiser, fields, n).2 as usize <= fields.vocabulary.sentinels().len()
}

/// The inputs and the labels of a row, whatever its layout.
fn sequences<'a>(spec: &Spec, row: &'a Masked) -> (&'a [i32], &'a [i32]) {
    match spec.fields().causal {
        None => (&row.input_ids, &row.labels),
        Some(causal) => split_causal(&row.input_ids, &row.labels, row.prefix_length, causal).unwrap(),
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn decoding_undoes_encoding_for_every_mask(
        cells in vec((3..259_u32, any::<bool>()), 0..400),
        bos in any::<bool>(),
        mode_token in vec(3..259_u32, 0..5),
        eos in eos(),
        closing in any::<bool>(),
    ) {
        let segment: Vec<u32> = cells.iter().map(|cell| cell.0).collect();
        let flags: Vec<bool> = cells.iter().map(|cell| cell.1).collect();
        let mask = NoiseMask::new(u32::try_from(segment.len()).unwrap(), spans_of(&flags)).unwrap();
        let form = RowForm {
            bos: bos.then_some(2),
            mode_token,
            inputs_eos: eos.ends_inputs().then_some(1),
            labels_eos: eos.ends_labels().then_some(1),
            closing_sentinel: closing,
            ..crate::support::form(Layout::Sentinels, (1000..1300).rev().collect())
        };
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        encode(&segment, &mask, &form, &mut inputs, &mut labels);
        let (noise, spans) = (mask.noise() as usize, mask.spans().len());
        let fixed = usize::from(bos) + form.mode_token.len() + usize::from(eos.ends_inputs());
        prop_assert_eq!(inputs.len(), fixed + segment.len() - noise + spans);
        prop_assert_eq!(labels.len(), noise + spans + usize::from(eos.ends_labels()) + usize::from(closing));
        prop_assert_eq!(decode(&inputs, &labels, &form), Ok(Decoded { segment, mask }));
    }

    #[test]
    fn decoding_undoes_encoding_for_every_split(
        segment in vec(3..384_u32, 2..300),
        place in any::<prop::sample::Index>(),
        bos in any::<bool>(),
        mode_token in vec(3..259_u32, 0..5),
        eos in eos(),
        s_sentinel in prop_oneof![Just(SSentinel::None), Just(SSentinel::Input), Just(SSentinel::Both)],
    ) {
        let length = u32::try_from(segment.len()).unwrap();
        let start = 1 + u32::try_from(place.index(segment.len() - 1)).unwrap();
        let mask = NoiseMask::new(length, vec![Span { start, end: length }]).unwrap();
        let form = RowForm {
            s_sentinel,
            bos: bos.then_some(2),
            mode_token,
            inputs_eos: eos.ends_inputs().then_some(1),
            labels_eos: eos.ends_labels().then_some(1),
            ..crate::support::form(Layout::Split, vec![1000])
        };
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        encode(&segment, &mask, &form, &mut inputs, &mut labels);
        prop_assert_eq!(decode(&inputs, &labels, &form), Ok(Decoded { segment, mask }));
    }

    #[test]
    fn decoding_any_ids_at_all_gives_a_segment_that_encodes_back_or_an_error(
        inputs in vec(prop_oneof![3 => 0..6_i32, 2 => 1000..1004_i32, 1 => any::<i32>()], 0..12),
        labels in vec(prop_oneof![3 => 0..6_i32, 2 => 1000..1004_i32, 1 => any::<i32>()], 0..12),
        bos in any::<bool>(),
        mode_token in vec(3..5_u32, 0..2),
        eos in any::<bool>(),
        split in any::<bool>(),
        closing in any::<bool>(),
    ) {
        let form = RowForm {
            bos: bos.then_some(2),
            mode_token,
            inputs_eos: eos.then_some(1),
            labels_eos: eos.then_some(1),
            closing_sentinel: closing && !split,
            s_sentinel: if closing && split { SSentinel::Both } else { SSentinel::None },
            ..crate::support::form(if split { Layout::Split } else { Layout::Sentinels }, vec![1000, 1001, 1002])
        };
        if let Ok(Decoded { segment, mask }) = decode(&inputs, &labels, &form) {
            let (mut again_inputs, mut again_labels) = (Vec::new(), Vec::new());
            encode(&segment, &mask, &form, &mut again_inputs, &mut again_labels);
            prop_assert_eq!((again_inputs, again_labels), (inputs, labels));
        }
    }

    #[test]
    fn a_drawn_mask_has_exactly_the_counts_of_the_page(law in any_spans(), length in 2..3000_u32, seed in any::<u64>()) {
        let mut masker = Masker::default();
        let mut stream = Seed(seed).denoise_key("r", "a.jsonl").stream(crate::support::line(1));
        let mask = masker.draw(&NoisePattern::RandomSpans(law), length, &mut stream);
        // Sorted, disjoint, non-empty, non-touching, inside: what the constructor demands.
        prop_assert_eq!(NoiseMask::new(length, mask.spans().to_vec()), Ok(mask.clone()));
        let (noise, spans) = counts(law, length);
        prop_assert_eq!(mask.noise(), noise);
        // A roll may cut one span in two at the ends; round the circle the number of spans is always the one that was drawn.
        let [first, .., last] = mask.spans() else {
            prop_assert_eq!(mask.spans().len(), 1, "at least one span");
            return Ok(());
        };
        let cut = first.start == 0 && last.end == length;
        let drawn = u32::try_from(mask.spans().len()).unwrap() - u32::from(cut);
        if law.law == Law::T5 {
            prop_assert_eq!(drawn, spans);
        } else {
            let most = most_of_spans(RandomSpans { roll: Roll::Never, ..law }, length).2;
            prop_assert!(drawn <= most);
        }
        prop_assert!(!cut || law.roll == Roll::Always || (law.roll == Roll::SingleSpan && drawn == 1));
    }

    #[test]
    fn no_mask_of_any_pattern_has_more_than_the_bounds_of_the_page(
        (pattern, _, _) in any_pattern(), length in 2..2000_u32, seed in any::<u64>(),
    ) {
        let mut masker = Masker::default();
        let (kept, noise, spans) = most_of_pattern(&pattern, length);
        for line in 1..4 {
            let mut stream = Seed(seed).denoise_key("r", "a.jsonl").stream(crate::support::line(line));
            let mask = masker.draw(&pattern, length, &mut stream);
            prop_assert_eq!(NoiseMask::new(length, mask.spans().to_vec()), Ok(mask.clone()));
            prop_assert!(mask.noise() >= 1 && mask.noise() <= noise);
            prop_assert!(length - mask.noise() <= kept);
            prop_assert!(mask.spans().len() <= spans as usize);
            let whole = matches!(pattern, NoisePattern::Whole(_));
            prop_assert_eq!(mask.noise() == length, whole, "a token is kept, but where all are noise");
        }
    }

    #[test]
    fn a_mask_that_is_not_rolled_starts_with_kept_tokens_and_ends_with_noise(
        law in any_spans(), length in 2..2000_u32, seed in any::<u64>(),
    ) {
        let mut stream = Seed(seed).denoise_key("r", "a.jsonl").stream(crate::support::line(1));
        let mut masker = Masker::default();
        let mask = masker.draw(&NoisePattern::RandomSpans(RandomSpans { roll: Roll::Never, ..law }), length, &mut stream);
        prop_assert!(mask.spans()[0].start > 0);
        prop_assert_eq!(mask.spans().last().unwrap().end, length);
    }

    #[test]
    fn a_token_sequence_holds_ordinary_ids_only(
        ids in vec(prop_oneof![8 => 3..100_u32, 1 => 0..120_u32, 1 => any::<u32>()], 0..40),
        pad in any::<bool>(),
    ) {
        let vocabulary = Vocabulary::new(110, Some(1), pad.then_some(0), vec![109, 100, 105], vec![42]).unwrap();
        let reserved = |id: u32| [1, 109, 100, 105, 42].contains(&id) || (pad && id == 0);
        let bad = ids.iter().position(|&id| reserved(id) || id >= 110);
        let expected = bad.map(|position| match ids[position] {
            id if id < 110 => TokenError::Reserved { position, id },
            id => TokenError::OutOfVocabulary { position, id, size: 110 },
        });
        prop_assert_eq!(TokenSequence::new(&ids, &vocabulary).err(), expected);
    }
}

proptest! {
    #![proptest_config(config(1000))]

    #[test]
    fn the_segment_length_is_the_largest_up_to_which_everything_fits(fields in any_fields()) {
        let longest = |denoiser: &Denoiser| {
            (2..=2 * MAX_LENGTH).take_while(|&n| fits(denoiser, &fields, n)).last().unwrap_or(0)
        };
        let needed = 2 * fields.min_segment - 1;
        match Spec::new(fields.clone()) {
            Ok(spec) => for (index, denoiser) in fields.denoisers.iter().enumerate() {
                let length = spec.segment_length(index);
                prop_assert_eq!(length.tokens, longest(denoiser));
                prop_assert!(length.tokens >= needed);
                let bounds = length.bounds;
                prop_assert_eq!(
                    (bounds.inputs, bounds.labels, bounds.sentinels, bounds.total),
                    most(denoiser, &fields, length.tokens)
                );
                // A shortening is reported where, and only where, more sentinels would allow a longer segment.
                let with_plenty = |n: &u32| is_short_enough(denoiser, &fields, *n);
                let full = (length.tokens..=2 * MAX_LENGTH).take_while(with_plenty).last().unwrap();
                let reported = length.shortening.as_ref().map(|shortening| shortening.full_segment_length);
                prop_assert_eq!(reported, (full > length.tokens).then_some(full));
            },
            Err(SpecError::TooShort { name, tokens, .. }) => {
                let denoiser = fields.denoisers.iter().find(|denoiser| denoiser.name == name).unwrap();
                prop_assert_eq!(tokens, longest(denoiser));
                prop_assert!(tokens < needed);
            }
            Err(SpecError::EmptyInputs { name }) => {
                let denoiser = fields.denoisers.iter().find(|denoiser| denoiser.name == name).unwrap();
                prop_assert!(matches!(denoiser.pattern, NoisePattern::Whole(_)) && fields.causal.is_none());
                prop_assert_eq!(most(denoiser, &fields, 2).0, 0);
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn rows_of_a_document_give_the_document_back(
        spec in any_spec(), length in 0..4000_u32, line in 1..u64::MAX, epoch in any::<u16>(),
    ) {
        let tokens = document(length);
        let rows = mask_document(&spec, "ä/b.jsonl.zst", line, epoch, &tokens);
        if length < spec.min_segment() {
            prop_assert!(rows.is_empty());
            return Ok(());
        }
        let mut rebuilt = Vec::new();
        for (place, row) in (0_u32..).zip(&rows) {
            prop_assert_eq!(row.segment, place);
            prop_assert_eq!(row.start as usize, rebuilt.len(), "segments follow one another");
            prop_assert!(row.tokens.len() >= spec.min_segment() as usize);
            prop_assert!(row.tokens.len() <= spec.segment_length(row.denoiser).tokens as usize);
            let (inputs, labels) = sequences(&spec, row);
            prop_assert!(inputs.len() <= spec.fields().inputs_length as usize);
            prop_assert!(labels.len() <= spec.fields().labels_length as usize);
            let (most_inputs, most_labels) = spec.row_lengths();
            prop_assert!(row.input_ids.len() <= most_inputs as usize && row.labels.len() <= most_labels as usize);
            let decoded = decode(inputs, labels, spec.form(row.denoiser)).unwrap();
            prop_assert_eq!(decoded.mask.spans(), row.spans.as_slice());
            rebuilt.extend(decoded.segment);
        }
        prop_assert_eq!(rebuilt, tokens);
    }

    #[test]
    fn both_sequences_have_the_first_sentinels_in_order_and_once_each(
        spec in any_spec(), length in 2..2000_u32, line in 1..u64::MAX,
    ) {
        let is_sentinel = |id: &&i32| spec.vocabulary().sentinels().contains(&id.cast_unsigned());
        for row in mask_document(&spec, "a.jsonl", line, 0, &document(length)) {
            let denoiser = &spec.denoisers()[row.denoiser];
            let (in_inputs, in_labels) = match (denoiser.layout, denoiser.s_sentinel) {
                (Layout::Sentinels, _) => (row.spans.len(), row.spans.len() + usize::from(denoiser.closing_sentinel)),
                (Layout::Split, SSentinel::None) => (0, 0),
                (Layout::Split, SSentinel::Input) => (1, 0),
                (Layout::Split, SSentinel::Both) => (1, 1),
            };
            let first = |count: usize| -> Vec<i32> {
                spec.vocabulary().sentinels()[..count].iter().map(|id| id.cast_signed()).collect()
            };
            let of = |ids: &[i32]| ids.iter().filter(is_sentinel).copied().collect::<Vec<_>>();
            let (inputs, labels) = sequences(&spec, &row);
            prop_assert_eq!(of(inputs), first(in_inputs));
            prop_assert_eq!(of(labels), first(in_labels));
        }
    }

    #[test]
    fn a_row_recomputed_alone_equals_itself_in_the_run(
        spec in any_spec(), length in 2..4000_u32, line in 1..u64::MAX, epoch in any::<u16>(), pick in any::<prop::sample::Index>(),
    ) {
        let rows = mask_document(&spec, "a.jsonl", line, epoch, &document(length));
        prop_assume!(!rows.is_empty());
        let row = &rows[pick.index(rows.len())];
        // Nothing but the address: no document before it, no segment before it, a masker that has drawn nothing.
        let address = Address { line, epoch, segment: row.segment };
        let keys = spec.source_keys("a.jsonl");
        prop_assert_eq!(spec.choose(&mut keys.choose.stream(address)), row.denoiser);
        let mut masker = Masker::default();
        let mut stream = keys.denoise[row.denoiser].stream(address);
        let mask = masker.draw(
            &spec.denoisers()[row.denoiser].pattern, u32::try_from(row.tokens.len()).unwrap(), &mut stream,
        );
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        encode(&row.tokens, mask, spec.form(row.denoiser), &mut inputs, &mut labels);
        prop_assert_eq!((&inputs, &labels), (&row.input_ids, &row.labels));
    }

    #[test]
    fn another_denoiser_in_the_recipe_does_not_move_the_draws_of_the_others(
        spec in any_spec(), other in any_denoiser(), line in 1..u64::MAX, segment in any::<u32>(),
    ) {
        let mut fields = spec.fields().clone();
        fields.denoisers.insert(0, Denoiser { name: "new".to_owned(), ..other });
        let Ok(larger) = Spec::new(fields) else { return Ok(()) };
        let address = Address { line, epoch: 3, segment };
        let (before, after) = (spec.source_keys("a.jsonl"), larger.source_keys("a.jsonl"));
        for (index, denoiser) in spec.denoisers().iter().enumerate() {
            let length = spec.segment_length(index).tokens;
            let (mut old, mut new) = (Masker::default(), Masker::default());
            prop_assert_eq!(
                old.draw(&denoiser.pattern, length, &mut before.denoise[index].stream(address)),
                new.draw(&denoiser.pattern, length, &mut after.denoise[index + 1].stream(address))
            );
        }
    }

    #[test]
    fn a_cut_loses_no_token_and_leaves_no_short_piece(
        spec in any_spec(), length in 0..200_000_u32, line in 1..u64::MAX,
    ) {
        let keys = spec.source_keys("a.jsonl");
        let (mut position, mut count) = (0, 0);
        for segment in Cut::new(&spec, &keys, line, 0, length) {
            prop_assert_eq!((segment.start, segment.address.segment), (position, count));
            let most = spec.segment_length(segment.denoiser).tokens;
            prop_assert!((spec.min_segment()..=most).contains(&segment.length));
            // Shorter than it could be only at the end, or to leave `min_segment` tokens for the last one.
            let left = length - position;
            let expected = match left.min(most) {
                whole if left - whole > 0 && left - whole < spec.min_segment() => left - spec.min_segment(),
                whole => whole,
            };
            prop_assert_eq!(segment.length, expected);
            (position, count) = (position + segment.length, count + 1);
        }
        prop_assert_eq!(position, if length < spec.min_segment() { 0 } else { length });
    }

    #[test]
    fn a_spec_survives_its_json(spec in any_spec()) {
        let text = spec.to_json().to_string();
        let again = Spec::from_json(serde_json::from_str(&text).unwrap()).unwrap();
        prop_assert_eq!(again.fields(), spec.fields());
        prop_assert_eq!(again.to_json().to_string(), text);
    }

    #[test]
    fn too_many_spans_for_the_kept_tokens_are_refused(
        density in 1..MILLION, mean in MILLION..3 * MILLION,
    ) {
        let law = RandomSpans {
            noise_density: Ratio::from_millionths(density),
            mean_span_length: SpanLength::Tokens(Ratio::from_millionths(mean)),
            law: Law::T5,
            roll: Roll::Never,
        };
        let denoiser = denoiser("d", NoisePattern::RandomSpans(law));
        prop_assert_eq!(denoiser.check().is_ok(), is_sparse_enough(law));
    }
}

#[test]
fn the_vocabulary_of_bytes_is_the_one_the_binary_uses() {
    assert_eq!(*crate::support::spec_of_arguments("--recipe t5").vocabulary(), bytes_vocabulary());
}
