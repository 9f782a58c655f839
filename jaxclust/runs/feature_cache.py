"""Features of pictures on disk, found by the pictures' content.

A cache is a folder of .safetensors files that are never changed: each holds a few hundred keys, the
SHA-256 of pictures' content, and their features. A file is written under another name and then
renamed, so that processes may write at the same time and be killed at any time. What cannot be read
is computed again; where nothing can be written, nothing is kept.
"""

import contextlib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data import cache_files
from jaxclust.errors import UsageError, reading

KEY_BYTES = 32
"""Length of a key, a SHA-256."""
ENDING = ".safetensors"


class Cache(NamedTuple):
    """Where features of one kind are.

    Attributes:
      folder: of the files.
      dimension: number of features of a picture.
    """

    folder: Path
    dimension: int


class Place(NamedTuple):
    """Where the features of a picture are.

    Attributes:
      file: the file's name in the folder.
      row: the features' place in it.
    """

    file: str
    row: int


def index(cache: Cache) -> dict[bytes, Place]:
    """The places of all features in a cache, by the pictures' keys; only the keys are read."""
    from safetensors import safe_open

    places: dict[bytes, Place] = {}
    for path in sorted(cache.folder.glob(f"*{ENDING}")):
        with (
            contextlib.suppress(UsageError),
            reading(f"cache: {path} must be readable", path),
            safe_open(path, framework="numpy") as file,
        ):
            if set(file.keys()) != {"keys", "values"}:
                continue
            keys = file.get_tensor("keys")
            expected = [len(keys), cache.dimension]
            if keys.dtype != np.uint8 or keys.shape[1:] != (KEY_BYTES,):
                continue
            if list(file.get_slice("values").get_shape()) != expected:
                continue
            for row, key in enumerate(keys):
                places[key.tobytes()] = Place(path.name, row)
    return places


def read(cache: Cache, rows: Mapping[int, Place], out: np.ndarray) -> list[int]:
    """Reads features into an array, one file at a time.

    Args:
      cache: where they are.
      rows: the place of each row's features.
      out: float32 (n, dimension); the rows are written.

    Returns:
      The rows that could not be read.
    """
    from safetensors.numpy import load_file

    by_file: dict[str, list[int]] = {}
    for row, place in rows.items():
        by_file.setdefault(place.file, []).append(row)
    missing = []
    for name, wanted in by_file.items():
        path = cache.folder / name
        try:
            with reading(f"cache: {path} must be readable", path):
                values = load_file(path)["values"]
        except UsageError:
            missing += wanted
            continue
        out[wanted] = values[[rows[row].row for row in wanted]]
    return missing


def write(cache: Cache, keys: Sequence[bytes], values: Iterable[np.ndarray]) -> None:
    """Keeps features in a file of their own.

    Args:
      cache: where to.
      keys: of the pictures, at least one.
      values: their features, float32 (dimension,) each.
    """
    from safetensors.numpy import save

    joined = b"".join(keys)
    arrays = {
        "keys": np.frombuffer(joined, np.uint8).reshape(-1, KEY_BYTES),
        "values": np.stack(list(values)),
    }
    path = cache.folder / f"{hashlib.sha256(joined).hexdigest()[:32]}{ENDING}"
    cache_files.keep(path, save(arrays))
