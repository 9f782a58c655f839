"""``fit``: checks what is asked for, runs it, and keeps it in memory or in a folder."""

import csv
import dataclasses
import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.data import datasets, features
from jaxclust.data.datasets import Dataset
from jaxclust.data.sources import Source
from jaxclust.engine import blocks
from jaxclust.engine import fit as engine
from jaxclust.engine.devices import Over, use_devices
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.networks import torch_weights
from jaxclust.networks.torch_weights import Weights
from jaxclust.runs import pretrained
from jaxclust.runs.files import write_file, write_labels
from jaxclust.runs.folder import RESULTS, default_folder, is_finished, open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.progress import Bars
from jaxclust.runs.rows import labeling_files, make_rows, write_rows
from jaxclust.runs.run import Run, open_run
from jaxclust.runs.settings import Settings, make_settings
from jaxclust.types import Algorithm, Json, Method, network_name

MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run is carried out and where it is kept.

    Attributes:
      seeds: distinct, at least one.
      preset: the name of the method's preset, for the record.
      over: how seeds run, see ``engine.driver.Program``; None for the fastest way here.
      out: the run's folder; None to keep the run in memory.
      find_out: choose the folder by ``folder.default_folder``; ``out`` is then its parent.
      resume: go on with a run of the same settings in the folder.
      overwrite: delete an earlier run's files in the folder.
      features: what stands in the images' place: "dsift-pca", or the path of an .npy file.
      weights: a .safetensors file with the network's first layers.
      pretrained: folder of a finished run whose pretraining is used.
      max_seconds: stop after this long.
      baseline: run k-means on the same input with the same seeds, and keep its rows beside.
      data: what the user called the images.
      origin: where the run's inputs are, for the record.
    """

    seeds: tuple[int, ...]
    preset: str = "paper"
    over: Over | None = None
    out: Path | None = None
    find_out: bool = False
    resume: bool = False
    overwrite: bool = False
    features: str | None = None
    weights: Path | None = None
    pretrained: Path | None = None
    max_seconds: float | None = None
    baseline: bool = False
    data: str = ""
    origin: dict[str, Json] = dataclasses.field(default_factory=dict)


def fit(
    method: str | Method,
    images: np.ndarray | Dataset,
    clusters: int | None = None,
    seeds: int | Sequence[int] = 5,
    *,
    preset: str | None = None,
    features: str | None = None,
    weights: str | os.PathLike | None = None,
    out: str | os.PathLike | None = None,
    max_seconds: float | None = None,
    progress: bool = True,
) -> Run:
    """Clusters images with a method, for many seeds at once.

    Args:
      method: a name of ``jaxclust.methods.names()``, or a method that ``jaxclust.method`` made.
      images: uint8 in 0..255 or float in [0, 1], (n, h, w) or (n, h, w, c); or a data set.
      clusters: number of clusters; None for the number of classes of a labeled data set.
      seeds: how many (3: seeds 0, 1, 2), or which.
      preset: "paper" or another of the method's presets; None for "paper". Only with a name.
      features: what stands in the images' place: "dsift-pca", or the path of an .npy file.
      weights: path of a .safetensors file with the network's first layers.
      out: a folder for the run, with checkpoints: a second call with the same settings goes on
        with it, or returns it where it is finished. None keeps the run in memory.
      max_seconds: stop after this long; with ``out`` a second call goes on.
      progress: show progress on stderr.

    Raises:
      UsageError: an argument breaks its rule.
    """
    chosen = "paper" if preset is None else preset
    if isinstance(method, str):
        method = registry.method(method, chosen)
    elif preset is not None:
        raise UsageError(f"preset: must come with a method's name, got {preset!r} with a method")
    dataset = images if isinstance(images, Dataset) else datasets.checked("array", _array(images))
    if clusters is not None or not method.clusters_given:
        method = with_clusters(method, dataset, clusters)
    if weights is not None and method.pretraining is not None:
        # The weights stand in the pretraining's place.
        method = method.with_settings({"pretraining.epochs": 0})
    plan = Plan(
        seeds=seeds_of(seeds),
        preset=chosen,
        out=None if out is None else Path(out),
        resume=out is not None,
        features=features,
        weights=None if weights is None else Path(weights),
        max_seconds=max_seconds,
        data=dataset.name,
    )
    with Bars(disable=not progress) as bars:
        return execute(method, dataset, plan, bars)


def _array(images: Any) -> np.ndarray:
    images = np.asarray(images)
    if images.dtype == object:
        raise UsageError("images: must be an array of numbers, got objects")
    return images


def with_clusters(method: Method, data: Dataset | Source, clusters: int | None) -> Method:
    """The method with a number of clusters.

    Args:
      method: the method.
      data: the images; the number of their classes is taken where ``clusters`` is None.
      clusters: at least 2, or None.

    Raises:
      UsageError: the number cannot be, or is not given for images without labels.
    """
    if clusters is None:
        if data.labels is None:
            raise UsageError(f"clusters: must be given, since {data.name} has no labels")
        clusters = max(int(data.labels.max()) + 1, 2)
    return method.with_settings({"clusters": clusters})


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds from a count or a list.

    Raises:
      UsageError: the count is below 1 or above MOST_SEEDS, or the list is empty or has a number
        twice, one below 0 or one that is not whole.
    """
    rule = "seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0"
    if isinstance(seeds, bool | str):
        raise UsageError(f"{rule}, got {seeds!r}")
    if isinstance(seeds, int | np.integer):
        if not 1 <= seeds <= MOST_SEEDS:
            raise UsageError(f"{rule}; a count is at most {MOST_SEEDS}, got {seeds}")
        return tuple(range(int(seeds)))
    listed = list(seeds)
    whole = all(isinstance(one, int | np.integer) and 0 <= one < 2**31 for one in listed)
    if not listed or not whole or len(set(listed)) < len(listed):
        raise UsageError(f"{rule}, got {listed}")
    return tuple(int(one) for one in listed)


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
    if plan.max_seconds is not None and not plan.max_seconds > 0:
        raise UsageError(f"max_seconds: must be above 0, got {plan.max_seconds}")
    if method.needs_weights and plan.weights is None and plan.preset != "random":
        rule = f"weights: must be given for {method.name}"
        raise UsageError(f"{rule}, or --preset random for fresh ones, got none")
    origin = dict(plan.origin)
    shown = data
    if plan.features is not None and isinstance(data, Dataset):
        origin["images"] = _fingerprint_json(data)
        data = features.replaced(data, plan.features)
    over = use_devices(plan.over, len(plan.seeds))
    network = method.build(_shape(data)[1:])
    weights = None
    if plan.weights is not None:
        weights = torch_weights.read(plan.weights, method.network, network)
    more = _check(method, data, shown, plan, weights, over)
    settings = make_settings(
        method,
        plan.preset,
        data.fingerprint() if isinstance(data, Source) else datasets.fingerprint(data),
        plan.seeds,
        over,
        features=None if plan.features is None else Path(plan.features).name,
        weights=None if weights is None else weights.digest,
        extra=own_parts(method),
        origin=origin,
        **more,
    )
    out = plan.out
    resume = plan.resume
    if plan.find_out and out is not None:
        out = default_folder(settings, out)
        resume = resume or out.exists()
    place = None
    if plan.pretrained is not None:
        place = pretrained.checkpoints(plan.pretrained, settings, method, out)
    if out is not None:
        open_folder(out, settings, resume and out.exists(), plan.overwrite)
        if is_finished(out):
            return open_run(out, method if settings.extra else None)
    options = engine.Options(
        over=over,
        directory=None if out is None else out / "checkpoint",
        pretrained=place,
        weights=weights,
        max_seconds=plan.max_seconds,
        progress=bars.show,
        on_window=hook,
        labels=None if out is None else out / "labels.npy",
        about=settings.extra,
    )
    images = data if isinstance(data, Source) else data.images
    done = engine.fit(method, images, plan.seeds, options)
    steps = engine.steps_per_window(method, settings.stream or settings.data.shape[0])
    if out is not None:
        histories = {name: phase.history for name, phase in done.phases.items()}
        write_file(out / "history.csv", history_csv(histories, plan.seeds, steps))
    own_method = method if settings.extra else None
    if not done.finished:
        return Run(settings, (), {}, done.phases, out, own_method)
    labelings, true_labels = _readable(done, data.labels)
    rows = make_rows(settings, done, labelings, true_labels, steps["cluster"])
    if settings.stream is not None:
        rows = [dataclasses.replace(row, unreadable=len(done.unreadable)) for row in rows]
    run = Run(settings, tuple(rows), done.labelings, done.phases, out, own_method, done.unreadable)
    if out is not None:
        _write(run, out, data, plan, over, bars)
    return run


def _shape(data: Dataset | Source) -> tuple[int, ...]:
    return data.shape if isinstance(data, Source) else data.images.shape


def _fingerprint_json(data: Dataset) -> dict[str, Json]:
    found = datasets.fingerprint(data)
    return found._asdict() | {"shape": list(found.shape)}


def _check(
    method: Method,
    data: Dataset | Source,
    shown: Dataset | Source,
    plan: Plan,
    weights: Weights | None,
    over: Over,
) -> dict[str, int]:
    """Refuses what cannot run, before any long work; the settings that only a stream has.

    ``shown`` are the images where ``data`` are their features.
    """
    if isinstance(data, Source):
        blocks.check(method, data)
        if weights is not None:
            engine.check_weights(weights, data.digest, data=plan.data)
        size = blocks.block_size(method, data)
        shape = (size, *data.shape[1:])
        engine.check(method, jax.ShapeDtypeStruct(shape, data.dtype), over)
        # The first centroids are images of the first block, which holds only readable ones.
        first = next(data.blocks(size, blocks.order_of(plan.seeds[0], 0)))
        datasets.check_clusters(first, method.clusters, " in the first block")
        # The blocks are shared by all seeds; the first one decides their order.
        return {"stream": size, "order": plan.seeds[0]}
    datasets.check_clusters(data.images, method.clusters)
    if weights is not None and isinstance(shown, Dataset):
        digest = engine.pixels_digest(shown.images)
        engine.check_weights(weights, digest, shown.folder_digest, data=plan.data)
    engine.check(method, jax.ShapeDtypeStruct(data.images.shape, data.images.dtype), over)
    return {}


def own_parts(method: Method) -> dict[str, Json]:
    """What a method has that the package's method of its name has not: functions and network.

    The record of a run keeps it, so that nobody takes the run for one of the package's method.
    """
    known = registry.METHODS.get(method.name)
    if known is not None:
        parts = (method.algorithm, method.network, method.pretrainer)
        if parts == (known.algorithm, known.network, known.pretrainer):
            return {}
    own: dict[str, Json] = {"algorithm": method.algorithm.name}
    for prefix, algorithm in (("", method.algorithm), ("pretraining.", method.pretrainer)):
        if isinstance(algorithm, Algorithm):
            own |= {prefix + name: value for name, value in _foreign(algorithm).items()}
    own["network"] = network_name(method.network)
    if len(method.algorithm.labelings) > 1:
        own["labelings"] = list(method.algorithm.labelings)
    return {"own": own}


def _foreign(algorithm: Algorithm) -> dict[str, str]:
    """An algorithm's functions that stand outside the package, by their qualified names."""
    found = {}
    for name, function in algorithm._asdict().items():
        module = getattr(function, "__module__", None)
        if callable(function) and module and not module.startswith("jaxclust."):
            found[name] = f"{module}.{getattr(function, '__qualname__', name)}"
    return found


def _readable(
    done: engine.Fit, true_labels: np.ndarray | None
) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Labelings and true labels of the images that could be read."""
    if not done.unreadable or done.labels is None:
        return done.labelings, true_labels
    kept = np.setdiff1d(np.arange(done.labels.shape[1]), list(done.unreadable))
    labelings = {name: labels[:, kept] for name, labels in done.labelings.items()}
    return labelings, None if true_labels is None else true_labels[kept]


def _write(run: Run, out: Path, data: Dataset | Source, plan: Plan, over: Over, bars: Bars) -> None:
    """Writes labels and rows; the rows last, since they make a run finished."""
    if isinstance(data, Source):
        if run.unreadable:
            table = io.StringIO()
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(["image", "name", "reason"])
            for index, reason in run.unreadable.items():
                writer.writerow([index, data.called(index), reason])
            write_file(out / "unreadable.csv", table.getvalue())
    else:
        for name, file in labeling_files(run.settings).items():
            write_labels(out / file, run.labelings[name])
        if plan.baseline and run.settings.method != "kmeans":
            write_rows(out / "baseline.jsonl", baseline(data, run.settings, over, bars).rows)
    write_rows(out / RESULTS, run.rows)


def baseline(data: Dataset, settings: Settings, over: Over, bars: Bars) -> Run:
    """k-means on the input of a run, with its seeds and number of clusters."""
    method = registry.method("kmeans", clusters=settings.clusters)
    bars.stage("k-means on pixels")
    return execute(method, data, Plan(seeds=settings.seeds, over=over), Bars(disable=True))
