"""How many seeds run where nobody says so, and what a number of seeds can show."""

import dataclasses
import math
from pathlib import Path

from jaxclust.data.datasets import Dataset
from jaxclust.data.sources import Source
from jaxclust.methods import registry
from jaxclust.runs.folder import default_folder
from jaxclust.runs.forecast import duration
from jaxclust.runs.plan import FEW, Plan
from jaxclust.runs.settings import Settings, read_settings
from jaxclust.types import Method

MANY = 10
"""The number of seeds where their forecast is under ``MOST_SECONDS``; ``FEW`` otherwise."""
MOST_SECONDS = 120.0
LEVEL = 0.05
"""The level at which a number of seeds is said to show something."""
SECONDS = {
    "kmeans": 0.12,
    "aec": 41.0,
    "aekm": 7.0,
    "cae-kmeans": 8.4,
    "ccnn": 6.5,
    "ccnn-i": 6.5,
    "ccnn-ii": 6.9,
    "ccnn-iii": 6.4,
    "ccnn-norm": 6.9,
    "cnn-cm": 40.0,
    "dae-kmeans": 20.0,
    "dbc": 6.8,
    "dcec": 13.0,
    "dcn": 65.0,
    "dctl": 2.0,
    "dec": 41.0,
    "dec-conv": 21.0,
    "den": 25.0,
    "dkm": 59.0,
    "dkm-annealed": 29.0,
    "fcae-kmeans": 4.6,
    "idec": 38.0,
    "iec": 5.3,
    "jule": 0.7,
    "n-cuts": 0.31,
    "nmf-d": 0.9,
    "nmf-lp": 4.4,
    "sae-kmeans": 32.0,
    "sc-ls": 1.2,
    "sc-njw": 0.24,
    "sc-st": 0.32,
    "sec": 0.56,
    "tsc-d": 2.6,
    "best": 40.0,
}
"""Measured seconds a seed, at the default settings, on two cores, on digits: rows of compare.jsonl
and best.jsonl. Those of sc-ls, nmf-lp, nmf-d, iec, tsc-d and aec were made beside other work, and
cnn-cm, dae-kmeans and den have the CPU seconds of two or three seeds. As they are the same on every
machine, so is the number of seeds."""
IMAGES = 1_797
PIXELS = 64
"""Number of digits, and of their pixels."""
GROWTH = 1.3
"""The power of images times pixels with which the seconds grow. From digits to USPS it was 1.0 for
networks trained for as many steps an image, and 1.3 for graphs of neighbors and k-means."""
FEATURES = 1_280
"""Numbers an image that are assumed of features that are not computed yet."""


def forecast(method: Method, data: Dataset | Source, plan: Plan) -> float | None:
    """Seconds that a seed is forecast to take on two cores.

    Returns:
      The seconds; None for methods, presets and settings that have not been measured, for streams,
      and for methods that draw no random number.
    """
    seconds = SECONDS.get(method.name)
    if seconds is None or isinstance(data, Source) or method.algorithm.deterministic:
        return None
    if method.preset not in ("default", "quick") or plan.weights is not None:
        return None
    usual = registry.method(method.name, method.preset, clusters=method.clusters)
    same = (usual.config, usual.pretraining, usual.algorithm, usual.network)
    if same != (method.config, method.pretraining, method.algorithm, method.network):
        return None
    n, *shape = data.images.shape
    numbers = math.prod(shape) if plan.features is None else FEATURES
    # Smaller sets are not forecast to be faster: programs take a while to start.
    return seconds * max(1.0, n / IMAGES * numbers / PIXELS) ** GROWTH


def with_usual_seeds(method: Method, data: Dataset | Source, plan: Plan) -> tuple[Plan, str | None]:
    """A plan that has the usual number of seeds where nobody gave one.

    Ten seeds run where they are forecast to take less than two minutes, and five otherwise. A run
    that goes on keeps its seeds.

    Args:
      method: with its settings.
      data: the images.
      plan: as asked for.

    Returns:
      The plan, and a line that says how the number came about; None where there is no choice.
    """
    if not plan.choose_seeds:
        return plan, None
    folder = plan.out if plan.resume and not plan.find_out else None
    if folder is not None and (folder / "config.json").exists():
        return dataclasses.replace(plan, seeds=read_settings(folder).seeds), None
    seconds = forecast(method, data, plan)
    if seconds is None:
        return plan, None
    whole = MANY * seconds
    time = "under a minute" if whole < 60 else f"about {duration(whole)}"
    line = f"{MANY} seeds are forecast to take {time} on two cores"
    if whole < MOST_SECONDS:
        return dataclasses.replace(plan, seeds=tuple(range(MANY))), f"{line}, so that {MANY} run"
    return plan, f"{line}, so that {FEW} run; --seeds {MANY} runs them all the same"


def can_show(count: int, family: int | None = None) -> str:
    """What a comparison of two methods with so many shared seeds can show, as a sentence.

    Args:
      count: seeds of each method.
      family: how many comparisons are corrected for; None where it is not known.
    """
    from jaxclust.evaluation.stats import power

    smallest = power.smallest_p(count)
    corrected = min(1.0, smallest * (family or 1))
    seeds = f"{count} seeds" if count > 1 else "1 seed"
    claim = f"show at the {LEVEL:g} level that one method beats another"
    after = ""
    if family is not None:
        plural = "s" if family > 1 else ""
        after = f", after correction for {family} comparison{plural}"
    if count < 2 or corrected > LEVEL:
        least = power.least_seeds(LEVEL / (family or 1), True)
        return f"with {seeds} no test can {claim}{after}; {least} seeds can"
    if family is None:
        most = math.floor(LEVEL / smallest + 1e-9)
        after = f", in {most} comparisons at most"
    return f"with {seeds} a test can {claim}{after}"


def as_begun(plan: Plan, settings: Settings, parent: Path) -> tuple[Plan, Settings]:
    """A plan without given seeds keeps those of a run that began with few, as all once did.

    Not one that writes over what was there, which has no reason to begin with few.

    Args:
      plan: with ``find_out``.
      settings: of its run.
      parent: of the run's folder.

    Returns:
      The plan and the settings, as given or with the few seeds.
    """
    few = dataclasses.replace(settings, seeds=tuple(range(FEW)))
    if plan.overwrite or not plan.choose_seeds or default_folder(settings, parent).exists():
        return plan, settings
    if not (default_folder(few, parent) / "config.json").exists():
        return plan, settings
    return dataclasses.replace(plan, seeds=few.seeds), few


def lines_before(
    method: Method, data: Dataset | Source, plan: Plan, choice: str | None
) -> list[str]:
    """Lines before a run: how its number of seeds came about, and what it can show.

    Args:
      method: of the run.
      data: the images.
      plan: with the run's seeds.
      choice: what ``with_usual_seeds`` says of their number.
    """
    lines = [] if choice is None else [choice]
    draws = not method.algorithm.deterministic
    if data.labels is not None and draws and not plan.in_sweep:
        lines.append(f"note for comparing: {can_show(len(plan.seeds))}")
    return lines
