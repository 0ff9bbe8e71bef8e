"""A second implementation of docs/masking.md, made from that page alone.

It is written to be compared with the page, not to be fast. The section numbers are the page's. It needs Python 3.11
and the package `cryptography`.
"""

import functools
import hashlib
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

MASKING_VERSION = 1
MILLION = 1_000_000


# 1. Numbers

def millionths(value):
    """A ratio of a spec, as its count of millionths."""
    return round(value * 1e6)


def round_ratio(p, q):
    """round(p / q), half to even, on integers."""
    whole, rest = divmod(p, q)
    if 2 * rest > q or (2 * rest == q and whole % 2 == 1):
        whole += 1
    return whole


def clamp(value, low, high):
    return max(low, min(value, high))


# 2. Streams

def part(x):
    return struct.pack("<Q", len(x)) + x


@functools.lru_cache(maxsize=4096)
def stream_key(seed, role, denoiser, source):
    text = part(b"ul2-prep masking v1") + part(struct.pack("<Q", seed))
    for name in (role, denoiser, source):
        text += part(name.encode("utf-8"))
    return hashlib.sha256(text).digest()


class Stream:
    """The words of one (seed, role, denoiser, source, line, epoch, segment), and the samplers of section 3."""

    WORD_RANGE = 2**32
    WORDS_OWNED = 2**20

    def __init__(self, seed, role, denoiser, source, line, epoch, segment):
        if role not in ("choose", "denoise") or (role == "choose" and denoiser != ""):
            raise ValueError(f"no stream has the role {role!r} and the denoiser {denoiser!r}")
        if not (0 <= epoch < 2**16 and 0 <= segment < 2**32 and 0 <= line < 2**64):
            raise ValueError(f"no stream has line {line}, epoch {epoch}, segment {segment}")
        # The 16 bytes that `cryptography` calls the nonce are words 12 to 15 of the state.
        state_end = struct.pack("<QQ", epoch * 2**48 + segment * 2**16, line)
        key = stream_key(seed, role, denoiser, source)
        self._cipher = Cipher(algorithms.ChaCha20(key, state_end), mode=None).encryptor()
        self._words = []
        self._next = 0
        self._read = 0

    def word(self):
        if self._next == len(self._words):
            # 16 words first, then as many as there have been. The doubling ends exactly at the words the segment
            # owns, so the low half of word 12 never overflows.
            count = max(16, self._read)
            if self._read + count > self.WORDS_OWNED:
                raise OverflowError("the segment has used all of its words")
            self._words = struct.unpack(f"<{count}I", self._cipher.update(bytes(4 * count)))
            self._next = 0
            self._read += count
        self._next += 1
        return self._words[self._next - 1]

    # 3. Samplers

    def below(self, n):
        if not 1 <= n < self.WORD_RANGE:
            raise ValueError(f"below({n})")
        m = self.word() * n
        while m % self.WORD_RANGE < (self.WORD_RANGE - n) % n:
            m = self.word() * n
        return m // self.WORD_RANGE

    def subset(self, k, n):
        if not 0 <= k <= n:
            raise ValueError(f"subset({k}, {n})")
        chosen = set()
        for j in range(n - k, n):
            t = self.below(j + 1)
            chosen.add(j if t in chosen else t)
        return sorted(chosen)

    def composition(self, total, parts):
        if not 1 <= parts <= total:
            raise ValueError(f"composition({total}, {parts})")
        cuts = [c + 1 for c in self.subset(parts - 1, total - 1)]
        return [end - start for start, end in zip([0] + cuts, cuts + [total])]

    def choose(self, weights):
        x = self.below(sum(weights))
        cumulative = 0
        for index, weight in enumerate(weights):
            cumulative += weight
            if cumulative > x:
                return index
        raise AssertionError("x is below the sum of the weights")


# 5. Noise

def noise_counts(n, density, mean):
    """(noise, spans) of a segment of n tokens; density and mean in millionths."""
    noise = clamp(round_ratio(n * density, MILLION), 1, n - 1)
    spans = clamp(round_ratio(noise * MILLION, mean), 1, min(noise, n - noise))
    return noise, spans


def pattern_of(denoiser):
    (kind, options), = denoiser["pattern"].items()
    if kind == "suffix" and options["split"] == "uniform":
        return kind, None
    if kind == "random_spans" and options["roll"] in ("single-span", "always", "never"):
        return kind, (millionths(options["noise_density"]), millionths(options["mean_span_length"]), options["roll"])
    raise ValueError(f"unknown pattern {denoiser['pattern']!r}")


def is_rolled(roll, spans):
    return roll == "always" or (roll == "single-span" and spans == 1)


def spans_of_flags(flags):
    """The maximal runs of true flags, as (start, end)."""
    spans = []
    for i, flag in enumerate(flags):
        if flag and (i == 0 or not flags[i - 1]):
            start = i
        if flag and (i + 1 == len(flags) or not flags[i + 1]):
            spans.append((start, i + 1))
    return spans


def draw_mask(denoiser, n, stream):
    """The noise spans of a segment of n tokens, as (start, end), left to right."""
    if n < 2:
        raise ValueError(f"a segment of {n} tokens has no mask")
    kind, options = pattern_of(denoiser)
    if kind == "suffix":
        prefix = 1 + stream.below(n - 1)
        return [(prefix, n)]
    density, mean, roll = options
    noise, spans = noise_counts(n, density, mean)
    noise_lengths = stream.composition(noise, spans)
    kept_lengths = stream.composition(n - noise, spans)
    flags = []
    for kept_length, noise_length in zip(kept_lengths, noise_lengths):
        flags += [False] * kept_length + [True] * noise_length
    if is_rolled(roll, spans):
        s = stream.below(n)
        rolled = [None] * n
        for i, flag in enumerate(flags):
            rolled[(i + s) % n] = flag
        flags = rolled
    return spans_of_flags(flags)


# 6. Segment length

def mode_ids(denoiser):
    return list(denoiser.get("mode_token") or [])


def eos_at(eos):
    """(1 if EOS ends the inputs, 1 if EOS ends the labels)."""
    return {"both": (1, 1), "labels": (0, 1), "none": (0, 0)}[eos]


def largest_lengths(n, kind, options, layout, mode, eos):
    """(inputs, labels, sentinels): the most that a segment of n tokens can need."""
    eos_i, eos_l = eos_at(eos)
    if layout == "split":
        return mode + n - 1 + eos_i, n - 1 + eos_l, 0
    if layout != "sentinels":
        raise ValueError(f"unknown layout {layout!r}")
    if kind == "suffix":
        # The page's table is for one count of noise. A suffix draws it: at least 1, at most n - 1, in one span.
        return mode + (n - 1) + 1 + eos_i, (n - 1) + 1 + eos_l, 1
    density, mean, roll = options
    noise, spans = noise_counts(n, density, mean)
    s = spans + (1 if is_rolled(roll, spans) and noise > spans else 0)
    return mode + n - noise + s + eos_i, noise + s + eos_l, s


@functools.lru_cache(maxsize=None)
def _segment_length(kind, options, layout, mode, eos, inputs_length, labels_length, sentinel_count):
    n = 1
    while True:
        inputs, labels, sentinels = largest_lengths(n + 1, kind, options, layout, mode, eos)
        if inputs > inputs_length or labels > labels_length:
            return n, "lengths"
        if sentinels > sentinel_count:
            return n, "sentinels"
        n += 1


def segment_length(denoiser, spec):
    """(L, "lengths" or "sentinels": the limit that keeps L + 1 out). L = 1 where not even two tokens fit."""
    kind, options = pattern_of(denoiser)
    return _segment_length(kind, options, denoiser["layout"], len(mode_ids(denoiser)), spec["eos"],
                           spec["inputs_length"], spec["labels_length"], len(spec["vocabulary"]["sentinels"]))


# 7. Rows

def encode(tokens, spans, denoiser, vocabulary, eos):
    """(input_ids, labels) of a segment."""
    eos_i, eos_l = eos_at(eos)
    inputs, labels = mode_ids(denoiser), []
    if denoiser["layout"] == "split":
        (start, end), = spans
        if end != len(tokens):
            raise ValueError("the split layout needs a suffix")
        inputs += tokens[:start]
        labels += tokens[start:]
    else:
        at = 0
        for k, (start, end) in enumerate(spans):
            sentinel = vocabulary["sentinels"][k]
            inputs += tokens[at:start] + [sentinel]
            labels += [sentinel] + tokens[start:end]
            at = end
        inputs += tokens[at:]
    return inputs + [vocabulary["eos"]] * eos_i, labels + [vocabulary["eos"]] * eos_l


def decode(input_ids, labels, denoiser, vocabulary, eos):
    """The segment of a row."""
    eos_i, eos_l = eos_at(eos)
    mode = mode_ids(denoiser)
    if input_ids[:len(mode)] != mode:
        raise ValueError("the inputs do not start with the mode token")
    for ids, ends in ((input_ids, eos_i), (labels, eos_l)):
        if ends and ids[-1] != vocabulary["eos"]:
            raise ValueError("a sequence does not end with EOS")
    inputs = input_ids[len(mode):len(input_ids) - eos_i]
    labels = labels[:len(labels) - eos_l]
    if denoiser["layout"] == "split":
        return inputs + labels
    sentinels = set(vocabulary["sentinels"])
    noise, current = {}, None
    for token in labels:
        if token in sentinels:
            if token in noise:
                raise ValueError(f"the labels have sentinel {token} twice")
            current = noise[token] = []
        elif current is None:
            raise ValueError("the labels do not start with a sentinel")
        else:
            current.append(token)
    segment = []
    for token in inputs:
        segment += noise.pop(token) if token in sentinels else [token]
    if noise:
        raise ValueError("the labels have a sentinel that the inputs have not")
    return segment


def reserved_ids(spec):
    """The ids that no text may have."""
    vocabulary = spec["vocabulary"]
    return {vocabulary["eos"], vocabulary["pad"], *vocabulary["sentinels"], *vocabulary.get("mode_tokens", [])}


# 4. From a document to segments

def check_spec(spec):
    """Refuse a spec that this module does not know or that records another segment length than section 6 gives."""
    if spec["masking_version"] != MASKING_VERSION:
        raise ValueError(f"masking version {spec['masking_version']}")
    if spec["min_segment"] < 2:
        raise ValueError(f"min_segment {spec['min_segment']}")
    for denoiser in spec["denoisers"]:
        length, _ = segment_length(denoiser, spec)
        if denoiser["segment_length"] != length:
            raise ValueError(f"denoiser {denoiser['name']}: the spec records segment length "
                             f"{denoiser['segment_length']}, the page gives {length}")
        if length < 2 * spec["min_segment"] - 1:
            raise ValueError(f"denoiser {denoiser['name']}: segment length {length} is too short")


def rows_of_document(spec, source, line, epoch, tokens):
    """The rows of one document in one epoch: none if it is shorter than min_segment or a reject."""
    check_spec(spec)
    tokens = list(tokens)
    n, min_segment = len(tokens), spec["min_segment"]
    if n < min_segment or not reserved_ids(spec).isdisjoint(tokens):
        return []
    rows, p, i = [], 0, 0
    while p < n:
        choice = Stream(spec["seed"], "choose", "", source, line, epoch, i)
        denoiser = spec["denoisers"][choice.choose([d["weight"] for d in spec["denoisers"]])]
        length = min(segment_length(denoiser, spec)[0], n - p)
        if 1 <= n - p - length < min_segment:
            length = n - p - min_segment
        segment = tokens[p:p + length]
        stream = Stream(spec["seed"], "denoise", denoiser["name"], source, line, epoch, i)
        spans = draw_mask(denoiser, length, stream)
        inputs, labels = encode(segment, spans, denoiser, spec["vocabulary"], spec["eos"])
        rows.append({"input_ids": inputs, "labels": labels, "denoiser": denoiser["name"], "source": source,
                     "line": line, "segment": i, "epoch": epoch})
        p += length
        i += 1
    return rows
