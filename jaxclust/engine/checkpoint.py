"""Checkpoints of a training, with Orbax: written aside and renamed into place, the last two kept."""

import contextlib
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.engine.driver import Lanes

KEEP = 2
CLOCKS = ("seconds", "compile_seconds")
DIGEST = "sha256"
"""Where a checkpoint has the hash of its arrays; ones of before it came lack it."""


def save(
    directory: str | os.PathLike,
    about: dict[str, Any],
    runs: Lanes,
    history: dict[str, np.ndarray],
    clocks: dict[str, float],
) -> None:
    """Writes a checkpoint named by the number of windows done; nothing where that one exists.

    Args:
      directory: where a training's checkpoints live; made if missing.
      about: what decides the training's numbers, as JSON can hold it.
      runs: all lanes.
      history: columns as in ``train.Event``.
      clocks: seconds spent so far, by name, CLOCKS.

    Raises:
      ValueError: it cannot be written, as on a full disk; earlier ones stay.
    """
    import orbax.checkpoint as ocp

    window = int(np.max(np.asarray(runs.window)))
    with _manager(directory) as manager:
        if window in manager.all_steps():
            return
        arrays = {"runs": _named(runs), "history": history}
        arguments = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays),
            clocks=ocp.args.JsonSave({name: float(seconds) for name, seconds in clocks.items()}),
            about=ocp.args.JsonSave(about | {DIGEST: _digest(arrays)}),
        )
        try:
            with _quiet():
                manager.save(window, args=arguments)
        except Exception as error:  # As many types as for reading.
            raise ValueError(
                f"checkpoint: {directory} must be writable, got {_reason(error)}"
            ) from error


def restore(
    directory: str | os.PathLike, about: dict[str, Any], template: Lanes
) -> tuple[Lanes, dict[str, np.ndarray], dict[str, float]] | None:
    """The last checkpoint's lanes, history and clocks; None where there is none.

    Args:
      directory: as given to ``save``.
      about: what must be as it was given to ``save``; the rest may be left out.
      template: lanes of the same training, arrays or ``jax.eval_shape``'s of them.

    Raises:
      ValueError: the checkpoint cannot be read, or is of another training.
    """
    import orbax.checkpoint as ocp

    if not Path(directory).is_dir():
        return None
    with _manager(directory) as manager:
        window = manager.latest_step()
        if window is None:
            return None
        place = Path(directory) / str(window)
        expected = _abstract(template)
        arguments = ocp.args.Composite(
            arrays=ocp.args.StandardRestore(),
            clocks=ocp.args.JsonRestore(),
            about=ocp.args.JsonRestore(),
        )
        try:
            with _quiet():
                found = manager.restore(window, args=arguments)
            _check(found)
        except Exception as error:  # Orbax and TensorStore raise many types for a damaged file; all mean the same here.
            earlier = [step for step in manager.all_steps() if step < window]
            remedy = (
                f"; delete it to go on from {place.parent / str(max(earlier))}" if earlier else ""
            )
            raise ValueError(
                f"checkpoint: {place} cannot be read ({_reason(error)}){remedy}"
            ) from error
    differing = differences(
        {name: found.about.get(name) for name in about}, json.loads(json.dumps(about))
    )
    if differing:
        raise ValueError(
            f"checkpoint: {place} must be of the same training, differs in {'; '.join(differing)}"
        )
    arrays = {name: np.asarray(leaf) for name, leaf in found.arrays["runs"].items()}
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in arrays.items()}
    if shapes != expected:
        differing = sorted(
            name
            for name in shapes.keys() | expected.keys()
            if shapes.get(name) != expected.get(name)
        )
        raise ValueError(
            f"checkpoint: {place} must hold this training's arrays, differs in {', '.join(differing[:5])}"
        )
    runs = jax.tree.unflatten(jax.tree.structure(template), [arrays[name] for name in expected])
    runs = jax.tree.map(jax.numpy.asarray, runs._replace(key=jax.random.wrap_key_data(runs.key)))
    return (
        runs,
        {name: np.asarray(column) for name, column in found.arrays["history"].items()},
        found.clocks,
    )


def _check(found: Any) -> None:
    """ValueError unless what was read back can be what ``save`` wrote."""
    for name, part in (("about", found.about), ("clocks", found.clocks), ("arrays", found.arrays)):
        if not isinstance(part, dict):
            raise ValueError(f"{name} must be a dict, got {part!r}")
    if {name: type(seconds) for name, seconds in found.clocks.items()} != dict.fromkeys(
        CLOCKS, float
    ):
        raise ValueError(f"clocks must be {' and '.join(CLOCKS)}, got {found.clocks}")
    if found.about.get(DIGEST) not in (None, _digest(found.arrays)):
        raise ValueError("its arrays are not those that were written, by their SHA-256")


def _digest(arrays: dict[str, dict[str, Any]]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    found = hashlib.sha256()
    for group in sorted(arrays):
        for name in sorted(arrays[group]):
            leaf = np.asarray(arrays[group][name])
            found.update(f"{group} {name} {leaf.dtype} {leaf.shape} ".encode())
            found.update(leaf.tobytes())  # bfloat16 is no buffer.
    return found.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps from stderr what Orbax prints where an array fails: tracebacks, and the errors of arrays not awaited.

    The latter come when the garbage collector likes, at the latest as the process ends: after a failure it stays quiet.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels, hook = [logger.level for logger in loggers], sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    sys.unraisablehook = hook


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def differences(old: Any, new: Any, prefix: str = "") -> list[str]:
    """The fields in which two nested dicts of settings differ, as "name (old -> new)"."""
    if isinstance(old, dict) and isinstance(new, dict):
        names = sorted(old.keys() | new.keys())
        return [
            line
            for name in names
            for line in differences(old.get(name), new.get(name), f"{prefix}.{name}")
        ]
    return [] if old == new else [f"{prefix.lstrip('.')} ({old!r} -> {new!r})"]


def _manager(directory: str | os.PathLike) -> Any:
    import orbax.checkpoint as ocp

    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEEP, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    return ocp.CheckpointManager(Path(directory).absolute(), options=options)


def _named(runs: Lanes) -> dict[str, np.ndarray]:
    """The lanes' leaves on the host, by path, keys as their data."""
    runs = runs._replace(key=jax.random.key_data(runs.key))
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(runs)
    }


def _abstract(template: Lanes) -> dict[str, tuple]:
    leaves = jax.tree_util.tree_leaves_with_path(
        jax.eval_shape(lambda runs: runs._replace(key=jax.random.key_data(runs.key)), template)
    )
    return {jax.tree_util.keystr(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
