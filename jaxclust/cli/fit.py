"""``jaxclust fit METHOD``: clusters images with a method, for many seeds at once."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from jaxclust.cli import distributed, options
from jaxclust.cli.options import Options, Request
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import programs, stopping
from jaxclust.engine.fit import steps_per_window
from jaxclust.engine.labelings import has_labels_so_far
from jaxclust.errors import UsageError
from jaxclust.report import terminal
from jaxclust.runs import feature_inputs, tensorboard
from jaxclust.runs.failure import total_failure
from jaxclust.runs.fit import execute
from jaxclust.runs.plan import with_clusters
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run
from jaxclust.runs.sweeps import STABILITY


def command(words: list[str], dataset: Dataset | None = None) -> int:
    """Runs what the words after ``jaxclust fit`` ask for; the exit status.

    Args:
      words: the words.
      dataset: the images where they were read already.

    Raises:
      UsageError: they cannot be carried out.
    """
    if not words:
        rule = "data: must be given, as in jaxclust fit --data digits"
        raise UsageError(f"{rule}, or jaxclust fit dcec --data digits; got none")
    if _asks_for_help(words):
        from jaxclust.cli import fit_help

        print(fit_help.short_help())
        return 0
    if words[0].startswith("-"):
        if _is_sweep(words):
            from jaxclust.cli import sweep

            return sweep.command(words)
        from jaxclust.cli import usual_method

        dataset, words = usual_method.with_method(words)
    name, *rest = words
    request = options.read(name, rest)
    distributed.check(request.options)
    if not request.options.cache:
        programs.turn_off()
    if request.options.clusters == "auto":
        request = options.with_few_seeds(request)
        from jaxclust.cli import choose_clusters, estimate_clusters

        if request.options.criterion == STABILITY:
            return choose_clusters.command(request, rest)
        return estimate_clusters.command(request, rest, dataset)
    if request.options.distributed:
        return distributed.command(request, dataset, _one)
    return _one(request, dataset)


def _one(request: Request, dataset: Dataset | None) -> int:
    """Runs a request for one run."""
    if request.options.stream:
        from jaxclust.cli import stream

        return stream.command(request)
    return _fit(request, dataset)


def _asks_for_help(words: list[str]) -> bool:
    """Whether the words ask for help, and neither for that of a method nor of several."""
    return words[0].startswith("-") and bool({"-h", "--help"} & {*words}) and not _is_sweep(words)


def _is_sweep(words: list[str]) -> bool:
    """Whether the words name several methods."""
    return any(word.partition("=")[0] == "--methods" for word in words)


def _fit(request: Request, dataset: Dataset | None) -> int:
    given, method, plan = request
    if dataset is None:
        dataset = datasets.read(given.data, options.reading(given))
    options.tell(dataset.summary, dataset.unreadable, given.quiet)
    clusters = given.clusters if isinstance(given.clusters, int) else None
    with Bars(disable=given.quiet) as bars:
        run = execute(with_clusters(method, dataset, clusters), dataset, plan, bars)
        write_events(run, given)
        drawn = bool(given.figures and run.phases) and _draw(run, dataset, given, bars)
    return conclude(run, given, dataset.labels, _kept(run, drawn))


def _kept(run: Run, drawn: bool) -> str:
    """What this start of a run that was stopped has kept of its last whole window.

    Args:
      run: in a folder, which may hold older files of the same names.
      drawn: whether this start has drawn its curves.
    """
    if run.finished or run.directory is None or "cluster" not in run.phases:
        return ""
    lanes = run.phases["cluster"].lanes
    names = ["labels.npy"] if has_labels_so_far(run.method.algorithm, lanes) else []
    names += ["figures/curves.png"] if drawn else []
    window = int(lanes.window.max())
    if not names or not window:
        return ""
    return f"; {' and '.join(names)} show it after window {window} of the clustering"


def write_events(run: Run, given: Options) -> None:
    """Writes a run's history for TensorBoard where that is asked for and the run is not old."""
    if given.tensorboard and run.directory is not None and run.phases:
        steps = steps_per_window(run.method, run.settings.stream or run.settings.data.shape[0])
        histories = {name: phase.history for name, phase in run.phases.items()}
        tensorboard.write(run.directory / "tensorboard", histories, run.seeds, steps)


def conclude(run: Run, given: Options, labels: np.ndarray | None, note: str = "") -> int:
    """Prints how a run ended: its table, or how to go on with it.

    Args:
      run: in a folder.
      given: the command's options.
      labels: true classes, integers (n,), or None.
      note: what else is known of a run that was stopped.

    Returns:
      The exit status: 0, or 1 if every seed failed.
    """
    if run.directory is None:
        return stopping.status()  # Another process writes the run, and says how it ended.
    if not run.finished:
        why = f"by {stopping.called()}" if stopping.asked() else "by another process"
        if given.max_seconds is not None and not stopping.asked():
            why = f"after {given.max_seconds:g} s"
        stop = f"stopped {why} with a checkpoint in {run.directory}{note}"
        print(f"{stop}; go on with --resume")
        return 0
    if not run.phases:  # The run was read from its folder.
        print(f"{run.directory} is finished already")
    terminal.show(run, labels, given.quiet)
    failure = total_failure(run, options=True)
    if failure is None:
        return 0
    print(f"jaxclust: {failure}", file=sys.stderr)
    return 1


def _draw(run: Run, dataset: Dataset, given: Options, bars: Bars) -> bool:
    """Draws the figures; what goes wrong with them costs no result.

    Returns:
      Whether it has drawn the curves of a run that was stopped.
    """
    assert run.directory is not None
    folder = run.directory / "figures"
    try:
        from jaxclust.report import run_figures
    except ImportError:
        hint = "no figures without matplotlib: pip install 'jaxclust[plots]'"
        print(f"jaxclust: {hint}", file=sys.stderr)
        return False
    if not run.finished or stopping.asked():
        if not any(phase.history for phase in run.phases.values()):
            return False
        with _writable(folder):
            return run_figures.draw_curves(folder, run)
    original = dataset
    if given.features is not None:
        dataset, _ = feature_inputs.replaced(dataset, given.features)
    with _writable(folder):
        run_figures.draw(folder, run, dataset, original.images, bars, original)
    return False


@contextlib.contextmanager
def _writable(folder: Path) -> Iterator[None]:
    """Says that the results are there where figures cannot be written."""
    try:
        yield
    except OSError as error:
        rule = f"figures: {folder} must be writable, got {error}"
        raise UsageError(f"{rule}; the results are there") from error
