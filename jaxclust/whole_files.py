"""Files that are written whole or not at all."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Gives the path of a file beside another one, whose place it takes once it is whole.

    Where something fails, as on a full disk, nothing is left of it and the other one stays.

    Args:
      path: the file.

    Raises:
      OSError: it cannot be written; the error names ``path``, unless it is of another file that was
        read meanwhile.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        yield beside
        os.replace(beside, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        named = getattr(error, "filename", None) not in (None, beside, os.fspath(beside))
        if isinstance(error, OSError) and error.errno is not None and not named:
            raise OSError(error.errno, error.strerror, os.fspath(path)) from error
        raise
