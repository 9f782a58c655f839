"""The driver: runs any algorithm for many seeds at once, compiled, in chunks that change nothing.

A lane is one seed's run. ``chunk`` is the one jitted function: for each lane a loop over windows, in it a scan over
steps, then ``refresh``. Everything with a side effect (progress, checkpoints, scores against true labels) is a
callback of ``train``, called between chunks.
"""

import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import compile_clock, devices
from jaxclust.types import Algorithm, Key, Network, Schedule, Variables

Over = Literal["vmap", "map", "shard", "data"]
CAPACITY = 64
"""Windows a chunk can hold. One size for all chunks, so that chunks of any length share one compiled program."""
CHUNK_SECONDS = 2.0
"""What a chunk aims to last where its length is left open: progress moves, callbacks cost nothing."""


class Run(NamedTuple):
    """One seed's run, or with a leading axis all of them.

    Attributes:
      key: the lane's key, typed, ().
      state: the algorithm's state.
      window: windows done, int32.
      stopped: the algorithm's own rule ended the run, bool.
      failed: the step, counted from 0 over the whole run, at which a NaN or inf was met; -1 for none; int32.
        ``state`` is then the last whole window's, and finite unless ``init`` itself failed.
    """

    key: Key
    state: Any
    window: jax.Array
    stopped: jax.Array
    failed: jax.Array


class Event(NamedTuple):
    """What a callback sees after each chunk.

    Attributes:
      runs: all lanes.
      history: all windows so far as columns, one entry a lane and window: "lane", "window" (from 0), the mean over
        the window's steps of each of the algorithm's infos, and those of its ``refresh``.
      schedule: steps and windows.
      done: which lanes have ended, bool (lanes,).
    """

    runs: Run
    history: dict[str, np.ndarray]
    schedule: Schedule
    done: np.ndarray


class Trained(NamedTuple):
    """How ``train`` ended: the lanes, their history as in ``Event``, and whether all lanes have ended."""

    runs: Run
    history: dict[str, np.ndarray]
    finished: bool


Callback = Callable[[Event], bool | None]
"""Called after each chunk; True ends the training there (to go on later, pass the runs to ``train``)."""


def train(
    algorithm: Algorithm,
    config: Any,
    network: Network,
    keys: Key,
    images: jax.Array,
    variables: Variables | None = None,
    *,
    over: Over = "vmap",
    windows_per_chunk: int | None = None,
    runs: Run | None = None,
    history: dict[str, np.ndarray] | None = None,
    callbacks: Sequence[Callback] = (),
    blocks: Iterator[jax.Array] | None = None,
) -> Trained:
    """Runs one lane for each key, chunk after chunk, until all have ended or a callback says stop.

    Args:
      algorithm: a module as in ``types.Algorithm``.
      config: its Config.
      network: the network.
      keys: typed keys, (lanes,).
      images: uint8 or float32 in [0, 1], (n, h, w, c), shared by all lanes.
      variables: the network's arrays with a leading lane axis (from pretraining), or None for fresh ones.
      over: how lanes run: "vmap" together; "map" one after the other, each bit for bit as on its own; "shard" as
        "map" with the windows of the lanes that still go spread evenly over the devices present, and with its numbers
        (``start`` and ``apply``, short beside the windows, run on the first device); "data" as "map" with each step's
        batch spread over the devices of all processes that ``jax.distributed`` has joined, its numbers to rounding.
        There all processes call this alike, and their devices have to divide a batch; a process alone uses as many of
        its devices as do.
      windows_per_chunk: from 1 to CAPACITY; None adapts it to about CHUNK_SECONDS, or as many as devices need to share
        the lanes evenly. It changes no number.
      runs: lanes to go on with, instead of new ones.
      history: their history, to go on with.
      callbacks: called in order after each chunk.
      blocks: what ``images`` are in each window, all of its shape: sets larger than memory, block by block. A window is
        then a chunk.

    Raises:
      ValueError: an argument breaks its rule.
    """
    if over not in ("vmap", "map", "shard", "data"):
        raise ValueError(f"over: must be vmap, map, shard or data, got {over!r}")
    if windows_per_chunk is not None and not 1 <= windows_per_chunk <= CAPACITY:
        raise ValueError(
            f"windows_per_chunk: must be from 1 to {CAPACITY}, got {windows_per_chunk}"
        )
    schedule = algorithm.schedule(config, images.shape[0])
    check_over(over, schedule)
    if runs is None:
        runs = start(algorithm, config, network, over, (keys, variables), images)
    history = history or {}
    # Processes that chose by their own clocks would run different numbers of windows.
    if blocks is not None or jax.process_count() > 1:
        windows_per_chunk = 1
    windows = windows_per_chunk or 1
    done = ended(runs, schedule)
    while not done.all():
        images = images if blocks is None else next(blocks)
        before, compiled, clock = (
            np.asarray(runs.window),
            compile_clock.seconds(),
            time.perf_counter(),
        )
        runs, infos = chunk(algorithm, config, network, over, runs, images, jnp.int32(windows))
        columns = _columns(infos, before, np.asarray(runs.window))
        if history and history.keys() != columns.keys():
            differing = ", ".join(sorted(history.keys() ^ columns.keys()))
            raise ValueError(
                f"history: must have this version's columns to go on, differs in {differing}"
            )
        history = {
            name: np.concatenate([history[name], columns[name]]) if history else columns[name]
            for name in columns
        }
        done = ended(runs, schedule)
        if windows_per_chunk is None:
            seconds = time.perf_counter() - clock - (compile_clock.seconds() - compiled)
            least = devices.evenly(int(np.sum(~done))) if over == "shard" else 1
            windows = int(
                np.clip(
                    windows * CHUNK_SECONDS / max(seconds, 1e-3), least, max(2 * windows, least)
                )
            )
            windows = min(windows, CAPACITY)
        event = Event(runs, history, schedule, done)
        # Every callback is called, also after one has asked to stop.
        if any([callback(event) for callback in callbacks]):
            break
    return Trained(runs, history, bool(done.all()))


def check_over(over: Over, schedule: Schedule) -> None:
    """Refuses devices of several processes that cannot share a step's images: ValueError."""
    if over == "data" and jax.process_count() > 1 and schedule.batch % jax.device_count():
        raise ValueError(
            f"over: data must have devices that divide a step's images, {schedule.batch}, got {jax.device_count()}"
        )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def start(
    algorithm: Algorithm,
    config: Any,
    network: Network,
    over: Over,
    lanes: tuple[Key, Variables | None],
    images: jax.Array,
) -> Run:
    """New lanes from keys (lanes,) and the network's arrays with a leading lane axis, or None for fresh ones."""

    def lane(inputs, images):
        key, variables = inputs
        run_key, init_key = jax.random.split(key)
        state = algorithm.init(config, network, init_key, variables, images)
        failed = jnp.where(_finite(state), jnp.int32(-1), jnp.int32(0))
        return Run(run_key, state, jnp.int32(0), jnp.asarray(False), failed)

    return _each(lane, over)(lanes, images)


def _over_devices(jitted: Callable) -> Callable:
    """Adds over="shard", which runs the lanes as "map" does, and over="data"."""

    @functools.wraps(jitted)
    def call(algorithm, config, network, over, runs, images, windows):
        schedule = algorithm.schedule(config, images.shape[0])
        if over == "data":
            program = functools.partial(jitted, algorithm, config, network, over)
            return devices.by_image(program, schedule.batch, runs, images, windows)
        if over == "shard":
            program = functools.partial(jitted, algorithm, config, network, "map")
            going = np.flatnonzero(~ended(runs, schedule)).tolist()
            return devices.by_lane(program, runs, going, images, int(windows))
        return jitted(algorithm, config, network, over, runs, images, windows)

    return call


@_over_devices
@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def chunk(
    algorithm: Algorithm,
    config: Any,
    network: Network,
    over: Over,
    runs: Run,
    images: jax.Array,
    windows: jax.Array,
) -> tuple[Run, dict[str, jax.Array]]:
    """At most ``windows`` more windows of each lane; an ended lane stands still.

    Returns:
      The lanes, and each info as (lanes, CAPACITY), of which a lane's first entries, one a window it ran, count.
    """
    schedule = algorithm.schedule(config, images.shape[0])

    def lane(run, images, windows):
        window = functools.partial(_window, algorithm, config, network, schedule, over)
        infos = jax.eval_shape(window, run, images)[1]
        infos = {name: jnp.zeros(CAPACITY, info.dtype) for name, info in infos.items()}

        # Under vmap JAX keeps the carry of lanes whose condition is false: they stand still by selection.
        def going(carry):
            run, count, _ = carry
            return (count < windows) & ~_ended(run, schedule)

        def body(carry):
            run, count, infos = carry
            run, info = window(run, images)
            return run, count + 1, {name: infos[name].at[count].set(info[name]) for name in infos}

        run, _, infos = jax.lax.while_loop(going, body, (run, jnp.int32(0), infos))
        return run, infos

    return _each(lane, over)(runs, images, windows)


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3, 6))
def apply(
    algorithm: Algorithm,
    config: Any,
    network: Network,
    over: Over,
    states: Any,
    images: jax.Array,
    name: Literal["embed", "predict"],
) -> Any:
    """``algorithm.embed`` or ``algorithm.predict`` of each lane's state, with a leading lane axis."""
    function = getattr(algorithm, name)
    return _each(lambda state, images: function(config, network, state, images), over)(
        states, images
    )


@functools.partial(jax.jit, static_argnums=(0, 1, 2, 3))
def finish(
    algorithm: Algorithm, config: Any, network: Network, over: Over, runs: Run, images: jax.Array
) -> dict[str, jax.Array]:
    """``algorithm.finish`` of each lane: labels, int32 (lanes, n), by name."""

    def lane(run, images):
        return algorithm.finish(config, network, run.key, run.state, images)

    return _each(lane, over)(runs, images)


def _each(lane: Callable, over: Over) -> Callable:
    """``lane(inputs, *shared)`` for one seed, as a function of all seeds' inputs."""
    if over == "vmap":
        return lambda inputs, *shared: jax.vmap(lambda one: lane(one, *shared))(inputs)
    return lambda inputs, *shared: jax.lax.map(lambda one: lane(one, *shared), inputs)


def fastest(lanes: int) -> Over:
    """The way to run lanes that measured fastest in ``benchmarks/step.py``: never "vmap" on a CPU."""
    if jax.default_backend() != "cpu":
        return "vmap"
    return "shard" if lanes > 1 and jax.local_device_count() > 1 else "map"


def ended(runs: Run, schedule: Schedule) -> np.ndarray:
    """Which lanes have ended: stopped by their rule, failed, or out of windows; bool (lanes,)."""
    return np.asarray(_ended(runs, schedule))


def _ended(run: Run, schedule: Schedule) -> jax.Array:
    return run.stopped | (run.failed >= 0) | (run.window >= schedule.max_windows)


def _window(
    algorithm, config, network, schedule, over, run: Run, images
) -> tuple[Run, dict[str, jax.Array]]:
    """One window of one lane: its steps, then ``refresh``."""
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
        return algorithm.step(config, network, key, state, batch, rows)

    state, infos = jax.lax.scan(body, run.state, (steps, rows))
    infos = infos._asdict()
    sound = functools.reduce(jnp.logical_and, [jnp.isfinite(info) for info in infos.values()])
    infos = {name: jnp.mean(info.astype(jnp.float32)) for name, info in infos.items()}
    stop = jnp.asarray(False)
    if getattr(algorithm, "refresh", None) is not None:
        key = jax.random.fold_in(refresh_key, run.window)
        state, stop, more = algorithm.refresh(config, network, key, state, images)
        infos |= more._asdict()
    # What the infos do not show at a step, the state shows at the window's end.
    failed = jnp.where(
        jnp.all(sound),
        jnp.where(_finite((state, infos)), jnp.int32(-1), steps[-1]),
        steps[jnp.argmin(sound)],
    )
    good = failed < 0
    state = jax.tree.map(lambda new, old: jnp.where(good, new, old), state, run.state)
    return Run(run.key, state, run.window + 1, stop & good, failed), infos


def _rows(schedule: Schedule, order_key: Key, steps: jax.Array, n: int) -> jax.Array:
    """Rows of each of a window's steps, int32 (steps, batch). A batch past the last row wraps around to the first."""
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
