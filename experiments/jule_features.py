"""What JULE's experiments do with fixed features: the other rows of tables 3 and 4, transfer, figure 1."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments import common, jule_settings
from experiments.jule_settings import LAYERS, SEEDS, TRANSFERS, settings
from jaxclust.data import datasets
from jaxclust.engine import driver, fit
from jaxclust.evaluation import metrics
from jaxclust.methods.registry import METHODS
from jaxclust.networks.jule import blocks
from jaxclust.ops import linkage
from jaxclust.ops.kmeans import kmeans
from jaxclust.runs.rows import SCORES, device_name, package_versions, peak_memory_mb

RESTARTS = 20


def preset(what: str, variant: str) -> str:
    """What rows of JULE's features are told by: "features", or "features, code" for those of other settings."""
    return what if variant == "paper" else f"{what}, {variant}"


def run(
    names: Sequence[str],
    methods: Sequence[str],
    trained: Path | None,
    variant: str,
    deadline: float,
) -> bool:
    """Clusters pixels, or the features that a variant's checkpoints in ``trained`` give, by the other methods.

    A seed's row is added as it ends, and one that is there is skipped; False if time ran out.
    """
    inputs = "pixels" if trained is None else preset("features", variant)
    for data in names:
        dataset = datasets.load(data)
        present = [row for row in common.rows(jule_settings.RESULTS) if row["preset"] == inputs]
        most = linkage.MOST_SAMPLES
        if "ac-link" in methods and len(dataset.images) > most:
            print(
                f"{data}: no average linkage, which holds a distance for each of {len(dataset.images)}^2 / 2 pairs"
            )
        possible = [name for name in methods if name != "ac-link" or len(dataset.images) <= most]
        for number, seed in enumerate(SEEDS[data]):
            # Linkages draw nothing: on pixels every seed would give the same.
            asked = [
                name for name in possible if trained is not None or name == "kmeans" or number == 0
            ]
            wanted = [
                name
                for name in asked
                if seed not in {row["seed"] for row in common.cell(present, data, name)}
            ]
            if not wanted:
                continue
            if time.monotonic() > deadline:
                return False
            if trained is None:
                features = unit(dataset.images)
            else:
                (features,) = embedded(data, variant, seed, dataset.images, trained, ["features"])
            for name in wanted:
                if time.monotonic() > deadline:
                    return False
                clock = time.perf_counter()
                labels = clustering(name, features, dataset.classes, seed)
                seconds = time.perf_counter() - clock
                common.add(
                    jule_settings.RESULTS, [row(dataset, name, inputs, seed, labels, seconds)]
                )
                print(f"{data} {name} on {inputs}, seed {seed}: done", flush=True)
    return True


def clustering(name: str, features: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Labels by one of the other methods."""
    if name == "kmeans":
        return np.asarray(
            kmeans(jax.random.key(seed), jnp.asarray(features), clusters, restarts=RESTARTS).labels
        )
    if name == "ac-link":
        return linkage.average_linkage(features, clusters)
    if name == "ac-gdl":
        return linkage.graph_degree_linkage(features, clusters)[0]
    return linkage.path_linkage(features, clusters, {"ac-pic": "path", "ac-zell": "zeta"}[name])


def row(
    dataset: datasets.Dataset,
    name: str,
    told_by: str,
    seed: int,
    labels: np.ndarray,
    seconds: float,
) -> dict[str, Any]:
    """A row as ``record.rows`` makes them, as far as it applies."""
    scores = metrics.scores(dataset.labels, labels)
    sizes = np.bincount(labels, minlength=dataset.classes)
    return {
        "method": name,
        "data": dataset.name,
        "preset": told_by,
        "seed": seed,
        **{score: scores[score] for score in SCORES},
        "seconds": round(seconds, 3),
        "n": len(labels),
        "clusters": dataset.classes,
        "failed": None,
        "largest_cluster": round(float(sizes.max() / sizes.sum()), 4),
        "peak_memory_mb": peak_memory_mb(),
        "versions": package_versions(),
        "device": device_name(),
    }


def unit(maps: np.ndarray) -> np.ndarray:
    """Images or maps as rows of unit length, float32."""
    rows = np.asarray(maps, np.float32).reshape(len(maps), -1)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.finfo(np.float32).tiny)


def restored(data: str, variant: str, seed: int, trained: Path) -> tuple[Any, Any]:
    """JULE's network for a data set, and the arrays that a seed ended with."""
    dataset, config = settings(data, variant)
    method, seeds = METHODS["jule"], tuple(SEEDS[data])
    runs = fit.restored(method, config, None, dataset.images.shape, seeds, trained / data / variant)
    lane = seeds.index(seed)
    if runs.failed[lane] >= 0:
        raise ValueError(
            f"features: seed {seed} of {data}, {variant} must have ended, failed at step {runs.failed[lane]}"
        )
    variables = jax.tree.map(lambda leaf: leaf[lane], runs.state.variables)
    return fit.build(method, config, dataset.images.shape[1:]), variables


def embedded(
    data: str, variant: str, seed: int, images: np.ndarray, trained: Path, layers: Sequence[str]
) -> list[np.ndarray]:
    """Layers of the network that JULE trained on ``data``, of any images, each as rows of unit length."""
    network, variables = restored(data, variant, seed, trained)

    @jax.jit
    def maps(block):
        found = network.activations(variables, block)
        return [found[layer] for layer in layers]

    of_blocks = [jax.device_get(maps(images[i : i + 100])) for i in range(0, len(images), 100)]
    return [unit(np.concatenate(parts)) for parts in zip(*of_blocks, strict=True)]


def transfer(names: Sequence[str], trained: Path, variant: str, deadline: float) -> bool:
    """Tables 5 and 6: the inner product, and the two blocks below it, of images that the network was not trained on.

    The rows of a pair of sets come together, and a pair that has them is skipped; False if time ran out.
    """
    for source, target in TRANSFERS:
        pair = preset(f"transfer {source} to {target}", variant)
        if target not in names or any(
            one["preset"] == pair for one in common.rows(jule_settings.RESULTS)
        ):
            continue
        if time.monotonic() > deadline:
            return False
        dataset, shape = datasets.load(target), datasets.load(source).images.shape[1:]
        images = fitted(dataset.images, shape)
        count = len(blocks(min(shape[:2])))
        layers = ["features", *(f"block{count + 1 - i}" for i in (1, 2) if i <= count)]
        rows = []
        for seed in SEEDS[source]:
            of_layers = embedded(source, variant, seed, images, trained, layers)
            # A small network has no block two below the top.
            for title, features in zip(LAYERS, [unit(dataset.images), *of_layers], strict=False):
                clock = time.perf_counter()
                labels, _ = linkage.graph_degree_linkage(
                    features, dataset.classes, local_weight=1.0
                )
                rows.append(row(dataset, title, pair, seed, labels, time.perf_counter() - clock))
        common.add(jule_settings.RESULTS, rows)
        print(f"{pair}: done", flush=True)
    return True


def fitted(images: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Images resized (linearly, antialiased) and their channels repeated or averaged, to ``shape``; uint8."""
    height, width, channels = shape
    maps = jnp.asarray(images, jnp.float32)
    if maps.shape[3] != channels:
        maps = jnp.repeat(jnp.mean(maps, axis=3, keepdims=True), channels, axis=3)
    resized = jax.image.resize(
        maps, (len(images), height, width, channels), "linear", antialias=True
    )
    return np.asarray(jnp.clip(jnp.round(resized), 0, 255).astype(jnp.uint8))


def figure(path: Path, data: str, variant: str) -> None:
    """Figure 1: the first three principal components at the start, after half of the periods and at the end."""
    from matplotlib.figure import Figure

    dataset, config = settings(data, variant)
    method = METHODS["jule"]
    network = fit.build(method, config, dataset.images.shape[1:])
    stages = [("pixels", unit(dataset.images), None)]

    def keep(event):
        # A chunk is a period.
        state = jax.tree.map(lambda leaf: leaf[0], event.runs.state)
        features = jax.jit(method.algorithm.embed, static_argnums=(0, 1))(
            config, network, state, dataset.images
        )
        labels = np.unique(np.asarray(state.labels), return_inverse=True)[1]
        stages.append((f"{labels.max() + 1} clusters", np.asarray(features), labels))
        print(f"{data}: {stages[-1][0]}", flush=True)

    keys = jax.random.split(jax.random.key(0))[1][None]  # Seed 0's, as ``fit`` has it.
    images = jnp.asarray(dataset.images)
    options = {"over": "map", "windows_per_chunk": config.epochs, "callbacks": [keep]}
    driver.train(method.algorithm, config, network, keys, images, **options)
    chosen = [stages[0], stages[len(stages) // 2], stages[-1]]
    drawn = Figure(figsize=(12, 4.2), layout="constrained")
    for place, (title, features, labels) in enumerate(chosen, 1):
        axes = drawn.add_subplot(1, 3, place, projection="3d")
        centred = features - features.mean(axis=0)
        _, directions = np.linalg.eigh(centred.T @ centred)
        colors = dataset.labels if labels is None or labels.max() >= 20 else labels
        axes.scatter(
            *(centred @ directions[:, :-4:-1]).T, c=colors, cmap="tab20", s=1, linewidths=0
        )
        axes.set_title(
            f"{title}{' (colours: classes)' if colors is dataset.labels else ''}", loc="left"
        )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_zticks([])
    path.parent.mkdir(parents=True, exist_ok=True)
    drawn.savefig(
        path, dpi=130, bbox_inches="tight"
    )  # The titles of 3-D axes stand above their boxes.
