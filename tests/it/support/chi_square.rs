//! Chi-square tests whose thresholds are derived, not tuned.
//!
//! All seeds of the tests are fixed, so a test that passes once passes always: the threshold says how surprising a failure
//! would be when the seed or the algorithm changes, not how often the suite may fail.

/// Upper quantile of the standard normal distribution at p = 10⁻⁶.
const Z: f64 = 4.753_424;

/// Cells with a smaller expected count are merged with their neighbours: below that, the statistic is no chi-square.
const LEAST_EXPECTED: f64 = 10.0;

/// The value that a chi-square variable of `degrees` degrees of freedom exceeds with probability 10⁻⁶.
///
/// Wilson and Hilferty (1931): the cube root of a chi-square variable over its degrees is nearly normal. This errs to the lax side,
/// by 10 % at two degrees (30.3, exactly 27.6), 1.6 % at 14 (55.5, exactly 54.6) and 0.05 % at 224 (339.6, exactly 339.4).
pub(crate) fn threshold(degrees: usize) -> f64 {
    let degrees = float(degrees as u64);
    let spread = 2.0 / (9.0 * degrees);
    degrees * (1.0 - spread + Z * spread.sqrt()).powi(3)
}

/// The upper quantile of the standard normal distribution for `tests` two-sided tests that together fail by chance with
/// probability 10⁻⁶ at most (Bonferroni), bounded by the tail 2·exp(−z²/2).
pub(crate) fn z_threshold(tests: usize) -> f64 {
    (2.0 * (2.0 * float(tests as u64) * 1e6).ln()).sqrt()
}

#[expect(clippy::cast_precision_loss, reason = "counts of draws, far below 2^53")]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}

/// The chi-square statistic of `observed` counts against probabilities, and its degrees of freedom. Small cells are merged.
pub(crate) fn statistic(observed: &[u64], probabilities: &[f64]) -> (f64, usize) {
    assert_eq!(observed.len(), probabilities.len());
    let draws = float(observed.iter().sum());
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-9, "probabilities add up to one");
    let mut cells: Vec<(f64, f64)> = Vec::new();
    let mut open = (0.0, 0.0);
    for (&count, &probability) in observed.iter().zip(probabilities) {
        if probability == 0.0 {
            assert_eq!(count, 0, "what is impossible does not happen");
        }
        open.0 += float(count);
        open.1 += draws * probability;
        if open.1 >= LEAST_EXPECTED {
            cells.push(open);
            open = (0.0, 0.0);
        }
    }
    match cells.last_mut() {
        Some(last) => *last = (last.0 + open.0, last.1 + open.1),
        None => panic!("too few draws for a chi-square test"),
    }
    let sum = cells.iter().map(|(count, expected)| (count - expected).powi(2) / expected).sum();
    (sum, cells.len() - 1)
}

/// Fails if `observed` would be that far from `probabilities` less than once in a million.
#[track_caller]
pub(crate) fn assert_follows(observed: &[u64], probabilities: &[f64], what: &str) {
    let (sum, degrees) = statistic(observed, probabilities);
    assert!(degrees > 0, "{what}: one cell tests nothing");
    let threshold = threshold(degrees);
    assert!(sum < threshold, "{what}: chi-square {sum:.1} with {degrees} degrees of freedom, threshold {threshold:.1}");
}

/// [`assert_follows`] with equal probabilities.
#[track_caller]
pub(crate) fn assert_uniform(observed: &[u64], what: &str) {
    let share = 1.0 / float(observed.len() as u64);
    assert_follows(observed, &vec![share; observed.len()], what);
}

/// Fails if `count` of `draws` is too far from `probability`, as one of `tests` such comparisons.
#[track_caller]
pub(crate) fn assert_share(count: u64, draws: u64, probability: f64, tests: usize, what: &str) {
    let expected = float(draws) * probability;
    let deviation = (expected * (1.0 - probability)).sqrt();
    if deviation == 0.0 {
        assert!((float(count) - expected).abs() < 0.5, "{what}: {count} of {draws}, expected exactly {expected}");
        return;
    }
    let z = (float(count) - expected) / deviation;
    let threshold = z_threshold(tests);
    assert!(
        z.abs() < threshold,
        "{what}: {count} of {draws}, expected {expected:.1}, z = {z:.2}, threshold {threshold:.2}"
    );
}

/// Binomial coefficients by their logarithms: n over k as a float.
pub(crate) fn ln_choose(n: u32, k: u32) -> f64 {
    (1..=k).map(|i| (f64::from(n - k + i) / f64::from(i)).ln()).sum()
}

/// P(a part of a uniform composition of `total` into `parts` is `length`) = C(total − length − 1, parts − 2) / C(total − 1, parts − 1),
/// for lengths 0 (never) up to `total`.
pub(crate) fn part_length_law(total: u32, parts: u32) -> Vec<f64> {
    let mut law = vec![0.0; total as usize + 1];
    if parts == 1 {
        law[total as usize] = 1.0;
        return law;
    }
    for length in 1..=total - parts + 1 {
        law[length as usize] = (ln_choose(total - length - 1, parts - 2) - ln_choose(total - 1, parts - 1)).exp();
    }
    law
}
