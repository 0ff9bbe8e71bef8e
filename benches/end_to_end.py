#!/usr/bin/env python3
"""Runs the tool over real shards and prints what it costs.

For each number of workers: medians of several runs, interleaved so that a noisy neighbour hits all of them, of wall time,
CPU time and peak memory; MB/s are 10^6 bytes of raw (decompressed) text, tokens are those of the documents. The shards are linked
several times under different names, so that start-up does not count for much. With `--peer-python PYTHON` (one that has `tokenizers`),
the Python package's `encode_batch_fast` over the same texts, in one thread, is measured in the same session.
"""

import argparse
import json
import os
import pathlib
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def run(command, env=None):
    """Wall seconds, CPU seconds and peak memory in MB of one command."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=env)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status != 0:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3 * 1.024


PEER = """
import io, json, sys, time
import zstandard
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
tokenizer.no_truncation(); tokenizer.no_padding(); tokenizer.encode_special_tokens = True
texts = []
for path in sys.argv[2:]:
    stream = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(open(path, "rb")), encoding="utf-8")
    texts += [json.loads(line)["text"] for line in stream]
texts = texts[:: max(1, len(texts) // 6000)]
size = sum(len(text.encode()) for text in texts)
begin = time.process_time()
for first in range(0, len(texts), 100):
    tokenizer.encode_batch_fast(texts[first:first + 100], add_special_tokens=False)
print(size / 1e6 / (time.process_time() - begin))
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--shards", required=True, type=pathlib.Path)
    parser.add_argument("--pattern", default="english-*.jsonl.zst")
    parser.add_argument("--tokenizer", default="bytes")
    parser.add_argument("--recipe", default="ul2r")
    parser.add_argument("--workers", default="1,2", help="numbers of workers, with commas between")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-python", help="a Python with `tokenizers` and `zstandard`")
    parser.add_argument("--tool-args", default="", help="further arguments of the tool")
    args = parser.parse_args()

    shards = sorted(args.shards.glob(args.pattern))
    if not shards:
        sys.exit(f"no {args.pattern} in {args.shards}")
    workers = [int(number) for number in args.workers.split(",")]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        sources = scratch / "sources"
        sources.mkdir()
        for copy in range(args.copies):
            for shard in shards:
                (sources / f"{copy}-{shard.name}").symlink_to(shard.resolve())
        measured = {number: [] for number in workers}
        peer = []
        for turn in range(args.runs):
            for number in workers:
                out = scratch / f"out-{turn}-{number}"
                command = [args.tool, "run", str(sources), "--out", str(out), "--quiet", "--recipe", args.recipe]
                command += ["--tokenizer", args.tokenizer, "--workers", str(number), *args.tool_args.split()]
                measured[number].append(run(command))
                manifest = json.loads((out / "manifest.json").read_text())
                subprocess.run(["rm", "-rf", str(out)], check=True)
            if args.peer_python:
                tokenizer = pathlib.Path(args.tokenizer)
                tokenizer = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
                command = [args.peer_python, "-c", PEER, str(tokenizer), *map(str, shards)]
                env = dict(os.environ, TOKENIZERS_PARALLELISM="false")
                peer.append(float(subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout))

    totals = manifest["totals"]
    raw = 0
    for shard in shards:
        raw += int(subprocess.run(f"zstd -dc '{shard}' | wc -c", shell=True, check=True, capture_output=True).stdout)
    raw *= args.copies
    print(f"{len(shards) * args.copies} sources, {raw / 1e6:.0f} MB of JSON lines, {totals['tokens'] / 1e6:.1f} M tokens, "
          f"{totals['rows']:,} rows, {totals['shard_bytes'] / (totals['input_ids'] + totals['labels']):.2f} bytes an id on disk; "
          f"medians of {args.runs} runs")
    print(f"{'workers':>7} {'wall s':>8} {'CPU s':>8} {'MB/s':>8} {'MB/s/core':>10} {'M tokens/s':>11} {'peak MB':>8} {'scaling':>8}")
    first = None
    for number in workers:
        wall, cpu, peak = (statistics.median(values) for values in zip(*measured[number]))
        first = first or wall
        print(f"{number:>7} {wall:>8.2f} {cpu:>8.2f} {raw / 1e6 / wall:>8.1f} {raw / 1e6 / cpu:>10.1f} "
              f"{totals['tokens'] / 1e6 / wall:>11.2f} {peak:>8.0f} {first / wall:>8.2f}")
    if peer:
        speed = statistics.median(peer)
        cpu = statistics.median(value[1] for value in measured[workers[0]])
        print(f"tokenizers (Python package, encode_batch_fast, encode only): {speed:.2f} MB/s per core; "
              f"this tool end to end: {raw / 1e6 / cpu / speed:.1f} times that per core")


if __name__ == "__main__":
    main()
