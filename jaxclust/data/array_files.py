"""Files of plain arrays; nothing is ever unpickled."""

from pathlib import Path

import numpy as np

from jaxclust.errors import UsageError, reading

ENDINGS = (".npz", ".npy")
USED = ("images", "labels")
"""The arrays of an .npz file that are read."""


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
    used: dict[str, np.ndarray] = {}
    for name in USED:
        array = arrays.get(name)
        if isinstance(array, np.ndarray):
            used[name] = array
        elif array is not None:
            raise UsageError(f"data: {path} must hold {name} as an array, got other bytes")
    return used["images"], used.get("labels")


def _arrays(path: Path) -> np.ndarray | dict[str, np.ndarray | bytes | str]:
    """The array of an .npy file; of an .npz file the names, with images and labels read."""
    with path.open("rb") as file:
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        return {name: loaded[name] if name in USED else name for name in loaded.files}
