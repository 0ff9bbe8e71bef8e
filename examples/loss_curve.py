"""What the training examples share: when a loss curve is a good one, and its picture. Needs numpy, and matplotlib for the picture.

A step's loss is the mean over one batch, so the curve is noisy, and a single number of it says little. The checks therefore look at the *smoothed* curve,
the moving mean of WINDOW_SHARE of the steps, and take their thresholds from the curve's own noise:

- the **noise** of a step is estimated from the differences of neighbouring steps, where a slow fall cancels: their median absolute value divided by 0.6745
  (which makes it a normal distribution's standard deviation) and by the root of 2 (a difference has the noise of both its steps);
- two means of `window` steps then differ by chance with a **standard error** of noise * sqrt(2 / window);
- a difference counts if it is more than 6 of these. A normal variable is beyond 6 with a probability of 10^-9, so even among 1,000 steps a fault is
  found by chance in one run of a million.
"""

import math
from typing import NamedTuple

import numpy

WINDOW_SHARE = 20  # the window is a 20th of the steps
STANDARD_ERRORS = 6


class Smoothed(NamedTuple):
    window: int
    error: float  # standard error of the difference of two points that share no step
    values: numpy.ndarray  # value i is the mean of the steps i to i + window - 1


def smoothed(losses):
    losses = numpy.asarray(losses, dtype=float)
    window = max(2, len(losses) // WINDOW_SHARE)
    noise = numpy.median(numpy.abs(numpy.diff(losses))) / 0.6745 / math.sqrt(2)
    values = numpy.convolve(losses, numpy.ones(window) / window, mode="valid")
    return Smoothed(window, noise * math.sqrt(2 / window), values)


def faults(losses, know_nothing=None):
    """What is wrong with a curve, one sentence a fault; nothing if it falls and has no spike.

    It **falls** if its end is below its beginning by more than chance, and, where `know_nothing` is given, below that too: the loss of whoever knows how
    often each label occurs and nothing else (`entropy`). A **spike** is a place where the curve is above the lowest point that it had before by more
    than chance.
    """
    if not numpy.all(numpy.isfinite(losses)):
        return ["a loss is not a finite number"]
    curve = smoothed(losses)
    least = STANDARD_ERRORS * curve.error
    found = []
    fall = curve.values[0] - curve.values[-1]
    if fall <= least:
        found.append(f"it does not fall: {curve.values[0]:.3f} at the beginning, {curve.values[-1]:.3f} at the end, less than {least:.3f} lower")
    if know_nothing is not None and curve.values[-1] >= know_nothing:
        found.append(f"its end, {curve.values[-1]:.3f}, is not below {know_nothing:.3f}, that of the labels' frequencies alone")
    rise = curve.values - numpy.minimum.accumulate(curve.values)
    worst = int(numpy.argmax(rise))
    if rise[worst] > least:
        found.append(f"it has a spike: at step {worst + curve.window} it is {rise[worst]:.3f} above its lowest point before, more than {least:.3f}")
    return found


def entropy(labels, size):
    """Nats per label of the frequencies of `labels`, a flat array of ids below `size`: what a model reaches that looks at nothing."""
    counts = numpy.bincount(labels, minlength=size)
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * numpy.log(shares)).sum())


class Difference(NamedTuple):
    """Of two curves over the same steps, in the second half of the run, where they are flat enough to be compared."""

    mean: float
    error: float  # its standard error, from the means of 8 equal parts, so that neighbouring steps need not be independent


def difference(first, second):
    half = numpy.asarray(first, dtype=float)[len(first) // 2 :] - numpy.asarray(second, dtype=float)[len(second) // 2 :]
    parts = [part.mean() for part in numpy.array_split(half, 8)]
    return Difference(float(half.mean()), float(numpy.std(parts, ddof=1) / math.sqrt(len(parts))))


COLOURS = ["#1f5fa8", "#d1641b"]


def draw(path, title, curves, know_nothing):
    """A PNG with the curves, {name: losses}: thin as they are, thick smoothed. Two curves get their difference below."""
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot

    two = len(curves) == 2
    figure, axes = pyplot.subplots(
        1 + two, 1, figsize=(7.5, 5.6 if two else 4.2), sharex=True, squeeze=False, layout="constrained",
        height_ratios=[3, 1.2] if two else [1],
    )
    top = axes[0, 0]
    steps = numpy.arange(1, len(next(iter(curves.values()))) + 1)
    for (name, losses), colour in zip(curves.items(), COLOURS):
        curve = smoothed(losses)
        top.plot(steps, losses, color=colour, alpha=0.25, linewidth=0.7)
        top.plot(steps[curve.window - 1 :], curve.values, color=colour, linewidth=1.8, label=f"{name}, ends at {curve.values[-1]:.2f}")
    top.axhline(know_nothing, color="#666666", linestyle="--", linewidth=1, label=f"labels' frequencies alone, {know_nothing:.2f}")
    top.set_title(title, fontsize=10)
    top.set_ylabel("loss [nats per label]")
    top.legend(frameon=False, loc="upper right", title=f"thin: each step; thick: mean of the last {curve.window}", title_fontsize=8, fontsize=9)
    if two:
        first, second = (numpy.asarray(losses, dtype=float) for losses in curves.values())
        gap, below = smoothed(first - second), axes[1, 0]
        below.axhline(0, color="#666666", linewidth=0.8)
        # One point, not the difference of two: the root of 2 goes.
        error = gap.error / math.sqrt(2)
        below.fill_between(steps, -2 * error, 2 * error, color="#bbbbbb", alpha=0.5, linewidth=0, label="± 2 standard errors")
        below.plot(steps[gap.window - 1 :], gap.values, color="black", linewidth=1.2, label=" − ".join(name.split(",")[0] for name in curves))
        below.set_ylabel("difference\n[nats per label]")
        below.set_ylim(*(numpy.array([-1.1, 1.9]) * max(2 * error, numpy.abs(gap.values).max())))  # room for the legend
        below.legend(frameon=False, loc="upper right", fontsize=8, ncols=2)
    axes[-1, 0].set_xlabel("step of the optimizer")
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e6e6e6", linewidth=0.7)
        axis.set_axisbelow(True)
    axes[-1, 0].set_xlim(0, len(steps))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
