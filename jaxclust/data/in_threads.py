"""Work on many pictures by several threads, in the pictures' order."""

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from jaxclust.data import pictures
from jaxclust.data.pictures import Unreadable

WITH_BAR = 500
"""Number of pictures above which a bar shows how far they are read."""
AT_ONCE = 64
"""Pictures that wait for a thread; their contents are not in memory yet."""
MOST_THREADS = 8

Result = TypeVar("Result")
Done = Callable[[int, int], object]
"""``done(count, total)`` is told how many pictures are read."""


def each(
    work: Callable[[int], Result], places: range | list[int], done: Done
) -> Iterator[Result | Unreadable]:
    """``work(place)`` of each place in order, by several threads, or why there is none.

    Args:
      work: may raise ``Unreadable``.
      places: what it is called with.
      done: is called as ``done(count, total)`` after each, and may raise to end the work.
    """

    def attempt(place: int) -> Result | Unreadable:
        try:
            return work(place)
        except Unreadable as error:
            return error

    threads = min(os.cpu_count() or 1, MOST_THREADS)
    with pictures.quiet(), ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(places), AT_ONCE):
            block = pool.map(attempt, places[first : first + AT_ONCE])
            for count, result in enumerate(block, first + 1):
                done(count, len(places))
                yield result


def each_shown(
    work: Callable[[int], Result], places: range | list[int], title: str, show: Done | bool
) -> Iterator[Result | Unreadable]:
    """``each``, which shows how far it is.

    Args:
      work: as for ``each``.
      places: as for ``each``.
      title: of the bar.
      show: is told how far it is; or whether a bar on stderr shows it for many pictures, where that
        is a terminal.
    """
    from tqdm import tqdm

    if callable(show):
        yield from each(work, places, show)
        return
    hidden = not (show and len(places) > WITH_BAR and sys.stderr.isatty())
    with tqdm(
        total=len(places),
        desc=title,
        file=sys.stderr,
        leave=False,
        dynamic_ncols=True,
        disable=hidden,
    ) as bar:
        yield from each(work, places, lambda *_: bar.update())
