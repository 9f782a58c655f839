"""How often 95 % intervals for the mean score cover it: ``python -m benchmarks.coverage [--json]``.

The scores have shapes that scores of seeds take: normal; a ceiling near which most seeds lie (a
mirrored lognormal); one seed in five or in ten caught in a worse solution; shares just below 1,
with and without lost seeds. ``width`` is the median width of the intervals, in standard deviations.
``--json`` gives the rows of ``experiments/results/coverage.jsonl``.
"""

import argparse
import json
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxclust.evaluation import stats
from jaxclust.evaluation.stats.bounds import SHARE, Bounds

SEEDS = (3, 5, 10, 20)
TRIALS = 4_000
RESAMPLES = 999
SIGMA = 1.0
LOST = {"one in five lost": 0.2, "one in ten lost": 0.1}
"""Shares of the seeds that end in the worse solution."""


class Shape(NamedTuple):
    """A distribution of scores.

    Attributes:
      draw: ``draw(rng, shape)`` gives an array of scores.
      mean: their true mean.
      sd: their true standard deviation.
      bounds: least and greatest score, or None.
    """

    draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
    mean: float
    sd: float
    bounds: Bounds | None = None


class Row(NamedTuple):
    """How well one interval does on one shape.

    Attributes:
      scores: the shape's name.
      seeds: seeds in an experiment.
      interval: the interval's name.
      coverage: share of the experiments whose interval holds the true mean.
      error: standard error of ``coverage``.
      width: median width in standard deviations, infinite ones counted as wide; None where the
        median is infinite.
      infinite: share of the intervals that are infinite.
      trials: number of experiments.
    """

    scores: str
    seeds: int
    interval: str
    coverage: float
    error: float
    width: float | None
    infinite: float
    trials: int


def shapes() -> dict[str, Shape]:
    """The shapes by name."""
    mean = float(np.exp(SIGMA**2 / 2))
    sd = mean * float(np.exp(SIGMA**2) - 1) ** 0.5
    known = {
        "normal": Shape(lambda rng, shape: rng.normal(0, 1, shape), 0.0, 1.0),
        "ceiling": Shape(lambda rng, shape: -rng.lognormal(0, SIGMA, shape), -mean, sd),
    }
    for name, lost in LOST.items():
        # Scores are around 0 with sd 1, and around -10 where a seed is lost.
        def draw(rng, shape, lost=lost):
            return rng.normal(0, 1, shape) - 10 * (rng.uniform(size=shape) < lost)

        known[name] = Shape(draw, -10 * lost, (1 + 100 * lost * (1 - lost)) ** 0.5)

    # Shares such as ACC: a Beta distribution of mean .97 and standard deviation .02, and the same
    # with lost seeds, which score .2 less.
    mean, sd = 0.97, 0.02
    size = mean * (1 - mean) / sd**2 - 1

    def shares(rng, shape):
        return rng.beta(mean * size, (1 - mean) * size, shape)

    known["share"] = Shape(shares, mean, sd, SHARE)
    lost, loss = 0.2, 0.2
    known["share, one in five lost"] = Shape(
        lambda rng, shape: np.maximum(
            shares(rng, shape) - loss * (rng.uniform(size=shape) < lost), 0
        ),
        mean - loss * lost,
        (sd**2 + loss**2 * lost * (1 - lost)) ** 0.5,
        SHARE,
    )
    return known


def percentile(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The percentile bootstrap, which rliable and many papers use: the interval to compare with."""
    draws = values[rng.integers(0, values.size, (RESAMPLES, values.size))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def measure(name: str, n: int) -> list[Row]:
    """A row for each interval, over TRIALS experiments of n seeds."""
    shape = shapes()[name]
    rng = np.random.default_rng([n, sum(name.encode())])
    intervals: dict[str, list[tuple[float, float]]] = {
        "t": [],
        "bootstrap-t": [],
        "percentile": [],
    }
    if shape.bounds is not None:
        intervals["t inside the bounds"] = []
    for number, values in enumerate(shape.draw(rng, (TRIALS, n))):
        summary = stats.summary(values)
        intervals["t"].append((summary.low, summary.high))
        intervals["bootstrap-t"].append(stats.bootstrap_t(values, resamples=RESAMPLES, seed=number))
        intervals["percentile"].append(percentile(values, rng))
        if shape.bounds is not None:
            inside = stats.summary(values, bounds=shape.bounds)
            intervals["t inside the bounds"].append((inside.low, inside.high))
    rows = []
    for interval, ends in intervals.items():
        low, high = np.array(ends).T
        coverage = float(np.mean((low <= shape.mean) & (shape.mean <= high)))
        width = float(np.median(high - low) / shape.sd)
        rows.append(
            Row(
                scores=name,
                seeds=n,
                interval=interval,
                coverage=round(coverage, 4),
                error=round((coverage * (1 - coverage) / TRIALS) ** 0.5, 4),
                width=round(width, 3) if np.isfinite(width) else None,
                infinite=round(float(np.mean(~np.isfinite(high - low))), 4),
                trials=TRIALS,
            )
        )
    return rows


def main() -> None:
    """Prints coverage and width for each shape, number of seeds and interval."""
    parser = argparse.ArgumentParser(
        description="How often 95 % intervals for the mean score cover it."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    as_json = parser.parse_args().json
    if not as_json:
        print(f"coverage (median width); {TRIALS:,} experiments a line")
        kinds = ("t", "bootstrap-t", "percentile", "in bounds")
        heads = "".join(f"{kind:>16}" for kind in kinds)
        print(f"{'scores':25}{'seeds':>5}{heads}")
    for name in shapes():
        for n in SEEDS:
            rows = measure(name, n)
            if as_json:
                print("\n".join(json.dumps(row._asdict()) for row in rows), flush=True)
                continue
            line = f"{name:25}{n:5}"
            for row in rows:
                width = "inf" if row.width is None else f"{row.width:.2f}"
                cell = f"{row.coverage:.3f} ({width})"
                line += f"{cell:>16}"
            print(line, flush=True)


if __name__ == "__main__":
    main()
