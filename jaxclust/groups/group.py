"""``group``: a folder of pictures in, groups out.

Features of a pretrained network stand for the pictures, k-means of many seeds groups them, and the
seeds vote. What takes long is kept: the features in a cache by each file's content, the seeds' run
in the folder of results.
"""

import dataclasses
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.data import archives, tables
from jaxclust.data.datasets import Dataset
from jaxclust.data.listing import shown as plain
from jaxclust.errors import UsageError
from jaxclust.evaluation.silhouettes import choose_number, tried
from jaxclust.evaluation.vectors import fit_projection, project
from jaxclust.groups import files as written
from jaxclust.groups import options as asked
from jaxclust.groups.edits import Edits, read_edits
from jaxclust.groups.files import Shown
from jaxclust.groups.gather import (
    Found,
    OutOfTime,
    digest_of_inputs,
    find,
    gather,
    joined,
    unreadable_of,
)
from jaxclust.groups.number import sentences
from jaxclust.groups.options import Options
from jaxclust.groups.partition import Partition, as_grid, assign, make_partition
from jaxclust.groups.result import Groups, read_result
from jaxclust.groups.show import (
    Pictures,
    View,
    count_of,
    make_shown,
    notes_of,
    write_map,
    write_page,
)
from jaxclust.groups.state import State, read_state, write_state
from jaxclust.methods import registry
from jaxclust.runs.fit import execute
from jaxclust.runs.lock import held, is_empty
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
      edits: corrections that are asked for, or None.
    """

    options: Options
    out: Path
    bars: Bars
    end: float | None
    edits: Edits | None

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
    for name in ("out", "edits", "labels", "export"):
        value = settings.get(name)
        if value is not None and not (name == "labels" and value == "none"):
            settings[name] = Path(value)
    more = settings.get("add", ())
    settings["add"] = tuple(map(Path, [more] if isinstance(more, str | Path) else more))
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
    edits = None if options.edits is None else read_edits(options.edits)
    end = None if options.max_seconds is None else time.monotonic() + options.max_seconds
    found = find(options.folder, options)
    if len(found.listing.files) < LEAST:
        rule = f"folder: must hold {LEAST} pictures or more"
        raise UsageError(f"{rule}, {options.folder} has {len(found.listing.files)}")
    folder = str(options.folder.resolve())
    fresh = State(options.settings(), found.digest, folder, options.view())
    out = _folder(options, fresh)
    kept = None if options.overwrite else read_state(out)
    more = (str(path.resolve()) for path in options.add)
    added = tuple(dict.fromkeys([*(kept.added if kept else ()), *more]))
    sources = [found, *(_find_added(place, options) for place in added)]
    asked.check_out(out, [source.source for source in sources])
    export = options.export
    ours = export is not None and kept is not None and str(export.resolve()) in kept.exports
    if export is not None and export.exists() and not ours:
        raise UsageError(f"export: must not exist, got {export}")
    inputs = digest_of_inputs(options, sources)
    bars.say(found.summary)
    if kept is not None and kept.finished:
        same = (kept.view, kept.added, kept.inputs) == (options.view(), added, inputs)
        strict = options.strict and (out / written.UNREADABLE).exists()
        if same and not (options.edits or options.placing or options.export or strict):
            bars.say(f"{out} is finished already")
            return read_result(out, kept)
    state = dataclasses.replace(
        kept or fresh, folder=folder, view=options.view(), added=added, inputs=inputs
    )
    try:
        with held(out):
            return _work(Job(options, out, bars, end, edits), sources, state)
    except OutOfTime:
        return Groups(out, ())


def _find_added(place: str, options: Options) -> Found:
    """Pictures that are, or were before, added."""
    if not Path(place).exists():
        rule = "add: pictures that were added must stay where they were"
        raise UsageError(f"{rule}, {place} is not there; --overwrite begins without them")
    return find(Path(place), options)


def _folder(options: Options, state: State) -> Path:
    """The folder for the results: the one asked for, or the first that is free or has the same.

    Raises:
      UsageError: the one asked for has other groups, or holds something else.
    """
    if options.out is not None:
        out = options.out
        if options.overwrite:
            return out
        kept = read_state(out)
        if kept is None and out.exists() and not is_empty(out):
            raise UsageError(f"out: must be empty, new, or a folder of groups, got {out}")
        if kept is not None and not kept.same_groups(state):
            rule = f"out: {out} must hold groups of the same pictures and settings"
            raise UsageError(f"{rule}, has others; name another, or use --overwrite")
        return out
    whole = options.folder.resolve()
    name = whole.name if whole.is_dir() else archives.stem(whole)
    if whole.suffix.lower() in tables.ENDINGS:
        name = whole.stem
    stem = written.safe(name)
    parent = asked.parent_of_results(options.folder)
    number = 1
    while True:
        out = parent / (f"{stem}-groups" if number == 1 else f"{stem}-groups-{number}")
        if not out.exists() or (out.is_dir() and is_empty(out)):
            return out
        try:
            kept = read_state(out) if out.is_dir() else None
        except UsageError:  # Another version wrote it, or it is damaged.
            kept = None
        if kept is not None and kept.same_groups(state):
            return out
        number += 1


def _work(job: Job, sources: Sequence[Found], state: State) -> Groups:
    """Makes the groups and writes them.

    Args:
      job: what is done.
      sources: the pictures, and those that are added.
      state: what is asked for.

    Raises:
      OutOfTime: the end has come.
      UsageError: something breaks its rule.
    """
    options = job.options
    out = job.out
    bars = job.bars
    parts = [gather(sources[0], options, bars, job.seconds_left)]
    if len(parts[0].features) < LEAST:
        rule = f"folder: must hold {LEAST} readable pictures or more"
        raise UsageError(f"{rule}, {options.folder} has {len(parts[0].features)}")
    projection = fit_projection(parts[0].features)
    vectors = project(projection, parts[0].features)
    state = _with_number(job, vectors, state)
    if options.overwrite:
        written.delete_results(out)
    _begin(out, state)
    run = _run(job, vectors, state.groups)
    partition, shape = make_partition(run, vectors)
    for source in sources[1:]:
        parts.append(gather(source, options, bars, job.seconds_left))
        new = project(projection, parts[-1].features)
        vectors = np.concatenate([vectors, new])
        each = zip(partition, assign(run, shape, new), strict=True)
        partition = Partition(*(np.concatenate(pair) for pair in each))
    pictures = joined(parts, vectors)
    twice = [name for name, count in Counter(pictures.files).items() if count > 1]
    if twice:
        raise UsageError(f"add: must name each picture once, got {plain(twice[0])} more than once")
    edits = [*map(read_edits, written.edits_of(out)), *([job.edits] if job.edits else [])]
    kinds = [kind for part in parts for kind in part.kinds]
    known = kinds if isinstance(options.labels, Path) else None
    view = View(known, edits, options.levels, options.outliers)
    shown = make_shown(pictures, partition, state.groups, view)
    unreadable = unreadable_of(parts)
    notes = (*state.number, *notes_of(shown.partition, parts[0].labels, len(unreadable)))
    # From here on files change: where this ends early, the next call writes them all again.
    write_state(out, dataclasses.replace(state, finished=False))
    return _write(job, pictures, shown, Said(state, notes, unreadable))


class Said(NamedTuple):
    """What is written beside the groups.

    Attributes:
      state: what was asked for.
      notes: sentences for page and summary.
      unreadable: files that gave no picture, with reasons.
    """

    state: State
    notes: tuple[str, ...]
    unreadable: dict[str, str]


def _write(job: Job, pictures: Pictures, shown: Shown, said: Said) -> Groups:
    """Writes all files, the state last."""
    options = job.options
    out = job.out
    bars = job.bars
    state, notes, unreadable = said

    def thumbnails(done: int, total: int) -> None:
        bars.count("thumbnails", done, total)
        job.seconds_left()

    written.write_groups(out / written.TABLE, pictures.files, shown)
    written.write_unreadable(out / written.UNREADABLE, unreadable)
    write_page(out, pictures, shown, [count_of(shown), *notes], thumbnails)
    lines = list(notes)
    if options.placing is not None:
        content = pictures.content if options.placing == "copy" else None
        count = written.place(out, pictures.files, shown, pictures.path, content)
        lines.append(f"{count:,} {_PLACED[options.placing]} in {out / written.PLACED}")
    exports = state.exports
    if options.export is not None:
        lines += write_map(options.export, pictures, shown)
        exports = tuple(dict.fromkeys([*exports, str(options.export.resolve())]))
    if job.edits is not None:
        written.keep_edits(out, job.edits)
    ended = {"finished": True, "names": shown.names, "notes": notes, "exports": exports}
    write_state(out, dataclasses.replace(state, **ended))
    return Groups(out, pictures.files, shown, unreadable, tuple(lines))


def _begin(out: Path, state: State) -> None:
    """Keeps the number of groups, so that a call that goes on need not estimate it again.

    What else was asked for is kept only once it has been carried out.
    """
    kept = read_state(out) or dataclasses.replace(state, added=(), inputs="")
    known = {"vectors": state.vectors, "groups": state.groups, "number": state.number}
    if not kept.groups or kept.groups == state.groups:
        write_state(out, dataclasses.replace(kept, **known))


_PLACED = {"link": "links", "copy": "copies"}


def _with_number(job: Job, vectors: np.ndarray, state: State) -> State:
    """The state with the number of groups: the one that is asked for, or an estimate.

    Raises:
      UsageError: the pictures are not those that the folder's groups are of, or there are fewer
        than groups.
    """
    digest = hashlib.sha256(vectors.tobytes()).hexdigest()
    if state.vectors and state.vectors != digest:
        rule = f"folder: must hold the pictures that {job.out} has groups of"
        reason = "some pictures or features have changed"
        raise UsageError(f"{rule}, {reason}; name another --out, or use --overwrite")
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

    def step() -> None:
        job.bars.step()
        job.seconds_left()

    number = choose_number(vectors, step)
    return dataclasses.replace(state, groups=number.groups, number=sentences(number))


def _run(job: Job, vectors: np.ndarray, k: int) -> Run:
    """k-means of many seeds on the vectors, kept in the folder of results."""
    method = registry.method("kmeans", clusters=k)
    images = as_grid(vectors)
    plan = Plan(
        seeds=tuple(range(job.options.seeds)),
        out=job.out / written.RUN,
        resume=True,
        table=False,  # Its numbers of clusters are not those of the groups.
        max_seconds=job.seconds_left(),
        data=str(job.options.folder),
        origin={"data": str(job.options.folder), "features": job.options.features},
    )
    name = f"{job.options.folder.resolve().name}+{job.options.features}"
    run = execute(method, Dataset(name, images, None), plan, job.bars)
    if not run.finished:
        raise OutOfTime
    return run
