"""What a process of a run sends of its seeds to process 0, and how that joins the parts."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jaxclust.engine import blocks, driver, peers, stopping
from jaxclust.engine import fit as engine
from jaxclust.engine.clocks import Times
from jaxclust.engine.lanes import with_plain_keys, with_typed_keys
from jaxclust.engine.phase import Phase
from jaxclust.errors import UsageError
from jaxclust.ops.spectral import GraphWarning
from jaxclust.runs.plan import Plan
from jaxclust.types import Prediction


def table_of(path: Path, shape: tuple[int, int], own: np.ndarray | None) -> np.ndarray:
    """A file for the labels of all seeds of a stream, int32 (seeds, n), with those of the first."""
    try:
        table = np.lib.format.open_memmap(path, mode="w+", dtype=np.int32, shape=shape)
        blocks.take_space(path)
    except OSError as error:
        raise UsageError(f"out: {path} must be writable, got {error.strerror}") from error
    if own is not None:
        table[: len(own)] = own
    return table


def sent(number: int, part: engine.Fit, notes: Sequence[str]) -> None:
    """Sends how a process's seeds ended to process 0.

    Args:
      number: of the process.
      part: how its seeds ended.
      notes: sentences of the run's methods about them.
    """
    arrays: dict[str, np.ndarray] = {}
    times = {}
    about: dict[str, object] = {"finished": part.finished, "status": stopping.status()}
    if part.finished:
        for name, phase in part.phases.items():
            for place, leaf in enumerate(jax.tree.leaves(with_plain_keys(phase.lanes))):
                arrays[f"lanes/{name}/{place}"] = np.asarray(leaf)
            for column, values in phase.history.items():
                arrays[f"history/{name}/{column}"] = np.asarray(values)
            times[name] = [float(seconds) for seconds in phase.times]
        for name, labels in part.labelings.items():
            arrays[f"labels/{name}"] = labels
        for name, values in (part.predictions._asdict() if part.predictions else {}).items():
            arrays[f"predictions/{name}"] = np.asarray(values)
        about |= {"times": times, "failed": part.failed, "notes": list(notes)}
        about["unreadable"] = [[place, reason] for place, reason in part.unreadable.items()]
    peers.send(f"part/{number}", about, arrays)  # type: ignore[arg-type]


def received(process: int, own: engine.Fit, plan: Plan, table: np.ndarray | None) -> engine.Fit:
    """How another process's seeds ended.

    Its notes are told here, as those of this process are. Where a signal has stopped it, that stops
    this process, too.

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
    stopping.follow(about["status"])
    if not about["finished"] or not own.finished:
        return engine.Fit({}, False, None, [], {}, {})

    for note in about["notes"]:
        warnings.warn(note, GraphWarning, stacklevel=2)

    def group(kind: str) -> dict[str, np.ndarray]:
        head = f"{kind}/"
        return {key[len(head) :]: array for key, array in arrays.items() if key.startswith(head)}

    phases = {}
    for name, phase in own.phases.items():
        leaves = list(group(f"lanes/{name}").values())
        lanes = jax.tree.unflatten(jax.tree.structure(with_plain_keys(phase.lanes)), leaves)
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


def joined(parts: Sequence[engine.Fit], seeds: Sequence[int]) -> engine.Fit:
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
    plain = [with_plain_keys(part.lanes) for part in parts]
    lanes = jax.tree.map(lambda *leaves: np.concatenate([np.asarray(x) for x in leaves]), *plain)
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
        lanes=with_typed_keys(lanes),
        history=history,
        times=Times(*(max(seconds) for seconds in zip(*(p.times for p in parts), strict=True))),
        about=dict(parts[0].about) | {"seeds": list(seeds)},
    )
