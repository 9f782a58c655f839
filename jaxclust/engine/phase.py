"""One training of a run, such as its pretraining: begun or gone on with, timed, checkpointed."""

import functools
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import checkpoint, driver, peers, stopping, unfinished
from jaxclust.engine.clocks import Stopwatch, Times
from jaxclust.engine.lanes import Part, with_plain_keys, with_typed_keys
from jaxclust.engine.window import step_infos
from jaxclust.types import Json, Key, Variables

CHECKPOINT_SECONDS = 60.0
"""Time between two checkpoints of a training that goes on; its end always writes one."""

Hook = Callable[[str, driver.Event | None], None]
"""Called with the phase's name and an event."""


class Hooks(NamedTuple):
    """What is called while a run goes on.

    Attributes:
      progress: called with None when a phase begins and with an event after each chunk, which has
        a ``pace``.
      on_window: called with an event before the first window and after each window; it makes every
        window a chunk of its own. For curves and figures.
      deadline: on the clock of ``time.perf_counter``: the run stops after the compiled call in
        which it is passed; None for never.
    """

    progress: Hook | None = None
    on_window: Hook | None = None
    deadline: float | None = None


class Phase(NamedTuple):
    """One training of a run.

    Attributes:
      lanes: all lanes.
      history: columns as in ``driver.History``; take a lane's entries by its "lane" column.
      times: seconds of the phase for all seeds together, over all the starts that it took, without
        what the caller's hooks took.
      finished: whether all lanes have ended.
      about: what its checkpoints say of it.
      ended_before: whether an earlier start had ended it already.
    """

    lanes: driver.Lanes
    history: driver.History
    times: Times
    finished: bool
    about: Mapping[str, Json] = {}
    ended_before: bool = False


def failed_so_far(seeds: Sequence[int], phases: Mapping[str, Phase]) -> dict[int, tuple[str, int]]:
    """The phase and step at which each failed seed met a NaN or inf, by seed.

    Args:
      seeds: of the lanes.
      phases: by name, in their order.
    """
    failed: dict[int, tuple[str, int]] = {}
    for name, phase in phases.items():
        for seed, step in zip(seeds, np.asarray(phase.lanes.failed).tolist(), strict=True):
            if step >= 0:
                failed.setdefault(seed, (name, step))
    return failed


class Task(NamedTuple):
    """What a phase runs.

    Attributes:
      name: "pretrain" or "cluster".
      program: the algorithm with its settings, network and way to run lanes.
      keys: typed keys, (lanes,).
      variables: the network's arrays with a leading lane axis, or None for fresh ones.
      images: uint8 or float32 in [0, 1], (n, h, w, c); of a stream the first block.
      place: folder of the checkpoints, or None.
      about: what a checkpoint must agree in with the run that goes on from it.
      blocks: ``blocks(first)`` gives the images of each window from window ``first`` on, where
        they are read block by block; None otherwise.
    """

    name: str
    program: driver.Program
    keys: Key
    variables: Variables | None
    images: jax.Array
    place: Path | None
    about: dict[str, Json]
    blocks: Callable[[int], Iterator[jax.Array]] | None = None


def run(task: Task, lost: Sequence[bool], hooks: Hooks) -> Phase:
    """Runs a training: from its checkpoint where there is one, from the start otherwise.

    Args:
      task: what runs.
      lost: for each lane whether it failed in an earlier phase; it then stands still in this one.
      hooks: what is called on the way.
    """
    if hooks.progress:
        hooks.progress(task.name, None)
    watch = Stopwatch()
    schedule = task.program.schedule(len(task.images))
    restored = _restored(task)
    if driver.shared(task.program):
        restored = _restored_by_first(task, restored)
    if restored is None:
        begun = driver.begin(task.program, task.keys, task.variables, task.images)
        failed = jnp.where(jnp.array(lost), jnp.int32(0), begun.lanes.failed)
        begun = begun._replace(lanes=begun.lanes._replace(failed=failed))
    else:
        begun, before = restored
        watch = Stopwatch(before)
        if driver.ended(begun.lanes, schedule).all():
            return Phase(begun.lanes, begun.history, before, True, task.about, True)
    saved = time.perf_counter()
    reached = np.asarray(begun.lanes.window)

    def called(event: driver.Event) -> bool:
        nonlocal saved, reached, measured
        before = reached
        reached = np.asarray(event.lanes.window)
        seconds = watch.read().seconds - measured
        event = event._replace(pace=seconds / int(np.max(reached - before)))
        if task.place is not None and time.perf_counter() - saved > CHECKPOINT_SECONDS:
            training = driver.Training(event.lanes, event.history, False)
            checkpoint.save(task.place, task.about, training, watch.read())
            saved = time.perf_counter()
        with watch.paused():
            for hook in (hooks.progress, hooks.on_window):
                if hook is not None:
                    hook(task.name, event)
        measured = watch.read().seconds
        return hooks.deadline is not None and time.perf_counter() > hooks.deadline

    if hooks.on_window is not None:
        done = driver.ended(begun.lanes, schedule)
        with watch.paused():
            hooks.on_window(task.name, driver.Event(begun.lanes, begun.history, schedule, done))
    blocks = None
    if task.blocks is not None:
        blocks = task.blocks(int(np.max(np.asarray(begun.lanes.window))))
    # The start runs beside this code; its time is none of the first window's.
    jax.block_until_ready(begun.lanes)
    measured = watch.read().seconds
    with stopping.within(hooks.deadline):
        training = driver.train(
            task.program,
            begun,
            task.images,
            callbacks=[called],
            windows_per_chunk=None if hooks.on_window is None else 1,
            blocks=blocks,
        )
    if task.place is not None:
        checkpoint.save(task.place, task.about, training, watch.read())
        unfinished.save(task.place, task.about, training, watch.read())
    return Phase(training.lanes, training.history, watch.read(), training.finished, task.about)


def _restored_by_first(
    task: Task, restored: tuple[driver.Training, Times] | None
) -> tuple[driver.Training, Times] | None:
    """What process 0 has restored, in each of the processes that share a training's steps.

    Args:
      task: what runs.
      restored: what this process has restored; that of another process than 0 does not count.
    """
    if not peers.from_first(np.array(restored is not None)):
        return None
    training, times = restored or (driver.Training(_begun_shape(task), {}, False), Times(0.0, 0.0))
    lanes = with_typed_keys(peers.from_first(with_plain_keys(training.lanes)))
    # The window that the training was stopped in is not known to the others: it begins again.
    return training._replace(lanes=lanes, pending=None), times


def _begun_shape(task: Task) -> driver.Lanes:
    """Lanes of a training's shapes, whose numbers do not count."""
    return driver.begin(task.program, task.keys, task.variables, task.images).lanes


def _restored(task: Task) -> tuple[driver.Training, Times] | None:
    """The training of the last checkpoint, None where there is none."""
    if task.place is None or not task.place.is_dir():
        return None
    start = functools.partial(driver.start, task.program._replace(over="map"))
    template = jax.eval_shape(start, (task.keys, task.variables), task.images)
    restored = checkpoint.restore(task.place, task.about, template)
    if restored is None or not unfinished.path_beside(task.place).exists():
        return restored
    training = restored[0]
    infos = step_infos(task.program, training.lanes, task.images)
    part = Part(training.lanes.state, infos)
    pending = unfinished.restore(task.place, task.about, training.lanes, part)
    if pending is None:
        return restored
    return training._replace(pending=pending[0]), pending[1]
