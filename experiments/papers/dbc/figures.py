"""DBC's figures 3 to 9.

They show the loss, inner activations, filters, scores and t-SNE by epoch, wrong images, and curves.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from experiments import figures, rows, runner
from experiments.experiment import Request
from experiments.papers.dbc.cells import CURVES, SEEDS, method_of
from experiments.papers.dbc.curves import METRICS, band, sound
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.engine import phase
from jaxclust.engine.driver import Event, Lanes, Program
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import dbc
from jaxclust.ops import losses
from jaxclust.report.image_grid import grid
from jaxclust.report.projection import in_two_dimensions
from jaxclust.types import Method, Network, Variables

FOLDER = figures.FOLDER / "dbc"
EPOCHS = (0, 1, 2, 4, 8, 16)
"""Epochs in figures 6 and 7; the last epoch follows."""
WRONG = 100
LEAST_SCORE = 0.6
DIGITS = (1, 5, 9)
PANELS = {
    "alpha": ("alpha 1.5", "paper", "alpha 4"),
    "n_j": ("n_j 1", "n_j sum s", "paper"),
    "initialization": ("random", "half-trained", "paper"),
}
LEGEND = {
    "alpha": {"paper": "alpha 2"},
    "n_j": {"paper": "n_j sum s^alpha"},
    "initialization": {"paper": "sufficiently trained"},
}


class Snapshot(NamedTuple):
    """A seed's clustering after an epoch.

    Attributes:
      features: float32, (n, d).
      scores: of each cluster, float32, (n, k).
      labels: clusters, int32, (n,).
    """

    features: np.ndarray
    scores: np.ndarray
    labels: np.ndarray


Snapshots = Mapping[int, Snapshot]
"""Snapshots by epoch."""


def draw(request: Request) -> None:
    """Draws all figures of each data set."""
    for data in request.data:
        draw_set(data, request)


def draw_set(data: str, request: Request) -> None:
    """Draws all figures of a data set; where one seed is shown, it is the first.

    Figure 9 needs the rows of the curves. The others run DBC again for the first seed, from the
    tables' pretraining.

    Raises:
      UsageError: rows are missing, time ran out in the pretraining, or the first seed failed there.
    """
    curves(data)  # Comes first, since it needs rows.
    divergence()
    dataset = datasets.load(data)
    before = pretrained(dataset, request)
    method = method_of("paper", dataset.classes)
    first = jax.tree.map(lambda leaf: leaf[:1], before.state.variables)
    variables = jax.tree.map(lambda leaf: leaf[0], first)
    activations(dataset, method.build(dataset.images.shape[1:]), variables)
    filters(data, variables)
    taken = snapshots(dataset, method, first)
    histograms(data, taken)
    embeddings(dataset, taken)
    wrong(dataset, taken)


def pretrained(dataset: Dataset, request: Request) -> Lanes:
    """The pretraining of the tables, of all seeds; see ``draw_set`` for errors."""
    seeds = SEEDS[dataset.name]
    (cell,) = runner.plain_cells(
        CURVES, SEEDS, request._replace(data=(dataset.name,), methods=("fcae-kmeans",))
    )
    done = runner.fit(cell)
    if not done.finished:
        rule = "max-seconds: must leave time for the pretraining"
        raise UsageError(f"{rule}, which the same command goes on with")
    lanes = done.phases["pretrain"].lanes
    step = int(lanes.failed[0])
    if step >= 0:
        raise UsageError(f"figures: need seed {seeds[0]}, whose pretraining failed at step {step}")
    return lanes


def divergence() -> None:
    """Figure 3: KL(R || S) of an image and its two terms, over its score; alpha is 2."""
    s = np.linspace(1e-4, 1 - 1e-4, 400, dtype=np.float32)
    soft = jnp.stack([s, 1 - s], axis=1)
    target = dbc.boosted(dbc.Config(normalization="constant"), soft)
    terms = target * jnp.log(target / soft)
    lines = {
        "L_i1": terms[:, 0],
        "L_i2": terms[:, 1],
        "L_i": losses.kl_divergence(target, soft),
    }
    figure = Figure(figsize=(5, 3.4), layout="constrained")
    axes = figure.subplots()
    for label, values in lines.items():
        axes.plot(s, values, label=label)
    axes.axvline(0.5, color="0.7", linewidth=0.8)
    axes.set_xlabel("score of the first of two clusters")
    axes.set_ylabel("loss, nats")
    axes.legend(frameon=False)
    figures.save(figure, FOLDER / "figure-3-loss.png")


def activations(dataset: Dataset, network: Network, variables: Variables) -> None:
    """Figure 4: every layer's maps for one image each of three classes, by true labels."""
    labels = runner.labels_of(dataset)
    classes = DIGITS if labels.max() >= max(DIGITS) else tuple(np.unique(labels)[:3])
    shown = [int(np.flatnonzero(labels == label)[0]) for label in classes]
    images = jnp.asarray(dataset.images[shown])
    assert network.activations is not None  # The autoencoder has them.
    maps = {"image": images / np.float32(255), **network.activations(variables, images)}
    figure = Figure(figsize=(3.6 * len(shown), 1.3 * len(maps)), layout="constrained")
    panels = figure.subplots(len(maps), len(shown), squeeze=False)
    for line, (name, values) in enumerate(maps.items()):
        for column, axes in enumerate(panels[line]):
            tiles = np.moveaxis(np.asarray(values[column]), 2, 0)
            width = min(len(tiles), math.ceil((3 * len(tiles)) ** 0.5))
            axes.imshow(_tiled(tiles, width))
            axes.set_axis_off()
            if line == 0:
                axes.set_title(f"class {classes[column]}", loc="left")
        left = panels[line][0]
        beside = {"ha": "right", "va": "center", "fontsize": 8}
        left.text(-0.02, 0.5, name, transform=left.transAxes, **beside)
    figures.save(figure, FOLDER / f"figure-4-activations-{dataset.name}.png")


def filters(data: str, variables: Variables) -> None:
    """Figure 5: kernels of the first two and the last two layers."""
    params = variables.params
    names = [name for name in ("conv1", "conv2", "deconv2", "deconv1") if name in params]
    kernels = [np.asarray(params[name].get("layer", params[name])["kernel"]) for name in names]
    stacks = [kernel.transpose(2, 3, 0, 1).reshape(-1, *kernel.shape[:2]) for kernel in kernels]
    lines = [math.ceil(min(len(tiles), 120) / 20) for tiles in stacks]
    height = 0.4 * sum(lines) + 0.35 * len(names)
    figure = Figure(figsize=(8, height), layout="constrained")
    panels = figure.subplots(len(names), 1, squeeze=False, height_ratios=lines)[:, 0]
    for axes, name, tiles in zip(panels, names, stacks, strict=True):
        axes.imshow(_tiled(tiles[:120], 20))
        title = f"{name}: {min(len(tiles), 120)} of {len(tiles)} kernels"
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_axis_off()
    figures.save(figure, FOLDER / f"figure-5-filters-{data}.png")


def snapshots(dataset: Dataset, method: Method, variables: Variables) -> Snapshots:
    """Runs DBC for the first seed, and keeps what it has at ``EPOCHS`` and after the last epoch.

    Args:
      dataset: the images.
      method: DBC with its settings.
      variables: of the pretrained network, with an axis of the one lane.
    """
    images = jnp.asarray(dataset.images)
    program = Program(method.algorithm, method.config, method.build(images.shape[1:]), "map")
    keys = engine.lane_keys(tuple(SEEDS[dataset.name][:1]))["cluster"]
    taken: dict[int, Snapshot] = {}

    @jax.jit
    def look(state, images):
        features = dbc.embed(program.config, program.network, state, images)
        return features, dbc.scores(program.config, features, state.centroids), state.labels

    def each(_: str, event: Event | None) -> None:
        assert event is not None  # ``on_window`` always has one.
        epoch = int(event.lanes.window[0])
        if epoch in EPOCHS or event.done.all():
            state = jax.tree.map(lambda leaf: leaf[0], event.lanes.state)
            taken[epoch] = Snapshot(*map(np.asarray, look(state, images)))

    task = phase.Task("cluster", program, keys, variables, images, None, {})
    phase.run(task, [False], phase.Hooks(on_window=each))
    return taken


def histograms(data: str, taken: Snapshots) -> None:
    """Figure 6: the scores of all images for the first cluster, by epoch."""
    figure, panels = _panels(len(taken), 2.2)
    for axes, (epoch, snapshot) in zip(panels, taken.items(), strict=True):
        axes.hist(snapshot.scores[:, 0], bins=50, range=(0, 1))
        axes.set_yscale("log")
        share = np.mean((snapshot.scores > dbc.SURE) | (snapshot.scores < dbc.EXCLUDED))
        axes.set_title(f"epoch {epoch}: {100 * share:.0f} %", loc="left", fontsize=9)
        axes.set_xlabel("score of the first cluster")
        axes.set_ylabel("images")
    figure.suptitle("in %: all clusters' scores above .8 or below .02", fontsize=9)
    figures.save(figure, FOLDER / f"figure-6-scores-{data}.png")


def embeddings(dataset: Dataset, taken: Snapshots) -> None:
    """Figure 7: t-SNE of the same images' features by epoch, colored by true class."""
    shown = figures.sample(dataset)
    labels = runner.labels_of(dataset)
    count = len(np.unique(labels))
    figure, panels = _panels(len(taken), 2.8)
    for axes, (epoch, snapshot) in zip(panels, taken.items(), strict=True):
        places = in_two_dimensions(snapshot.features[shown])
        cmap = "tab20" if count > 10 else "tab10"
        dots = axes.scatter(*places.T, c=labels[shown], cmap=cmap, s=4)
        accuracy = metrics.accuracy(labels, snapshot.labels)
        axes.set_title(f"epoch {epoch}: ACC {accuracy:.3f}", loc="left", fontsize=9)
        figures.without_ticks(axes)
    if count <= 20:
        handles, names = dots.legend_elements(num=None)  # pyright: ignore[reportArgumentType]
        figure.legend(handles, names, title="true class", loc="outside right center", fontsize=8)
    title = "t-SNE of the same images' features, colored by true class"
    figure.suptitle(title, fontsize=9)
    figures.save(figure, FOLDER / f"figure-7-tsne-{dataset.name}.png")


def wrong(dataset: Dataset, taken: Snapshots) -> None:
    """Figure 8: the surest of the images that are in a cluster of another class.

    Only the true labels say which these are: it is a picture to look at, and nothing to choose a
    run by.
    """
    last = taken[max(taken)]
    labels = runner.labels_of(dataset)
    clusters = metrics.confusion_clusters(labels, last.labels)[: dataset.classes]
    class_of = np.full(last.scores.shape[1], -1)
    class_of[clusters[clusters >= 0]] = np.flatnonzero(clusters >= 0)
    given = class_of[last.labels]
    score = last.scores.max(axis=1)
    chosen = np.flatnonzero((given != labels) & (score > LEAST_SCORE))
    chosen = chosen[np.argsort(-score[chosen], kind="stable")][:WRONG]
    figure = Figure(figsize=(8, 8.4), layout="constrained")
    for axes in figure.subplots(10, 10).flat:
        axes.set_axis_off()
    for axes, row in zip(figure.axes, chosen, strict=False):
        image = dataset.images[row]
        axes.imshow(image if image.shape[2] == 3 else image[..., 0], cmap="gray")
        axes.set_title(f"{labels[row]} in {given[row]}", fontsize=7, pad=2)
    what = f"{len(chosen)} wrong images with the highest scores above {LEAST_SCORE}"
    figure.suptitle(f"{what}: the class, in the cluster of which", fontsize=9)
    name = f"figure-8-wrong-images-drawn-with-true-labels-{dataset.name}.png"
    figures.save(figure, FOLDER / name)


def curves(data: str) -> None:
    """Figure 9: ACC and NMI(max) by epoch, mean and range of the seeds that did not fail.

    Raises:
      UsageError: rows of a variant are missing.
    """
    present = [curve for curve in sound(rows.read_lines(CURVES)) if curve["data"] == data]
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    counts = set()
    for column, (panel, names) in zip(figure.subplots(2, 3).T, PANELS.items(), strict=True):
        for name in names:
            found = [curve for curve in present if curve["variant"] == name]
            if not found:
                rule = f"figures: needs the rows of {name!r} on {data}"
                raise UsageError(f"{rule}; run dbc-curves --data {data} makes them")
            counts.add(len(found))
            for axes, metric in zip(column, METRICS, strict=True):
                values = band(found, metric)
                epochs = np.arange(values.shape[1])
                # The same run in every panel has the same color.
                color = "black" if name == "paper" else None
                label = LEGEND[panel].get(name, name)
                (line,) = axes.plot(epochs, values.mean(axis=0), color=color, label=label)
                low = values.min(axis=0)
                high = values.max(axis=0)
                style = {"color": line.get_color(), "alpha": 0.2, "linewidth": 0}
                axes.fill_between(epochs, low, high, **style)
                axes.set_ylabel({"acc": "ACC", "nmi_max": "NMI(max)"}[metric])
                axes.set_xlabel("epoch")
        column[0].set_title(panel, loc="left")
        column[0].legend(frameon=False, fontsize="small")
    seeds = " or ".join(map(str, sorted(counts)))
    kept = "one that has stopped keeps its last value"
    figure.suptitle(f"{data}: mean and range of {seeds} seeds; {kept}")
    figures.save(figure, FOLDER / f"figure-9-curves-{data}.png")


def _panels(count: int, height: float) -> tuple[Figure, list[Axes]]:
    """A figure of as many panels, each ``height`` inches high, four in a row."""
    lines = math.ceil(count / 4)
    columns = min(count, 4)
    figure = Figure(figsize=(2.9 * columns, height * lines + 0.3), layout="constrained")
    panels = figure.subplots(lines, columns, squeeze=False).flatten().tolist()
    for unused in panels[count:]:
        unused.set_axis_off()
    return figure, panels[:count]


def _tiled(tiles: np.ndarray, columns: int) -> np.ndarray:
    """Gray maps (m, h, w) in one picture, each stretched to the whole range of gray."""
    low = tiles.min(axis=(1, 2), keepdims=True)
    high = tiles.max(axis=(1, 2), keepdims=True)
    # Maps of one pixel share a scale: each on its own would show nothing.
    if tiles.shape[1] == tiles.shape[2] == 1:
        low = tiles.min()
        high = tiles.max()
    scaled = (tiles - low) / np.maximum(high - low, 1e-12)
    return grid(scaled[..., None].astype(np.float32), columns)
