"""Spectral embedded clustering (Nie, Zeng, Tsang, Xu, Zhang 2011): SEC of DCEC's table 1.

Eigenvectors of a graph that are also near to a linear function of the pixels; ``ops.embedded`` has
the problem and its solution. The linear function places new images.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.methods import checks, self_training
from jaxclust.methods.agglomerative import schedule, unit_features
from jaxclust.methods.spectral import Assign, Scale, neighbor_graph, partition, solved
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import spectral
from jaxclust.ops.assignment import cluster_means, nearest
from jaxclust.ops.embedded import check_size, embedded
from jaxclust.ops.neighbor_graph import nearest_neighbors
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the paper takes mu and gamma from a grid for each data set."""

    clusters: int = 10
    """Number of clusters, and of eigenvectors."""
    n_neighbors: int = 10
    """Nearest neighbors of an image in the graph."""
    scale: Scale = "global"
    """One width for all affinities, or one for each image."""
    a: float = 0.5
    """With the global scale sigma^2 is this times the mean squared distance in the graph, as in
    ``methods.spectral``."""
    scale_neighbor: int = 7
    """With the local scale the neighbor whose distance is an image's scale."""
    mu: float = 1e-3
    """Weight of the distance to a linear function; 0 leaves the graph alone."""
    gamma: float = 1e-4
    """Weight of the ridge for each image: the paper's gamma is this times their number."""
    assign: Assign = "discretize"
    """The discretization of Yu and Shi 2003, or k-means on the rows."""
    restarts: int = 10
    """Starts of k-means; the best counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "n_neighbors", "scale_neighbor", "restarts")
        checks.positive(self, "a", "gamma")
        checks.nonnegative(self, "mu")


class State(NamedTuple):
    """The result of a run.

    Attributes:
      variables: the network's arrays.
      labels: int32, (n,).
      weights: of the linear function, float32, (d + 1, k); the last row is the constant.
      centroids: means of the clusters under it, float32, (k, k).
    """

    variables: Variables
    labels: jax.Array
    weights: jax.Array
    centroids: jax.Array


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Clusters the embedding, scaled to unit length.

    Raises:
      UsageError: there are fewer than n_neighbors + 1 images, or so many of so many pixels that
        the regression cannot be held.
    """
    arrays = network.init(key) if variables is None else variables
    features = unit_features(network, arrays, images)
    n, d = features.shape
    check_size(n, d)
    squared, neighbors = nearest_neighbors(features, config.n_neighbors)

    def solve(x, squared, neighbors):
        if not np.isfinite(x).all():
            return np.full((n + d + 1, config.clusters), np.nan)
        options = (config.scale, config.a, config.scale_neighbor)
        graph = neighbor_graph(squared, neighbors, *options)
        count = spectral.count_components(graph)
        if count > config.clusters:
            rule = f"the graph has {count} connected components, which are more than"
            spectral.warn(f"{rule} {config.clusters} clusters: a small one may take a cluster")
        found = embedded(graph, x, config.clusters, config.mu, config.gamma * n)
        # Entries of unit size, whatever the number of images.
        return np.concatenate([found.f, found.w, found.b[None]]) * np.sqrt(n)

    rows = solved(solve, (n + d + 1, config.clusters), features, squared, neighbors)
    labels = partition(config, key, rows[:n])
    weights = rows[n:]
    return State(arrays, labels, weights, _means(features, weights, labels, config.clusters))


def _means(x: jax.Array, weights: jax.Array, labels: jax.Array, clusters: int) -> jax.Array:
    means = cluster_means(_linear(x, weights), labels, clusters)
    return jnp.where(jnp.all(jnp.isfinite(weights)), means, jnp.nan)


def _linear(x: jax.Array, weights: jax.Array) -> jax.Array:
    return x @ weights[:-1] + weights[-1]


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The linear function of the images, which is near to their eigenvectors; float32 (n, k)."""
    del config
    return _linear(unit_features(network, state.variables, images), state.weights)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The cluster whose mean under the linear function is nearest.

    Images of the run may be in another cluster, since their own eigenvectors made the clusters.
    """
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,  # There are no windows, and so no steps.
    embed,
    predict,
    finish=self_training.kept_labels,
    name="spectral-embedded",
    centers="centroids",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="sec",
        kind="spectral",
        about="spectral embedded clustering of pixels",
        reference="Nie, Zeng, Tsang, Xu, Zhang 2011",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(),
    ),
)
