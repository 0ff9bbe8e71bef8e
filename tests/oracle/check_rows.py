"""Recompute a whole data set from its sources and compare every row.

    check_rows.py [--tokenizer FILE] [--sample N] DIR SOURCE_ROOT

DIR holds manifest.json and data/*.parquet; SOURCE_ROOT is the folder that the manifest's source names are relative to.
Besides oracle.py it needs pyarrow, zstandard for .zst sources, and unless the tokenizer is `bytes` tokenizers or sentencepiece.
"""

import argparse
import array
import collections
import gzip
import itertools
import json
import pathlib
import sys

import bytes_tokenizer
import oracle

SHOWN = 5

# Columns of integers by their Arrow types; a list of int32 unless named here. The others hold texts.
INTEGERS = {"line": "int64", "segment": "int32", "epoch": "int32", "prefix_length": "int32"}
TEXTS = ("denoiser", "source")
PER_EXAMPLE = ("denoiser", "line", "segment", "prefix_length")  # lists in a packed data set

# Without these there is nothing to find a row by, or nothing worth comparing.
KEYS = ("source", "line", "segment", "epoch", "denoiser", "input_ids", "labels")


def open_source(path):
    if path.suffix == ".gz":
        return gzip.open(path, "rb")
    if path.suffix == ".zst":
        import io
        import zstandard
        decompressor = zstandard.ZstdDecompressor(max_window_size=2**31)
        reader = decompressor.stream_reader(path.open("rb"), read_across_frames=True, closefd=True)
        return io.BufferedReader(reader)
    return path.open("rb")


def refuse_constant(name):
    raise ValueError(f"{name} is not JSON")


class Members(list):
    """The members of a JSON object, in order, as (key, value)."""


def field_of(value, path):
    """The text at a path of keys, or None where there is none or it is to be rejected."""
    for key in path:
        if not isinstance(value, Members):
            return None
        for name, _ in value:
            name.encode("utf-8")  # a key beside it with a lone surrogate is a reject
        found = [member for name, member in value if name == key]
        if not found:
            return None
        value = found[-1]
    for text in found:
        if isinstance(text, str):
            text.encode("utf-8")  # a lone surrogate is no text, in an earlier duplicate neither
    return value if isinstance(value, str) and value != "" else None


def fields_of_line(raw, spec):
    """The fields of a line, (text,) or (text, label), or None where the line is a reject.

    A reject by its tokens is found by oracle.is_reject.
    """
    if len(raw) > spec["max_line"]:
        return None
    names = [spec["text_field"]]
    if spec.get("label_field") is not None:
        names.append(spec["label_field"])
    try:
        value = json.loads(raw.decode("utf-8"), parse_constant=refuse_constant, object_pairs_hook=Members,
                           parse_int=lambda _: 0, parse_float=lambda _: 0.0)
        fields = [field_of(value, name.split(".")) for name in names]
    except (ValueError, RecursionError):
        return None
    if None in fields:
        return None
    fields = tuple(oracle.with_end_mark(field, spec.get("end_mark")) for field in fields)
    return fields if all(fields) else None


BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def blocks_of(path, spec):
    """The blocks of a source: [(line, fields or None) of each line that is not blank]."""
    with open_source(path) as file:
        line = 0
        for block in oracle.blocks_of_lines(file):
            documents = []
            for raw in block:
                line += 1
                raw = raw.removesuffix(b"\n")
                if line == 1:
                    raw = raw.removeprefix(BYTE_ORDER_MARK)
                if raw.strip(b" \t\r\f"):
                    documents.append((line, fields_of_line(raw, spec)))
            yield documents


def make_tokenizer(spec, file):
    if spec["tokenizer"]["kind"] == "bytes":
        return bytes_tokenizer.encode
    if file is None:
        sys.exit("this data set's tokenizer is not `bytes`: give its file with --tokenizer")
    if spec["tokenizer"]["kind"] == "spiece.model":
        import sentencepiece
        return sentencepiece.SentencePieceProcessor(model_file=file).encode
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return lambda text: tokenizer.encode(text, add_special_tokens=False).ids


def packed(ids):
    return array.array("q", ids).tobytes()


def row_of(columns, values):
    """A row to compare: (source, epoch, the values in the order of the columns), lists of integers as bytes."""
    at = dict(zip(columns, values))
    small = tuple(value if not isinstance(value, list) else
                  tuple(value) if value and isinstance(value[0], str) else packed(value) for value in values)
    return at["source"], at["epoch"], small


def cell(columns, row, name):
    """A value of a row to compare, as it was before."""
    value = row[2][columns.index(name)]
    return array.array("q", value).tolist() if isinstance(value, bytes) else \
        list(value) if isinstance(value, tuple) else value


def is_plain(spec):
    """Whether the rows of a document need nothing but the document, and stand in the order of documents."""
    return not (oracle.segmenting_of(spec)[0] == "concat" or spec.get("pack", False) or spec.get("shuffle", False)
                or oracle.has_label_kinds(spec))


def expected_rows(manifest, root, tokenize, sample, columns):
    """({split: [row, ...] in the order (epoch, source, block)}, {source: lines recomputed}, {source: lines with a document},
    counts).

    A line that is not recomputed is taken for a document, as its tokens are not known.
    """
    spec = manifest["spec"]
    rows = {split: [[] for _ in range(oracle.epochs_of(spec))] for split in oracle.SPLITS}
    chosen, present = {}, {}
    counts = collections.Counter()
    for source in sorted((entry["name"] for entry in manifest["sources"]), key=lambda name: name.encode("utf-8")):
        chosen[source], present[source] = set(), set()
        for block in blocks_of(root / source, spec):
            records = []
            for line, fields in block:
                if fields is None:
                    counts["rejects"] += 1
                    continue
                counts["with fields"] += 1
                if counts["with fields"] % sample == 1 % sample:
                    record = (line, *(tokenize(field) for field in fields), *fields[1:])
                    if oracle.is_reject(spec, record):
                        counts["rejects"] += 1
                        continue
                    chosen[source].add(line)
                    counts["recomputed"] += 1
                    records.append(record)
                present[source].add(line)
                counts["documents"] += 1
            for epoch, split in itertools.product(range(oracle.epochs_of(spec)), oracle.SPLITS):
                for row in oracle.rows_of_block(spec, source, epoch, records, split):
                    row = {"attention_mask": [1] * len(row["input_ids"])} | row  # a padded row has its own
                    rows[split][epoch].append(row_of(columns, [row[name] for name in columns]))
    return {split: [row for epoch in epochs for row in epoch] for split, epochs in rows.items()}, chosen, present, counts


def has_type(name, arrow_type, spec):
    """Whether a column has the type that docs/reference/format.md and the spec give it."""
    import pyarrow
    if name in PER_EXAMPLE and not spec.get("pack", False) or name in ("source", "epoch"):
        return name in TEXTS or str(arrow_type) == INTEGERS[name]
    if not pyarrow.types.is_list(arrow_type):
        return False
    return name in TEXTS or str(arrow_type.value_type) == INTEGERS.get(name, "int32")


def files_of(directory, split="*"):
    """data/SPLIT-UNIT-SHARD.parquet, by unit and shard."""
    return sorted((directory / "data").glob(f"{split}-*.parquet"),
                  key=lambda path: [int(number) for number in path.stem.split("-")[1:]])


def columns_of_data_set(directory, spec, problems):
    """The columns of the data set, which are compared, in its order; None if its rows cannot be compared.

    `--columns` chooses some in an order of its own, so some may be missing, but for KEYS.
    """
    import pyarrow.parquet
    possible = oracle.columns_of(spec)
    schemas = {path.name: pyarrow.parquet.read_schema(path) for path in files_of(directory)}
    columns = next((schema.names for schema in schemas.values()), possible)
    wrong = [f"no column {name}, without which rows cannot be compared" for name in KEYS if name not in columns]
    wrong += [f"column {name}, which such rows do not have" for name in dict.fromkeys(columns)
              if name not in possible and name != "attention_mask"]  # the mask can be asked for
    wrong += [f"column {name} stands {count} times" for name, count in collections.Counter(columns).items() if count > 1]
    problems += [f"{next(iter(schemas))}: {text}" for text in wrong]
    problems += [f"{name}: the columns are {schema.names}, in the files before {columns}"
                 for name, schema in schemas.items() if schema.names != columns]
    if problems:
        return None
    for name, schema in schemas.items():
        problems += [f"{name}: column {field.name} has the type {field.type}" for field in schema
                     if not has_type(field.name, field.type, spec)]
    return columns


def data_set_rows(directory, columns, split):
    """The rows of each row group of a split, in the order of the files."""
    import pyarrow.parquet
    groups = []
    for path in files_of(directory, split):
        file = pyarrow.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            rows = []
            for batch in file.iter_batches(batch_size=4096, row_groups=[group], columns=columns):
                values = [batch.column(name).to_pylist() for name in columns]
                rows += [row_of(columns, row) for row in zip(*values)]
            groups.append(rows)
    return groups


def sampled(groups, columns, chosen, present, problems):
    """The rows of the chosen lines. The others are only looked at for their order."""
    rows, last = [], {}
    for row in itertools.chain(*groups):
        source, epoch, _ = row
        line, segment = (cell(columns, row, name) for name in ("line", "segment"))
        at = f"source {source} line {line} segment {segment} epoch {epoch}"
        if (line, segment) <= last.get((source, epoch), (0, -1)):
            problems.append(f"{at}: after {last[source, epoch]}")
        last[source, epoch] = (line, segment)
        if line not in present.get(source, ()):
            problems.append(f"{at}: no such document")
        elif line in chosen[source]:
            rows.append(row)
    return rows


def in_order_of_groups(spec, rows, groups, columns):
    """The expected rows as a shuffled data set has them: batch by batch in the page's order."""
    if not spec.get("shuffle", False):
        return rows
    result, at = [], 0
    for group in groups:
        batch = rows[at:at + len(group)]
        at += len(group)
        if batch:
            source, epoch, _ = batch[0]
            line = oracle.line_of({"line": cell(columns, batch[0], "line")})
            result += [batch[place] for place in oracle.batch_order(spec, source, line, epoch, len(batch))]
    return result + rows[at:]


def show(row, columns):
    if row is None:
        return "no row"
    cells = []
    for name in columns:
        value = cell(columns, row, name)
        if isinstance(value, list) and len(value) > 12:
            cells.append(f"{name} ({len(value)}) {str(value[:12])[:-1]}, ...]")
        else:
            cells.append(f"{name} {value}")
    return ", ".join(cells)


def by_source(rows):
    grouped = collections.defaultdict(list)
    for row in rows:
        grouped[row[:2]].append(row)
    return grouped


def compare(ours_in_order, theirs_in_order, columns, problems):
    expected, actual = by_source(ours_in_order), by_source(theirs_in_order)
    before = len(problems)
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
        differ = [] if None in (a, b) else [name for name, x, y in zip(columns, a[2], b[2]) if x != y]
        problems.append(f"  first at row {index}{', in ' + ', '.join(differ) if differ else ''}")
        problems.append(f"    data set: {show(a, columns)}")
        problems.append(f"    recomputed: {show(b, columns)}")
    if len(problems) == before and ours_in_order != theirs_in_order:
        problems.append("the rows of each source and epoch are right, but sources or epochs stand in another order")


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", metavar="DIR", type=pathlib.Path)
    parser.add_argument("root", metavar="SOURCE_ROOT", type=pathlib.Path)
    parser.add_argument("--tokenizer", metavar="FILE", help="a tokenizer.json or SentencePiece model, for a data set that is not made of bytes")
    parser.add_argument("--sample", metavar="N", type=int, default=1,
                        help="recompute every N-th document only; not for rows that need their block")
    options = parser.parse_args(arguments)
    if options.sample < 1:
        parser.error("--sample needs a number from 1")
    manifest = json.loads((options.directory / "manifest.json").read_text(encoding="utf-8"))
    spec = manifest["spec"]
    try:
        oracle.check_spec(spec)
    except ValueError as error:
        print(f"manifest.json: {error}")
        return 1
    if options.sample > 1 and not is_plain(spec):
        parser.error("--sample: the rows of this data set need whole blocks (concat, pack, shuffle or a kind of "
                     "labels); leave --sample out")
    tokenize = make_tokenizer(spec, options.tokenizer)
    problems = []
    columns = columns_of_data_set(options.directory, spec, problems)
    if columns is None:
        print("\n".join(problems))
        return 1
    expected, chosen, present, counts = expected_rows(manifest, options.root, tokenize, options.sample, columns)
    total = 0
    for split in oracle.SPLITS:
        groups = data_set_rows(options.directory, columns, split)
        total += sum(len(group) for group in groups)
        if options.sample > 1:
            actual = sampled(groups, columns, chosen, present, problems)
        else:
            actual = list(itertools.chain(*groups))
            expected[split] = in_order_of_groups(spec, expected[split], groups, columns)
        compare(expected[split], actual, columns, problems)
    for problem in problems[:4 * SHOWN]:
        print(problem)
    if len(problems) > 4 * SHOWN:
        print(f"... and {len(problems) - 4 * SHOWN} more lines like these")
    absent = [name for name in oracle.columns_of(spec) if name not in columns]
    if absent:
        print(f"not in the data set, so not compared: {', '.join(absent)}")
    print(f"{'DIFFERENT' if problems else 'equal'}: {sum(map(len, expected.values()))} rows of {counts['recomputed']} documents recomputed; "
          f"the data set has {total} rows, its {len(manifest['sources'])} sources {counts['documents']} documents "
          f"and {counts['rejects']} rejects, in {spec['epochs']} epochs")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
