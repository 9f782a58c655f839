"""Infinite ensemble clustering (Liu, Shao, Li, Fu 2016): IEC of DBC's tables.

k-means gives many basic partitions of the pixels. Their codes, with a 1 for an image's cluster in
each partition, go through layers of marginalized denoising autoencoders, which stand for infinitely
many more partitions with clusters left out at random. k-means on the features of all layers makes
the clusters. Without layers this is the consensus by co-association k-means (``ops.consensus``).
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxclust.errors import UsageError
from jaxclust.methods import checks, self_training
from jaxclust.methods.agglomerative import schedule
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import consensus, denoising
from jaxclust.ops.assignment import nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.consensus import MOST_COLUMNS, Basic
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Variables

LEAST_CORRUPTION = 1e-3
"""With less than 1e-4 the matrix of a second layer is singular in float32."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; where we know nothing of the paper's, they are ours."""

    clusters: int = 10
    """Number of clusters."""
    partitions: int = 100
    """Basic partitions; fewer where their codes would have more than 5,000 columns."""
    least_clusters: float = 1.0
    """The smallest number of clusters of a basic partition, divided by ``clusters``."""
    most_clusters: float = 2.0
    """The largest number of clusters of a basic partition, divided by ``clusters``."""
    iterations: int = 10
    """Iterations of the k-means of a basic partition."""
    denoised: Literal["codes", "pixels"] = "codes"
    """What goes through the layers: the codes of the partitions, or the pixels, whose features the
    partitions are then made of."""
    layers: int = 1
    """Layers of denoising autoencoders; 0 for none."""
    corruption: float = 0.2
    """Probability with which a value is set to 0, at least .001 where there are layers."""
    linear: bool = False
    """Layers without tanh (the linear version of the paper)."""
    restarts: int = 10
    """Starts of the k-means that makes the clusters; the best counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "partitions", "iterations", "restarts")
        checks.at_least(self, 0, "layers")
        checks.below_one(self, "corruption")
        if self.layers and self.corruption < LEAST_CORRUPTION:
            rule = f"corruption: must be at least {LEAST_CORRUPTION} where there are layers"
            raise UsageError(f"{rule}, got {self.corruption}")
        checks.positive(self, "least_clusters")
        checks.at_least(self, self.least_clusters, "most_clusters")
        if self.sizes[1] > MOST_COLUMNS:
            rule = f"most_clusters: must give at most {MOST_COLUMNS} clusters"
            raise UsageError(f"{rule}, got {self.most_clusters} times {self.clusters}")

    @property
    def sizes(self) -> tuple[int, int]:
        """The smallest and the largest number of clusters of a basic partition, at least 2."""
        least = max(round(self.least_clusters * self.clusters), 2)
        return least, max(round(self.most_clusters * self.clusters), least)


class State(NamedTuple):
    """The result of a run.

    Attributes:
      variables: the network's arrays.
      labels: int32, (n,).
      basic: the centroids of the basic partitions.
      maps: of the layers, float32, (width + 1, width) each.
      centroids: of the clusters, in the features of all layers, float32, (k, features).
    """

    variables: Variables
    labels: jax.Array
    basic: Basic
    maps: tuple[jax.Array, ...]
    centroids: jax.Array


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes the partitions, the layers and the clusters.

    Raises:
      UsageError: there are fewer images than clusters of a basic partition, or too many pixels for
        a denoising autoencoder.
    """
    network_key, basic_key, kmeans_key = jax.random.split(key, 3)
    arrays = network.init(network_key) if variables is None else variables
    x = encoded(network, arrays, images)
    n, d = x.shape
    sizes = config.sizes
    if sizes[1] > n:
        rule = f"images: must be at least {sizes[1]}, the clusters of a basic partition"
        raise UsageError(f"{rule}, got {n}")
    if config.denoised == "pixels" and config.layers and d > MOST_COLUMNS:
        rule = f"images: must have at most {MOST_COLUMNS} values for denoised pixels"
        raise UsageError(f"{rule}, got {d}")
    count = min(config.partitions, MOST_COLUMNS // sizes[1])
    maps: tuple[jax.Array, ...] = ()
    if config.denoised == "pixels":
        maps, x = _layers(config, x)
    basic = consensus.basic(basic_key, x, count, sizes, config.iterations)
    labels = consensus.partitions(basic, x)
    if config.denoised == "pixels" or not config.layers:
        arguments = (labels, sizes[1], config.clusters, config.restarts)
        result = consensus.consensus(kmeans_key, *arguments)
    else:
        maps, rows = _layers(config, consensus.codes(labels, sizes[1]))
        result = kmeans(kmeans_key, rows, config.clusters, config.restarts)
    return State(arrays, result.labels, basic, maps, result.centroids)


def _layers(config: Config, x: jax.Array) -> tuple[tuple[jax.Array, ...], jax.Array]:
    """The maps of the layers, each made of the features below, and the features of all layers."""
    maps = []
    features = []
    for _ in range(config.layers):
        weights = denoising.marginalized(x, config.corruption)
        x = denoising.mapped(x, weights, config.linear)
        maps.append(weights)
        features.append(x)
    return tuple(maps), jnp.concatenate(features, axis=1) if features else x


def _mapped(config: Config, maps: tuple[jax.Array, ...], x: jax.Array) -> jax.Array:
    """The features of all layers, as ``_layers`` gives them."""
    features = []
    for weights in maps:
        x = denoising.mapped(x, weights, config.linear)
        features.append(x)
    return jnp.concatenate(features, axis=1) if features else x


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """What the last k-means clusters, float32 (n, features)."""
    x = encoded(network, state.variables, images)
    if config.denoised == "pixels":
        x = _mapped(config, state.maps, x)
    rows = consensus.codes(consensus.partitions(state.basic, x), state.basic.centroids.shape[1])
    return _mapped(config, state.maps, rows) if config.denoised == "codes" else rows


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid, for images of the run and others."""
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,  # There are no windows, and so no steps.
    embed,
    predict,
    finish=self_training.kept_labels,
    name="infinite-ensemble",
    centers="centroids",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="iec",
        kind="ensemble",
        about="infinite ensemble clustering of pixels, by denoised codes of many partitions",
        reference="Liu, Shao, Li, Fu 2016",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(),
    ),
)
