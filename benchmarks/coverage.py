"""How often 95 % intervals for the mean score cover it: ``python -m benchmarks.coverage [--json]``.

Shapes that scores of seeds take: normal; a ceiling near which most seeds lie (a mirrored lognormal); one seed in five
or in ten caught in a worse solution. ``width`` is the median width of the intervals, in standard deviations.
"""

import argparse
import json
from collections.abc import Callable

import numpy as np

from jaxclust.evaluation import stats

SEEDS = (3, 5, 10, 20)
TRIALS = 4_000
RESAMPLES = 999
SIGMA = 1.0
MIXED = {"one in five lost": 0.2, "one in ten lost": 0.1}


def shapes() -> dict[str, tuple[Callable, float, float]]:
    """By name: how scores are drawn, their true mean and sd."""
    mean = np.exp(SIGMA**2 / 2)
    sd = mean * (np.exp(SIGMA**2) - 1) ** 0.5
    found = {
        "normal": (lambda rng, shape: rng.normal(0, 1, shape), 0.0, 1.0),
        "ceiling": (lambda rng, shape: -rng.lognormal(0, SIGMA, shape), -mean, sd),
    }
    for name, lost in MIXED.items():
        # Scores of 0 -+ 1, and of -10 -+ 1 where a seed is lost.
        def draw(rng, shape, lost=lost):
            return rng.normal(0, 1, shape) - 10 * (rng.uniform(size=shape) < lost)

        found[name] = (draw, -10 * lost, (1 + 100 * lost * (1 - lost)) ** 0.5)
    return found


def percentile(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """The plain bootstrap that rliable and many papers use, as a foil."""
    draws = values[rng.integers(0, values.size, (RESAMPLES, values.size))].mean(axis=1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return float(low), float(high)


def measure(name: str, n: int) -> list[dict]:
    """A row for each interval, of TRIALS experiments of n seeds."""
    draw, mean, sd = shapes()[name]
    rng = np.random.default_rng([n, sum(name.encode())])
    intervals: dict[str, list] = {"t": [], "bootstrap-t": [], "percentile": []}
    for number, values in enumerate(draw(rng, (TRIALS, n))):
        intervals["t"].append(stats.summary(values)[3:])
        intervals["bootstrap-t"].append(stats.bootstrap_t(values, resamples=RESAMPLES, seed=number))
        intervals["percentile"].append(percentile(values, rng))
    rows = []
    for kind, ends in intervals.items():
        low, high = np.array(ends).T
        covered = float(np.mean((low <= mean) & (mean <= high)))
        # Infinite intervals count as wide in the median.
        width = float(np.median(high - low) / sd)
        rows.append(
            {
                "scores": name,
                "seeds": n,
                "interval": kind,
                "coverage": round(covered, 4),
                "error": round((covered * (1 - covered) / TRIALS) ** 0.5, 4),
                "width": round(width, 3) if np.isfinite(width) else None,
                "infinite": round(float(np.mean(~np.isfinite(high - low))), 4),
                "trials": TRIALS,
            }
        )
    return rows


def main() -> None:
    """Prints a row for each shape, number of seeds and interval."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    as_json = parser.parse_args().json
    if not as_json:
        print(f"coverage (median width); {TRIALS:,} experiments a line")
        print(
            f"{'scores':18}{'seeds':>5}"
            + "".join(f"{kind:>16}" for kind in ("t", "bootstrap-t", "percentile"))
        )
    for name in shapes():
        for n in SEEDS:
            rows = measure(name, n)
            if as_json:
                print("\n".join(json.dumps(row) for row in rows), flush=True)
                continue
            widths = ["inf" if row["width"] is None else f"{row['width']:.2f}" for row in rows]
            cells = [
                f"{row['coverage']:.3f} ({width})" for row, width in zip(rows, widths, strict=True)
            ]
            print(f"{name:18}{n:5}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
