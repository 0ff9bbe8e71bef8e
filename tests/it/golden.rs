//! What other implementations give (`fixtures/golden`, whose README says whose code made which value), against ours.
//!
//! Where `ul2-prep` differs, it does so on purpose, and the test says where and why: a difference that is not written down here fails.

use std::collections::BTreeMap;

use serde_json::Value;
use ul2_prep::denoise::{
    Address, Layout, MAX_LENGTH, Masker, NoiseMask, NoisePattern, Ratio, Roll, RowForm, Seed, Span, Spec, SpecFields,
    TokenError, TokenSequence, Vocabulary, decode, encode,
};

use crate::support::chi_square::{assert_follows, assert_share, float, part_length_law, statistic, threshold};
use crate::support::{denoiser, fields, json_lines, random_spans, repository, suffix, t5_vocabulary};

fn golden(file: &str) -> Vec<Value> {
    let lines = json_lines(repository("fixtures/golden").join(file));
    assert!(!lines.is_empty());
    lines
}

fn number(value: &Value) -> u32 {
    u32::try_from(value.as_u64().unwrap_or_else(|| panic!("{value} is no count"))).unwrap()
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn float_of(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn signed(ids: &[u32]) -> Vec<i32> {
    ids.iter().map(|id| id.cast_signed()).collect()
}

// --- i: segment lengths against T5's `random_spans_helper` ---

/// Ours where the lengths are the only limit: no roll, no mode token, EOS on both sides, sentinels in plenty.
fn segment_length(case: &Value, labels_length: u32) -> (u32, u32) {
    let law = random_spans(float_of(&case["noise_density"]), float_of(&case["mean_noise_span_length"]), Roll::Never);
    let spec = Spec::new(SpecFields {
        inputs_length: number(&case["inputs_length"]),
        labels_length,
        vocabulary: Vocabulary::new(40_000, Some(1), Some(0), (30_000..40_000).collect(), vec![]).unwrap(),
        ..fields(vec![denoiser("r", NoisePattern::RandomSpans(law))])
    })
    .unwrap();
    (spec.segment_length(0).tokens, spec.segment_length(0).bounds.labels)
}

#[test]
fn segments_are_as_long_as_t5s_helper_says_where_its_promise_holds() {
    let mut compared = 0;
    for case in golden("i_random_spans_helper.jsonl") {
        if case["helper_promise_holds"] != true {
            continue;
        }
        let promised = numbers(&case["t5_main"]);
        for peer in ["t5_0_9_4", "seed", "oslo"] {
            assert_eq!(numbers(&case[peer]), promised, "{case}");
        }
        let (tokens, labels) = segment_length(&case, promised[1]);
        assert_eq!([tokens, labels], promised[..], "{case}");
        compared += 1;
    }
    assert_eq!(compared, 46);
}

#[test]
fn without_a_limit_for_labels_segments_are_as_long_as_the_helper_without_its_correction() {
    // At density 0.5 T5 takes one token off where the labels would be longer than the inputs. Here labels have a length of their own;
    // `label_aware` is the helper without that correction, and equals T5's everywhere else.
    let mut corrected = 0;
    for case in golden("i_random_spans_helper.jsonl") {
        let label_aware = numbers(&case["label_aware"]);
        let t5 = numbers(&case["t5_main"]);
        corrected += u32::from(label_aware != t5);
        assert!(label_aware == t5 || case["noise_density"] == 0.5, "{case}");
        if case["helper_promise_holds"] == true {
            assert_eq!(segment_length(&case, MAX_LENGTH).0, label_aware[0], "{case}");
        }
    }
    assert_eq!(corrected, 12);
}

#[test]
fn where_the_helpers_promise_fails_ours_holds() {
    let failing: Vec<Value> =
        golden("i_random_spans_helper.jsonl").into_iter().filter(|case| case["helper_promise_holds"] != true).collect();
    let [short, half] = failing.as_slice() else { panic!("two lines, not {}", failing.len()) };

    // (32, .15) at 64: the helper counts round(11 / 32) = 0 spans, but a mask has at least one, so its 74 tokens give 65 inputs.
    assert_eq!(
        (numbers(&short["t5_main"]), number(&short["realised_numpy"]["inputs_len_with_eos"])),
        (vec![74, 12], 65)
    );
    assert_eq!(segment_length(short, MAX_LENGTH), (73, 13));

    // (32, .5) at 512: the correction leaves 990 tokens and promises 512 labels, the rows have 511. Ours has the same segment length.
    assert_eq!(
        (numbers(&half["t5_main"]), number(&half["realised_numpy"]["targets_len_with_eos"])),
        (vec![990, 512], 511)
    );
    assert_eq!(segment_length(half, 512), (990, 511));
}

// --- ii: rows of given masks ---

struct Case {
    id: u64,
    kind: String,
    tokens: Vec<u32>,
    mask: NoiseMask,
    flags: Vec<u32>,
    inputs: Vec<i32>,
    labels: Vec<i32>,
}

fn cases(file: &str) -> Vec<Case> {
    let case = |case: Value| {
        assert_eq!(
            (&case["vocab_size"], &case["first_sentinel"], &case["eos"]),
            (&32_100.into(), &32_099.into(), &1.into())
        );
        let flags = numbers(&case["mask"]);
        let mut spans: Vec<Span> = Vec::new();
        for (place, _) in (0..).zip(&flags).filter(|(_, flag)| **flag == 1) {
            match spans.last_mut() {
                Some(span) if span.end == place => span.end += 1,
                _ => spans.push(Span { start: place, end: place + 1 }),
            }
        }
        assert_eq!(spans.len(), number(&case["n_noise_spans"]) as usize);
        Case {
            id: case["id"].as_u64().unwrap(),
            kind: case["kind"].as_str().unwrap().to_owned(),
            tokens: numbers(&case["tokens"]),
            mask: NoiseMask::new(u32::try_from(flags.len()).unwrap(), spans).unwrap(),
            flags,
            inputs: signed(&numbers(&case["inputs"])),
            labels: signed(&numbers(&case["labels"])),
        }
    };
    golden(file).into_iter().map(case).collect()
}

/// The peers' rows have neither EOS nor mode token.
fn t5_form() -> RowForm {
    crate::support::form(Layout::Sentinels, t5_vocabulary().sentinels().to_vec())
}

fn row(case: &Case) -> (Vec<i32>, Vec<i32>) {
    let (mut inputs, mut labels) = (Vec::new(), Vec::new());
    encode(&case.tokens, &case.mask, &t5_form(), &mut inputs, &mut labels);
    (inputs, labels)
}

fn sentinels_in(ids: &[i32]) -> Vec<i32> {
    ids.iter().copied().filter(|id| (32_000..32_100).contains(id)).collect()
}

#[test]
fn a_given_mask_makes_the_peers_inputs() {
    for case in cases("ii_sentinels.jsonl") {
        assert_eq!(row(&case).0, case.inputs, "case {} ({})", case.id, case.kind);
    }
}

#[test]
fn a_given_mask_that_starts_with_kept_tokens_makes_the_peers_labels() {
    let mut closed = 0;
    for case in cases("ii_sentinels.jsonl").iter().filter(|case| case.flags[0] == 0) {
        let (_, mut labels) = row(case);
        // The peers' labels are the complement's inputs: kept tokens at the end leave one more sentinel there, before EOS. T5's own masks
        // end with noise and never show it. Ours has no closing sentinel for any mask.
        if case.flags.last() == Some(&0) {
            labels.push(32_099 - i32::try_from(case.mask.spans().len()).unwrap());
            closed += 1;
        }
        assert_eq!(labels, case.labels, "case {} ({})", case.id, case.kind);
    }
    assert_eq!(closed, 12);
}

#[test]
fn a_given_mask_that_starts_with_noise_keeps_our_sequences_in_step_where_the_peers_labels_are_one_behind() {
    let mut compared = 0;
    for case in cases("ii_sentinels.jsonl").iter().filter(|case| case.flags[0] == 1) {
        let (inputs, labels) = row(case);
        let bare = case.mask.spans()[0].len() as usize;
        assert_eq!(labels[0], 32_099, "case {}", case.id);
        assert_eq!(
            case.labels[..bare],
            signed(&case.tokens[..bare]),
            "the peers' start with bare noise, case {}",
            case.id
        );
        // Otherwise the peers' labels are ours with each sentinel replaced by the one before it.
        let ordinary = |ids: &[i32]| ids.iter().copied().filter(|&id| id < 32_000).collect::<Vec<_>>();
        assert_eq!(ordinary(&labels), ordinary(&case.labels), "case {}", case.id);
        let spans = case.mask.spans().len();
        assert_eq!(sentinels_in(&labels).len(), spans);
        assert_eq!(sentinels_in(&labels), sentinels_in(&inputs), "case {}", case.id);
        let closing = usize::from(case.flags.last() == Some(&0));
        assert_eq!(sentinels_in(&case.labels), sentinels_in(&inputs)[..spans - 1 + closing], "case {}", case.id);
        compared += 1;
    }
    assert_eq!(compared, 18);
}

#[test]
fn every_given_mask_can_be_read_back_from_our_row() {
    for case in cases("ii_sentinels.jsonl").iter().filter(|case| case.kind != "specials_in_tokens") {
        let (inputs, labels) = row(case);
        let decoded = decode(&inputs, &labels, &t5_form()).unwrap();
        assert_eq!((decoded.segment, decoded.mask), (case.tokens.clone(), case.mask.clone()), "case {}", case.id);
    }
}

#[test]
fn reserved_ids_among_the_tokens_are_rejected_where_the_peers_pass_them_through() {
    let mut rejected = 0;
    for case in cases("ii_sentinels.jsonl") {
        let vocabulary = t5_vocabulary();
        let reserved = case.tokens.iter().position(|&id| id <= 1 || id >= 32_000);
        let found = TokenSequence::new(&case.tokens, &vocabulary).err();
        assert_eq!(found, reserved.map(|position| TokenError::Reserved { position, id: case.tokens[position] }));
        // Some of the random tokens of other kinds happen to be sentinels too.
        assert!(reserved.is_some() || case.kind != "specials_in_tokens", "case {}", case.id);
        rejected += u32::from(reserved.is_some());
    }
    assert!(rejected >= 3);
}

#[test]
fn more_spans_than_sentinels_never_become_ordinary_ids() {
    for case in cases("ii_sentinels_overflow.jsonl") {
        assert!(case.mask.spans().len() > 100);
        // The peers count on below 32,000, into ids of ordinary pieces.
        let pieces: Vec<i32> = case.labels.iter().copied().filter(|id| *id < 32_000).collect();
        assert!(pieces.len() > case.mask.noise() as usize, "case {}", case.id);
        // Ours has no such row: encoding stops,
        let encoded = std::panic::catch_unwind(|| row(&case));
        assert!(encoded.is_err(), "case {}", case.id);
    }
    // and no segment is long enough for such a mask.
    for (density, mean) in [(0.5, 3.0), (0.15, 1.0), (0.5, 1.0), (0.9, 9.0)] {
        for roll in [Roll::Never, Roll::Always] {
            let spec = Spec::new(SpecFields {
                inputs_length: 8192,
                labels_length: 8192,
                vocabulary: t5_vocabulary(),
                ..fields(vec![denoiser("x", NoisePattern::RandomSpans(random_spans(density, mean, roll)))])
            })
            .unwrap();
            let length = spec.segment_length(0);
            assert!(length.bounds.sentinels <= 100 && length.shortening.is_some(), "({mean}, {density})");
        }
    }
}

// --- iii: counts of noise tokens and spans ---

#[test]
fn counts_of_noise_are_those_of_numpy_everywhere_and_those_of_t5_but_for_its_float32() {
    let (mut equal, mut clamped, mut other_float) = (0, 0, Vec::new());
    for case in golden("iii_noise_counts.jsonl") {
        let length = number(&case["length"]);
        if length == 1 {
            continue; // no segment: numpy fails with `IndexError`, T5 makes a mask without noise
        }
        let (density, mean) = (float_of(&case["noise_density"]), float_of(&case["mean_noise_span_length"]));
        let law = random_spans(density, mean, Roll::Never);
        let ours = law.counts(length);
        match case["numpy"].as_str() {
            None => {
                assert_eq!(vec![ours.noise, ours.spans], numbers(&case["numpy"]), "{case}");
                equal += 1;
            }
            // More spans than kept tokens to separate them: the peers fail, ours has as many as there are kept tokens.
            Some(error) => {
                assert_eq!((error, case["t5"].as_str()), ("ValueError", Some("InvalidArgumentError")), "{case}");
                let unclamped = law.mean(length).divide(ours.noise);
                assert!(unclamped > length - ours.noise, "{case}");
                assert_eq!(ours.spans, ours.noise.min(length - ours.noise), "{case}");
                clamped += 1;
            }
        }
        if case["t5"] != case["numpy"] && case["t5"].is_array() {
            other_float.push((length, density, mean, numbers(&case["t5"])[0], ours.noise));
        }
        if case["t5"].is_array() {
            // T5's noise is explained to the last token by one rounding of a float32 product.
            #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "what TensorFlow does")]
            let float32 = f64::from((length as f32 * density as f32).round_ties_even());
            let noise = float32.clamp(1.0, f64::from(length - 1));
            assert!((noise - f64::from(numbers(&case["t5"])[0])).abs() < 0.5, "{case}");
        }
    }
    assert_eq!((equal, clamped), (723, 83));
    let at = |difference: &(u32, f64, f64, u32, u32)| (difference.0, difference.3, difference.4);
    assert_eq!(other_float.iter().map(at).collect::<Vec<_>>(), [(190, 29, 28), (190, 29, 28)]);
}

#[test]
fn float32_differs_from_exact_rounding_at_81_lengths_up_to_8192_for_density_0_15() {
    // The numbers of `docs/reference/masking.md`, section 1.
    let density = Ratio::from_decimal(0.15).unwrap();
    let mut different = Vec::new();
    for length in 2..=8192_u16 {
        let exact = density.of(length.into());
        let float32 = (f32::from(length) * 0.15_f32).round_ties_even();
        if (f64::from(float32) - f64::from(exact)).abs() > 0.5 {
            different.push(length);
        }
        let float64 = (f64::from(length) * 0.15).round_ties_even();
        assert!((float64 - f64::from(exact)).abs() < 0.5, "float64 agrees at {length}");
    }
    assert_eq!((different.len(), &different[..3]), (81, [190, 350, 390].as_slice()));
}

// --- iv: the law of span lengths and positions ---

/// What `draws` masks of 512 tokens have: lengths of one noise and one kept span a draw, and noise by position.
struct Profile {
    noise_lengths: Vec<u64>,
    kept_lengths: Vec<u64>,
    noise_at: Vec<u64>,
}

const LENGTH: u32 = 512;

/// One span of each kind is taken from each draw, the first, the second and so on in turn: the spans of one draw depend on each other
/// (they add up), those of different draws do not, and a chi-square test needs independent counts.
fn profile(mean: f64, density: f64, draws: u64) -> Profile {
    let pattern = NoisePattern::RandomSpans(random_spans(density, mean, Roll::Never));
    let key = Seed(20_260).denoise_key("golden", "iv");
    let mut masker = Masker::default();
    let mut profile = Profile {
        noise_lengths: vec![0; LENGTH as usize + 1],
        kept_lengths: vec![0; LENGTH as usize + 1],
        noise_at: vec![0; LENGTH as usize],
    };
    for draw in 0..draws {
        let mask = masker.draw(&pattern, LENGTH, &mut key.stream(Address { line: draw, epoch: 0, segment: 0 }));
        let spans = mask.spans();
        let pick = usize::try_from(draw % spans.len() as u64).unwrap();
        let kept_from = if pick == 0 { 0 } else { spans[pick - 1].end };
        profile.noise_lengths[spans[pick].len() as usize] += 1;
        profile.kept_lengths[(spans[pick].start - kept_from) as usize] += 1;
        for span in spans {
            for place in span.start..span.end {
                profile.noise_at[place as usize] += 1;
            }
        }
    }
    profile
}

/// A JSON object of numbers by length, as a list by length.
fn by_length(value: &Value) -> Vec<f64> {
    let mut list = vec![0.0; LENGTH as usize + 1];
    for (length, value) in value.as_object().unwrap() {
        list[length.parse::<usize>().unwrap()] = float_of(value);
    }
    list
}

/// Fails if ours and the peer's counts are too far apart for two samples of one law.
///
/// The peer's histogram pools all spans of each of its `draws`. The mean of exchangeable counts varies no more than one of them, so its
/// shares vary at most as those of `draws` independent spans, and the statistic of our counts against its shares is at most
/// `1 + ours / draws` times a chi-square variable.
#[track_caller]
fn assert_same_law(ours: &[u64], peer: &[f64], draws: u64, what: &str) {
    let total: f64 = peer.iter().sum();
    // A length that the peer never drew has no share to be compared with: it is counted with the longest that it has.
    let last = peer.iter().rposition(|count| *count > 0.0).unwrap();
    let mut merged = vec![0; peer.len()];
    for (length, count) in ours.iter().enumerate() {
        let nearest = (0..=length.min(last)).rev().find(|&length| peer[length] > 0.0);
        merged[nearest.unwrap_or(last)] += count;
    }
    let shares: Vec<f64> = peer.iter().map(|count| count / total).collect();
    let (sum, degrees) = statistic(&merged, &shares);
    let scale = 1.0 + float(ours.iter().sum()) / float(draws);
    let threshold = scale * threshold(degrees);
    assert!(sum < threshold, "{what}: {sum:.1} with {degrees} degrees of freedom, threshold {threshold:.1}");
}

#[test]
fn span_lengths_and_positions_follow_the_exact_law_and_the_peers_draws() {
    const DRAWS: u64 = 60_000;
    for (file, mean, density) in [("iv_dist_L512_m3_d0.15.json", 3.0, 0.15), ("iv_dist_L512_m8_d0.5.json", 8.0, 0.5)] {
        let golden = golden(file).remove(0);
        let peer_draws = golden["draws"].as_u64().unwrap();
        let counts = random_spans(density, mean, Roll::Never).counts(LENGTH);
        assert_eq!(counts.noise, number(&golden["noise_tokens_every_draw"]));
        assert_eq!(counts.spans, number(&golden["noise_spans_every_draw"]));
        let Profile { noise_lengths, kept_lengths, noise_at } = profile(mean, density, DRAWS);
        for (ours, total, exact, peer) in [
            (&noise_lengths, counts.noise, "exact_noise_span_length_prob", "noise_span_length_hist"),
            (&kept_lengths, LENGTH - counts.noise, "exact_nonnoise_span_length_prob", "nonnoise_span_length_hist"),
        ] {
            let mut law = part_length_law(total, counts.spans);
            law.resize(ours.len(), 0.0);
            for (length, (ours, theirs)) in law.iter().zip(by_length(&golden[exact])).enumerate() {
                // The file leaves out lengths that are next to impossible.
                assert!((ours - theirs).abs() < 1e-9, "{file}: P({length}) is {ours} and {theirs}");
            }
            assert_follows(ours, &law, &format!("{file}: {exact}"));
            assert_same_law(ours, &by_length(&golden[peer]), peer_draws, &format!("{file}: {peer}"));
        }
        let exact: Vec<f64> = golden["exact_mask_prob_by_position"].as_array().unwrap().iter().map(float_of).collect();
        for (place, (&count, probability)) in noise_at.iter().zip(exact).enumerate() {
            assert_share(count, DRAWS, probability, 512, &format!("{file}: noise at {place}"));
        }
        assert_eq!((noise_at[0], noise_at[511]), (0, DRAWS), "a mask starts with kept tokens and ends with noise");
    }
}

#[test]
fn one_span_without_a_roll_is_always_the_last_77_tokens_and_with_one_is_anywhere() {
    let golden = golden("iv_dist_L512_m64_d0.15.json").remove(0);
    let peer: BTreeMap<&String, &Value> = golden["noise_span_length_hist"].as_object().unwrap().iter().collect();
    assert_eq!(peer, BTreeMap::from([(&"77".to_owned(), &golden["draws"])]));
    let never = profile(64.0, 0.15, 1000);
    assert_eq!((never.noise_lengths[77], never.kept_lengths[435]), (1000, 1000));

    // The default roll is there for this: `roll = "single-span"` makes the offset uniform over all 512.
    let pattern = NoisePattern::RandomSpans(random_spans(0.15, 64.0, Roll::default()));
    let key = Seed(20_260).denoise_key("golden", "iv");
    let mut masker = Masker::default();
    let mut first_noise = vec![0; LENGTH as usize];
    for line in 0..60_000 {
        let spans = masker.draw(&pattern, LENGTH, &mut key.stream(crate::support::line(line))).spans();
        let start = match spans {
            [span] => span.start,
            [_, second] => second.start, // cut by the end: the second piece is where it starts
            _ => panic!("{spans:?}"),
        };
        first_noise[start as usize] += 1;
    }
    crate::support::chi_square::assert_uniform(&first_noise, "start of a rolled single span");
}

// --- v: prefix language modelling ---

#[test]
fn a_given_prefix_makes_the_rows_of_t5s_prefix_lm() {
    let spec = Spec::new(SpecFields { vocabulary: t5_vocabulary(), ..fields(vec![denoiser("s", suffix())]) }).unwrap();
    for case in golden("v_prefix_lm.jsonl") {
        let tokens = numbers(&case["tokens"]);
        let (length, prefix) = (u32::try_from(tokens.len()).unwrap(), number(&case["prefix_len"]));
        // Ours draws the prefix from the same range, 1 to n − 1.
        assert!((1..length).contains(&prefix));
        let mask = NoiseMask::new(length, vec![Span { start: prefix, end: length }]).unwrap();
        let form = RowForm { inputs_eos: None, labels_eos: None, ..spec.form(0).clone() };
        let (mut inputs, mut labels) = (Vec::new(), Vec::new());
        encode(&tokens, &mask, &form, &mut inputs, &mut labels);
        assert_eq!((inputs, labels), (signed(&numbers(&case["inputs"])), signed(&numbers(&case["labels"]))));
    }
}
