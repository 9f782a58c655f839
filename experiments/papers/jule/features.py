"""JULE's experiments on fixed features: the other rows of tables 3 and 4, and transfer."""

import dataclasses
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.jule import cells
from experiments.papers.jule.cells import RESULTS, SEEDS
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import fit as engine
from jaxclust.engine.clocks import Stopwatch
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.networks.jule import blocks
from jaxclust.ops import linkage
from jaxclust.ops.graph_linkage import Criterion
from jaxclust.ops.kmeans import kmeans
from jaxclust.runs.rows import Row, device_name, package_versions, peak_memory_mb
from jaxclust.types import Network, Shape, Variables

RESTARTS = 20
BLOCK = 100
"""Images that pass the network at once."""
JULE = Criterion(local_weight=1.0)
"""JULE's criterion (7)."""


def run(request: Request, source: str, variant: str | None = None) -> bool:
    """Clusters pixels, or the features of JULE's networks, by each of the other methods.

    A seed's row is added as it ends, and a seed that has its row is skipped.

    Args:
      request: what is asked for.
      source: the column "input" of the rows.
      variant: JULE's settings under which the network was trained; None for pixels.

    Returns:
      False where time ran out.
    """
    for data in request.data:
        dataset = datasets.load(data)
        classes = len(np.unique(runner.labels_of(dataset)))
        methods = [name for name in request.methods if name != "jule"]
        if variant is None:
            if not _run_spectral(dataset, source, request):
                return False
            methods = [name for name in methods if name not in cells.SPECTRAL]
        if "ac-link" in methods and len(dataset.images) > linkage.MOST_SAMPLES:
            pairs = f"{len(dataset.images)}^2 / 2 pairs"
            print(f"{data}: no average linkage, which holds a distance for each of {pairs}")
            methods.remove("ac-link")
        for number, seed in enumerate(SEEDS[data]):
            key = {"data": data, "input": source, "variant": variant, "seed": seed}
            there = {line["method"] for line in runner.lines_of(RESULTS, key)}
            # Linkages draw nothing: on pixels every seed would give the same.
            once = variant is None and number > 0
            asked = [name for name in methods if not (once and registry.deterministic(name))]
            missing = [name for name in asked if name not in there]
            if not missing:
                continue
            if time.monotonic() > request.deadline:
                return False
            features = unit(dataset.images)
            if variant is not None:
                network, variables = restored(dataset, variant, seed, request)
                (features,) = embedded(network, variables, dataset.images, ["features"])
            for name in missing:
                if time.monotonic() > request.deadline:
                    return False
                watch = Stopwatch()
                labels = clustering(name, features, classes, seed)
                made = row(dataset, name, seed, labels, watch)
                rows.add(RESULTS, [rows.with_columns(made, {"input": source, "variant": variant})])
                print(f"{data} {name} on {source}, seed {seed}: done", flush=True)
    return True


def _run_spectral(dataset: Dataset, source: str, request: Request) -> bool:
    """The spectral methods on pixels, all seeds at once; False where time ran out."""
    for name in (name for name in request.methods if name in cells.SPECTRAL):
        key = {"data": dataset.name, "input": source, "variant": None, "method": name}
        there = {line["seed"] for line in runner.lines_of(RESULTS, key)}
        seeds = tuple(seed for seed in cells.SPECTRAL_SEEDS if seed not in there)
        if not seeds:
            continue
        if time.monotonic() > request.deadline:
            return False
        watch = Stopwatch()
        classes = len(np.unique(runner.labels_of(dataset)))
        every = spectral(name, unit(dataset.images), classes, seeds)
        made = [row(dataset, name, *one, watch) for one in zip(seeds, every, strict=True)]
        each = round(sum(watch.read()) / len(seeds), 3)
        made = [dataclasses.replace(one, seconds=each) for one in made]
        columns = {"input": source, "variant": None}
        rows.add(RESULTS, [rows.with_columns(one, columns) for one in made])
        print(f"{dataset.name} {name} on {source}, seeds {seeds}: done", flush=True)
    return True


def spectral(name: str, x: np.ndarray, clusters: int, seeds: Sequence[int]) -> np.ndarray:
    """Clusters of features, float32 (n, d), by a spectral method: int32 (seeds, n)."""
    method = registry.method(name, clusters=clusters)
    done = engine.fit(method, x[:, None, None], tuple(seeds), engine.Options(over="map"))
    if any(done.failed):
        raise UsageError(f"method: {name} must not fail, got {done.failed}")
    assert done.labels is not None  # Without a deadline a run ends.
    return done.labels


def clustering(name: str, features: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Clusters of features, float32 (n, d), by one of the other methods: int (n,)."""
    if name == "kmeans":
        key = jax.random.key(seed)
        return np.asarray(kmeans(key, jnp.asarray(features), clusters, restarts=RESTARTS).labels)
    if name in cells.SPECTRAL:
        return spectral(name, features, clusters, [seed])[0]
    if name == "ac-link":
        return linkage.average_linkage(features, clusters)
    if name == "ac-gdl":
        return linkage.graph_degree_linkage(features, clusters)[0]
    return linkage.path_linkage(features, clusters, "path" if name == "ac-pic" else "zeta")


def row(dataset: Dataset, name: str, seed: int, labels: np.ndarray, watch: Stopwatch) -> Row:
    """The row of a clustering of fixed features, as far as rows of runs apply to it.

    Args:
      dataset: the images.
      name: the method's name.
      seed: the seed.
      labels: clusters, int (n,).
      watch: measures the time; these rows have compilation in it.
    """
    true_labels = runner.labels_of(dataset)
    clusters = len(np.unique(true_labels))
    sizes = np.bincount(labels, minlength=clusters)
    return Row(
        method=name,
        data=dataset.name,
        seed=seed,
        n=len(labels),
        clusters=clusters,
        seconds=round(sum(watch.read()), 3),
        largest_cluster=round(float(sizes.max() / sizes.sum()), 4),
        peak_memory_mb=peak_memory_mb(),
        versions=package_versions(),
        device=device_name(),
        **metrics.scores(true_labels, labels),  # pyright: ignore[reportArgumentType]
    )


def unit(maps: np.ndarray) -> np.ndarray:
    """Images or maps (n, ...) as rows of unit length, float32 (n, d)."""
    vectors = np.asarray(maps, np.float32).reshape(len(maps), -1)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(lengths, np.finfo(np.float32).tiny)


def restored(
    dataset: Dataset, variant: str, seed: int, request: Request
) -> tuple[Network, Variables]:
    """JULE's network for a data set, and the arrays that a seed ended with, from its checkpoint.

    Raises:
      UsageError: there is no checkpoint, or the seed failed.
    """
    method = cells.method_of(variant, dataset.classes)
    seeds = tuple(SEEDS[dataset.name])
    place = request.folder / dataset.name / variant
    lanes = engine.restore(method, dataset.images.shape, seeds, place)
    lane = seeds.index(seed)
    if lanes.failed[lane] >= 0:
        rule = f"features: seed {seed} of {dataset.name}, {variant} must have ended"
        raise UsageError(f"{rule}, failed at step {lanes.failed[lane]}")
    variables = jax.tree.map(lambda leaf: leaf[lane], lanes.state.variables)
    return method.build(dataset.images.shape[1:]), variables


def embedded(
    network: Network, variables: Variables, images: np.ndarray, layers: Sequence[str]
) -> list[np.ndarray]:
    """Layers of a network for images of its size, each as rows of unit length."""
    activations = network.activations
    assert activations is not None  # JULE's network has them.

    @jax.jit
    def maps(block):
        inner = activations(variables, block)
        return [inner[layer] for layer in layers]

    starts = range(0, len(images), BLOCK)
    parts = [jax.device_get(maps(images[start : start + BLOCK])) for start in starts]
    return [unit(np.concatenate(layer)) for layer in zip(*parts, strict=True)]


def transfer(request: Request) -> bool:
    """Tables 5 and 6: layers of images that the network was not trained on.

    The layers are the inner product and the two blocks below it. The rows of a pair of sets come
    together, and a pair that has them is skipped.

    Returns:
      False where time ran out.
    """
    for variant in request.variants:
        for source, target in cells.TRANSFERS:
            columns = {"input": cells.FEATURES_OF + source, "variant": variant}
            key = {"data": target, **columns}
            if target not in request.data or runner.lines_of(RESULTS, key):
                continue
            if time.monotonic() > request.deadline:
                return False
            trained = datasets.load(source)
            shape = trained.images.shape[1:]
            dataset = datasets.load(target)
            classes = len(np.unique(runner.labels_of(dataset)))
            images = resized(dataset.images, shape)
            count = len(blocks(min(shape[:2])))
            # A small network has no block two below the top.
            layers = ["features", *(f"block{count + 1 - i}" for i in (1, 2) if i <= count)]
            made = []
            for seed in SEEDS[source]:
                network, variables = restored(trained, variant, seed, request)
                inputs = [unit(dataset.images), *embedded(network, variables, images, layers)]
                for title, features in zip(cells.LAYERS, inputs, strict=False):
                    watch = Stopwatch()
                    labels, _ = linkage.graph_degree_linkage(features, classes, criterion=JULE)
                    made.append(
                        rows.with_columns(row(dataset, title, seed, labels, watch), columns)
                    )
            rows.add(RESULTS, made)
            print(f"transfer {source} to {target}, {variant}: done", flush=True)
    return True


def resized(images: np.ndarray, shape: Shape) -> np.ndarray:
    """Images with the size and the channels of another set, uint8 (n, *shape).

    They are resized linearly with antialiasing, and channels are repeated or averaged.
    """
    height, width, channels = shape
    maps = jnp.asarray(images, jnp.float32)
    if maps.shape[3] != channels:
        maps = jnp.repeat(jnp.mean(maps, axis=3, keepdims=True), channels, axis=3)
    size = (len(images), height, width, channels)
    maps = jax.image.resize(maps, size, "linear", antialias=True)
    return np.asarray(jnp.clip(jnp.round(maps), 0, 255).astype(jnp.uint8))
