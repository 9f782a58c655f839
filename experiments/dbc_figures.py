"""DBC's figures 3 to 9: the loss, inner activations, filters, scores and t-SNE by epoch, wrong images, curves."""

import argparse
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from experiments import common, dbc_curves
from jaxclust.data import datasets
from jaxclust.engine import driver
from jaxclust.evaluation import metrics
from jaxclust.methods import dbc
from jaxclust.methods.registry import METHODS
from jaxclust.ops import losses
from jaxclust.report import figures

EPOCHS = (0, 1, 2, 4, 8, 16)
"""Of figures 6 and 7; the last epoch follows."""
WRONG, LEAST_SCORE = 100, 0.6
DIGITS = (1, 5, 9)
PANELS = {
    "alpha": ("alpha 1.5", "paper", "alpha 4"),
    "n_j": ("n_j 1", "n_j sum s", "paper"),
    "initialisation": ("random", "half-trained", "paper"),
}
LEGEND = {
    "alpha": {"paper": "alpha 2"},
    "n_j": {"paper": "n_j sum s^alpha"},
    "initialisation": {"paper": "sufficiently trained"},
}


def draw(folder: Path, data: str, seeds: tuple[int, ...], options: argparse.Namespace) -> None:
    """All figures of a data set into ``folder``, of the first seed where one is shown.

    Figure 9 needs the rows of ``--curves``; the others run DBC again for the first seed, from the tables' pretraining.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # First, as it needs rows.
    curves(folder / f"figure-9-curves-{data}.png", data)
    divergence(folder / "figure-3-loss.png")
    dataset = datasets.load(data)
    config, pretraining = dbc_curves.settings(dataset, "paper")
    deadline = time.monotonic() + options.max_seconds
    before = dbc_curves.pretrained(
        dataset, pretraining, seeds, options.over, options.folder, deadline
    )
    if before is None:
        raise ValueError(
            "max-seconds: must leave time for the pretraining, which the same command goes on with"
        )
    if before.failed[0] >= 0:
        raise ValueError(
            f"figures: need seed {seeds[0]}, whose pretraining failed at step {int(before.failed[0])}"
        )
    first = jax.tree.map(lambda leaf: leaf[:1], before)
    network = METHODS["dbc"].network(dataset.images.shape[1:])
    lane = jax.tree.map(lambda leaf: leaf[0], before.state.variables)
    activations(folder / f"figure-4-activations-{data}.png", dataset, network, lane)
    filters(folder / f"figure-5-filters-{data}.png", lane.params)
    taken = snapshots(dataset, config, network, first, seeds[:1])
    histograms(folder / f"figure-6-scores-{data}.png", taken)
    embeddings(folder / f"figure-7-tsne-{data}.png", dataset, taken)
    wrong(folder / f"figure-8-wrong-images-drawn-with-true-labels-{data}.png", dataset, taken)


def divergence(path: Path) -> None:
    """Figure 3: KL(R || S) of an image and its two terms over its score for the first of two clusters, alpha 2."""
    s = np.linspace(1e-4, 1 - 1e-4, 400, dtype=np.float32)
    soft = jnp.stack([s, 1 - s], axis=1)
    target = dbc.boosted(dbc.Config(normalisation="constant"), soft)
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    terms = target * jnp.log(target / soft)
    for values, label in (
        (terms[:, 0], "L_i1"),
        (terms[:, 1], "L_i2"),
        (losses.kl_divergence(target, soft), "L_i"),
    ):
        axes.plot(s, values, label=label)
    axes.axvline(0.5, color="0.7", linewidth=0.8)
    axes.set_xlabel("score of the first of two clusters")
    axes.set_ylabel("loss, nats")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=130)


def activations(path: Path, dataset: datasets.Dataset, network: Any, variables: Any) -> None:
    """Figure 4: every layer's maps for one image each of three classes, the classes by true labels."""
    classes = DIGITS if dataset.classes > max(DIGITS) else tuple(range(min(dataset.classes, 3)))
    rows = [int(np.flatnonzero(dataset.labels == label)[0]) for label in classes]
    maps = {
        "image": dataset.images[rows] / np.float32(255),
        **network.activations(variables, dataset.images[rows]),
    }
    figure = Figure(figsize=(3.6 * len(rows), 1.3 * len(maps)), layout="constrained")
    for line, (axes, (name, values)) in enumerate(
        zip(figure.subplots(len(maps), len(rows), squeeze=False), maps.items(), strict=True)
    ):
        for column, ax in enumerate(axes):
            tiles = np.moveaxis(np.asarray(values[column]), 2, 0)
            ax.imshow(_tiled(tiles, columns=min(len(tiles), math.ceil((3 * len(tiles)) ** 0.5))))
            ax.set_axis_off()
            if line == 0:
                ax.set_title(f"class {classes[column]}", loc="left")
        axes[0].text(
            -0.02, 0.5, name, transform=axes[0].transAxes, ha="right", va="center", fontsize=8
        )
    figure.savefig(path, dpi=130)


def filters(path: Path, params: dict[str, Any]) -> None:
    """Figure 5: the kernels of the first and the last layer, and of the second and the last but one."""
    names = [name for name in ("conv1", "conv2", "deconv2", "deconv1") if name in params]
    kernels = [np.asarray(params[name].get("layer", params[name])["kernel"]) for name in names]
    stacks = [kernel.transpose(2, 3, 0, 1).reshape(-1, *kernel.shape[:2]) for kernel in kernels]
    lines = [math.ceil(min(len(tiles), 120) / 20) for tiles in stacks]
    figure = Figure(figsize=(8, 0.4 * sum(lines) + 0.35 * len(names)), layout="constrained")
    panels = figure.subplots(len(names), 1, squeeze=False, height_ratios=lines)[:, 0]
    for axes, name, tiles in zip(panels, names, stacks, strict=True):
        axes.imshow(_tiled(tiles[:120], columns=20))
        axes.set_title(
            f"{name}: {min(len(tiles), 120)} of {len(tiles)} kernels", loc="left", fontsize=9
        )
        axes.set_axis_off()
    figure.savefig(path, dpi=130)


def snapshots(
    dataset: datasets.Dataset,
    config: dbc.Config,
    network: Any,
    pretraining: driver.Lanes,
    seeds: tuple[int],
) -> dict[int, dict[str, np.ndarray]]:
    """One seed's features, scores and labels, by epoch, at ``EPOCHS`` and the last one."""
    taken: dict[int, dict[str, np.ndarray]] = {}

    @jax.jit
    def look(state, images):
        features = dbc.embed(config, network, state, images)
        return features, dbc.scores(config, features, state.centroids)

    def each(event: Any) -> None:
        epoch = int(event.runs.window[0])
        if epoch in EPOCHS or event.done.all():
            state = jax.tree.map(lambda leaf: leaf[0], event.runs.state)
            features, soft = look(state, dataset.images)
            names = ("features", "scores", "labels")
            taken[epoch] = dict(
                zip(names, map(np.asarray, (features, soft, state.labels)), strict=True)
            )

    dbc_curves.follow(dataset, config, pretraining, seeds, "map", each)
    return taken


def histograms(path: Path, taken: dict[int, dict[str, np.ndarray]]) -> None:
    """Figure 6: the scores of all images for the first cluster, by epoch."""
    figure, panels = _panels(len(taken), 2.2)
    for axes, (epoch, found) in zip(panels, taken.items(), strict=True):
        axes.hist(found["scores"][:, 0], bins=50, range=(0, 1))
        axes.set_yscale("log")
        share = np.mean((found["scores"] > dbc.SURE) | (found["scores"] < dbc.EXCLUDED))
        axes.set_title(f"epoch {epoch}: {100 * share:.0f} %", loc="left", fontsize=9)
        axes.set_xlabel("score of the first cluster")
        axes.set_ylabel("images")
    figure.suptitle("in %: all clusters' scores above .8 or below .02", fontsize=9)
    figure.savefig(path, dpi=130)


def embeddings(
    path: Path, dataset: datasets.Dataset, taken: dict[int, dict[str, np.ndarray]]
) -> None:
    """Figure 7: t-SNE of the same images' features by epoch, coloured by true class."""
    some = np.random.default_rng(0).permutation(len(dataset.images))[: figures.POINTS]
    figure, panels = _panels(len(taken), 2.8)
    for axes, (epoch, found) in zip(panels, taken.items(), strict=True):
        places = figures.in_two_dimensions(found["features"][some])
        cmap = "tab20" if dataset.classes > 10 else "tab10"
        dots = axes.scatter(*places.T, c=dataset.labels[some], cmap=cmap, s=4)
        accuracy = metrics.accuracy(dataset.labels, found["labels"])
        axes.set_title(f"epoch {epoch}: ACC {accuracy:.3f}", loc="left", fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    if dataset.classes <= 20:
        figure.legend(
            *dots.legend_elements(num=None),
            title="true class",
            loc="outside right center",
            fontsize=8,
        )
    figure.suptitle("t-SNE of the same images' features, coloured by true class", fontsize=9)
    figure.savefig(path, dpi=130)


def wrong(path: Path, dataset: datasets.Dataset, taken: dict[int, dict[str, np.ndarray]]) -> None:
    """Figure 8: of the images in a cluster of another class, the 100 with the highest scores above .6.

    Which they are is known from the true labels alone: a picture to look at, nothing to choose a run by.
    """
    found = taken[max(taken)]
    clusters = metrics.confusion_clusters(dataset.labels, found["labels"])[: dataset.classes]
    mapped = np.full(found["scores"].shape[1], -1)
    mapped[clusters[clusters >= 0]] = np.flatnonzero(clusters >= 0)
    given, score = mapped[found["labels"]], found["scores"].max(axis=1)
    chosen = np.flatnonzero((given != dataset.labels) & (score > LEAST_SCORE))
    chosen = chosen[np.argsort(-score[chosen], kind="stable")][:WRONG]
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    for axes in figure.subplots(10, 10).flat:
        axes.set_axis_off()
    for axes, row in zip(figure.axes, chosen, strict=False):
        image = dataset.images[row]
        axes.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray")
        axes.set_title(f"{dataset.labels[row]} in {given[row]}", fontsize=7, pad=2)
    figure.suptitle(
        f"{len(chosen)} wrong images with the highest scores above {LEAST_SCORE}: the class, in the cluster of which",
        fontsize=9,
    )
    figure.savefig(path, dpi=130)


def curves(path: Path, data: str) -> None:
    """Figure 9: ACC and NMI(max) by epoch, mean and range of the seeds that did not fail.

    Raises:
      ValueError: rows of a variant are missing.
    """
    present = dbc_curves.sound(common.rows(dbc_curves.RESULTS))
    figure, counts = Figure(figsize=(12, 6.4), layout="constrained"), set()
    for line, (panel, names) in zip(figure.subplots(2, len(PANELS)).T, PANELS.items(), strict=True):
        for name in names:
            rows = [row for row in present if (row["data"], row["variant"]) == (data, name)]
            if not rows:
                raise ValueError(
                    f"figures: needs the rows of {name!r} on {data}; --curves {data} makes them"
                )
            counts.add(len(rows))
            for axes, metric in zip(line, dbc_curves.METRICS, strict=True):
                values = dbc_curves.band(rows, metric)
                epochs = np.arange(values.shape[1])
                # The same run in every panel, in the same colour.
                color = "black" if name == "paper" else None
                (drawn,) = axes.plot(
                    epochs, values.mean(axis=0), color=color, label=LEGEND[panel].get(name, name)
                )
                low, high = values.min(axis=0), values.max(axis=0)
                axes.fill_between(
                    epochs, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0
                )
                axes.set_ylabel({"acc": "ACC", "nmi_max": "NMI(max)"}[metric])
                axes.set_xlabel("epoch")
        line[0].set_title(panel, loc="left")
        line[0].legend(frameon=False, fontsize="small")
    seeds = " or ".join(map(str, sorted(counts)))
    figure.suptitle(
        f"{data}: mean and range of {seeds} seeds; one that has stopped keeps its last value"
    )
    figure.savefig(path, dpi=130)


def _panels(count: int, height: float) -> tuple[Figure, list[Any]]:
    """A figure of as many panels, each ``height`` inches high, four in a row."""
    rows = math.ceil(count / 4)
    figure = Figure(figsize=(2.9 * min(count, 4), height * rows + 0.3), layout="constrained")
    panels = figure.subplots(rows, min(count, 4), squeeze=False).flatten().tolist()
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def _tiled(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Grey maps (m, h, w), each stretched to 0..255, in one picture."""
    low, high = tiles.min(axis=(1, 2), keepdims=True), tiles.max(axis=(1, 2), keepdims=True)
    # Maps of one pixel are seen beside each other, not each on its own scale.
    if tiles.shape[1] == tiles.shape[2] == 1:
        low, high = tiles.min(), tiles.max()
    scaled = (tiles - low) / np.maximum(high - low, 1e-12)
    return figures.grid(scaled[..., None].astype(np.float32), columns)
