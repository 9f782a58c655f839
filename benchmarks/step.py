"""One training step of DCEC's autoencoder against PyTorch, in one process.

    python -m benchmarks.step [--json] [--repeats 20] [--steps 2]

The step is the paper's: 28x28x1 images, batch 256, the loss of reconstruction and of ten clusters, forward, backward
and Adam; the batch is taken by its rows from bytes on the device. Ours is compiled with a ``lax.scan`` over the steps,
for 1 seed and for 8, in three ways: under ``vmap``; one after the other (``map``); and laid over two forced host
devices, one after the other on each (``devices``). PyTorch runs eagerly, on two threads. All of them take turns, and
medians are printed: milliseconds per step and seed, and the ratio to PyTorch (below 1, ours is faster).
"""

import argparse
import json
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxclust.networks import cae
from jaxclust.types import Variables

SHAPE, BATCH, CLUSTERS, GAMMA, RATE = (28, 28, 1), 256, 10, 0.1, 1e-3
IMAGES, THREADS = 4096, 2


def random_data(seed=0):
    """Images uint8 (n, 28, 28, 1) and a target distribution float32 (n, k): speed does not depend on their values."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (IMAGES, *SHAPE), dtype=np.uint8)
    return images, rng.dirichlet(np.ones(CLUSTERS), IMAGES).astype(np.float32)


def jax_start(network, optimizer, key):
    """One seed's (parameters, optimizer state)."""
    params = {"network": network.init(key).params, "centroids": jax.random.normal(key, (CLUSTERS, CLUSTERS))}
    return params, optimizer.init(params)


def jax_steps(network, optimizer, carry, images, target, rows):
    """One seed's steps over rows, int32 (steps, batch): the new carry and the losses, (steps,)."""

    def loss(params, batch, target):
        reconstruction, features, _ = network.reconstruct(Variables(params["network"], {}), batch, True)
        weight = 1 / (1 + jnp.sum((features[:, None] - params["centroids"]) ** 2, axis=2))
        soft = weight / weight.sum(axis=1, keepdims=True)
        squared = (reconstruction - batch.astype(jnp.float32) / 255) ** 2
        return squared.mean() + GAMMA * jnp.sum(target * jnp.log(target / soft), axis=1).mean()

    def step(carry, rows):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, images[rows], target[rows])
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), value

    return jax.lax.scan(step, carry, rows)


def jax_runs(seeds, over, data, rows):
    """A function that runs all steps of all seeds, and waits for them."""
    network, optimizer = cae(SHAPE, CLUSTERS), optax.adam(RATE)
    steps = partial(jax_steps, network, optimizer)

    def in_turn(carry, *data):
        return jax.lax.map(lambda c: steps(c, *data), carry)

    carry = jax.jit(jax.vmap(partial(jax_start, network, optimizer)))(jax.random.split(jax.random.key(0), seeds))
    devices = jax.devices()[: THREADS if over == "devices" else 1]
    mesh = jax.sharding.Mesh(np.array(devices), ("seeds",))
    lanes, same = jax.P("seeds"), jax.P()
    carry = jax.device_put(carry, jax.NamedSharding(mesh, lanes))
    data = jax.device_put((*data, rows), jax.NamedSharding(mesh, same))
    if over == "vmap":
        run = jax.vmap(steps, in_axes=(0, None, None, None))
    else:
        run = jax.shard_map(in_turn, mesh=mesh, in_specs=(lanes, same, same, same), out_specs=lanes, check_vma=False)
    run = jax.jit(run).lower(carry, *data).compile()
    return lambda: jax.block_until_ready(run(carry, *data))


def torch_runs(data, rows):
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
    images = torch.from_numpy(np.ascontiguousarray(data[0].transpose(0, 3, 1, 2)))
    target = torch.from_numpy(data[1])
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
    data = random_data()
    rows = np.random.default_rng(1).integers(0, IMAGES, (steps, BATCH)).astype(np.int32)
    variants = [(1, "vmap"), (1, "map"), (8, "vmap"), (8, "map"), (8, "devices")]
    ours = {variant: jax_runs(*variant, data, rows) for variant in variants}
    torch_run = torch_runs(data, rows)
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
