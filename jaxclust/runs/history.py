"""TODO"""

import io
from collections.abc import Sequence

import numpy as np

from jaxclust.engine.fit import Fit


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
