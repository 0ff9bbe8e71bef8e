"""Recompute a whole data set from its sources and compare every row.

    check_rows.py [--tokenizer FILE] [--sample N] DIR SOURCE_ROOT

DIR holds manifest.json and data/*.parquet; SOURCE_ROOT is the folder that the manifest's source names are relative to.
Besides oracle.py it needs pyarrow, zstandard for .zst sources, and tokenizers unless the tokenizer is `bytes`.
"""

import argparse
import array
import collections
import gzip
import json
import pathlib
import sys

import bytes_tokenizer
import oracle

COLUMNS = ["input_ids", "labels", "denoiser", "source", "line", "segment", "epoch"]
SHOWN = 5

Row = collections.namedtuple("Row", "line segment denoiser input_ids labels")


def open_source(path):
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import io
        import zstandard
        reader = zstandard.ZstdDecompressor().stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return io.BufferedReader(reader)
    return path.open("rb")


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


def text_of_line(raw, spec):
    """The document of a line, or None where the line is a reject."""
    if len(raw) > spec["max_line"]:
        return None
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse_constant,
                           parse_int=lambda _: 0, parse_float=lambda _: 0.0)
        text = value.get(spec["text_field"]) if isinstance(value, dict) else None
        if not isinstance(text, str) or text == "":
            return None
        text.encode("utf-8")  # a lone surrogate is no text
    except (ValueError, RecursionError):
        return None
    return text


def documents_of(path, spec):
    """(line, text or None) of every line of a source that is not blank."""
    with open_source(path) as file:
        for line, raw in enumerate(file, start=1):
            raw = raw.removesuffix(b"\n")
            if raw.strip(b" \t\r"):
                yield line, text_of_line(raw, spec)


def make_tokenizer(spec, file):
    if spec["tokenizer"]["kind"] == "bytes":
        return bytes_tokenizer.encode
    if file is None:
        sys.exit("this data set's tokenizer is not `bytes`: give its file with --tokenizer")
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def packed(ids):
    return array.array("q", ids).tobytes()


def expected_rows(manifest, root, tokenize, sample):
    """({(source, epoch): [Row, ...]}, {source: lines recomputed}, {source: lines with a document}, counts)."""
    spec = manifest["spec"]
    rows, chosen, present = collections.defaultdict(list), {}, {}
    counts = collections.Counter()
    for source in (entry["name"] for entry in manifest["sources"]):
        chosen[source], present[source] = set(), set()
        for line, text in documents_of(root / source, spec):
            if text is None:
                counts["rejects"] += 1
                continue
            present[source].add(line)
            counts["documents"] += 1
            if (counts["documents"] - 1) % sample:
                continue
            chosen[source].add(line)
            counts["recomputed"] += 1
            tokens = tokenize(text)
            for epoch in range(spec["epochs"]):
                for row in oracle.rows_of_document(spec, source, line, epoch, tokens):
                    rows[source, epoch].append(Row(line, row["segment"], row["denoiser"],
                                                   packed(row["input_ids"]), packed(row["labels"])))
    return rows, chosen, present, counts


def data_set_rows(directory, chosen, present, problems):
    """({(source, epoch): [Row, ...]} of the chosen lines, number of all rows), in the order of the files."""
    import pyarrow.parquet
    rows, last, total = collections.defaultdict(list), {}, 0
    files = sorted((directory / "data").glob("*.parquet"))
    if not files:
        problems.append("there is no data/*.parquet")
    for path in files:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=4096, columns=COLUMNS):
            columns = [batch.column(name) for name in COLUMNS]
            keys = list(zip(*(column.to_pylist() for column in columns[2:])))
            for index, (denoiser, source, line, segment, epoch) in enumerate(keys):
                total += 1
                at = f"{path.name}: source {source} line {line} segment {segment} epoch {epoch}"
                if (line, segment) <= last.get((source, epoch), (0, -1)):
                    problems.append(f"{at}: after {last[source, epoch]}")
                last[source, epoch] = (line, segment)
                if line not in present.get(source, ()):
                    problems.append(f"{at}: no such document")
                elif line in chosen[source]:
                    rows[source, epoch].append(Row(line, segment, denoiser, packed(columns[0][index].as_py()),
                                                   packed(columns[1][index].as_py())))
    return rows, total


def show(row):
    if row is None:
        return "no row"
    unpack = lambda ids: array.array("q", ids).tolist()
    inputs, labels = unpack(row.input_ids), unpack(row.labels)
    return (f"line {row.line} segment {row.segment} denoiser {row.denoiser}, {len(inputs)} inputs {inputs[:12]}..., "
            f"{len(labels)} labels {labels[:12]}...")


def compare(expected, actual, problems):
    for key in sorted(set(expected) | set(actual)):
        ours, theirs = expected.get(key, []), actual.get(key, [])
        if ours == theirs:
            continue
        source, epoch = key
        missing = sum((collections.Counter(ours) - collections.Counter(theirs)).values())
        extra = sum((collections.Counter(theirs) - collections.Counter(ours)).values())
        problems.append(f"source {source} epoch {epoch}: {len(theirs)} rows, {len(ours)} recomputed; "
                        + (f"{missing} are missing, {extra} are too many" if missing or extra
                           else "they are the same, in another order"))
        length = max(len(ours), len(theirs))
        pad = lambda rows: rows + [None] * (length - len(rows))
        index, (a, b) = next((i, pair) for i, pair in enumerate(zip(pad(theirs), pad(ours))) if pair[0] != pair[1])
        problems.append(f"  first at row {index}: data set: {show(a)}")
        problems.append(f"  first at row {index}: recomputed: {show(b)}")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path)
    parser.add_argument("root", metavar="SOURCE_ROOT", type=pathlib.Path)
    parser.add_argument("--tokenizer", metavar="FILE", help="a tokenizer.json, for a data set that is not made of bytes")
    parser.add_argument("--sample", metavar="N", type=int, default=1, help="recompute every N-th document only")
    options = parser.parse_args(arguments)
    if options.sample < 1:
        parser.error("--sample needs a number from 1")
    manifest = json.loads((options.directory / "manifest.json").read_text(encoding="utf-8"))
    try:
        oracle.check_spec(manifest["spec"])
    except ValueError as error:
        print(f"manifest.json: {error}")
        return 1
    tokenize = make_tokenizer(manifest["spec"], options.tokenizer)
    expected, chosen, present, counts = expected_rows(manifest, options.root, tokenize, options.sample)
    problems = []
    actual, total = data_set_rows(options.directory, chosen, present, problems)
    compare(expected, actual, problems)
    for problem in problems[:3 * SHOWN]:
        print(problem)
    if len(problems) > 3 * SHOWN:
        print(f"... and {len(problems) - 3 * SHOWN} more lines like these")
    compared = sum(len(rows) for rows in expected.values())
    print(f"{'DIFFERENT' if problems else 'equal'}: {compared} rows of {counts['recomputed']} documents recomputed; "
          f"the data set has {total} rows, its {len(manifest['sources'])} sources {counts['documents']} documents "
          f"and {counts['rejects']} rejects, in {manifest['spec']['epochs']} epochs")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
