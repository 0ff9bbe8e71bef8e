#!/usr/bin/env python3
"""What people ask of a data set, answered by DuckDB and by pandas.

    questions.py DIR [--document SOURCE:LINE]

DIR is a finished data set of `ul2-prep run` in the encoder-decoder layout, neither packed nor padded, with the columns that it has by default. Each question
is a query in SQL and a function of pandas. Both must give the same table, and what the manifest counts too must be the same there; if not, the exit status
is 1. The queries stand on the views that `connect` makes.

pandas holds all rows in memory, DuckDB does not.
"""

import argparse
import json
import math
import pathlib
import sys
from typing import Callable, NamedTuple

import duckdb
import numpy
import pandas

KEYS = ["source", "line", "segment", "epoch"]  # unique
BINS = 8  # of the histogram of lengths
NEIGHBOURS = 32  # rows that a batch would have


class DataSet(NamedTuple):
    manifest: dict
    denoisers: pandas.DataFrame  # one a line: what the recipe says of it
    rows: pandas.DataFrame  # the files' columns
    masked: pandas.DataFrame  # a line for each row: what is in it, in numbers
    rejects: pandas.DataFrame  # source, line, reason
    document: tuple  # (source, line) of the question about one document

    @property
    def spec(self):
        return self.manifest["spec"]


class Question(NamedTuple):
    asked: str
    sql: str
    in_pandas: Callable[[DataSet], pandas.DataFrame]
    # (what, of the answer, of the manifest), for each number that the manifest has as well
    counted: Callable[[pandas.DataFrame, dict], list] = lambda answer, manifest: []


# --- what both read ---

def denoisers_of(spec):
    """What a denoiser adds to the tokens of a segment, from the manifest's spec."""
    return pandas.DataFrame([
        {
            "denoiser": denoiser["name"],
            "weight": denoiser["weight"],
            "split": denoiser["layout"] == "split",  # the noise is one span, its end, with or without a sentinel
            "closing": int(denoiser.get("closing_sentinel", False)),
            "beside_inputs": ("bos" in spec["vocabulary"]) + len(denoiser["mode_token"]) + (spec["eos"] == "both"),
            "beside_labels": int(spec["eos"] != "none"),
        }
        for denoiser in spec["denoisers"]
    ])


VIEWS = """
-- A line for each row: the ids of its two columns, the sentinels among the labels, the tokens that were kept and hidden, the spans of noise.
CREATE VIEW masked AS
WITH counted AS (
    SELECT *,
        len(list_filter(input_ids, lambda id: list_contains(getvariable('sentinels'), id))) AS given,
        len(list_filter(labels, lambda id: list_contains(getvariable('sentinels'), id))) AS sentinels
    FROM rows JOIN denoisers USING (denoiser)
)
SELECT source, line, segment, epoch, denoiser, len(input_ids) AS inputs, len(labels) AS outputs, sentinels,
    len(input_ids) - given - beside_inputs AS kept,
    len(labels) - sentinels - beside_labels AS noise,
    CASE WHEN split THEN 1 ELSE sentinels - closing END AS spans
FROM counted;

-- A line for each span of noise: its length.
CREATE VIEW spans AS
WITH ids AS (
    SELECT source, line, segment, epoch, denoiser, unnest(labels) AS id, generate_subscripts(labels, 1) AS place, len(labels) - beside_labels AS last
    FROM rows JOIN denoisers USING (denoiser)
), numbered AS (
    SELECT *, list_contains(getvariable('sentinels'), id) AS sentinel,
        count(*) FILTER (list_contains(getvariable('sentinels'), id)) OVER (PARTITION BY source, line, segment, epoch ORDER BY place) AS number
    FROM ids WHERE place <= last
)
SELECT source, line, segment, epoch, denoiser, count(*) AS length
FROM numbered WHERE NOT sentinel
GROUP BY source, line, segment, epoch, denoiser, number;
"""


def quoted(path):
    return "'" + str(path).replace("'", "''") + "'"


def connect(path, manifest, document):
    """DuckDB with the views `rows`, `masked`, `spans` and `rejects`, the table `denoisers`, and what the queries ask with `getvariable`."""
    spec = manifest["spec"]
    found = duckdb.connect()
    found.execute(f"CREATE VIEW rows AS SELECT * FROM read_parquet({quoted(path / 'data' / '*.parquet')})")
    denoisers = denoisers_of(spec)  # DuckDB finds it by its name
    found.execute("CREATE TABLE denoisers AS SELECT * FROM denoisers")
    if manifest["rejects"]:
        columns = "{source: 'VARCHAR', line: 'BIGINT', reason: 'VARCHAR'}"
        found.execute(f"CREATE VIEW rejects AS SELECT * FROM read_json({quoted(path / 'rejects' / '*.jsonl')}, columns = {columns})")
    else:
        found.execute("CREATE TABLE rejects (source VARCHAR, line BIGINT, reason VARCHAR)")
    values = {
        "sentinels": spec["vocabulary"]["sentinels"],
        "inputs_length": spec["inputs_length"],
        "labels_length": spec["labels_length"],
        "bins": BINS,
        "neighbours": NEIGHBOURS,
        "source": document[0],
        "line": document[1],
    }
    for name, value in values.items():
        found.execute(f"SET VARIABLE {name} = {quoted(value) if isinstance(value, str) else value}")
    found.execute(VIEWS)
    return found


def read(path, manifest, document):
    """The same for pandas."""
    spec = manifest["spec"]
    rows, denoisers = pandas.read_parquet(path / "data"), denoisers_of(spec)
    sentinels = spec["vocabulary"]["sentinels"]
    masked = rows[KEYS + ["denoiser"]].merge(denoisers, on="denoiser", how="left", validate="many_to_one")
    masked["inputs"], masked["outputs"] = rows["input_ids"].map(len), rows["labels"].map(len)
    given = rows["input_ids"].map(lambda ids: int(numpy.isin(ids, sentinels).sum()))
    masked["sentinels"] = rows["labels"].map(lambda ids: int(numpy.isin(ids, sentinels).sum()))
    masked["kept"] = masked["inputs"] - given - masked["beside_inputs"]
    masked["noise"] = masked["outputs"] - masked["sentinels"] - masked["beside_labels"]
    masked["spans"] = (masked["sentinels"] - masked["closing"]).mask(masked["split"], 1)
    rejects = [pandas.read_json(path / file["index"], lines=True) for file in manifest["rejects"]]
    rejects = pandas.concat(rejects, ignore_index=True) if rejects else pandas.DataFrame(columns=["source", "line", "reason"])
    return DataSet(manifest, denoisers, rows, masked, rejects, document)


# --- the questions ---

def by_denoiser(answer, manifest, **columns):
    """The manifest's counts of each denoiser beside columns of the answer: answer's column = manifest's key. A denoiser without rows is in no answer."""
    answered = answer.set_index("denoiser")
    return [
        (f"{column} of {name}", answered[column].get(name, 0), counts[key])
        for column, key in columns.items()
        for name, counts in manifest["denoisers"].items()
    ]


def hides_most(data):
    found = data.masked.groupby("denoiser", as_index=False)[["kept", "noise"]].sum()
    found["tokens"] = found["kept"] + found["noise"]
    found["share"] = found["noise"] / found["tokens"]
    return found.sort_values(["share", "denoiser"], ascending=[False, True])[["denoiser", "tokens", "noise", "share"]]


HIDES_MOST = Question(
    "Which denoiser hides the most?",
    """
    SELECT denoiser, sum(kept + noise)::BIGINT AS tokens, sum(noise)::BIGINT AS noise, sum(noise) / sum(kept + noise) AS share
    FROM masked GROUP BY denoiser ORDER BY share DESC, denoiser
    """,
    hides_most,
    lambda answer, manifest: by_denoiser(answer, manifest, tokens="tokens", noise="noise_tokens"),
)


def longest_span(data):
    sentinels = data.spec["vocabulary"]["sentinels"]
    beside = data.masked["beside_labels"]
    lengths = []
    for denoiser, labels, end in zip(data.rows["denoiser"], data.rows["labels"], data.masked["outputs"] - beside):
        ends = numpy.flatnonzero(numpy.isin(labels[:end], sentinels))
        spans = numpy.diff(numpy.concatenate([[-1], ends, [end]])) - 1
        lengths.extend((denoiser, int(length)) for length in spans if length > 0)
    found = pandas.DataFrame(lengths, columns=["denoiser", "length"]).groupby("denoiser", as_index=False)["length"]
    found = found.agg(["count", "mean", "max"])
    return found.set_axis(["denoiser", "spans", "mean", "longest"], axis=1).sort_values(["longest", "denoiser"], ascending=[False, True])


LONGEST_SPAN = Question(
    "How long are spans, and the longest?",
    """
    SELECT denoiser, count(*) AS spans, avg(length) AS mean, max(length) AS longest
    FROM spans GROUP BY denoiser ORDER BY longest DESC, denoiser
    """,
    longest_span,
    lambda answer, manifest: by_denoiser(answer, manifest, spans="spans"),
)


def one_document(data):
    source, line = data.document
    found = data.masked[(data.masked["source"] == source) & (data.masked["line"] == line)]
    return found.sort_values(["epoch", "segment"])[["epoch", "segment", "denoiser", "inputs", "outputs", "spans", "noise"]]


ONE_DOCUMENT = Question(
    "Which rows are of one document?",
    """
    SELECT epoch, segment, denoiser, inputs, outputs, spans, noise
    FROM masked WHERE source = getvariable('source') AND line = getvariable('line') ORDER BY epoch, segment
    """,
    one_document,
)


def mixture(data):
    found = data.masked.assign(tokens=data.masked["kept"] + data.masked["noise"])
    found = found.groupby("denoiser").agg(examples=("tokens", "size"), tokens=("tokens", "sum"))
    found = data.denoisers[["denoiser", "weight"]].join(found, on="denoiser").fillna(0).astype({"examples": int, "tokens": int})
    found["wanted"] = found["weight"] / found["weight"].sum()
    found["of_examples"] = found["examples"] / found["examples"].sum()
    found["of_tokens"] = found["tokens"] / found["tokens"].sum()
    return found.sort_values("denoiser")[["denoiser", "examples", "tokens", "wanted", "of_examples", "of_tokens"]]


MIXTURE = Question(
    "What share of the examples, and of the tokens, did each denoiser get?",
    """
    WITH found AS (
        SELECT denoisers.denoiser, weight, count(source) AS examples, coalesce(sum(kept + noise), 0)::BIGINT AS tokens
        FROM denoisers LEFT JOIN masked USING (denoiser) GROUP BY denoisers.denoiser, weight
    )
    SELECT denoiser, examples, tokens, weight / sum(weight) OVER () AS wanted,
        examples / sum(examples) OVER () AS of_examples, tokens / sum(tokens) OVER () AS of_tokens
    FROM found ORDER BY denoiser
    """,
    mixture,
    lambda answer, manifest: by_denoiser(answer, manifest, examples="examples", tokens="tokens"),
)


def lengths(data):
    def filled(column, most):
        width = most / BINS
        numbers = numpy.minimum(numpy.ceil(data.masked[column] / width).astype(int), BINS)
        return numbers.value_counts().reindex(range(1, BINS + 1), fill_value=0)

    inputs, outputs = filled("inputs", data.spec["inputs_length"]), filled("outputs", data.spec["labels_length"])
    return pandas.DataFrame({"full_to": inputs.index / BINS, "inputs": inputs, "outputs": outputs})


LENGTHS = Question(
    "How full are the rows, of their greatest lengths?",
    """
    WITH bins AS (SELECT unnest(range(1, getvariable('bins') + 1)) AS bin), filled AS (
        SELECT ceil(inputs * getvariable('bins') / getvariable('inputs_length')) AS of_inputs,
            ceil(outputs * getvariable('bins') / getvariable('labels_length')) AS of_outputs
        FROM masked
    )
    SELECT bin / getvariable('bins') AS full_to,
        (SELECT count(*) FROM filled WHERE of_inputs = bin) AS inputs, (SELECT count(*) FROM filled WHERE of_outputs = bin) AS outputs
    FROM bins ORDER BY bin
    """,
    lengths,
    lambda answer, manifest: [(f"rows, by {name}", answer[name].sum(), manifest["totals"]["rows"]) for name in ("inputs", "outputs")],
)


def padding(data):
    batch = numpy.arange(len(data.masked)) // NEIGHBOURS
    ordered = data.masked.sort_values(["epoch", "source", "line", "segment"])
    found = []
    for column, name, most in (("inputs", "input_ids", "inputs_length"), ("outputs", "labels", "labels_length")):
        given = ordered[column]
        to_longest = given.groupby(batch).transform("max").sum()
        found.append((name, given.sum(), 1 - given.sum() / (len(given) * data.spec[most]), 1 - given.sum() / to_longest))
    return pandas.DataFrame(found, columns=["column", "ids", "to_full_length", "to_longest_of_32"])


PADDING = Question(
    "What share of a batch would be padding?",
    """
    WITH numbered AS (
        SELECT inputs, outputs, (row_number() OVER (ORDER BY epoch, source, line, segment) - 1) // getvariable('neighbours') AS batch FROM masked
    ), longest AS (
        SELECT inputs, outputs, max(inputs) OVER (PARTITION BY batch) AS most_inputs, max(outputs) OVER (PARTITION BY batch) AS most_outputs FROM numbered
    )
    SELECT 'input_ids' AS column, sum(inputs)::BIGINT AS ids, 1 - sum(inputs) / (count(*) * getvariable('inputs_length')) AS to_full_length,
        1 - sum(inputs) / sum(most_inputs) AS to_longest_of_32 FROM longest
    UNION ALL
    SELECT 'labels', sum(outputs)::BIGINT, 1 - sum(outputs) / (count(*) * getvariable('labels_length')), 1 - sum(outputs) / sum(most_outputs) FROM longest
    """,
    padding,
    lambda answer, manifest: [
        (f"ids of {name}", ids, manifest["totals"][name]) for name, ids in zip(answer["column"], answer["ids"])
    ],
)


def sentinels(data):
    found = data.masked.groupby("denoiser", as_index=False)["sentinels"].agg(["mean", "max"])
    found["there_are"] = len(data.spec["vocabulary"]["sentinels"])
    return found.set_axis(["denoiser", "mean", "most", "there_are"], axis=1).sort_values("denoiser")


SENTINELS = Question(
    "How many sentinels does a row use?",
    """
    SELECT denoiser, avg(sentinels) AS mean, max(sentinels) AS most, len(getvariable('sentinels')) AS there_are
    FROM masked GROUP BY denoiser ORDER BY denoiser
    """,
    sentinels,
)


def sources(data):
    found = data.masked.groupby("source", as_index=False).agg(rows=("line", "size"), tokens=("kept", "sum"), noise=("noise", "sum"))
    documents = data.masked[["source", "line"]].drop_duplicates().groupby("source").size()
    found["tokens"] += found["noise"]
    found["documents"] = found["source"].map(documents)
    return found.sort_values("source")[["source", "documents", "rows", "tokens"]]


def counted_sources(answer, manifest):
    answered = answer.set_index("source")
    found = [(f"rows of {source['name']}", answered["rows"].get(source["name"], 0), source["rows"]) for source in manifest["sources"]]
    if "concat" not in manifest["spec"].get("segmenting", "document"):  # there a row begins in a document, and some documents begin no row
        found += [
            (f"documents of {source['name']}", answered["documents"].get(source["name"], 0), source["documents"] - source["short_documents"])
            for source in manifest["sources"]
        ]
    return found


SOURCES = Question(
    "What came of each source?",
    """
    SELECT source, count(DISTINCT line) AS documents, count(*) AS rows, sum(kept + noise)::BIGINT AS tokens
    FROM masked GROUP BY source ORDER BY source
    """,
    sources,
    counted_sources,
)


def rejects(data):
    found = data.rejects.groupby("reason", as_index=False).size().rename(columns={"size": "lines"})
    return found.sort_values(["lines", "reason"], ascending=[False, True])


REJECTS = Question(
    "What was rejected, and why?",
    "SELECT reason, count(*) AS lines FROM rejects GROUP BY reason ORDER BY lines DESC, reason",
    rejects,
    lambda answer, manifest: [
        ("lines by reason", dict(zip(answer["reason"], map(int, answer["lines"]))), manifest["totals"].get("rejects", {}))
    ],
)

QUESTIONS = [HIDES_MOST, LONGEST_SPAN, ONE_DOCUMENT, MIXTURE, LENGTHS, PADDING, SENTINELS, SOURCES, REJECTS]


# --- answers ---

def same(first, second):
    """Whether two answers are the same table: names, order and values, numbers to nine digits."""
    if list(first.columns) != list(second.columns) or len(first) != len(second):
        return False
    pairs = zip(first.to_numpy(dtype=object).ravel(), second.to_numpy(dtype=object).ravel())
    return all(one == other if isinstance(one, str) else math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) for one, other in pairs)


def answer(question, connection, data):
    """The answer as DuckDB gives it, and what is wrong with it, one sentence a fault."""
    by_duckdb = connection.sql(question.sql).df()
    by_pandas = question.in_pandas(data)
    found = []
    if not same(by_duckdb, by_pandas):
        found.append(f"pandas answers otherwise:\n{by_pandas.to_string(index=False)}")
    for what, answered, counted in question.counted(by_duckdb, data.manifest):
        if answered != counted:
            found.append(f"{what}: {answered}, the manifest counts {counted}")
    return by_duckdb, found


def unfit(manifest):
    """Why a data set has not the rows that the questions are about, or None."""
    spec = manifest["spec"]
    for key, kind in (("causal", "of the causal layout"), ("pack", "packed"), ("pad", "padded")):
        if spec.get(key):
            return f"the rows are {kind}"
    missing = {"input_ids", "labels", "denoiser", *KEYS} - set(manifest["plan"]["columns"])
    if missing:
        return f"the rows have no column `{min(missing)}`"
    return None if manifest["shards"] else "the data set has no rows"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("data", metavar="DIR", type=pathlib.Path, help="a data set of `ul2-prep run`")
    parser.add_argument("--document", metavar="SOURCE:LINE", help="of the question about one document [that of the first row]")
    args = parser.parse_args()
    manifest = json.loads((args.data / "manifest.json").read_text(encoding="utf-8"))
    reason = unfit(manifest)
    if reason:
        sys.exit(reason)
    if args.document:
        source, _, line = args.document.rpartition(":")
        document = source, int(line)
    else:
        files = str(args.data / "data" / "*.parquet")
        document = duckdb.execute("SELECT source, line FROM read_parquet(?) ORDER BY epoch, source, line LIMIT 1", [files]).fetchone()
    connection, data = connect(args.data, manifest, document), read(args.data, manifest, document)

    good = True
    for question in QUESTIONS:
        table, faults = answer(question, connection, data)
        about = f" ({document[0]}:{document[1]})" if question is ONE_DOCUMENT else ""
        print(f"{question.asked}{about}\n{table.to_string(index=False, float_format='{:.3f}'.format) if len(table) else 'nothing'}")
        for fault in faults:
            good = False
            print(f"fault: {fault}")
        print()
    print("DuckDB, pandas and the manifest agree" if good else "not all answers agree")
    sys.exit(not good)


if __name__ == "__main__":
    main()
