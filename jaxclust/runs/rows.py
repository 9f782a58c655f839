"""A run's files: settings, a row of results for each seed, labels, history."""

import contextlib
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.engine.fit import Fit, labeling_names
from jaxclust.evaluation import metrics
from jaxclust.methods.registry import METHODS
from jaxclust.runs.files import read_rows
from jaxclust.runs.settings import digest

SCORES = ("acc", "nmi", "nmi_sqrt", "nmi_max", "ari")
COMPARED = frozenset(("method", "data", "seed", "n", "clusters", "failed", "failed_phase", *SCORES))
"""What a row must have for its run to be compared with others."""


def outcome(row: dict[str, Any]) -> list[Any]:
    """The scores of a row and where it failed: what a seed of one setting has once."""
    return [row[name] for name in (*SCORES, "failed")]


def make_rows(
    wanted: dict[str, Any], dataset: datasets.Dataset, fit: Fit, steps_per_window: int
) -> list[dict[str, Any]]:
    """A row of results for each seed, and for each labeling of a method with several ("jule-rc", "jule-sf").

    ``seconds`` is the run's wall-clock time divided by its seeds, which run together; ``compile_seconds`` is the whole
    run's. ``steps`` are those of the clustering phase, ``changed`` the fraction of labels that its last update
    changed, ``peak_memory_mb`` the process's largest resident memory until now. Without labels the scores are None,
    as they are for a seed that failed; ``failed`` is then the step of the phase in ``failed_phase``.
    """
    seeds, clusters = wanted["seeds"], wanted["config"]["clusters"]
    seconds = sum(phase.seconds for phase in fit.phases.values()) / len(seeds)
    compiling = sum(phase.compile_seconds for phase in fit.phases.values())
    cluster = fit.phases["cluster"].runs
    result = []
    lanes = [
        (name, labels, *lane) for name, labels in fit.labelings.items() for lane in enumerate(seeds)
    ]
    for name, labels, lane, seed in lanes:
        phase, failed = fit.failed[lane] or (None, None)
        scored = dataset.labels is not None and failed is None
        scores = metrics.scores(dataset.labels, labels[lane]) if scored else dict.fromkeys(SCORES)
        sizes = np.bincount(labels[lane], minlength=clusters) if failed is None else None
        result.append(
            {
                "method": row_name(wanted["method"], name),
                "data": dataset.name,
                "preset": wanted["preset"],
                "seed": seed,
                **{score: scores[score] for score in SCORES},
                "seconds": round(seconds, 3),
                "compile_seconds": round(compiling, 3),
                "n": len(dataset.images),
                "clusters": clusters,
                "steps": int(cluster.window[lane]) * steps_per_window
                if phase != "cluster"
                else failed,
                "stopped": bool(cluster.stopped[lane]),
                "failed": failed,
                "failed_phase": phase,
                "empty_clusters": None if sizes is None else int((sizes == 0).sum()),
                "largest_cluster": None
                if sizes is None
                else round(float(sizes.max() / sizes.sum()), 4),
                "changed": _last(fit.phases["cluster"].history, "changed", lane),
                "seeds": len(seeds),
                "over": wanted["over"],
                "config_hash": digest(wanted),
                "peak_memory_mb": peak_memory_mb(),
                "versions": package_versions(),
                "device": device_name(),
            }
        )
    return result


def row_name(method: str, labeling: str) -> str:
    """How rows name a method, or one labeling of it."""
    return f"{method}-{labeling}" if labeling else method


def labelings(method: str) -> dict[str, str]:
    """The names of the labelings that a run of a method gives, and the file of each; the first is the run's own."""
    names = labeling_names(METHODS[method]) if method in METHODS else ("",)
    return {
        name: "labels.npy" if name == names[0] else f"{row_name('labels', name)}.npy"
        for name in names
    }


def _last(history: dict[str, np.ndarray], name: str, lane: int) -> float | None:
    """An info of a lane's last window; None where it has none."""
    if name not in history:
        return None
    values = history[name][history["lane"] == lane]
    return round(float(values[-1]), 6) if values.size else None


def peak_memory_mb() -> int | None:
    """Largest resident memory of this process so far, MB of 10^6 bytes; None on Windows, which has no such count."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6)


def package_versions() -> dict[str, str]:
    """Of the packages that decide the numbers; those for features where they are installed."""
    found = {
        name: importlib.metadata.version(name)
        for name in ("jaxclust", "jax", "jaxlib", "optax", "flax", "numpy")
    }
    for name in ("scikit-learn", "opencv-python-headless"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def device_name() -> str:
    """What the run ran on, such as "cpu x 2 cores"."""
    kind = jax.devices()[0].device_kind
    return (
        f"{kind} x {os.cpu_count()} cores"
        if jax.default_backend() == "cpu"
        else f"{kind} x {jax.device_count()}"
    )


def read_results(directory: Path) -> list[dict[str, Any]]:
    """A finished run's rows; ValueError where they are damaged or of something else."""
    path = directory / "results.jsonl"
    found = read_rows(path)
    wanted = COMPARED | {"preset", "largest_cluster", "seconds", "compile_seconds"}
    missing = {name for row in found or [{}] for name in wanted - row.keys()}
    if missing:
        raise ValueError(
            f"rows: {path} must hold a row for each seed, lacks {', '.join(sorted(missing))}"
        )
    return found
