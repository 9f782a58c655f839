"""One run of N seeds against N runs of one seed: ``python -m benchmarks.seeds [--json]``.

DCEC runs on scikit-learn's digits with the paper's network and batch, five epochs of pretraining
and a fixed number of steps. Compilation is timed on its own: one run of N seeds compiles once; N
runs compile once in one process and N times in N processes. ``--json`` gives the rows of
``experiments/results/seeds.jsonl``.
"""

import argparse
import json
import os
import statistics
from typing import NamedTuple

import jax

from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.engine.clocks import Times
from jaxclust.engine.devices import Over
from jaxclust.methods import registry

COUNTS = "1,2,4,8"
WAYS: tuple[Over, ...] = ("vmap", "map", "shard")
REPEATS = 3


class Row(NamedTuple):
    """A number of seeds and a way to run them.

    Attributes:
      seeds: how many.
      over: how they run together, see ``engine.driver.Program``.
      together_s: seconds of one run of all seeds, without compilation, median of REPEATS.
      apart_s: seconds of as many runs of one seed each, in the same way.
      ratio: ``together_s / apart_s``.
      compile_s: seconds in which the run of all seeds compiles.
      solo_compile_s: seconds in which the process's first run of one seed compiles.
      device: kind of device.
    """

    seeds: int
    over: Over
    together_s: float
    apart_s: float
    ratio: float
    compile_s: float
    solo_compile_s: float
    device: str


def measure(seeds: tuple[int, ...], over: Over) -> Times:
    """Times of a run of these seeds, over its pretraining and its clustering."""
    images = datasets.load("digits").images
    method = registry.method(
        "dcec", "paper", clusters=10, max_steps=140, tolerance=0.0, pretraining={"epochs": 5}
    )
    phases = fit.fit(method, images, seeds, fit.Options(over=over)).phases.values()
    return Times(
        sum(phase.times.seconds for phase in phases),
        sum(phase.times.compile_seconds for phase in phases),
    )


def compare(count: int, solo_compile_seconds: float) -> list[Row]:
    """A row for each way to run ``count`` seeds together."""
    seeds = tuple(range(count))
    compile_seconds: dict[Over, float] = {}
    together: dict[Over, list[float]] = {}
    for over in WAYS:
        jax.clear_caches()
        compile_seconds[over] = measure(seeds, over).compile_seconds
        together[over] = [measure(seeds, over).seconds for _ in range(REPEATS)]
    measure((0,), "map")  # It is compiled before it is timed.
    apart = [sum(measure((seed,), "map").seconds for seed in seeds) for _ in range(REPEATS)]
    return [
        Row(
            seeds=count,
            over=over,
            together_s=round(statistics.median(together[over]), 3),
            apart_s=round(statistics.median(apart), 3),
            ratio=round(statistics.median(together[over]) / statistics.median(apart), 3),
            compile_s=round(compile_seconds[over], 2),
            solo_compile_s=round(solo_compile_seconds, 2),
            device=jax.devices()[0].device_kind,
        )
        for over in WAYS
    ]


def main() -> None:
    """Prints a row for each number of seeds and each way to run them."""
    parser = argparse.ArgumentParser(description="One run of N seeds against N runs of one seed.")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--counts", default=COUNTS, help="numbers of seeds, by comma (default: %(default)s)"
    )
    options = parser.parse_args()
    counts = [int(count) for count in options.counts.split(",")]
    if (os.cpu_count() or 1) > 1:
        jax.config.update("jax_num_cpu_devices", os.cpu_count())
    if not options.json:
        print("seeds over    together s   apart s  ratio  compile s  solo compile")
    solo_compile_seconds = measure((0,), "map").compile_seconds
    for count in counts:
        for row in compare(count, solo_compile_seconds):
            if options.json:
                print(json.dumps(row._asdict()), flush=True)
            else:
                print(
                    f"{row.seeds:5} {row.over:6} {row.together_s:11.2f} {row.apart_s:9.2f} "
                    f"{row.ratio:6.2f} {row.compile_s:10.1f} {row.solo_compile_s:13.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
