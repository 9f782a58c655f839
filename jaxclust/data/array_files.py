"""Files of plain arrays; nothing is ever unpickled."""

from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.errors import UsageError, reading

ENDINGS = (".npz", ".npy")


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of a file.

    Args:
      path: an .npz file with ``images`` and, if known, ``labels``, or an .npy file of images.

    Returns:
      The images and the labels as the file has them, unchecked; the labels may be None.

    Raises:
      UsageError: the file is not there, cannot be read or has no images.
    """
    if not path.exists():
        raise UsageError(f"data: {path} must be a file, and is not there")
    with reading(f"data: {path} must be a readable {path.suffix} file of plain arrays", path):
        arrays = _arrays(path)
    if isinstance(arrays, np.ndarray):
        return arrays, None
    if "images" not in arrays:
        raise UsageError(f"data: {path} must hold an array 'images', got {list(arrays)}")
    for name in ("images", "labels"):
        if name in arrays and not isinstance(arrays[name], np.ndarray):
            raise UsageError(f"data: {path} must hold {name} as an array, got other bytes")
    return arrays["images"], arrays.get("labels")


def _arrays(path: Path) -> np.ndarray | dict[str, Any]:
    """The array of an .npy file; of an .npz file the names, with images and labels read."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        used = ("images", "labels")
        return {name: loaded[name] if name in used else name for name in loaded.files}
