"""One run of N seeds against N runs of one seed: ``python -m benchmarks.seeds [--json]``.

DCEC on scikit-learn's digits, real widths and batch, few epochs and a fixed number of steps. Compilation stands apart:
a run of N compiles once, N runs compile once in one process and N times in N processes.
"""

import argparse
import dataclasses
import json
import os
import statistics

import jax

from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.methods.registry import METHODS, configured

COUNTS = "1,2,4,8"
WAYS = ("vmap", "map", "shard")
REPEATS = 3


def measure(seeds: tuple[int, ...], over: str) -> tuple[float, float]:
    """Seconds of a run without compilation, and of its compilation."""
    dataset = datasets.load("digits")
    config, pretraining = configured("dcec", clusters=10)
    config = dataclasses.replace(config, max_steps=140, tolerance=0.0)
    pretraining = dataclasses.replace(pretraining, epochs=5)
    done = fit.fit(METHODS["dcec"], config, pretraining, dataset.images, seeds, over=over)
    phases = done.phases.values()
    return sum(phase.seconds for phase in phases), sum(phase.compile_seconds for phase in phases)


def main() -> None:
    """Prints a row for each N and each way to run the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument(
        "--counts", default=COUNTS, help="seeds together, by comma (default: %(default)s)"
    )
    options = parser.parse_args()
    as_json, counts = options.json, [int(count) for count in options.counts.split(",")]
    if (os.cpu_count() or 1) > 1:
        jax.config.update("jax_num_cpu_devices", os.cpu_count())
    if not as_json:
        print("seeds over    together s   apart s  ratio  compile s  solo compile")
    _, solo_compile = measure((0,), "map")  # the process's first
    for count in counts:
        seeds = tuple(range(count))
        compiling, together = {}, {}
        for over in WAYS:
            jax.clear_caches()
            compiling[over] = measure(seeds, over)[1]
            together[over] = [measure(seeds, over)[0] for _ in range(REPEATS)]
        measure((0,), "map")  # compiled before it is timed
        apart = [sum(measure((seed,), "map")[0] for seed in seeds) for _ in range(REPEATS)]
        for over in WAYS:
            row = {
                "seeds": count,
                "over": over,
                "together_s": round(statistics.median(together[over]), 3),
                "apart_s": round(statistics.median(apart), 3),
                "ratio": round(statistics.median(together[over]) / statistics.median(apart), 3),
                "compile_s": round(compiling[over], 2),
                "solo_compile_s": round(solo_compile, 2),
                "device": jax.devices()[0].device_kind,
            }
            if as_json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{count:5} {over:6} {row['together_s']:11.2f} {row['apart_s']:9.2f} {row['ratio']:6.2f} "
                    f"{compiling[over]:10.1f} {solo_compile:13.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
