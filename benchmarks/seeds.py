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

from jaxclust import datasets, fit
from jaxclust.algorithms import METHODS, configured

COUNTS = (1, 2, 4, 8)
REPEATS = 3


def measure(seeds: tuple[int, ...], over: str) -> tuple[float, float]:
    """Seconds of a run without compilation, and of its compilation."""
    dataset = datasets.load("digits")
    config, pretraining = configured("dcec", clusters=10)
    config = dataclasses.replace(config, max_steps=140, tolerance=0.0)
    pretraining = dataclasses.replace(pretraining, epochs=10)
    done = fit.fit(METHODS["dcec"], config, pretraining, dataset.images, seeds, over=over)
    phases = done.phases.values()
    return sum(phase.seconds for phase in phases), sum(phase.compile_seconds for phase in phases)


def main() -> None:
    """Prints a row for each N and each way to run the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--json", action="store_true", help="one object a line")
    as_json = parser.parse_args().json
    if (os.cpu_count() or 1) > 1:
        jax.config.update("jax_num_cpu_devices", os.cpu_count())
    if not as_json:
        print("seeds over    together s   apart s  ratio  compile s  solo compile")
    _, solo_compile = measure((0,), "map")  # the process's first
    for count in COUNTS:
        seeds = tuple(range(count))
        for over in ("vmap", "map", "shard"):
            jax.clear_caches()
            _, compiling = measure(seeds, over)
            measure((0,), "map")  # compiled again before it is timed
            together, apart = [], []
            for _ in range(REPEATS):  # alternating, so that a slow minute hits both
                together.append(measure(seeds, over)[0])
                apart.append(sum(measure((seed,), "map")[0] for seed in seeds))
            row = {
                "seeds": count,
                "over": over,
                "together_s": round(statistics.median(together), 3),
                "apart_s": round(statistics.median(apart), 3),
                "ratio": round(statistics.median(together) / statistics.median(apart), 3),
                "compile_s": round(compiling, 2),
                "solo_compile_s": round(solo_compile, 2),
                "device": jax.devices()[0].device_kind,
            }
            if as_json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    f"{count:5} {over:6} {row['together_s']:11.2f} {row['apart_s']:9.2f} {row['ratio']:6.2f} "
                    f"{compiling:10.1f} {solo_compile:13.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
