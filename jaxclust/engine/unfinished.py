"""The window that a training was stopped in, kept beside its checkpoints so that no step is lost.

A file that does not fit the checkpoint, or is damaged, is left aside: its window then begins again,
and ends with the same numbers.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.engine import part_files
from jaxclust.engine.clocks import Times
from jaxclust.engine.driver import Lanes, Pending, Training
from jaxclust.engine.lanes import Part, with_plain_keys
from jaxclust.errors import UsageError, reading
from jaxclust.types import Json
from jaxclust.whole_files import whole


def path_beside(place: Path) -> Path:
    """The file beside a training's folder of checkpoints."""
    return place.with_name(f"{place.name}-window.npz")


def save(place: Path, about: Mapping[str, Json], training: Training, times: Times) -> None:
    """Keeps what is done of a window; deletes an earlier file where there is none.

    Args:
      place: of the training's checkpoints.
      about: what decides the training's numbers.
      training: as it was stopped.
      times: what it took so far.

    Raises:
      UsageError: it cannot be written; what was there before stays.
    """
    path = path_beside(place)
    pending = training.pending
    if pending is None:
        path.unlink(missing_ok=True)
        return
    head: dict[str, Json] = {
        "about": _digest(about, training.lanes),
        "steps": pending.steps,
        "times": [float(value) for value in times],
    }
    content = part_files.packed(head, map(np.asarray, jax.tree.leaves(pending.part)))
    try:
        with whole(path) as beside:
            beside.write_bytes(content)
    except OSError as error:
        rule = f"checkpoint: {path} must be writable"
        raise UsageError(f"{rule}, got {error.strerror}") from error


def restore(
    place: Path, about: Mapping[str, Json], lanes: Lanes, template: Part
) -> tuple[Pending, Times] | None:
    """What is done of the window that a training was stopped in; None where nothing is known.

    Args:
      place: of the training's checkpoints.
      about: what decides the training's numbers.
      lanes: of the checkpoint that the training goes on from.
      template: shapes and dtypes of the part.
    """
    path = path_beside(place)
    try:
        with reading(f"checkpoint: {path} must hold a part of a window", path):
            return _read(path, _digest(about, lanes), template)
    except UsageError:
        return None


def _read(path: Path, digest: str, template: Part) -> tuple[Pending, Times] | None:
    """What a file of ``save`` holds; None where it is of another digest."""
    head, arrays = part_files.unpacked(path.read_bytes())
    if head["about"] != digest:
        return None
    leaves, structure = jax.tree.flatten(template)
    made = [
        jnp.asarray(np.frombuffer(array, leaf.dtype)).reshape(leaf.shape)
        for array, leaf in zip(arrays, leaves, strict=True)
    ]
    part = jax.tree.unflatten(structure, made)
    return Pending(part, int(head["steps"])), Times(*map(float, head["times"]))


def _digest(about: Mapping[str, Json], lanes: Lanes) -> str:
    """SHA-256 of what decides the numbers and of the lanes at the window's begin."""
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode())
    for leaf in jax.tree.leaves(with_plain_keys(lanes)):
        array = np.asarray(leaf)
        digest.update(f"{array.dtype} {array.shape} ".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
