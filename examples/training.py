"""What the two training examples share: their options, the order of the rows, the optimizer."""

import argparse
import json
import pathlib
import random
import sys

import datasets
import numpy
import torch
import transformers

import loss_curve

IGNORED = -100  # the label that no loss is taken on
KNOWN_FROM = 2000  # so many rows are enough to know how often a label occurs


def parser(description, picture):
    made = argparse.ArgumentParser(description=description)
    made.add_argument("data", metavar="DIR", type=pathlib.Path, help="a data set of `ul2-prep run`")
    made.add_argument("--picture", metavar="PNG", type=pathlib.Path, default=picture, help="[%(default)s]")
    made.add_argument("--steps", type=int, default=300, help="[%(default)s]")
    made.add_argument("--batch", type=int, default=8, help="rows of a step [%(default)s]")
    made.add_argument("--width", type=int, default=128, help="of the model [%(default)s]")
    made.add_argument("--layers", type=int, default=2, help="of the model; of T5's encoder and decoder each [%(default)s]")
    made.add_argument("--rate", type=float, default=0.05, help="the highest learning rate [%(default)s]")
    made.add_argument("--seed", type=int, default=1, help="[%(default)s]")
    made.add_argument("--threads", type=int, default=1, help="[%(default)s]")
    return made


def data_set(path):
    """The manifest and the rows. A row is read when it is asked for, so the data set may be larger than the memory.

    `load_dataset(DIR)` would do, but the cache of `datasets` 5.2 knows such a folder by its own name and its README alone: one that was made again, or
    another of the same name elsewhere, is not read, and the rows of the first come from the cache. Files it knows by path and time.
    """
    datasets.disable_progress_bars()
    manifest = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    rows = datasets.load_dataset("parquet", data_files=str(path / "data" / "*.parquet"), split="train")
    return manifest, rows


def know_nothing(rows, size):
    """The loss of whoever knows how often each label occurs and nothing else."""
    labels = numpy.concatenate(rows[:KNOWN_FROM]["labels"])
    return loss_curve.entropy(labels[labels != IGNORED], size)


def batches(rows, size, steps, seed):
    """`steps` lists of `size` rows: each row once before one comes again."""
    if len(rows) < size:
        sys.exit(f"too few rows for a step: {len(rows)}")
    order, shuffler = [], random.Random(seed)
    for _ in range(steps):
        if len(order) < size:
            order = list(range(len(rows)))
            shuffler.shuffle(order)
        yield [rows[order.pop()] for _ in range(size)]


def train(model, data, args):
    """The loss of each step. The rate rises for a tenth of the steps and then falls to 0.

    Adafactor is the optimizer that T5 was trained with: a step is a share of a weight's size. T5's embeddings begin so large that AdamW's usual steps
    hardly move them in a few hundred.
    """
    optimizer = torch.optim.Adafactor(model.parameters(), lr=args.rate)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, args.steps // 10, args.steps)
    losses, tenth = [], max(1, args.steps // 10)
    for batch in data:
        loss = model(**batch).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if len(losses) % tenth == 0:
            print(f"step {len(losses)}: {numpy.mean(losses[-tenth:]):.3f}", flush=True)
    return losses


def judge(losses, know_nothing):
    """Prints how a curve ends and what is wrong with it; whether nothing is."""
    print(f"ends at {loss_curve.smoothed(losses).values[-1]:.3f}; the labels' frequencies alone give {know_nothing:.3f}")
    found = loss_curve.faults(losses, know_nothing)
    for fault in found:
        print(f"fault: {fault}")
    return not found
