"""What is said of a run in which every seed failed."""

from jaxclust.runs.progress import NAMES
from jaxclust.runs.run import Run
from jaxclust.types import PRETRAINING

RATE = "learning_rate"
"""Name of the setting that a smaller value keeps from diverging, in the methods that have it."""


def total_failure(run: Run, options: bool = False) -> str | None:
    """A line on a run in which every seed failed: where, and what to try.

    Args:
      run: any run.
      options: name settings as options of the command, not as settings of a method in Python.

    Returns:
      The line; None where the run is not finished or a seed has a result.
    """
    failed = run.failed
    if not failed or len(failed) < len(run.seeds):
        return None
    # All seeds pretrain before one clusters.
    phase, step = min(failed.values(), key=lambda place: (place[0] != "pretrain", place[1]))
    name = NAMES.get(phase, phase)
    where = f"every seed failed with NaN or inf, the first in {name} at step {step}"
    pretraining = run.settings.pretraining or {}
    if phase == "cluster" and step == 0 and pretraining.get("epochs"):
        phase = "pretrain"  # No step has been taken since, so that its weights are the cause.
    return f"{where}: {_advice(run, phase, options)}"


def _advice(run: Run, phase: str, options: bool) -> str:
    """What to try where a phase has diverged."""
    settings = run.settings.config
    name = RATE
    if phase == "pretrain":
        settings = run.settings.pretraining or {}
        name = PRETRAINING + RATE
    if settings.get("max_steps") == 0:  # k-means on features, which takes no step.
        return "try other weights or other features"
    if RATE not in settings:
        return f"try other settings; {NAMES.get(phase, phase)} has no learning rate"
    if options:
        name = "--" + name.replace("_", "-")
    return f"try a smaller {name} than {settings[RATE]}"
