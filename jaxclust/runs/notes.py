"""What a reader of a run has to know beside its scores: one list of sentences for each run.

``jaxclust fit`` prints them, ``notes.json`` keeps them in the run's folder, and ``jaxclust
compare`` and ``report`` show them.
"""

import contextlib
import json
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jaxclust.errors import UsageError, reading
from jaxclust.evaluation import agreement
from jaxclust.ops import moved_images
from jaxclust.ops.spectral import GraphWarning
from jaxclust.runs.consensus import Consensus
from jaxclust.runs.files import write_file
from jaxclust.runs.rows import Row
from jaxclust.runs.settings import Settings, is_deterministic
from jaxclust.types import Method

if TYPE_CHECKING:
    from jaxclust.runs.run import Run

NOTES = "notes.json"
"""The file of a run's folder with its notes."""
COLLAPSED = 0.9
"""A clustering whose largest cluster holds more than this share of the images has collapsed."""
ONE_HOLDS = "one cluster holds {} of the images"
TWO = 0.99
"""Where the two largest of four clusters or more hold this share, the others say nothing."""
LOW_AGREEMENT = 0.4
"""Below this mean adjusted Rand index between seeds each of them finds other clusters."""


def before(method: Method, shape: tuple[int, ...]) -> list[str]:
    """Notes that are known before a run on images of shape (h, w, c)."""
    notes = [method.caution] if method.caution else []
    configs = (method.config, method.pretraining)
    moves = any(getattr(config, "augment", "none") != "none" for config in configs)
    if moves and moved_images.too_small(shape):
        rule = f"augment affine moves no image with a side below {moved_images.LEAST_SIDE} pixels"
        notes.append(f"{rule}, and these have {shape[0]} x {shape[1]}: they stay as they are")
    return notes


def after(settings: Settings, rows: Sequence[Row], votes: Consensus | None) -> list[str]:
    """Notes on what a run's clusters are.

    Args:
      settings: of the run.
      rows: of its own labeling.
      votes: the consensus of its seeds; None where every seed failed.
    """
    notes = [
        f"seed {row.seed} collapsed, {ONE_HOLDS.format(_percent(row.largest_cluster))}"
        for row in rows
        if row.largest_cluster is not None and row.largest_cluster > COLLAPSED
    ]
    if votes is None:
        return [*notes, "every seed failed, so that there are no clusters"]
    sizes = np.bincount(votes.labels[votes.labels >= 0], minlength=settings.clusters)
    empty = int((sizes == 0).sum())
    if empty:
        be = "is" if empty == 1 else "are"
        notes.append(f"{empty:,} of {settings.clusters:,} clusters {be} empty")
    if len(votes.seeds) > 1 or not notes:
        notes += _dominance(sizes)
    notes += low_agreement(settings, votes)
    return notes


def _dominance(sizes: np.ndarray) -> list[str]:
    """A note where one cluster or two hold nearly all images."""
    largest = np.sort(sizes)[::-1] / sizes.sum()
    if largest[0] > COLLAPSED:
        share = _percent(largest[0])
        return [f"{ONE_HOLDS.format(share)}, so that seeds agree whatever they found"]
    if len(sizes) > 3 and largest[:2].sum() >= TWO:
        return [f"two clusters of {len(sizes):,} hold {_percent(largest[:2].sum())} of the images"]
    return []


def low_agreement(settings: Settings, votes: Consensus) -> list[str]:
    """A note where each seed finds other clusters, as in images without such groups."""
    if is_deterministic(settings) or len(votes.seeds) < 2:
        return []
    mean = float(agreement.stability(votes.agreement).mean())
    return [unsupported(settings.clusters, mean)] if mean < LOW_AGREEMENT else []


def unsupported(clusters: int, mean: float) -> str:
    """What to say of a number of clusters on which the seeds do not agree."""
    found = f"the seeds agree at only {mean:.2f} (ARI; 1 is the same, 0 chance)"
    return f"{found}: each finds other clusters, and nothing supports {clusters} of them"


def _percent(share: float) -> str:
    """A share in percent, never rounded up to all."""
    return f"{np.floor(10_000 * share) / 100:.4g} %"


def of_run(run: "Run") -> tuple[str, ...]:
    """The notes of a finished run, as its folder keeps them; see ``Run.notes``."""
    if run.directory is not None and (run.directory / NOTES).exists():
        return read_notes(run.directory)
    votes = run.consensus() if run.kept_lanes() else None
    rows = run.rows[: len(run.seeds)]
    return (*run.notes_before, *after(run.settings, rows, votes))


def write_notes(folder: Path, notes: Sequence[str]) -> None:
    """Writes a run's notes to its folder; no file where there are none."""
    if notes:
        write_file(folder / NOTES, json.dumps(list(notes), indent=2) + "\n")


def read_notes(folder: Path) -> tuple[str, ...]:
    """A run's notes from its folder; none where there is no file.

    Raises:
      UsageError: the file is damaged.
    """
    path = folder / NOTES
    if not path.exists():
        return ()
    rule = f"run: {path} must be a list of sentences"
    with reading(f"{rule}, is damaged", path):
        notes = json.loads(path.read_text("utf-8"))
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        raise UsageError(f"{rule}, got something else")
    return tuple(notes)


@contextlib.contextmanager
def told() -> Iterator[list[str]]:
    """Collects what methods say of the graphs that they make; other warnings stay warnings."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", GraphWarning)
        yield notes
    for one in caught:
        if issubclass(one.category, GraphWarning):
            if str(one.message) not in notes:
                notes.append(str(one.message))
        else:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
