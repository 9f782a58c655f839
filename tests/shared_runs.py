"""What tests in several processes of one session need is made once."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import filelock
import pytest


def made_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """The path below which ``make`` wrote, which one worker of pytest-xdist calls for all.

    The first worker that asks makes it under a lock, the others wait and read, as in
    pytest-xdist's documentation. A test that changes what is there takes a copy. Where ``make``
    fails, the next worker that asks begins again.

    Args:
        tmp_path_factory: pytest's fixture of this name.
        name: The name of the path, the same in each worker and only for this use.
        make: Called with the path, which does not exist; writes a file or a folder there.

    Returns:
        The path, the same in each worker.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # Each worker's folder is one below the session's.
        folder = folder.parent
    path = folder / "made-once" / name
    whole = path.with_name(f"{name}.whole")
    path.parent.mkdir(exist_ok=True)
    with filelock.FileLock(path.with_name(f"{name}.lock")):
        if not whole.exists():
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            make(path)
            whole.touch()
    return path


def copy_of_one(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]
) -> Path:
    """The worker's own copy of a folder that ``made_once`` makes; arguments as there.

    What tests of one worker do with it, such as to hold its lock, no other worker meets.
    """
    out = tmp_path_factory.mktemp("copy") / name
    shutil.copytree(made_once(tmp_path_factory, name, make), out)
    return out
