#!/usr/bin/env python3
"""What a user would run instead of the tool, over the same shards: one peer, once, and what it cost as JSON.

    peers.py encode|fastokens|gigatoken|datasets|text-denoising TOKENIZER OUT COPIES SHARD...

- encode: the Python package `tokenizers`, `encode_batch_fast` over a sample of the texts in one thread, and nothing else.
- fastokens, gigatoken: the packages of these names, all texts COPIES times in one thread, to flat arrays, and nothing else.
- datasets: Hugging Face `datasets` with two processes: tokenize, cut into segments, mask with numpy as T5 (3, .15), write Parquet.
- text-denoising: the package of that name with its default mixture; documents are cut into segments of 512 tokens (its own examples drop what is
  beyond the first), two processes, Parquet by pyarrow.

MB are 10^6 bytes of raw text in UTF-8. The time to load the tokenizer and to start Python is not counted, that to write is.
"""

import io
import json
import multiprocessing
import pathlib
import resource
import sys
import time

SEGMENT = 512


def texts_of(shard):
    import zstandard
    with open(shard, "rb") as file:
        for line in io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(file), encoding="utf-8"):
            yield json.loads(line)["text"]


def tokenizer_of(path):
    import tokenizers
    tokenizer = tokenizers.Tokenizer.from_file(path)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def batches(items, size):
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def encode(path, out, shards):
    tokenizer = tokenizer_of(path)
    texts = [text for shard in shards for text in texts_of(shard)]
    texts = texts[:: max(1, len(texts) // 6000)]
    begin = time.process_time()
    tokens = 0
    for batch in batches(texts, 100):
        tokens += sum(len(encoding.ids) for encoding in tokenizer.encode_batch_fast(batch, add_special_tokens=False))
    seconds = time.process_time() - begin
    return {"bytes": sum(len(text.encode()) for text in texts), "tokens": tokens, "wall": seconds, "cpu": seconds}


def encode_all(encode, copies, shards):
    """What `encode`, a function from texts to the number of their ids, costs on all texts."""
    texts = [text for shard in shards for text in texts_of(shard)]
    size = sum(len(text.encode()) for text in texts)
    begin = time.process_time()
    tokens = sum(encode(batch) for _ in range(copies) for batch in batches(texts, 100))
    seconds = time.process_time() - begin
    return {"bytes": size * copies, "tokens": tokens, "wall": seconds, "cpu": seconds}


def fastokens_peer(path, copies, shards):
    import os
    os.environ["RAYON_NUM_THREADS"] = "1"
    import fastokens
    tokenizer = fastokens.Tokenizer.from_file(path)
    return encode_all(lambda texts: len(tokenizer.encode_batch_flat(texts, split_special_tokens=True)[0]) // 4, copies, shards)


def gigatoken_peer(path, copies, shards):
    import gigatoken
    tokenizer = gigatoken.Tokenizer(path)
    return encode_all(lambda texts: len(tokenizer.encode_batch(texts, parallel=False).layout.content), copies, shards)


# --- datasets ---

def t5_mask(length, density=0.15, mean=3.0):
    """random_spans_noise_mask with numpy, as in the Flax example of transformers."""
    import numpy
    noise = min(max(int(numpy.round(length * density)), 1), length - 1)
    spans = max(int(numpy.round(noise / mean)), 1)

    def segmentation(items, segments):
        first = numpy.pad(numpy.random.permutation(numpy.arange(items - 1) < segments - 1), [[1, 0]])
        return numpy.unique(numpy.cumsum(first), return_counts=True)[1]

    lengths = numpy.stack([segmentation(length - noise, spans), segmentation(noise, spans)], axis=1).reshape(-1)
    starts = numpy.zeros(length, dtype=numpy.int8)
    starts[numpy.cumsum(lengths)[:-1]] = 1
    return numpy.cumsum(starts) % 2 == 1


def corrupt(ids, mask, first_sentinel, eos):
    import numpy
    first = mask & ~numpy.concatenate([[False], mask[:-1]])
    sentinels = first_sentinel - (numpy.cumsum(first) - 1)
    inputs = numpy.where(first, sentinels, ids)[~mask | first]
    flipped = ~mask
    first = flipped & ~numpy.concatenate([[False], flipped[:-1]])
    labels = numpy.where(first, first_sentinel - (numpy.cumsum(first) - 1), ids)[~flipped | first]
    return numpy.append(inputs, eos), numpy.append(labels, eos)


def datasets_peer(path, out, shards):
    import datasets
    import numpy
    tokenizer = tokenizer_of(path)
    sentinel, eos = tokenizer.token_to_id("<extra_id_0>"), tokenizer.token_to_id("</s>") or 0
    begin = time.monotonic()
    data = datasets.load_dataset("json", data_files=[str(shard) for shard in shards], split="train",
                                 cache_dir=str(out / "cache"))

    def mask(batch):
        inputs, labels = [], []
        for encoding in tokenizer.encode_batch_fast(batch["text"], add_special_tokens=False):
            ids = numpy.array(encoding.ids, dtype=numpy.int32)
            for start in range(0, len(ids), SEGMENT):
                segment = ids[start:start + SEGMENT]
                if len(segment) >= 2:
                    pair = corrupt(segment, t5_mask(len(segment)), sentinel, eos)
                    inputs.append(pair[0])
                    labels.append(pair[1])
        return {"input_ids": inputs, "labels": labels}

    data = data.map(mask, batched=True, batch_size=200, remove_columns=data.column_names, num_proc=2)
    data.to_parquet(str(out / "rows.parquet"))
    return {"wall": time.monotonic() - begin}


# --- text-denoising ---

def denoise_shard(arguments):
    path, out, shard = arguments
    import numpy
    import pyarrow
    import pyarrow.parquet
    import transformers
    from text_denoising import DataCollatorForUL2
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=path, eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
                                                     bos_token="<pad>")
    collator = DataCollatorForUL2(tokenizer)
    encoder = tokenizer_of(path)
    schema = pyarrow.schema([("input_ids", pyarrow.list_(pyarrow.int32())), ("labels", pyarrow.list_(pyarrow.int32()))])
    size = 0

    def segments():
        nonlocal size
        for batch in batches(texts_of(shard), 100):
            size += sum(len(text.encode()) for text in batch)
            for encoding in encoder.encode_batch_fast(batch, add_special_tokens=False):
                for start in range(0, len(encoding.ids), SEGMENT):
                    ids = encoding.ids[start:start + SEGMENT]
                    if len(ids) >= 4:
                        yield {"input_ids": ids}

    with pyarrow.parquet.ParquetWriter(out / f"{pathlib.Path(shard).name}.parquet", schema, compression="zstd") as writer:
        for batch in batches(segments(), 64):
            rows = collator(batch)
            columns = [[row[row != fill].astype(numpy.int32) for row in rows[name].numpy()]
                       for name, fill in (("input_ids", 0), ("labels", -100))]
            writer.write_table(pyarrow.table(columns, schema=schema))
    return size


def text_denoising(path, out, shards):
    begin = time.monotonic()
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        size = sum(pool.map(denoise_shard, [(path, out, shard) for shard in shards], chunksize=1))
    return {"bytes": size, "wall": time.monotonic() - begin}


def main():
    peer, path, out, copies, *shards = sys.argv[1:]
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    fast = {"fastokens": fastokens_peer, "gigatoken": gigatoken_peer}
    if peer in fast:
        found = fast[peer](path, int(copies), shards)
    else:
        found = {"encode": encode, "datasets": datasets_peer, "text-denoising": text_denoising}[peer](path, out, shards)
    if "bytes" not in found:
        found["bytes"] = sum(len(text.encode()) for shard in shards for text in texts_of(shard))
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    found.setdefault("cpu", sum(use.ru_utime + use.ru_stime for use in usage))
    found["peak_mb"] = max(use.ru_maxrss for use in usage) / 1e3
    print(json.dumps(found))


if __name__ == "__main__":
    main()
