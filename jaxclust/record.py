"""A run's files: settings, a row of results for each seed, labels, history; and the table people read."""

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

from jaxclust import datasets, metrics, stats
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
COLLAPSED = 0.9
"""A run whose largest cluster holds more than this share of the images has collapsed."""


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
    if resume and overwrite:
        raise ValueError("resume: must not be given together with overwrite")
    found = directory / "config.json"
    if directory.exists() and not (resume or overwrite):
        raise ValueError(f"out: must not exist without --resume or --overwrite, got {directory}")
    if directory.exists() and not directory.is_dir():
        raise ValueError(f"out: must be a folder, got {directory}")
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
    labelings = labeling_names(METHODS[method]) if method in METHODS else ("",)
    for name in (*FILES, "labels.npy", *(f"{row_name('labels', labeling)}.npy" for labeling in labelings)):
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
    kinds = {"method": str, "data": dict, "seeds": list, "over": str, "config": dict, "pretraining": (dict, type(None))}
    sound = isinstance(found, dict) and all(isinstance(found.get(name, ...), kind) for name, kind in kinds.items())
    sound = sound and isinstance(found["data"].get("name"), str) and isinstance(found["data"].get("shape"), list)
    sound = sound and type(found["config"].get("clusters")) is int and all(type(one) is int for one in found["seeds"])
    if not sound:
        raise ValueError(f"run: {path} must be a run's settings, got something else")
    return found


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


def table(blocks: Sequence[list[dict[str, Any]]]) -> str:
    """The runs of several methods side by side: a line a seed, then mean, sd and 95 % interval."""
    columns = (
        ("acc", "ACC", 4),
        ("nmi", "NMI", 4),
        ("ari", "ARI", 4),
        ("seconds", "seconds", 1),
        ("compile_seconds", "compile s", 1),
    )
    grid: list[list[str]] = [[""], [""]]
    grid += [[f"seed {row['seed']}"] for row in blocks[0]]
    grid += [["mean"], ["sd"], ["95 % low"], ["95 % high"]]
    notes = []
    for rows in blocks:
        grid[0] += [f"{rows[0]['method']}".ljust(10), *[" " * 10] * (len(columns) - 1)]
        for name, title, digits in columns:
            values = [row[name] for row in rows]
            present = [value for value in values if value is not None]
            cells = ["-" if value is None else f"{value:.{digits}f}" for value in values]
            if present:
                _, mean, *spread = stats.summary(present)
                # One clock for the run: its seeds' equal shares have no spread to speak of.
                spread = [np.nan] * 3 if name in ("seconds", "compile_seconds") else spread
                cells += ["-" if np.isnan(value) else f"{value:.{digits}f}" for value in (mean, *spread)]
            else:
                cells += ["-"] * 4
            for line, cell in zip(grid[1:], [title, *cells], strict=True):
                line.append(cell)
        failed = [
            f"seed {row['seed']} ({row['failed_phase']} step {row['failed']})"
            for row in rows
            if row["failed"] is not None
        ]
        if failed:
            notes.append(f"{rows[0]['method']}: failed with NaN or inf, not in the mean: {', '.join(failed)}")
    body = "\n".join(line[0].ljust(10) + "".join(cell.rjust(10) for cell in line[1:]) for line in grid)
    return "\n".join(line.rstrip() for line in [*body.split("\n"), *notes])


def summary(directory: Path) -> str:
    """What a finished run's folder has to say: the data, the table beside the baseline's, where the files are."""
    rows = read_results(directory)
    first, baseline = rows[0], directory / "baseline.jsonl"
    rows += read_rows(baseline) if baseline.exists() else []
    names = dict.fromkeys(row["method"] for row in rows)
    return "\n".join(
        [
            f"{read_settings(directory)['method']} on {first['data']}: {first['n']:,} images, "
            f"{first['clusters']} clusters, preset {first['preset']}",
            table([[row for row in rows if row["method"] == name] for name in names]),
            "seconds: the run's wall-clock time without compilation, divided by its seeds; compile s: the whole run's",
            f"files: {directory}",
        ]
    )


def finished(directory: Path) -> bool:
    """Whether a run has its results already; says so, and concludes it."""
    if not (directory / "results.jsonl").exists():
        return False
    print(f"{directory} is finished already")
    conclude(directory)
    return True


def conclude(directory: Path) -> None:
    """Prints a finished run's ``summary``, and a warning on stderr for each seed that collapsed."""
    print(summary(directory))
    for row in read_results(directory):
        if row["largest_cluster"] is not None and row["largest_cluster"] > COLLAPSED:
            share = f"one cluster holds {100 * row['largest_cluster']:.0f} % of the images"
            print(f"jaxclust: warning: seed {row['seed']} collapsed, {share}", file=sys.stderr)
