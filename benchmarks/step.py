"""One training step against PyTorch, in one process: DCEC's autoencoder, JULE's network, DBC's autoencoder.

    python -m benchmarks.step [--network dcec,jule,dbc,jule-128,dbc-128] [--json] [--repeats 20] [--steps 2]

The steps are the papers', at their settings: DCEC's loss of reconstruction and of ten clusters, JULE's weighted
triplets, DBC's pretraining; forward, backward and the optimiser; the batch is taken by its rows from bytes on the
device. Images are 28x28x1, and 128x128x1 for the last two. Ours is the algorithm's ``step`` in a compiled ``lax.scan``,
for one seed and for several, in the driver's ways: ``vmap`` (DCEC alone); one after the other (``map``); and one after
the other on each of two devices, which share the CPU's cores (``shard``). PyTorch runs eagerly, on two threads. All of
them take turns, and medians are printed: milliseconds per step and seed, and the ratio to PyTorch (below 1, ours is
faster).
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.methods.registry import METHODS, configured

THREADS = 2
# The method, pixels a side, images, and how many seeds run how.
ALONE, SEEDS = [(1, "map")], [(8, "map"), (8, "shard")]
NETWORKS = {
    "dcec": ("dcec", 28, 4096, [(1, "vmap"), *ALONE, (8, "vmap"), *SEEDS]),
    "jule": ("jule", 28, 4096, ALONE + SEEDS),
    "dbc": ("dbc", 28, 4096, ALONE + SEEDS),
    "jule-128": ("jule", 128, 512, [*ALONE, (2, "map"), (2, "shard")]),
    "dbc-128": ("dbc", 128, 512, [*ALONE, (2, "map"), (2, "shard")]),
}


def setting(name, side):
    """Of a method, on images of ``side`` pixels: what steps, its config, the network, the images in a step, and what
    PyTorch's step reads of our state."""
    method = METHODS[name]
    config, pretraining = configured(name)
    network = method.network((side, side, 1), config.clusters)
    if name == "dbc":
        return pretraining, pretraining, network, pretraining.batch, lambda state: None
    given = {"dcec": lambda state: state.target, "jule": lambda state: state.labels}[name]
    return method.algorithm, config, network, config.batch, given


def jax_runs(states, algorithm, config, network, over, images, rows):
    """A function that runs all steps of all seeds, and waits for them."""

    def lane(state, images, rows):
        def step(state, rows):
            return algorithm.step(config, network, None, state, images[rows], rows)

        return jax.lax.scan(step, state, rows)

    if over == "vmap":
        lanes = jax.jit(jax.vmap(lane, in_axes=(0, None, None)))
    else:
        lanes = jax.jit(lambda states, *data: jax.lax.map(lambda state: lane(state, *data), states))
    # As the driver's over="shard": a share of the seeds and a program for each device.
    devices = jax.devices()[: THREADS if over == "shard" else 1]
    shares = np.array_split(np.arange(len(jax.tree.leaves(states)[0])), len(devices))
    shares = [
        jax.device_put(
            (jax.tree.map(lambda leaf, share=share: leaf[share], states), images, rows), device
        )
        for share, device in zip(shares, devices, strict=True)
    ]
    pool = ThreadPoolExecutor(len(devices))
    return lambda: list(pool.map(lambda share: jax.block_until_ready(lanes(*share)), shares))


def measure(title, repeats, steps):
    """Yields one dict for each variant: network, seeds, over, ours_ms, torch_ms, ratio."""
    import torch

    from benchmarks import torch_steps

    torch.set_num_threads(THREADS)
    name, side, count, variants = NETWORKS[title]
    algorithm, config, network, batch, given = setting(name, side)
    rng = np.random.default_rng(0)  # speed does not depend on the pixels
    pixels = rng.integers(0, 256, (count, side, side, 1), dtype=np.uint8)
    rows = rng.integers(0, count, (steps, batch), dtype=np.int32)
    images = jnp.asarray(pixels)
    init = jax.jit(partial(algorithm.init, config, network))
    states = [
        init(jax.random.key(seed), None, images)
        for seed in range(max(seeds for seeds, _ in variants))
    ]
    ours = {
        (seeds, over): jax_runs(
            jax.tree.map(lambda *leaves: jnp.stack(leaves), *states[:seeds]),
            *(algorithm, config, network, over, images, jnp.asarray(rows)),
        )
        for seeds, over in variants
    }
    theirs = getattr(torch_steps, name)(config, (side, side, 1), np.array(given(states[0])))

    def torch_run():
        for few in rows:
            theirs(pixels[few], torch.from_numpy(few).long())

    times = {key: [] for key in ("torch", *variants)}
    for repeat in range(repeats + 2):
        for (seeds, over), run in ours.items():
            # PyTorch has its turn beside each of ours, so that whatever else the machine does meets both.
            for key, timed, lanes in (("torch", torch_run, 1), ((seeds, over), run, seeds)):
                began = time.perf_counter()
                timed()
                if repeat >= 2:  # the first two warm up
                    times[key].append((time.perf_counter() - began) * 1e3 / steps / lanes)
    torch_ms = float(np.median(times["torch"]))
    for seeds, over in variants:
        ours_ms = float(np.median(times[seeds, over]))
        yield {
            "network": title,
            "seeds": seeds,
            "over": over,
            "ours_ms": round(ours_ms, 2),
            "torch_ms": round(torch_ms, 2),
            "ratio": round(ours_ms / torch_ms, 3),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--network", default="dcec,jule,dbc", help=f"by comma, of {', '.join(NETWORKS)}"
    )
    parser.add_argument(
        "--json", action="store_true", help="one JSON object a line instead of a table"
    )
    parser.add_argument(
        "--repeats", type=int, default=20, help="timings of each variant, at least 20 for a claim"
    )
    parser.add_argument("--steps", type=int, default=2, help="steps in one timing")
    arguments = parser.parse_args()
    names = arguments.network.split(",")
    for name in names:
        if name not in NETWORKS:
            parser.error(f"network: must be of {', '.join(NETWORKS)}, got {name!r}")
    jax.config.update("jax_num_cpu_devices", THREADS)  # before the backend starts
    if not arguments.json:
        print(f"{'network':8} {'seeds':>5} {'over':>8} {'ours ms':>9} {'torch ms':>9} {'ratio':>6}")
    for title in names:
        for row in measure(title, arguments.repeats, arguments.steps):
            if arguments.json:
                print(json.dumps(row), flush=True)
            else:
                print(
                    "{network:8} {seeds:5} {over:>8} {ours_ms:9.1f} {torch_ms:9.1f} {ratio:6.2f}".format(
                        **row
                    )
                )


if __name__ == "__main__":
    main()
