//! T5's algorithm over arrays of booleans, literal and slow, against ours over spans.
//!
//! The functions of the first half follow `t5/data/preprocessors.py` (release 0.9.4, Apache-2.0) step by step and keep its names:
//! `random_spans_noise_mask`, `noise_span_to_unique_sentinel`, `nonnoise_span_to_unique_sentinel`, `prefix_lm`. Only the randomness is
//! ours: T5 shuffles an array of marks, here the marks are the cut points that our stream draws, so that both start from the same
//! two compositions. `golden.rs` compares with what the original code gave.

use ul2_prep::denoise::{
    Address, Layout, Masker, NoiseMask, NoisePattern, RandomSpans, Roll, RowForm, Seed, Spec, SpecFields, Stream,
    Subset, encode,
};

use crate::support::{denoiser, fields, mask_document, random_spans, suffix, t5_vocabulary};

/// `_random_segmentation`: lengths of `num_segments` segments of `num_items` items. T5 shuffles `num_segments - 1` marks among the
/// `num_items - 1` places after the first item; a mark says that a segment starts there.
fn random_segmentation(num_items: u32, num_segments: u32, stream: &mut Stream) -> Vec<u32> {
    let mut first_in_segment = vec![false; num_items as usize];
    Subset::default()
        .draw(stream, num_segments - 1, num_items - 1, |place| first_in_segment[place as usize + 1] = true);
    let mut segment_id = 0;
    let mut segment_length = vec![0; num_segments as usize];
    for first in first_in_segment {
        segment_id += usize::from(first);
        segment_length[segment_id] += 1;
    }
    segment_length
}

/// `random_spans_noise_mask`, from the two lists of lengths on.
fn random_spans_noise_mask(length: u32, noise_span_lengths: &[u32], nonnoise_span_lengths: &[u32]) -> Vec<bool> {
    let mut interleaved_span_lengths = Vec::new();
    for (nonnoise, noise) in nonnoise_span_lengths.iter().zip(noise_span_lengths) {
        interleaved_span_lengths.extend([*nonnoise, *noise]);
    }
    let mut span_start_indicator = vec![0; length as usize];
    let mut start = 0;
    for span_length in &interleaved_span_lengths[..interleaved_span_lengths.len() - 1] {
        start += *span_length as usize;
        span_start_indicator[start] += 1;
    }
    let mut span_num = 0;
    let is_noise = span_start_indicator.into_iter().map(|starts| {
        span_num += starts;
        span_num % 2 == 1
    });
    is_noise.collect()
}

/// The end of `random_spans_noise_mask` with `random_roll`: `tf.roll(mask, offset, axis=0)`.
fn roll(mask: &[bool], offset: usize) -> Vec<bool> {
    (0..mask.len()).map(|place| mask[(place + mask.len() - offset) % mask.len()]).collect()
}

/// `noise_span_to_unique_sentinel`: the first token of each noise span becomes a sentinel, the others go.
fn noise_span_to_unique_sentinel(tokens: &[u32], noise_mask: &[bool], sentinels: &[u32]) -> Vec<u32> {
    let mut spans_so_far = 0;
    let mut kept = Vec::new();
    for (place, (token, noise)) in tokens.iter().zip(noise_mask).enumerate() {
        let prev_token_is_noise = place > 0 && noise_mask[place - 1];
        let first_noise_token = *noise && !prev_token_is_noise;
        let subsequent_noise_token = *noise && prev_token_is_noise;
        spans_so_far += usize::from(first_noise_token);
        if !subsequent_noise_token {
            kept.push(if first_noise_token { sentinels[spans_so_far - 1] } else { *token });
        }
    }
    kept
}

/// `nonnoise_span_to_unique_sentinel`: the same for the complement.
fn nonnoise_span_to_unique_sentinel(tokens: &[u32], noise_mask: &[bool], sentinels: &[u32]) -> Vec<u32> {
    let complement: Vec<bool> = noise_mask.iter().map(|noise| !noise).collect();
    noise_span_to_unique_sentinel(tokens, &complement, sentinels)
}

/// Ours as booleans.
fn flags(mask: &NoiseMask) -> Vec<bool> {
    let mut flags = vec![false; mask.length() as usize];
    for span in mask.spans() {
        flags[span.start as usize..span.end as usize].fill(true);
    }
    flags
}

fn signed(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|id| id.cast_signed()).collect()
}

/// Every kind of random spans that the built-in recipes have, and denser and sparser ones.
const LAWS: [(f64, f64); 10] = [
    (0.15, 3.0),
    (0.15, 8.0),
    (0.5, 3.0),
    (0.5, 8.0),
    (0.15, 64.0),
    (0.5, 64.0),
    (0.15, 32.0),
    (0.3, 1.0),
    (0.9, 9.5),
    (0.015, 2.5),
];

/// Every length up to 200, then some.
fn lengths() -> impl Iterator<Item = u32> {
    (2..200).chain((200..3000).step_by(97)).chain([511, 512, 513, 568, 1021, 4096])
}

fn stream(length: u32, line: u64) -> Stream {
    let address = Address { line, epoch: 0, segment: length };
    Seed(11).denoise_key("reference", "a.jsonl").stream(address)
}

/// T5's array, drawn from the same stream in the order of `docs/reference/masking.md`: noise, kept, offset.
fn reference_mask(law: RandomSpans, length: u32, stream: &mut Stream) -> Vec<bool> {
    let counts = law.counts(length);
    let noise = random_segmentation(counts.noise, counts.spans, stream);
    let kept = random_segmentation(length - counts.noise, counts.spans, stream);
    let mask = random_spans_noise_mask(length, &noise, &kept);
    if law.rolls(counts.spans) { roll(&mask, stream.below(length) as usize) } else { mask }
}

#[test]
fn every_mask_is_the_one_of_t5s_arrays() {
    let mut masker = Masker::default();
    for (density, mean) in LAWS {
        for roll in [Roll::Never, Roll::SingleSpan, Roll::Always] {
            let law = random_spans(density, mean, roll);
            for length in lengths() {
                for line in 1..4 {
                    let mask = masker.draw(&NoisePattern::RandomSpans(law), length, &mut stream(length, line));
                    let expected = reference_mask(law, length, &mut stream(length, line));
                    assert_eq!(flags(mask), expected, "({mean}, {density}) at {length}, {roll:?}");
                }
            }
        }
    }
}

#[test]
fn every_row_without_a_roll_is_the_one_of_t5s_functions() {
    let mut masker = Masker::default();
    let vocabulary = t5_vocabulary();
    // T5 has a hundred sentinels; here are more, so that every length can be compared.
    let sentinels: Vec<u32> = (0..3000).map(|k| 32_099 - k).collect();
    let form = RowForm {
        inputs_eos: vocabulary.eos(),
        labels_eos: vocabulary.eos(),
        ..crate::support::form(Layout::Sentinels, sentinels.clone())
    };
    for (density, mean) in LAWS {
        let law = random_spans(density, mean, Roll::Never);
        for length in lengths() {
            let tokens: Vec<u32> = (0..length).map(|place| 3 + place * 17 % 20_000).collect();
            let mask = masker.draw(&NoisePattern::RandomSpans(law), length, &mut stream(length, 1));
            let (mut inputs, mut labels) = (Vec::new(), Vec::new());
            encode(&tokens, mask, &form, &mut inputs, &mut labels);
            let noise_mask = flags(mask);
            // `append_eos` is a later step of T5's pipeline.
            let mut expected = [
                noise_span_to_unique_sentinel(&tokens, &noise_mask, &sentinels),
                nonnoise_span_to_unique_sentinel(&tokens, &noise_mask, &sentinels),
            ];
            for ids in &mut expected {
                ids.push(1);
            }
            assert_eq!([inputs, labels], expected.map(|ids| signed(&ids)), "({mean}, {density}) at {length}");
        }
    }
}

#[test]
fn where_a_mask_starts_with_noise_t5s_labels_are_one_sentinel_behind_and_ours_are_not() {
    let sentinels = [99, 98, 97];
    let tokens = [10, 11, 12, 13, 14, 15, 16];
    let noise_mask = [true, true, false, false, true, false, false];
    // noise 10 11, kept 12 13, noise 14, kept 15 16
    assert_eq!(noise_span_to_unique_sentinel(&tokens, &noise_mask, &sentinels), [99, 12, 13, 98, 15, 16]);
    assert_eq!(nonnoise_span_to_unique_sentinel(&tokens, &noise_mask, &sentinels), [10, 11, 99, 14, 98]);

    let span = |start, end| ul2_prep::denoise::Span { start, end };
    let mask = NoiseMask::new(7, vec![span(0, 2), span(4, 5)]).unwrap();
    let form = crate::support::form(Layout::Sentinels, sentinels.to_vec());
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    encode(&tokens, &mask, &form, &mut inputs, &mut labels);
    assert_eq!(inputs, [99, 12, 13, 98, 15, 16]);
    assert_eq!(labels, [99, 10, 11, 98, 14]);
}

#[test]
fn a_prefix_is_split_as_by_t5s_prefix_lm() {
    let spec = Spec::new(SpecFields { vocabulary: t5_vocabulary(), ..fields(vec![denoiser("s", suffix())]) }).unwrap();
    let tokens: Vec<u32> = (100..400).collect();
    for line in 1..200 {
        for row in mask_document(&spec, "a.jsonl", line, 0, &tokens) {
            // `random_prefix_noise_mask` marks the visible prefix; `drop_nonnoise_tokens` makes the inputs, `drop_noise_tokens` the labels.
            let prefix = row.spans[0].start as usize;
            assert!((1..tokens.len()).contains(&prefix));
            assert_eq!(row.input_ids, signed(&[&tokens[..prefix], &[1]].concat()));
            assert_eq!(row.labels, signed(&[&tokens[prefix..], &[1]].concat()));
        }
    }
}
