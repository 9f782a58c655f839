"""The windows of a run as a table."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from jaxclust.engine.driver import History
from jaxclust.errors import reading

CURVES = ("loss", "changed")
"""The columns that are drawn."""


def history_csv(
    histories: Mapping[str, History], seeds: Sequence[int], steps_per_window: Mapping[str, int]
) -> str:
    """All windows of all phases as CSV: seed, phase, window, steps done, then each info.

    A cell is empty where a phase lacks the info.

    Args:
      histories: of each phase, by its name.
      seeds: of the lanes.
      steps_per_window: by phase.
    """
    names = list(dict.fromkeys(name for history in histories.values() for name in history))
    infos = [name for name in names if name not in ("lane", "window")]
    text = io.StringIO()
    text.write(",".join(["seed", "phase", "window", "steps", *infos]) + "\n")
    for phase, history in histories.items():
        if not history:
            continue
        for place in np.lexsort((history["window"], history["lane"])).tolist():
            window = int(history["window"][place])
            values = [f"{history[name][place]:.8g}" if name in history else "" for name in infos]
            steps = (window + 1) * steps_per_window[phase]
            seed = seeds[int(history["lane"][place])]
            text.write(",".join([str(seed), phase, str(window), str(steps), *values]) + "\n")
    return text.getvalue()


def read_history(path: Path) -> dict[str, dict[str, np.ndarray]]:
    """The columns of a run's ``history.csv`` by phase, float64, with "seed" among them.

    A value that a phase lacks is nan. A file that is not there has no phase.

    Raises:
      UsageError: a line is damaged.
    """
    lines: dict[str, list[dict[str, float]]] = {}
    if not path.exists():
        return {}
    with (
        reading(f"run: {path} must be as it was written", path),
        path.open(encoding="utf-8", newline="", errors="replace") as file,
    ):
        for number, line in enumerate(csv.DictReader(file, restval="missing"), 2):
            rule = f"run: {path} line {number} must be a phase and numbers, is damaged"
            with reading(rule):
                phase = line.pop("phase")
                names = ("seed", "window", *line)
                values = {name: float(line[name] or "nan") for name in names}
                if not all(math.isfinite(values[name]) for name in ("seed", "window")):
                    raise ValueError("a seed or a window is no number")
            lines.setdefault(phase, []).append(values)
    return {
        phase: {name: np.array([row[name] for row in rows]) for name in rows[0]}
        for phase, rows in lines.items()
    }
