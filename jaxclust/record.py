"""A run's files: settings, a row of results for each seed, labels, history."""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust import datasets, metrics
from jaxclust.algorithms import METHODS
from jaxclust.checkpoint import differences
from jaxclust.fit import Fit, labeling_names

SCORES = ("acc", "nmi", "nmi_sqrt", "nmi_max", "ari")
COMPARED = frozenset(("method", "data", "seed", "n", "clusters", "failed", "failed_phase", *SCORES))
"""What a row must have for its run to be compared with others."""
FILES = ("results.jsonl", "baseline.jsonl", "history.csv", "unreadable.csv")
FOLDERS = {
    "figures": ("curves.png", "embedding.png", "cluster-[0-9]*.png"),
    "tensorboard": ("seed-*/events.out.tfevents.*.jaxclust", "seed-*"),
    "checkpoint": ("pretrain", "cluster"),
}
"""What a run writes beside its settings and labels: files, and patterns in folders, which users may add to."""
MARK = ".config.json.part"
"""Where settings are written; alone it is of a run that a kill or ``delete`` has left without them."""
BESIDE = frozenset(("seeds", "over", "preset", "origin"))
"""Of a run's settings those that decide no seed's numbers: which seeds, how they ran together, what the settings are
called, where the inputs were."""


def settings(
    method: str,
    preset: str,
    dataset: datasets.Dataset,
    seeds: Sequence[int],
    over: str,
    config: Any,
    pretraining: Any,
    fingerprint: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A run's settings, for ``config.json``; ``fingerprint`` is the set's, where it is known."""
    return {
        "method": method,
        "preset": preset,
        "data": datasets.fingerprint(dataset) if fingerprint is None else fingerprint,
        "seeds": list(seeds),
        "over": over,
        "config": _plain(config),
        "pretraining": None if pretraining is None else _plain(pretraining),
    }


def _plain(settings: Any) -> dict[str, Any]:
    """As JSON gives them back."""
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def outcome(row: dict[str, Any]) -> list[Any]:
    """The scores of a row and where it failed: what a seed of one setting has once."""
    return [row[name] for name in (*SCORES, "failed")]


def deciding(wanted: dict[str, Any]) -> dict[str, Any]:
    """Of ``settings`` what decides a seed's numbers."""
    return {name: value for name, value in wanted.items() if name not in BESIDE}


def digest(wanted: dict[str, Any]) -> str:
    """A short hash of what decides a seed's numbers: the same for runs of other seeds, which one table may hold."""
    return hashlib.sha256(json.dumps(deciding(wanted), sort_keys=True).encode()).hexdigest()[:16]


def check_out(directory: Path, resume: bool, overwrite: bool) -> None:
    """ValueError where a folder is there and neither flag is given, or both are, or something else is in its place."""
    if resume and overwrite:
        raise ValueError("resume: must not be given together with overwrite")
    if directory.exists() and not (resume or overwrite):
        raise ValueError(f"out: must not exist without --resume or --overwrite, got {directory}")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: must be a folder, got {directory}")


def open_run(
    directory: Path, wanted: dict[str, Any], resume: bool, overwrite: bool, origin: dict[str, Any] | None = None
) -> None:
    """Makes a run's folder, or finds it again, so that nothing in it is lost unasked.

    Args:
      directory: the run's folder.
      wanted: ``settings`` of the run.
      resume: go on in a folder of the same settings.
      overwrite: delete an earlier run's files there, and nothing else.
      origin: where the run's inputs are from, kept beside ``wanted``; it decides no number, so that the run goes on
        from copies elsewhere.

    Raises:
      ValueError: the folder exists and neither flag is given, or both are, or it holds another run, or it cannot be
        written to.
    """
    check_out(directory, resume, overwrite)
    found = directory / "config.json"
    if resume and found.exists():
        kept = read_settings(directory)
        differing = differences({name: kept[name] for name in kept if name != "origin"}, wanted)
        if differing:
            raise ValueError(f"resume: {directory} must hold the same run, differs in {'; '.join(differing)}")
    elif resume and directory.exists() and any(directory.iterdir()) and not (directory / MARK).exists():
        raise ValueError(f"resume: {directory} must hold a run, has no config.json")
    if overwrite and directory.exists() and any(directory.iterdir()):
        _clear(directory, read_settings(directory)["method"])  # Only a run's folder is touched.
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Also where it is there already: that shows the folder to be writable before any long work.
        write(found, json.dumps(wanted | {"origin": origin or {}}, indent=2) + "\n")
    except OSError as error:
        raise ValueError(f"out: must be a folder that can be written to, got {directory} ({error.strerror})") from error


def delete(directories: Sequence[Path]) -> None:
    """The files of runs, and nothing else; a folder with more in it keeps the mark of one, where --resume may begin.

    Raises:
      ValueError: a folder holds something, and no run; then nothing is deleted.
    """
    methods = {}
    for directory in directories:
        marked = (directory / MARK).exists() and not (directory / "config.json").exists()
        if directory.is_dir() and any(directory.iterdir()) and not marked:
            methods[directory] = read_settings(directory)["method"]
    for directory, method in methods.items():
        _clear(directory, method)
        os.replace(directory / "config.json", directory / MARK)
        if [path.name for path in directory.iterdir()] == [MARK]:
            (directory / MARK).unlink()


def _clear(directory: Path, method: str) -> None:
    """An earlier run's files but its settings, which the next ones replace: a kill leaves a run's folder."""
    for name in (*FILES, *labelings(method).values()):
        (directory / name).unlink(missing_ok=True)
    for folder, patterns in ((directory / name, patterns) for name, patterns in FOLDERS.items()):
        if folder.is_symlink():
            folder.unlink()
            continue
        for path in [path for pattern in patterns for path in folder.glob(pattern)]:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            elif folder.name == "checkpoint":
                shutil.rmtree(path)
            elif not any(path.iterdir()):
                path.rmdir()
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def read_settings(directory: Path) -> dict[str, Any]:
    """``config.json`` of a run's folder; ValueError if there is none or it is damaged."""
    path = directory / "config.json"
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError:
        raise ValueError(f"run: {directory} must hold a run, has no config.json") from None
    except ValueError as error:
        raise ValueError(f"run: {path} must be a run's settings, is damaged ({error})") from error
    kinds = {"method": str, "data": dict, "seeds": list, "over": str, "config": dict, "pretraining": dict | None}
    sound = isinstance(found, dict) and not unsound(found, kinds)
    sound = sound and isinstance(found["data"].get("name"), str) and isinstance(found["data"].get("shape"), list)
    sound = sound and type(found["config"].get("clusters")) is int and all(type(one) is int for one in found["seeds"])
    if not sound:
        raise ValueError(f"run: {path} must be a run's settings, got something else")
    return found


def unsound(row: dict[str, Any], kinds: dict[str, Any]) -> list[str]:
    """The names in ``kinds`` that a row lacks, or has of another kind."""
    return [name for name, kind in kinds.items() if not isinstance(row.get(name, ...), kind)]


def rows(wanted: dict[str, Any], dataset: datasets.Dataset, fit: Fit, steps_per_window: int) -> list[dict[str, Any]]:
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
    lanes = [(name, labels, *lane) for name, labels in fit.labelings.items() for lane in enumerate(seeds)]
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
                "steps": int(cluster.window[lane]) * steps_per_window if phase != "cluster" else failed,
                "stopped": bool(cluster.stopped[lane]),
                "failed": failed,
                "failed_phase": phase,
                "empty_clusters": None if sizes is None else int((sizes == 0).sum()),
                "largest_cluster": None if sizes is None else round(float(sizes.max() / sizes.sum()), 4),
                "changed": _last(fit.phases["cluster"].history, "changed", lane),
                "seeds": len(seeds),
                "over": wanted["over"],
                "config_hash": digest(wanted),
                "peak_memory_mb": peak_memory_mb(),
                "versions": versions(),
                "device": device(),
            }
        )
    return result


def row_name(method: str, labeling: str) -> str:
    """How rows name a method, or one labeling of it."""
    return f"{method}-{labeling}" if labeling else method


def labelings(method: str) -> dict[str, str]:
    """The names of the labelings that a run of a method gives, and the file of each; the first is the run's own."""
    names = labeling_names(METHODS[method]) if method in METHODS else ("",)
    return {name: "labels.npy" if name == names[0] else f"{row_name('labels', name)}.npy" for name in names}


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


def versions() -> dict[str, str]:
    """Of the packages that decide the numbers; those for features where they are installed."""
    found = {name: importlib.metadata.version(name) for name in ("jaxclust", "jax", "jaxlib", "optax", "flax", "numpy")}
    for name in ("scikit-learn", "opencv-python-headless"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def device() -> str:
    """What the run ran on, such as "cpu x 2 cores"."""
    kind = jax.devices()[0].device_kind
    return f"{kind} x {os.cpu_count()} cores" if jax.default_backend() == "cpu" else f"{kind} x {jax.device_count()}"


def history_csv(fit: Fit, seeds: Sequence[int], steps_per_window: dict[str, int]) -> str:
    """All windows of all phases: seed, phase, window, steps done, then each info; empty where a phase lacks it."""
    names = list(dict.fromkeys(name for phase in fit.phases.values() for name in phase.history))
    infos = [name for name in names if name not in ("lane", "window")]
    text = io.StringIO()
    text.write(",".join(["seed", "phase", "window", "steps", *infos]) + "\n")
    for phase_name, phase in fit.phases.items():
        history = phase.history
        if not history:
            continue
        for place in np.lexsort((history["window"], history["lane"])):
            window = int(history["window"][place])
            values = [f"{history[name][place]:.8g}" if name in history else "" for name in infos]
            steps = (window + 1) * steps_per_window[phase_name]
            seed = seeds[history["lane"][place]]
            text.write(",".join([str(seed), phase_name, str(window), str(steps), *values]) + "\n")
    return text.getvalue()


def write(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(beside, path)


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """One JSON object a line."""
    write(path, lines(rows))


def lines(rows: list[dict[str, Any]]) -> str:
    """Rows as JSON, one a line."""
    return "".join(json.dumps(row) + "\n" for row in rows)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """What ``write_rows`` wrote; ValueError names the first line that is no row."""
    found = []
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            raise ValueError(f"rows: {path} line {number} must be a row of results, is damaged ({error})") from error
        if not isinstance(row, dict):
            raise ValueError(f"rows: {path} line {number} must be a row of results, got {line[:40]}")
        found.append(row)
    return found


def read_results(directory: Path) -> list[dict[str, Any]]:
    """A finished run's rows; ValueError where they are damaged or of something else."""
    path = directory / "results.jsonl"
    found = read_rows(path)
    wanted = COMPARED | {"preset", "largest_cluster", "seconds", "compile_seconds"}
    missing = {name for row in found or [{}] for name in wanted - row.keys()}
    if missing:
        raise ValueError(f"rows: {path} must hold a row for each seed, lacks {', '.join(sorted(missing))}")
    return found


def write_labels(path: Path, labels: np.ndarray) -> None:
    """An .npy file, int32 (seeds, n)."""
    content = io.BytesIO()
    np.save(content, labels.astype(np.int32), allow_pickle=False)
    write(path, content.getvalue())
