"""How lanes, or the images of a step, are spread over devices."""

import contextlib
import functools
import itertools
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxclust.errors import UsageError
from jaxclust.types import Schedule

Over = Literal["vmap", "map", "shard", "data"]
OVERS: tuple[Over, ...] = ("vmap", "map", "shard", "data")
"""How lanes run; ``driver.Program`` has what each of them means."""


def same_bits(over: str) -> str:
    """One name for all ways to run lanes that give the same numbers, bit for bit.

    "shard" gives those of "map", on any number of devices.
    """
    return "map" if over == "shard" else over


def fastest(lanes: int) -> Over:
    """The way to run lanes that ``benchmarks/step.py`` measured fastest; on a CPU never "vmap"."""
    if jax.default_backend() != "cpu":
        return "vmap"
    return "shard" if lanes > 1 and jax.local_device_count() > 1 else "map"


def use_devices(over: Over | None, seeds: int, most: int | None = None) -> Over:
    """Makes a device of each CPU core that the seeds can use, and returns how they run.

    Args:
      over: how seeds run; None for the fastest way here.
      seeds: how many there are.
      most: how many devices there may be; None for all cores.
    """
    cores = most or os.cpu_count() or 1
    if over == "data" or (over in (None, "shard") and seeds > 1):
        # A backend that has started, as in a notebook, keeps the devices it has.
        with contextlib.suppress(RuntimeError):
            count = cores if over == "data" else min(cores, seeds)
            jax.config.update("jax_num_cpu_devices", count)
    return fastest(seeds) if over is None else over


def dividing(cores: int, processes: int, batches: Sequence[int]) -> int:
    """The most devices of each process, up to its cores, that divide every batch together; or 1."""
    counts = range(1, cores + 1)
    fits = [c for c in counts if not any(batch % (processes * c) for batch in batches)]
    return max(fits, default=1)


def check_over(over: Over, schedule: Schedule) -> None:
    """Refuses devices of several processes that cannot share a step's images.

    Raises:
      UsageError: ``over`` is "data", and the devices of all processes do not divide a batch.
    """
    if over == "data" and jax.process_count() > 1 and schedule.batch % jax.device_count():
        rule = f"over: data must have devices that divide a step's images, {schedule.batch}"
        raise UsageError(f"{rule}, got {jax.device_count()}")


def by_lane(
    program: Callable[[Any, jax.Array, Any], tuple[Any, dict[str, jax.Array]]],
    runs: Any,
    going: Sequence[int],
    images: jax.Array,
    shares: Any,
) -> tuple[Any, dict[str, np.ndarray]]:
    """Runs the lanes that still go: one after the other on each device, all devices equally long.

    There is a program for each device, not one partitioned over all: partitioned programs are fused
    and rounded differently, and a seed's numbers would depend on how many devices there are.

    Args:
      program: runs a lane (with an axis of 1) on images as far as bounds say. It returns the
        lane and its infos as columns, of which the first entries count, one for each window.
      runs: all lanes.
      going: the numbers of the lanes to run, at least one.
      images: what they share.
      shares: what each lane runs, windows or steps: ``count`` of them, and ``part(first, count)``
        for the bounds of some.

    Returns:
      All lanes, and their infos, which are zeros for lanes that stood still.
    """
    devices = jax.local_devices()[: len(going)]
    pixels = {device: jax.device_put(images, device) for device in devices}
    lanes = [taken(runs, np.array([lane])) for lane in range(len(runs.window))]
    # Threads that come to a new program at once would each trace it.
    jax.eval_shape(program, lanes[going[0]], images, shares.part(0, shares.count))

    def run(lane: int, part: tuple[int, int], device: Any, earlier: Future | None):
        before = lanes[lane]
        infos = None
        if earlier is not None:
            before, infos = earlier.result()
        inputs = (jax.device_put(before, device), pixels[device], shares.part(*part))
        after, columns = jax.block_until_ready(program(*inputs))
        columns = {name: np.asarray(column) for name, column in columns.items()}
        if infos is not None:
            ran = int(before.window[0]) - int(lanes[lane].window[0])
            columns = {
                name: np.hstack([infos[name][:, :ran], column])[:, : infos[name].shape[1]]
                for name, column in columns.items()
            }
        return after, columns

    done: dict[int, Future] = {}
    begun = dict.fromkeys(going, 0)
    with ExitStack() as stack:
        each = list(zip(devices, turns(len(going), shares.count, len(devices)), strict=True))
        # From the last device back: a lane that two share begins on the later one.
        for device, share in reversed(each):
            thread = stack.enter_context(ThreadPoolExecutor(1))
            for place, count in share:
                lane = going[place]
                part = (begun[lane], count)
                done[lane] = thread.submit(run, lane, part, device, done.get(lane))
                begun[lane] += count
    results = {lane: future.result() for lane, future in done.items()}
    still = {name: np.zeros_like(column) for name, column in results[going[0]][1].items()}
    parts, infos = zip(
        *(results.get(lane, (part, still)) for lane, part in enumerate(lanes)), strict=True
    )
    runs = _together(jax.device_put(parts, devices[0]))
    return runs, {name: np.concatenate([info[name] for info in infos]) for name in still}


# These two are one program for all arrays of a run. Without jit each shape of an array would have a
# program of its own, and a run would compile some thirty of them.


@jax.jit
def taken(tree: Any, places: np.ndarray | int) -> Any:
    """A tree's arrays at some places of their first axes.

    Args:
      tree: of arrays with axes of one length in front.
      places: int (m,) for arrays with an axis of m in front, or an int for arrays without.
    """
    return jax.tree.map(lambda leaf: leaf[places], tree)


@jax.jit
def _together(parts: Sequence[Any]) -> Any:
    """Trees of arrays, joined along their first axes."""
    return jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *parts)


def turns(lanes: int, windows: int, devices: int) -> list[list[tuple[int, int]]]:
    """For each device the lanes that it runs, in order, and for how many windows.

    No device runs more than one window more than another. This is McNaughton's wrap-around rule:
    lanes are laid end to end and cut into equal shares. A lane that is cut comes last on one device
    and first on the next one, where it begins: it is never in two places at once.

    Args:
      lanes: number of lanes, at least as many as ``devices``.
      windows: number of windows of each lane.
      devices: number of devices.
    """
    cuts = [lanes * windows * device // devices for device in range(devices + 1)]
    return [
        [
            (lane, min(end, (lane + 1) * windows) - max(start, lane * windows))
            for lane in range(start // windows, -(-end // windows))
        ]
        for start, end in itertools.pairwise(cuts)
    ]


def evenly(lanes: int) -> int:
    """The fewest windows of each lane that the devices here can share evenly."""
    devices = max(min(jax.local_device_count(), lanes), 1)
    return devices // math.gcd(lanes, devices)


def by_image(
    program: Callable[..., tuple[Any, Any]], batch: int, *arguments: Any
) -> tuple[Any, Any]:
    """Runs a program whose steps share their images between the devices of all processes.

    Every device has all images of a block and takes its part of each batch: weights and gradients
    travel.

    Args:
      program: what runs.
      batch: images in a batch.
      *arguments: of the program.

    Returns:
      What the program returns, in each process.
    """
    everywhere = NamedSharding(mesh(batch), PartitionSpec())
    return _map(
        program(*(placed(tree, everywhere) for tree in arguments)),
        lambda leaf: leaf.addressable_data(0),
    )


def split(batch: jax.Array) -> jax.Array:
    """A batch, of which each device has its part; for use inside a program of ``by_image``."""
    return jax.lax.with_sharding_constraint(
        batch, NamedSharding(mesh(batch.shape[0]), PartitionSpec("data"))
    )


def mesh(batch: int) -> Mesh:
    """All devices of all processes in a row.

    A process alone uses as many of its devices as can share a batch evenly.
    """
    devices = jax.devices()
    if jax.process_count() == 1:
        counts = range(1, len(devices) + 1)
        devices = devices[: max(count for count in counts if batch % count == 0)]
    return Mesh(np.array(devices), ("data",))


def placed(tree: Any, sharding: NamedSharding) -> Any:
    """The same arrays on every device, from what each process has."""
    place = functools.partial(jax.make_array_from_process_local_data, sharding)
    return _map(tree, lambda leaf: place(np.asarray(leaf), leaf.shape))


def _map(tree: Any, function: Callable[[jax.Array], jax.Array]) -> Any:
    """Applies a function to each array of a tree, and to the data of typed keys."""

    def apply(leaf):
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(function(jax.random.key_data(leaf)))
        return function(leaf)

    return jax.tree.map(apply, tree)
