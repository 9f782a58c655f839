"""Seeds' runs as arrays, and the program that runs them."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine.devices import Over
from jaxclust.types import Algorithm, Key, Network, Schedule


class Program(NamedTuple):
    """What is compiled: everything that is known before a run starts. Hashable.

    Attributes:
      algorithm: the algorithm.
      config: its settings.
      network: the network.
      over: how lanes run. "vmap" runs them together. "map" runs one after the other, each bit for
        bit as on its own. "shard" gives the numbers of "map" and spreads the windows of the lanes
        that still go evenly over the devices present; ``start`` and ``apply``, which are short
        beside the windows, run on the first device. "data" is "map" with each step's batch spread
        over the devices of all processes that ``jax.distributed`` has joined; it gives the same
        numbers up to rounding. There all processes make the same calls, and their devices have to
        divide a batch; a process alone uses as many of its devices as do.
    """

    algorithm: Algorithm
    config: Any
    network: Network
    over: Over = "vmap"

    def schedule(self, n: int) -> Schedule:
        """Steps and windows for n images."""
        return self.algorithm.schedule(self.config, n)


class Lanes(NamedTuple):
    """All seeds' runs, with a leading axis of lanes; inside compiled code one of them without it.

    Attributes:
      key: the lane's key, typed, ().
      state: the algorithm's state.
      window: number of windows done, int32.
      stopped: whether the algorithm's own rule ended the run, bool.
      failed: the step, counted from 0 over the whole run, at which a NaN or inf was met; -1 for
        none; int32. ``state`` is then the last whole window's, and finite unless ``init`` itself
        failed.
    """

    key: Key
    state: Any
    window: jax.Array
    stopped: jax.Array
    failed: jax.Array


def with_plain_keys(lanes: Lanes) -> Lanes:
    """The lanes with their keys' data in the place of typed keys, which no file holds.

    Keys that are data already stay so.
    """
    if jnp.issubdtype(lanes.key.dtype, jax.dtypes.prng_key):
        return lanes._replace(key=jax.random.key_data(lanes.key))
    return lanes


def with_typed_keys(lanes: Lanes) -> Lanes:
    """The lanes of ``with_plain_keys`` as arrays on the device, with typed keys again."""
    lanes = jax.tree.map(jnp.asarray, lanes)
    return lanes._replace(key=jax.random.wrap_key_data(lanes.key))


class Part(NamedTuple):
    """What lanes have of the window that they are in; in compiled code that of one lane.

    Attributes:
      state: the algorithm's state after the steps of the window that are done; that of the lane
        before the first of them.
      infos: of each step in the window by name, (steps_per_window,); those of the steps that are
        done count.
    """

    state: Any
    infos: dict[str, jax.Array]


class Going(NamedTuple):
    """Lanes, and what they have of the window that they are in."""

    lanes: Lanes
    part: Part

    @property
    def window(self) -> jax.Array:
        """Number of whole windows, int32."""
        return self.lanes.window


class Bounds(NamedTuple):
    """How far a call of ``driver.chunk`` runs: whole windows, or a piece of one.

    Attributes:
      windows: at most so many windows, int32; 1 for a piece.
      first: the step in each window to begin with, int32; 0 but for a piece.
      last: the step in each window to end before, int32. A window ends with its last step.
    """

    windows: np.int32 | jax.Array
    first: np.int32 | jax.Array
    last: np.int32 | jax.Array


@functools.lru_cache(maxsize=64)
def traced_once(function: Callable, config: Any, network: Network) -> Callable:
    """An algorithm's ``init``, ``step`` or ``refresh`` with its settings, traced once in a process.

    What checks it, what asks for the shapes of its results, and what compiles it share the trace.
    Inlined, it leaves the same program as the function itself.

    Args:
      function: of an ``Algorithm``; hashable, as its settings and its network are.
      config: the settings.
      network: the network.
    """
    return jax.jit(functools.partial(function, config, network), inline=True)


def has_ended(run: Lanes, schedule: Schedule) -> jax.Array:
    """Whether a lane has ended: stopped by its rule, failed, or out of windows."""
    return run.stopped | (run.failed >= 0) | (run.window >= schedule.max_windows)
