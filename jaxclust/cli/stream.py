"""``jaxclust fit METHOD --stream``: clusters images that are read block by block."""

import ctypes
import sys

from jaxclust.cli import options
from jaxclust.cli.fit import conclude, write_events
from jaxclust.cli.options import Request
from jaxclust.cli.plain_text import plain
from jaxclust.data import sources
from jaxclust.data.sources import Source
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS
from jaxclust.runs.fit import execute
from jaxclust.runs.plan import with_clusters
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run

MALLOPT = {-1: 2**28, -3: 15 * 2**20, -8: 1}
"""glibc's M_TRIM_THRESHOLD, M_MMAP_THRESHOLD (below ``blocks.BLOCK_BYTES``) and M_ARENA_MAX."""
NAMED = 10
"""Unreadable images that stderr names; ``unreadable.csv`` has all."""


def command(request: Request) -> int:
    """Runs a request whose images are a stream; the exit status is 0, or 1 if every seed failed.

    Raises:
      UsageError: it cannot be carried out.
    """
    given, method, plan = request
    _give_blocks_back()
    _check(request)
    source = sources.open_source(given.data, reading=options.reading(given))
    options.tell(source.summary, {}, given.quiet)
    clusters = given.clusters if isinstance(given.clusters, int) else None
    with Bars(disable=given.quiet) as bars:
        run = execute(with_clusters(method, source, clusters), source, plan, bars)
    write_events(run, given)
    if run.unreadable:
        _warn(run, source)
    skipped = f"; {source.skipped} times an image could not be read so far"
    return conclude(run, given, source.labels, skipped if source.skipped else "")


def _check(request: Request) -> None:
    """Refuses what a stream cannot have, before a file is opened."""
    if not request.method.algorithm.streams:
        able = [name for name, method in METHODS.items() if method.algorithm.streams]
        rule = f"stream: must be with one of {', '.join(able)}"
        raise UsageError(f"{rule}, got {request.method.name}")
    for name, value in (
        ("features", request.options.features),
        ("pretrained", request.options.pretrained),
    ):
        if value is not None:
            raise UsageError(f"{name}: must not be given with stream, got {value}")
    for name, value in (
        ("baseline", request.options.baseline),
        ("figures", request.options.figures),
    ):
        if value:
            rule = f"{name}: must not be asked for with stream"
            raise UsageError(f"{rule}, it needs all images in memory")


def _warn(run: Run, source: Source) -> None:
    """Names the images that could not be read, on stderr."""
    names = [f"{source.called(index)} ({reason})" for index, reason in run.unreadable.items()]
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    count = f"{len(names)} of {len(source)} images could not be read and were skipped"
    print(f"jaxclust: warning: {count}: {plain(', '.join(names[:NAMED]))}{more}", file=sys.stderr)


def _give_blocks_back() -> None:
    """Makes glibc give memory of a block's size back to the system once it is free.

    By glibc's own rules blocks move into the heap after the first that was freed, and each thread
    has a heap. What is left free in them adds up: a run of a million images of 28x28 took a sixth
    more memory than one of 100,000.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for parameter, value in MALLOPT.items():
            mallopt(parameter, value)
