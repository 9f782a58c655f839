"""Deep semi-NMF (Trigeorgis, Bousmalis, Zafeiriou, Schuller 2014): NMF-D of JULE's tables.

Images are products of several matrices, of which the one with the weights of the images has no
negative entry. The layers are first made one after the other, each a factorization of the weights
of the layer below, and then all together; ``ops.semi_nmf`` has the formulas. k-means on the weights
of the last layer makes the clusters. All of it is compiled, and many seeds run in one program.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxclust.errors import UsageError
from jaxclust.methods import checks, factors, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import semi_nmf
from jaxclust.ops.assignment import nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import Stopping, kmeans
from jaxclust.ops.neighbor_graph import unit
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables

OF_OTHERS = 100
"""Steps that give the weights of images under known factors."""
FIRST_KMEANS = Stopping(10, 0.0)
"""The k-means from which a layer starts."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of JULE's code."""

    clusters: int = 10
    """Number of clusters."""
    layers: tuple[int, ...] = (160, 160)
    """Width of each layer, at most the number of images (JULE's code: 160 160)."""
    layer_iterations: int = 500
    """Steps of each layer alone (JULE's code: at most 500)."""
    iterations: int = 500
    """Steps of all layers together (JULE's code: at most 500)."""
    start: Literal["random", "kmeans"] = "random"
    """A layer's weights are drawn at random, or are the clusters of k-means, plus .2 (Ding, Li,
    Jordan 2010)."""
    scale: Literal["none", "unit"] = "none"
    """Images as they are, or scaled to unit length."""
    rows: Literal["none", "unit"] = "none"
    """k-means takes the weights as they are, or scaled to unit length."""
    restarts: int = 10
    """Starts of the k-means that makes the clusters; the best counts (JULE's code)."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 0, "layer_iterations")
        checks.at_least(self, 1, "iterations", "restarts")
        if not self.layers or min(self.layers) < 1:
            raise UsageError(f"layers: must be widths of at least 1, got {self.layers}")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      factors: Z_1 to Z_m; Z_i is float32, (width i, width i - 1), where width 0 is that of images.
      weights: H_m, float32, (n, width m).
      labels: int32, (n,).
      centroids: of the clusters, in the weights, float32, (clusters, width m).
    """

    variables: Variables
    factors: tuple[jax.Array, ...]
    weights: jax.Array
    labels: jax.Array
    centroids: jax.Array


class Info(NamedTuple):
    """Scalars of a step, float32.

    Attributes:
      loss: the squared distance of an image to its product, the mean over images, before the step.
    """

    loss: jax.Array


def schedule(config: Config, n: int) -> Schedule:
    """A step is one iteration on all images."""
    return factors.schedule(config.iterations, n)


def _values(config: Config, network: Network, variables: Variables, images: jax.Array) -> jax.Array:
    x = encoded(network, variables, images)
    return unit(x) if config.scale == "unit" else x


def _rows(config: Config, weights: jax.Array) -> jax.Array:
    return unit(weights) if config.rows == "unit" else weights


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes each layer alone.

    Raises:
      UsageError: a layer is wider than there are images.
    """
    network_key, layer_key, label_key = jax.random.split(key, 3)
    arrays = network.init(network_key) if variables is None else variables
    x = _values(config, network, arrays, images)
    n = x.shape[0]
    if max(config.layers) > n:
        raise UsageError(f"layers: must be at most {n} wide for {n} images, got {config.layers}")
    below = x
    made: list[jax.Array] = []
    for width, own_key in zip(
        config.layers, jax.random.split(layer_key, len(config.layers)), strict=True
    ):
        start = _start(config, own_key, below, width)
        below, factor = semi_nmf.fitted(below, start, config.layer_iterations)
        made.append(factor)
    rows = _rows(config, below)
    result = kmeans(label_key, rows, config.clusters, 1)
    return State(arrays, tuple(made), below, result.labels, result.centroids)


def _start(config: Config, key: Key, x: jax.Array, width: int) -> jax.Array:
    if config.start == "random":
        return jax.random.uniform(key, (x.shape[0], width), jnp.float32, 0.01, 1)
    labels = kmeans(key, x, width, 1, FIRST_KMEANS).labels
    return jax.nn.one_hot(labels, width, dtype=jnp.float32) + 0.2


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One iteration of all layers."""
    del key, rows  # The batch has all images in their order.
    x = _values(config, network, state.variables, batch)
    loss = jnp.mean(semi_nmf.loss(x, state.weights, state.factors))
    weights, made = semi_nmf.updated(x, state.weights, state.factors)
    return state._replace(weights=weights, factors=made), Info(loss)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Makes the clusters of the weights; the run does not stop early."""
    del network, images
    rows = _rows(config, state.weights)
    labels, centroids, info = factors.relabeled(config, key, state.labels, rows)
    state = state._replace(labels=labels, centroids=centroids)
    return state, jnp.asarray(False), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Weights of images under the factors, float32 (n, width m)."""
    x = _values(config, network, state.variables, images)
    product = semi_nmf.product(state.factors)
    return _rows(config, semi_nmf.coefficients(x, product, OF_OTHERS))


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid of the weights under the factors.

    Images of the run may be in another cluster, since their own weights come from other steps.
    """
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    finish=self_training.kept_labels,
    name="nmf-deep",
    centers="centroids",
    soft=self_training.student_t,
)

# Chosen on digits and USPS. JULE's layers are wider than digits, which have 64 pixels.
_DEFAULT = Config(layers=(40, 10), layer_iterations=60, iterations=60)

METHODS = (
    Method(
        name="nmf-d",
        kind="factors",
        about="deep semi-NMF of pixels, layer by layer and then together",
        reference="Trigeorgis, Bousmalis, Zafeiriou, Schuller 2014",
        algorithm=ALGORITHM,
        network=pixels,
        config=_DEFAULT,
        presets={
            "default": {},
            "paper": checks.changes(_DEFAULT, Config()),
            "quick": {"layer_iterations": 20, "iterations": 20},
        },
        caution="on digits and USPS the accuracy of nmf-d is below that of k-means on pixels",
    ),
)
