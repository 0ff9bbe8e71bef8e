#!/usr/bin/env python3
"""A cluster on paper: how long 1 to 1,000 workers take for the Pile, how long they idle, and how often they ask the store.

    python3 benches/cluster.py [--cores 1,2,8] [--split 4GiB] [--failures 0]

A model, not a measurement. Units are handed out in their order, each to the first worker that is free, as engines do. A worker makes one unit at a
time: it starts, reads what comes before the unit in its source, and then makes shard after shard. With `--failures`, workers die at that rate an
hour, and a unit begins again after its last committed shard, behind the units that wait. The same arguments give the same tables.

Columns: minutes until all is made; the same on paper, the larger of all work over the workers and the largest unit, without failures; the share of the
workers' time without work; requests to the store a second, at the peak and on average; bytes read over bytes of the sources.
"""

import argparse
import collections
import dataclasses
import heapq
import math
import random

MB = 1e6
MIB, GIB = 1 << 20, 1 << 30

# Measured: docs/internals/performance.md, bytes of text.
CORE_RATE = 52.9 * MB  # a second, a whole run on one core, T5 v1.1, English, one source ("Other tokenizers and shards")
READ_RATE = 783 * MB  # a second, reading alone: decompress, digest, lines, blocks, in one thread ("Stages")
START_SECONDS = 0.29  # of a process, with T5's tokenizer ("Start-up")
# 1.28 bytes an id on disk ("T5 v1.1, two English shards"), 1.09 ids a token (the same set's manifest), 137.2 M tokens in 466 MB of text.
OUTPUT_RATIO = 1.28 * 1.09 * 137.2 / 466

# The tool's own: docs/reference/scale-out.md and its help.
PIECE = 8 * MIB  # of a GET, and of a part of a PUT
SHARD = 256 * MIB
SHARD_REQUESTS = 2 + 2  # begin and end of an upload in parts; the commit record is asked for and put
UNIT_REQUESTS = 3  # plan, inputs, list of the unit's records
MOST_PARTS = 16
SMALL = 64 * MIB  # sources below share units; there are none here

# Assumed: nothing of this was measured.
BANDWIDTH = 250 * MB  # a second, of each worker, down and up: 2 Gbit/s
REQUEST_SECONDS = 0.05  # until a small request is answered
ENGINE_SECONDS = 1.0  # until an engine has started a task
NOTICE_SECONDS = 30  # until an engine has noticed that a worker is gone
REPLACE_SECONDS = 120  # until another worker is in its place

COMPRESSION = 42 / 15  # text over file, of the Pile's shards as they were published: about 15 GB each, 42 GB of text

# GiB of text: Gao et al. 2020, The Pile: An 800GB Dataset of Diverse Text for Language Modeling, arXiv:2101.00027, table 1, "Raw Size".
COMPONENTS = {
    "Pile-CC": 227.12, "PubMed Central": 90.27, "Books3": 100.96, "OpenWebText2": 62.77, "ArXiv": 56.21, "Github": 95.16, "FreeLaw": 51.15,
    "Stack Exchange": 32.20, "USPTO Backgrounds": 22.90, "PubMed Abstracts": 19.26, "Gutenberg (PG-19)": 10.88, "OpenSubtitles": 12.98,
    "Wikipedia (en)": 6.38, "DM Mathematics": 7.75, "Ubuntu IRC": 5.52, "BookCorpus2": 6.30, "EuroParl": 4.59, "HackerNews": 3.90,
    "YoutubeSubtitles": 3.73, "PhilPapers": 2.38, "NIH ExPorter": 1.89, "Enron Emails": 0.88,
}

# Bytes of text of the sources, in the order of names.
CORPORA = {
    "30 shards of 15 GB": [42e9] * 30,
    "22 components, a source each": [COMPONENTS[name] * GIB for name in sorted(COMPONENTS)],
}
WORKERS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


@dataclasses.dataclass(frozen=True)
class Unit:
    """A source or a part of one, in bytes of text."""

    before: float  # what has to be read first
    text: float


def units(sources, split):
    made = []
    for text in sources:
        size = text / COMPRESSION
        assert size >= SMALL
        parts = min(MOST_PARTS, math.ceil(size / split)) if split else 1
        made += [Unit(text / parts * part, text / parts) for part in range(parts)]
    return made


@dataclasses.dataclass(frozen=True)
class Worker:
    cores: int
    bandwidth: float

    def phases(self, unit):
        """Starting, reading what is before the unit, and making it: seconds, requests, and bytes of text read."""
        reading = min(READ_RATE, self.bandwidth * COMPRESSION)
        output = unit.text * OUTPUT_RATIO
        shards = math.ceil(output / SHARD)
        # The thread that reads also commits, so masking stops while a shard is put, but for the few batches that are on their way.
        making = unit.text / min(self.cores * CORE_RATE, reading) + output / self.bandwidth + 2 * shards * REQUEST_SECONDS
        return [
            (ENGINE_SECONDS + START_SECONDS + UNIT_REQUESTS * REQUEST_SECONDS, UNIT_REQUESTS, 0),
            (unit.before / reading, unit.before / COMPRESSION / PIECE, unit.before),
            (making, unit.text / COMPRESSION / PIECE + output / PIECE + SHARD_REQUESTS * shards, unit.text),
        ]

    def seconds(self, unit):
        return sum(seconds for seconds, _, _ in self.phases(unit))

    def committed(self, unit, phases, worked):
        """The text of the unit's shards that are there after so many seconds of work."""
        start, before, making = (seconds for seconds, _, _ in phases)
        share = max(0.0, worked - start - before) / making
        shard = SHARD / OUTPUT_RATIO
        return min(math.floor(unit.text * share / shard) * shard, unit.text)


def simulate(waiting, workers, worker, failures, seed):
    """Seconds until all is made, seconds of work, bytes of text read, and when how many requests a second are made: pairs of a time and a change."""
    draw = random.Random(seed)
    waiting, idle = collections.deque(waiting), workers
    events, order = [], 0  # what happens next; of two things at once, what was known first
    work, read, rates, end = 0.0, 0.0, [], 0.0

    def later(time, *what):
        nonlocal order
        heapq.heappush(events, (time, order, what))
        order += 1

    later(0.0, "begin")
    while events:
        now, _, (kind, *unit) = heapq.heappop(events)
        if kind == "idle":
            idle, end = idle + 1, now
        elif kind == "replaced":
            idle += 1
        elif kind == "noticed":
            waiting += unit
        while idle and waiting:
            unit, idle = waiting.popleft(), idle - 1
            phases = worker.phases(unit)
            whole = worker.seconds(unit)
            # A worker has no memory: how long it has lived already says nothing.
            worked = min(whole, draw.expovariate(failures / 3600)) if failures else whole
            work += worked
            begin, left = now, worked
            for seconds, requests, text in phases:
                lasted = min(seconds, left)
                if lasted > 0:
                    rates += [(begin, requests / seconds), (begin + lasted, -requests / seconds)]
                    read += text * lasted / seconds
                begin, left = begin + lasted, left - lasted
            if worked == whole:
                later(now + whole, "idle")
            else:
                done = worker.committed(unit, phases, worked)
                later(now + worked + NOTICE_SECONDS, "noticed", Unit(unit.before + done, unit.text - done))
                later(now + worked + REPLACE_SECONDS, "replaced")
    return end, work, read, rates


def peak_and_total(rates):
    """The highest rate, and the sum over time."""
    rate = peak = total = last = 0.0
    # Of changes at one time, those down come first: a worker that goes from one unit to the next is not two. Sums of floats differ a little.
    for time, change in sorted((round(time, 6), change) for time, change in rates):
        total += rate * (time - last)
        rate, last = rate + change, time
        peak = max(peak, rate)
    return peak, total


def row(corpus, workers, worker, split, args):
    all_units = units(corpus, split)
    seconds, work, read, rates = simulate(all_units, workers, worker, args.failures, args.seed)
    alone = [worker.seconds(unit) for unit in all_units]
    paper = max(sum(alone) / workers, max(alone))
    peak, total = peak_and_total(rates)
    idle = max(0.0, 1 - work / workers / seconds)
    return [f"{seconds / 60:,.1f}", f"{paper / 60:,.1f}", f"{100 * idle:.0f} %", f"{peak:,.0f}", f"{total / seconds:,.0f}", f"{read / sum(corpus):.1f}"]


def table(corpus, worker, args):
    """A line for each number of workers: whole sources on the left, parts on the right."""
    for kind, split in (("whole sources", None), ("parts", args.split)):
        seconds = [worker.seconds(unit) for unit in units(corpus, split)]
        print(f"{len(seconds)} units of {kind}: {sum(seconds) / 3600:.1f} hours of work, {max(seconds) / 60:.1f} minutes for the longest.")
    print()
    columns = ["min", "on paper", "idle", "requests/s, peak", "mean", "read"]
    print("| workers | " + " | ".join(f"{kind}: {column}" for kind in ("whole", "parts") for column in columns) + " |")
    print("|---" * (1 + 2 * len(columns)) + "|")
    for workers in args.workers:
        cells = [row(corpus, workers, worker, split, args) for split in (None, args.split)]
        print("| " + " | ".join([f"{workers:,}", *cells[0], *cells[1]]) + " |")
    print()


def one_source(args):
    """What parts are worth, of one source that is divided as far as it goes."""
    print("### One source of 16 GiB, 16 parts on 16 workers\n")
    print("| cores | whole, min | parts, min | times sooner | times the work |\n|---|---|---|---|---|")
    for cores in args.cores:
        worker = Worker(cores, args.bandwidth * MB)
        whole, parts = ([worker.seconds(unit) for unit in units([16 * GIB * COMPRESSION], split)] for split in (None, GIB))
        print(f"| {cores} | {whole[0] / 60:.1f} | {max(parts) / 60:.1f} | {whole[0] / max(parts):.1f} | {sum(parts) / whole[0]:.1f} |")
    print()


def sizes(name, corpus, args):
    """Minutes for each size of parts: a line for each, a column for each number of workers."""
    print(f"### {name}, minutes by the size of parts\n")
    print("| cores | `--split` | units | hours of work | " + " | ".join(f"{workers:,}" for workers in args.workers) + " |")
    print("|---" * (4 + len(args.workers)) + "|")
    for cores in args.cores:
        worker = Worker(cores, args.bandwidth * MB)
        for split in (None, 8 * GIB, 4 * GIB, 2 * GIB, GIB):
            made = units(corpus, split)
            seconds = [simulate(made, workers, worker, args.failures, args.seed)[0] for workers in args.workers]
            cells = [f"{split / GIB:g}GiB" if split else "none", len(made), f"{sum(map(worker.seconds, made)) / 3600:.1f}"]
            print("| " + " | ".join(map(str, [cores, *cells, *(f"{one / 60:,.1f}" for one in seconds)])) + " |")
    print()


def size(text):
    for ending, factor in (("GiB", GIB), ("MiB", MIB), ("", 1)):
        if text.endswith(ending):
            return float(text.removesuffix(ending)) * factor
    raise ValueError


def numbers(text):
    return [int(number) for number in text.split(",")]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=numbers, default=WORKERS, help="numbers of workers, with commas between")
    parser.add_argument("--cores", type=numbers, default=[1, 2, 8], help="of a worker, with commas between [1,2,8]")
    parser.add_argument("--split", type=size, default=4 * GIB, help="of `plan` [4GiB]")
    parser.add_argument("--bandwidth", type=float, default=BANDWIDTH / MB, help="MB/s of a worker, down and up each [%(default)s]")
    parser.add_argument("--failures", type=float, default=0, help="of a worker, an hour [%(default)s]")
    parser.add_argument("--seed", type=int, default=1, help="of the failures [%(default)s]")
    args = parser.parse_args()
    one_source(args)
    for name, corpus in CORPORA.items():
        sizes(name, corpus, args)
        for cores in args.cores:
            dying = f", workers die at a rate of {args.failures:g} an hour" if args.failures else ""
            print(f"### {name}, {cores} core{'s' if cores > 1 else ''} a worker{dying}\n")
            table(corpus, Worker(cores, args.bandwidth * MB), args)


if __name__ == "__main__":
    main()
