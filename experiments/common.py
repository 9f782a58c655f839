"""What the papers' experiments share: cells that run once, rows that stay, tables beside the paper's numbers."""

import argparse
import functools
import os
import sys
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.cli import stdout
from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.evaluation import stats
from jaxclust.methods import pretraining
from jaxclust.methods.registry import METHODS, configured
from jaxclust.runs.files import json_lines, read_rows
from jaxclust.runs.rows import make_rows
from jaxclust.runs.settings import digest, make_settings
from jaxclust.types import Method

Paper = Mapping[str, Mapping[str, Sequence[float | None]]]
"""Published scores, by data set and method; None where there is none."""


def parser(
    description: str, data: Sequence[str], methods: Sequence[str], folder: str
) -> argparse.ArgumentParser:
    """The flags that all experiments have."""
    flags = argparse.ArgumentParser(description=description)
    flags.add_argument(
        "--data", default=",".join(data), help="data sets, by comma (default: %(default)s)"
    )
    flags.add_argument(
        "--methods", default=",".join(methods), help="methods, by comma (default: %(default)s)"
    )
    flags.add_argument(
        "--over", default="shard", choices=("vmap", "map", "shard"), help="how seeds run"
    )
    flags.add_argument(
        "--folder", type=Path, default=Path(folder), help="of checkpoints (default: %(default)s)"
    )
    flags.add_argument(
        "--max-seconds", type=float, default=float("inf"), help="stop in time, to go on later"
    )
    flags.add_argument("--table", action="store_true", help="only print the table")
    return flags


def command(main: Callable[[], None]) -> None:
    """Runs an experiment; what cannot be done is one line on stderr and exit status 2."""
    try:
        main()
        sys.stdout.flush()
    except BrokenPipeError:
        sys.exit(stdout.reader_gone())
    except ValueError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)


def listed(flag: str, text: str, known: Collection[str]) -> list[str]:
    """The names of a flag, by comma; ValueError unless each is known."""
    names = text.split(",")
    for name in names:
        if name not in known:
            raise ValueError(f"{flag}: must be of {', '.join(known)}, got {name!r}")
    return names


def run_cells(
    results: Path, seeds: Mapping[str, Sequence[int]], options: argparse.Namespace
) -> None:
    """Runs each method on each data set of the options, until time runs out.

    A cell, a method on a data set for all its seeds, adds its rows to ``results`` as it ends; one whose rows are
    there is skipped, and one that was stopped goes on from its checkpoint.

    Raises:
      ValueError: a name is not known, or the rows that are there were made with other settings.
    """
    names, methods = (
        listed("data", options.data, seeds),
        listed("methods", options.methods, METHODS),
    )
    use_cores(options.over)
    deadline = time.monotonic() + options.max_seconds
    for data, name in ((data, name) for data in names for name in methods):
        if not _run_cell(
            results, data, name, tuple(seeds[data]), options.over, options.folder, deadline
        ):
            print("out of time; the same command goes on", file=sys.stderr)
            return


def _run_cell(
    results: Path,
    data: str,
    name: str,
    seeds: tuple[int, ...],
    over: str,
    folder: Path,
    deadline: float,
) -> bool:
    """Runs a cell and adds its rows, unless they are there; False if time ran out."""
    dataset = datasets.load(data)
    method = METHODS[name]
    config, pretraining = configured(name, clusters=dataset.classes)
    wanted = make_settings(name, "paper", dataset, seeds, over, config, pretraining)
    places = (folder / data / name, folder / data / pretraining_name(method))
    return run_cell(results, wanted, dataset, method, config, pretraining, places, deadline)[0]


def pretraining_name(method: Method) -> str:
    """Of a pretraining's folder: methods of one network that pretrain alike share one a seed, as in the papers."""
    own, network = fit.pretrainer(method), method.network.__name__
    return network if own is pretraining else f"{network}-{own.__name__.split('.')[-1]}"


def run_cell(
    results: Path,
    wanted: dict[str, Any],
    dataset: datasets.Dataset,
    method: Method,
    config: Any,
    pretraining: Any,
    places: tuple[Path, Path | None],
    deadline: float,
    key: Mapping[str, str] | None = None,
) -> tuple[bool, fit.Fit | None]:
    """Runs a cell and adds its rows, unless they are there.

    Args:
      results: the file of rows.
      wanted: ``record.settings`` of the run; the rows have its "input" too if it is there.
      dataset: what is clustered, called as in the rows.
      method: what clusters.
      config: its settings.
      pretraining: its pretraining's, or None.
      places: of the run's checkpoints, and of those of a pretraining that other cells share, if any.
      deadline: of ``time.monotonic``.
      key: the entries by which the cell's rows are known; the default is their data and method.

    Returns:
      Whether the rows are there, and the run where it has just ended.

    Raises:
      ValueError: the rows that are there were made with other settings.
    """
    key = key or {"data": dataset.name, "method": wanted["method"]}
    if finished(results, wanted, **key):
        return True, None

    done = fit.fit(
        method,
        config,
        pretraining,
        dataset.images,
        tuple(wanted["seeds"]),
        over=wanted["over"],
        directory=places[0],
        pretrained=places[1],
        max_seconds=max(deadline - time.monotonic(), 1e-3),
        progress=functools.partial(show, " ".join(key.values())),
    )
    if not done.finished:
        return False, None
    steps = method.algorithm.schedule(config, len(dataset.images)).steps_per_window
    found = make_rows(wanted, dataset, done, steps)
    add(
        results, [row | {"input": wanted["input"]} for row in found] if "input" in wanted else found
    )
    return True, done


def show(name: str, phase: str, event: driver.Event | None) -> None:
    """A line on stderr for each event of a cell's run: how far it is, the loss, and the clusters where they merge."""
    if event is None:
        return
    window, history = int(np.max(event.runs.window)), event.history
    merging = f", {history['n_clusters'][-1]:.0f} clusters" if "n_clusters" in history else ""
    line = f"{name}: {phase} {window} of {event.schedule.max_windows}, loss {history['loss'][-1]:.4g}{merging}"
    print(line, file=sys.stderr, flush=True)


def use_cores(over: str) -> None:
    """Makes a device of each CPU core where seeds are spread over devices."""
    if over == "shard":
        jax.config.update("jax_num_cpu_devices", os.cpu_count())


def finished(results: Path, wanted: dict[str, Any], **cell: str) -> bool:
    """Whether the rows of a cell, those with these entries, are there; ValueError if of other settings or seeds."""
    present = [
        row for row in rows(results) if all(row.get(name) == value for name, value in cell.items())
    ]
    if not present:
        return False
    if {row["config_hash"] for row in present} != {digest(wanted)}:
        other = "settings"
    elif {row["seed"] for row in present} != set(wanted["seeds"]):
        other = "seeds"
    else:
        return True
    raise ValueError(
        f"rows: {results} has {', '.join(cell.values())} with other {other}; remove them to run it again"
    )


def add(results: Path, new: list[dict[str, Any]]) -> None:
    """Appends rows to the results."""
    with results.open("a") as file:
        file.write(json_lines(new))


def rows(results: Path) -> list[dict[str, Any]]:
    """Those that are there."""
    return read_rows(results) if results.exists() else []


def cell(present: list[dict[str, Any]], data: str, name: str) -> list[dict[str, Any]]:
    """The rows of a method on a data set."""
    return [row for row in present if (row["data"], row["method"]) == (data, name)]


def interval(values: Sequence[float | None], runs: int = 1) -> str:
    """Mean of the seeds that ended, sd, and where the mean of so many more falls with 95 %; says how many failed."""
    sound = [value for value in values if value is not None]
    failed = f" ({len(values) - len(sound)} failed)" if len(sound) < len(values) else ""
    if not sound:
        return f"-{failed}"
    if len(sound) == 1:
        return f"{sound[0]:.4f}{failed}"
    _, mean, sd, _, _ = stats.summary(sound)
    low, high = stats.prediction_interval(sound, runs)
    return f"{mean:.4f} sd {sd:.4f} [{low:.3f}, {high:.3f}]{failed}"


def gain(values: Sequence[float]) -> str:
    """Mean of differences on the same seeds, and its 95 % interval where there are several."""
    if len(values) == 1:
        return f"{values[0]:+.4f}"
    found = stats.summary(values)
    return f"{found.mean:+.4f} [{found.low:+.4f}, {found.high:+.4f}]"


def table(
    present: list[dict[str, Any]],
    data: Sequence[str],
    methods: Sequence[str],
    paper: Paper,
    scores: Sequence[str] = ("acc", "nmi"),
    runs: int = 1,
    more: Mapping[str, Callable[[list[dict[str, Any]]], str]] | None = None,
) -> str:
    """A line a data set and method that has rows: seeds, each score's ``interval``, the paper's number of ``runs``.

    ``more`` are further columns: a title, and what it says of a cell's rows.
    """
    more = more or {}
    lines = [
        [
            "data",
            "method",
            "seeds",
            *(title for score in scores for title in (score.upper(), "paper")),
            *more,
        ]
    ]
    for one in data:
        for name in methods:
            found = cell(present, one, name)
            if found:
                published = paper.get(one, {}).get(name, [None] * len(scores))
                line = [one, name, str(len(found))]
                for score, theirs in zip(scores, published, strict=True):
                    line += [
                        interval([row[score] for row in found], runs),
                        "" if theirs is None else f"{theirs:.4f}",
                    ]
                lines.append(line + [says(found) for says in more.values()])
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as text, each column as wide as its widest cell."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose first line is its head."""
    return "\n".join(
        f"| {' | '.join(line)} |" for line in (lines[0], ["---"] * len(lines[0]), *lines[1:])
    )
