"""Checkpoints of a training, with Orbax: renamed into place when whole, the last two kept."""

import contextlib
import dataclasses
import hashlib
import json
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.engine import part_files
from jaxclust.engine.clocks import Times
from jaxclust.engine.devices import same_bits
from jaxclust.engine.driver import Lanes, Training
from jaxclust.engine.lanes import with_plain_keys, with_typed_keys
from jaxclust.errors import UsageError, reading
from jaxclust.types import Json

KEEP = 2
DIGEST = "sha256"
"""Name under which a checkpoint keeps the hash of its arrays; old checkpoints have none."""
CONTENT = "content"
"""Name under which a checkpoint of a stream of files keeps a digest of them; old ones have none."""
FILE_NAMES = {"normalization": "normalisation", "center_features": "centre_features"}
"""Settings that files call as version 0.1 did, so that files of both versions can be read."""
RENAMED_INFOS = {"polarised": "polarized"}
"""Columns of a history that version 0.1 called otherwise."""


def save(
    directory: str | os.PathLike, about: Mapping[str, Json], training: Training, times: Times
) -> None:
    """Writes a checkpoint named by the number of windows done; nothing where that one exists.

    Args:
      directory: where a training's checkpoints live; made if missing.
      about: what decides the training's numbers.
      training: all lanes and their history.
      times: what the training took so far.

    Raises:
      UsageError: it cannot be written, as on a full disk; earlier checkpoints stay.
    """
    window = int(np.max(np.asarray(training.lanes.window)))
    # Version 0.1 called lanes runs; files of both versions can be read.
    arrays = {"runs": _named(training.lanes), "history": training.history}
    seconds = {name: float(value) for name, value in times._asdict().items()}
    if jax.process_index() > 0:
        own = Path(directory)
        rest: dict[str, Json] = {
            "clocks": dict(seconds),
            "about": {**about, DIGEST: _digest(arrays)},
        }
        with reading(f"checkpoint: {directory} must be writable"):
            if window not in part_files.windows(own):
                part_files.write(own, window, arrays, rest)
            for old in part_files.windows(own)[:-KEEP]:
                (own / f"{old}.npz").unlink()
        return
    import orbax.checkpoint as ocp

    with _manager(directory) as manager:
        if window in manager.all_steps():
            return
        arguments = ocp.args.Composite(
            arrays=ocp.args.StandardSave(arrays),
            clocks=ocp.args.JsonSave(seconds),
            about=ocp.args.JsonSave(dict(about) | {DIGEST: _digest(arrays)}),
        )
        with reading(f"checkpoint: {directory} must be writable"), _quiet():
            manager.save(window, args=arguments)


def restore(
    directory: str | os.PathLike, about: Mapping[str, Json], template: Lanes
) -> tuple[Training, Times] | None:
    """The last checkpoint's lanes, history and times; None where there is none.

    Args:
      directory: as given to ``save``.
      about: what must be as it was given to ``save``; the rest may be left out.
      template: lanes of the same training, as arrays or as ``jax.eval_shape`` gives them.

    Returns:
      The training, whose ``finished`` is False because the checkpoint does not say it.

    Raises:
      UsageError: the checkpoint cannot be read, or is of another training.
    """
    if not Path(directory).is_dir():
        return None
    read = _read_part(Path(directory)) if jax.process_index() > 0 else _read(directory)
    if read is None:
        return None
    place, content = read
    kept = {
        name: content.about.get(name) for name in about if name in content.about or name != CONTENT
    }
    asked = {name: value for name, value in about.items() if name in kept}
    for each in (kept, asked):
        over = each.get("over")
        if isinstance(over, str):
            each["over"] = same_bits(over)
    differing = differences(kept, json.loads(json.dumps(asked)))
    if differing:
        rule = f"checkpoint: {place} must be of the same training"
        raise UsageError(f"{rule}, differs in {'; '.join(differing)}")
    lanes = _lanes(place, content.arrays["runs"], template)
    columns: Mapping[str, np.ndarray | jax.Array] = content.arrays["history"]
    history = {
        RENAMED_INFOS.get(name, name): np.asarray(column) for name, column in columns.items()
    }
    return Training(lanes, history, False), Times(**content.clocks)


def _read_part(directory: Path) -> tuple[Path, Any] | None:
    """The last checkpoint of a process other than 0, and its place; None where there is none."""
    windows = part_files.windows(directory)
    if not windows:
        return None
    place = directory / f"{windows[-1]}.npz"
    remedy = f"; delete it to go on from {directory / f'{windows[-2]}.npz'}" if windows[1:] else ""
    with reading(f"checkpoint: {place} cannot be read{remedy}"):
        content = part_files.read(directory, windows[-1])
        _check(content)
    return place, content


def _read(directory: str | os.PathLike) -> tuple[Path, Any] | None:
    """The last checkpoint of Orbax, and its place; None where there is none."""
    import orbax.checkpoint as ocp

    with reading(f"checkpoint: {directory} cannot be read"), _manager(directory) as manager:
        window = manager.latest_step()
        if window is None:
            return None
        place = Path(directory) / str(window)
        arguments = ocp.args.Composite(
            arrays=ocp.args.StandardRestore(),
            clocks=ocp.args.JsonRestore(),
            about=ocp.args.JsonRestore(),
        )
        earlier = [step for step in manager.all_steps() if step < window]
        remedy = f"; delete it to go on from {place.parent / str(max(earlier))}" if earlier else ""
        # Orbax and TensorStore raise many types for a damaged file; all mean the same here.
        with reading(f"checkpoint: {place} cannot be read{remedy}"), _quiet():
            content = manager.restore(window, args=arguments)
            _check(content)
    return place, content


def _lanes(place: Path, leaves: Mapping[str, Any], template: Lanes) -> Lanes:
    """The lanes of a checkpoint's arrays; UsageError where they are of other shapes."""
    expected = _abstract(template)
    arrays = {name: np.asarray(leaf) for name, leaf in leaves.items()}
    shapes = {name: (leaf.shape, leaf.dtype) for name, leaf in arrays.items()}
    if shapes != expected:
        names = shapes.keys() | expected.keys()
        differing = sorted(name for name in names if shapes.get(name) != expected.get(name))
        rule = f"checkpoint: {place} must hold this training's arrays"
        raise UsageError(f"{rule}, differs in {', '.join(differing[:5])}")
    ordered = [arrays[name] for name in expected]
    return with_typed_keys(jax.tree.unflatten(jax.tree.structure(template), ordered))


def settings_json(config: Any) -> dict[str, Json]:
    """A Config's fields as files keep them; see ``types.NEW`` for those that are left out."""
    values = dataclasses.asdict(config)
    for field in dataclasses.fields(config):
        if field.metadata.get("new") and values[field.name] == field.default:
            del values[field.name]
    values = {FILE_NAMES.get(name, name): value for name, value in values.items()}
    return json.loads(json.dumps(values))


def settings_from_json(values: dict[str, Json]) -> dict[str, Json]:
    """A Config's fields by their names, from what a file kept."""
    names = {kept: name for name, kept in FILE_NAMES.items()}
    return {names.get(name, name): value for name, value in values.items()}


def _check(content: Any) -> None:
    """ValueError where a checkpoint cannot be what ``save`` wrote; ``restore`` gives it a name."""
    about = content.about
    clocks = content.clocks
    arrays = content.arrays
    for name, part in {"about": about, "clocks": clocks, "arrays": arrays}.items():
        if not isinstance(part, dict):
            raise ValueError(f"{name} must be a dict, got {part!r}")
    kinds = {name: type(seconds) for name, seconds in clocks.items()}
    if kinds != dict.fromkeys(Times._fields, float):
        raise ValueError(f"clocks must be {' and '.join(Times._fields)}, got {clocks}")
    if about.get(DIGEST) not in (None, _digest(arrays)):
        raise ValueError("its arrays are not those that were written, by their SHA-256")


def _digest(arrays: Mapping[str, Mapping[str, np.ndarray | jax.Array]]) -> str:
    """SHA-256 of names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for group in sorted(arrays):
        for name in sorted(arrays[group]):
            leaf = np.asarray(arrays[group][name])
            digest.update(f"{group} {name} {leaf.dtype} {leaf.shape} ".encode())
            digest.update(leaf.tobytes())  # bfloat16 is no buffer.
    return digest.hexdigest()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps Orbax's tracebacks, and its errors about arrays that nobody awaited, from stderr.

    The latter come whenever the garbage collector runs, at the latest as the process ends. So
    after a failure stderr stays quiet.
    """
    loggers = [logging.getLogger(name) for name in ("absl", "asyncio")]
    levels = [logger.level for logger in loggers]
    hook = sys.unraisablehook
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda _: None
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)
    sys.unraisablehook = hook


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
    if jax.process_count() > 1:
        # Orbax would otherwise wait for the other processes, which have checkpoints of their own.
        Path(directory).mkdir(parents=True, exist_ok=True)
        options.create = False
        options.multiprocessing_options = ocp.options.MultiprocessingOptions(
            active_processes={0}, barrier_sync_key_prefix="first"
        )
    return ocp.CheckpointManager(Path(directory).absolute(), options=options)


def _named(lanes: Lanes) -> dict[str, np.ndarray]:
    """The lanes' leaves on the host, by path."""
    leaves = jax.tree_util.tree_leaves_with_path(with_plain_keys(lanes))
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def _abstract(template: Lanes) -> dict[str, tuple]:
    """Shape and dtype of the lanes' leaves, by path."""
    shapes = jax.eval_shape(with_plain_keys, template)
    leaves = jax.tree_util.tree_leaves_with_path(shapes)
    return {jax.tree_util.keystr(path): (leaf.shape, leaf.dtype) for path, leaf in leaves}
