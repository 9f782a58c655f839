"""JULE's table 8: pictures of CIFAR-10 are classified by a codebook of patches.

The pipeline is that of Coates, Ng, Lee (2011): patches of 6 x 6 pixels are whitened, k-means makes
a codebook of 1,600 codes, each quarter of a picture has the sum of its patches' activations, and a
linear support vector machine learns the classes. In JULE's rows the codebook is made of layers of a
network that JULE trained on the same whitened patches (section 4.3).

The paper trains on up to 50,000 pictures and tests on 10,000. Here CIFAR-10's 10,000 test pictures
are divided into 8,000 and 2,000, so that numbers are to be compared with one another alone.
"""

import functools
import math
import time
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from experiments import rows, tables
from experiments.experiment import Request
from experiments.papers.ccnn.imagenet import load
from experiments.papers.jule.cells import RESULTS as JULE_RESULTS
from experiments.runner import labels_of
from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.networks.from_flax import from_flax
from jaxclust.networks.jule import FEATURES, unit_length
from jaxclust.networks.pooling import max_pool_any
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Network, Variables

if TYPE_CHECKING:
    from sklearn.svm import LinearSVC

RESULTS = JULE_RESULTS.with_name("jule_codebook.jsonl")
DATA = "cifar10-test"
SIZE = 6
"""Rows and columns of a patch (section 4.3)."""
PATCHES = 40_000
"""Patches of which the codebook is made (section 4.3)."""
CODES = 1_600
"""Codes of the codebook (section 4.3)."""
CLUSTERS = 100
"""Clusters into which JULE merges the patches. The paper does not say how many it has."""
CHANNELS = 50
"""Channels of both convolutions (section 4.3)."""
CONTRAST = 10.0
"""Is added to the variance of a patch of values in 0..255 (Coates's code)."""
RIDGE = 0.1
"""Is added to the eigenvalues of the patches' covariance (Coates's code)."""
COST = 100.0
"""Weight of the mean squared hinge loss, for a penalty of half the squared weights (Coates's
code)."""
TRAIN = (1_000, 2_000, 4_000, 8_000)
"""Pictures that the support vector machine learns from; the codebook sees the last number."""
TEST = 2_000
PICTURES = 20
"""Pictures that are coded at once."""
LAYERS = ("kmeans", "conv1", "conv2", "conv1&2")
"""What the codebook is made of; "kmeans" stands for the whitened patches themselves."""
PAPER = {
    "kmeans": (0.6281, 0.6801, 0.7401, 0.7659),
    "conv1": (0.6305, 0.6830, 0.7283, 0.7468),
    "conv2": (0.6310, 0.6846, 0.7293, 0.7468),
    "conv1&2": (0.6350, 0.6911, 0.7511, 0.7855),
}
"""Accuracies of table 8, in the order of the paper's numbers of pictures."""
SEEDS = range(3)


class Whitening(NamedTuple):
    """How patches are whitened.

    Attributes:
      mean: of the normalized patches, (108,).
      matrix: ZCA, symmetric, (108, 108).
    """

    mean: jax.Array
    matrix: jax.Array


class PatchNetwork(nnx.Module):
    """Two convolutions of 3 x 3 with ReLU and pooling, and an inner product (section 4.3).

    Batch normalization stands before each ReLU, as in JULE's other networks; section 4.3 does not
    name it.
    """

    def __init__(self, shape: tuple[int, ...], embedding: int, rngs: nnx.Rngs):
        del embedding  # Its number of features is its own.
        kernel = (3, 3)
        self.conv1 = nnx.Conv(shape[-1], CHANNELS, kernel, padding="SAME", rngs=rngs)
        self.norm1 = nnx.BatchNorm(CHANNELS, rngs=rngs)
        self.conv2 = nnx.Conv(CHANNELS, CHANNELS, kernel, padding="SAME", rngs=rngs)
        self.norm2 = nnx.BatchNorm(CHANNELS, rngs=rngs)
        side = math.ceil(math.ceil(shape[0] / 2) / 2)
        self.ip = nnx.Linear(side * side * CHANNELS, FEATURES, rngs=rngs)

    def maps(self, images: jax.Array) -> dict[str, jax.Array]:
        first = max_pool_any(jax.nn.relu(self.norm1(self.conv1(images))))
        second = max_pool_any(jax.nn.relu(self.norm2(self.conv2(first))))
        features = unit_length(self.ip(second.reshape(len(images), -1)))
        return {"conv1": first, "conv2": second, "features": features}

    def encode(self, images: jax.Array) -> jax.Array:
        return self.maps(images)["features"]


NETWORK = from_flax(PatchNetwork)


def run(request: Request) -> bool:
    """Adds a row for each seed, layer and number of pictures; False where time ran out."""
    dataset = load(DATA)
    images = np.asarray(dataset.images)
    classes = np.asarray(labels_of(dataset))
    order = np.random.default_rng(0).permutation(len(images))
    train, test = order[: TRAIN[-1]], order[TRAIN[-1] : TRAIN[-1] + TEST]
    done = {(line["seed"], line["layer"]) for line in rows.read_lines(RESULTS)}
    for seed in SEEDS:
        missing = [layer for layer in LAYERS if (seed, layer) not in done]
        if not missing:
            continue
        patches = drawn(images[train], PATCHES, seed)
        whitening = whitening_of(normalized(jnp.asarray(patches)))
        white = np.asarray(whitened(jnp.asarray(patches), whitening))
        network = NETWORK((SIZE, SIZE, images.shape[-1]), FEATURES)
        variables = None
        for layer in missing:
            if time.monotonic() > request.deadline:
                return False
            begin = time.monotonic()
            if layer != "kmeans" and variables is None:
                variables = trained(white, seed, request)
                if variables is None:
                    return False
            represent = functools.partial(representation, network, layer, variables)
            codes = codebook(represent, white, seed)
            every = coded(represent, codes, whitening, images[order])
            made = []
            for count in TRAIN:
                accuracy = classified(
                    (every[:count], classes[train[:count]]),
                    (every[len(train) : len(train) + TEST], classes[test]),
                )
                line = {"data": DATA, "seed": seed, "layer": layer, "train": count}
                line |= {"test": TEST, "accuracy": round(accuracy, 4)}
                made.append(line | {"seconds": round(time.monotonic() - begin, 1)})
            rows.append(RESULTS, made)
            print(f"codebook of {layer}, seed {seed}: {made[-1]['accuracy']}", flush=True)
    return True


def drawn(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Patches at random places of random pictures, (count, 6, 6, c), the images' dtype."""
    rng = np.random.default_rng(seed)
    n, height, width, _ = images.shape
    which = rng.integers(0, n, count)
    top = rng.integers(0, height - SIZE + 1, count)
    left = rng.integers(0, width - SIZE + 1, count)
    return np.stack(
        [
            images[one, y : y + SIZE, x : x + SIZE]
            for one, y, x in zip(which, top, left, strict=True)
        ]
    )


def normalized(patches: jax.Array) -> jax.Array:
    """Patches of values in 0..255, (n, 6, 6, c), less their mean and over their deviation: (n, d).

    The variance is that of a sample, as in Coates's code.
    """
    flat = patches.reshape(len(patches), -1).astype(jnp.float32)
    centered = flat - jnp.mean(flat, axis=1, keepdims=True)
    variance = jnp.var(flat, axis=1, keepdims=True, ddof=1)
    return centered / jnp.sqrt(variance + CONTRAST)


def whitening_of(patches: jax.Array) -> Whitening:
    """The whitening of normalized patches, (n, d)."""
    mean = jnp.mean(patches, axis=0)
    values, vectors = jnp.linalg.eigh(jnp.cov(patches, rowvar=False))
    matrix = (vectors / jnp.sqrt(jnp.maximum(values, 0.0) + RIDGE)) @ vectors.T
    return Whitening(mean, matrix)


def whitened(patches: jax.Array, whitening: Whitening) -> jax.Array:
    """Patches of values in 0..255, normalized and whitened: float32, of the same shape."""
    flat = (normalized(patches) - whitening.mean) @ whitening.matrix
    return flat.reshape(patches.shape)


def trained(white: np.ndarray, seed: int, request: Request) -> Variables | None:
    """JULE's network on whitened patches, (n, 6, 6, c), under its default settings.

    Returns:
      The arrays with which the seed ended; None where time ran out.

    Raises:
      UsageError: the seed failed.
    """
    method = registry.method("jule", clusters=CLUSTERS).replace(
        name="jule-codebook", network=NETWORK
    )
    left = request.deadline - time.monotonic()
    options = engine.Options(
        over="map",
        directory=request.folder / "codebook" / str(seed),
        max_seconds=None if left == float("inf") else max(left, 1.0),
    )
    done = engine.fit(method, white, (seed,), options)
    if done.failed[0] is not None:
        raise UsageError(f"codebook: seed {seed} must not fail, failed in {done.failed[0]}")
    if not done.finished:
        return None
    return jax.tree.map(lambda leaf: leaf[0], done.phases["cluster"].lanes.state.variables)


def representation(
    network: Network, layer: str, variables: Variables | None, white: jax.Array
) -> jax.Array:
    """What stands for whitened patches, (n, 6, 6, c), in the codebook: float32 (n, d)."""
    if layer == "kmeans":
        return white.reshape(len(white), -1)
    assert network.activations is not None  # The module has maps.
    assert variables is not None
    inner = network.activations(variables, white)
    return jnp.concatenate([inner[name].reshape(len(white), -1) for name in _names(layer)], axis=1)


def _names(layer: str) -> tuple[str, ...]:
    return ("conv1", "conv2") if layer == "conv1&2" else (layer,)


def codebook(represent, white: np.ndarray, seed: int) -> jax.Array:
    """The codes: centers of k-means on the patches' representation, float32 (1600, d)."""
    blocks = np.array_split(white, max(1, len(white) // 2_000))
    jitted = jax.jit(represent)
    vectors = jnp.concatenate([jitted(jnp.asarray(block)) for block in blocks])
    return kmeans(jax.random.key(seed), vectors, CODES, restarts=1).centroids


def coded(represent, codes: jax.Array, whitening: Whitening, images: np.ndarray) -> np.ndarray:
    """Pictures, uint8 (n, h, w, c), by their patches' activations: float32 (n, 4 x 1600).

    An activation is what a code's distance is below the patch's mean distance, at least 0. Each
    quarter of a picture has the sum over its patches.
    """

    @jax.jit
    def block(pictures):
        n, height, width, channels = pictures.shape
        rows_of = jnp.arange(height - SIZE + 1)[:, None] + jnp.arange(SIZE)
        columns = jnp.arange(width - SIZE + 1)[:, None] + jnp.arange(SIZE)
        # (n, rows of patches, columns of patches, 6, 6, c)
        patches = pictures[:, rows_of[:, None, :, None], columns[None, :, None, :]]
        down, across = patches.shape[1:3]
        flat = patches.reshape(-1, SIZE, SIZE, channels)
        z = represent(whitened(flat, whitening))
        squares = jnp.sum(z**2, axis=1, keepdims=True) - 2 * z @ codes.T + jnp.sum(codes**2, axis=1)
        distances = jnp.sqrt(jnp.maximum(squares, 0.0))
        active = jnp.maximum(jnp.mean(distances, axis=1, keepdims=True) - distances, 0.0)
        active = active.reshape(n, down, across, -1)
        half = (-(-down // 2), -(-across // 2))
        quarters = [
            jnp.sum(active[:, rows_, columns_], axis=(1, 2))
            for rows_ in (slice(None, half[0]), slice(half[0], None))
            for columns_ in (slice(None, half[1]), slice(half[1], None))
        ]
        return jnp.concatenate(quarters, axis=1)

    starts = range(0, len(images), PICTURES)
    return np.concatenate(
        [np.asarray(block(jnp.asarray(images[start : start + PICTURES]))) for start in starts]
    )


def classified(train: tuple[np.ndarray, np.ndarray], test: tuple[np.ndarray, np.ndarray]) -> float:
    """Accuracy on the test pictures of a linear support vector machine.

    Args:
      train: features (n, d) and classes (n,).
      test: features and classes that are not learned from.
    """
    mean = train[0].mean(axis=0)
    # The variance gets .01, as in Coates's code.
    deviation = np.sqrt(train[0].var(axis=0) + 0.01)
    learned = machine((train[0] - mean) / deviation, train[1])
    return float(np.mean(learned.predict((test[0] - mean) / deviation) == test[1]))


def machine(features: np.ndarray, classes: np.ndarray) -> "LinearSVC":
    """The support vector machine, one class against the others (Coates's code).

    With w, whose last entry belongs to a constant 1, and y in -1 and 1 it minimizes
    ``|w|^2 / 2 + COST mean(max(0, 1 - y w.x)^2)``.

    Args:
      features: (n, d), with the mean 0.
      classes: (n,).
    """
    from sklearn.svm import LinearSVC

    # scikit-learn has the sum over pictures where Coates has the mean. Newton's method on the
    # weights themselves converges where coordinates of the dual do not.
    settings = {"loss": "squared_hinge", "dual": False, "random_state": 0}
    return LinearSVC(C=COST / len(features), **settings).fit(features, classes)


def text() -> str:
    """A line for each layer: accuracies by the number of pictures that are learned from.

    It is "" while there are no rows.
    """
    found = rows.read_lines(RESULTS)
    if not found:
        return ""
    heads = [f"{count:,} pictures" for count in TRAIN]
    lines = [["codebook of", "seeds", *heads, "paper, 50,000 pictures"]]
    for layer in LAYERS:
        own = [line for line in found if line["layer"] == layer]
        if own:
            cells = [
                tables.interval([line["accuracy"] for line in own if line["train"] == count])
                for count in TRAIN
            ]
            seeds = len({line["seed"] for line in own})
            lines.append([layer, str(seeds), *cells, f"{PAPER[layer][-1]:.4f}"])
    return tables.aligned(lines)
