"""One training step against PyTorch's, in one process: ``python -m benchmarks.step``.

The networks are DCEC's autoencoder, JULE's network and DBC's autoencoder, and the steps are the
papers' at their settings: DCEC's loss of reconstruction and of ten clusters, JULE's weighted
triplets, DBC's pretraining. A step is forward, backward and the optimizer; its batch is taken by
rows from bytes on the device. Images are 28x28x1, and 128x128x1 for the networks named "-128".

jaxclust runs the algorithm's ``step`` in a compiled ``lax.scan``, for one seed and for several, in
the driver's ways: "vmap" (DCEC alone), one seed after the other ("map"), and one after the other on
each of two devices, which share the CPU's cores ("shard"). PyTorch runs eagerly, on two threads.
They take turns, and medians are printed: milliseconds a step and seed, and the ratio to PyTorch's,
which is below 1 where jaxclust is faster. ``--json`` gives the rows of
``experiments/results/step.jsonl``.
"""

import argparse
import importlib.util
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine.clocks import Stopwatch
from jaxclust.engine.devices import Over
from jaxclust.engine.driver import Program
from jaxclust.methods import registry

THREADS = 2
WARM_UP = 2
"""Timings of each variant that do not count."""

Variant = tuple[int, Over]
"""How many seeds run, and how."""
ALONE: tuple[Variant, ...] = ((1, "map"),)
EIGHT: tuple[Variant, ...] = ((8, "map"), (8, "shard"))
TWO: tuple[Variant, ...] = ((2, "map"), (2, "shard"))


class Case(NamedTuple):
    """What is measured under one name.

    Attributes:
      method: the method's name.
      side: height and width of the images in pixels.
      images: how many there are.
      variants: how seeds run.
    """

    method: str
    side: int
    images: int
    variants: tuple[Variant, ...]

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of an image."""
        return (self.side, self.side, 1)


NETWORKS = {
    "dcec": Case("dcec", 28, 4096, ((1, "vmap"), *ALONE, (8, "vmap"), *EIGHT)),
    "jule": Case("jule", 28, 4096, (*ALONE, *EIGHT)),
    "dbc": Case("dbc", 28, 4096, (*ALONE, *EIGHT)),
    "jule-128": Case("jule", 128, 512, (*ALONE, *TWO)),
    "dbc-128": Case("dbc", 128, 512, (*ALONE, *TWO)),
}

MEMORY: dict[str, Callable[[Any], jax.Array | None]] = {
    "dcec": lambda state: state.target,
    "jule": lambda state: state.labels,
    "dbc": lambda state: None,
}
"""What PyTorch's step of a method needs from the state of jaxclust's."""


class Row(NamedTuple):
    """A variant's result.

    Attributes:
      network: the case's name.
      seeds: how many run.
      over: how they run.
      ours_ms: milliseconds of jaxclust, for each step and seed.
      torch_ms: milliseconds of PyTorch for a step of one seed.
      ratio: ``ours_ms / torch_ms``.
    """

    network: str
    seeds: int
    over: Over
    ours_ms: float
    torch_ms: float
    ratio: float


def program(case: Case) -> Program:
    """The algorithm whose step is measured, with its settings and network."""
    method = registry.method(case.method, "paper")
    network = method.build(case.shape)
    if case.method == "dbc":
        assert method.pretrainer is not None
        return Program(method.pretrainer, method.pretraining, network)
    return Program(method.algorithm, method.config, network)


def seeds_run(
    program: Program, states: Any, images: jax.Array, rows: jax.Array
) -> Callable[[], list[Any]]:
    """A function that takes all steps of all seeds, and waits for them.

    Args:
      program: what steps, and how seeds run.
      states: with a leading axis of seeds.
      images: uint8 (n, h, w, c).
      rows: the images of each step, int32 (steps, batch).
    """
    algorithm, config, network, over = program
    algorithm_step = algorithm.step
    assert algorithm_step is not None

    def lane(state, images, rows):
        def step(state, rows):
            return algorithm_step(config, network, None, state, images[rows], rows)

        return jax.lax.scan(step, state, rows)

    if over == "vmap":
        lanes = jax.jit(jax.vmap(lane, in_axes=(0, None, None)))
    else:
        lanes = jax.jit(lambda states, *data: jax.lax.map(lambda state: lane(state, *data), states))
    # As in the driver's "shard", each device has its share of the seeds and a program of its own.
    devices = jax.devices()[: THREADS if over == "shard" else 1]
    seeds = np.arange(len(jax.tree.leaves(states)[0]))
    inputs = []
    for device, share in zip(devices, np.array_split(seeds, len(devices)), strict=True):
        part = jax.tree.map(lambda leaf, share=share: leaf[share], states)
        inputs.append(jax.device_put((part, images, rows), device))
    pool = ThreadPoolExecutor(len(devices))
    return lambda: list(pool.map(lambda share: jax.block_until_ready(lanes(*share)), inputs))


def torch_run(
    case: Case, config: Any, memory: jax.Array | None, pixels: np.ndarray, rows: np.ndarray
) -> Callable[[], None]:
    """A function that takes all steps of one seed in PyTorch; arguments as in ``seeds_run``."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks import torch_steps

    torch.set_num_threads(THREADS)
    step = torch_steps.STEPS[case.method](config, case.shape, np.array(memory))

    def run() -> None:
        for batch in rows:
            step(pixels[batch], torch.from_numpy(batch).long())

    return run


def measure(title: str, repeats: int, steps: int) -> Iterator[Row]:
    """A row for each variant.

    Args:
      title: one of NETWORKS.
      repeats: timings of each variant.
      steps: steps in one timing.
    """
    case = NETWORKS[title]
    measured = program(case)
    draw = np.random.default_rng(0)  # The speed does not depend on the pixels.
    pixels = draw.integers(0, 256, (case.images, *case.shape), dtype=np.uint8)
    rows = draw.integers(0, case.images, (steps, measured.config.batch), dtype=np.int32)
    images = jnp.asarray(pixels)
    init = jax.jit(partial(measured.algorithm.init, measured.config, measured.network))
    most = max(seeds for seeds, _ in case.variants)
    states = [init(jax.random.key(seed), None, images) for seed in range(most)]
    runs: dict[Variant, Callable[[], Any]] = {}
    for seeds, over in case.variants:
        together = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states[:seeds])
        variant = measured._replace(over=over)
        runs[seeds, over] = seeds_run(variant, together, images, jnp.asarray(rows))
    memory = MEMORY[case.method](states[0])
    torch_steps = torch_run(case, measured.config, memory, pixels, rows)
    times: dict[Variant, list[float]] = {variant: [] for variant in case.variants}
    torch_times: list[float] = []
    for repeat in range(WARM_UP + repeats):
        for (seeds, over), run in runs.items():
            # PyTorch has its turn beside each variant, so that whatever else the machine does
            # slows both.
            torch_ms = milliseconds(torch_steps) / steps
            ours_ms = milliseconds(run) / steps / seeds
            if repeat >= WARM_UP:
                torch_times.append(torch_ms)
                times[seeds, over].append(ours_ms)
    torch_ms = float(np.median(torch_times))
    for seeds, over in case.variants:
        ours_ms = float(np.median(times[seeds, over]))
        ratio = round(ours_ms / torch_ms, 3)
        yield Row(title, seeds, over, round(ours_ms, 2), round(torch_ms, 2), ratio)


def milliseconds(function: Callable[[], Any]) -> float:
    """Wall-clock milliseconds of a call, without compilation."""
    watch = Stopwatch()
    function()
    return watch.read().seconds * 1e3


def main() -> None:
    """Prints a row for each network and variant."""
    parser = argparse.ArgumentParser(
        description="One training step against PyTorch's, in one process."
    )
    names = ", ".join(NETWORKS)
    parser.add_argument("--network", default="dcec,jule,dbc", help=f"by comma, of {names}")
    parser.add_argument("--json", action="store_true", help="print one JSON object a line")
    parser.add_argument(
        "--repeats", type=int, default=20, help="timings of each variant, at least 20 for a claim"
    )
    parser.add_argument("--steps", type=int, default=2, help="steps in one timing")
    arguments = parser.parse_args()
    titles = arguments.network.split(",")
    for title in titles:
        if title not in NETWORKS:
            parser.error(f"network: must be of {names}, got {title!r}")
    if importlib.util.find_spec("torch") is None:
        parser.error("torch: must be installed, as by pip install '.[bench]', and is not")
    jax.config.update("jax_num_cpu_devices", THREADS)  # Before the backend starts.
    if not arguments.json:
        heads = f"{'network':8} {'seeds':>5} {'over':>8}"
        print(f"{heads} {'ours ms':>9} {'torch ms':>9} {'ratio':>6}")
    for title in titles:
        for row in measure(title, arguments.repeats, arguments.steps):
            if arguments.json:
                print(json.dumps(row._asdict()), flush=True)
            else:
                place = f"{row.network:8} {row.seeds:5} {row.over:>8}"
                print(f"{place} {row.ours_ms:9.1f} {row.torch_ms:9.1f} {row.ratio:6.2f}")


if __name__ == "__main__":
    main()
