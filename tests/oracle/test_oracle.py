"""Tests of the Python implementation: python -m unittest discover tests/oracle"""

import collections
import fractions
import itertools
import json
import math
import random
import struct
import unittest

import bytes_tokenizer
import check_vectors
import oracle

Fraction = fractions.Fraction
MASK32 = 2**32 - 1


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


def random_spans(density, mean, roll="never", layout="sentinels", mode_token=(), name="r", weight=1):
    return {"name": name, "mode": "R", "weight": weight, "layout": layout, "mode_token": list(mode_token),
            "pattern": {"random_spans": {"noise_density": density, "mean_span_length": mean, "roll": roll}}}


def suffix(layout="split", mode_token=(), name="s", weight=1):
    return {"name": name, "mode": "S", "weight": weight, "layout": layout, "mode_token": list(mode_token),
            "pattern": {"suffix": {"split": "uniform"}}}


def make_spec(denoisers, inputs=512, labels=512, eos="both", sentinels=125, min_segment=2, seed=7, epochs=1):
    spec = {"masking_version": 1, "seed": seed, "epochs": epochs, "text_field": "text", "max_line": 67108864,
            "inputs_length": inputs, "labels_length": labels, "min_segment": min_segment, "eos": eos,
            "recipe": "test", "denoisers": denoisers, "tokenizer": {"kind": "bytes"},
            "vocabulary": {"size": 259 + sentinels, "eos": 1, "pad": 0, "sentinels": list(range(259, 259 + sentinels))}}
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


def distribution(draw):
    """The exact distribution of draw(stream), by giving every possible sequence of answers of `below`."""
    outcomes, answers = collections.Counter(), []
    while True:
        stream = Given(answers)
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


SHAPES = [(d, m) for d in (0.05, 0.15, 0.25, 0.5, 0.75) for m in (1.0, 1.5, 3.0, 8.0, 32.0) if d <= m * (1 - d)]


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
        yield suffix(mode_token=(40,))
        yield suffix("sentinels")

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
                    kind, options = oracle.pattern_of(denoiser)
                    most = oracle.largest_lengths(n, kind, options, denoiser["layout"],
                                                  len(denoiser["mode_token"]), eos)
                    self.assertLessEqual(len(inputs), most[0])
                    self.assertLessEqual(len(labels), most[1])
                    in_order = [i for i in inputs if i > 258]
                    self.assertEqual(in_order, [i for i in labels if i > 258])
                    self.assertEqual(in_order, vocabulary["sentinels"][:len(in_order)])
                    self.assertLessEqual(len(in_order), most[2])
                if kind == "random_spans":
                    density, mean, roll = options
                    noise, count = oracle.noise_counts(n, density, mean)
                    self.assertEqual(sum(b - a for a, b in spans), noise)
                    self.assertIn(len(spans) - count, (0, 1) if oracle.is_rolled(roll, count) else (0,))

    def test_largest_lengths_are_reached(self):
        """The table of section 6 is the maximum over all draws, for every small length."""
        vocabulary = {"eos": 1, "pad": 0, "sentinels": list(range(300, 320))}
        for denoiser in self.denoisers():
            kind, options = oracle.pattern_of(denoiser)
            mode = len(denoiser["mode_token"])
            for n in range(2, 8):
                masks = distribution(lambda s: tuple(oracle.draw_mask(denoiser, n, s)))
                for eos in ("both", "labels", "none"):
                    rows = [oracle.encode([7] * n, mask, denoiser, vocabulary, eos) for mask in masks]
                    sentinels = [sum(i >= 300 for i in inputs) for inputs, _ in rows]
                    self.assertEqual((max(len(i) for i, _ in rows), max(len(o) for _, o in rows), max(sentinels)),
                                     oracle.largest_lengths(n, kind, options, denoiser["layout"], mode, eos))

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
            kind, options = oracle.pattern_of(denoiser)
            self.assertEqual(oracle.largest_lengths(length, kind, options, "sentinels", 0, "both")[1],
                             511 if (mean, density) == (32, .5) else labels)

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
                    kind, options = oracle.pattern_of(denoiser)
                    fits = []
                    for n in range(2, length + 2):
                        i, o, s = oracle.largest_lengths(n, kind, options, "sentinels", 0, "both")
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


class Vectors(unittest.TestCase):
    def vectors(self):
        address = {"seed": str(2**64 - 1), "role": "denoise", "denoiser": "r", "source": "a", "line": 5, "epoch": 1, "segment": 2}
        make = lambda: check_vectors.stream_of(address)
        stream, below, pattern = make(), make(), random_spans(0.15, 3.0)["pattern"]
        spec = ul2r(inputs=64, labels=64)
        return json.loads(json.dumps({
            "comment": "", "masking_version": 1,
            "streams": [{**address, "words": [stream.word() for _ in range(8)]}],
            "below": [{**address, "n": 10, "values": [below.below(10) for _ in range(16)]}],
            "subsets": [{**address, "k": 3, "n": 9, "values": make().subset(3, 9)}],
            "masks": [{**address, "length": 40, "pattern": pattern,
                       "spans": oracle.draw_mask({"pattern": pattern}, 40, make())}],
            "documents": [{"spec": spec, "source": "a", "line": 1, "epoch": 0, "length": 200,
                           "rows": oracle.rows_of_document(spec, "a", 1, 0, painted(200))}],
        }))

    def test_a_change_anywhere_is_found(self):
        counts, messages = check_vectors.check(self.vectors())
        self.assertEqual((counts, messages), ({kind: 1 for kind in check_vectors.KINDS}, []))
        for kind, change in (("streams", lambda v: v["streams"][0]["words"].__setitem__(7, 0)),
                             ("below", lambda v: v["below"][0]["values"].__setitem__(15, 11)),
                             ("subsets", lambda v: v["subsets"][0].update(line=6)),
                             ("masks", lambda v: v["masks"][0]["spans"].pop()),
                             ("documents", lambda v: v["documents"][0]["rows"][0]["labels"].__setitem__(1, 0)),
                             ("documents", lambda v: v["documents"][0]["rows"].pop()),
                             ("documents", lambda v: v["documents"][0]["spec"]["denoisers"][0].update(segment_length=9)),
                             ("masking_version", lambda v: v.update(masking_version=2))):
            vectors = self.vectors()
            change(vectors)
            messages = check_vectors.check(vectors)[1]
            self.assertTrue(messages and all(m.startswith(kind) for m in messages), (kind, messages))


if __name__ == "__main__":
    unittest.main()
