"""A run's results: one row for each seed, and for each labeling of a method that has several."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import jax
import numpy as np

from jaxclust.engine.driver import History
from jaxclust.engine.fit import Fit
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods.registry import METHODS
from jaxclust.runs.files import json_lines, read_json_lines, write_file
from jaxclust.runs.kinds import LARGEST, wrong_kinds
from jaxclust.runs.settings import Settings, digest
from jaxclust.types import Json

SCORES = ("acc", "nmi", "nmi_sqrt", "nmi_max", "ari")
COMPARED = frozenset(("method", "data", "seed", "n", "clusters", "failed", "failed_phase", *SCORES))
"""What a row must have for its run to be compared with others."""


@dataclasses.dataclass(frozen=True)
class Row:
    """The result of one seed.

    Attributes:
      method: the method's name, with its labeling's where it has several ("jule-rc").
      data: the data set's name.
      preset: the name of the method's preset.
      seed: the seed.
      acc: accuracy; like all scores None without true labels and for a failed seed.
      nmi: normalized mutual information, arithmetic mean of the entropies.
      nmi_sqrt: the same with the geometric mean.
      nmi_max: the same with the maximum.
      ari: adjusted Rand index.
      seconds: the run's wall-clock time without compilation, divided by its seeds, which run
        together.
      compile_seconds: the compilation of the whole run.
      n: number of images.
      clusters: number of clusters.
      steps: steps of the clustering phase.
      stopped: whether the method's own rule ended the run.
      failed: the step of ``failed_phase`` at which the seed met a NaN or inf; None for none.
      failed_phase: "pretrain" or "cluster", or None.
      empty_clusters: clusters without an image.
      largest_cluster: the largest cluster's share of the images, in [0, 1].
      changed: fraction of the labels that the last update changed.
      seeds: how many seeds ran together.
      over: how they ran.
      config_hash: ``settings.digest`` of the run.
      peak_memory_mb: the process's largest resident memory until then, MB of 10^6 bytes.
      versions: of the packages that decide the numbers.
      device: what the run ran on.
      unreadable: of a stream the number of images that could not be read.
      unscored: number of the n images whose true class is not known, which the scores leave out;
        None for none.
      variant: of an experiment which settings of the method it is of.
      input: of an experiment what the method was given.
      extra: further columns of an experiment.
    """

    method: str
    data: str
    seed: int
    n: int
    clusters: int
    preset: str | None = None
    acc: float | None = None
    nmi: float | None = None
    nmi_sqrt: float | None = None
    nmi_max: float | None = None
    ari: float | None = None
    seconds: float | None = None
    compile_seconds: float | None = None
    steps: int | None = None
    stopped: bool | None = None
    failed: int | None = None
    failed_phase: str | None = None
    empty_clusters: int | None = None
    largest_cluster: float | None = None
    changed: float | None = None
    seeds: int | None = None
    over: str | None = None
    config_hash: str | None = None
    peak_memory_mb: int | None = None
    versions: dict[str, str] | None = None
    device: str | None = None
    unreadable: int | None = None
    unscored: int | None = None
    variant: str | None = None
    input: str | None = None
    extra: Mapping[str, Json] = dataclasses.field(default_factory=dict)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Row":
        """The row of a line of a file; names that ``Row`` does not have become ``extra``."""
        known = {field.name for field in dataclasses.fields(cls)} - {"extra"}
        own = {name: value for name, value in values.items() if name in known}
        more = {name: value for name, value in values.items() if name not in known}
        return cls(**own, extra=more)

    def to_json(self) -> dict[str, Json]:
        """The row as a line of a file has it."""
        values = {name: getattr(self, name) for name in ORDER}
        for name in ("unreadable", "unscored", "variant", "input"):
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        return values | dict(self.extra)

    def score(self, name: str) -> float | None:
        """One of SCORES by its name."""
        if name not in SCORES:
            raise UsageError(f"metric: must be one of {', '.join(SCORES)}, got {name!r}")
        return getattr(self, name)

    def outcome(self) -> tuple[float | int | None, ...]:
        """The scores and where the seed failed: a seed of one setting has one outcome."""
        return (*(getattr(self, name) for name in SCORES), self.failed)


ORDER = (
    *("method", "data", "preset", "seed", *SCORES, "seconds", "compile_seconds", "n", "clusters"),
    *("steps", "stopped", "failed", "failed_phase", "empty_clusters", "largest_cluster"),
    *("changed", "seeds", "over", "config_hash", "peak_memory_mb", "versions", "device"),
)
"""Order of the columns in a file."""
_RANGES = {
    **dict.fromkeys(SCORES, (-1, 1)),
    **dict.fromkeys(("largest_cluster", "changed"), (0, 1)),
    **dict.fromkeys(("n", "clusters"), (1, LARGEST)),
}
"""Least and largest value of numbers in a row; of all others 0 and LARGEST."""


def make_rows(
    settings: Settings,
    done: Fit,
    labelings: Mapping[str, np.ndarray],
    true_labels: np.ndarray | None,
    steps_per_window: int,
) -> list[Row]:
    """The rows of a run.

    Args:
      settings: of the run.
      done: the run.
      labelings: by name, int32 (seeds, n), of the n images that could be read.
      true_labels: int32 (n,), -1 where one is not known; or None.
      steps_per_window: of the clustering phase.
    """
    seeds = settings.seeds
    cluster = done.phases["cluster"]
    seconds = sum(phase.times.seconds for phase in done.phases.values()) / len(seeds)
    compiling = sum(phase.times.compile_seconds for phase in done.phases.values())
    shared = {
        "data": settings.data.name,
        "preset": settings.preset,
        "seconds": round(seconds, 3),
        "compile_seconds": round(compiling, 3),
        "clusters": settings.clusters,
        "seeds": len(seeds),
        "over": settings.over,
        "config_hash": digest(settings),
        "peak_memory_mb": peak_memory_mb(),
        "versions": package_versions(),
        "device": device_name(),
    }
    rows = []
    for name, labels in labelings.items():
        for lane, seed in enumerate(seeds):
            phase, failed = done.failed[lane] or (None, None)
            steps = int(cluster.lanes.window[lane]) * steps_per_window
            row = Row(
                method=row_name(settings.method, name),
                seed=seed,
                n=labels.shape[1],
                steps=failed if phase == "cluster" else steps,
                stopped=bool(cluster.lanes.stopped[lane]),
                failed=failed,
                failed_phase=phase,
                changed=_last(cluster.history, "changed", lane),
                **shared,
            )
            if failed is None:
                row = with_scores(_with_sizes(row, labels[lane]), labels[lane], true_labels)
            rows.append(row)
    return rows


def _with_sizes(row: Row, labels: np.ndarray) -> Row:
    """The row with its clusters' sizes."""
    sizes = np.bincount(labels, minlength=row.clusters)
    return dataclasses.replace(
        row,
        empty_clusters=int((sizes == 0).sum()),
        largest_cluster=round(float(sizes.max() / sizes.sum()), 4),
    )


def with_scores(row: Row, labels: np.ndarray, true_labels: np.ndarray | None) -> Row:
    """The row with the scores of its clusters where true labels are known, and without otherwise.

    Args:
      row: of a seed that did not fail.
      labels: its clusters, int32 (n,), -1 for an image that could not be read.
      true_labels: integers (n,), -1 where one is not known; or None.
    """
    scores: dict[str, float] = {}
    unscored = 0
    if true_labels is not None:
        scores, unscored = metrics.known_scores(true_labels, labels)
    own: dict[str, float | None] = {name: scores.get(name) for name in SCORES}
    return dataclasses.replace(row, unscored=unscored or None, **own)


def row_name(method: str, labeling: str) -> str:
    """How rows name a method, or one labeling of it."""
    return f"{method}-{labeling}" if labeling else method


def labeling_files(settings: Settings) -> dict[str, str]:
    """The labelings that a run gives, and the file of each; the first is the run's own."""
    names = ("",)
    own = settings.extra.get("own")
    labelings = own.get("labelings") if isinstance(own, dict) else None
    if isinstance(labelings, list):
        names = tuple(map(str, labelings))
    elif settings.method in METHODS:
        names = METHODS[settings.method].algorithm.labelings
    return {
        name: "labels.npy" if name == names[0] else f"{row_name('labels', name)}.npy"
        for name in names
    }


def read_rows(path: Path) -> list[Row]:
    """The rows of a file.

    Raises:
      UsageError: a line is no row, or lacks what every row must have.
    """
    rows = []
    for number, values in enumerate(read_json_lines(path), 1):
        missing = {"method", "data", "seed", "n", "clusters"} - values.keys()
        rule = f"rows: {path} line {number} must be a row"
        if missing:
            raise UsageError(f"{rule}, lacks {', '.join(sorted(missing))}")
        wrong = wrong_fields(values)
        if wrong:
            raise UsageError(f"{rule}, has a wrong {', '.join(wrong)}")
        rows.append(Row.from_json(values))
    return rows


@functools.cache
def _kinds() -> dict[str, object]:
    """The type of each field of a row but ``extra``; reading them takes longer than a line does."""
    return {name: kind for name, kind in get_type_hints(Row).items() if name != "extra"}


def wrong_fields(values: Mapping[str, Any]) -> list[str]:
    """The names of a line's values that no row has, such as a score above 1."""
    kinds = {name: kind for name, kind in _kinds().items() if name in values}
    wrong = wrong_kinds(values, kinds)
    if wrong:
        return wrong
    for name in kinds:
        low, high = _RANGES.get(name, (0, LARGEST))
        value = values[name]
        if isinstance(value, int | float) and not low <= value <= high:
            wrong.append(name)
    return wrong


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Writes a file of rows, one JSON object a line."""
    write_file(path, json_lines(row.to_json() for row in rows))


def read_results(directory: Path) -> list[Row]:
    """A finished run's rows.

    Raises:
      UsageError: they are damaged, or of something else.
    """
    path = directory / "results.jsonl"
    lines = read_json_lines(path)
    required = COMPARED | {"preset", "largest_cluster", "seconds", "compile_seconds"}
    missing = {name for line in lines or [{}] for name in required - line.keys()}
    if missing:
        rule = f"rows: {path} must hold a row for each seed"
        raise UsageError(f"{rule}, lacks {', '.join(sorted(missing))}")
    for number, line in enumerate(lines, 1):
        wrong = wrong_fields(line)
        if wrong:
            rule = f"rows: {path} line {number} must be a row"
            raise UsageError(f"{rule}, has a wrong {', '.join(wrong)}")
    return [Row.from_json(line) for line in lines]


def _last(history: History, name: str, lane: int) -> float | None:
    """An info of a lane's last window; None where it has none."""
    if name not in history:
        return None
    values = history[name][history["lane"] == lane]
    return round(float(values[-1]), 6) if values.size else None


def peak_memory_mb() -> int | None:
    """Largest resident memory of this process so far, MB of 10^6 bytes.

    None on Windows, which does not count it.
    """
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def package_versions() -> dict[str, str]:
    """Versions of the packages that decide the numbers; of those for features where installed."""
    names = ("jaxclust", "jax", "jaxlib", "optax", "flax", "numpy")
    versions = {name: importlib.metadata.version(name) for name in names}
    for name in ("scikit-learn", "opencv-python-headless"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def device_name() -> str:
    """What programs run on, such as "cpu x 2 cores"."""
    kind = jax.devices()[0].device_kind
    if jax.default_backend() == "cpu":
        return f"{kind} x {os.cpu_count()} cores"
    return f"{kind} x {jax.device_count()}"
