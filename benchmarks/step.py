"""One training step of DCEC's autoencoder against PyTorch, in one process.

    python -m benchmarks.step [--json] [--repeats 20] [--steps 2]

The step is the paper's: 28x28x1 images, batch 256, the loss of reconstruction and of ten clusters, forward, backward
and Adam; the batch is taken by its rows from bytes on the device. Ours is ``dcec.step`` in a compiled ``lax.scan``, for
1 seed and for 8, in the driver's three ways: ``vmap``; one after the other (``map``); and one after the other on each
of two devices, which share the CPU's cores (``shard``). PyTorch runs eagerly, on two threads. All of them take turns,
and medians are printed: milliseconds per step and seed, and the ratio to PyTorch (below 1, ours is faster).
"""

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.algorithms import dcec
from jaxclust.networks import cae

SHAPE, BATCH, CLUSTERS, GAMMA, RATE = (28, 28, 1), 256, 10, 0.1, 1e-3  # dcec.Config's defaults, for PyTorch
IMAGES, THREADS = 4096, 2


def jax_runs(seeds, over, images, rows):
    """A function that runs all steps of all seeds, and waits for them; and the target they are pulled to."""
    config, network = dcec.Config(clusters=CLUSTERS, restarts=1), cae(SHAPE, CLUSTERS)
    keys = jax.random.split(jax.random.key(0), seeds)
    states = jax.jit(jax.vmap(lambda key: dcec.init(config, network, key, None, images)))(keys)

    def lane(state, images, rows):
        def step(state, rows):
            return dcec.step(config, network, None, state, images[rows], rows)

        return jax.lax.scan(step, state, rows)

    if over == "vmap":
        lanes = jax.jit(jax.vmap(lane, in_axes=(0, None, None)))
    else:
        lanes = jax.jit(lambda states, *data: jax.lax.map(lambda state: lane(state, *data), states))
    # As the driver's over="shard": a share of the seeds and a program for each device.
    devices = jax.devices()[: THREADS if over == "shard" else 1]
    shares = np.array_split(np.arange(seeds), len(devices))
    shares = [
        jax.device_put((jax.tree.map(lambda leaf, share=share: leaf[share], states), images, rows), device)
        for share, device in zip(shares, devices, strict=True)
    ]
    pool = ThreadPoolExecutor(len(devices))
    return lambda: list(pool.map(lambda share: jax.block_until_ready(lanes(*share)), shares)), states.target[0]


def torch_runs(images, target, rows):
    """A function that runs all steps of one seed in PyTorch."""
    import torch
    from torch import nn

    torch.set_num_threads(THREADS)

    class Autoencoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Sequential(
                *(nn.Conv2d(1, 32, 5, 2, 2), nn.ReLU(), nn.Conv2d(32, 64, 5, 2, 2), nn.ReLU()),
                *(nn.Conv2d(64, 128, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(1152, CLUSTERS)),
            )
            self.decode = nn.Sequential(
                *(nn.Linear(CLUSTERS, 1152), nn.ReLU(), nn.Unflatten(1, (128, 3, 3))),
                *(nn.ConvTranspose2d(128, 64, 3, 2), nn.ReLU(), nn.ConvTranspose2d(64, 32, 5, 2, 2, 1), nn.ReLU()),
                nn.ConvTranspose2d(32, 1, 5, 2, 2, 1),
            )
            self.centroids = nn.Parameter(torch.randn(CLUSTERS, CLUSTERS))

    model = Autoencoder()
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    images = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    target = torch.from_numpy(np.array(target))
    rows = torch.from_numpy(np.array(rows)).long()

    def run():
        for r in rows:
            batch, wanted = images[r].float() / 255, target[r]
            features = model.encode(batch)
            weight = 1 / (1 + ((features[:, None] - model.centroids) ** 2).sum(2))
            soft = weight / weight.sum(1, keepdim=True)
            loss = ((model.decode(features) - batch) ** 2).mean()
            loss = loss + GAMMA * (wanted * torch.log(wanted / soft)).sum(1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return run


def measure(repeats, steps):
    """Yields one dict for each variant: network, seeds, over, ours_ms, torch_ms, ratio."""
    rng = np.random.default_rng(0)  # speed does not depend on the pixels
    images = rng.integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8)
    rows = rng.integers(0, IMAGES, (steps, BATCH), dtype=np.int32)
    variants = [(1, "vmap"), (1, "map"), (8, "vmap"), (8, "map"), (8, "shard")]
    ours = {}
    for variant in variants:
        ours[variant], target = jax_runs(*variant, jnp.asarray(images), jnp.asarray(rows))
    torch_run = torch_runs(images, target, rows)
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
            "network": "dcec",
            "seeds": seeds,
            "over": over,
            "ours_ms": round(ours_ms, 2),
            "torch_ms": round(torch_ms, 2),
            "ratio": round(ours_ms / torch_ms, 3),
        }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")
    parser.add_argument("--repeats", type=int, default=20, help="timings of each variant, at least 20 for a claim")
    parser.add_argument("--steps", type=int, default=2, help="steps in one timing")
    arguments = parser.parse_args()
    jax.config.update("jax_num_cpu_devices", THREADS)  # before the backend starts
    if not arguments.json:
        print(f"{'network':8} {'seeds':>5} {'over':>8} {'ours ms':>9} {'torch ms':>9} {'ratio':>6}")
    for row in measure(arguments.repeats, arguments.steps):
        if arguments.json:
            print(json.dumps(row), flush=True)
        else:
            print("{network:8} {seeds:5} {over:>8} {ours_ms:9.1f} {torch_ms:9.1f} {ratio:6.2f}".format(**row))


if __name__ == "__main__":
    main()
