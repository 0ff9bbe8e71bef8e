//! Distributions, with fixed seeds and derived thresholds: a failure is a fact, not bad luck (`support/chi_square.rs`).
//!
//! Where a law is not uniform, that is asserted too: a mask without a roll never starts with noise. Each chi-square test counts
//! independent draws: one thing of each mask, or a whole mask as one outcome.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ul2_prep::denoise::{
    Address, Cut, Denoiser, EosPolicy, IndependentTokens, Law, Layout, Masker, NoisePattern, Normal, RandomSpans, Roll,
    SSentinel, Seed, Spec, Split, Start, Stream, StreamKey, Subset, Suffix, Whole, Window,
};

use crate::support::chi_square::{assert_follows, assert_share, assert_uniform, float, ln_choose};
use crate::support::{denoiser, fields, line, random_spans, spec_of_arguments, suffix};

const DRAWS: u64 = 60_000;

fn key(name: &str) -> StreamKey {
    Seed(20_261).denoise_key(name, "statistics")
}

/// All ways to write `total` as an ordered sum of `parts` positive integers.
fn compositions(total: u32, parts: u32) -> Vec<Vec<u32>> {
    if parts == 1 {
        return vec![vec![total]];
    }
    let first = 1..=total - parts + 1;
    let rest =
        first.flat_map(|first| compositions(total - first, parts - 1).into_iter().map(move |rest| (first, rest)));
    rest.map(|(first, rest)| [vec![first], rest].concat()).collect()
}

// --- samplers ---

#[test]
fn a_bounded_draw_is_uniform_also_where_multiplying_alone_would_not_be() {
    // x·n / 2^32 for n = 3·2^30 and no rejection: values divisible by 3 come from two words, the others from one (1/2, 1/4, 1/4).
    let mut stream = key("below").stream(line(1));
    let mut by_rest = [0; 3];
    for _ in 0..DRAWS {
        by_rest[(stream.below(3 << 30) % 3) as usize] += 1;
    }
    assert_uniform(&by_rest, "rests of below(3·2^30)");
    for n in [1_u32, 2, 3, 7, 10, 100, 1000] {
        let mut counts = vec![0; n as usize];
        for _ in 0..DRAWS {
            counts[stream.below(n) as usize] += 1;
        }
        if n == 1 {
            assert_eq!(counts, [DRAWS]);
        } else {
            assert_uniform(&counts, &format!("below({n})"));
        }
    }
}

#[test]
fn every_subset_is_equally_likely() {
    let mut stream = key("subset").stream(line(1));
    let mut subset = Subset::default();
    for (k, n, subsets) in [(3, 8, 56), (5, 10, 252), (1, 5, 5), (6, 7, 7)] {
        let mut counts: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
        for _ in 0..DRAWS {
            let mut members = Vec::new();
            subset.draw(&mut stream, k, n, |member| members.push(member));
            *counts.entry(members).or_default() += 1;
        }
        assert_eq!(counts.len(), subsets, "{k} of {n}");
        assert_uniform(&counts.into_values().collect::<Vec<_>>(), &format!("{k}-subsets of {n}"));
    }
}

#[test]
fn the_first_two_members_of_a_large_subset_follow_their_law_as_a_pair() {
    // P(the least is a, the next is b) = C(n − b − 1, k − 2) / C(n, k). 70 values: the set goes over the end of a 64-bit word.
    let (k, n) = (5, 70);
    let mut stream = key("pairs").stream(line(1));
    let mut subset = Subset::default();
    let mut counts = vec![0; (n * n) as usize];
    for _ in 0..10 * DRAWS {
        let mut members = Vec::new();
        subset.draw(&mut stream, k, n, |member| members.push(member));
        counts[(members[0] * n + members[1]) as usize] += 1;
    }
    let law = |cell: u32| match (cell / n, cell % n) {
        (a, b) if a < b && n - b > k - 2 => (ln_choose(n - b - 1, k - 2) - ln_choose(n, k)).exp(),
        _ => 0.0,
    };
    assert_follows(&counts, &(0..n * n).map(law).collect::<Vec<_>>(), "pairs of a 5-subset of 70");
}

// --- masks ---

#[test]
fn all_15_compositions_of_7_into_3_parts_are_equally_likely_for_noise_and_kept_and_as_pairs() {
    // Density .5 at 14 tokens: 7 of each kind, in round(7 / 2.4) = 3 spans. So a mask is a pair of such compositions: 225 masks.
    let law = random_spans(0.5, 2.4, Roll::Never);
    let all = compositions(7, 3);
    assert_eq!(all.len(), 15);
    let (mut noise_counts, mut kept_counts, mut pairs) = ([0; 15], [0; 15], [0; 225]);
    let mut masker = Masker::default();
    for draw in 0..DRAWS {
        let mask = masker.draw(&NoisePattern::RandomSpans(law), 14, &mut key("compositions").stream(line(draw)));
        let noise: Vec<u32> = mask.spans().iter().map(|span| span.len()).collect();
        let ends = [0].into_iter().chain(mask.spans().iter().map(|span| span.end));
        let kept: Vec<u32> = mask.spans().iter().zip(ends).map(|(span, end)| span.start - end).collect();
        let index = |parts: &Vec<u32>| all.iter().position(|composition| composition == parts).unwrap();
        noise_counts[index(&noise)] += 1;
        kept_counts[index(&kept)] += 1;
        pairs[15 * index(&noise) + index(&kept)] += 1;
    }
    // 14 degrees of freedom: the threshold for p = 10⁻⁶ is 55.5; 224 degrees: 339.6.
    assert_uniform(&noise_counts, "compositions of the noise");
    assert_uniform(&kept_counts, "compositions of the kept tokens");
    assert_uniform(&pairs, "pairs of compositions");
}

#[test]
fn every_rolled_mask_is_equally_likely_round_the_circle() {
    // 2 noise tokens in 2 spans of 6 tokens: 3 compositions of the kept tokens (1 + 3, 2 + 2, 3 + 1), 6 offsets, so 18 draws. The mask
    // with opposite spans comes from 2 + 2 at 6 offsets, each picture twice; 1 + 3 and 3 + 1 are rotations of one another: each of
    // their 6 pictures twice as well.
    let law = random_spans(0.333_333, 1.0, Roll::Always);
    let mut masker = Masker::default();
    let mut counts: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for draw in 0..DRAWS {
        let mask = masker.draw(&NoisePattern::RandomSpans(law), 6, &mut key("circle").stream(line(draw)));
        *counts.entry(mask.spans().iter().map(|span| span.start).collect()).or_default() += 1;
    }
    // 3 pictures of opposite spans and 6 of the others; neighbours touch and cannot be.
    assert_eq!(counts.len(), 9);
    assert_uniform(&counts.into_values().collect::<Vec<_>>(), "rolled masks");
}

/// How often each position is noise.
fn noise_profile(mean: f64, density: f64, roll: Roll, length: u32) -> Vec<u64> {
    let pattern = NoisePattern::RandomSpans(random_spans(density, mean, roll));
    let mut masker = Masker::default();
    let mut counts = vec![0; length as usize];
    for draw in 0..DRAWS {
        for span in masker.draw(&pattern, length, &mut key("profile").stream(line(draw))).spans() {
            counts[span.start as usize..span.end as usize].iter_mut().for_each(|count| *count += 1);
        }
    }
    counts
}

#[test]
fn a_roll_makes_every_position_noise_equally_often() {
    for (mean, density, roll) in [(3.0, 0.15, Roll::Always), (8.0, 0.5, Roll::Always), (32.0, 0.15, Roll::SingleSpan)] {
        let length = 100;
        let counts = noise_profile(mean, density, roll, length);
        let noise = random_spans(density, mean, roll).counts(length).noise;
        for (place, &count) in counts.iter().enumerate() {
            let share = f64::from(noise) / f64::from(length);
            assert_share(count, DRAWS, share, 100, &format!("({mean}, {density}): noise at {place}"));
        }
    }
}

#[test]
fn without_a_roll_the_first_token_is_never_noise_the_last_always_and_their_neighbours_seldom_and_often() {
    let counts = noise_profile(3.0, 0.15, Roll::Never, 100);
    assert_eq!((counts[0], counts[99]), (0, DRAWS));
    // 15 noise tokens in 5 spans. Position 1 is noise where the first kept span has one token, C(83, 3) / C(84, 4) = 1/21; position 98
    // where the last noise span has two or more: 1 − C(13, 3) / C(14, 4) = 5/7.
    assert_share(counts[1], DRAWS, 1.0 / 21.0, 2, "noise at the second token");
    assert_share(counts[98], DRAWS, 5.0 / 7.0, 2, "noise at the last token but one");
}

#[test]
fn density_and_mean_span_length_are_met_over_a_long_document() {
    // Exact for each length, so over all lengths off only by the roundings: half a token of noise in a segment, half a span.
    let law = random_spans(0.15, 3.0, Roll::SingleSpan);
    let counts = law.counts(568);
    assert_eq!((counts.noise, counts.spans), (85, 28));
    let mut masker = Masker::default();
    let (mut tokens, mut noise, mut spans) = (0_u64, 0_u64, 0_u64);
    for length in 300..900 {
        let mask = masker.draw(&NoisePattern::RandomSpans(law), length, &mut key("density").stream(line(1)));
        tokens += u64::from(length);
        noise += u64::from(mask.noise());
        spans += mask.spans().len() as u64;
    }
    let (density, mean) = (float(noise) / float(tokens), float(noise) / float(spans));
    assert!((density - 0.15).abs() < 0.5 / 300.0, "{density}");
    assert!((mean - 3.0).abs() < 0.05, "{mean}");
}

/// The probability of each length.
type Probability<'a> = &'a dyn Fn(u32) -> f64;

/// Every way to draw lengths by a law until `noise` tokens are used up, with its probability: the last one is cut.
fn drawn_lengths(noise: u32, law: Probability<'_>) -> Vec<(Vec<u32>, f64)> {
    if noise == 0 {
        return vec![(Vec::new(), 1.0)];
    }
    let mut all = Vec::new();
    let mut shorter = 0.0;
    for length in 1..=noise {
        let probability = if length == noise { 1.0 - shorter } else { law(length) };
        shorter += probability;
        for (rest, rest_probability) in drawn_lengths(noise - length, law) {
            all.push(([vec![length], rest].concat(), probability * rest_probability));
        }
    }
    all
}

/// The cumulative distribution of the sum of twelve uniform numbers (Irwin and Hall), less 6.
fn irwin_hall(z: f64) -> f64 {
    let x = z + 6.0;
    let term = |k: u32| {
        let sign = if k.is_multiple_of(2) { 1.0 } else { -1.0 };
        sign * ln_choose(12, k).exp() * (x - f64::from(k)).max(0.0).powi(12)
    };
    let factorial: f64 = (1..=12).map(f64::from).product();
    ((0..=12).map(term).sum::<f64>() / factorial).clamp(0.0, 1.0)
}

#[test]
fn independent_span_lengths_follow_their_law_with_the_rest_at_a_random_place() {
    // 7 noise tokens of 28: all sequences of lengths that a law can draw, cut to 7; the last changes places with any. No more than 4 + 8
    // spans are drawn, which is more than 7.
    let uniform = |length: u32| if length <= 3 { 1.0 / 3.0 } else { 0.0 };
    // A mean of 1.25: one token in half of the draws, 1 or 2 of equal chance in the others.
    let finer = |length: u32| [0.0, 0.75, 0.25].get(length as usize).copied().unwrap_or_default();
    let geometric = |length: u32| 0.5_f64.powi(i32::try_from(length).unwrap());
    // Rounded to whole tokens, and at least one.
    let normal = |length: u32| {
        let up_to = |edge: f64| irwin_hall((edge - 2.0) / 1.5);
        let length = f64::from(length);
        up_to(length + 0.5) - if length < 1.5 { 0.0 } else { up_to(length - 0.5) }
    };
    let std = Normal { std: crate::support::ratio(1.5) };
    let laws: [(Law, f64, Probability<'_>); 4] = [
        (Law::Uniform, 2.0, &uniform),
        (Law::Uniform, 1.25, &finer),
        (Law::Geometric, 2.0, &geometric),
        (Law::Normal(std), 2.0, &normal),
    ];
    for (law, mean, probability) in laws {
        let mut expected: BTreeMap<Vec<u32>, f64> = BTreeMap::new();
        for (lengths, probability) in drawn_lengths(7, probability) {
            for place in 0..lengths.len() {
                let mut moved = lengths.clone();
                moved.swap(place, lengths.len() - 1);
                *expected.entry(moved).or_default() += probability / float(lengths.len() as u64);
            }
        }
        let pattern = NoisePattern::RandomSpans(RandomSpans { law, ..random_spans(0.25, mean, Roll::Never) });
        let mut counts: BTreeMap<Vec<u32>, u64> = expected.keys().map(|lengths| (lengths.clone(), 0)).collect();
        let mut masker = Masker::default();
        for draw in 0..2 * DRAWS {
            let mask = masker.draw(&pattern, 28, &mut key("independent").stream(line(draw)));
            let lengths: Vec<u32> = mask.spans().iter().map(|span| span.len()).collect();
            *counts.get_mut(&lengths).unwrap_or_else(|| panic!("{lengths:?} cannot be drawn")) += 1;
        }
        let (counts, expected): (Vec<u64>, Vec<f64>) =
            (counts.into_values().collect(), expected.into_values().collect());
        assert_follows(&counts, &expected, &format!("{law:?} with mean {mean}"));
    }
}

#[test]
fn more_spans_than_a_law_gives_are_never_drawn_and_the_last_takes_the_rest() {
    // Mean 3, but a geometric law often draws ones: at 300 tokens of noise, 100 + 4·10 spans at most. Of spans of one token there would be
    // 300; a mask that reaches the bound has a longer one, and the noise stays exact.
    let law = RandomSpans { law: Law::Geometric, ..random_spans(0.15, 3.0, Roll::Never) };
    assert_eq!((law.counts(2000).noise, law.counts(2000).spans, law.most_drawn(2000)), (300, 100, 140));
    let mut masker = Masker::default();
    let mut spans = Vec::new();
    for draw in 0..2000 {
        let mask = masker.draw(&NoisePattern::RandomSpans(law), 2000, &mut key("most").stream(line(draw)));
        assert_eq!(mask.noise(), 300);
        assert!(mask.spans().len() <= 140);
        spans.push(float(mask.spans().len() as u64));
    }
    // Each of 299 tokens begins a span with probability 1/3, the first of 300 always: 100.67 spans on average, with a deviation of 8.15, so
    // that the bound hardly matters. The mean of 2000 deviates by .18.
    let mean = spans.iter().sum::<f64>() / 2000.0;
    assert!((mean - (1.0 + 299.0 / 3.0)).abs() < 5.0 * 0.18, "{mean}");
}

#[test]
fn every_set_of_independent_tokens_is_equally_likely() {
    let pattern = NoisePattern::IndependentTokens(IndependentTokens { noise_density: crate::support::ratio(0.375) });
    let mut counts: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    let mut masker = Masker::default();
    for draw in 0..DRAWS {
        let mask = masker.draw(&pattern, 8, &mut key("tokens").stream(line(draw)));
        let tokens: Vec<u32> = mask.spans().iter().flat_map(|span| span.start..span.end).collect();
        *counts.entry(tokens).or_default() += 1;
    }
    assert_eq!(counts.len(), 56, "3 of 8");
    assert_uniform(&counts.into_values().collect::<Vec<_>>(), "sets of 3 of 8 tokens");
}

#[test]
fn a_union_is_two_independent_masks_and_keeps_the_first_token_if_nothing_is_left() {
    // Two rolled spans, of 3 and of 2 of 5 tokens: 25 pairs of offsets. Where they fill the segment, token 0 is kept.
    let part = |density: f64| random_spans(density, 64.0, Roll::Always);
    let pattern = NoisePattern::Union(vec![part(0.6), part(0.4)]);
    let mut expected: BTreeMap<u32, f64> = BTreeMap::new();
    for (first, second) in (0..25).map(|pair| (pair / 5, pair % 5)) {
        let bits = |offset: u32, length: u32| (0..length).map(|token| 1 << ((offset + token) % 5)).sum::<u32>();
        let mask = bits(first, 3) | bits(second, 2);
        *expected.entry(if mask == 0b11111 { 0b11110 } else { mask }).or_default() += 1.0 / 25.0;
    }
    let mut counts: BTreeMap<u32, u64> = expected.keys().map(|mask| (*mask, 0)).collect();
    let mut masker = Masker::default();
    for draw in 0..DRAWS {
        let mask = masker.draw(&pattern, 5, &mut key("union").stream(line(draw)));
        let bits = mask.spans().iter().flat_map(|span| span.start..span.end).map(|token| 1 << token).sum::<u32>();
        *counts.get_mut(&bits).unwrap_or_else(|| panic!("{bits:b} cannot be drawn")) += 1;
    }
    assert_follows(
        &counts.into_values().collect::<Vec<_>>(),
        &expected.into_values().collect::<Vec<_>>(),
        "unions of two spans",
    );
}

#[test]
fn a_suffix_up_to_a_share_is_uniform_and_one_of_a_share_is_always_the_same() {
    let lengths = |split: Split, length: u32| {
        let pattern = NoisePattern::Suffix(Suffix { split });
        let mut counts = vec![0; length as usize];
        let mut masker = Masker::default();
        for draw in 0..DRAWS {
            let mask = masker.draw(&pattern, length, &mut key("suffix").stream(line(draw)));
            let [span] = mask.spans() else { panic!("one span") };
            assert_eq!(span.end, length);
            counts[span.len() as usize] += 1;
        }
        counts
    };
    // Half of 41 is 20, to even. The mean share is a quarter, that of UL2's table 1.
    let up_to = lengths(Split::UpTo(crate::support::ratio(0.5)), 41);
    assert_eq!((up_to[0], &up_to[21..]), (0, vec![0; 20].as_slice()));
    assert_uniform(&up_to[1..21], "suffixes of up to half of 41 tokens");
    assert_eq!(lengths(Split::Share(crate::support::ratio(0.25)), 41)[10], DRAWS);
    assert_eq!(lengths(Split::Share(crate::support::ratio(0.001)), 41)[1], DRAWS, "at least one token");
}

#[test]
fn a_window_starts_anywhere_equally_often_and_the_shuffle_gives_every_order() {
    let window = Window { tokens: Some(10), start: Start::Random };
    let spec = Spec::new(fields(vec![denoiser("s", suffix())])).unwrap();
    let keys = spec.source_keys("windows");
    let mut starts = vec![0; 21];
    for document in 1..=DRAWS {
        let place = window.place(&spec, &keys, document, 0, 30);
        assert_eq!(place.len(), 10);
        starts[place.start as usize] += 1;
    }
    assert_uniform(&starts, "windows of 10 of 30 tokens");
    assert_eq!(window.place(&spec, &keys, 1, 0, 7), 0..7, "a short document is its own window");
    assert_eq!(Window { start: Start::First, ..window }.place(&spec, &keys, 1, 0, 30), 0..10);

    let mut orders: BTreeMap<Vec<u32>, u64> = BTreeMap::new();
    for draw in 0..DRAWS {
        let mut items: Vec<u32> = (0..4).collect();
        key("shuffle").stream(line(draw)).shuffle(&mut items);
        *orders.entry(items).or_default() += 1;
    }
    assert_eq!(orders.len(), 24);
    assert_uniform(&orders.into_values().collect::<Vec<_>>(), "orders of 4 items");
}

#[test]
fn a_prefix_has_every_length_from_1_to_n_minus_1_equally_often() {
    for length in [3, 20, 257] {
        let mut counts = vec![0; length as usize - 1];
        let mut masker = Masker::default();
        for draw in 0..DRAWS {
            let mask = masker.draw(&suffix(), length, &mut key("prefix").stream(line(draw)));
            let [span] = mask.spans() else { panic!("one span") };
            assert_eq!(span.end, length);
            counts[span.start as usize - 1] += 1;
        }
        assert_uniform(&counts, &format!("prefixes of {length}"));
    }
}

#[test]
fn the_largest_row_of_a_segment_length_is_reached_by_some_draw() {
    // Section 6 bounds all draws. A bound that no draw reaches would make every segment too short.
    let split = |split| NoisePattern::Suffix(Suffix { split });
    let share = |share| crate::support::ratio(share);
    let iid = NoisePattern::IndependentTokens(IndependentTokens { noise_density: share(0.3) });
    let mixtures: [(Denoiser, u32); 12] = [
        (denoiser("independent", iid), 12),
        (denoiser("up to", split(Split::UpTo(share(0.4)))), 32),
        (denoiser("share", split(Split::Share(share(0.4)))), 32),
        (Denoiser { mode_token: vec![5], ..denoiser("whole", NoisePattern::Whole(Whole {})) }, 32),
        (
            Denoiser {
                closing_sentinel: true,
                layout: Layout::Sentinels,
                ..denoiser("w", NoisePattern::Whole(Whole {}))
            },
            32,
        ),
        (Denoiser { s_sentinel: SSentinel::Input, ..denoiser("s", suffix()) }, 32),
        (Denoiser { s_sentinel: SSentinel::Both, ..denoiser("s", suffix()) }, 32),
        (denoiser("r", NoisePattern::RandomSpans(random_spans(0.15, 3.0, Roll::SingleSpan))), 64),
        (denoiser("rolled", NoisePattern::RandomSpans(random_spans(0.5, 3.0, Roll::Always))), 64),
        (denoiser("single", NoisePattern::RandomSpans(random_spans(0.15, 64.0, Roll::SingleSpan))), 64),
        (denoiser("s", suffix()), 32),
        (Denoiser { layout: Layout::Sentinels, ..denoiser("s", suffix()) }, 32),
    ];
    for (denoiser, lengths) in mixtures {
        let name = denoiser.name.clone();
        let mut fields = fields(vec![denoiser]);
        (fields.inputs_length, fields.labels_length, fields.eos) = (lengths, lengths, EosPolicy::Labels);
        let spec = Spec::new(fields).unwrap();
        let length = spec.segment_length(0);
        let tokens: Vec<u32> = (0..length.tokens).map(|_| 3).collect();
        let (mut inputs, mut labels) = (0, 0);
        for document in 1..2000 {
            for row in crate::support::mask_document(&spec, "a.jsonl", document, 0, &tokens) {
                inputs = inputs.max(row.input_ids.len());
                labels = labels.max(row.labels.len());
            }
        }
        assert_eq!((inputs, labels), (length.bounds.inputs as usize, length.bounds.labels as usize), "{name}");
    }
}

// --- the mixture ---

#[test]
fn segments_get_denoisers_in_proportion_to_their_weights() {
    for recipe in ["t5", "ul2", "ul2r"] {
        let spec = spec_of_arguments(&format!("--recipe {recipe} --seed 3"));
        let keys = spec.source_keys("a.jsonl");
        let mut counts = vec![0; spec.denoisers().len()];
        // Documents of 20,000 tokens, so that most segments are not the first of theirs.
        for document in 1..1500 {
            for segment in Cut::new(&spec, &keys, document, 0, 20_000) {
                counts[segment.denoiser] += 1;
            }
        }
        let total = f64::from(spec.total_weight());
        let shares: Vec<f64> =
            spec.denoisers().iter().map(|denoiser| f64::from(denoiser.weight.get()) / total).collect();
        if let [only] = counts.as_slice() {
            assert!(*only > 0);
        } else {
            assert_follows(&counts, &shares, recipe);
        }
    }
}

#[test]
fn weights_are_shares_to_the_last_one() {
    let weights = [1, 2, 3, 94];
    let weighted =
        |(weight, name): (u32, &str)| Denoiser { weight: NonZeroU32::new(weight).unwrap(), ..denoiser(name, suffix()) };
    let denoisers = weights.into_iter().zip(["a", "b", "c", "d"]).map(weighted).collect();
    let spec = Spec::new(fields(denoisers)).unwrap();
    let keys = spec.source_keys("a.jsonl");
    let mut counts = [0; 4];
    for document in 1..DRAWS {
        counts[spec.choose(&mut keys.choose.stream(line(document)))] += 1;
    }
    assert_follows(&counts, &weights.map(|weight| f64::from(weight) / 100.0), "weights of 100");
}

// --- streams ---

/// The first draws of two streams as one of 16 × 16 cells.
fn cell(mut first: Stream, mut second: Stream) -> usize {
    (first.below(16) * 16 + second.below(16)) as usize
}

#[test]
fn streams_of_neighbouring_addresses_are_independent() {
    let at = |line, epoch, segment| Address { line, epoch, segment };
    let spec = Spec::new(fields(vec![
        denoiser("a", suffix()),
        denoiser("b", NoisePattern::RandomSpans(random_spans(0.15, 3.0, Roll::Never))),
    ]))
    .unwrap();
    let (here, there) = (spec.source_keys("a.jsonl"), spec.source_keys("b.jsonl"));
    let other_seed = {
        let mut fields = spec.fields().clone();
        fields.seed = Seed(fields.seed.0 + 1);
        Spec::new(fields).unwrap().source_keys("a.jsonl")
    };
    let streams = |number: u64| {
        let segment = u32::try_from(number).unwrap();
        let stream = &here.denoise[0];
        [
            ("lines", stream.stream(at(number, 0, 0)), stream.stream(at(number + 1, 0, 0))),
            ("segments", stream.stream(at(1, 0, segment)), stream.stream(at(1, 0, segment + 1))),
            ("line and segment", stream.stream(at(number, 0, 1)), stream.stream(at(number + 1, 0, 0))),
            ("epochs", stream.stream(at(number, 0, 0)), stream.stream(at(number, 1, 0))),
            // Parts of a name that share a number of the generator's state must not run into each other.
            ("epoch and segment", stream.stream(at(number, 1, 0)), stream.stream(at(number, 0, 1))),
            ("halves of a line", stream.stream(at(number, 0, 0)), stream.stream(at(number + (1 << 32), 0, 0))),
            ("denoisers", stream.stream(at(number, 0, 0)), here.denoise[1].stream(at(number, 0, 0))),
            ("choice and mask", here.choose.stream(at(number, 0, 0)), stream.stream(at(number, 0, 0))),
            ("sources", stream.stream(at(number, 0, 0)), there.denoise[0].stream(at(number, 0, 0))),
            ("seeds", stream.stream(at(number, 0, 0)), other_seed.denoise[0].stream(at(number, 0, 0))),
        ]
    };
    let mut counts: BTreeMap<&str, [u64; 256]> = BTreeMap::new();
    for number in 1..=DRAWS {
        for (pair, first, second) in streams(number) {
            counts.entry(pair).or_insert([0; 256])[cell(first, second)] += 1;
        }
    }
    for (pair, counts) in counts {
        assert_uniform(&counts, pair);
    }
}

#[test]
fn masks_of_two_epochs_share_no_more_than_chance() {
    // The same prefix in two epochs of one line: 1 in n − 1.
    let (length, mut masker, mut same) = (11, Masker::default(), 0);
    for number in 1..=DRAWS {
        let mut start = |epoch| {
            let address = Address { line: number, epoch, segment: 0 };
            masker.draw(&suffix(), length, &mut key("epochs").stream(address)).spans()[0].start
        };
        same += u64::from(start(0) == start(1));
    }
    assert_share(same, DRAWS, 0.1, 1, "equal prefixes in two epochs");
}
