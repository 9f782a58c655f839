"""Compiled programs that are kept on disk, so that the next process need not compile them."""

import hashlib
import os
import platform
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

from jaxclust.data.features import cache_folder

MOST_BYTES = 2**30
"""Size of the folder above which the programs that were not used for longest are deleted."""
LEAST_SECONDS = 0.05
"""Programs that compile faster are not kept, since reading them takes about as long."""


def keep() -> None:
    """Keeps what JAX compiles from now on, and takes what is there.

    The folder is ``programs`` in ``cache_folder()``, with a folder in it for each kind of
    processor, since a program may use instructions that another processor lacks. Nothing is done
    where the folder cannot be written to, and where somebody has said otherwise: where JAX's cache
    is off, or has a folder already.
    """
    config: Any = jax.config
    if not config.jax_enable_compilation_cache or config.jax_compilation_cache_dir:
        return
    folder = cache_folder() / "programs" / _processor()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    # Without leave to write JAX can neither lock nor read, and would warn of each program.
    lock = folder / ".lockfile"
    if not os.access(folder, os.W_OK) or (lock.exists() and not os.access(lock, os.W_OK)):
        return
    config.update("jax_compilation_cache_max_size", MOST_BYTES)
    config.update("jax_persistent_cache_min_compile_time_secs", LEAST_SECONDS)
    config.update("jax_compilation_cache_dir", str(folder))
    # JAX asks only once whether there is a folder, which may have been before.
    compilation_cache.reset_cache()


def turn_off() -> None:
    """Neither keeps nor takes compiled programs in this process."""
    jax.config.update("jax_enable_compilation_cache", False)


def _processor() -> str:
    """A short name for this machine's kind of processor and the instructions it has."""
    about = f"{platform.machine()} {platform.processor()}"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        # Lines of the first core that say what it is; others have its speed of the moment.
        core = cpuinfo.read_text(errors="replace").split("\n\n")[0]
        names = ("vendor_id", "model name", "flags", "Features", "CPU implementer", "CPU part")
        about += "".join(line for line in core.splitlines() if line.startswith(names))
    return hashlib.sha256(about.encode()).hexdigest()[:16]
