"""TODO"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxclust.cli import options
from jaxclust.cli.progress import Bars
from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS, configured
from jaxclust.networks import torch_weights
from jaxclust.report import terminal
from jaxclust.runs import tensorboard
from jaxclust.runs.files import write_file, write_labels, write_rows
from jaxclust.runs.folder import open_folder
from jaxclust.runs.history import history_csv
from jaxclust.runs.rows import differences, labelings, make_rows
from jaxclust.runs.settings import make_settings, read_settings


def _fit(name: str, arguments: list[str]) -> int:
    if name not in METHODS:
        raise UsageError(f"method: must be one of {', '.join(METHODS)}, got {name!r}")
    method = METHODS[name]
    common, config, pretraining = options.parse(name, arguments)
    seeds = options.seeds(common.seeds)
    if common.max_seconds is not None and not common.max_seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {common.max_seconds}")
    given = {argument.split("=")[0] for argument in arguments}
    if common.stream:
        from jaxclust.cli import stream

        return stream.command(name, common, config, pretraining, given)
    dataset = datasets.load(common.data, options.size(common.size))
    pictures, origin = dataset.images, options.origin(common)
    if common.features is not None:
        from jaxclust.data import features

        origin["images"] = datasets.fingerprint(dataset)
        dataset = features.replaced(dataset, common.features)
    if "--clusters" not in given:
        if dataset.classes is None:
            raise UsageError(f"clusters: must be given, since {dataset.name} has no labels")
        config = dataclasses.replace(config, clusters=max(dataset.classes, 2))
    datasets.check_clusters(dataset.images, config.clusters)
    if getattr(method.config, "max_steps", None) == 0 and config.max_steps > 0:
        raise UsageError(
            f"max-steps: must be 0 for {name}, which only runs k-means, got {config.max_steps}"
        )
    over = options.over(common.over, len(seeds))
    network = fit.build(method, config, dataset.images.shape[1:])
    wanted = make_settings(name, common.preset, dataset, seeds, over, config, pretraining)
    if common.features is not None:
        wanted["features"] = Path(common.features).name
    first = (
        None
        if common.weights is None
        else torch_weights.read(common.weights, method.network, network)
    )
    if first is not None:
        fit.check_weights(first, fit.pixels_digest(pictures), dataset.listing, data=common.data)
        wanted["weights"] = first.digest
    if common.pretrained is not None and common.pretrained.resolve() == common.out.resolve():
        raise UsageError(f"pretrained: must be another folder than out, got {common.pretrained}")
    pretrained = (
        None
        if common.pretrained is None
        else _pretrained(common.pretrained, wanted, method.network)
    )
    images = jax.ShapeDtypeStruct(dataset.images.shape, dataset.images.dtype)
    fit.check(method, config, pretraining, images, over)
    open_folder(common.out, wanted, common.resume, common.overwrite, origin)
    if terminal.finished(common.out):
        return 0

    with Bars() as bars:
        done = fit.fit(
            method,
            config,
            pretraining,
            dataset.images,
            seeds,
            over=over,
            directory=common.out / "checkpoint",
            pretrained=pretrained,
            weights=first,
            max_seconds=common.max_seconds,
            progress=bars.show,
        )
        steps = fit.steps_per_window(method, config, pretraining, len(dataset.images))
        write_file(common.out / "history.csv", history_csv(done, seeds, steps))
        if common.tensorboard:
            tensorboard.write(common.out / "tensorboard", done, seeds, steps)
        if not done.finished:
            bars.close()
            print(f"stopped after {common.max_seconds:g} s with a checkpoint; go on with --resume")
            return 0
        for labeling, file in labelings(name).items():
            write_labels(common.out / file, done.labelings[labeling])
        rows = make_rows(wanted, dataset, done, steps["cluster"])
        if common.baseline and name != "kmeans":
            write_rows(
                common.out / "baseline.jsonl",
                _baseline(dataset, config.clusters, seeds, over, bars),
            )
        # Rows before pictures: whatever becomes of those, the results are there.
        write_rows(common.out / "results.jsonl", rows)
        if common.figures:
            folder = common.out / "figures"
            try:
                _figures(folder, method, config, dataset, pictures, done, seeds, bars)
            except OSError as error:
                raise UsageError(
                    f"figures: {folder} must be writable, got {error}; the results are there"
                ) from error
    terminal.conclude(common.out)
    return 0


def _pretrained(directory: Path, wanted: dict[str, Any], network: Callable) -> Path:
    """The checkpoints of another run, if its pretraining is the one wanted here."""
    found = read_settings(directory)
    place = directory / "checkpoint" / "pretrain"
    if not (directory / "results.jsonl").exists() or not place.is_dir() or not any(place.iterdir()):
        raise UsageError(
            f"pretrained: must be a finished run with a pretraining of its own, got {directory}"
        )
    names = ("data", "seeds", "over", "pretraining", "weights")
    theirs, ours = ({name: one.get(name) for name in names} for one in (found, wanted))
    theirs["clusters"], ours["clusters"] = found["config"]["clusters"], wanted["config"]["clusters"]
    theirs["network"], ours["network"] = METHODS[found["method"]].network.__name__, network.__name__
    differing = differences(theirs, ours)
    if differing:
        raise UsageError(
            f"pretrained: {directory} must hold the same pretraining, differs in {'; '.join(differing)}"
        )
    return directory / "checkpoint"


def _baseline(
    dataset: datasets.Dataset, clusters: int, seeds: Sequence[int], over: driver.Over, bars: Bars
) -> list[dict[str, Any]]:
    """Rows of k-means on the pixels."""
    config, _ = configured("kmeans", clusters=clusters)
    wanted = make_settings("kmeans", "paper", dataset, seeds, over, config, None)
    bars.stage("k-means on pixels")
    done = fit.fit(METHODS["kmeans"], config, None, dataset.images, seeds, over=over)
    return make_rows(wanted, dataset, done, 1)


def _figures(
    folder: Path,
    method: Any,
    config: Any,
    dataset: datasets.Dataset,
    pictures: np.ndarray,
    done: fit.Fit,
    seeds: Sequence[int],
    bars: Bars,
) -> None:
    """Curves of all seeds; embedding and contact sheets, of the pictures, of the first that did not fail."""
    try:
        from jaxclust.report import figures
    except ImportError:
        print(
            "jaxclust: no figures without matplotlib: pip install 'jaxclust[plots]'",
            file=sys.stderr,
        )
        return
    folder.mkdir(exist_ok=True)
    figures.curves(
        folder / "curves.png", {name: phase.history for name, phase in done.phases.items()}, seeds
    )
    lane = next((lane for lane, failed in enumerate(done.failed) if failed is None), None)
    if lane is None:
        return
    labels, n = done.labels[lane], len(dataset.images)
    network = fit.build(method, config, dataset.images.shape[1:])
    state = jax.tree.map(lambda leaf: np.asarray(leaf[lane]), done.phases["cluster"].runs.state)
    some = np.random.default_rng(0).permutation(n)[: figures.POINTS]
    features = np.asarray(
        jax.jit(method.algorithm.embed, static_argnums=(0, 1))(
            config, network, state, dataset.images[some]
        )
    )
    classes = None if dataset.labels is None else dataset.labels[some]
    bars.stage("t-SNE", note=f"{len(some):,} points")
    title = f"{dataset.name}, seed {seeds[lane]}: {len(some):,} images"
    figures.embedding(folder / "embedding.png", features, labels[some], classes, title)
    bars.stage("contact sheets", config.clusters)
    digits = len(str(config.clusters - 1))
    for cluster in range(config.clusters):
        members = np.flatnonzero(labels == cluster)
        chosen = np.random.default_rng(cluster).permutation(members)[:100]
        figures.contact_sheet(folder / f"cluster-{cluster:0{digits}d}.png", pictures[chosen])
        bars.step()
