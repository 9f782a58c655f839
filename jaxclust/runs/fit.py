"""``fit``: checks what is asked for, runs it, and keeps it in memory or in a folder."""

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.data import datasets
from jaxclust.data.array_images import check_layout
from jaxclust.data.datasets import Dataset
from jaxclust.data.picture_sets import Reading
from jaxclust.data.sources import Source
from jaxclust.engine import fit as engine
from jaxclust.engine import stopping
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.runs import feature_inputs, missing, notes, pretrained, spread, start_weights
from jaxclust.runs.failure import total_failure
from jaxclust.runs.files import write_csv, write_file, write_labels
from jaxclust.runs.folder import RESULTS, check_out, default_folder, open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.lock import held
from jaxclust.runs.own_parts import own_parts
from jaxclust.runs.plan import (
    FEW,
    Plan,
    check_images,
    check_plan,
    check_weights,
    seeds_of,
    with_clusters,
)
from jaxclust.runs.progress import Bars
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import Row, labeling_files, make_rows, read_results, write_rows
from jaxclust.runs.run import Run
from jaxclust.runs.saving import UNREADABLE, write_unreadable
from jaxclust.runs.seed_count import as_begun, lines_before, with_usual_seeds
from jaxclust.runs.settings import (
    CONTENT,
    Settings,
    fingerprint_json,
    make_settings,
    read_from,
)
from jaxclust.runs.whole import is_whole, lacks_figures
from jaxclust.types import Method


def fit(
    method: str | Method,
    images: np.ndarray | Dataset | Source,
    clusters: int | None = None,
    seeds: int | Sequence[int] | None = None,
    *,
    preset: str | None = None,
    features: str | os.PathLike | None = None,
    weights: str | os.PathLike | None = None,
    layout: str | None = None,
    out: str | os.PathLike | None = None,
    max_seconds: float | None = None,
    progress: bool = True,
) -> Run:
    """Clusters images with a method, for many seeds at once.

    Args:
      method: a name of ``jaxclust.methods.names()``, or a method that ``jaxclust.method`` made.
      images: uint8 in 0..255 or float in [0, 1], (n, h, w) or (n, h, w, c); or a data set; or a
        stream of ``jaxclust.data.sources.open_source``, which needs ``out``.
      clusters: number of clusters; None for the method's own, or for the number of classes of a
        labeled data set.
      seeds: how many (3: seeds 0, 1, 2), or which. None for ten where they are forecast to take
        less than two minutes, and for five otherwise; a run in ``out`` keeps its seeds.
      preset: "default" or another of the method's presets; None for "default". Only with a
        name.
      features: what stands in the images' place: "efficientnet-lite0", "squeezenet", "dsift-pca",
        "onnx:" with the path of a network, or the path of an .npy or .parquet file.
      weights: path of a .safetensors file with the network's first layers, or "imagenet" for a
        network whose weights are an installed package. They replace the pretraining, unless the
        method's pretraining has settings of its own.
      layout: "nchw" for arrays (n, c, h, w), "nhwc" for (n, h, w, c). Without it an array whose
        last axis is longer than 4 while axis 1 has 1, 3 or 4 entries is refused.
      out: a folder for the run, with checkpoints: a second call with the same settings goes on
        with it, or returns it where it is finished. None keeps the run in memory.
      max_seconds: stop after this long; with ``out`` a second call goes on.
      progress: show progress on stderr.

    Returns:
      The run; its ``finished`` is False where ``max_seconds`` stopped it. Where every seed failed,
      a RuntimeWarning says what to try, and the run's ``failed`` where each failed.

    Raises:
      UsageError: an argument breaks its rule. Nothing has been written then.
    """
    chosen = chosen_method(method, preset)
    data = _data(images, layout)
    if clusters is not None or not chosen.clusters_given:
        chosen = with_clusters(chosen, data, clusters)
    if weights is not None:
        chosen = _without_usual_pretraining(chosen)
    plan = Plan(
        seeds=seeds_of(FEW if seeds is None else seeds),
        choose_seeds=seeds is None,
        out=None if out is None else Path(out),
        resume=out is not None,
        features=None if features is None else os.fspath(features),
        weights=None if weights is None else Path(weights),
        max_seconds=max_seconds,
        data=data.name,
    )
    with Bars(disable=not progress) as bars:
        run = execute(chosen, data, plan, bars)
    failure = total_failure(run)
    if failure is not None:
        warnings.warn(failure, RuntimeWarning, stacklevel=2)
    return run


def chosen_method(method: str | Method, preset: str | None) -> Method:
    """A method by its name and preset, or the method itself.

    Args:
      method: a name, or what ``jaxclust.method`` made.
      preset: None for "default"; only with a name.

    Raises:
      UsageError: there is no such method or preset, or a preset stands beside a method.
    """
    if isinstance(method, str):
        return registry.method(method, "default" if preset is None else preset)
    if not isinstance(method, Method):
        rule = "method: must be a name or a method that jaxclust.method made"
        raise UsageError(f"{rule}, got {method!r}")
    if preset is not None:
        raise UsageError(f"preset: must come with a method's name, got {preset!r} with a method")
    return method


def _data(images: Any, layout: str | None) -> Dataset | Source:
    """The images as a data set whose arrays have been checked, or as a stream."""
    if isinstance(images, Source):
        return images
    if isinstance(images, Dataset):
        checked = datasets.checked(images.name, images.images, images.labels, layout="nhwc")
        return images._replace(images=checked.images, labels=checked.labels)
    if isinstance(images, str | os.PathLike):
        rule = "images: must be an array or a data set, which jaxclust.load reads from a path"
        raise UsageError(f"{rule}, got {os.fspath(images)!r}")
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise UsageError(f"images: must be of one shape, got others ({error})") from error
    if array.dtype == object:
        raise UsageError("images: must be an array of numbers, got objects")
    return datasets.checked("array", array, layout=layout)._replace(
        reading=Reading(layout=check_layout(layout))
    )


def _without_usual_pretraining(method: Method) -> Method:
    """A method that begins with weights from a file.

    The weights stand in the place of the preset's pretraining. A pretraining with other settings
    is one that somebody asked for, and stays.
    """
    usual = registry.METHODS.get(method.name)
    if method.pretraining is None or usual is None:
        return method
    preset = registry.method(method.name, method.preset)
    if method.pretraining != preset.pretraining:
        return method
    return method.with_settings({"pretraining.epochs": 0})


def execute(
    method: Method, data: Dataset | Source, plan: Plan, bars: Bars, hook: engine.Hook | None = None
) -> Run:
    """Checks and runs a plan: the one way from a method and images to a ``Run``.

    Args:
      method: with its settings.
      data: the images, or a stream of them.
      plan: how it is carried out.
      bars: shows progress.
      hook: see ``engine.phase.Hooks.on_window``.

    Returns:
      The run; one that is finished in the plan's folder already is read from there.

    Raises:
      UsageError: something breaks its rule. Nothing has been written then.
    """
    check_plan(method, data, plan)
    plan, choice = with_usual_seeds(method, data, plan)
    plan = spread.agreed(plan)
    images = data
    # What the command was told stands before what the set says of itself.
    origin = (read_from(data) if isinstance(data, Dataset) else {}) | plan.origin
    if isinstance(data, Source) and data.content:
        origin[CONTENT] = data.content
    # Before a network's features start JAX, which then keeps the number of its devices.
    over = spread.start_devices(method, data, plan)
    if plan.features is not None and isinstance(data, Dataset):
        origin["images"] = fingerprint_json(datasets.fingerprint(data))
        origin["features"] = plan.features
        data, scale = feature_inputs.replaced(data, plan.features, bars.count)
        origin["features_scale"] = list(scale)
        own_network = feature_inputs.own_network(plan.features)
        if own_network is not None:
            origin["features_sha256"] = own_network
    network = method.build(_shape(data)[1:])
    weights = None
    if plan.weights is not None:
        weights = start_weights.read(plan.weights, method.network, network)
        check_weights(weights, images, plan)
    settings = make_settings(
        method,
        method.preset,
        data.fingerprint() if isinstance(data, Source) else datasets.fingerprint(data),
        plan.seeds,
        over,
        features=None if plan.features is None else feature_inputs.short_name(plan.features),
        weights=None if weights is None else weights.digest,
        extra=own_parts(method),
        origin=origin,
        **check_images(method, data, plan, over),
    )
    own_method = method if settings.extra else None
    out = plan.out
    resume = plan.resume
    if plan.find_out and out is not None:
        begun, settings = as_begun(plan, settings, out)
        choice = choice if begun is plan else None
        plan = begun
        out = default_folder(settings, out)
        resume = resume or (out.exists() and not plan.overwrite)
    if plan.peers is not None:
        if not plan.peers.first:
            given = data if isinstance(data, Source) else data.images
            options = engine.Options(
                over=over, weights=weights, max_seconds=plan.max_seconds, about=settings.extra
            )
            with stopping.answered():
                spread.follow(method, given, plan, settings, options)
            return Run(settings, (), {}, {})
        spread.check_same(plan, settings)
    shared = None
    if plan.pretrained is not None:
        shared = pretrained.checkpoints(plan.pretrained, settings, method, out)
    with contextlib.ExitStack() as stack:
        kept = False
        if out is not None:
            check_out(out, resume and out.exists(), plan.overwrite)
            stack.enter_context(held(out))
            settings = open_folder(out, settings, resume, plan.overwrite)
            kept = is_whole(out, settings, table=False)
            if not kept:
                spread.check_begun(out / "checkpoint", plan)
            if kept:
                old = open_run(out, own_method)
                _make_missing(old, images, data, plan, bars)
                if not (plan.figures and lacks_figures(out, settings)):
                    spread.end(plan, out, True)
                    return old
        options = engine.Options(
            over=over,
            directory=None if out is None else out / "checkpoint",
            pretrained=shared,
            weights=weights,
            max_seconds=plan.max_seconds,
            progress=bars.show,
            on_window=hook,
            labels=None if out is None else out / "labels.npy",
            about=settings.extra,
        )
        before = notes.before(method, _shape(data)[1:])
        if not kept:  # Where files alone are made again all was said already.
            lines = lines_before(method, data, plan, choice)
            for line in [*lines, *(f"note: {note}" for note in before)]:
                bars.say(line)
        given = data if isinstance(data, Source) else data.images
        with stopping.answered(), notes.told() as told:
            done = spread.fit(method, given, plan, options)
        rows = (
            tuple(read_results(out)) if kept and out else _rows(method, settings, done, data.labels)
        )
        run = Run(
            settings=settings,
            rows=rows,
            labelings=done.labelings if done.finished else {},
            phases=done.phases,
            directory=out,
            own_method=own_method,
            unreadable=done.unreadable,
            names=data.files if isinstance(data, Dataset) else None,
            unreadable_files=dict(data.unreadable) if isinstance(data, Dataset) else {},
            predictions=done.predictions,
            notes_before=(*images.notes, *before, *told),
        )
        if out is not None and not kept:
            if done.phases:
                steps = engine.steps_per_window(method, settings.images_at_once)
                histories = {name: phase.history for name, phase in done.phases.items()}
                write_file(out / "history.csv", history_csv(histories, plan.seeds, steps))
            if run.finished:
                _write(run, out, data, plan, bars)
            for name, labels in ({} if run.finished else done.labelings).items():
                write_labels(out / labeling_files(settings)[name], labels)
        spread.end(plan, out, run.finished)
        return run


def _shape(data: Dataset | Source) -> tuple[int, ...]:
    return data.shape if isinstance(data, Source) else data.images.shape


def _rows(
    method: Method, settings: Settings, done: engine.Fit, true_labels: np.ndarray | None
) -> tuple[Row, ...]:
    """The rows of a run, over the images that could be read; none of one that was stopped."""
    if done.labels is None:
        return ()
    labelings = done.labelings
    if done.unreadable:
        kept = np.setdiff1d(np.arange(done.labels.shape[1]), list(done.unreadable))
        labelings = {name: labels[:, kept] for name, labels in labelings.items()}
        true_labels = None if true_labels is None else true_labels[kept]
    steps = engine.steps_per_window(method, settings.images_at_once)["cluster"]
    rows = make_rows(settings, done, labelings, true_labels, steps)
    if settings.stream is not None:
        rows = [dataclasses.replace(row, unreadable=len(done.unreadable)) for row in rows]
    return tuple(rows)


def _write(run: Run, out: Path, data: Dataset | Source, plan: Plan, bars: Bars) -> None:
    """Writes labels, consensus, notes and rows; the rows last: they make a run finished."""
    if plan.table:
        run.write_clusters(out, data.called if isinstance(data, Source) else None)
    if isinstance(data, Source):
        if run.unreadable:
            lines = [(i, data.called(i), reason) for i, reason in run.unreadable.items()]
            write_csv(out / UNREADABLE, ["image", "name", "reason"], lines)
    else:
        write_unreadable(run, out)
        for name, file in labeling_files(run.settings).items():
            write_labels(out / file, run.labelings[name])
        if plan.baseline:
            _write_baseline(run, data, plan, bars)
    notes.write_notes(out, run.notes)
    write_rows(out / RESULTS, run.rows)


def _make_missing(
    run: Run, images: Dataset | Source, data: Dataset | Source, plan: Plan, bars: Bars
) -> None:
    """Writes what the folder of a finished run lacks beside its results.

    Args:
      run: as read from its folder.
      images: as they were given.
      data: what the run clustered: images or their features.
      plan: what the folder is to have.
      bars: shows progress.
    """
    if plan.table:
        missing.make_table(run, data, bars)
    if plan.baseline and isinstance(data, Dataset) and not missing.has_baseline(run):
        _write_baseline(run, data, plan, bars)
    missing.make_notes(run, images.notes if isinstance(images, Dataset) else ())


def _write_baseline(run: Run, data: Dataset, plan: Plan, bars: Bars) -> None:
    """k-means on the input of a run, with its seeds and number of clusters; none beside k-means."""
    settings = run.settings
    if settings.method == "kmeans" or run.directory is None:
        return
    method = registry.method("kmeans", clusters=settings.clusters)
    bars.stage("k-means on pixels")
    over = spread.over_named(settings.over)
    if plan.peers is not None and over == "data":
        over = None  # All processes would have to take part.
    alone = Plan(seeds=settings.seeds, over=over)
    baseline = execute(method, data, alone, Bars(disable=True))
    if not baseline.finished:
        raise KeyboardInterrupt  # A signal has stopped it: the next start makes it.
    write_rows(run.directory / missing.BASELINE, baseline.rows)
