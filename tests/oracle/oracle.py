"""A second implementation of docs/reference/masking.md, made from that page alone.

It is written to be compared with the page, not to be fast. The section numbers are the page's. It needs Python 3.11
and the package `cryptography`.
"""

import collections
import dataclasses
import functools
import hashlib
import math
import re
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

MASKING_VERSION = 1
MILLION = 1_000_000


# 1. Numbers

def millionths(value):
    """A ratio of a spec, as its count of millionths."""
    count = round(value * 1e6)
    if not 0 <= count <= 2**20 * MILLION:
        raise ValueError(f"{value} is no ratio")
    return count


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
        if role not in ("denoise", "choose", "window", "shuffle", "validation", "weight") or (role != "denoise" and denoiser != ""):
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

    def permutation(self, n):
        items = list(range(n))
        for i in range(n - 1, 0, -1):
            j = self.below(i + 1)
            items[i], items[j] = items[j], items[i]
        return items

    def choose(self, weights):
        x = self.below(sum(weights))
        cumulative = 0
        for index, weight in enumerate(weights):
            cumulative += weight
            if cumulative > x:
                return index
        raise AssertionError("x is below the sum of the weights")


# 5. Noise

@dataclasses.dataclass(frozen=True)
class RandomSpans:
    """Density, mean span length and standard deviation are in millionths; `share` says that the mean is one."""

    density: int
    mean: int
    share: bool
    law: str
    std: int
    roll: str


@dataclasses.dataclass(frozen=True)
class IndependentTokens:
    density: int


@dataclasses.dataclass(frozen=True)
class Union:
    parts: tuple


@dataclasses.dataclass(frozen=True)
class Suffix:
    split: str
    share: int


@dataclasses.dataclass(frozen=True)
class Whole:
    pass


# The kinds of section 8.

@dataclasses.dataclass(frozen=True)
class Label:
    pass


@dataclasses.dataclass(frozen=True)
class Separate:
    text: RandomSpans
    label: RandomSpans


@dataclasses.dataclass(frozen=True)
class Permute:
    rows: int


@dataclasses.dataclass(frozen=True)
class MultipleChoice:
    least: int
    most: int
    label_prompt: tuple
    text_prompt: tuple


LABEL_KINDS = (Label, Separate, Permute, MultipleChoice)


def only_item(value):
    """The name and the options of what a spec writes as "name" or as {"name": options}."""
    if isinstance(value, str):
        return value, {}
    (name, options), = value.items()
    return name, options


def random_spans_of(options):
    """The pattern of what `random_spans` holds. Outside of the ranges that the page gives it is refused."""
    mean, share = options["mean_span_length"], False
    if isinstance(mean, dict):
        (name, mean), = mean.items()
        share = True
        if name != "share":
            raise ValueError(f"unknown mean span length {options['mean_span_length']!r}")
    law, law_options = only_item(options.get("law", "t5"))
    if law not in ("t5", "uniform", "geometric", "normal") or options["roll"] not in ("single-span", "always", "never"):
        raise ValueError(f"unknown law or roll in {options!r}")
    std = millionths(law_options["std"]) if law == "normal" else 0
    density, mean = millionths(options["noise_density"]), millionths(mean)
    if not 0 < density < MILLION or std < 0:
        raise ValueError(f"density or standard deviation out of range in {options!r}")
    if share and not 0 < mean < MILLION or not share and mean < MILLION:
        raise ValueError(f"mean span length out of range in {options!r}")
    return RandomSpans(density, mean, share, law, std, options["roll"])


def suffix_of(options):
    split, share = only_item(options["split"])
    if split == "uniform":
        return Suffix(split, 0)
    if split not in ("up_to", "share") or not 0 < millionths(share) < MILLION:
        raise ValueError(f"unknown split {options['split']!r}")
    return Suffix(split, millionths(share))


def pattern_of(denoiser):
    kind, options = only_item(denoiser["pattern"])
    if kind == "random_spans":
        return random_spans_of(options)
    if kind == "independent_tokens":
        density = millionths(options["noise_density"])
        if not 0 < density < MILLION:
            raise ValueError(f"density out of range in {options!r}")
        return IndependentTokens(density)
    if kind == "union":
        if not 2 <= len(options) <= 4:
            raise ValueError(f"a union of {len(options)} patterns")
        return Union(tuple(random_spans_of(part) for part in options))
    if kind == "suffix":
        return suffix_of(options)
    if kind == "whole":
        return Whole()
    if kind == "label":
        return Label()
    if kind == "separate":
        return Separate(random_spans_of(options["text"]), random_spans_of(options["label"]))
    if kind == "permute":
        if options["rows"] < 1:
            raise ValueError(f"permute with {options['rows']} rows")
        return Permute(options["rows"])
    if kind == "multiple_choice":
        if not 0 <= options["least"] <= options["most"]:
            raise ValueError(f"multiple_choice of {options['least']} to {options['most']} labels")
        return MultipleChoice(options["least"], options["most"],
                              tuple(options["label_prompt"]), tuple(options["text_prompt"]))
    raise ValueError(f"unknown pattern {denoiser['pattern']!r}")


# 5. Random spans

def noise_count(n, density):
    """Density in millionths."""
    return clamp(round_ratio(n * density, MILLION), 1, n - 1)


def noise_counts(n, density, mu):
    """(noise, spans) of a segment of n tokens; density and µ in millionths."""
    noise = noise_count(n, density)
    spans = clamp(round_ratio(noise * MILLION, mu), 1, min(noise, n - noise))
    return noise, spans


def mu_of(pattern, n):
    """µ in millionths, in a segment of n tokens."""
    return pattern.mean * n if pattern.share else pattern.mean


def counts_of(pattern, n):
    return noise_counts(n, pattern.density, mu_of(pattern, n))


def root_up(x):
    """The least integer whose square is at least x."""
    root = math.isqrt(x)
    return root if root * root == x else root + 1


def most_of(pattern, n):
    noise, spans = counts_of(pattern, n)
    return min(spans + 4 * root_up(spans), noise, n - noise)


def draw_length(pattern, n, left, stream):
    """A draw of a law that is not T5's, where `left` noise tokens are left."""
    mu = mu_of(pattern, n)
    if pattern.law == "uniform":
        m, f = divmod(2 * max(mu, MILLION) - MILLION, MILLION)
        if f > 0 and stream.below(MILLION) < f:
            m += 1
        return 1 + stream.below(m)
    if pattern.law == "geometric":
        q = max(1000, round_ratio(1000 * mu, MILLION))
        for times in range(1, left + 1):
            if times == left or stream.below(q) < 1000:
                return times
    h = 0
    for _ in range(6):
        word = stream.word()
        h += word % 2**16
        h += word // 2**16
    # µ + σ·z with z = (h − 393210) / 65536
    return max(1, round_ratio(mu * 65536 + pattern.std * (h - 393210), MILLION * 65536))


def draw_noise_lengths(pattern, n, stream):
    noise, spans = counts_of(pattern, n)
    if pattern.law == "t5":
        return stream.composition(noise, spans)
    most = most_of(pattern, n)
    lengths, left = [], noise
    while left > 0:
        if len(lengths) == most - 1:
            length = left
        else:
            length = min(draw_length(pattern, n, left, stream), left)
        lengths.append(length)
        left -= length
    j = stream.below(len(lengths))
    lengths[j], lengths[-1] = lengths[-1], lengths[j]
    return lengths


def is_rolled(roll, spans):
    return roll == "always" or (roll == "single-span" and spans == 1)


def draw_random_spans(pattern, n, stream):
    """The flags of a segment of n tokens: true is noise."""
    noise_lengths = draw_noise_lengths(pattern, n, stream)
    kept_lengths = stream.composition(n - sum(noise_lengths), len(noise_lengths))
    flags = []
    for kept_length, noise_length in zip(kept_lengths, noise_lengths):
        flags += [False] * kept_length + [True] * noise_length
    if is_rolled(pattern.roll, len(noise_lengths)):
        s = stream.below(n)
        rolled = [None] * n
        for i, flag in enumerate(flags):
            rolled[(i + s) % n] = flag
        flags = rolled
    return flags


# 5. Independent tokens, union, suffix, whole

def draw_independent_tokens(pattern, n, stream):
    noise = set(stream.subset(noise_count(n, pattern.density), n))
    return [i in noise for i in range(n)]


def draw_union(pattern, n, stream):
    masks = [draw_random_spans(part, n, stream) for part in pattern.parts]
    flags = [any(at) for at in zip(*masks)]
    if all(flags):
        flags[0] = False
    return flags


def draw_suffix(pattern, n, stream):
    if pattern.split == "uniform":
        m = n - 1 - stream.below(n - 1)
    else:
        m = clamp(round_ratio(n * pattern.share, MILLION), 1, n - 1)
        if pattern.split == "up_to":
            m = 1 + stream.below(m)
    return [False] * (n - m) + [True] * m


def draw_whole(pattern, n, stream):
    return [True] * n


DRAWS = {RandomSpans: draw_random_spans, IndependentTokens: draw_independent_tokens, Union: draw_union,
         Suffix: draw_suffix, Whole: draw_whole}


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
    pattern = pattern_of(denoiser)
    return spans_of_flags(DRAWS[type(pattern)](pattern, n, stream))


# 6. Segment length

def front_ids(denoiser, vocabulary):
    """What the inputs start with: BOS, then the mode token."""
    bos = vocabulary.get("bos")
    return ([] if bos is None else [bos]) + list(denoiser.get("mode_token") or [])


def eos_at(eos):
    """(1 if EOS ends the inputs, 1 if EOS ends the labels)."""
    return {"both": (1, 1), "labels": (0, 1), "none": (0, 0)}[eos]


def s_sentinels(denoiser):
    """(a, b): how many sentinels the split layout gives to the inputs and to the labels."""
    return {"none": (0, 0), "input": (1, 0), "both": (1, 1)}[denoiser.get("s_sentinel", "none")]


@dataclasses.dataclass(frozen=True)
class Form:
    """What a denoiser and its spec say about the shape of a row, and the limits of a row."""

    layout: str
    a: int
    b: int
    closing: int
    front: int
    eos_i: int
    eos_l: int
    sep: int
    inputs_length: int
    labels_length: int
    sequence_length: int | None
    sentinel_count: int


def form_of(denoiser, spec):
    if denoiser["layout"] not in ("sentinels", "split"):
        raise ValueError(f"unknown layout {denoiser['layout']!r}")
    causal = spec.get("causal")
    return Form(denoiser["layout"], *s_sentinels(denoiser), int(denoiser.get("closing_sentinel", False)),
                len(front_ids(denoiser, spec["vocabulary"])), *eos_at(spec["eos"]),
                int(causal is not None and causal.get("separator") is not None),
                spec["inputs_length"], spec["labels_length"], causal["sequence_length"] if causal else None,
                len(spec["vocabulary"]["sentinels"]))


# kept(n), noise(n) and S(n) of a segment of n tokens. `permute` bounds the sums otherwise than by their parts.
Most = collections.namedtuple("Most", "n kept noise s kept_and_s noise_and_s")


def most(n, kept, noise, s, kept_and_s=None, noise_and_s=None):
    return Most(n, kept, noise, s, kept + s if kept_and_s is None else kept_and_s,
                noise + s if noise_and_s is None else noise_and_s)


def most_of_segment(pattern, n):
    if isinstance(pattern, RandomSpans):
        noise, spans = counts_of(pattern, n)
        m = spans if pattern.law == "t5" else most_of(pattern, n)
        if pattern.roll == "always" and noise > m:
            s = m + 1
        elif pattern.roll == "single-span" and m == 1 and noise > 1:
            s = 2
        else:
            s = m
        return most(n, n - noise, noise, s)
    if isinstance(pattern, IndependentTokens):
        noise = noise_count(n, pattern.density)
        return most(n, n - noise, noise, min(noise, n - noise + 1))
    if isinstance(pattern, Union):
        parts = [most_of_segment(part, n) for part in pattern.parts]
        return most(n, n - max(part.noise for part in parts), min(n - 1, sum(part.noise for part in parts)),
                    sum(part.s for part in parts))
    if isinstance(pattern, Suffix):
        m = clamp(round_ratio(n * pattern.share, MILLION), 1, n - 1)
        if pattern.split == "uniform":
            return most(n, n - 1, n - 1, 1)
        if pattern.split == "up_to":
            return most(n, n - 1, m, 1)
        return most(n, n - m, m, 1)
    if isinstance(pattern, Whole):
        return most(n, 0, n, 1)
    raise ValueError(f"{pattern!r} has no segment length")


Lengths = collections.namedtuple("Lengths", "inputs labels sentinels total")


def largest_lengths(most, form):
    """The most that a segment can need."""
    if form.layout == "split":
        return Lengths(form.front + most.kept + form.a + form.eos_i + form.sep,
                       most.noise + form.b + form.eos_l,
                       form.a,
                       form.front + most.n + form.a + form.b + form.eos_i + form.eos_l + form.sep)
    return Lengths(form.front + most.kept_and_s + form.eos_i + form.sep,
                   most.noise_and_s + form.closing + form.eos_l,
                   most.s + form.closing,
                   form.front + most.n + 2 * most.s + form.closing + form.eos_i + form.eos_l + form.sep)


def limit_broken(lengths, form):
    """"lengths", else "sentinels", else None."""
    if lengths.inputs > form.inputs_length or lengths.labels > form.labels_length:
        return "lengths"
    if form.sequence_length is not None and lengths.total > form.sequence_length:
        return "lengths"
    return "sentinels" if lengths.sentinels > form.sentinel_count else None


@functools.lru_cache(maxsize=None)
def _segment_length(pattern, form):
    n = 1
    while True:
        limit = limit_broken(largest_lengths(most_of_segment(pattern, n + 1), form), form)
        if limit is not None:
            return n, limit
        n += 1


def segment_length(denoiser, spec):
    """(L, "lengths" or "sentinels": the limit that keeps L + 1 out). L = 1 where not even two tokens fit.

    (None, None) for the kinds of section 8, which are not cut.
    """
    pattern = pattern_of(denoiser)
    return (None, None) if isinstance(pattern, LABEL_KINDS) else _segment_length(pattern, form_of(denoiser, spec))


# 7. Examples

def encode(tokens, spans, denoiser, vocabulary, eos):
    """(inputs, labels) of a segment."""
    eos_i, eos_l = eos_at(eos)
    inputs, labels = front_ids(denoiser, vocabulary), []
    sentinels = vocabulary["sentinels"]
    if denoiser["layout"] == "split":
        (start, end), = spans
        if end != len(tokens):
            raise ValueError("the split layout needs a suffix")
        a, b = s_sentinels(denoiser)
        inputs += tokens[:start] + sentinels[:1] * a
        labels += sentinels[:1] * b + tokens[start:]
    else:
        at = 0
        for k, (start, end) in enumerate(spans):
            inputs += tokens[at:start] + [sentinels[k]]
            labels += [sentinels[k]] + tokens[start:end]
            at = end
        inputs += tokens[at:]
        if denoiser.get("closing_sentinel", False):
            labels.append(sentinels[len(spans)])
    return inputs + [vocabulary["eos"]] * eos_i, labels + [vocabulary["eos"]] * eos_l


IGNORED = -100


def join_causal(inputs, labels, causal):
    """(input_ids, labels, prefix_length) of the causal layout."""
    separator = [] if causal.get("separator") is None else [causal["separator"]]
    prefix, targets = inputs + separator, labels
    input_ids = prefix + targets
    if causal["loss"] == "all":
        return input_ids, list(input_ids), len(prefix)
    if causal["loss"] != "targets":
        raise ValueError(f"unknown loss {causal['loss']!r}")
    return input_ids, [IGNORED] * len(prefix) + targets, len(prefix)


def split_causal(input_ids, labels, prefix_length, causal):
    """(inputs, labels) of an example in the causal layout: what join_causal joined."""
    inputs, targets = list(input_ids[:prefix_length]), list(input_ids[prefix_length:])
    if causal.get("separator") is not None:
        if not inputs or inputs.pop() != causal["separator"]:
            raise ValueError("the prefix does not end with the separator")
    if join_causal(inputs, targets, causal) != (list(input_ids), list(labels), prefix_length):
        raise ValueError("the labels are not those of the input_ids")
    return inputs, targets


def decode(input_ids, labels, denoiser, vocabulary, eos, causal=None, prefix_length=None):
    """The segment of an example. In the causal layout its `prefix_length` is needed."""
    if causal is not None:
        input_ids, labels = split_causal(input_ids, labels, prefix_length, causal)
    eos_i, eos_l = eos_at(eos)
    front = front_ids(denoiser, vocabulary)
    if input_ids[:len(front)] != front:
        raise ValueError("the inputs do not start with BOS and the mode token")
    for ids, ends in ((input_ids, eos_i), (labels, eos_l)):
        if ends and (not ids or ids[-1] != vocabulary["eos"]):
            raise ValueError("a sequence does not end with EOS")
    inputs = input_ids[len(front):len(input_ids) - eos_i]
    labels = labels[:len(labels) - eos_l]
    if denoiser["layout"] == "split":
        a, b = s_sentinels(denoiser)
        first = vocabulary["sentinels"][:1]
        if inputs[len(inputs) - a:] != first * a or labels[:b] != first * b:
            raise ValueError("a sequence of the split layout lacks its sentinel")
        return inputs[:len(inputs) - a] + labels[b:]
    sentinels = set(vocabulary["sentinels"])
    if denoiser.get("closing_sentinel", False):
        spans = sum(token in sentinels for token in inputs)
        if not labels or labels[-1] != vocabulary["sentinels"][spans]:
            raise ValueError("the labels do not end with the closing sentinel")
        labels = labels[:-1]
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
        if token in sentinels and token not in noise:
            raise ValueError(f"the inputs have sentinel {token}, which the labels have not, or twice")
        segment += noise.pop(token) if token in sentinels else [token]
    if noise:
        raise ValueError("the labels have a sentinel that the inputs have not")
    return segment


def reserved_ids(spec):
    """The ids that no text may have."""
    vocabulary = spec["vocabulary"]
    separator = (spec.get("causal") or {}).get("separator")
    return {vocabulary["eos"], vocabulary["pad"], vocabulary.get("bos"), separator, *vocabulary["sentinels"],
            *vocabulary.get("mode_tokens", [])} - {None}


# 4. From documents to segments

BLOCK_BYTES = 2**23


def blocks_of_lines(lines):
    """The blocks of a source, as lists of its raw lines; a line is bytes, with its line feed."""
    block, size = [], 0
    for line in lines:
        block.append(line)
        size += len(line)
        if size >= BLOCK_BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def segmenting_of(spec):
    """("document", {}), ("concat", its options) or ("window", its options)."""
    name, options = only_item(spec.get("segmenting", "document"))
    if name not in ("document", "concat", "window"):
        raise ValueError(f"unknown segmenting {spec['segmenting']!r}")
    if name == "window" and options["start"] not in ("first", "random"):
        raise ValueError(f"unknown start {options['start']!r}")
    return name, options


def has_label_kinds(spec):
    return any(isinstance(pattern_of(denoiser), LABEL_KINDS) for denoiser in spec["denoisers"])


def check_random_spans(pattern):
    """A recipe whose clamp binds at every long enough length is refused: d > µ·(1 − d)."""
    if not pattern.share and pattern.density * MILLION > pattern.mean * (MILLION - pattern.density):
        raise ValueError(f"too many spans: {pattern}")


def check_denoiser(denoiser, spec):
    pattern, min_segment = pattern_of(denoiser), spec["min_segment"]
    form = form_of(denoiser, spec)
    parts = {RandomSpans: lambda: [pattern], Union: lambda: pattern.parts,
             Separate: lambda: [pattern.text, pattern.label]}.get(type(pattern), lambda: [])()
    for part in parts:
        check_random_spans(part)
    if form.layout == "split" and not isinstance(pattern, (Suffix, Whole, Label, MultipleChoice)):
        raise ValueError(f"denoiser {denoiser['name']}: only a suffix or the whole segment may have the split layout")
    if form.layout != "split" and isinstance(pattern, MultipleChoice):
        raise ValueError(f"denoiser {denoiser['name']}: multiple-choice has the split layout")
    if form.layout == "split" and form.closing:
        raise ValueError(f"denoiser {denoiser['name']}: a closing sentinel in the split layout")
    if form.layout != "split" and form.a:
        raise ValueError(f"denoiser {denoiser['name']}: an s_sentinel outside of the split layout")
    length, _ = segment_length(denoiser, spec)
    if denoiser.get("segment_length") != length:
        raise ValueError(f"denoiser {denoiser['name']}: the spec records segment length "
                         f"{denoiser.get('segment_length')}, the page gives {length}")
    if length is not None and length < 2 * min_segment - 1:
        raise ValueError(f"denoiser {denoiser['name']}: segment length {length} is too short")


def check_spec(spec):
    """Refuse a spec that this module does not know, whose recipe the page refuses, or that records another segment
    length than section 6 gives."""
    if spec["masking_version"] != MASKING_VERSION:
        raise ValueError(f"masking version {spec['masking_version']}")
    if spec["min_segment"] < 2:
        raise ValueError(f"min_segment {spec['min_segment']}")
    name, options = segmenting_of(spec)
    if name == "window" and options["tokens"] is not None and options["tokens"] < 2 * spec["min_segment"] - 1:
        raise ValueError(f"a window of {options['tokens']} tokens")
    causal = spec.get("causal")
    if causal and causal["loss"] not in ("targets", "all"):
        raise ValueError(f"unknown loss {causal['loss']!r}")
    if causal and causal["sequence_length"] > spec["inputs_length"] + spec["labels_length"]:
        raise ValueError(f"sequence_length {causal['sequence_length']} is more than both lengths")
    if spec.get("pad", False) and spec["vocabulary"]["pad"] is None:
        raise ValueError("pad, but the vocabulary has none")
    if has_label_kinds(spec):
        if not all(isinstance(pattern_of(denoiser), LABEL_KINDS) for denoiser in spec["denoisers"]):
            raise ValueError("some denoisers are of the kinds of labels, others are not")
        if name != "document" or spec.get("label_field") is None:
            raise ValueError("the kinds of labels need a label_field and the segmenting `document`")
    for denoiser in spec["denoisers"]:
        check_denoiser(denoiser, spec)


def chosen_denoiser(spec, source, line, epoch, index):
    """Step 1 of the cut."""
    choice = Stream(spec["seed"], "choose", "", source, line, epoch, index)
    return spec["denoisers"][choice.choose([denoiser["weight"] for denoiser in spec["denoisers"]])]


def window_of(spec, source, line, epoch, tokens):
    """The window of a document."""
    _, options = segmenting_of(spec)
    n, size = len(tokens), options["tokens"]
    if size is None:
        size, _ = segment_length(chosen_denoiser(spec, source, line, epoch, 0), spec)
    w = min(n, size)
    start = 0
    if options["start"] == "random":
        start = Stream(spec["seed"], "window", "", source, line, epoch, 0).below(n - w + 1)
    return tokens[start:start + w]


def sequences_of(spec, source, epoch, documents):
    """The sequences of a block's documents, (line, tokens) each: lists of (token, line)."""
    name, options = segmenting_of(spec)
    if name == "concat":
        sequence = []
        for which, (line, tokens) in enumerate(documents):
            if which and options["eos_between"]:
                sequence.append((spec["vocabulary"]["eos"], documents[which - 1][0]))
            sequence += [(token, line) for token in tokens]
        return [sequence]
    if name == "window":
        documents = [(line, window_of(spec, source, line, epoch, tokens)) for line, tokens in documents
                     if len(tokens) >= spec["min_segment"]]
    return [[(token, line) for token in tokens] for line, tokens in documents]


def cut(spec, source, epoch, sequence):
    """The segments of a sequence, as (line, index, denoiser, tokens)."""
    n, min_segment = len(sequence), spec["min_segment"]
    if n < min_segment:
        return
    starts = collections.Counter()  # of each line
    p = 0
    while p < n:
        line = sequence[p][1]
        i = starts[line]
        starts[line] += 1
        denoiser = chosen_denoiser(spec, source, line, epoch, i)
        length = min(segment_length(denoiser, spec)[0], n - p)
        if 1 <= n - p - length < min_segment:
            length = n - p - min_segment
        yield line, i, denoiser, [token for token, _ in sequence[p:p + length]]
        p += length


def example_of(spec, source, line, index, epoch, denoiser, tokens, spans):
    input_ids, labels = encode(tokens, spans, denoiser, spec["vocabulary"], spec["eos"])
    prefix_length = None
    if spec.get("causal") is not None:
        input_ids, labels, prefix_length = join_causal(input_ids, labels, spec["causal"])
    return {"input_ids": input_ids, "labels": labels, "denoiser": denoiser["name"], "source": source, "line": line,
            "segment": index, "epoch": epoch, "prefix_length": prefix_length}


def denoise_stream(spec, source, line, epoch, index, denoiser):
    return Stream(spec["seed"], "denoise", denoiser["name"], source, line, epoch, index)


def examples_of_documents(spec, source, epoch, documents):
    for sequence in sequences_of(spec, source, epoch, documents):
        for line, index, denoiser, tokens in cut(spec, source, epoch, sequence):
            spans = draw_mask(denoiser, len(tokens), denoise_stream(spec, source, line, epoch, index, denoiser))
            yield example_of(spec, source, line, index, epoch, denoiser, tokens, spans)


# 8. Records of two fields

Record = collections.namedtuple("Record", "line text label label_text")  # text and label are tokens

# The characters with the Unicode property White_Space.
WHITE_SPACE = ("\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
               "\u2028\u2029\u202f\u205f\u3000")


def with_end_mark(text, end_mark):
    """A field after the end mark; "" if nothing is left of it."""
    if end_mark is None:
        return text
    text = text.strip(WHITE_SPACE)
    if text == "" or text[-1] in ".;!?,":
        return text
    return text + end_mark


def one_token_part(kept):
    return most(1, 1, 0, 0) if kept else most(1, 0, 1, 1)


def most_of_record(pattern, text, label, c=0):
    """The numbers of a record with so many tokens of text and of label, and of `c`."""
    if isinstance(pattern, Separate):
        t = one_token_part(True) if text == 1 else most_of_segment(pattern.text, text)
        a = one_token_part(False) if label == 1 else most_of_segment(pattern.label, label)
        return most(text + label, t.kept + a.kept, t.noise + a.noise, t.s + a.s)
    if isinstance(pattern, Permute):
        return most(text + label, None, None, (label + 1) // 2, text + label, label + 1)
    return most(c + text + label, c + text, label, 1)


def fits(spec, denoiser, text, label, c=0):
    form = form_of(denoiser, spec)
    return limit_broken(largest_lengths(most_of_record(pattern_of(denoiser), text, label, c), form), form) is None


def fitted(spec, denoiser, record, c=0):
    """t' of a record whose label fits."""
    # Each token is in the inputs or in the labels, so no longer text than this fits.
    longest = min(len(record.text), spec["inputs_length"] + spec["labels_length"])
    for length in range(longest, 0, -1):
        if fits(spec, denoiser, length, len(record.label), c):
            return record.text[:length]
    raise AssertionError("one token of text fits, or the record is a reject")


def label_fits(spec, label):
    """Whether the label leaves room for a token of text in the rows of every denoiser of the recipe, with no other
    label to choose from. Else the record is a reject: label-too-long."""
    for denoiser in spec["denoisers"]:
        pattern, c = pattern_of(denoiser), 0
        if isinstance(pattern, MultipleChoice):
            c = len(pattern.label_prompt) + len(label) + len(pattern.text_prompt)
        if not fits(spec, denoiser, 1, len(label), c):
            return False
    return True


def draw_separate(pattern, text, label, stream):
    """The flags of a text and a label of so many tokens."""
    flags = [False] if text == 1 else draw_random_spans(pattern.text, text, stream)
    return flags + ([True] if label == 1 else draw_random_spans(pattern.label, label, stream))


def draw_label_set(label, stream):
    """A set of tokens of the label, as flags, that is not empty."""
    while True:
        flags = [stream.below(2) == 1 for _ in range(label)]
        if any(flags):
            return flags


def labels_of_block(records):
    """The different labels, by their tokens, in the order in which they first appear."""
    return list(dict.fromkeys(tuple(record.label) for record in records))


def draw_choices(spec, denoiser, record, labels, stream):
    """(c, t') of `multiple-choice`."""
    pattern = pattern_of(denoiser)
    wanted = pattern.least + stream.below(pattern.most - pattern.least + 1)
    others = [list(label) for label in labels if list(label) != list(record.label)]
    k = min(wanted, len(others))
    picked = [others[i] for i in stream.subset(k, len(others))]

    def c_of(offered):
        return [*pattern.label_prompt, *(token for label in offered for token in label), *pattern.text_prompt]

    def length_of_c():
        return len(c_of(picked + [record.label]))

    while picked and not fits(spec, denoiser, len(record.text), len(record.label), length_of_c()):
        picked.pop()
    text = fitted(spec, denoiser, record, length_of_c())
    places = picked + [record.label]
    return c_of([places[place] for place in stream.permutation(len(places))]), text


def examples_of_record(spec, source, epoch, record, labels):
    """The examples of a record that is no reject, in a recipe of the kinds of section 8; `labels` are those of the
    block's records that are no rejects."""
    line, label = record.line, record.label
    denoiser = chosen_denoiser(spec, source, line, epoch, 0)
    pattern = pattern_of(denoiser)

    def example(index, segment, flags):
        return example_of(spec, source, line, index, epoch, denoiser, segment, spans_of_flags(flags))

    if isinstance(pattern, MultipleChoice):
        c, text = draw_choices(spec, denoiser, record, labels, denoise_stream(spec, source, line, epoch, 0, denoiser))
        return [example(0, c + text + label, [False] * len(c + text) + [True] * len(label))]
    text = fitted(spec, denoiser, record)
    kept_text = [False] * len(text)
    if isinstance(pattern, Label):
        return [example(0, text + label, kept_text + [True] * len(label))]
    if isinstance(pattern, Separate):
        stream = denoise_stream(spec, source, line, epoch, 0, denoiser)
        return [example(0, text + label, draw_separate(pattern, len(text), len(label), stream))]
    sets = 2**len(label) - 1
    if sets <= pattern.rows:
        masks = [[(r + 1) >> j & 1 == 1 for j in range(len(label))] for r in range(sets)]
    else:
        masks = [draw_label_set(len(label), denoise_stream(spec, source, line, epoch, r, denoiser))
                 for r in range(pattern.rows)]
    return [example(r, text + label, kept_text + mask) for r, mask in enumerate(masks)]


# 4, 8. Blocks

def is_reject(spec, record):
    """Whether a record, as in examples_of_block, is a reject: it has no tokens, a reserved id, or too long a label."""
    fields = record[1:3] if spec.get("label_field") is not None else record[1:2]
    reserved = reserved_ids(spec)
    if not all(fields) or not all(reserved.isdisjoint(field) for field in fields):
        return True
    return has_label_kinds(spec) and not label_fits(spec, record[2])


def examples_of_block(spec, source, epoch, records, split="train"):
    """The examples of a block that belong to a split, in the order of lines and indices, before they are packed.

    A record is (line, tokens) or, where the spec has a label field, (line, text tokens, label tokens, label's text
    after the end mark). Rejects make no example and are no documents.
    """
    check_spec(spec)
    all_accepted = [record for record in records if not is_reject(spec, record)]
    accepted = [record for record in all_accepted
                if split_of(spec, source, record[0]) == split and is_masked(spec, source, record[0], epoch)]
    if spec.get("label_field") is None:
        return list(examples_of_documents(spec, source, epoch, [(line, list(tokens)) for line, tokens in accepted]))
    accepted = [Record(line, list(text), list(label), label_text) for line, text, label, label_text in accepted]
    if has_label_kinds(spec):
        # The labels of a block are those of both splits.
        labels = labels_of_block([Record(line, list(text), list(label), label_text)
                                  for line, text, label, label_text in all_accepted])
        return [example for record in accepted
                for example in examples_of_record(spec, source, epoch, record, labels)]
    return list(examples_of_documents(spec, source, epoch, [(record.line, record.text + record.label)
                                                            for record in accepted]))


# 11. Validation

SPLITS = ("train", "validation")


def pattern_as_expression(pattern):
    """A pattern of names of sources as a regular expression."""
    expression, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at) and (at == 0 or pattern[at - 1] == "/"):
            expression, at = expression + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            expression, at = expression + ".*", at + 2
        elif pattern[at] == "*":
            expression, at = expression + "[^/]*", at + 1
        elif pattern[at] == "?":
            expression, at = expression + "[^/]", at + 1
        else:
            expression, at = expression + re.escape(pattern[at]), at + 1
    return re.compile(expression, re.DOTALL)


@functools.lru_cache(maxsize=None)
def matches(pattern, name):
    return pattern_as_expression(pattern).fullmatch(name) is not None


def split_of(spec, source, line):
    """The split of the document on a line of a source, in all epochs."""
    validation = spec.get("validation")
    if validation is None:
        return "train"
    (name, value), = validation.items()
    if name == "sources":
        return "validation" if any(matches(pattern, source) for pattern in value) else "train"
    if name != "share" or not 0 < millionths(value) < MILLION:
        raise ValueError(f"unknown validation {validation!r}")
    drawn = Stream(spec["seed"], "validation", "", source, line, 0, 0).below(MILLION)
    return "validation" if drawn < millionths(value) else "train"


# 12. Weights

def maskings_of(spec, source):
    """(whole, share in millionths): how often the documents of a source are masked."""
    weights = (weight["weight"] for weight in spec.get("weights", []) if matches(weight["sources"], source))
    return divmod(millionths(next(weights, 1)) * spec["epochs"], MILLION)


def epochs_of(spec):
    """How many epochs there are for some source that the spec may name."""
    of_weights = (millionths(weight["weight"]) * spec["epochs"] for weight in spec.get("weights", []))
    return max([spec["epochs"], *(-(-maskings // MILLION) for maskings in of_weights)])


def is_masked(spec, source, line, epoch):
    """Whether the document on a line is masked in an epoch."""
    if not spec.get("weights"):
        return True
    whole, share = maskings_of(spec, source)
    if epoch != whole or share == 0:
        return epoch < whole
    return Stream(spec["seed"], "weight", "", source, line, 0, 0).below(MILLION) < share


# 9. Packing

def row_limits(spec):
    """The most ids that `input_ids` and `labels` of a row may have."""
    causal = spec.get("causal")
    if causal is not None:
        return causal["sequence_length"], causal["sequence_length"]
    return spec["inputs_length"], spec["labels_length"]


RUN_IDS = 2**25


def runs_of(examples):
    """The examples of each run of a block."""
    runs, ids = [], RUN_IDS
    for example in examples:
        if ids >= RUN_IDS:
            runs.append([])
            ids = 0
        runs[-1].append(example)
        ids += len(example["input_ids"]) + len(example["labels"])
    return runs


def first_fit(spec, examples):
    """The examples of each row."""
    inputs_limit, labels_limit = row_limits(spec)
    rows, inputs_room, labels_room = [], [], []
    for example in examples:
        inputs, labels = len(example["input_ids"]), len(example["labels"])
        for at in range(len(rows)):
            if inputs <= inputs_room[at] and labels <= labels_room[at]:
                break
        else:
            at = len(rows)
            rows.append([])
            inputs_room.append(inputs_limit)
            labels_room.append(labels_limit)
        rows[at].append(example)
        inputs_room[at] -= inputs
        labels_room[at] -= labels
    return rows


def joined(lists):
    return [item for each in lists for item in each]


def segment_ids(examples, column):
    return joined([k + 1] * len(example[column]) for k, example in enumerate(examples))


def positions(examples, column):
    return joined(range(len(example[column])) for example in examples)


def packed_row(spec, examples):
    row = {"input_ids": joined(example["input_ids"] for example in examples),
           "labels": joined(example["labels"] for example in examples)}
    if spec.get("causal") is not None:
        row["prefix_length"] = [example["prefix_length"] for example in examples]
    row["input_segment_ids"] = segment_ids(examples, "input_ids")
    row["position_ids" if spec.get("causal") is not None else "input_positions"] = positions(examples, "input_ids")
    if spec.get("causal") is None:
        row["label_segment_ids"] = segment_ids(examples, "labels")
        row["label_positions"] = positions(examples, "labels")
    for column in ("denoiser", "line", "segment"):
        row[column] = [example[column] for example in examples]
    return row | {"source": examples[0]["source"], "epoch": examples[0]["epoch"]}


def unpack(spec, row):
    """The examples of a row of rows_of_block: without padding and, from a packed one, one by one."""
    causal = spec.get("causal") is not None
    if not spec.get("pack", False):
        inputs, labels = len(row["input_ids"]), len(row["labels"])
        if spec.get("pad", False):
            inputs = sum(row["attention_mask"])
            labels = inputs if causal else sum(label != IGNORED for label in row["labels"])
        return [row | {"input_ids": row["input_ids"][:inputs], "labels": row["labels"][:labels],
                       "prefix_length": row.get("prefix_length")}]

    def of(k, column, ids):
        return [item for item, segment in zip(row[column], ids, strict=True) if segment == k + 1]

    label_ids = row["input_segment_ids"] if causal else row["label_segment_ids"]
    return [{"input_ids": of(k, "input_ids", row["input_segment_ids"]), "labels": of(k, "labels", label_ids),
             "denoiser": row["denoiser"][k], "source": row["source"], "line": row["line"][k],
             "segment": row["segment"][k], "epoch": row["epoch"],
             "prefix_length": row["prefix_length"][k] if causal else None} for k in range(len(row["line"]))]


# 10. Order and padding

def batch_order(spec, source, line, epoch, rows):
    """The permutation of a batch of so many rows, whose first row has this source and line."""
    return Stream(spec["seed"], "shuffle", "", source, line, epoch, 0).permutation(rows)


def line_of(row):
    """The line of a row: that of its first example."""
    return row["line"][0] if isinstance(row["line"], list) else row["line"]


def shuffled(spec, rows):
    """The rows of a batch, in the order of its row group."""
    if not spec.get("shuffle", False) or not rows:
        return list(rows)
    order = batch_order(spec, rows[0]["source"], line_of(rows[0]), rows[0]["epoch"], len(rows))
    return [rows[place] for place in order]


def padded(spec, row):
    inputs_length, labels_length = row_limits(spec)
    row = row | {"attention_mask": [1] * len(row["input_ids"])}
    for columns, length in ((("input_ids", "attention_mask", "input_segment_ids", "input_positions", "position_ids"), inputs_length),
                            (("labels", "label_segment_ids", "label_positions"), labels_length)):
        for column in columns:
            if column in row:
                fill = {"input_ids": spec["vocabulary"]["pad"], "labels": IGNORED}.get(column, 0)
                row[column] = row[column] + [fill] * (length - len(row[column]))
    return row


def columns_of(spec):
    """The columns of a data set, in order."""
    causal, pack = spec.get("causal") is not None, spec.get("pack", False)
    return (["input_ids", "labels"] + ["attention_mask"] * (spec.get("pad", False) and not (pack and causal)) + ["prefix_length"] * causal
            + ["input_segment_ids", "position_ids" if causal else "input_positions"] * pack
            + ["label_segment_ids", "label_positions"] * (pack and not causal)
            + ["denoiser", "source", "line", "segment", "epoch"])


def rows_of_block(spec, source, epoch, records, split="train"):
    """The rows of a block that belong to a split, in one epoch, before they are shuffled. Records as in examples_of_block."""
    examples = examples_of_block(spec, source, epoch, records, split)
    rows = examples
    if spec.get("pack", False):
        rows = [packed_row(spec, row) for run in runs_of(examples) for row in first_fit(spec, run)]
    if spec.get("pad", False):
        rows = [padded(spec, row) for row in rows]
    return [{column: row[column] for column in columns_of(spec)} for row in rows]


def rows_of_document(spec, source, line, epoch, tokens):
    """The rows of one document in one epoch: none if it is shorter than min_segment or a reject."""
    if segmenting_of(spec)[0] == "concat" or spec.get("pack", False) or spec.get("label_field") is not None:
        raise ValueError("these rows need their block: rows_of_block")
    return rows_of_block(spec, source, epoch, [(line, tokens)], split_of(spec, source, line))
