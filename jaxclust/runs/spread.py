"""A run over several processes: seeds over processes where there are enough, batches otherwise.

Seeds share nothing, so that each process trains its own as an ordinary run, with checkpoints of its
own, and process 0 gathers how they ended. Where there are fewer seeds than processes, all processes
train all seeds, and share the images of each step.
"""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jaxclust.data.sources import Source
from jaxclust.engine import blocks, checkpoint, driver, peers
from jaxclust.engine import fit as engine
from jaxclust.engine.clocks import Times
from jaxclust.engine.devices import OVERS, Over
from jaxclust.engine.peers import Peers
from jaxclust.engine.phase import Phase
from jaxclust.errors import UsageError
from jaxclust.runs.folder import is_finished
from jaxclust.runs.plan import Plan
from jaxclust.runs.settings import Settings, fingerprint_json, read_settings
from jaxclust.types import Method, Prediction

PLAN = "plan"
BEGUN = "begun"
DONE = "done"
"""Names under which process 0 tells the others how to run, that the folder is open, and how the run
ended."""
OTHER_LABELS = "labels.npy"
ALL_LABELS = "all-labels.npy"
"""Files beside a process's checkpoints of a stream: the labels of its seeds, and in process 0 also
those of all seeds until they are whole."""


def agreed(plan: Plan) -> Plan:
    """The plan of process 0, in each process of a run; the plan as it is where there is one.

    Only process 0 looks into the run's folder. What it finds there, such as the seeds that the run
    began with, is what the others take.
    """
    here = plan.peers
    if here is None:
        return plan
    over = over_of(plan)
    if over is None and len(plan.seeds) < here.processes:
        over = "data"
    if here.first:
        peers.put(PLAN, {"seeds": list(plan.seeds), "over": over})
    else:
        told = peers.get(PLAN)
        over = over_named(str(told["over"]))
        plan = dataclasses.replace(plan, seeds=tuple(told["seeds"]))
    count = here.processes
    if over != "data" and len(plan.seeds) < count:
        rule = f"over: must be data for {len(plan.seeds)} seeds in {count} processes"
        raise UsageError(f"{rule}, got {over}")
    return dataclasses.replace(plan, over=over, choose_seeds=False)


def over_of(plan: Plan) -> Over | None:
    """How a plan's seeds run; a run that goes on without a choice goes on as it began."""
    folder = plan.out if plan.resume and not plan.find_out else None
    if plan.peers is not None and not plan.peers.first:
        folder = None
    if plan.over is None and folder is not None and (folder / "config.json").exists():
        return over_named(read_settings(folder).over)
    return plan.over


def over_named(name: str) -> Over | None:
    """A way to run seeds by its name in a file; None where this version has no such way."""
    for over in OVERS:
        if over == name:
            return over
    return None


def seeds_here(plan: Plan) -> tuple[int, ...]:
    """The seeds that this process trains."""
    if plan.peers is None or plan.over == "data":
        return plan.seeds
    return plan.peers.share(plan.seeds)


def fit(
    method: Method, images: np.ndarray | Source, plan: Plan, options: engine.Options
) -> engine.Fit:
    """``engine.fit`` in this process, or in all processes of a run, of which this is process 0.

    Args:
      method: what clusters.
      images: of the run.
      plan: whose seeds run.
      options: how they run; over several processes they have a directory.

    Raises:
      UsageError: the folder has checkpoints of another number of processes.
    """
    if plan.peers is None or options.directory is None:
        return engine.fit(method, images, plan.seeds, options)
    place = Path(options.directory)
    if plan.over != "data" and is_finished(place.parent):
        return engine.fit(method, images, plan.seeds, options)  # It is read again, for its figures.
    peers.put(BEGUN, str(place.absolute()))
    if plan.over == "data":
        return engine.fit(method, images, plan.seeds, options)
    own = _own_options(options, plan.peers, place, plan.seeds)
    parts = [engine.fit(method, images, plan.peers.share(plan.seeds), own)]
    table = None
    if options.labels is not None:
        shape = (len(plan.seeds), len(images))
        table = _table(_part(place, plan.peers) / ALL_LABELS, shape, parts[0].labels)
    for process in plan.peers.others:
        parts.append(_received(process, parts[0], plan, table))
    if not all(part.finished for part in parts):
        return engine.Fit({}, False, None, [None] * len(plan.seeds), {}, {})
    done = _joined(parts, plan.seeds)
    if options.labels is not None:
        os.replace(_part(place, plan.peers) / ALL_LABELS, options.labels)
        done = done._replace(labels=np.load(options.labels, mmap_mode="r"))
        done = done._replace(labelings={"": done.labels})
    for name, phase in done.phases.items():
        training = driver.Training(phase.lanes, phase.history, True)
        checkpoint.save(place / name, phase.about, training, phase.times)
    return done


def follow(
    method: Method,
    images: np.ndarray | Source,
    plan: Plan,
    settings: Settings,
    options: engine.Options,
) -> None:
    """Does the part of a process other than 0, and waits for the end of the run.

    Args:
      method: as in process 0.
      images: as there.
      plan: as ``agreed`` gives it.
      settings: what process 0 has to have, too.
      options: how seeds run.

    Raises:
      UsageError: process 0 has other images.
    """
    assert plan.peers is not None
    number = plan.peers.process
    peers.put(f"images/{number}", fingerprint_json(settings.data))
    begun = peers.get(BEGUN)
    if begun is None:
        return
    if plan.over == "data":
        options = options._replace(label=False, directory=None, labels=None)
        engine.fit(method, images, plan.seeds, options)
        peers.get(DONE)
        return
    place = Path(begun)
    options = _own_options(options, plan.peers, place, plan.seeds)
    if isinstance(images, Source):
        options = options._replace(labels=_part(place, plan.peers) / OTHER_LABELS)
    part = engine.fit(method, images, plan.peers.share(plan.seeds), options)
    _sent(number, part)
    if peers.get(DONE):
        shutil.rmtree(_part(place, plan.peers), ignore_errors=True)


def check_same_images(plan: Plan, settings: Settings) -> None:
    """Refuses processes that read other images: UsageError. Process 0 calls it."""
    for process in plan.peers.others if plan.peers is not None else ():
        if peers.get(f"images/{process}") != fingerprint_json(settings.data):
            raise UsageError(f"data: must be the same in each process, process {process} has other")


def check_begun(place: Path, plan: Plan) -> None:
    """Refuses a run that began over another number of processes, where that has checkpoints.

    Args:
      place: of the run's checkpoints.
      plan: how it is to go on.

    Raises:
      UsageError: it was begun otherwise.
    """
    parts = {path.name.rpartition("-")[2] for path in place.glob("process-*-of-*")}
    spread = plan.peers is not None and plan.over != "data"
    count = str(plan.peers.processes) if plan.peers is not None and spread else "1"
    if not parts and spread and any(place.glob("[!.]*")):
        parts = {"1"}
    if parts and parts != {count}:
        rule = f"processes: must be {', '.join(sorted(parts))} to go on with {place.parent}"
        raise UsageError(f"{rule}, as it began, got {count}")


def end(plan: Plan, out: Path | None, finished: bool) -> None:
    """Tells the other processes how the run ended; the parts of one that is finished are deleted.

    Args:
      plan: of the run.
      out: its folder.
      finished: whether all seeds have ended and the results are written.
    """
    if plan.peers is None or not plan.peers.first:
        return
    if peers.peek(BEGUN) is None:
        peers.put(BEGUN, None)  # There was nothing to run.
    peers.put(DONE, finished)
    if finished and out is not None:
        shutil.rmtree(_part(out / "checkpoint", plan.peers), ignore_errors=True)


def _part(place: Path, here: Peers) -> Path:
    """The folder of a process's own checkpoints."""
    return place / f"process-{here.process}-of-{here.processes}"


def _own_options(
    options: engine.Options, here: Peers, place: Path, seeds: Sequence[int]
) -> engine.Options:
    part = _part(place, here)
    labels = None if options.labels is None else part / OTHER_LABELS
    if labels is not None:
        part.mkdir(parents=True, exist_ok=True)
    return options._replace(directory=part, labels=labels, first_seed=seeds[0])


def _plain(lanes: driver.Lanes) -> driver.Lanes:
    """Lanes with their keys' data in the place of typed keys."""
    if jax.numpy.issubdtype(lanes.key.dtype, jax.dtypes.prng_key):
        return lanes._replace(key=jax.random.key_data(lanes.key))
    return lanes


def _table(path: Path, shape: tuple[int, int], own: np.ndarray | None) -> np.ndarray:
    """A file for the labels of all seeds of a stream, int32 (seeds, n), with those of the first."""
    try:
        table = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=shape)
        blocks.take_space(path)
    except OSError as error:
        raise UsageError(f"out: {path} must be writable, got {error.strerror}") from error
    if own is not None:
        table[: len(own)] = own
    return table


def _sent(number: int, part: engine.Fit) -> None:
    """Sends how a process's seeds ended to process 0."""
    arrays: dict[str, np.ndarray] = {}
    times = {}
    about: dict[str, object] = {"finished": part.finished}
    if part.finished:
        for name, phase in part.phases.items():
            for place, leaf in enumerate(jax.tree.leaves(_plain(phase.lanes))):
                arrays[f"lanes/{name}/{place}"] = np.asarray(leaf)
            for column, values in phase.history.items():
                arrays[f"history/{name}/{column}"] = np.asarray(values)
            times[name] = [float(seconds) for seconds in phase.times]
        for name, labels in part.labelings.items():
            arrays[f"labels/{name}"] = labels
        for name, values in (part.predictions._asdict() if part.predictions else {}).items():
            arrays[f"predictions/{name}"] = np.asarray(values)
        about |= {"times": times, "failed": part.failed}
        about["unreadable"] = [[place, reason] for place, reason in part.unreadable.items()]
    peers.send(f"part/{number}", about, arrays)  # type: ignore[arg-type]


def _received(process: int, own: engine.Fit, plan: Plan, table: np.ndarray | None) -> engine.Fit:
    """How another process's seeds ended.

    Args:
      process: its number.
      own: how those of this process ended, of the same method.
      plan: of the run.
      table: of a stream the labels of all seeds, which those of this process are written to.
    """
    assert plan.peers is not None
    seeds = plan.peers.share(plan.seeds, process)
    first = plan.seeds.index(seeds[0])

    def place(key: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        if table is not None and key.startswith("labels/"):
            return table[first : first + len(seeds)]
        return np.empty(shape, dtype)

    about, arrays = peers.receive(f"part/{process}", place)
    if not about["finished"] or not own.finished:
        return engine.Fit({}, False, None, [], {}, {})

    def group(kind: str) -> dict[str, np.ndarray]:
        head = f"{kind}/"
        return {key[len(head) :]: array for key, array in arrays.items() if key.startswith(head)}

    phases = {}
    for name, phase in own.phases.items():
        leaves = list(group(f"lanes/{name}").values())
        lanes = jax.tree.unflatten(jax.tree.structure(_plain(phase.lanes)), leaves)
        times = Times(*about["times"][name])
        phases[name] = phase._replace(
            lanes=lanes, history=group(f"history/{name}"), times=times, finished=True
        )
    predictions = group("predictions")
    labelings = group("labels")
    return engine.Fit(
        phases,
        True,
        next(iter(labelings.values())),
        [None if failure is None else (failure[0], failure[1]) for failure in about["failed"]],
        labelings,
        {int(place): reason for place, reason in about["unreadable"]},
        Prediction(**predictions) if predictions else None,  # type: ignore[arg-type]
    )


def _joined(parts: Sequence[engine.Fit], seeds: Sequence[int]) -> engine.Fit:
    """How all seeds ended, from how those of each process did."""
    first = parts[0]
    labelings = {
        name: np.concatenate([part.labelings[name] for part in parts]) for name in first.labelings
    }
    predictions = None
    if first.predictions is not None:
        each = [part.predictions for part in parts]
        predictions = jax.tree.map(lambda *values: np.concatenate(values), *each)
    return engine.Fit(
        phases={
            name: _joined_phase([part.phases[name] for part in parts], seeds)
            for name in first.phases
        },
        finished=True,
        labels=next(iter(labelings.values())),
        failed=[failure for part in parts for failure in part.failed],
        labelings=labelings,
        unreadable={place: why for part in parts for place, why in part.unreadable.items()},
        predictions=predictions,
    )


def _joined_phase(parts: Sequence[Phase], seeds: Sequence[int]) -> Phase:
    """A training of all seeds; its time is that of the process that took longest."""
    plain = [_plain(part.lanes) for part in parts]
    lanes = jax.tree.map(lambda *leaves: np.concatenate([np.asarray(x) for x in leaves]), *plain)
    lanes = jax.tree.map(jax.numpy.asarray, lanes)
    history: driver.History = {}
    before = 0
    for part in parts:
        if part.history:
            columns = part.history | {"lane": part.history["lane"] + np.int32(before)}
            history = {
                name: np.concatenate([history[name], column]) if history else column
                for name, column in columns.items()
            }
        before += len(part.lanes.window)
    return parts[0]._replace(
        lanes=lanes._replace(key=jax.random.wrap_key_data(lanes.key)),
        history=history,
        times=Times(*(max(seconds) for seconds in zip(*(p.times for p in parts), strict=True))),
        about=dict(parts[0].about) | {"seeds": list(seeds)},
    )
