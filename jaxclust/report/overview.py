"""A run without true labels in words: its clusters, how far the seeds agree, and what next."""

import shlex
from pathlib import Path

import numpy as np

from jaxclust.evaluation import agreement
from jaxclust.runs import feature_inputs
from jaxclust.runs.consensus import CLUSTERS_CSV, Consensus
from jaxclust.runs.notes import COLLAPSED, LOW_AGREEMENT
from jaxclust.runs.run import Run
from jaxclust.runs.settings import Settings, is_deterministic

LISTED = 12
"""Clusters that are listed by themselves; of more the smallest are summed up."""
BAR = 24
"""Characters of the largest cluster's bar."""
MEANINGS = (
    (0.9, "nearly the same clusters each time"),
    (0.7, "mostly the same clusters each time"),
    (LOW_AGREEMENT, "they agree in part; trust the images on which all agree"),
    (-np.inf, "each seed finds other clusters"),
)
"""What a mean adjusted Rand index between seeds means, from this value on."""


def overview(run: Run) -> list[str]:
    """Lines on a finished run whose true labels are not known.

    Args:
      run: finished, in a folder, of which one seed or more did not fail.

    Returns:
      The sizes of the clusters, the agreement of the seeds, where to look and what to type next.
    """
    votes = run.consensus()
    lines = _sizes(votes.labels[votes.labels >= 0], run.settings.clusters)
    lines += [f"time: {_time(run)}", *_failures(run), *_agreement(votes, run.settings)]
    if run.directory is not None:
        lines += ["", *_where(run, run.directory), *_next(run.settings, run.directory)]
    return lines


def _sizes(labels: np.ndarray, clusters: int) -> list[str]:
    """A line for each of the largest clusters, and one for the others."""
    sizes = np.bincount(labels, minlength=clusters)
    order = np.argsort(-sizes, kind="stable")
    order = order[sizes[order] > 0]
    # One more cluster takes no more room than the line that sums it up.
    listed = order if len(order) <= LISTED + 1 else order[:LISTED]
    lines = ["cluster    images     share"]
    for cluster in listed:
        size = int(sizes[cluster])
        bar = "#" * max(round(BAR * size / sizes.max()), 1)
        lines.append(f"{cluster:>7}{size:>10,}{100 * size / sizes.sum():>8.1f} %  {bar}")
    rest = sizes[order[len(listed) :]]
    if rest.size:
        span = f"{rest.min():,} to {rest.max():,} images each"
        lines.append(f"and {rest.size:,} smaller, {span}, {rest.sum():,} in all")
    return lines


def _time(run: Run) -> str:
    """How long the run took."""
    first = run.rows[0]
    seconds = (first.seconds or 0) * len(run.seeds)
    seeds = f"{len(run.seeds)} seeds" if len(run.seeds) > 1 else "1 seed"
    return f"{seconds:.1f} s for {seeds}, and {first.compile_seconds or 0:.1f} s of compilation"


def _failures(run: Run) -> list[str]:
    """A line on the seeds that failed; none where none did."""
    if not run.failed:
        return []
    each = ", ".join(
        f"seed {seed} ({phase} step {step})" for seed, (phase, step) in run.failed.items()
    )
    return [f"failed with NaN or inf, without a vote: {each}"]


def _agreement(votes: Consensus, settings: Settings) -> list[str]:
    """How far the seeds agree, and on how many images all of them do."""
    if is_deterministic(settings):
        return ["seeds: the method draws no random number, so that all seeds are one run"]
    count = len(votes.seeds)
    if count < 2:
        return [
            f"seeds: only seed {votes.medoid}; with --seeds 5 five seeds vote and show how sure "
            "each cluster is"
        ]
    mean = float(agreement.stability(votes.agreement).mean())
    meaning = next(words for least, words in MEANINGS if mean >= least)
    known = votes.labels >= 0
    if np.bincount(votes.labels[known]).max() > COLLAPSED * known.sum():
        meaning = "which says nothing, since one cluster holds nearly all images"
    whole = int((votes.share[known] > 1 - 1e-9).sum())
    all_seeds = "both seeds" if count == 2 else f"all {count} seeds"
    total = int(known.sum())
    return [
        f"seeds: mean agreement {mean:.2f} (ARI; 1 is the same, 0 chance): {meaning}",
        f"{all_seeds} agree on {whole:,} of {total:,} images, {100 * whole / total:.1f} %",
    ]


def _where(run: Run, folder: Path) -> list[str]:
    """The files to look at."""
    lines = []
    if (folder / CLUSTERS_CSV).exists():
        lines.append(f"look at: {folder / CLUSTERS_CSV}: each image's cluster, and how sure it is")
    if (folder / "figures").is_dir():
        start = "         " if lines else "look at: "
        lines.append(f"{start}{folder / 'figures'}: a sheet of images for each cluster, and a map")
    if len(run.labelings) > 1:
        own, *others = run.labelings
        lines.append(f"the clusters above are those of {own}; {', '.join(others)} has its own file")
    return lines


def _next(settings: Settings, folder: Path) -> list[str]:
    """The commands that a person may want next."""
    report = ["jaxclust", "report", str(folder), "--out", "page.html"]
    commands = [shlex.join(report)]
    if feature_inputs.takes_new_images(settings) and "own" not in settings.extra:
        predict = ["jaxclust", "predict", str(folder), "--data", "NEW_IMAGES", "--out", "new.csv"]
        commands.append(shlex.join(predict))
    return [
        f"{'next:    ' if place == 0 else '         '}{words}"
        for place, words in enumerate(commands)
    ]
