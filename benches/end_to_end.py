#!/usr/bin/env python3
"""Runs the tool over real shards, and in the same session what a user would run instead, and prints what each costs.

For each number of workers and each peer: medians of several runs, interleaved so that a noisy neighbour hits all of them. MB are 10^6 bytes
of the documents' text in UTF-8, for the tool and the peers alike (JSON's quotes and escapes are not counted); tokens are those of the
documents. The shards are linked several times under different names, so that start-up does not count for much. `--one-source` joins them
to one file instead. With `--peer-python PYTHON` (one that has what `benches/requirements.txt` names) the peers of `peers.py` run too.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

PEERS = {
    "encode": "tokenizers, encode alone",
    "fastokens": "fastokens, encode alone",
    "gigatoken": "gigatoken, encode alone",
    "datasets": "datasets + numpy",
    "text-denoising": "text-denoising",
}

# Peers that encode in one thread and do nothing else.
ENCODERS = ("encode", "fastokens", "gigatoken")


def run(command):
    """Wall seconds, CPU seconds and peak memory in MB of one command."""
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - begin
    if status != 0:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1.024e-3


def text_bytes(shard):
    process = subprocess.Popen(["zstd", "-dc", str(shard)], stdout=subprocess.PIPE)
    return sum(len(json.loads(line)["text"].encode()) for line in process.stdout)


def peer(args, name, tokenizer, out, shards):
    command = [args.peer_python, str(pathlib.Path(__file__).with_name("peers.py")), name, str(tokenizer), str(out), str(args.copies)]
    command += map(str, shards)
    env = dict(os.environ, TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env)
    if done.returncode != 0:
        print(f"{name} refuses: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(done.stdout.strip().splitlines()[-1])


def sources_in(scratch, shards, args):
    sources = scratch / "sources"
    sources.mkdir()
    if args.one_source:
        with open(sources / "all.jsonl.zst", "wb") as file:
            # One frame, as a producer would write it.
            text = subprocess.Popen(["zstd", "-dc", *[str(shard) for shard in shards] * args.copies], stdout=subprocess.PIPE)
            subprocess.run(["zstd", "-3", "-c"], stdin=text.stdout, stdout=file, check=True)
    else:
        for copy in range(args.copies):
            for shard in shards:
                (sources / f"{copy}-{shard.name}").symlink_to(shard.resolve())
    return sources


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tool", required=True)
    parser.add_argument("--shards", required=True, type=pathlib.Path)
    parser.add_argument("--pattern", default="english-*.jsonl.zst")
    parser.add_argument("--tokenizer", default="bytes")
    parser.add_argument("--recipe", default="ul2r")
    parser.add_argument("--workers", default="1,2", help="numbers of workers, with commas between")
    parser.add_argument("--copies", type=int, default=4)
    parser.add_argument("--one-source", action="store_true", help="one source of one frame instead of many")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--peer-python", help="a Python that has what `benches/requirements.txt` names")
    parser.add_argument("--peers", default="encode,fastokens,gigatoken,datasets,text-denoising", help="which, with commas between")
    parser.add_argument("--tool-args", default="", help="further arguments of the tool")
    args = parser.parse_args()

    shards = sorted(args.shards.glob(args.pattern))
    if not shards:
        sys.exit(f"no {args.pattern} in {args.shards}")
    workers = [int(number) for number in args.workers.split(",")]
    peers = args.peers.split(",") if args.peer_python else []
    tokenizer = pathlib.Path(args.tokenizer)
    tokenizer = tokenizer / "tokenizer.json" if tokenizer.is_dir() else tokenizer
    measured = {number: [] for number in workers}
    peers_measured = {name: [] for name in peers}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        sources = sources_in(scratch, shards, args)
        for turn in range(args.runs):
            for number in workers:
                out = scratch / f"out-{turn}-{number}"
                command = [args.tool, "run", str(sources), "--out", str(out), "--quiet", "--recipe", args.recipe]
                command += ["--tokenizer", args.tokenizer, "--workers", str(number), *args.tool_args.split()]
                measured[number].append(run(command))
                manifest = json.loads((out / "manifest.json").read_text())
                subprocess.run(["rm", "-rf", str(out)], check=True)
            for name in list(peers):
                out = scratch / f"peer-{turn}-{name}"
                found = peer(args, name, tokenizer, out, shards)
                if found is None:
                    peers.remove(name)
                else:
                    peers_measured[name].append(found)
                subprocess.run(["rm", "-rf", str(out)], check=True)

    totals = manifest["totals"]
    megabytes = sum(text_bytes(shard) for shard in shards) * args.copies / 1e6
    print(f"{'1 source' if args.one_source else f'{len(shards) * args.copies} sources'}, {megabytes:.0f} MB of text, "
          f"{totals['tokens'] / 1e6:.1f} M tokens, {totals['rows']:,} rows, "
          f"{totals['shard_bytes'] / (totals['input_ids'] + totals['labels']):.2f} bytes an id on disk; medians of {args.runs} runs")
    print(f"{'':<26} {'wall s':>7} {'CPU s':>7} {'MB/s':>7} {'MB/s/core':>10} {'Mtokens/s':>10} {'peak MB':>8} {'ratio':>7}")
    # Each line's ratio: what `ratio of` it says, the tool over the peer.
    first = best = cores = None
    for number in workers:
        wall, cpu, peak = (statistics.median(values) for values in zip(*measured[number]))
        first = first or wall
        cores = cores or megabytes / cpu
        best = megabytes / wall
        print(f"{f'ul2-prep, {number} workers':<26} {wall:>7.2f} {cpu:>7.2f} {megabytes / wall:>7.1f} {megabytes / cpu:>10.2f} "
              f"{totals['tokens'] / 1e6 / wall:>10.2f} {peak:>8.0f} {first / wall:>7.2f}  times {workers[0]} worker")
    for name in peers:
        wall, cpu, peak, size = (statistics.median(one[key] for one in peers_measured[name]) for key in ("wall", "cpu", "peak_mb", "bytes"))
        size /= 1e6
        ratio, of = (cores / (size / cpu), "per core") if name in ENCODERS else (best / (size / wall), "by the clock")
        tokens = totals["tokens"] / megabytes / 1e6 * size / wall
        print(f"{PEERS[name]:<26} {wall:>7.2f} {cpu:>7.2f} {size / wall:>7.2f} {size / cpu:>10.2f} {tokens:>10.2f} {peak:>8.0f} {ratio:>7.1f}  {of}")


if __name__ == "__main__":
    main()
