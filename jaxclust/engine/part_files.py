"""Checkpoints of all processes of a run but the first: Orbax writes NumPy arrays in that alone.

Each is one .npz file of plain bytes, named by the number of windows done.
"""

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxclust.types import Json
from jaxclust.whole_files import whole

HEAD = "head"


def packed(head: Mapping[str, Json], leaves: Iterable[np.ndarray]) -> bytes:
    """An .npz file with a document and arrays, which are named by their numbers.

    Arrays are written as their bytes, since NumPy has no name for kinds such as bfloat16.
    """
    plain: dict[str, Any] = {
        f"{number}": np.frombuffer(leaf.tobytes(), np.uint8) for number, leaf in enumerate(leaves)
    }
    content = io.BytesIO()
    plain[HEAD] = np.array(json.dumps(dict(head)))
    np.savez(content, **plain)
    return content.getvalue()


def unpacked(content: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The document and the arrays' bytes of what ``packed`` has made.

    Raises:
      OSError, ValueError, KeyError: it is damaged.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        leaves = [file[f"{number}"].tobytes() for number in range(len(file.files) - 1)]
        return json.loads(str(file[HEAD])), leaves


def windows(directory: Path) -> list[int]:
    """The numbers of windows of the checkpoints in a folder, in ascending order."""
    return sorted(int(path.stem) for path in directory.glob("[0-9]*.npz"))


def write(
    directory: Path, window: int, arrays: Mapping[str, Mapping[str, Any]], rest: dict[str, Json]
) -> None:
    """Writes a checkpoint, whole or not at all.

    Args:
      directory: made if missing.
      window: number of windows done.
      arrays: by group and name.
      rest: what else it holds.

    Raises:
      OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    leaves = [
        (group, name, np.asarray(leaf))
        for group, named in arrays.items()
        for name, leaf in named.items()
    ]
    kinds: list[Json] = [
        [group, name, leaf.dtype.name, list(leaf.shape)] for group, name, leaf in leaves
    ]
    head: dict[str, Json] = {"rest": rest, "groups": list(arrays), "kinds": kinds}
    content = packed(head, (leaf for _, _, leaf in leaves))
    with whole(directory / f"{window}.npz") as beside:
        beside.write_bytes(content)


def read(directory: Path, window: int) -> SimpleNamespace:
    """What a checkpoint holds: the entries of ``rest``, and ``arrays``.

    Raises:
      OSError, ValueError, KeyError: it is damaged.
    """
    head, leaves = unpacked((directory / f"{window}.npz").read_bytes())
    arrays: dict[str, dict[str, np.ndarray]] = {group: {} for group in head["groups"]}
    for (group, name, kind, shape), leaf in zip(head["kinds"], leaves, strict=True):
        arrays[group][name] = np.frombuffer(leaf, jnp.dtype(kind)).reshape(shape)
    return SimpleNamespace(**head["rest"], arrays=arrays)
