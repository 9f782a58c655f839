"""Files of plain arrays; nothing is ever unpickled."""

import lzma
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path

import numpy as np

from jaxclust.errors import UsageError

ENDINGS = (".npz", ".npy")
UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
)
"""What NumPy raises on damaged, encrypted or pickled files, and on those whose header claims more
than memory holds."""


def read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of a file.

    Args:
      path: an .npz file with ``images`` and, if known, ``labels``, or an .npy file of images.

    Returns:
      The images and the labels as the file has them, unchecked; the labels may be None.

    Raises:
      UsageError: the file is not there, cannot be read or has no images.
    """
    if not path.is_file():
        raise UsageError(f"data: {path} must be a file, and is not there")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded, None
            names = loaded.files
            arrays = {name: loaded[name] for name in names if name in ("images", "labels")}
    except UNREADABLE as error:
        rule = f"data: {path} must be a readable {path.suffix} file of plain arrays"
        raise UsageError(f"{rule} ({error})") from error
    if "images" not in arrays:
        raise UsageError(f"data: {path} must hold an array 'images', got {names}")
    return arrays["images"], arrays.get("labels")
