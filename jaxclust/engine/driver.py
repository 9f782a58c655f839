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

from jaxclust.engine import devices, peers, pieces, stopping
from jaxclust.engine.clocks import Stopwatch
from jaxclust.engine.devices import OVERS, Over, check_over
from jaxclust.engine.lanes import Bounds, Going, Lanes, Part, Program, has_ended, traced_once
from jaxclust.engine.pieces import Pace
from jaxclust.engine.window import advance, finite, step_infos
from jaxclust.errors import UsageError
from jaxclust.types import Key, Schedule, Variables

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


class Pending(NamedTuple):
    """A window that was stopped in.

    Attributes:
      part: what lanes have of it.
      steps: how many of its steps are done.
    """

    part: Part
    steps: int


class Training(NamedTuple):
    """A training as far as it has come.

    Attributes:
      lanes: all lanes.
      history: all windows so far.
      finished: whether all lanes have ended.
      pending: what was done of the window that was stopped in, or None.
    """

    lanes: Lanes
    history: History
    finished: bool
    pending: Pending | None = None


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
    going, history, first = _taken_up(program, begun, images)
    # Processes that chose by their own clocks would run different numbers of windows.
    together = shared(program)
    if blocks is not None or together:
        windows_per_chunk = 1
    windows = windows_per_chunk or 1
    pace = Pace()
    done = ended(going.lanes, schedule)
    while not done.all():
        images = images if blocks is None else next(blocks)
        seconds = 0.0
        left = windows
        while left > 0 and not done.all():
            if not together and (stopping.asked() or (pace.calls > 1 and stopping.time_is_up())):
                pending = Pending(going.part, first) if first else None
                return Training(going.lanes, history, False, pending)
            call = (
                pieces.whole(left, schedule)
                if together
                else pieces.following(pace, first, left, schedule)
            )
            before = np.asarray(going.window)
            watch = Stopwatch()
            going, infos = chunk(program, going, images, call.bounds)
            if call.windows:
                history = _joined(history, _columns(infos, before, np.asarray(going.window)))
            done = ended(going.lanes, schedule)
            pace = pace.after(call.steps, watch.read().seconds)
            seconds += watch.read().seconds
            first = call.next_step
            left -= call.windows
        if windows_per_chunk is None:
            least = devices.evenly(int(np.sum(~done))) if program.over == "shard" else 1
            aim = windows * CHUNK_SECONDS / max(seconds, 1e-3)
            windows = min(int(np.clip(aim, least, max(2 * windows, least))), CAPACITY)
        event = Event(going.lanes, history, schedule, done)
        # Every callback is called, also after one has asked to stop.
        stop = any([callback(event) for callback in callbacks])
        if together:
            stop = peers.any_process(stop or stopping.asked())
        if stop:
            break
    return Training(going.lanes, history, bool(done.all()))


def shared(program: Program) -> bool:
    """Whether several processes share each step, so that all of them make the same calls."""
    return program.over == "data" and jax.process_count() > 1


def _taken_up(program: Program, begun: Training, images: jax.Array) -> tuple[Going, History, int]:
    """Lanes with what they have of their window, their history, and the step that comes next."""
    lanes, history, _, pending = begun
    if pending is not None:
        return Going(lanes, pending.part), history, pending.steps
    if ended(lanes, program.schedule(images.shape[0])).all():
        return Going(lanes, Part(lanes.state, {})), history, 0
    return Going(lanes, Part(lanes.state, step_infos(program, lanes, images))), history, 0


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
        init = traced_once(program.algorithm.init, program.config, program.network)
        state = init(init_key, variables, images)
        failed = jnp.where(finite(state), jnp.int32(-1), jnp.int32(0))
        return Lanes(run_key, state, jnp.int32(0), jnp.asarray(False), failed)

    return _each(lane, program.over)(inputs, images)


def _over_devices(jitted: Callable) -> Callable:
    """Adds ``over`` "shard" and "data" to a program that knows "vmap" and "map"."""

    @functools.wraps(jitted)
    def call(program: Program, going: Going, images, bounds: Bounds):
        schedule = program.schedule(images.shape[0])
        if program.over == "data":
            run = functools.partial(jitted, program)
            return devices.by_image(run, schedule.batch, going, images, bounds)
        if program.over == "shard":
            run = functools.partial(jitted, program._replace(over="map"))
            left = np.flatnonzero(~ended(going.lanes, schedule)).tolist()
            return devices.by_lane(run, going, left, images, pieces.shares(bounds, schedule))
        return jitted(program, going, images, bounds)

    return call


@_over_devices
@functools.partial(jax.jit, static_argnums=0)
def chunk(
    program: Program, going: Going, images: jax.Array, bounds: Bounds
) -> tuple[Going, dict[str, jax.Array]]:
    """More windows of each lane, or a piece of one; a lane that has ended stands still.

    Args:
      program: what runs.
      going: all lanes.
      images: as for ``begin``.
      bounds: how far.

    Returns:
      The lanes, and each info as (lanes, CAPACITY): a lane's first entries, one for each window
      that it ended, count.
    """
    schedule = program.schedule(images.shape[0])

    def lane(going, images, bounds):
        # Traced once for its infos and for the loop; inlined, it leaves the same program.
        window = jax.jit(functools.partial(advance, program, schedule), inline=True)
        infos = jax.eval_shape(window, going, images, bounds)[1]
        infos = {name: jnp.zeros(CAPACITY, info.dtype) for name, info in infos.items()}

        # Under vmap JAX keeps the carry of lanes whose condition is false: they stand still by
        # selection.
        def runs(carry):
            going, count, _ = carry
            return (count < bounds.windows) & ~has_ended(going.lanes, schedule)

        def body(carry):
            going, count, infos = carry
            going, info = window(going, images, bounds)
            return going, count + 1, {name: infos[name].at[count].set(info[name]) for name in infos}

        going, _, infos = jax.lax.while_loop(runs, body, (going, jnp.int32(0), infos))
        return going, infos

    return _each(lane, program.over)(going, images, bounds)


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
    return np.asarray(has_ended(lanes, schedule))


def _columns(
    infos: dict[str, jax.Array], before: np.ndarray, after: np.ndarray
) -> dict[str, np.ndarray]:
    """A chunk's infos as columns of a table, lane by lane."""
    ran = np.arange(CAPACITY)[None] < (after - before)[:, None]
    lane, place = np.nonzero(ran)
    columns = {"lane": lane.astype(np.int32), "window": (before[lane] + place).astype(np.int32)}
    return columns | {name: np.asarray(values)[ran] for name, values in infos.items()}
