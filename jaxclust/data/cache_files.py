"""Files of a cache, which several processes may write at the same time."""

import contextlib
import os
import tempfile
from pathlib import Path


def keep(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all, whoever else writes the same.

    Where nothing can be written, nothing is kept.

    Args:
      path: the file, whose folder is made if it is missing.
      content: its bytes.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(".part", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(content)
            os.replace(part, path)
        except OSError:
            os.unlink(part)
