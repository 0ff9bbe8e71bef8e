"""Recompute every case of a file of test vectors: check_vectors.py VECTORS.json"""

import json
import sys

import oracle

KINDS = ("streams", "below", "subsets", "masks", "documents")
# Kinds that a file need not have.
MORE_KINDS = ("permutations", "blocks")


def stream_of(case, role=None):
    return oracle.Stream(int(case["seed"]), role or case["role"], case["denoiser"], case["source"],
                         case["line"], case["epoch"], case["segment"])


def check_stream(case):
    stream = stream_of(case)
    yield "words", case["words"], [stream.word() for _ in range(8)]


def check_below(case):
    stream = stream_of(case)
    yield f"below({case['n']})", case["values"], [stream.below(case["n"]) for _ in range(16)]


def check_subset(case):
    yield f"subset({case['k']}, {case['n']})", case["values"], stream_of(case).subset(case["k"], case["n"])


def check_mask(case):
    if case.get("role", "denoise") != "denoise":
        yield "role", case["role"], "denoise"
        return
    spans = oracle.draw_mask({"pattern": case["pattern"]}, case["length"], stream_of(case, "denoise"))
    yield "spans", case["spans"], [list(span) for span in spans]


def check_document(case):
    tokens = [3 + i * 7 % 256 for i in range(case["length"])]
    rows = oracle.rows_of_document(case["spec"], case["source"], case["line"], case["epoch"], tokens)
    yield "number of rows", len(case["rows"]), len(rows)
    for index, (theirs, ours) in enumerate(zip(case["rows"], rows)):
        for field in sorted({"denoiser", "segment", "input_ids", "labels"} | (set(theirs) & set(ours))):
            yield f"row {index} {field}", theirs[field], ours[field]
    spec = case["spec"]
    by_name = {denoiser["name"]: denoiser for denoiser in spec["denoisers"]}
    rebuilt = []
    for row in rows:
        example, = oracle.unpack(spec, row)
        rebuilt += oracle.decode(example["input_ids"], example["labels"], by_name[example["denoiser"]],
                                 spec["vocabulary"], spec["eos"], spec.get("causal"), example["prefix_length"])
    if oracle.segmenting_of(spec)[0] == "window" and rows:
        tokens = oracle.window_of(spec, case["source"], case["line"], case["epoch"], tokens)
    yield "text rebuilt from the rows", rebuilt, tokens if rows else []


def check_permutation(case):
    yield f"permutation({case['n']})", case["values"], stream_of(case).permutation(case["n"])


def check_block(case):
    """`records` as in oracle.examples_of_block; `rows` with the columns of the spec's data set."""
    rows = oracle.rows_of_block(case["spec"], case["source"], case["epoch"], case["records"])
    yield "number of rows", len(case["rows"]), len(rows)
    for index, (theirs, ours) in enumerate(zip(case["rows"], rows)):
        for field in sorted({"denoiser", "line", "segment", "input_ids", "labels"} | (set(theirs) & set(ours))):
            yield f"row {index} {field}", theirs[field], ours[field]


CHECKS = dict(zip(KINDS + MORE_KINDS, (check_stream, check_below, check_subset, check_mask, check_document,
                                       check_permutation, check_block)))


def short(value):
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:97] + "..."


def first_difference(theirs, ours):
    if isinstance(theirs, list) and isinstance(ours, list):
        if len(theirs) != len(ours):
            return f"{len(theirs)} items in the file, {len(ours)} recomputed"
        for index, (a, b) in enumerate(zip(theirs, ours)):
            if a != b:
                return f"item {index} is {short(a)} in the file, {short(b)} recomputed"
    return f"{short(theirs)} in the file, {short(ours)} recomputed"


def check(vectors):
    """(number of cases by kind, messages)."""
    counts, messages = {}, []
    if vectors["masking_version"] != oracle.MASKING_VERSION:
        messages.append(f"masking_version: {vectors['masking_version']} in the file, "
                        f"{oracle.MASKING_VERSION} implemented")
    for kind in KINDS + tuple(kind for kind in MORE_KINDS if kind in vectors):
        counts[kind] = len(vectors[kind])
        if not vectors[kind]:
            messages.append(f"{kind}: no cases")
        for index, case in enumerate(vectors[kind]):
            try:
                for what, theirs, ours in CHECKS[kind](case):
                    if theirs != ours:
                        messages.append(f"{kind}[{index}]: {what}: {first_difference(theirs, ours)}")
            except (ValueError, KeyError, IndexError, TypeError, OverflowError) as error:
                messages.append(f"{kind}[{index}]: {type(error).__name__}: {error}")
    for kind in sorted(set(vectors) - {*KINDS, *MORE_KINDS, "comment", "masking_version"}):
        messages.append(f"{kind}: a kind that this script does not check")
    return counts, messages


def main(arguments):
    if len(arguments) != 1:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[0], encoding="utf-8") as file:
        counts, messages = check(json.load(file))
    for message in messages:
        print(message)
    print("checked " + ", ".join(f"{count} {kind}" for kind, count in counts.items()) + f": {len(messages)} differences")
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
