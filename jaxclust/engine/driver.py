"""The driver: runs any algorithm for many seeds at once, compiled, in chunks that change nothing.

A lane is one seed's run. ``chunk`` is the one jitted function: for each lane a loop over windows,
in it a scan over steps, then ``refresh``. Everything with a side effect (progress, checkpoints,
scores against true labels) is a callback of ``train``, called between chunks.
"""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import devices
from jaxclust.engine.clocks import Stopwatch
from jaxclust.engine.devices import OVERS, Over, check_over
from jaxclust.errors import UsageError
from jaxclust.types import Algorithm, Key, Network, Schedule, Variables

History = dict[str, np.ndarray]
"""Columns by name, with one entry for each lane and window: "lane", "window" (from 0), the mean
over the window's steps of each of the algorithm's infos, and those of its ``refresh``. The entries
are in the order in which they were computed: take those of a lane by ``history["lane"] == lane``.
A lane's number is its place among the seeds."""

CAPACITY = 64
"""Windows that a chunk can hold. All chunks have this one size, so that chunks of any length share
one compiled program."""
CHUNK_SECONDS = 2.0
"""Length that a chunk aims at where nobody sets it: progress moves, and callbacks cost nothing."""


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


class Event(NamedTuple):
    """What a callback sees after each chunk.

    Attributes:
      lanes: all lanes.
      history: all windows so far.
      schedule: steps and windows.
      done: which lanes have ended, bool (lanes,).
      pace: seconds for each window of the last chunk, without compilation; None if not measured.
    """

    lanes: Lanes
    history: History
    schedule: Schedule
    done: np.ndarray
    pace: float | None = None


class Training(NamedTuple):
    """A training as far as it has come.

    Attributes:
      lanes: all lanes.
      history: all windows so far.
      finished: whether all lanes have ended.
    """

    lanes: Lanes
    history: History
    finished: bool


Callback = Callable[[Event], bool | None]
"""Called after each chunk; True ends the training there, and ``train`` can go on with it later."""


def begin(program: Program, keys: Key, variables: Variables | None, images: jax.Array) -> Training:
    """A training before its first window.

    Args:
      program: what runs.
      keys: typed keys, (lanes,).
      variables: the network's arrays with a leading lane axis (from a pretraining), or None for
        fresh ones.
      images: uint8 or float32 in [0, 1], (n, h, w, c), shared by all lanes.
    """
    if program.over in ("shard", "data"):
        program = program._replace(over="map")  # Lanes start on the first device.
    return Training(start(program, (keys, variables), images), {}, False)


def train(
    program: Program,
    begun: Training,
    images: jax.Array,
    *,
    callbacks: Sequence[Callback] = (),
    windows_per_chunk: int | None = None,
    blocks: Iterator[jax.Array] | None = None,
) -> Training:
    """Runs all lanes, chunk after chunk, until all have ended or a callback says stop.

    Args:
      program: what runs.
      begun: where to go on from.
      images: uint8 or float32 in [0, 1], (n, h, w, c), shared by all lanes.
      callbacks: called in order after each chunk.
      windows_per_chunk: from 1 to CAPACITY; None adapts it to about CHUNK_SECONDS, or to as many
        as devices need to share the lanes evenly. It changes no number.
      blocks: the images of each window, all of the shape of ``images``, for sets larger than
        memory. A window is then a chunk.

    Raises:
      UsageError: an argument breaks its rule.
    """
    if program.over not in OVERS:
        known = f"{', '.join(OVERS[:-1])} or {OVERS[-1]}"
        raise UsageError(f"over: must be {known}, got {program.over!r}")
    if windows_per_chunk is not None and not 1 <= windows_per_chunk <= CAPACITY:
        rule = f"windows_per_chunk: must be from 1 to {CAPACITY}"
        raise UsageError(f"{rule}, got {windows_per_chunk}")
    schedule = program.schedule(images.shape[0])
    check_over(program.over, schedule)
    lanes, history, _ = begun
    # Processes that chose by their own clocks would run different numbers of windows.
    if blocks is not None or jax.process_count() > 1:
        windows_per_chunk = 1
    windows = windows_per_chunk or 1
    done = ended(lanes, schedule)
    while not done.all():
        images = images if blocks is None else next(blocks)
        before = np.asarray(lanes.window)
        watch = Stopwatch()
        lanes, infos = chunk(program, lanes, images, jnp.int32(windows))
        history = _joined(history, _columns(infos, before, np.asarray(lanes.window)))
        done = ended(lanes, schedule)
        if windows_per_chunk is None:
            least = devices.evenly(int(np.sum(~done))) if program.over == "shard" else 1
            aim = windows * CHUNK_SECONDS / max(watch.read().seconds, 1e-3)
            windows = min(int(np.clip(aim, least, max(2 * windows, least))), CAPACITY)
        event = Event(lanes, history, schedule, done)
        # Every callback is called, also after one has asked to stop.
        if any([callback(event) for callback in callbacks]):
            break
    return Training(lanes, history, bool(done.all()))


def _joined(history: History, columns: History) -> History:
    """A history with the columns of one more chunk."""
    if not history:
        return columns
    if history.keys() != columns.keys():
        differing = ", ".join(sorted(history.keys() ^ columns.keys()))
        rule = "history: must have this version's columns to go on"
        raise UsageError(f"{rule}, differs in {differing}")
    return {name: np.concatenate([history[name], columns[name]]) for name in columns}


@functools.partial(jax.jit, static_argnums=0)
def start(program: Program, inputs: tuple[Key, Variables | None], images: jax.Array) -> Lanes:
    """New lanes, before their first window.

    Args:
      program: what runs.
      inputs: typed keys, (lanes,), and the network's arrays with a lane axis, or None for fresh
        ones.
      images: as for ``begin``.
    """

    def lane(inputs, images):
        key, variables = inputs
        run_key, init_key = jax.random.split(key)
        state = program.algorithm.init(program.config, program.network, init_key, variables, images)
        failed = jnp.where(_finite(state), jnp.int32(-1), jnp.int32(0))
        return Lanes(run_key, state, jnp.int32(0), jnp.asarray(False), failed)

    return _each(lane, program.over)(inputs, images)


def _over_devices(jitted: Callable) -> Callable:
    """Adds ``over`` "shard" and "data" to a program that knows "vmap" and "map"."""

    @functools.wraps(jitted)
    def call(program: Program, lanes, images, windows):
        schedule = program.schedule(images.shape[0])
        if program.over == "data":
            run = functools.partial(jitted, program)
            return devices.by_image(run, schedule.batch, lanes, images, windows)
        if program.over == "shard":
            run = functools.partial(jitted, program._replace(over="map"))
            going = np.flatnonzero(~ended(lanes, schedule)).tolist()
            return devices.by_lane(run, lanes, going, images, int(windows))
        return jitted(program, lanes, images, windows)

    return call


@_over_devices
@functools.partial(jax.jit, static_argnums=0)
def chunk(
    program: Program, lanes: Lanes, images: jax.Array, windows: jax.Array
) -> tuple[Lanes, dict[str, jax.Array]]:
    """At most ``windows`` more windows of each lane; a lane that has ended stands still.

    Returns:
      The lanes, and each info as (lanes, CAPACITY): a lane's first entries, one for each window
      that it ran, count.
    """
    schedule = program.schedule(images.shape[0])

    def lane(run, images, windows):
        window = functools.partial(_window, program, schedule)
        infos = jax.eval_shape(window, run, images)[1]
        infos = {name: jnp.zeros(CAPACITY, info.dtype) for name, info in infos.items()}

        # Under vmap JAX keeps the carry of lanes whose condition is false: they stand still by
        # selection.
        def going(carry):
            run, count, _ = carry
            return (count < windows) & ~_ended(run, schedule)

        def body(carry):
            run, count, infos = carry
            run, info = window(run, images)
            return run, count + 1, {name: infos[name].at[count].set(info[name]) for name in infos}

        run, _, infos = jax.lax.while_loop(going, body, (run, jnp.int32(0), infos))
        return run, infos

    return _each(lane, program.over)(lanes, images, windows)


@functools.partial(jax.jit, static_argnums=(0, 3))
def apply(
    program: Program, states: Any, images: jax.Array, name: Literal["embed", "predict"]
) -> Any:
    """The algorithm's ``embed`` or ``predict`` under each lane's state, with a lane axis.

    Args:
      program: what ran.
      states: the algorithm's, with a lane axis.
      images: uint8 or float32 in [0, 1], (m, h, w, c), shared by all lanes.
      name: the function's name.
    """
    function = getattr(program.algorithm, name)
    return _each(
        lambda state, images: function(program.config, program.network, state, images),
        program.over,
    )(states, images)


@functools.partial(jax.jit, static_argnums=0)
def finish(program: Program, lanes: Lanes, images: jax.Array) -> dict[str, jax.Array]:
    """The algorithm's ``finish`` of each lane: labels, int32 (lanes, n), by name.

    Args:
      program: what ran; its algorithm has a ``finish``.
      lanes: all lanes.
      images: as for ``begin``.
    """
    function = program.algorithm.finish
    assert function is not None

    def lane(run, images):
        return function(program.config, program.network, run.key, run.state, images)

    return _each(lane, program.over)(lanes, images)


def _each(lane: Callable, over: Over) -> Callable:
    """``lane(inputs, *shared)`` for one seed, as a function of all seeds' inputs."""
    if over == "vmap":
        return lambda inputs, *shared: jax.vmap(lambda own: lane(own, *shared))(inputs)
    return lambda inputs, *shared: jax.lax.map(lambda own: lane(own, *shared), inputs)


def ended(lanes: Lanes, schedule: Schedule) -> np.ndarray:
    """Which lanes have ended: stopped by their rule, failed, or out of windows; bool (lanes,)."""
    return np.asarray(_ended(lanes, schedule))


def _ended(run: Lanes, schedule: Schedule) -> jax.Array:
    return run.stopped | (run.failed >= 0) | (run.window >= schedule.max_windows)


def _window(
    program: Program, schedule: Schedule, run: Lanes, images: jax.Array
) -> tuple[Lanes, dict[str, jax.Array]]:
    """One window of one lane: its steps, then ``refresh``."""
    algorithm, config, network, over = program
    step = algorithm.step
    assert step is not None  # An algorithm without steps has no windows.
    n = images.shape[0]
    order_key, step_key, refresh_key = jax.random.split(run.key, 3)
    first = run.window * schedule.steps_per_window
    steps = first + jnp.arange(schedule.steps_per_window, dtype=jnp.int32)
    rows = _rows(schedule, jax.random.fold_in(order_key, run.window), steps, n)

    def body(state, inputs):
        number, rows = inputs
        key = jax.random.fold_in(step_key, number)
        batch = images[rows]
        if over == "data":
            batch = devices.split(batch)
        return step(config, network, key, state, batch, rows)

    state, infos = jax.lax.scan(body, run.state, (steps, rows))
    infos = infos._asdict()
    finite = functools.reduce(jnp.logical_and, [jnp.isfinite(info) for info in infos.values()])
    infos = {name: jnp.mean(info.astype(jnp.float32)) for name, info in infos.items()}
    stop = jnp.asarray(False)
    if algorithm.refresh is not None:
        key = jax.random.fold_in(refresh_key, run.window)
        state, stop, more = algorithm.refresh(config, network, key, state, images)
        infos |= more._asdict()
    # What the infos do not show at a step, the state shows at the window's end.
    failed = jnp.where(
        jnp.all(finite),
        jnp.where(_finite((state, infos)), jnp.int32(-1), steps[-1]),
        steps[jnp.argmin(finite)],
    )
    whole = failed < 0
    state = jax.tree.map(lambda new, old: jnp.where(whole, new, old), state, run.state)
    return Lanes(run.key, state, run.window + 1, stop & whole, failed), infos


def _rows(schedule: Schedule, order_key: Key, steps: jax.Array, n: int) -> jax.Array:
    """The images' places in each of a window's batches, int32 (steps, batch).

    A batch that passes the last image goes on from the first.
    """
    if schedule.order == "sequential":
        # (step * batch) mod n, in a form that does not overflow.
        return (
            (steps % n)[:, None] * schedule.batch + jnp.arange(schedule.batch, dtype=jnp.int32)
        ) % n
    places = jnp.arange(steps.size * schedule.batch, dtype=jnp.int32) % n
    permutation = jax.random.permutation(order_key, jnp.arange(n, dtype=jnp.int32))
    return permutation[places].reshape(steps.size, schedule.batch)


def _finite(tree: Any) -> jax.Array:
    """Whether every float in the tree is finite; bool ()."""
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return functools.reduce(
        jnp.logical_and, [jnp.all(jnp.isfinite(leaf)) for leaf in floats], jnp.asarray(True)
    )


def _columns(
    infos: dict[str, jax.Array], before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    """A chunk's infos as columns of a table, lane by lane."""
    ran = np.arange(CAPACITY)[None] < (after - before)[:, None]
    lane, place = np.nonzero(ran)
    columns = {"lane": lane.astype(np.int32), "window": (before[lane] + place).astype(np.int32)}
    return columns | {name: np.asarray(values)[ran] for name, values in infos.items()}
