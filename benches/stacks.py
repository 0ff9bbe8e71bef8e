"""Where the workers of a run spend their time, by what stands in their stacks: `perf script` on standard input, shares on standard output."""

import sys
from collections import Counter

# The first name that a stack holds says what it is of.
KINDS = [
    ("tokenizing", ["HfTokenizer as", "Tokenizer::tokenize", "unigram"]),
    ("Parquet and Zstandard", ["encode_pending", "ArrowColumnWriter", "parquet"]),
    ("digests of rows and shards", ["hash_example", "RowGroupBuilder::end_row", "TemporaryFile as"]),
    ("reading", ["next_batch", "BatchReader"]),
    ("parsing", ["jsonl", "serde_json"]),
    ("segments, masks and their ids", ["draw", "Stream", "Masker", "denoise::encode"]),
]


def stacks(lines):
    """The stacks of workers, as text."""
    thread, names = None, []
    for line in lines:
        line = line.strip()
        if not line:
            if thread and thread.startswith("worker") and names:
                yield " | ".join(names)
            thread, names = None, []
        elif thread is None:
            thread = line
        else:
            names.append(line.partition(" ")[2])


def kind(stack):
    return next((name for name, marks in KINDS if any(mark in stack for mark in marks)), "the rest")


counts = Counter(map(kind, stacks(sys.stdin)))
total = sum(counts.values())
print(f"{total:,} samples")
for name, count in counts.most_common():
    print(f"{name:<30} {100 * count / total:5.1f} %")
