"""Tests of the Python implementation: python -m unittest discover tests/oracle"""

import collections
import contextlib
import fractions
import io
import itertools
import json
import math
import pathlib
import random
import shutil
import struct
import subprocess
import tempfile
import unittest

import bytes_tokenizer
import check_rows
import check_vectors
import oracle

Fraction = fractions.Fraction
MASK32 = 2**32 - 1


def chi_square_limit(freedom):
    """What a chi-square of so many degrees of freedom exceeds once in a million times (Wilson and Hilferty, z = 4.75)."""
    part = 2 / (9 * freedom)
    return freedom * (1 - part + 4.75 * math.sqrt(part)) ** 3


def chi_square(found, law):
    """(statistic, its limit) of counts against probabilities; outcomes below five are taken together."""
    total, cells, rest = sum(found.values()), [], [0, 0.0]
    assert set(found) <= set(law), set(found) - set(law)
    for outcome, probability in law.items():
        expected = total * float(probability)
        if expected >= 5:
            cells.append((found.get(outcome, 0), expected))
        else:
            rest = [rest[0] + found.get(outcome, 0), rest[1] + expected]
    if rest[1] > 1:
        cells.append(rest)
    else:
        assert rest[0] <= 12, rest  # Poisson with a mean of at most 1
    return sum((a - b) ** 2 / b for a, b in cells), chi_square_limit(len(cells) - 1)


def chacha_block(key, counter, nonce):
    """The original ChaCha20: 64-bit block counter, 64-bit nonce; one block of 16 words."""
    start = [*struct.unpack("<4I", b"expand 32-byte k"), *struct.unpack("<8I", key),
             counter & MASK32, counter >> 32, nonce & MASK32, nonce >> 32]
    x = list(start)

    def quarter_round(a, b, c, d):
        for to, add, turn, bits in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            x[to] = (x[to] + x[add]) & MASK32
            x[turn] ^= x[to]
            x[turn] = (x[turn] << bits | x[turn] >> 32 - bits) & MASK32

    for _ in range(10):
        for i in range(4):
            quarter_round(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter_round(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return [(a + b) & MASK32 for a, b in zip(x, start)]


def spans_options(density, mean, roll="never", law=None):
    options = {"noise_density": density, "mean_span_length": mean, "roll": roll}
    return options if law is None else options | {"law": law}


def random_spans(density, mean, roll="never", layout="sentinels", mode_token=(), name="r", weight=1, law=None):
    return {"name": name, "mode": "R", "weight": weight, "layout": layout, "mode_token": list(mode_token),
            "pattern": {"random_spans": spans_options(density, mean, roll, law)}}


def suffix(layout="split", mode_token=(), name="s", weight=1, split="uniform", **more):
    return {"name": name, "mode": "S", "weight": weight, "layout": layout, "mode_token": list(mode_token),
            "pattern": {"suffix": {"split": split}}} | more


def of_pattern(pattern, layout="sentinels", name="p", weight=1, **more):
    return {"name": name, "mode": "", "weight": weight, "layout": layout, "mode_token": [], "pattern": pattern} | more


def make_spec(denoisers, inputs=512, labels=512, eos="both", sentinels=125, min_segment=2, seed=7, epochs=1, **more):
    spec = {"masking_version": 1, "seed": seed, "epochs": epochs, "text_field": "text", "max_line": 67108864,
            "inputs_length": inputs, "labels_length": labels, "min_segment": min_segment, "eos": eos,
            "recipe": "test", "denoisers": denoisers, "tokenizer": {"kind": "bytes"},
            "vocabulary": {"size": 259 + sentinels, "eos": 1, "pad": 0, "sentinels": list(range(259, 259 + sentinels))}}
    spec |= more
    for denoiser in denoisers:
        denoiser["segment_length"] = oracle.segment_length(denoiser, spec)[0]
    return spec


def new_stream(segment=0, role="denoise", denoiser="r", seed=7):
    return oracle.Stream(seed, role, denoiser, "a/b.jsonl", 3, 0, segment)


class Given(oracle.Stream):
    """A stream whose `below` gives listed answers, and which records what was asked."""

    def __init__(self, answers):
        self.answers, self.asked = answers, []

    def below(self, n):
        self.asked.append(n)
        return self.answers[len(self.asked) - 1] if len(self.asked) <= len(self.answers) else 0


class Coarse(Given):
    """A stream for draws that only ask whether below(n) is below thresholds[n], for some n: it gives those answers
    that are multiples of the greatest common divisor of the two, each as likely as the others."""

    def __init__(self, answers, thresholds):
        super().__init__(answers)
        self.thresholds = thresholds

    def below(self, n):
        step = math.gcd(n, self.thresholds.get(n, 1))
        return step * super().below(n // step)


def distribution(draw, thresholds=None):
    """The exact distribution of draw(stream), by giving every possible sequence of answers of `below`."""
    outcomes, answers = collections.Counter(), []
    while True:
        stream = Coarse(answers, thresholds) if thresholds else Given(answers)
        outcome = draw(stream)
        answers += [0] * (len(stream.asked) - len(answers))
        outcomes[outcome] += Fraction(1, math.prod(stream.asked))
        while answers and answers[-1] + 1 == stream.asked[len(answers) - 1]:
            answers.pop()
        if not answers:
            assert sum(outcomes.values()) == 1
            return outcomes
        answers[-1] += 1


class Words(oracle.Stream):
    """A stream of listed words of a smaller width."""

    def __init__(self, words, bits):
        self.words, self.WORD_RANGE = iter(words), 2**bits

    def word(self):
        return next(self.words)


class Numbers(unittest.TestCase):
    def test_round(self):
        self.assertEqual(oracle.round_ratio(57, 2), 28)
        self.assertEqual(oracle.round_ratio(59, 2), 30)
        for q in range(1, 13):
            for p in range(100):
                self.assertEqual(oracle.round_ratio(p, q), round(Fraction(p, q)))

    def test_difference_from_float32(self):
        """The page's numbers on T5's rounding: 81 lengths, first 190, 350, 390; float64 agrees at these."""
        def float32(x):
            return struct.unpack("<f", struct.pack("<f", x))[0]

        ours = {n: oracle.round_ratio(n * 150_000, 10**6) for n in range(1, 8193)}
        differ = [n for n in ours if round(float32(n * float32(0.15))) != ours[n]]
        self.assertEqual((len(differ), differ[:3]), (81, [190, 350, 390]))
        self.assertEqual((round(float32(190 * float32(0.15))), ours[190]), (29, 28))
        self.assertEqual([n for n in differ if round(n * 0.15) != ours[n]], [])


class Streams(unittest.TestCase):
    def test_pure_python_block(self):
        zero = struct.pack("<16I", *chacha_block(bytes(32), 0, 0))
        self.assertEqual(zero.hex(), "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                                     "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586")
        # RFC 8439, section 2.3.2: its 96-bit nonce begins in the high half of the 64-bit counter.
        block = struct.pack("<16I", *chacha_block(bytes(range(32)), 0x09000000_00000001, 0x4A000000))
        self.assertEqual(block.hex(), "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
                         + "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e")

    def test_key_is_spelled_out(self):
        text = (bytes([19, 0, 0, 0, 0, 0, 0, 0]) + b"ul2-prep masking v1"
                + bytes([8, 0, 0, 0, 0, 0, 0, 0]) + bytes([1, 2, 0, 0, 0, 0, 0, 0])
                + bytes([6, 0, 0, 0, 0, 0, 0, 0]) + b"choose"
                + bytes([0, 0, 0, 0, 0, 0, 0, 0])
                + bytes([8, 0, 0, 0, 0, 0, 0, 0]) + b"\xc3\xa9.jsonl")
        self.assertEqual(oracle.stream_key(513, "choose", "", "\u00e9.jsonl"), oracle.hashlib.sha256(text).digest())

    def test_streams_against_the_pure_python_block(self):
        for line in (1, 2**32 - 1, 2**32, 2**64 - 1):
            for epoch in (0, 1, 2**16 - 1):
                for segment in (0, 1, 2**16 - 1, 2**16, 2**32 - 1):
                    stream = oracle.Stream(2**64 - 1, "denoise", "x", "s", line, epoch, segment)
                    key = oracle.stream_key(2**64 - 1, "denoise", "x", "s")
                    counter = (epoch << 48) + (segment << 16)
                    for block in range(3):
                        self.assertEqual([stream.word() for _ in range(16)], chacha_block(key, counter + block, line))

    def test_the_last_block_of_a_segment(self):
        """Word 12 is all ones in the last block of a segment that is 65,535 in its low 16 bits."""
        for segment in (5, 2**16 - 1, 2**32 - 1):
            stream = oracle.Stream(1, "choose", "", "s", 9, 2**16 - 1, segment)
            for _ in range(2**20 - 16):
                stream.word()
            counter = ((2**16 - 1) << 48) + (segment << 16) + 2**16 - 1
            self.assertEqual([stream.word() for _ in range(16)],
                             chacha_block(oracle.stream_key(1, "choose", "", "s"), counter, 9))
            self.assertRaises(OverflowError, stream.word)

    def test_limits(self):
        for line, epoch, segment in ((1, 2**16, 0), (1, 0, 2**32), (-1, 0, 0), (2**64, 0, 0)):
            with self.assertRaises(ValueError):
                oracle.Stream(1, "choose", "", "s", line, epoch, segment)
        with self.assertRaises(ValueError):
            oracle.Stream(1, "choose", "r", "s", 1, 0, 0)


class Samplers(unittest.TestCase):
    def test_below_is_uniform_over_small_words(self):
        """Every 8-bit word: each result of below(n) comes from exactly floor(256 / n) words, the others are rejected."""
        for n in range(1, 256):
            results = collections.Counter()
            for x in range(256):
                try:
                    results[Words([x], 8).below(n)] += 1
                except StopIteration:
                    results["rejected"] += 1
            self.assertEqual(results.pop("rejected", 0), 256 % n)
            self.assertEqual(results, {r: 256 // n for r in range(n)})

    def test_below_takes_words_in_order(self):
        self.assertEqual(Words([0, 0, 5], 3).below(3), 1)
        stream = Words([7, 1], 3)
        self.assertEqual(stream.below(1), 0)
        self.assertEqual(stream.word(), 1)

    def test_below_of_whole_words(self):
        # 2^32 mod 3 = 1: only the word 0 is rejected. 2^32 mod (2^31 + 1) = 2^31 - 1.
        self.assertEqual(Words([0, 1], 32).below(3), 0)
        self.assertEqual(Words([MASK32], 32).below(3), 2)
        self.assertEqual(Words([MASK32], 32).below(MASK32), MASK32 - 1)
        self.assertEqual(Words([0, 1], 32).below(MASK32), 0)
        for n in (0, 2**32):
            self.assertRaises(ValueError, Words([1], 32).below, n)

    def test_subset(self):
        for n in range(8):
            for k in range(n + 1):
                found = distribution(lambda stream: tuple(stream.subset(k, n)))
                self.assertEqual(found, {s: Fraction(1, math.comb(n, k)) for s in itertools.combinations(range(n), k)})

    def test_composition(self):
        for total in range(1, 9):
            for parts in range(1, total + 1):
                found = distribution(lambda stream: tuple(stream.composition(total, parts)))
                ways = [c for c in itertools.product(range(1, total + 1), repeat=parts) if sum(c) == total] \
                    if total <= 6 else found
                self.assertEqual(found, {c: Fraction(1, math.comb(total - 1, parts - 1)) for c in ways})
                self.assertTrue(all(sum(c) == total and min(c) >= 1 for c in found))

    def test_choose(self):
        for weights in ([1], [4, 2, 1], [2, 0, 3], [0, 1, 0]):
            found = distribution(lambda stream: stream.choose(weights))
            self.assertEqual(found, {i: Fraction(w, sum(weights)) for i, w in enumerate(weights) if w})

    def test_no_word_is_taken_for_an_empty_subset(self):
        stream = Given([])
        self.assertEqual((stream.subset(0, 9), stream.composition(5, 1), stream.asked), ([], [5], []))


LAWS = ("uniform", "geometric", {"normal": {"std": 1.0}})


class Permutations(unittest.TestCase):
    def test_every_order_is_equally_likely(self):
        for n in range(1, 7):
            found = distribution(lambda stream: tuple(stream.permutation(n)))
            self.assertEqual(found, {p: Fraction(1, math.factorial(n)) for p in itertools.permutations(range(n))})

    def test_on_real_streams(self):
        found = collections.Counter(tuple(new_stream(i, "shuffle", "").permutation(4)) for i in range(2400))
        statistic, limit = chi_square(found, {p: 1 / 24 for p in itertools.permutations(range(4))})
        self.assertLess(statistic, limit)

    def test_order_of_draws(self):
        stream = Given([0, 3, 1, 0])
        self.assertEqual(stream.permutation(5), [2, 4, 1, 3, 0])
        self.assertEqual(stream.asked, [5, 4, 3, 2])
        stream = Given([])
        self.assertEqual((stream.permutation(1), stream.asked), ([0], []))

    def test_roles(self):
        for role in ("choose", "window", "shuffle"):
            self.assertRaises(ValueError, oracle.Stream, 1, role, "r", "s", 1, 0, 0)
        self.assertRaises(ValueError, oracle.Stream, 1, "pack", "", "s", 1, 0, 0)
        firsts = {new_stream(0, role, "").word() for role in ("denoise", "choose", "window", "shuffle")}
        self.assertEqual(len(firsts), 4)


SHAPES = [(d, m) for d in (0.05, 0.15, 0.25, 0.5, 0.75) for m in (1.0, 1.5, 3.0, 8.0, 32.0) if d <= m * (1 - d)]


UNIONS = [
    (random_spans(0.15, 3.0), random_spans(0.5, 3.0)),
    (random_spans(0.5, 1.0, "always"), random_spans(0.5, 3.0, "single-span")),
    (random_spans(0.5, 1.5), random_spans(0.75, 3.0, "always", law="uniform")),
    (random_spans(0.15, 32.0, "single-span"), random_spans(0.15, {"share": 0.1}), random_spans(0.15, 3.0)),
]


def largest(denoiser, n, eos, **more):
    """The table of section 6."""
    spec = {"inputs_length": 512, "labels_length": 512, "eos": eos, "vocabulary": {"sentinels": []}} | more
    return oracle.largest_lengths(oracle.most_of_segment(oracle.pattern_of(denoiser), n), oracle.form_of(denoiser, spec))


class Masks(unittest.TestCase):
    def test_random_spans_without_roll(self):
        """Every mask of the counts that starts with kept tokens and ends with noise, each equally likely."""
        for density, mean in SHAPES:
            for n in range(2, 10):
                noise, spans = oracle.noise_counts(n, oracle.millionths(density), oracle.millionths(mean))
                found = distribution(lambda s: tuple(oracle.draw_mask(random_spans(density, mean), n, s)))
                every = set()
                for flags in itertools.product((False, True), repeat=n):
                    runs = tuple(oracle.spans_of_flags(flags))
                    if sum(flags) == noise and len(runs) == spans and flags[-1] and not flags[0]:
                        every.add(runs)
                self.assertEqual(set(found), every)
                self.assertEqual(set(found.values()), {Fraction(1, len(every))})

    def test_roll_always_makes_every_position_equally_likely(self):
        for density, mean in SHAPES:
            for n in range(2, 8):
                noise, _ = oracle.noise_counts(n, oracle.millionths(density), oracle.millionths(mean))
                found = distribution(lambda s: tuple(oracle.draw_mask(random_spans(density, mean, "always"), n, s)))
                for i in range(n):
                    self.assertEqual(sum(p for mask, p in found.items() if any(a <= i < b for a, b in mask)),
                                     Fraction(noise, n))

    def test_order_of_draws(self):
        stream = Given([])
        oracle.draw_mask(random_spans(0.5, 2.0, "always"), 12, stream)  # 6 noise, 3 spans
        self.assertEqual(stream.asked, [4, 5, 4, 5, 12])
        # Both compositions are 1, 4, 1: noise at 1, 6..10 and 11. A shift of 1 cuts nothing, 4 cuts the middle span.
        for s, spans in ((0, [(1, 2), (6, 10), (11, 12)]), (1, [(0, 1), (2, 3), (7, 11)]),
                         (4, [(0, 2), (3, 4), (5, 6), (10, 12)])):
            stream = Given([0, 0, 0, 0, s])
            self.assertEqual(oracle.draw_mask(random_spans(0.5, 2.0, "always"), 12, stream), spans)
        stream = Given([])
        oracle.draw_mask(random_spans(0.5, 2.0, "single-span"), 12, stream)
        self.assertEqual(stream.asked, [4, 5, 4, 5])
        stream = Given([3])
        self.assertEqual(oracle.draw_mask(random_spans(0.5, 6.0, "single-span"), 12, stream), [(0, 3), (9, 12)])
        self.assertEqual(stream.asked, [12])

    def test_the_page_on_64_at_512(self):
        self.assertEqual(oracle.noise_counts(512, 150_000, 64_000_000), (77, 1))
        self.assertEqual(oracle.draw_mask(random_spans(0.15, 64.0), 512, Given([])), [(435, 512)])

    def test_suffix(self):
        for n in range(2, 20):
            found = distribution(lambda s: tuple(oracle.draw_mask(suffix(), n, s)))
            self.assertEqual(found, {((p, n),): Fraction(1, n - 1) for p in range(1, n)})

    def test_page_counts_of_the_unclamped_t5(self):
        noise, spans = 18, 18
        self.assertEqual(oracle.noise_counts(20, 900_000, 1_000_000), (noise, min(spans, 20 - noise)))


class Laws(unittest.TestCase):
    def denoisers(self):
        for density, mean in SHAPES:
            for roll in ("single-span", "always", "never"):
                yield random_spans(density, mean, roll, mode_token=(40, 41))
        for law in LAWS:
            for density, mean in ((0.15, 3.0), (0.5, 1.0), (0.5, 3.0), (0.15, {"share": 0.1}), (0.5, {"share": 0.01})):
                for roll in ("single-span", "always", "never"):
                    yield random_spans(density, mean, roll, law=law)
        for split in ("uniform", {"up_to": 0.5}, {"share": 0.25}):
            yield suffix(mode_token=(40,), split=split)
            yield suffix("sentinels", split=split)
            yield suffix("sentinels", split=split, closing_sentinel=True)
            yield suffix(split=split, s_sentinel="input")
            yield suffix(split=split, s_sentinel="both")
        for density in (0.1, 0.5, 0.9):
            yield of_pattern({"independent_tokens": {"noise_density": density}}, closing_sentinel=True)
        for layout in ("sentinels", "split"):
            yield of_pattern("whole", layout)
        yield of_pattern({"whole": {}}, "split", s_sentinel="both")
        for parts in UNIONS:
            yield of_pattern({"union": [part["pattern"]["random_spans"] for part in parts]}, mode_token=[40])

    def test_encode_and_decode(self):
        rng = random.Random(1)
        for denoiser in self.denoisers():
            for trial in range(25):
                n = rng.choice((2, 3, 4, 5, rng.randrange(6, 60), rng.randrange(60, 500)))
                tokens = [rng.randrange(3, 259) for _ in range(n)]
                spans = oracle.draw_mask(denoiser, n, new_stream(trial))
                edges = [edge for span in spans for edge in span]
                self.assertTrue(all(a < b for a, b in zip(edges, edges[1:])))  # sorted, not empty, disjoint, not touching
                self.assertTrue(0 <= edges[0] and edges[-1] <= n)
                vocabulary = {"eos": 1, "pad": 0, "sentinels": list(range(1259, 259, -1))}
                for eos in ("both", "labels", "none"):
                    inputs, labels = oracle.encode(tokens, spans, denoiser, vocabulary, eos)
                    self.assertEqual(oracle.decode(inputs, labels, denoiser, vocabulary, eos), tokens)
                    most = largest(denoiser, n, eos)
                    self.assertLessEqual(len(inputs), most.inputs)
                    self.assertLessEqual(len(labels), most.labels)
                    self.assertLessEqual(len(inputs) + len(labels), most.total)
                    in_inputs, in_labels = ([i for i in ids if i > 258] for ids in (inputs, labels))
                    self.assertLessEqual(max(len(in_inputs), len(in_labels)), most.sentinels)
                    if denoiser["layout"] == "split":
                        a, b = {"none": (0, 0), "input": (1, 0), "both": (1, 1)}[denoiser.get("s_sentinel", "none")]
                        self.assertEqual((in_inputs, in_labels), ([1259] * a, [1259] * b))
                    else:
                        closing = denoiser.get("closing_sentinel", False)
                        self.assertEqual(in_inputs, vocabulary["sentinels"][:len(spans)])
                        self.assertEqual(in_labels, vocabulary["sentinels"][:len(spans) + closing])
                pattern = oracle.pattern_of(denoiser)
                if isinstance(pattern, oracle.RandomSpans):
                    noise, count = oracle.counts_of(pattern, n)
                    self.assertEqual(sum(b - a for a, b in spans), noise)
                    if pattern.law == "t5":
                        self.assertIn(len(spans) - count, (0, 1) if oracle.is_rolled(pattern.roll, count) else (0,))

    def test_largest_lengths_are_reached(self):
        """The table of section 6 is the maximum over all draws, for every small length."""
        vocabulary = {"eos": 1, "pad": 0, "sentinels": list(range(300, 320))}
        for denoiser in self.denoisers():
            pattern = oracle.pattern_of(denoiser)
            if isinstance(pattern, oracle.RandomSpans) and pattern.law in ("geometric", "normal"):
                continue  # a draw of these asks for no fixed number of words
            bound_only = isinstance(pattern, oracle.Union)
            for n in range(2, 6 if bound_only else 8):
                masks = distribution(lambda s: tuple(oracle.draw_mask(denoiser, n, s)))
                for eos in ("both", "labels", "none"):
                    rows = [oracle.encode([7] * n, mask, denoiser, vocabulary, eos) for mask in masks]
                    sentinels = [max(sum(i >= 300 for i in ids) for ids in row) for row in rows]
                    reached = (max(len(i) for i, _ in rows), max(len(o) for _, o in rows), max(sentinels),
                               max(len(i) + len(o) for i, o in rows))
                    if bound_only:
                        self.assertTrue(all(a <= b for a, b in zip(reached, largest(denoiser, n, eos))))
                    else:
                        self.assertEqual(reached, largest(denoiser, n, eos), (denoiser, n))

    def test_the_page_on_layouts(self):
        vocabulary = {"eos": 1, "pad": 0, "sentinels": [90, 91]}
        a, b, c, d, e, f = tokens = list(range(10, 16))
        self.assertEqual(oracle.encode(tokens, [(2, 4), (5, 6)], random_spans(0.5, 1.5, mode_token=(80,)), vocabulary, "both"),
                         ([80, a, b, 90, e, 91, 1], [90, c, d, 91, f, 1]))
        self.assertEqual(oracle.encode(tokens, [(3, 6)], suffix(mode_token=(80,)), vocabulary, "labels"),
                         ([80, a, b, c], [d, e, f, 1]))
        self.assertEqual(oracle.encode(tokens, [(0, 2), (5, 6)], random_spans(0.5, 1.5, "always"), vocabulary, "none"),
                         ([90, c, d, e, 91], [90, a, b, 91, f]))


def t5_helper(inputs_length, density, mean):
    """What T5's random_spans_helper computes: (tokens, targets)."""
    def lengths(tokens):
        noise = int(round(tokens * density))
        spans = int(round(noise / mean))
        return tokens - noise + spans + 1, noise + spans + 1

    tokens = inputs_length
    while lengths(tokens + 1)[0] <= inputs_length:
        tokens += 1
    targets = lengths(tokens)[1]
    if density == 0.5 and targets > inputs_length:
        return tokens - 1, targets - 1
    return tokens, targets


class SegmentLength(unittest.TestCase):
    def test_published_numbers(self):
        """Segment and labels lengths of T5's random_spans_helper at inputs of 512.

        At (32, .5) T5 says 990 and 512: it finds 991 and 513 and takes one from each. Rows of 990 tokens have 511 labels.
        """
        for mean, density, length, labels in ((3, .15, 568, 114), (8, .15, 588, 100), (3, .5, 766, 512), (8, .5, 908, 512),
                                              (64, .15, 600, 92), (32, .15, 598, 94), (32, .5, 990, 512), (64, .5, 1006, 512)):
            denoiser = random_spans(density, float(mean))
            spec = make_spec([denoiser], sentinels=128)
            self.assertEqual(t5_helper(512, density, float(mean)), (length, labels))
            self.assertEqual(oracle.segment_length(denoiser, spec), (length, "lengths"))
            self.assertEqual(largest(denoiser, length, "both").labels, 511 if (mean, density) == (32, .5) else labels)

    def test_which_limit(self):
        # 765 tokens: noise 382 (382.5 to even), spans 127. 766 tokens: noise 383, spans 128.
        self.assertEqual(oracle.segment_length(random_spans(.5, 3.0), make_spec([], sentinels=127)), (765, "sentinels"))
        # One sentinel and a roll: two are needed from noise(10) = 2.
        self.assertEqual(oracle.segment_length(random_spans(.15, 64.0, "single-span"), make_spec([], sentinels=1)), (9, "sentinels"))
        self.assertEqual(oracle.segment_length(random_spans(.15, 64.0, "single-span"), make_spec([], sentinels=2)), (599, "lengths"))
        self.assertEqual(oracle.segment_length(suffix("sentinels"), make_spec([], sentinels=0)), (1, "sentinels"))
        self.assertEqual(oracle.segment_length(suffix(mode_token=(1, 2, 3, 4)), make_spec([])), (508, "lengths"))
        self.assertEqual(oracle.segment_length(suffix(), make_spec([])), (512, "lengths"))
        self.assertEqual(oracle.segment_length(suffix(), make_spec([], labels=100, eos="none")), (101, "lengths"))
        self.assertEqual(oracle.segment_length(suffix("sentinels"), make_spec([])), (511, "lengths"))

    def test_every_length_up_to_it_fits_and_the_next_does_not(self):
        for density, mean in SHAPES:
            for roll in ("single-span", "always", "never"):
                for inputs, labels, sentinels in ((20, 512, 99), (64, 20, 99), (64, 64, 5), (33, 47, 99)):
                    denoiser = random_spans(density, mean, roll)
                    length, limit = oracle.segment_length(denoiser, make_spec([], inputs, labels, sentinels=sentinels))
                    fits = []
                    for n in range(2, length + 2):
                        i, o, s, _ = largest(denoiser, n, "both")
                        fits.append((i <= inputs and o <= labels, s <= sentinels))
                    self.assertTrue(all(a and b for a, b in fits[:-1]))
                    self.assertEqual(fits[-1] == (True, False), limit == "sentinels")
                    self.assertNotEqual(fits[-1], (True, True))


def ul2r(**options):
    return make_spec([
        suffix(name="s", weight=4, mode_token=(94, 86, 53, 86, 96)),
        random_spans(0.15, 3.0, "single-span", name="r", weight=2, mode_token=(94, 81, 79, 88, 96)),
        random_spans(0.15, 32.0, "single-span", name="x1", weight=1, mode_token=(94, 81, 79, 90, 96)),
        random_spans(0.5, 3.0, "single-span", name="x2", weight=1, mode_token=(94, 81, 79, 90, 96)),
    ], **options)


def painted(n):
    return [3 + i * 7 % 256 for i in range(n)]


class Documents(unittest.TestCase):
    def test_no_token_is_lost_and_no_row_is_too_long(self):
        for options in ({}, {"inputs": 24, "labels": 30, "eos": "labels"}, {"inputs": 40, "labels": 22, "min_segment": 5, "eos": "none"},
                        {"sentinels": 4, "inputs": 128, "labels": 128}):
            spec = ul2r(**options)
            by_name = {d["name"]: d for d in spec["denoisers"]}
            for n in itertools.chain(range(0, 70), (500, 1111, 2500)):
                tokens = painted(n)
                rows = oracle.rows_of_document(spec, "a.jsonl", n + 1, n % 3, tokens)
                if n < spec["min_segment"]:
                    self.assertEqual(rows, [])
                    continue
                rebuilt = []
                for i, row in enumerate(rows):
                    self.assertEqual((row["segment"], row["line"], row["epoch"]), (i, n + 1, n % 3))
                    self.assertLessEqual(len(row["input_ids"]), spec["inputs_length"])
                    self.assertLessEqual(len(row["labels"]), spec["labels_length"])
                    segment = oracle.decode(row["input_ids"], row["labels"], by_name[row["denoiser"]],
                                            spec["vocabulary"], spec["eos"])
                    self.assertGreaterEqual(len(segment), min(spec["min_segment"], n))
                    rebuilt += segment
                self.assertEqual(rebuilt, tokens)

    def test_the_last_segment_gets_min_segment(self):
        spec = make_spec([suffix()], inputs=11, labels=11, eos="none", min_segment=4)  # L = 12
        def lengths(n):
            return [len(r["input_ids"]) + len(r["labels"]) for r in oracle.rows_of_document(spec, "a", 1, 0, painted(n))]
        self.assertEqual([lengths(n) for n in (3, 4, 12, 13, 14, 15, 16, 24, 25, 28)],
                         [[], [4], [12], [9, 4], [10, 4], [11, 4], [12, 4], [12, 12], [12, 9, 4], [12, 12, 4]])

    def test_weights_count(self):
        spec = ul2r(inputs=20, labels=20)
        names = collections.Counter(r["denoiser"] for line in range(1, 40)
                                    for r in oracle.rows_of_document(spec, "a", line, 0, painted(1000)))
        total = sum(names.values())
        for denoiser in spec["denoisers"]:
            p = denoiser["weight"] / 8
            self.assertLess(abs(names[denoiser["name"]] - p * total), 5 * math.sqrt(total * p * (1 - p)))

    def test_every_part_of_the_address_counts(self):
        spec, other = ul2r(), ul2r(seed=8)
        base = (spec, "a.jsonl", 1, 0, painted(1500))
        ids = lambda *a: [r["input_ids"] for r in oracle.rows_of_document(*a)]
        for change in ((other, *base[1:]), (spec, "b.jsonl", *base[2:]), (spec, "a.jsonl", 2, *base[3:]),
                       (spec, "a.jsonl", 1, 1, base[4])):
            self.assertNotEqual(ids(*change), ids(*base))
        self.assertEqual(ids(*base), ids(*base))

    def test_refusals(self):
        spec = ul2r()
        self.assertEqual(oracle.rows_of_document(spec, "a", 1, 0, painted(9) + [259]), [])
        spec["denoisers"][1]["segment_length"] += 1
        self.assertRaises(ValueError, oracle.rows_of_document, spec, "a", 1, 0, painted(9))
        self.assertRaises(ValueError, oracle.check_spec, make_spec([suffix()], inputs=5, min_segment=4))

    def test_bytes(self):
        self.assertEqual(bytes_tokenizer.encode("a\u00e9\0"), [100, 198, 172, 3])
        self.assertEqual(bytes_tokenizer.decode(bytes_tokenizer.encode("\U0001f600 x")), "\U0001f600 x")


def lengths_pattern(law, mean, density=0.5, roll="never"):
    return oracle.pattern_of(random_spans(density, mean, roll, law=law))


def normal_law(mu, sigma):
    """P(draw = k) of the normal law, exactly: h is the sum of twelve numbers below 65536."""
    def ways_to_be_at_most(h):
        return sum((-1) ** j * math.comb(12, j) * math.comb(h - 65536 * j + 12, 12) for j in range(13) if h >= 65536 * j)

    law, before, h = collections.Counter(), 0, 0
    top = 12 * 65535
    value = lambda h: max(1, round(mu + sigma * Fraction(h - 393210, 65536)))
    while h <= top:
        k, low, high = value(h), h, top
        while low < high:  # the last h with this value
            middle = (low + high + 1) // 2
            low, high = (middle, high) if value(middle) == k else (low, middle - 1)
        now = ways_to_be_at_most(low)
        law[k] += Fraction(now - before, 65536**12)
        before, h = now, low + 1
    assert sum(law.values()) == 1
    return law


def uniform_law(mu):
    """({k: P(k)}, a, f) of the uniform law: 1..m, where m is a + 1 with probability f / 10^6, else a."""
    width = 2 * max(mu, 1) - 1
    a = math.floor(width)
    law = collections.Counter({k: (1 - (width - a)) / a for k in range(1, a + 1)})
    for k in range(1, a + 2 if width > a else 1):
        law[k] += (width - a) / (a + 1)
    return law, a, int((width - a) * 10**6)


def geometric_law(mu, left):
    """P(k) is 1/µ of what is left after the lengths below k; at `left` it is all of it."""
    p = 1 / Fraction(mu)
    return {k: (1 - p) ** (k - 1) * (p if k < left else 1) for k in range(1, left + 1) if p < 1 or k == 1}


class SpanLaws(unittest.TestCase):
    def test_uniform(self):
        """The exact law over all draws, and its mean, which is µ."""
        for mean in (1.0, 1.1, 1.25, 1.5, 1.75, 1.995, 2.0, 2.6, 3.0, 3.25, 3.3, 3.5, 8.0, 8.99):
            law, a, f = uniform_law(Fraction(str(mean)))
            thresholds = {10**6: f} if f else None
            found = distribution(lambda s: oracle.draw_length(lengths_pattern("uniform", mean), 40, 40, s), thresholds)
            self.assertEqual(found, law)
            self.assertEqual(sum(k * p for k, p in found.items()), Fraction(str(mean)))
        found, _, _ = uniform_law(Fraction(5, 4))
        self.assertEqual(found, {1: Fraction(3, 4), 2: Fraction(1, 4)})

    def test_uniform_draws(self):
        """below(1,000,000) comes first, only if f is not 0, and is compared with f; below(m) is drawn also for m = 1."""
        for mean, a, f in ((1.0, 1, 0), (1.5, 2, 0), (3.0, 5, 0), (1048576.0, 2**21 - 1, 0), (1.000001, 1, 2), (1.25, 1, 500000),
                           (1.499999, 1, 999998), (1.500001, 2, 2), (2.7, 4, 400000), (3.25, 5, 500000), (1000.000499, 1999, 998)):
            pattern = lengths_pattern("uniform", mean)
            for x, m in ((0, a + 1), (f - 1, a + 1), (f, a), (999999, a)) if f else ((None, a),):
                for last in {0, m - 1}:
                    stream = Given([last] if x is None else [x, last])
                    self.assertEqual(oracle.draw_length(pattern, 40, 40, stream), 1 + last)
                    self.assertEqual(stream.asked, [m] if x is None else [10**6, m])

    def test_uniform_of_a_share(self):
        # µ = 2.5, 2.51, 15.5 and, never less than 1, 0.1 and 0.999.
        for share, n, mu in ((0.1, 25, 2.5), (0.0251, 100, 2.51), (0.5, 31, 15.5), (0.001, 100, 1), (0.037, 27, 1), (0.999, 2, 1.998)):
            law, a, f = uniform_law(Fraction(str(mu)))
            pattern = lengths_pattern("uniform", {"share": share})
            found = distribution(lambda s: oracle.draw_length(pattern, n, 40, s), {10**6: f} if f else None)
            self.assertEqual(found, law)
            self.assertEqual(sum(k * p for k, p in found.items()), Fraction(str(mu)))

    def test_what_is_left_does_not_change_the_draw_of_uniform_and_normal(self):
        """It is cut to what is left afterwards."""
        for left in (1, 2, 40):
            self.assertEqual(oracle.draw_length(lengths_pattern("uniform", 8.0), 40, left, Given([14])), 15)
            words = [0xFFFFFFFF] * 6
            self.assertEqual(oracle.draw_length(lengths_pattern({"normal": {"std": 1.0}}, 8.0), 40, left, Words(words, 32)), 14)
        stream = Given([14, 9, 1])  # of 20 noise tokens: 15, then 10, of which 5 are left
        self.assertEqual(oracle.draw_noise_lengths(lengths_pattern("uniform", 8.0), 40, stream), [15, 5])
        self.assertEqual(stream.asked, [15, 15, 2])

    def test_geometric_counts_its_draws(self):
        for mean, q in ((1.0, 1000), (1.0005, 1000), (1.0015, 1002), (3.0, 3000), (2.5, 2500), ({"share": 0.001}, 1000)):
            for left in (2, 3, 4, 40):
                stream = Given([1000, q - 1, 999, 0]) if q > 1000 else Given([999])
                pattern, times = lengths_pattern("geometric", mean), min(3, left) if q > 1000 else 1
                self.assertEqual(oracle.draw_length(pattern, 40, left, stream), times)
                self.assertEqual(stream.asked, [q] * min(times, left - 1))

    def test_geometric_makes_at_most_one_draw_less_than_is_left(self):
        pattern = lengths_pattern("geometric", 2.5)
        for left in range(1, 30):
            stream = Given([1000 + i for i in range(99)])
            self.assertEqual((oracle.draw_length(pattern, 40, left, stream), stream.asked), (left, [2500] * (left - 1)))
            # The last of the draws tells between left − 1 and left.
            if left > 1:
                stream = Given([1000] * (left - 2) + [999])
                self.assertEqual((oracle.draw_length(pattern, 40, left, stream), stream.asked), (left - 1, [2500] * (left - 1)))

    def test_geometric_law(self):
        """Exactly, over all draws: P(left) is all that the shorter lengths leave."""
        for mean in (1.0, 1.001, 1.25, 1.5, 2.5, 3.0, 4.0):
            pattern, q = lengths_pattern("geometric", mean), int(1000 * mean)
            for left in range(1, 6 if q == 1001 else 8):
                if q == 1001 and left > 2:
                    continue  # 1001 answers a draw
                found = distribution(lambda s: oracle.draw_length(pattern, 40, left, s), {q: 1000})
                self.assertEqual(found, geometric_law(Fraction(str(mean)), left))
                tail = (1 - 1 / Fraction(str(mean))) ** (left - 1)
                self.assertEqual(found.get(left, 0), tail)
        stream, pattern = new_stream(1), lengths_pattern("geometric", 2.5)
        for left in (3, 80):
            found = collections.Counter(oracle.draw_length(pattern, 40, left, stream) for _ in range(10000))
            statistic, limit = chi_square(found, geometric_law(Fraction(5, 2), left))
            self.assertLess(statistic, limit)

    def test_words_of_geometric(self):
        """All lengths together take no more draws of below(q) than there are noise tokens."""
        class Counting(oracle.Stream):
            def below(self, n):
                self.asked = getattr(self, "asked", 0) + (n == self.q)
                return super().below(n)

        for density, mean, n in ((0.5, 1.0, 400), (0.15, 3.0, 512), (0.5, 3.0, 900), (0.15, 500.0, 512), (0.5, {"share": 0.999}, 900),
                                 (0.999, 1048576.0, 40), (0.5, 1.001, 5)):
            pattern = lengths_pattern("geometric", mean, density)
            noise, _ = oracle.counts_of(pattern, n)
            for trial in range(20):
                stream = Counting(7, "denoise", "r", "a", 1, 0, trial)
                stream.q = max(1000, round(Fraction(oracle.mu_of(pattern, n), 1000)))
                self.assertEqual(sum(oracle.draw_noise_lengths(pattern, n, stream)), noise)
                self.assertLessEqual(getattr(stream, "asked", 0), noise)
            # No draw below 1000: one span of all the noise, after noise − 1 draws. (With one kept token nothing is drawn.)
            if stream.q > 1000 and noise < n - 1:
                stream = Given([1000] * (noise - 1))
                self.assertEqual(oracle.draw_noise_lengths(pattern, n, stream), [noise])
                self.assertEqual(len(stream.asked), noise - 1 + 1)
        # In a segment of the greatest length a mean far above the noise costs a draw a token, which its words bear.
        pattern = lengths_pattern("geometric", 2.0**20, 0.5)
        stream = new_stream()
        lengths = oracle.draw_noise_lengths(pattern, 2**18, stream)
        self.assertEqual(sum(lengths), 2**17)
        self.assertLessEqual(stream._read, 2**18)

    def test_normal_of_given_words(self):
        rng = random.Random(3)
        for mean, std in ((3.0, 1.0), (8.0, 2.5), (1.0, 4.0), (32.0, 0.0), ({"share": 0.07}, 1.3)):
            pattern = lengths_pattern({"normal": {"std": std}}, mean, 0.4)
            mu = Fraction(mean) if not isinstance(mean, dict) else Fraction(7, 100) * 51
            for trial in range(300):
                words = [rng.randrange(2**32) for _ in range(6)] + [0]
                if trial < 2:
                    words = [trial * MASK32] * 6 + [0]
                halves = struct.unpack("<12H", struct.pack("<6I", *words[:6]))
                z = Fraction(sum(halves) - 393210, 65536)
                stream = Words(words, 32)
                self.assertEqual(oracle.draw_length(pattern, 51, 51, stream),
                                 max(1, round(mu + Fraction(oracle.millionths(std), 10**6) * z)))
                self.assertEqual(stream.word(), 0)  # six words are taken

    def test_normal_rounds_half_to_even(self):
        # z = 0.5: h = 393210 + 32768. With σ = 1: 2 + 0.5 → 2, 3 + 0.5 → 4; with σ = 0: 2.5 → 2, 3.5 → 4.
        half = [(h >> 1) | (h - (h >> 1)) << 16 for h in ((393210 + 32768) // 6,) * 5 + (425978 - 5 * (425978 // 6),)]
        for mean, std, k in ((2.0, 1.0, 2), (3.0, 1.0, 4), (2.5, 0.0, 2), (3.5, 0.0, 4)):
            self.assertEqual(oracle.draw_length(lengths_pattern({"normal": {"std": std}}, mean), 40, 40, Words(half, 32)), k)

    def test_normal_law(self):
        for mean, std in ((8.0, 2.0), (2.0, 3.0)):
            law = normal_law(Fraction(mean), Fraction(std))
            if mean == 8.0:
                self.assertLess(abs(sum(k * p for k, p in law.items()) - 8), Fraction(1, 1000))
                variance = sum((k - 8) ** 2 * p for k, p in law.items())
                self.assertLess(abs(variance - 4 - Fraction(1, 12)), Fraction(1, 1000))  # and that of rounding
            stream, pattern = new_stream(2), lengths_pattern({"normal": {"std": std}}, mean)
            found = collections.Counter(oracle.draw_length(pattern, 40, 40, stream) for _ in range(20000))
            statistic, limit = chi_square(found, law)
            self.assertLess(statistic, limit)

    def test_the_page_on_z(self):
        self.assertEqual(Fraction(12 * (2**32 - 1), 12) / 2**32, 1 - Fraction(1, 2**32))  # 12 · (65536² − 1) / 12 / 65536²
        self.assertEqual(Fraction(12 * 65535, 2), 393210)
        self.assertTrue(393210 / 65536 < 6 and (12 * 65535 - 393210) / 65536 < 6)

    def test_root(self):
        for x in range(1, 2000):
            root = oracle.root_up(x)
            self.assertTrue(root * root >= x > (root - 1) ** 2)

    def reference_masks(self, n, pattern, mu):
        """The law of the masks, from the words of the page."""
        noise, spans = oracle.counts_of(pattern, n)
        ceiling = next(root for root in itertools.count() if root * root >= spans)
        most = min(spans + 4 * ceiling, noise, n - noise)
        law = collections.Counter()

        def draw(lengths, probability):
            left = noise - sum(lengths)
            if left == 0:
                for j in range(len(lengths)):
                    swapped = list(lengths)
                    swapped[j], swapped[-1] = swapped[-1], swapped[j]
                    yield tuple(swapped), probability / len(lengths)
            elif len(lengths) == most - 1:
                yield from draw(lengths + [left], probability)
            else:
                each = uniform_law(mu)[0] if pattern.law == "uniform" else geometric_law(mu, left)
                for k, p in each.items():
                    yield from draw(lengths + [min(k, left)], probability * p)

        for lengths, probability in draw([], Fraction(1)):
            kept = [c for c in itertools.product(range(1, n), repeat=len(lengths)) if sum(c) == n - noise]
            for parts in kept:
                flags = [flag for a, b in zip(parts, lengths) for flag in [False] * a + [True] * b]
                # One span was drawn, whatever `most` would allow: rolled.
                rolls = range(n) if pattern.roll == "single-span" and len(lengths) == 1 else (0,)
                for s in rolls:
                    law[tuple(flags[(i - s) % n] for i in range(n))] += probability / len(kept) / len(rolls)
        return law

    def test_masks_of_the_uniform_and_geometric_laws(self):
        cases = [("uniform", 0.5, 1.0), ("uniform", 0.5, 1.5), ("uniform", 0.5, 2.0), ("uniform", 0.3, 3.0), ("uniform", 0.75, 3.0),
                 ("uniform", 0.5, 1.25), ("uniform", 0.6, 1.75), ("uniform", 0.5, 2.6), ("geometric", 0.5, 1.5), ("geometric", 0.75, 3.0),
                 ("geometric", 0.3, 2.0), ("geometric", 0.5, 1.0)]
        for law, density, mean in cases:
            for n in range(2, 9 if (2 * mean).is_integer() and law == "uniform" else 8):
                for roll in ("never", "single-span"):
                    pattern, mu = lengths_pattern(law, mean, density, roll), Fraction(str(mean))
                    thresholds = {10**6: uniform_law(mu)[2]} if law == "uniform" else {int(1000 * mu): 1000}
                    found = distribution(lambda s: tuple(oracle.draw_random_spans(pattern, n, s)),
                                         thresholds if 0 not in thresholds.values() else None)
                    self.assertEqual(found, self.reference_masks(n, pattern, mu))

    def test_most_is_reached_and_not_exceeded(self):
        # (3, .15) at 512: noise 77, spans 26, most = 26 + 4 · 6.
        denoiser = random_spans(0.15, 3.0, law="uniform")
        self.assertEqual(oracle.most_of(oracle.pattern_of(denoiser), 512), 50)
        stream = Given([])  # draws of 1
        lengths = oracle.draw_noise_lengths(oracle.pattern_of(denoiser), 512, stream)
        self.assertEqual(lengths, [28] + [1] * 49)
        self.assertEqual(stream.asked, [5] * 49 + [50])
        # Only 2 tokens are kept: two spans at most.
        self.assertEqual(oracle.most_of(lengths_pattern("uniform", 3.0, 0.75), 8), 2)

    def test_counts_are_exact_on_real_streams(self):
        for law in LAWS:
            for density, mean in ((0.15, 3.0), (0.5, 3.0), (0.15, 64.0), (0.4, {"share": 0.02})):
                pattern, totals = lengths_pattern(law, mean, density), []
                for trial in range(60):
                    n = (2, 3, 7, 64, 511, 900)[trial % 6]
                    noise, spans = oracle.counts_of(pattern, n)
                    lengths = oracle.draw_noise_lengths(pattern, n, new_stream(trial))
                    self.assertEqual(sum(lengths), noise)
                    self.assertTrue(1 <= min(lengths) and len(lengths) <= oracle.most_of(pattern, n))
                    totals.append(len(lengths) - spans)
                self.assertGreater(len(set(totals)), 1)  # the number of spans is not fixed

    def test_the_number_of_spans_is_as_on_average(self):
        """At (3, .5) and 900 tokens, 450 noise: about 150 spans, whatever the law."""
        for law, variance in (("uniform", 2), ("geometric", 6), ({"normal": {"std": 1.0}}, 1 + 1 / 12)):
            counts = [len(oracle.draw_noise_lengths(lengths_pattern(law, 3.0), 900, new_stream(i))) for i in range(400)]
            # Renewals: mean 450/µ + O(1), variance 450·σ²/µ³.
            self.assertLess(abs(sum(counts) / 400 - 150), 1 + 5 * math.sqrt(450 * variance / 27 / 400), law)
            spread = sum((c - sum(counts) / 400) ** 2 for c in counts) / 400
            self.assertLess(abs(spread / (450 * variance / 27) - 1), 5 * math.sqrt(2 / 400) + 0.1, law)

    def test_the_page_on_64_at_512(self):
        """`uniform` draws from 1..127, and the rest counts: 64 leaves a span of 13, which changes places here."""
        pattern = lengths_pattern("uniform", 64.0, 0.15)
        self.assertEqual((oracle.counts_of(pattern, 512), oracle.most_of(pattern, 512)), ((77, 1), 5))
        stream = Given([64 - 1, 100 - 1, 0])
        self.assertEqual((oracle.draw_noise_lengths(pattern, 512, stream), stream.asked), ([13, 64], [127, 127, 2]))

    def test_roll(self):
        # One length drawn: rolled by `single-span`, and the roll is the last draw. Two: not rolled.
        denoiser = random_spans(0.5, 3.0, "single-span", law="uniform")  # at 8: noise 4, spans 1, most 4, m 5
        stream = Given([3, 0, 2])
        self.assertEqual(oracle.draw_mask(denoiser, 8, stream), [(0, 2), (6, 8)])
        self.assertEqual(stream.asked, [5, 1, 8])
        stream = Given([2, 4, 1, 0])
        self.assertEqual(oracle.draw_mask(denoiser, 8, stream), [(1, 4), (7, 8)])
        self.assertEqual(stream.asked, [5, 5, 2, 3])
        # What counts is what was drawn: (3, .5) at 14 has 7 noise tokens and `spans` 2, yet one span of 7 is rolled; and
        # (64, .15) at 512 has `spans` 1, yet two spans of 64 and 13 are not.
        denoiser = random_spans(0.5, 3.0, "single-span", law="geometric")
        self.assertEqual(oracle.counts_of(oracle.pattern_of(denoiser), 14), (7, 2))
        stream = Given([1000] * 6 + [0, 3])
        self.assertEqual(oracle.draw_mask(denoiser, 14, stream), [(0, 3), (10, 14)])
        self.assertEqual(stream.asked, [3000] * 6 + [1, 14])
        denoiser = random_spans(0.15, 64.0, "single-span", law="uniform")
        stream = Given([64 - 1, 100 - 1, 1, 0])
        self.assertEqual(oracle.draw_mask(denoiser, 512, stream), [(1, 65), (499, 512)])
        self.assertEqual(stream.asked, [127, 127, 2, 434])
        for law in LAWS:
            found = collections.Counter(
                i for segment in range(600)
                for a, b in oracle.draw_mask(random_spans(0.4, 2.0, "always", law=law), 10, new_stream(segment))
                for i in range(a, b))
            for i in range(10):
                self.assertLess(abs(found[i] - 240), 5 * math.sqrt(600 * 0.4 * 0.6), law)

    def test_refusals(self):
        for denoiser in (random_spans(0.5, 0.9), random_spans(0.0, 3.0), random_spans(1.0, 3.0), random_spans(0.5, 3.0, "often"),
                         random_spans(0.5, {"share": 1.0}), random_spans(0.5, {"share": 0.0}), random_spans(0.5, 3.0, law="poisson"),
                         random_spans(0.5, 3.0, law={"normal": {"std": -1.0}}), of_pattern({"independent_tokens": {"noise_density": 1.0}}),
                         of_pattern({"union": [spans_options(0.5, 3.0)]}), of_pattern({"union": [spans_options(0.5, 3.0)] * 5}),
                         suffix(split={"up_to": 1.0}), suffix(split={"share": 0.0}), suffix(split="half"), of_pattern("none")):
            self.assertRaises(ValueError, oracle.pattern_of, denoiser)
        self.assertRaises(ValueError, oracle.pattern_of, random_spans(0.5, 2.0**20 + 1e-6))
        oracle.pattern_of(random_spans(0.5, 2.0**20))
        for law in ("t5", *LAWS):
            self.assertRaises(ValueError, oracle.check_spec, make_spec([random_spans(0.6, 1.0, law=law)]))
            oracle.check_spec(make_spec([random_spans(0.6, {"share": 0.001}, law=law)], sentinels=250))


class OtherPatterns(unittest.TestCase):
    def test_independent_tokens(self):
        for density in (0.01, 0.15, 0.5, 0.99):
            for n in range(2, 9):
                denoiser = of_pattern({"independent_tokens": {"noise_density": density}})
                noise = max(1, min(n - 1, round(Fraction(str(density)) * n)))
                found = distribution(lambda s: tuple(oracle.draw_mask(denoiser, n, s)))
                every = {tuple(oracle.spans_of_flags([i in chosen for i in range(n)]))
                         for chosen in itertools.combinations(range(n), noise)}
                self.assertEqual(found, {mask: Fraction(1, len(every)) for mask in every})
                self.assertEqual(len(every), math.comb(n, noise))

    def test_union_is_its_parts_one_after_the_other(self):
        full = 0
        for parts in UNIONS:
            denoiser = of_pattern({"union": [part["pattern"]["random_spans"] for part in parts]})
            for trial in range(200):
                n = 2 + trial % 40
                noise, stream = set(), new_stream(trial)
                for part in parts:
                    for a, b in oracle.draw_mask(part, n, stream):
                        noise |= set(range(a, b))
                if len(noise) == n:
                    full += 1
                    noise.remove(0)
                other = new_stream(trial)
                spans = oracle.draw_mask(denoiser, n, other)
                self.assertEqual({i for a, b in spans for i in range(a, b)}, noise)
                self.assertTrue(all(b < c for (_, b), (c, _) in zip(spans, spans[1:])))  # none touch
                self.assertEqual(other.word(), stream.word())  # nothing else is drawn
        self.assertGreater(full, 0)

    def test_suffix_splits(self):
        for n in range(2, 30):
            for s in (0.01, 0.1, 0.25, 0.5, 0.99):
                m = max(1, min(n - 1, round(Fraction(str(s)) * n)))
                found = distribution(lambda stream: tuple(oracle.draw_mask(suffix(split={"up_to": s}), n, stream)))
                self.assertEqual(found, {((n - k, n),): Fraction(1, m) for k in range(1, m + 1)})
                stream = Given([])
                self.assertEqual(oracle.draw_mask(suffix(split={"share": s}), n, stream), [(n - m, n)])
                self.assertEqual(stream.asked, [])
            stream = Given([0])
            self.assertEqual(oracle.draw_mask(suffix(), n, stream), [(1, n)])
            self.assertEqual(stream.asked, [n - 1])

    def test_whole(self):
        for pattern in ("whole", {"whole": {}}, {"whole": None}):
            stream = Given([])
            self.assertEqual((oracle.draw_mask(of_pattern(pattern), 5, stream), stream.asked), ([(0, 5)], []))


CAUSAL = {"loss": "targets", "separator": None, "sequence_length": 1024}


class MoreSegmentLengths(unittest.TestCase):
    def test_the_largest_that_fits(self):
        """Every length up to L fits, and L + 1 does not: by the longest rows of many draws, not by the table."""
        cases = [
            (suffix(split={"share": 0.25}), {"inputs": 30, "labels": 30}),          # 29 kept and EOS: 39 tokens
            (suffix(split={"up_to": 0.5}), {"inputs": 30, "labels": 12}),           # round(23 / 2) = 12: 22 tokens
            (of_pattern("whole", "split"), {"inputs": 30, "labels": 12}),
            (of_pattern("whole", closing_sentinel=True), {"inputs": 30, "labels": 12}),
            (suffix(s_sentinel="both"), {"inputs": 30, "labels": 12}),
            (suffix(s_sentinel="input"), {"inputs": 12, "labels": 30}),
            (of_pattern({"independent_tokens": {"noise_density": 0.5}}), {"inputs": 30, "labels": 30}),
            (random_spans(0.5, 2.0, "always", law="uniform"), {"inputs": 30, "labels": 30}),
        ]
        lengths = [make_spec([denoiser], **options)["denoisers"][0]["segment_length"] for denoiser, options in cases]
        # Independent tokens: of 29 tokens 14 are noise (14.5 to even), so 15 kept, 14 sentinels and EOS; of 30 tokens 15.
        self.assertEqual(lengths[:7], [39, 22, 11, 9, 11, 11, 29])
        vocabulary = {"eos": 1, "pad": 0, "sentinels": list(range(300, 400))}
        for (denoiser, options), length in zip(cases, lengths):
            over = False
            for n in range(2, length + 2):
                for trial in range(300):
                    mask = oracle.draw_mask(denoiser, n, new_stream(trial))
                    inputs, labels = oracle.encode([7] * n, mask, denoiser, vocabulary, "both")
                    fits = len(inputs) <= options["inputs"] and len(labels) <= options["labels"]
                    self.assertTrue(fits or n > length)
                    over |= not fits
            if "suffix" in denoiser["pattern"] or denoiser["pattern"] == "whole":
                self.assertTrue(over, denoiser)  # so many spans as the others may have are too rare to be met

    def test_sentinels(self):
        both = make_spec([], sentinels=0)
        self.assertEqual(oracle.segment_length(suffix(s_sentinel="both"), both), (1, "sentinels"))
        self.assertEqual(oracle.segment_length(suffix(), both), (512, "lengths"))
        one = make_spec([], sentinels=1)
        self.assertEqual(oracle.segment_length(suffix("sentinels"), one), (511, "lengths"))
        self.assertEqual(oracle.segment_length(suffix("sentinels", closing_sentinel=True), one), (1, "sentinels"))
        # most = spans + 4 · ⌈√spans⌉, here noise itself: 6 noise of 11 and 12 tokens (5.5 to even), 7 from 13 kept 6.
        denoiser = random_spans(0.5, 1.0, law="uniform")
        self.assertEqual(oracle.segment_length(denoiser, make_spec([], sentinels=5)), (11, "sentinels"))

    def test_causal(self):
        def length(denoiser, **causal):
            return oracle.segment_length(denoiser, make_spec([], eos="labels", causal=CAUSAL | causal))[0]
        self.assertEqual(length(suffix(split={"share": 0.5})), 1022)  # at 1023 the noise is 512 (511.5 to even), and EOS
        self.assertEqual(length(suffix(split={"share": 0.5}), sequence_length=100), 99)
        self.assertEqual(length(suffix(split={"share": 0.5}), sequence_length=100, separator=9), 98)
        self.assertEqual(length(suffix("sentinels", split={"share": 0.5}), sequence_length=100, separator=9), 96)
        # The separator is one of the inputs: m tokens are noise, n − m and it are at most 512.
        self.assertEqual(length(suffix(split={"share": 0.01})), 517)
        self.assertEqual(length(suffix(split={"share": 0.01}), separator=9), 516)
        self.assertEqual(length(suffix("sentinels", split={"share": 0.01}), separator=9), 515)
        # n + 2 · S + 1 ≤ 40
        denoiser, limit = random_spans(0.15, 3.0), 40
        longest = max(n for n in range(2, 60) if n + 2 * oracle.counts_of(oracle.pattern_of(denoiser), n)[1] + 1 <= limit)
        self.assertEqual(length(denoiser, sequence_length=limit), longest)

    def test_kinds_of_labels_have_none(self):
        self.assertEqual(oracle.segment_length(of_pattern("label"), make_spec([])), (None, None))


def block(lengths, first=5000):
    """Documents of so many tokens, every token another; a line without a document between any two."""
    documents, at = [], first
    for which, length in enumerate(lengths):
        documents.append((3 + 2 * which, list(range(at, at + length))))
        at += length
    return documents


def segments_of(spec, examples):
    by_name = {denoiser["name"]: denoiser for denoiser in spec["denoisers"]}
    return [oracle.decode(e["input_ids"], e["labels"], by_name[e["denoiser"]], spec["vocabulary"], spec["eos"],
                          spec.get("causal"), e["prefix_length"]) for e in examples]


def segmenting(name, **options):
    return {"segmenting": {name: options}}


class Segmenting(unittest.TestCase):
    def test_blocks(self):
        rng = random.Random(5)
        before, oracle.BLOCK_BYTES = oracle.BLOCK_BYTES, 100
        try:
            self.assertEqual(list(oracle.blocks_of_lines([])), [])
            sizes = lambda *lines: [[len(line) for line in block] for block in oracle.blocks_of_lines(b"x" * n for n in lines)]
            self.assertEqual(sizes(99, 1, 100, 1, 250, 3), [[99, 1], [100], [1, 250], [3]])
            self.assertEqual(sizes(50, 50), [[50, 50]])
            for _ in range(50):
                lines = [bytes(rng.randrange(1, 60)) for _ in range(40)]
                blocks = list(oracle.blocks_of_lines(lines))
                self.assertEqual([line for block in blocks for line in block], lines)
                for block in blocks:
                    self.assertLess(sum(map(len, block[:-1])), 100)
                for block in blocks[:-1]:
                    self.assertGreaterEqual(sum(map(len, block)), 100)
        finally:
            oracle.BLOCK_BYTES = before
        self.assertEqual(oracle.BLOCK_BYTES, 8 * 1024 * 1024)

    def test_concat(self):
        for eos_between in (False, True):
            for min_segment in (2, 6):
                spec = ul2r(inputs=40, labels=44, min_segment=min_segment, **segmenting("concat", eos_between=eos_between))
                for lengths in ((1, 1), (2,), (5, 300, 1, 1, 1, 90), (200,) * 5, (1,) * 150, (64, 65)):
                    documents = block(lengths)
                    examples = oracle.examples_of_block(spec, "a", 0, documents)
                    sequence, line_at = [], []
                    for line, tokens in documents:
                        if sequence and eos_between:
                            sequence.append(1)
                            line_at.append(line_at[-1])
                        sequence += tokens
                        line_at += [line] * len(tokens)
                    if len(sequence) < min_segment:
                        self.assertEqual(examples, [])
                        continue
                    at, seen = 0, collections.Counter()
                    for example, segment in zip(examples, segments_of(spec, examples)):
                        self.assertEqual(segment, sequence[at:at + len(segment)])
                        self.assertGreaterEqual(len(segment), min_segment)
                        line = line_at[at]
                        self.assertEqual((example["line"], example["segment"]), (line, seen[line]))
                        choice = oracle.Stream(7, "choose", "", "a", line, 0, seen[line]).choose([4, 2, 1, 1])
                        self.assertEqual(example["denoiser"], spec["denoisers"][choice]["name"])
                        seen[line] += 1
                        at += len(segment)
                    self.assertEqual(at, len(sequence))
                    keys = [(e["line"], e["segment"]) for e in examples]
                    self.assertEqual(keys, sorted(set(keys)))

    def test_concat_passes_over_rejects(self):
        spec = ul2r(**segmenting("concat", eos_between=True))
        good = block((20, 30))
        bad = [good[0], (4, [5, 259, 6]), (5, []), good[1]]
        self.assertEqual(oracle.examples_of_block(spec, "a", 0, bad), oracle.examples_of_block(spec, "a", 0, good))
        whole, = segments_of(spec, oracle.examples_of_block(spec, "a", 0, good))
        self.assertEqual(whole, good[0][1] + [1] + good[1][1])

    def test_a_segment_that_starts_with_eos(self):
        """The EOS belongs to the line before it."""
        spec = make_spec([of_pattern("whole", "split")], labels=11, **segmenting("concat", eos_between=True))  # L = 10
        examples = oracle.examples_of_block(spec, "a", 0, block((10, 30)))
        self.assertEqual([(e["line"], e["segment"]) for e in examples], [(3, 0), (3, 1), (5, 0), (5, 1), (5, 2)])
        self.assertEqual(segments_of(spec, examples)[1][0], 1)

    def test_window_lengths(self):
        for start in ("first", "random"):
            spec = ul2r(inputs=40, labels=44, min_segment=3, **segmenting("window", tokens=100, start=start))
            for n in (0, 2, 3, 99, 100, 101, 900):
                tokens = list(range(1000, 1000 + n))
                rows = oracle.rows_of_document(spec, "a", 9, 1, tokens)
                window = [token for segment in segments_of(spec, oracle.examples_of_block(spec, "a", 1, [(9, tokens)]))
                          for token in segment]
                self.assertEqual(len(window), 0 if n < 3 else min(n, 100))
                if window:
                    self.assertEqual(window, list(range(window[0], window[0] + len(window))))
                    self.assertEqual([row["segment"] for row in rows], list(range(len(rows))))
                    place = 0 if start == "first" else oracle.Stream(7, "window", "", "a", 9, 1, 0).below(n - len(window) + 1)
                    self.assertEqual(window[0], 1000 + place)

    def test_window_of_one_segment(self):
        spec = ul2r(inputs=40, labels=44, **segmenting("window", tokens=None, start="random"))
        names = set()
        for line in range(1, 80):
            example, = oracle.examples_of_block(spec, "a", 0, [(line, list(range(1000, 1500)))])
            denoiser = next(d for d in spec["denoisers"] if d["name"] == example["denoiser"])
            self.assertEqual(len(segments_of(spec, [example])[0]), denoiser["segment_length"])
            names.add(denoiser["name"])
        self.assertEqual(len(names), 4)

    def test_random_windows_are_uniform(self):
        spec = make_spec([of_pattern("whole", "split")], **segmenting("window", tokens=5, start="random"))
        starts = collections.Counter()
        for line in range(1, 3001):
            example, = oracle.examples_of_block(spec, "a", 0, [(line, list(range(1000, 1014)))])
            starts[example["labels"][0] - 1000] += 1
        statistic, limit = chi_square(starts, {i: 1 / 10 for i in range(10)})
        self.assertLess(statistic, limit)

    def test_refusals(self):
        self.assertRaises(ValueError, oracle.check_spec, ul2r(min_segment=4, **segmenting("window", tokens=6, start="first")))
        oracle.check_spec(ul2r(min_segment=4, **segmenting("window", tokens=7, start="first")))
        self.assertRaises(ValueError, oracle.check_spec, ul2r(**segmenting("window", tokens=7, start="last")))
        self.assertRaises(ValueError, oracle.check_spec, ul2r(segmenting="lines"))
        self.assertRaises(ValueError, oracle.rows_of_document, ul2r(**segmenting("concat", eos_between=True)), "a", 1, 0, [5, 6])
        self.assertRaises(ValueError, oracle.check_spec, make_spec([random_spans(0.15, 3.0, layout="split")]))


class Layouts(unittest.TestCase):
    def test_the_page(self):
        vocabulary = {"eos": 1, "pad": 0, "sentinels": [90, 91, 92]}
        a, b, c, d, e, f = tokens = list(range(10, 16))
        closing = random_spans(0.5, 1.5, mode_token=(80,)) | {"closing_sentinel": True}
        self.assertEqual(oracle.encode(tokens, [(2, 4), (5, 6)], closing, vocabulary, "both"),
                         ([80, a, b, 90, e, 91, 1], [90, c, d, 91, f, 92, 1]))
        noise = [(3, 6)]
        self.assertEqual(oracle.encode(tokens, noise, suffix(mode_token=(80,), s_sentinel="input"), vocabulary, "both"),
                         ([80, a, b, c, 90, 1], [d, e, f, 1]))
        both = oracle.encode(tokens, noise, suffix(mode_token=(80,), s_sentinel="both"), vocabulary, "both")
        self.assertEqual(both, ([80, a, b, c, 90, 1], [90, d, e, f, 1]))
        self.assertEqual(both, oracle.encode(tokens, noise, suffix("sentinels", mode_token=(80,)), vocabulary, "both"))
        self.assertEqual(oracle.encode(tokens, [(0, 6)], of_pattern("whole", "split"), vocabulary, "labels"), ([], tokens + [1]))

    def test_causal(self):
        inputs, labels = [80, 10, 90], [90, 11, 1]
        self.assertEqual(oracle.join_causal(inputs, labels, CAUSAL), (inputs + labels, [-100] * 3 + labels, 3))
        self.assertEqual(oracle.join_causal(inputs, labels, CAUSAL | {"separator": 5}),
                         (inputs + [5] + labels, [-100] * 4 + labels, 4))
        self.assertEqual(oracle.join_causal(inputs, labels, CAUSAL | {"separator": 5, "loss": "all"}),
                         (inputs + [5] + labels, inputs + [5] + labels, 4))

    def test_causal_rows_are_the_same_examples(self):
        for causal in (CAUSAL, CAUSAL | {"separator": 4, "loss": "all"}):
            for eos in ("both", "labels", "none"):
                spec = ul2r(eos=eos, causal=causal | {"sequence_length": 200})
                for line, n in enumerate((2, 3, 50, 199, 1000), start=1):
                    tokens = [5 + i % 250 for i in range(n)]
                    rows = oracle.rows_of_document(spec, "a", line, 0, tokens)
                    self.assertEqual([token for s in segments_of(spec, rows) for token in s], tokens)
                    for row in rows:
                        self.assertLessEqual(len(row["input_ids"]), 200)
                        self.assertEqual(len(row["input_ids"]), len(row["labels"]))
                        self.assertEqual(list(row), oracle.columns_of(spec))
                        scored = row["labels"][row["prefix_length"]:]
                        self.assertEqual(scored, row["input_ids"][row["prefix_length"]:])
                        if causal["loss"] == "targets":
                            self.assertEqual(set(row["labels"][:row["prefix_length"]]), {-100})

    def test_sentinels_in_the_other_layout_are_refused(self):
        for pattern in ("whole", {"suffix": {"split": "uniform"}}, "label"):
            spec = {"label_field": "label"} if pattern == "label" else {}
            for layout, more, right in (("split", {"closing_sentinel": True}, False), ("sentinels", {"closing_sentinel": True}, True),
                                        ("split", {"closing_sentinel": False, "s_sentinel": "none"}, True),
                                        ("sentinels", {"closing_sentinel": False, "s_sentinel": "none"}, True),
                                        ("split", {"s_sentinel": "input"}, True), ("sentinels", {"s_sentinel": "input"}, False),
                                        ("split", {"s_sentinel": "both"}, True), ("sentinels", {"s_sentinel": "both"}, False)):
                check = lambda: oracle.check_spec(make_spec([of_pattern(pattern, layout, **more)], **spec))
                if right:
                    check()
                else:
                    self.assertRaisesRegex(ValueError, "sentinel", check)
        check = lambda: oracle.check_spec(two_fields(choice(1, 2), "split", closing_sentinel=True))
        self.assertRaisesRegex(ValueError, "closing", check)
        oracle.check_spec(two_fields(choice(1, 2), "split", s_sentinel="both"))
        self.assertRaisesRegex(ValueError, "s_sentinel", oracle.check_spec, make_spec([random_spans(0.15, 3.0) | {"s_sentinel": "input"}]))
        oracle.check_spec(make_spec([random_spans(0.15, 3.0) | {"closing_sentinel": True}]))

    def test_decode_finds_damage(self):
        vocabulary = {"eos": 1, "pad": 0, "sentinels": [90, 91, 92]}
        tokens = list(range(10, 16))
        closing = random_spans(0.5, 1.5) | {"closing_sentinel": True}
        both = suffix(s_sentinel="both")
        for denoiser, spans in ((closing, [(2, 4), (5, 6)]), (both, [(3, 6)])):
            inputs, labels = oracle.encode(tokens, spans, denoiser, vocabulary, "labels")
            self.assertEqual(oracle.decode(inputs, labels, denoiser, vocabulary, "labels"), tokens)
            self.assertRaises(ValueError, oracle.decode, inputs, labels[:-1], denoiser, vocabulary, "labels")
            self.assertRaises(ValueError, oracle.decode, inputs[:-1], labels, denoiser, vocabulary, "labels")
            self.assertRaises(ValueError, oracle.decode, inputs, labels[:-2] + [1], denoiser, vocabulary, "labels") \
                if denoiser is closing else None
        joined, labels, prefix = oracle.join_causal([10, 90], [90, 11], CAUSAL)
        self.assertRaises(ValueError, oracle.split_causal, joined, labels, prefix + 1, CAUSAL)
        self.assertRaises(ValueError, oracle.split_causal, joined, labels, prefix, CAUSAL | {"separator": 5})

    def test_reserved_separator(self):
        spec = ul2r(eos="labels", causal=CAUSAL | {"separator": 4})
        self.assertEqual(oracle.rows_of_document(spec, "a", 1, 0, [5, 4, 6]), [])
        self.assertEqual(len(oracle.rows_of_document(ul2r(), "a", 1, 0, [5, 4, 6])), 1)
        added = ul2r()
        added["vocabulary"]["mode_tokens"] = [200]
        self.assertEqual(oracle.rows_of_document(added, "a", 1, 0, [5, 200, 6]), [])
        self.assertEqual(len(oracle.rows_of_document(ul2r(), "a", 1, 0, [5, 200, 6])), 1)
        no_pad = ul2r()
        no_pad["vocabulary"]["pad"] = None
        self.assertEqual(len(oracle.rows_of_document(no_pad, "a", 1, 0, [5, 0, 6])), 1)


def two_fields(pattern, layout="sentinels", spec=(), **more):
    return make_spec([of_pattern(pattern, layout, **more)], **({"label_field": "label"} | dict(spec)))


def records_of(texts_and_labels):
    """Records of so many tokens of text, and labels as texts of one letter or more, each letter a token."""
    return [(5 + i, list(range(1000 * (i + 1), 1000 * (i + 1) + length)), [ord(c) for c in label], label)
            for i, (length, label) in enumerate(texts_and_labels)]


SEPARATE = {"separate": {"text": spans_options(0.15, 3.0), "label": spans_options(0.5, 2.0)}}


def choice(least, most, label_prompt=(901, 902), text_prompt=(903,)):
    return {"multiple_choice": {"least": least, "most": most, "label_prompt": list(label_prompt),
                                "text_prompt": list(text_prompt)}}


class TwoFields(unittest.TestCase):
    def test_end_mark(self):
        for text, marked in ((" a b ", "a b."), ("a.", "a."), ("a;", "a;"), ("a!\n", "a!"), ("a?", "a?"), ("a,", "a,"),
                             ("a:", "a:."), ("\u00a0\u3000a\u2028", "a."), ("\u200ba", "\u200ba."), ("\x1ca", "\x1ca."), (" \t\n", ""), ("", "")):
            self.assertEqual(oracle.with_end_mark(text, "."), marked)
            self.assertEqual(oracle.with_end_mark(text, None), text)

    def test_ordinary_patterns(self):
        """The document is the text's tokens and the label's, in every segmenting."""
        records = records_of([(300, "abc"), (1, "d"), (40, "efg")])
        documents = [(line, text + label) for line, text, label, _ in records]
        for more in ({}, segmenting("concat", eos_between=True), segmenting("window", tokens=50, start="random")):
            ours = oracle.examples_of_block(ul2r(label_field="label", **more), "a", 0, records)
            self.assertEqual(ours, oracle.examples_of_block(ul2r(**more), "a", 0, documents))
            self.assertGreater(len(ours), 0)

    def test_rejects(self):
        good = (1, [9, 10], [11], "x")
        for pattern in ("label", {"suffix": {"split": "uniform"}}):
            spec = two_fields(pattern, "split")
            self.assertEqual(len(oracle.examples_of_block(spec, "a", 0, [good])), 1)
            for bad in ((1, [], [11], "x"), (1, [9], [], "x"), (1, [259], [11], "x"), (1, [9], [1], "x"), (1, [9, 0], [11], "x")):
                self.assertEqual(oracle.examples_of_block(spec, "a", 0, [bad]), [])

    def test_label(self):
        records = records_of([(3, "ab"), (1, "c")])
        (_, t, a, _), _ = records
        for layout, more, first in (("sentinels", {}, (t + [259, 1], [259] + a + [1])), ("split", {}, (t + [1], a + [1])),
                                    ("sentinels", {"closing_sentinel": True}, (t + [259, 1], [259] + a + [260, 1])),
                                    ("split", {"s_sentinel": "input"}, (t + [259, 1], a + [1]))):
            examples = oracle.examples_of_block(two_fields("label", layout, **more), "a", 0, records)
            self.assertEqual([(e["line"], e["segment"], e["epoch"]) for e in examples], [(5, 0, 0), (6, 0, 0)])
            self.assertEqual((examples[0]["input_ids"], examples[0]["labels"]), first)

    def test_fitting(self):
        """t' is the longest beginning that fits, found by trying every length."""
        patterns = ("label", SEPARATE, {"permute": {"rows": 4}}, choice(1, 2),
                    {"separate": {"text": spans_options(0.5, {"share": 0.2}, "always"), "label": spans_options(0.5, 1.0, "always")}})
        limits = ({"inputs": 24, "labels": 16}, {"inputs": 40, "labels": 16, "eos": "none"},
                  {"inputs": 40, "labels": 18, "sentinels": 3},
                  {"inputs": 24, "labels": 16, "eos": "labels", "causal": CAUSAL | {"sequence_length": 26, "separator": 4}})
        shortened, rejected = collections.Counter(), 0
        for pattern in patterns:
            kind = pattern if isinstance(pattern, str) else list(pattern)[0]
            for limit in limits:
                spec = two_fields(pattern, "split" if "multiple_choice" in pattern else "sentinels", spec=limit)
                denoiser, = spec["denoisers"]
                for text, label in itertools.product((1, 2, 5, 9, 14, 17, 30, 90), ("a", "bcd", "efghi", "j" * 13, "k" * 17)):
                    records = records_of([(text, label), (3, "op"), (2, "qrst")])
                    examples = [e for e in oracle.examples_of_block(spec, "a", 0, records) if e["line"] == 5]
                    if not examples:
                        rejected += 1
                        if "multiple_choice" not in pattern:
                            self.assertFalse(any(oracle.fits(spec, denoiser, n, len(label)) for n in range(1, text + 1)))
                        continue
                    for example, segment in zip(examples, segments_of(spec, examples)):
                        if spec.get("causal"):
                            self.assertLessEqual(len(example["input_ids"]), 26)
                        else:
                            self.assertLessEqual(len(example["input_ids"]), spec["inputs_length"])
                            self.assertLessEqual(len(example["labels"]), spec["labels_length"])
                        kept = [token for token in segment if 1000 <= token < 2000]
                        self.assertEqual(kept, list(range(1000, 1000 + len(kept))))
                        self.assertEqual(segment[-len(label):], [ord(c) for c in label])
                        extra = len(segment) - len(kept) - len(label)
                        longest = max(n for n in range(1, text + 1) if oracle.fits(spec, denoiser, n, len(label), extra))
                        self.assertEqual(len(kept), longest)
                        shortened[kind, len(kept) < text] += 1
        self.assertEqual(len(shortened), 2 * 4)
        self.assertGreater(rejected, 0)

    def longest_label(self, spec):
        """The longest label that makes rows in every one of some lines; a longer one makes none in any."""
        longest = 0
        for length in range(1, 42):
            records = [(line, list(range(1000, 1000 + 3 * line)), [5] * length, "x") for line in range(1, 11)]
            rejects = [oracle.is_reject(spec, record) for record in records]
            lines = {e["line"] for e in oracle.examples_of_block(spec, "a", 0, records)}
            self.assertEqual(lines, set() if rejects[0] else set(range(1, 11)))
            self.assertEqual(len(set(rejects)), 1)
            if not rejects[0]:
                self.assertEqual(longest, length - 1)
                longest = length
        return longest

    def test_label_too_long(self):
        """It is decided for every denoiser of the recipe, whichever is chosen, with one token of text."""
        permute = {"permute": {"rows": 2}}
        kinds = {"split": of_pattern("label", "split", name="split"), "sentinels": of_pattern("label", name="sentinels"),
                 "permute": of_pattern(permute, name="permute"), "choice": of_pattern(choice(0, 3), "split", name="choice"),
                 "separate": of_pattern({"separate": {"text": spans_options(0.5, 2.0), "label": spans_options(0.5, 1.0)}}, name="separate")}
        limits = ({"inputs": 20, "labels": 14}, {"inputs": 11, "labels": 14}, {"inputs": 40, "labels": 40, "sentinels": 3},
                  {"inputs": 40, "labels": 40, "eos": "labels", "causal": CAUSAL | {"sequence_length": 30, "separator": 4}})
        # `split`: |a| and EOS in the labels. `sentinels`: one more. `permute`: that, and 1 + |a| and EOS in the inputs;
        # ⌈|a| / 2⌉ sentinels, and two of each in a causal row. `choice`: three of the prompts, |a|, the text and EOS in
        # the inputs. `separate`: |a| and EOS in each, about, as half of the label is noise and each noise token a span.
        alone = [{"split": 13, "sentinels": 12, "permute": 12, "choice": 13, "separate": 13},
                 {"split": 13, "sentinels": 12, "permute": 9, "choice": 6, "separate": 9},
                 {"split": 39, "sentinels": 38, "permute": 6, "choice": 35, "separate": 7},
                 {"split": 27, "sentinels": 25, "permute": 13, "choice": 12, "separate": 13}]
        for options, expected in zip(limits, alone):
            spec = lambda *names: make_spec([kinds[name] for name in names], label_field="label", **options)
            self.assertEqual({name: self.longest_label(spec(name)) for name in kinds}, expected)
            for names in (("split", "permute"), ("choice", "split"), ("separate", "sentinels", "choice"), tuple(kinds)):
                self.assertEqual(self.longest_label(spec(*names)), min(expected[name] for name in names), (options, names))

    def test_labels_that_are_too_long_are_no_others(self):
        records = records_of([(4, "a."), (3, "longerlabel."), (4, "bb."), (2, "longerlabel."), (4, "c."), (4, "e" * 12)])
        reserved = (60, [7], [259], "reserved."), (61, [1], [8], "no.")
        good = [record for record in records if len(record[3]) < 5]
        for weights in ((1, 0), (1, 5)):  # alone, and with a denoiser in which the long labels would fit
            denoisers = [of_pattern(choice(9, 9), "split", name="c", weight=1),
                         *[of_pattern("label", "split", name="l", weight=weight) for weight in weights[1:] if weight]]
            spec = make_spec(denoisers, inputs=15, labels=15, label_field="label")
            offered = set()
            for epoch in range(20):
                examples = oracle.examples_of_block(spec, "a", epoch, [reserved[0], *records, reserved[1]])
                self.assertEqual(examples, oracle.examples_of_block(spec, "a", epoch, good))
                self.assertEqual([e["line"] for e in examples], [record[0] for record in good])
                for example in examples:
                    if example["denoiser"] == "c":
                        offered.add(frozenset(self.labels_offered(example)[0]))
            # All three fit with a text of four tokens: 3 of the prompts, 2 + 3 + 2, the text and EOS are 15.
            self.assertEqual(offered, {frozenset({"a", "bb", "c"})})
        # With room for them they are others.
        spec = two_fields(choice(9, 9), "split", spec={"inputs": 60, "labels": 15})
        self.assertEqual(set(self.labels_offered(oracle.examples_of_block(spec, "a", 0, records[:5])[0])[0]),
                         {"a", "bb", "c", "longerlabel"})

    def test_a_long_label_of_ordinary_patterns_is_no_reject(self):
        spec = ul2r(inputs=20, labels=20, label_field="label")
        record = (1, [1000], list(range(2000, 2300)), "x")
        self.assertFalse(oracle.is_reject(spec, record))
        examples = oracle.examples_of_block(spec, "a", 0, [record])
        self.assertEqual([i for segment in segments_of(spec, examples) for i in segment], [1000, *range(2000, 2300)])

    def test_bounds_of_separate_and_permute_are_the_most(self):
        """Over all draws; for `separate` each number is reached where the spans of the parts do not touch."""
        vocabulary = {"eos": 1, "pad": 0, "sentinels": list(range(300, 330))}
        for text, label in itertools.product(range(1, 5), range(1, 6)):
            tokens = [7] * (text + label)
            spec = two_fields({"permute": {"rows": 1000}})
            examples = oracle.examples_of_block(spec, "a", 0, [(1, [7] * text, [8] * label, "x")])
            most = oracle.most_of_record(oracle.Permute(1000), text, label)
            self.assertEqual(max(len(e["input_ids"]) for e in examples), most.kept_and_s + 1)
            self.assertEqual(max(len(e["labels"]) for e in examples), most.noise_and_s + 1)
            self.assertEqual(max(sum(i >= 259 for i in e["labels"]) for e in examples), most.s)
            self.assertLessEqual(max(len(e["input_ids"]) + len(e["labels"]) for e in examples),
                                 most.n + 2 * most.s + 2)
            for roll in ("never", "always"):
                pattern = oracle.pattern_of(of_pattern({"separate": {"text": spans_options(0.4, 1.0, roll), "label": spans_options(0.5, 2.0, roll)}}))
                most = oracle.most_of_record(pattern, text, label)
                masks = distribution(lambda s: tuple(oracle.draw_separate(pattern, text, label, s)))
                for flags in masks:
                    spans = oracle.spans_of_flags(flags)
                    inputs, labels = oracle.encode(tokens, spans, of_pattern("whole"), vocabulary, "none")
                    self.assertLessEqual(len(inputs), most.kept_and_s)
                    self.assertLessEqual(len(labels), most.noise_and_s)
                self.assertEqual({sum(flags) for flags in masks}, {most.noise})
                counts = {len(oracle.spans_of_flags(flags[:text])) + len(oracle.spans_of_flags(flags[text:])) for flags in masks}
                self.assertEqual(max(counts), most.s)

    def test_separate(self):
        """The text's mask, then the label's, from one stream; noise that touches is one span."""
        spec = two_fields(SEPARATE)
        denoiser, = spec["denoisers"]
        merged = 0
        for text, label in itertools.product((1, 2, 7, 60), (1, 2, 9)):
            records = records_of([(text, "l" * label)])
            example, = oracle.examples_of_block(spec, "a", 0, records)
            self.assertEqual(segments_of(spec, [example]), [records[0][1] + records[0][2]])
            stream = oracle.Stream(7, "denoise", "p", "a", 5, 0, 0)
            noise = set()
            if text > 1:
                for a, b in oracle.draw_mask(of_pattern({"random_spans": SEPARATE["separate"]["text"]}), text, stream):
                    noise |= set(range(a, b))
            if label > 1:
                for a, b in oracle.draw_mask(of_pattern({"random_spans": SEPARATE["separate"]["label"]}), label, stream):
                    noise |= set(range(text + a, text + b))
            else:
                noise.add(text)
            tokens = records[0][1] + records[0][2]
            self.assertEqual([i for i in example["labels"] if i not in range(259, 384) and i != 1],
                             [tokens[i] for i in sorted(noise)])
            merged += text > 1 and text in noise  # the text's mask ends with noise
            spans = sum(i in noise and i - 1 not in noise for i in range(len(tokens)))
            self.assertEqual(sum(i in range(259, 384) for i in example["labels"]), spans)
        self.assertGreater(merged, 0)

    def test_permute_all(self):
        for label in ("a", "ab", "abc", "abcd"):
            sets = 2 ** len(label) - 1
            spec = two_fields({"permute": {"rows": sets}})
            examples = oracle.examples_of_block(spec, "a", 0, records_of([(4, label)]))
            self.assertEqual([e["segment"] for e in examples], list(range(sets)))
            for r, example in enumerate(examples):
                noise = {chr(i) for i in example["labels"] if 97 <= i <= 122}
                self.assertEqual(noise, {c for j, c in enumerate(label) if (r + 1) & 2**j})
            self.assertEqual(segments_of(spec, examples), [[1000, 1001, 1002, 1003] + [ord(c) for c in label]] * sets)

    def test_permute_drawn(self):
        spec = two_fields({"permute": {"rows": 6}})
        found = collections.Counter()
        for line in range(1, 401):
            examples = oracle.examples_of_block(spec, "a", 0, [(line, [1000], [97, 98, 99], "abc")])
            self.assertEqual([e["segment"] for e in examples], list(range(6)))
            for r, example in enumerate(examples):  # each row from its own stream
                flags = oracle.draw_label_set(3, oracle.Stream(7, "denoise", "p", "a", line, 0, r))
                self.assertEqual([i for i in example["labels"] if 97 <= i <= 99], [97 + j for j in range(3) if flags[j]])
            found.update(tuple(i for i in e["labels"] if 97 <= i <= 99) for e in examples)
        sets = [s for k in (1, 2, 3) for s in itertools.combinations((97, 98, 99), k)]
        statistic, limit = chi_square(found, {s: 1 / 7 for s in sets})
        self.assertLess(statistic, limit)
        stream = Given([0, 0, 0, 0, 0, 0, 0, 1, 0])
        self.assertEqual((oracle.draw_label_set(3, stream), stream.asked), ([False, True, False], [2] * 9))

    def test_one_denoiser_for_all_rows_of_a_record(self):
        spec = make_spec([of_pattern({"permute": {"rows": 9}}, name="p", weight=2), of_pattern("label", name="l", weight=1)], label_field="label")
        names = collections.Counter()
        for line in range(1, 301):
            examples = oracle.examples_of_block(spec, "a", 0, [(line, [1000], [97, 98, 99], "abc")])
            name, = {e["denoiser"] for e in examples}
            self.assertEqual(len(examples), 7 if name == "p" else 1)
            names[name] += 1
        self.assertLess(abs(names["p"] - 200), 5 * math.sqrt(300 * 2 / 9))

    def labels_offered(self, example):
        """(the texts of the labels in c, the text's tokens); labels are words of letters that end with a dot."""
        ids = example["input_ids"][:-1]
        assert ids[:2] == [901, 902], ids
        end = ids.index(903)
        return "".join(map(chr, ids[2:end])).split(".")[:-1], ids[end + 1:]

    def test_multiple_choice(self):
        records = records_of([(3 + i, name + ".") for i, name in enumerate(["yes", "no", "yes", "maybe", "never", "no", "often"])])
        everything = {"yes", "no", "maybe", "never", "often"}
        for least, most in ((0, 0), (1, 1), (2, 3), (9, 9)):
            spec = two_fields(choice(least, most), "split")
            places, wanted, others = collections.Counter(), collections.Counter(), collections.Counter()
            for epoch in range(300):
                for record, example in zip(records, oracle.examples_of_block(spec, "a", epoch, records), strict=True):
                    offered, text = self.labels_offered(example)
                    own = record[3][:-1]
                    self.assertEqual(text, record[1])
                    self.assertEqual(example["labels"], record[2] + [1])
                    self.assertEqual(len(set(offered)), len(offered))
                    self.assertIn(own, offered)
                    self.assertLessEqual(set(offered), everything)
                    self.assertIn(len(offered) - 1, range(min(least, 4), min(most, 4) + 1))
                    wanted[len(offered) - 1] += 1
                    if record is records[0]:
                        others.update(set(offered) - {own})
                        if len(offered) == 3:
                            places[offered.index(own)] += 1
            if (least, most) == (2, 3):
                for found in (wanted, places, others):
                    keys = {2: 1 / 2, 3: 1 / 2} if found is wanted else {k: 1 / len(found) for k in found}
                    statistic, limit = chi_square(found, keys)
                    self.assertLess(statistic, limit)
                self.assertEqual((set(places), set(others)), ({0, 1, 2}, everything - {"yes"}))

    def test_multiple_choice_draws(self):
        """From one stream in order: wanted, the others, the permutation."""
        records = records_of([(4, "a."), (4, "b."), (4, "a."), (4, "c."), (4, "d.")])
        spec = two_fields(choice(1, 3), "split")
        for record, example in zip(records, oracle.examples_of_block(spec, "a", 2, records), strict=True):
            stream = oracle.Stream(7, "denoise", "p", "a", record[0], 2, 0)
            k = 1 + stream.below(3)
            others = [name for name in "abcd" if name != record[3][0]]
            picked = [others[i] for i in stream.subset(k, 3)] + [record[3][0]]
            self.assertEqual(self.labels_offered(example)[0], [picked[i] for i in stream.permutation(len(picked))])

    def test_multiple_choice_gives_up_labels_before_text(self):
        records = records_of([(10, "a."), (4, "bbbb."), (4, "cc."), (4, "d.")])
        # 2 + 1 ids of the prompts, 10 of the text, EOS, "a.": 16 and no other label; +3 for "cc.", +5 for "bbbb.", +2 for "d.".
        offered = {}
        for inputs in range(7, 27):
            spec = two_fields(choice(3, 3), "split", spec={"inputs": inputs, "labels": 16})
            example = oracle.examples_of_block(spec, "a", 0, records)[0]
            labels, text = self.labels_offered(example)
            offered[inputs] = (set(labels), len(text))
        for inputs in range(7, 27):
            labels = {"a"} | ({"bbbb"} if inputs >= 21 else set()) | ({"cc"} if inputs >= 24 else set()) | ({"d"} if inputs >= 26 else set())
            self.assertEqual(offered[inputs], (labels, min(10, inputs - 6)))
        spec = two_fields(choice(3, 3), "split", spec={"inputs": 6, "labels": 16})
        self.assertEqual([e["line"] for e in oracle.examples_of_block(spec, "a", 0, records)], [])

    def test_refusals(self):
        label, ordinary = of_pattern("label", name="l"), random_spans(0.15, 3.0)
        self.assertRaises(ValueError, oracle.check_spec, make_spec([label, ordinary], label_field="label"))
        self.assertRaises(ValueError, oracle.check_spec, make_spec([label]))
        self.assertRaises(ValueError, oracle.check_spec, make_spec([label], label_field="l", **segmenting("concat", eos_between=False)))
        self.assertRaises(ValueError, oracle.check_spec, two_fields(SEPARATE, "split"))
        self.assertRaises(ValueError, oracle.check_spec, two_fields(choice(1, 2), "sentinels"))
        oracle.check_spec(ul2r(end_mark="."))  # applies to the text alone
        oracle.check_spec(ul2r(end_mark=".", label_field="label"))
        spec = two_fields("label")
        oracle.check_spec(spec)
        spec["denoisers"][0]["segment_length"] = 5
        self.assertRaises(ValueError, oracle.check_spec, spec)
        self.assertRaises(ValueError, oracle.rows_of_document, two_fields("label"), "a", 1, 0, [5, 6])


class Packing(unittest.TestCase):
    def specs(self):
        yield ul2r(inputs=96, labels=96, pack=True)
        yield ul2r(inputs=96, labels=96, pack=True, pad=True)
        yield ul2r(inputs=64, labels=64, eos="labels", pack=True, pad=True, causal=CAUSAL | {"sequence_length": 128})
        yield ul2r(inputs=64, labels=64, pack=True, causal=CAUSAL | {"sequence_length": 90, "separator": 4, "loss": "all"})
        yield two_fields({"permute": {"rows": 5}}, spec={"inputs": 60, "labels": 20, "pack": True, "pad": True})

    def records(self, spec, seed):
        rng = random.Random(seed)
        lengths = [rng.choice((1, 2, 3, 9, 20, 40, 200)) for _ in range(rng.randrange(1, 40))]
        if spec.get("label_field"):
            return records_of([(length, "xyz") for length in lengths])
        return block(lengths)

    def naive(self, spec, examples):
        """Rows as lists of examples: every row is measured again for every example."""
        rows = []
        for example in examples:
            for row in rows:
                ids, labels = (sum(len(e[c]) for e in row + [example]) for c in ("input_ids", "labels"))
                if spec.get("causal"):
                    room = ids <= spec["causal"]["sequence_length"]
                else:
                    room = ids <= spec["inputs_length"] and labels <= spec["labels_length"]
                if room:
                    row.append(example)
                    break
            else:
                rows.append([example])
        return rows

    def test_first_fit(self):
        late = 0
        for spec in self.specs():
            for seed in range(12):
                records = self.records(spec, seed)
                examples = oracle.examples_of_block(spec, "a", 0, records)
                keys = [(e["line"], e["segment"]) for e in examples]
                self.assertEqual(keys, sorted(keys))
                rows = oracle.rows_of_block(spec, "a", 0, records)
                naive = self.naive(spec, examples)
                self.assertEqual([list(zip(row["line"], row["segment"])) for row in rows],
                                 [[(e["line"], e["segment"]) for e in row] for row in naive])
                self.assertEqual([oracle.unpack(spec, row) for row in rows],
                                 [[e for e in row] for row in naive])
                order = [key for row in naive for key in ((e["line"], e["segment"]) for e in row)]
                late += order != keys
        self.assertGreater(late, 0)  # an example went back to an earlier row

    def test_columns(self):
        for spec in self.specs():
            causal = spec.get("causal")
            rows = oracle.rows_of_block(spec, "a", 3, self.records(spec, 5))
            self.assertGreater(len(rows), 1)
            for row in rows:
                self.assertEqual(list(row), oracle.columns_of(spec))
                self.assertEqual((row["source"], row["epoch"]), ("a", 3))
                self.assertEqual(len({len(row[c]) for c in ("denoiser", "line", "segment")}), 1)
                for ids, prefix in (("input_ids", "input"), ("labels", "label")):
                    limit = causal["sequence_length"] if causal else spec[f"{'inputs' if prefix == 'input' else 'labels'}_length"]
                    self.assertLessEqual(len(row[ids]), limit)
                    if spec.get("pad"):
                        self.assertEqual(len(row[ids]), limit)
                    if f"{prefix}_segment_ids" not in row:
                        self.assertTrue(causal and prefix == "label")
                        continue
                    segments, positions = row[f"{prefix}_segment_ids"], row["position_ids" if causal else f"{prefix}_positions"]
                    self.assertEqual(len(segments), len(row[ids]))
                    runs = [(k, len(list(run))) for k, run in itertools.groupby(segments)]
                    padding = runs.pop()[1] if runs[-1][0] == 0 else 0
                    self.assertEqual([k for k, _ in runs], list(range(1, len(row["line"]) + 1)))
                    self.assertEqual(positions, [i for _, length in runs for i in range(length)] + [0] * padding)
                    if padding:
                        self.assertEqual(set(row[ids][-padding:]), {-100 if ids == "labels" else 0})
                    if "attention_mask" in row and prefix == "input":
                        self.assertEqual(row["attention_mask"], [1] * (len(segments) - padding) + [0] * padding)
                if causal:
                    self.assertEqual(len(row["prefix_length"]), len(row["line"]))

    def test_a_row_may_be_exactly_full(self):
        spec = make_spec([of_pattern("whole", "split")], inputs=10, labels=10, eos="none", pack=True)
        lengths = lambda *documents: [len(row["line"]) for row in oracle.rows_of_block(spec, "a", 0, block(documents))]
        self.assertEqual(lengths(5, 5), [2])
        self.assertEqual(lengths(5, 6), [1, 1])
        self.assertEqual(lengths(6, 5, 4, 5), [2, 2])


class OrderAndPadding(unittest.TestCase):
    def test_padding(self):
        for spec in (ul2r(inputs=40, labels=50, pad=True), ul2r(eos="none", inputs=40, labels=50, pad=True, causal=CAUSAL | {"sequence_length": 70})):
            spec["vocabulary"]["pad"] = 2
            plain = {key: value for key, value in spec.items() if key != "pad"}
            rows, bare = (oracle.rows_of_document(s, "a", 1, 0, [5 + i % 250 for i in range(500)]) for s in (spec, plain))
            lengths = (70, 70) if "causal" in spec else (40, 50)
            for row, before in zip(rows, bare, strict=True):
                self.assertEqual((len(row["input_ids"]), len(row["labels"])), lengths)
                n, m = len(before["input_ids"]), len(before["labels"])
                self.assertEqual(row["input_ids"], before["input_ids"] + [2] * (lengths[0] - n))
                self.assertEqual(row["labels"], before["labels"] + [-100] * (lengths[1] - m))
                self.assertEqual(row["attention_mask"], [1] * n + [0] * (lengths[0] - n))
                example, = oracle.unpack(spec, row)
                self.assertEqual((example["input_ids"], example["labels"]), (before["input_ids"], before["labels"]))
        spec["vocabulary"]["pad"] = None
        self.assertRaises(ValueError, oracle.check_spec, spec)

    def test_shuffle(self):
        for pack in (False, True):
            spec = ul2r(inputs=40, labels=50, shuffle=True, pack=pack)
            rows = oracle.rows_of_block(spec, "b", 1, block((70, 200, 3, 90)))
            order = oracle.Stream(7, "shuffle", "", "b", 3, 1, 0).permutation(len(rows))
            self.assertEqual(oracle.shuffled(spec, rows), [rows[place] for place in order])
            self.assertNotEqual(oracle.shuffled(spec, rows), rows)
            self.assertEqual(oracle.shuffled(spec | {"shuffle": False}, rows), rows)
        self.assertEqual(oracle.shuffled(spec, []), [])
        # The line of a packed row is that of its first example.
        rows = oracle.rows_of_block(ul2r(shuffle=True, pack=True), "b", 0, block((20, 25, 30)))
        self.assertEqual([row["line"] for row in rows], [[3, 5, 7]])
        order = oracle.Stream(7, "shuffle", "", "b", 3, 0, 0).permutation(9)
        self.assertEqual(oracle.shuffled(ul2r(shuffle=True), [rows[0] | {"at": i} for i in range(9)]),
                         [rows[0] | {"at": i} for i in order])


class Weights(unittest.TestCase):
    def test_maskings(self):
        weights = [{"sources": "wiki/**", "weight": 2.5}, {"sources": "some", "weight": 0.25}, {"sources": "none", "weight": 0}]
        spec = ul2r(inputs=40, labels=50, epochs=2, weights=weights)
        self.assertEqual([oracle.maskings_of(spec, source) for source in ("wiki/a", "some", "none", "other")],
                         [(5, 0), (0, 500_000), (0, 0), (2, 0)])
        self.assertEqual(oracle.epochs_of(spec), 5)
        masked = lambda source, epoch: sum(oracle.is_masked(spec, source, line, epoch) for line in range(1, 1001))
        self.assertEqual([masked("wiki/a", 4), masked("wiki/a", 5), masked("none", 0), masked("other", 1)], [1000, 0, 0, 1000])
        self.assertTrue(400 < masked("some", 0) < 600)
        records = block((70, 200, 3, 90, 40, 60, 20, 30))
        lines = {e["line"] for e in oracle.examples_of_block(spec, "some", 0, records)}
        self.assertEqual(lines, {line for line, tokens in records if oracle.is_masked(spec, "some", line, 0) and len(tokens) > 1})


class Validation(unittest.TestCase):
    def test_patterns(self):
        for pattern, name, expected in (
                ("*.jsonl", "a.jsonl", True), ("*.jsonl", "x/a.jsonl", False), ("**/a.jsonl", "a.jsonl", True),
                ("**/a.jsonl", "x/y/a.jsonl", True), ("**/a.jsonl", "xa.jsonl", False), ("x/**/a", "x/a", True),
                ("held/**", "held/x/a", True), ("held/**", "held", False), ("h?ld/*", "hald/b", True), ("?", "/", False),
                ("a[1].jsonl", "a[1].jsonl", True), ("a.jsonl", "aXjsonl", False)):
            self.assertEqual(oracle.matches(pattern, name), expected, (pattern, name))

    def test_the_split_of_a_document(self):
        spec = ul2r(inputs=40, labels=50, validation={"share": 0.25})
        splits = [oracle.split_of(spec, "a", line) for line in range(1, 2001)]
        self.assertTrue(400 < splits.count("validation") < 600)
        self.assertNotEqual(splits, [oracle.split_of(spec, "b", line) for line in range(1, 2001)])
        self.assertEqual(oracle.split_of(ul2r(), "a", 1), "train")
        by_name = ul2r(validation={"sources": ["held/**", "b"]})
        self.assertEqual([oracle.split_of(by_name, source, 1) for source in ("held/x", "b", "a")],
                         ["validation", "validation", "train"])
        self.assertRaises(ValueError, oracle.split_of, ul2r(validation={"share": 1.0}), "a", 1)

    def test_a_split_moves_no_example(self):
        records = block((70, 200, 3, 90, 40, 60, 20, 30))
        spec = ul2r(inputs=40, labels=50)
        whole = oracle.examples_of_block(spec, "a", 1, records)
        split = spec | {"validation": {"share": 0.5}}
        parts = [oracle.examples_of_block(split, "a", 1, records, name) for name in oracle.SPLITS]
        self.assertTrue(all(parts))
        self.assertEqual(sorted(parts[0] + parts[1], key=lambda e: (e["line"], e["segment"])), whole)
        # Joined documents are those of one split.
        joining = split | segmenting("concat", eos_between=False)
        for name in oracle.SPLITS:
            lines = {e["line"] for e in oracle.examples_of_block(joining, "a", 1, records, name)}
            self.assertLessEqual(lines, {line for line, _ in records if oracle.split_of(split, "a", line) == name})


try:
    import pyarrow
    import pyarrow.parquet
except ImportError:
    pyarrow = None

# What tests/run builds. The other tests need no tool.
TOOL = pathlib.Path(__file__).resolve().parents[2] / "target" / "ci" / "ul2-prep"


@unittest.skipUnless(pyarrow, "pyarrow is not installed")
class CheckRows(unittest.TestCase):
    """check_rows.py against data sets that are written here, row group by row group."""

    LINES = [b'{"meta":{"text":"%s"},"tag":{"name":" %s "}}\n' % (bytes(97 + (i + j) % 26 for j in range(1 + i * 37 % 211)), b"label %d" % (i % 5))
             for i in range(30)]
    BAD = [b'{"meta":{"text":" \\t"},"tag":{"name":"blank"}}\n', b"\n", b"{}\n", b'{"meta":{"text":"a"},"tag":{"name":"  "}}\n', b'{"meta":{"text":"a"},"tag":[]}\n', b'{"meta":{"text":""},"tag":{"name":"x"}}\n', b"no json\n"]

    def folder(self):
        folder = pathlib.Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, folder)
        return folder

    def write_sources(self, root, two):
        rng = random.Random(4)
        contents = {}
        for name in ("b.jsonl", "a\u00e9.jsonl"):
            lines = list(self.LINES) + self.BAD
            rng.shuffle(lines)
            if not two:
                lines = [json.dumps({"text": json.loads(line)["meta"]["text"]}).encode() + b"\n" if b"meta" in line else line for line in lines]
            contents[name] = lines
            (root / name).write_bytes(b"".join(lines))
        return contents

    def blocks(self, lines, spec, limit):
        """[[(line, text, label or None)]] of a source, read otherwise than by check_rows."""
        blocks, size = [[]], 0
        for number, line in enumerate(lines, start=1):
            if size >= limit:
                blocks.append([])
                size = 0
            size += len(line)
            try:
                value = json.loads(line)
                if spec.get("label_field"):
                    text, label = value["meta"]["text"].strip(), value["tag"]["name"].strip()
                    if text and label:
                        blocks[-1].append((number, text + ".", label + "."))
                else:
                    text = value["text"].strip() if spec.get("end_mark") else value["text"]
                    if text:
                        blocks[-1].append((number, text + (spec.get("end_mark") or ""), None))
            except (ValueError, KeyError, TypeError):
                pass
        return blocks

    def write(self, spec, root, data, limit, group_of=3):
        (data / "data").mkdir(parents=True)
        contents = self.write_sources(root, bool(spec.get("label_field")))
        encode = bytes_tokenizer.encode
        tables = []
        for epoch in range(spec["epochs"]):
            rows, batches = [], []
            for source in sorted(contents):
                for which, block in enumerate(self.blocks(contents[source], spec, limit)):
                    records = [(n, encode(t)) if a is None else (n, encode(t), encode(a), a) for n, t, a in block]
                    rows += oracle.rows_of_block(spec, source, epoch, records)
                    if which % group_of == group_of - 1:  # a batch of some blocks, over the ends of sources
                        batches.append(rows)
                        rows = []
            tables += [oracle.shuffled(spec, batch) for batch in batches + [rows] if batch]
        self.save(spec, data, tables, sorted(contents))
        return tables

    def save(self, spec, data, groups, sources, columns=None):
        columns = columns or oracle.columns_of(spec)
        pa = pyarrow
        ints = {"line": pa.int64(), "segment": pa.int32(), "epoch": pa.int32(), "prefix_length": pa.int32()}
        fields = []
        for column in columns:
            kind = pa.string() if column in ("denoiser", "source") else ints.get(column, pa.int32())
            if column not in ("source", "epoch") and (spec.get("pack") or column not in ("denoiser", *ints)):
                kind = pa.list_(kind)
            fields.append((column, kind))
        schema, half = pa.schema(fields), (len(groups) + 1) // 2
        for file in (data / "data").glob("*"):
            file.unlink()
        for shard, part in enumerate((groups[:half], groups[half:])):
            with pyarrow.parquet.ParquetWriter(data / "data" / f"train-00000-{shard:05}.parquet", schema) as writer:
                for group in part:
                    writer.write_table(pa.Table.from_pylist(group, schema))
        (data / "manifest.json").write_text(json.dumps({"spec": spec, "sources": [{"name": name} for name in sources]}))

    def check(self, data, root, *arguments):
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            try:
                code = check_rows.main([*arguments, str(data), str(root)])
            except SystemExit as stop:
                code = stop.code
        return code, out.getvalue()

    def specs(self):
        fields = {"text_field": "meta.text", "label_field": "tag.name", "end_mark": "."}
        short = {"inputs": 100, "labels": 100, "epochs": 2}
        causal = {"eos": "labels", "causal": CAUSAL | {"sequence_length": 150}}
        yield ul2r(**short)
        yield ul2r(**short, **segmenting("window", tokens=60, start="random"), pad=True)
        yield ul2r(**short, **segmenting("concat", eos_between=True), shuffle=True)
        yield ul2r(**short, pack=True, shuffle=True, pad=True)
        yield ul2r(**short, **causal)
        yield ul2r(**short, **causal, pack=True, pad=True)
        yield ul2r(**short, **fields, **segmenting("concat", eos_between=False))
        yield two_fields(choice(1, 3), "split", spec=short | fields)
        yield two_fields({"permute": {"rows": 3}}, spec=short | fields | {"pack": True})
        yield ul2r(**short, end_mark=".")

    def setUp(self):
        before = oracle.BLOCK_BYTES
        oracle.BLOCK_BYTES = 700
        self.addCleanup(setattr, oracle, "BLOCK_BYTES", before)

    def test_equal_and_every_change_is_found(self):
        for spec in self.specs():
            root, data = self.folder(), self.folder()
            groups = self.write(spec, root, data, 700)
            code, text = self.check(data, root)
            self.assertEqual(code, 0, text)
            self.assertIn("equal: ", text)
            names = ["a\u00e9.jsonl", "b.jsonl"]
            for column in oracle.columns_of(spec):
                value = groups[-1][0][column]
                other = (value[:-1] + ["?" if column == "denoiser" else value[-1] + 1] if isinstance(value, list)
                         else value + "?" if isinstance(value, str) else value + 1)
                changed = groups[:-1] + [[groups[-1][0] | {column: other}] + groups[-1][1:]]
                self.save(spec, data, changed, names)
                code, text = self.check(data, root)
                self.assertEqual(code, 1, (column, text))
                self.assertIn("DIFFERENT", text)
            for changed in (groups[:-1], groups[1:] + groups[:1], groups[:-1] + [groups[-1][1:]], groups + groups[-1:],
                            groups[:-1] + [groups[-1][::-1]], groups[:1] + [groups[1][1:] + groups[1][:1]] + groups[2:]):
                self.save(spec, data, changed, names)
                self.assertEqual(self.check(data, root)[0], 1)
            self.save(spec, data, groups, names)
            self.assertEqual(self.check(data, root)[0], 0)

    def test_blocks_of_another_size_are_found(self):
        for spec in list(self.specs())[2:4] + list(self.specs())[7:8]:
            root, data = self.folder(), self.folder()
            self.write(spec, root, data, 1400)
            self.assertEqual(self.check(data, root)[0], 1)

    def test_columns_and_types(self):
        spec = ul2r(inputs=100, labels=100, pad=True)
        root, data = self.folder(), self.folder()
        self.write(spec, root, data, 700)
        paths = sorted((data / "data").glob("*"))
        tables = [pyarrow.parquet.read_table(path) for path in paths]

        def check(change):
            for path, table in zip(paths, tables):
                pyarrow.parquet.write_table(change(table), path)
            return self.check(data, root)[0]

        self.assertEqual(check(lambda table: table), 0)
        self.assertEqual(check(lambda table: table.drop_columns(["attention_mask"])), 0)
        self.assertEqual(check(lambda table: table.select(table.column_names[::-1])), 0)
        self.assertEqual(check(lambda table: table.drop_columns(["segment"])), 1)
        self.assertEqual(check(lambda table: table.append_column("more", table["segment"])), 1)
        self.assertEqual(check(lambda table: table.append_column("segment", table["segment"])), 1)
        self.assertEqual(check(lambda table: table.append_column("prefix_length", table["segment"])), 1)
        self.assertEqual(check(lambda table: table.append_column("input_positions", table["labels"])), 1)
        wide = lambda name, kind: lambda table: table.set_column(table.schema.get_field_index(name), name, table[name].cast(kind))
        self.assertEqual(check(wide("segment", pyarrow.int64())), 1)
        self.assertEqual(check(wide("labels", pyarrow.list_(pyarrow.int64()))), 1)

    def test_chosen_columns(self):
        """What is there is compared, in any order; what is not is said."""
        names = ["a\u00e9.jsonl", "b.jsonl"]
        for number, spec in enumerate(self.specs()):
            root, data = self.folder(), self.folder()
            groups = [[{"attention_mask": [1] * len(row["input_ids"])} | row for row in group]
                      for group in self.write(spec, root, data, 700)]
            usual, keys = oracle.columns_of(spec), list(check_rows.KEYS)
            every = list(dict.fromkeys([*usual, "attention_mask"]))
            random.Random(number).shuffle(every)
            for columns in (usual[::-1], every, keys, ["attention_mask", *keys[::-1]]):
                self.save(spec, data, groups, names, columns)
                code, text = self.check(data, root)
                self.assertEqual(code, 0, (columns, text))
                absent = [name for name in usual if name not in columns]
                said = [line for line in text.splitlines() if line.startswith("not in the data set")]
                self.assertEqual(said, [f"not in the data set, so not compared: {', '.join(absent)}"] if absent else [])
                if check_rows.is_plain(spec):
                    self.assertEqual(self.check(data, root, "--sample", "3")[0], 0)
            for column in every:
                value = groups[-1][0][column]
                other = (value[:-1] + ["?" if column == "denoiser" else value[-1] + 1] if isinstance(value, list)
                         else value + "?" if isinstance(value, str) else value + 1)
                self.save(spec, data, groups[:-1] + [[groups[-1][0] | {column: other}] + groups[-1][1:]], names, every)
                code, text = self.check(data, root)
                self.assertEqual(code, 1, (column, text))
                self.assertIn("DIFFERENT", text)

    def test_missing_columns_are_named(self):
        spec = ul2r(inputs=100, labels=100)
        root, data = self.folder(), self.folder()
        groups = self.write(spec, root, data, 700)
        names = ["a\u00e9.jsonl", "b.jsonl"]
        for key in check_rows.KEYS:
            self.save(spec, data, groups, names, [name for name in check_rows.KEYS if name != key])
            code, text = self.check(data, root)
            self.assertEqual((code, text), (1, f"train-00000-00000.parquet: no column {key}, without which rows cannot be compared\n"))
        self.save(spec, data, groups, names, ["input_ids", "labels"])
        code, text = self.check(data, root)
        self.assertEqual(code, 1)
        self.assertEqual([line.split()[3].rstrip(",") for line in text.splitlines()], ["source", "line", "segment", "epoch", "denoiser"])

    def test_columns_of_a_file_as_of_the_others(self):
        spec = ul2r(inputs=100, labels=100)
        root, data = self.folder(), self.folder()
        self.write(spec, root, data, 700)
        path = data / "data" / "train-00000-00001.parquet"
        table = pyarrow.parquet.read_table(path)
        pyarrow.parquet.write_table(table.select(table.column_names[::-1]), path)
        code, text = self.check(data, root)
        self.assertEqual(code, 1)
        self.assertIn("train-00000-00001.parquet: the columns are ['epoch', ", text)

    @unittest.skipUnless(TOOL.exists(), f"no {TOOL}")
    def test_chosen_columns_of_the_tool(self):
        oracle.BLOCK_BYTES = 2**23
        chosen = "labels,epoch,prefix_length,source,input_ids,line,segment,denoiser"
        for columns, options in ((chosen, ("--layout", "causal")), (chosen, ("--layout", "causal", "--pack", "--shuffle")),
                                 (f"attention_mask,{chosen}", ("--layout", "causal", "--pad"))):
            root, data = self.folder(), self.folder() / "out"
            self.write_sources(root, False)
            subprocess.run([TOOL, "run", root, "--out", data, "--columns", columns, "--seed", "3", "--epochs", "2", "--max-rejects", "10",
                            "--inputs-length", "100", "--labels-length", "100", "--quiet", *options], check=True, capture_output=True)
            for path in check_rows.files_of(data):
                self.assertEqual(pyarrow.parquet.read_schema(path).names, columns.split(","))
            code, text = self.check(data, root)
            self.assertEqual(code, 0, text)
            self.assertIn("equal: ", text)

    def test_sample(self):
        for spec in self.specs():
            root, data = self.folder(), self.folder()
            groups = self.write(spec, root, data, 700)
            code, text = self.check(data, root, "--sample", "3")
            if not check_rows.is_plain(spec):
                self.assertEqual(code, 2)
                self.assertIn("whole blocks", text)
                continue
            self.assertEqual(code, 0, text)
            groups[0][0]["labels"][0] += 1
            self.save(spec, data, groups, ["a\u00e9.jsonl", "b.jsonl"])
            self.assertEqual(self.check(data, root, "--sample", "3")[0], 1)

    def test_fields(self):
        spec = {"text_field": "a.b", "label_field": "c", "end_mark": ".", "max_line": 100}
        for raw, fields in ((b'{"a":{"b":"x"},"c":" y! "}', ("x.", "y!")), (b'{"a":{"b":"x"},"c":"y","c":"z"}', ("x.", "z.")),
                            (b'{"a":{"b":"x"}}', None), (b'{"a":{"b":"x"},"c":""}', None), (b'{"a":{"b":"x"},"c":5}', None),
                            (b'{"a":{"b":" "},"c":"y"}', None), (b'{"a.b":"x","c":"y"}', None), (b'{"a":["b"],"c":"y"}', None),
                            (b'{"a":{"b":"\\ud800"},"c":"y"}', None), (b'{"a":{"b":"x"},"c":"\\ud800","c":"y"}', None),
                            (b'{"a":{"b":"x"},"c":"y","\\ud800":1}', None), (b'{"a":{"b":"x"},"c":"y","d":"\\ud800"}', ("x.", "y.")),
                            (b'{"a":{"b":"x"},"c":"' + b"y" * 100 + b'"}', None)):
            self.assertEqual(check_rows.fields_of_line(raw, spec), fields, raw)
        self.assertEqual(check_rows.fields_of_line(b'{"t":" x "}', {"text_field": "t", "max_line": 100}), (" x ",))

    def test_end_mark_of_one_field(self):
        spec = {"text_field": "t", "label_field": None, "end_mark": ".", "max_line": 100}
        for raw, fields in ((b'{"t":" x "}', ("x.",)), (b'{"t":"x?\\u3000"}', ("x?",)), (b'{"t":" \\u00a0 "}', None), (b'{"t":""}', None),
                            (b'{"t":"x","label":5}', ("x.",)), (b'{"u":"x"}', None)):
            self.assertEqual(check_rows.fields_of_line(raw, spec), fields, raw)
            self.assertEqual(check_rows.fields_of_line(raw, {name: value for name, value in spec.items() if name != "label_field"}), fields)

    def test_labels_that_are_too_long_are_rejects(self):
        """Also where another denoiser is chosen, in which the label would fit; and their labels are not offered."""
        labels = ["yes", "no", "l" * 30, "maybe", "yes", "m" * 40, "z" * 30]
        oracle.BLOCK_BYTES = 2**23
        root, data = self.folder(), self.folder()
        (data / "data").mkdir()
        (root / "a.jsonl").write_text("".join(json.dumps({"text": "some text", "label": label}) + "\n" for label in labels))
        encode = bytes_tokenizer.encode
        records = [(line, encode("some text."), encode(label + "."), label + ".") for line, label in enumerate(labels, start=1)]
        names = set()
        # Three ids of the prompts, one of the text and EOS leave 35 of 40 for the label, 45 of 50.
        for inputs, rejects, seed in ((40, 1, 1), (40, 1, 2), (40, 1, 3), (40, 1, 4), (50, 0, 1)):
            spec = make_spec([of_pattern(choice(9, 9), "split", name="c"), of_pattern("label", "split", name="l")], inputs=inputs, labels=50,
                             seed=seed, label_field="label", end_mark=".")
            rows = oracle.rows_of_block(spec, "a.jsonl", 0, [r for r in records if not rejects or r[0] != 6])
            self.save(spec, data, [rows], ["a.jsonl"])
            code, text = self.check(data, root)
            self.assertEqual(code, 0, text)
            self.assertIn(f"equal: {7 - rejects} rows of {7 - rejects} documents recomputed; the data set has {7 - rejects} rows, "
                          f"its 1 sources {7 - rejects} documents and {rejects} rejects", text)
            if rejects:
                names.add(oracle.chosen_denoiser(spec, "a.jsonl", 6, 0, 0)["name"])
                self.save(spec, data, [rows[:5] + [rows[4] | {"line": 6}] + rows[5:]], ["a.jsonl"])
                self.assertEqual(self.check(data, root)[0], 1)
        self.assertEqual(names, {"c", "l"})

    def test_rejects_by_tokens_are_counted(self):
        spec = make_spec([suffix()], inputs=50, labels=50)
        spec["vocabulary"]["mode_tokens"] = [3 + ord("#")]
        root, data = self.folder(), self.folder()
        (data / "data").mkdir()
        (root / "a.jsonl").write_bytes(b'{"text":"one"}\n{"text":"tw#"}\n\n{"text":"three"}\n{}\n')
        rows = [row for line, text in ((1, "one"), (4, "three")) for row in oracle.rows_of_document(spec, "a.jsonl", line, 0, bytes_tokenizer.encode(text))]
        self.save(spec, data, [rows], ["a.jsonl"])
        for arguments, found in (((), "2 documents recomputed; the data set has 2 rows, its 1 sources 2 documents and 2 rejects"),
                                 (("--sample", "2"), "2 documents recomputed; the data set has 2 rows, its 1 sources 3 documents and 1 rejects")):
            code, text = self.check(data, root, *arguments)
            self.assertEqual(code, 0, text)
            self.assertIn(found, text)


class Vectors(unittest.TestCase):
    def vectors(self):
        address = {"seed": str(2**64 - 1), "role": "denoise", "denoiser": "r", "source": "a", "line": 5, "epoch": 1, "segment": 2}
        make = lambda: check_vectors.stream_of(address)
        stream, below, pattern = make(), make(), random_spans(0.15, 3.0)["pattern"]
        spec, packing = ul2r(inputs=64, labels=64), ul2r(inputs=64, labels=64, pack=True)
        return json.loads(json.dumps({
            "comment": "", "masking_version": 1,
            "streams": [{**address, "words": [stream.word() for _ in range(8)]}],
            "below": [{**address, "n": 10, "values": [below.below(10) for _ in range(16)]}],
            "subsets": [{**address, "k": 3, "n": 9, "values": make().subset(3, 9)}],
            "masks": [{**address, "length": 40, "pattern": pattern,
                       "spans": oracle.draw_mask({"pattern": pattern}, 40, make())}],
            "documents": [{"spec": spec, "source": "a", "line": 1, "epoch": 0, "length": 200,
                           "rows": oracle.rows_of_document(spec, "a", 1, 0, painted(200))}],
            "permutations": [{**address, "n": 9, "values": make().permutation(9)}],
            "blocks": [{"spec": packing, "source": "a", "epoch": 1, "records": block((40, 9, 200)),
                        "rows": oracle.rows_of_block(packing, "a", 1, block((40, 9, 200)))}],
        }))

    def test_a_change_anywhere_is_found(self):
        counts, messages = check_vectors.check(self.vectors())
        self.assertEqual((counts, messages), ({kind: 1 for kind in check_vectors.KINDS + check_vectors.MORE_KINDS}, []))
        for kind, change in (("streams", lambda v: v["streams"][0]["words"].__setitem__(7, 0)),
                             ("below", lambda v: v["below"][0]["values"].__setitem__(15, 11)),
                             ("subsets", lambda v: v["subsets"][0].update(line=6)),
                             ("masks", lambda v: v["masks"][0]["spans"].pop()),
                             ("documents", lambda v: v["documents"][0]["rows"][0]["labels"].__setitem__(1, 0)),
                             ("documents", lambda v: v["documents"][0]["rows"].pop()),
                             ("documents", lambda v: v["documents"][0]["spec"]["denoisers"][0].update(segment_length=9)),
                             ("permutations", lambda v: v["permutations"][0]["values"].reverse()),
                             ("blocks", lambda v: v["blocks"][0]["rows"].pop()),
                             ("blocks", lambda v: v["blocks"][0]["rows"][0]["input_positions"].__setitem__(1, 0)),
                             ("blocks", lambda v: v["blocks"][0].update(epoch=0)),
                             ("masking_version", lambda v: v.update(masking_version=2))):
            vectors = self.vectors()
            change(vectors)
            messages = check_vectors.check(vectors)[1]
            self.assertTrue(messages and all(m.startswith(kind) for m in messages), (kind, messages))


if __name__ == "__main__":
    unittest.main()
