"""``group``: a folder of pictures in, groups out.

Features of a pretrained network stand for the pictures, k-means of many seeds groups them, and the
seeds vote. What takes long is kept: the features in a cache by each file's content, the seeds' run
in the folder of results.
"""

import dataclasses
import hashlib
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.data.listing import shown as plain
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.groups import files as written
from jaxclust.groups import options as asked
from jaxclust.groups.files import Shown
from jaxclust.groups.gather import Found, Gathered, OutOfTime, find, gather, joined
from jaxclust.groups.number import Number, choose_number, tried
from jaxclust.groups.options import Options
from jaxclust.groups.partition import Partition, as_grid, assign, make_partition
from jaxclust.groups.result import Groups, read_result
from jaxclust.groups.show import View, make_shown, write_map, write_page
from jaxclust.groups.state import State, read_state, write_state
from jaxclust.groups.vectors import fit_projection, project
from jaxclust.methods import registry
from jaxclust.runs.fit import execute
from jaxclust.runs.plan import Plan
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run

LEAST = 4
"""Pictures that there must be."""


class Job(NamedTuple):
    """What is done, and where.

    Attributes:
      options: what is asked for.
      out: the folder for the results.
      bars: shows progress.
      end: when to stop, by ``time.monotonic``; None for never.
    """

    options: Options
    out: Path
    bars: Bars
    end: float | None

    def seconds_left(self) -> float | None:
        """Time until ``end``; None without.

        Raises:
          OutOfTime: it has come.
        """
        if self.end is None:
            return None
        left = self.end - time.monotonic()
        if left <= 0:
            raise OutOfTime
        return left


def group(
    folder: str | Path, clusters: int | None = None, *, progress: bool = True, **settings: Any
) -> Groups:
    """Groups the pictures of a folder, and writes a table and a page of them.

    Args:
      folder: of pictures; or a .zip or .tar file; or a .csv or .parquet table of paths.
      clusters: number of groups; None to estimate it.
      progress: show progress on stderr.
      **settings: other fields of ``jaxclust.groups.options.Options``, such as ``out``,
        ``features``, ``seeds``, ``add``, ``labels`` or ``max_seconds``.

    Returns:
      The groups. Its ``finished`` is False where ``max_seconds`` stopped it; the same call goes
      on.

    Raises:
      UsageError: something breaks its rule.
    """
    known = {field.name for field in dataclasses.fields(Options)} - {"folder", "clusters"}
    for name in settings:
        if name not in known:
            raise UsageError(f"group: takes {', '.join(sorted(known))}, got {name}")
    options = Options(Path(folder), clusters, **settings)
    with Bars(disable=not progress) as bars:
        return group_pictures(options, bars)


def group_pictures(options: Options, bars: Bars) -> Groups:
    """Groups pictures; ``group`` and the command are faces of this.

    Args:
      options: what is asked for.
      bars: shows progress.

    Raises:
      UsageError: something breaks its rule.
    """
    asked.check(options)
    end = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    found = find(options.folder, options)
    if len(found.listing.files) < LEAST:
        rule = f"folder: must hold {LEAST} pictures or more"
        raise UsageError(f"{rule}, {options.folder} has {len(found.listing.files)}")
    bars.say(found.summary)
    folder = str(options.folder.resolve())
    state = State(options.settings(), found.digest, folder, options.view())
    out = _folder(options, state)
    if options.overwrite:
        written.delete_results(out)
    before = read_state(out)
    if options.resume and before is None:
        raise UsageError(f"resume: {out} must hold groups of these pictures, has none")
    kept = before or state
    added = tuple(dict.fromkeys([*kept.added, *(str(path.resolve()) for path in options.add)]))
    done = kept.finished and (kept.view, kept.added) == (state.view, added)
    if done and not (options.edits or options.placing or options.export):
        bars.say(f"{out} is finished already")
        return read_result(out, kept)
    if before is None:
        write_state(out, state)  # Shows early whether the folder can be written to.
    asked_for = dataclasses.replace(kept, folder=folder, view=state.view, added=added)
    try:
        return _work(Job(options, out, bars, end), found, asked_for)
    except OutOfTime:
        return Groups(out, ())


def _folder(options: Options, state: State) -> Path:
    """The folder for the results: the one asked for, or the first that is free or has the same.

    Raises:
      UsageError: the one asked for has other groups, or holds something else.
    """
    if options.out is not None:
        out = options.out
        kept = read_state(out)
        if kept is None and out.exists() and any(out.iterdir()):
            raise UsageError(f"out: must be empty, new, or a folder of groups, got {out}")
        if kept is not None and not kept.same_groups(state) and not options.overwrite:
            rule = f"out: {out} must hold groups of the same pictures and settings"
            raise UsageError(f"{rule}, has others; name another, or use --overwrite")
        return out
    stem = written.safe(options.folder.resolve().name.partition(".")[0]) or "pictures"
    parent = asked.parent_of_results(options.folder)
    number = 1
    while True:
        out = parent / (f"{stem}-groups" if number == 1 else f"{stem}-groups-{number}")
        if not out.exists() or (out.is_dir() and not any(out.iterdir())):
            return out
        kept = read_state(out) if out.is_dir() else None
        if kept is not None and kept.same_groups(state):
            return out
        number += 1


def _work(job: Job, found: Found, state: State) -> Groups:
    """Makes the groups and writes them.

    Raises:
      OutOfTime: the end has come.
      UsageError: something breaks its rule.
    """
    options, out, bars, _ = job
    own = gather(found, options, bars, job.seconds_left)
    if len(own.features) < LEAST:
        rule = f"folder: must hold {LEAST} readable pictures or more"
        raise UsageError(f"{rule}, {options.folder} has {len(own.features)}")
    projection = fit_projection(own.features)
    vectors = project(projection, own.features)
    state = _with_number(job, vectors, state)
    _begin(out, state)
    run = _run(job, vectors, state.groups)
    partition, shape = make_partition(run, vectors)
    parts = [own]
    for place in state.added:
        more = find(Path(place), options)
        parts.append(gather(more, options, bars, job.seconds_left))
        new = project(projection, parts[-1].features)
        vectors = np.concatenate([vectors, new])
        each = zip(partition, assign(run, shape, new), strict=True)
        partition = Partition(*(np.concatenate(pair) for pair in each))
    pictures = joined(parts, vectors)
    twice = [name for name, count in Counter(pictures.files).items() if count > 1]
    if twice:
        raise UsageError(f"add: must name each picture once, got {plain(twice[0])} more than once")
    known = own.kinds if isinstance(options.labels, Path) else None
    if known is not None:
        known = [*known, *[None] * (len(pictures.files) - len(known))]
    edits = [*written.edits_of(out), *([options.edits] if options.edits else [])]
    view = View(known, edits, options.levels, options.outliers)
    shown = make_shown(pictures, partition, state.groups, view)
    unreadable = {name: reason for part in parts for name, reason in part.unreadable.items()}
    notes = _notes(state, own, partition, unreadable)
    state = dataclasses.replace(state, finished=False)
    # From here on files change: where this ends early, the next call writes them all again.
    write_state(out, state)
    written.write_groups(out / written.TABLE, pictures.files, shown)
    written.write_unreadable(out / written.UNREADABLE, unreadable)
    write_page(out, pictures, shown, [_count(shown), *notes], bars)
    if options.placing is not None:
        content = pictures.content if options.placing == "copy" else None
        count = written.place(out, pictures.files, shown, pictures.path, content)
        notes = (*notes, f"{count:,} {_PLACED[options.placing]} in {out / written.PLACED}")
    if options.export is not None:
        notes = (*notes, *write_map(options.export, pictures, shown))
    if options.edits is not None:
        written.keep_edits(out, options.edits)
    write_state(out, dataclasses.replace(state, finished=True, names=shown.names, notes=notes))
    return Groups(out, pictures.files, shown, unreadable, notes)


def _begin(out: Path, state: State) -> None:
    """Keeps the number of groups, so that a call that goes on need not estimate it again.

    What else was asked for is kept only once it has been carried out.
    """
    kept = read_state(out)
    if kept is not None and not kept.groups:
        known = {"vectors": state.vectors, "groups": state.groups, "number": state.number}
        write_state(out, dataclasses.replace(kept, **known))


_PLACED = {"link": "links", "copy": "copies"}


def _count(shown: Shown) -> str:
    """How many pictures are in how many groups."""
    groups = shown.partition.groups[shown.partition.groups >= 0]
    apart = len(shown.partition.groups) - len(groups)
    others = f"; {apart:,} fit no group" if apart else ""
    return f"{len(groups):,} pictures in {len(np.unique(groups)):,} groups{others}."


def _with_number(job: Job, vectors: np.ndarray, state: State) -> State:
    """The state with the number of groups: the one that is asked for, or an estimate.

    Raises:
      UsageError: the pictures are not those that the folder's groups are of, or there are fewer
        than groups.
    """
    digest = hashlib.sha256(vectors.tobytes()).hexdigest()
    if state.vectors and state.vectors != digest:
        rule = f"folder: must hold the pictures that {job.out} has groups of"
        raise UsageError(f"{rule}, some have changed; name another --out, or use --overwrite")
    state = dataclasses.replace(state, vectors=digest)
    clusters = job.options.clusters
    distinct = len(np.unique(vectors, axis=0))
    if clusters is not None:
        if clusters > distinct:
            rule = f"clusters: must be at most the number of different pictures, {distinct}"
            raise UsageError(f"{rule}, got {clusters}")
        return dataclasses.replace(state, groups=clusters)
    if state.groups:
        return state
    if distinct < LEAST:
        rule = f"clusters: must be given for fewer than {LEAST} different pictures"
        raise UsageError(f"{rule}, {job.options.folder} has {distinct}")
    job.seconds_left()
    job.bars.stage("number of groups", total=tried(distinct))
    number = choose_number(vectors, job.bars.step)
    return dataclasses.replace(state, groups=number.groups, number=_about_number(number))


def _about_number(number: Number) -> tuple[str, ...]:
    """Sentences on an estimated number of groups."""
    largest = max(number.silhouettes)
    value = number.silhouettes[number.groups]
    measured = f"mean silhouette {value:.2f}, {number.unstructured:.2f} without structure"
    lines = [
        f"The number of groups was estimated: {number.groups} fit best of 2 to {largest} "
        f"({measured})."
    ]
    if not number.supported:
        lines.append("No number of groups stands out: the pictures may have no clear groups.")
    elif number.at_end:
        lines.append("That is the largest number that was tried, there may be more groups.")
    return tuple(lines)


def _run(job: Job, vectors: np.ndarray, k: int) -> Run:
    """k-means of many seeds on the vectors, kept in the folder of results."""
    method = registry.method("kmeans", clusters=k)
    images = as_grid(vectors)
    plan = Plan(
        seeds=tuple(range(job.options.seeds)),
        out=job.out / written.RUN,
        resume=True,
        max_seconds=job.seconds_left(),
        data=str(job.options.folder),
        origin={"data": str(job.options.folder), "features": job.options.features},
    )
    name = f"{job.options.folder.resolve().name}+{job.options.features}"
    run = execute(method, Dataset(name, images, None), plan, job.bars)
    if not run.finished:
        raise OutOfTime
    return run


def _notes(
    state: State, own: Gathered, partition: Partition, unreadable: dict[str, str]
) -> tuple[str, ...]:
    """Sentences on the pictures and the groups, for summary and page."""
    notes = list(state.number)
    doubtful = int((~partition.certain).sum())
    if doubtful:
        rule = "they lie between two groups, or far from the center of theirs"
        notes.append(f"{doubtful:,} pictures are doubtful: {rule}.")
    if unreadable:
        notes.append(f"{len(unreadable):,} files could not be read: {written.UNREADABLE}.")
    if own.labels is not None:
        has = np.flatnonzero(own.labels >= 0)
        scores = metrics.scores(own.labels[has], partition.groups[has])
        kinds = len(np.unique(own.labels[has]))
        measured = f"ACC {scores['acc']:.3f}, NMI {scores['nmi']:.3f}, ARI {scores['ari']:.3f}"
        notes.append(f"Compared with {kinds} known kinds of {len(has):,} pictures: {measured}.")
    return tuple(notes)
