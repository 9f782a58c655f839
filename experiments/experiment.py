"""What the command knows of an experiment, and what a person asks of it."""

import importlib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from jaxclust.engine.devices import Over


class Request(NamedTuple):
    """What a person asks of an experiment.

    Attributes:
      data: names of data sets.
      methods: names of methods.
      variants: names of variants.
      starts: what the networks start from.
      over: how seeds run, see ``jaxclust.engine.driver.Program``.
      folder: of checkpoints or runs.
      deadline: on the clock of ``time.monotonic``; work that is not done by then stops.
      format: of a comparison.
      out: a file to write.
      runs: runs to look into, as ``jaxclust report`` takes them.
      images: files with the images of runs whose data have no name.
    """

    data: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    variants: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    over: Over = "shard"
    folder: Path = Path("runs")
    deadline: float = float("inf")
    format: str = "text"
    out: Path | None = None
    runs: tuple[str, ...] = ()
    images: tuple[str, ...] = ()


Work = Callable[[Request], bool]
"""Does what is asked for, and says whether it is finished; False where time ran out."""


class Part(NamedTuple):
    """A piece of work that can be asked for.

    Attributes:
      about: one line for the help.
      work: does it.
      names: what the flags take that name data, methods, variants or starts.
      usual: the names of a flag that is not given; all where it is not here.
      flags: its flags among "format", "out", "runs" and "images".
      prints: whether the experiment's tables are printed after the work.
    """

    about: str
    work: Work
    names: Mapping[str, Collection[str]] = {}
    usual: Mapping[str, tuple[str, ...]] = {}
    flags: tuple[str, ...] = ()
    prints: bool = True


class Experiment(NamedTuple):
    """An experiment.

    Attributes:
      results: the file of its rows.
      tables: all of its tables, from the rows.
      run: what makes rows: "" is called as the experiment, NAME is called EXPERIMENT-NAME.
      figure: what draws its figures, or None.
      table: what prints other tables than ``tables``, or None.
    """

    results: Path
    tables: Callable[[], str]
    run: Mapping[str, Part]
    figure: Part | None = None
    table: Part | None = None


EXPERIMENTS = {
    **{
        name: f"experiments.papers.{name}.experiment"
        for name in ("dcec", "jule", "dbc", "ccnn", "dctl")
    },
    **{
        name: f"experiments.{name}"
        for name in (
            *("best", "compare", "selection", "clusters", "estimates", "defaults", "vote"),
            *("photographs", "halves"),
        )
    },
}
"""The modules of all experiments, each with an ``EXPERIMENT``, by the names that people type."""


def read(name: str) -> Experiment:
    """An experiment by its name."""
    return importlib.import_module(EXPERIMENTS[name]).EXPERIMENT


def drawn_by(module: str) -> Work:
    """The work of a module's ``draw(request)``; it needs matplotlib, and is imported when asked."""

    def work(request: Request) -> bool:
        importlib.import_module(module).draw(request)
        return True

    return work
