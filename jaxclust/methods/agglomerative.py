"""Agglomerative clustering of a fixed embedding, such as pixels: the AC rows of JULE's tables 3, 4.

Nothing is trained and nothing is random. ``init`` is the whole run, and every seed gives the same.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.methods import checks, self_training
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops.assignment import cluster_means, nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.graph_linkage import merge, no_merges
from jaxclust.ops.linkage import MOST_SAMPLES, average_linkage
from jaxclust.ops.neighbor_graph import first_numbered, initial_clusters, knn_digraph, unit
from jaxclust.ops.path_linkage import merge_paths
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are the graph degree linkage of JULE's table 3."""

    clusters: int = 10
    """Number of clusters."""
    linkage: Literal["gdl", "average", "path", "zeta"] = "gdl"
    """Graph degree linkage, average linkage, linkage by path integral, or by zeta function."""
    n_neighbors: int = 20
    """Nearest neighbors of a sample in the graph (JULE, table 2); average linkage has no graph."""
    a: float = 1.0
    """Scale of sigma^2 (JULE, table 2)."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "n_neighbors")
        checks.positive(self, "a")


class State(NamedTuple):
    """The result of a run.

    Attributes:
      variables: the network's arrays.
      labels: int32, (n,).
      means: mean features of the clusters, float32, (k, d).
    """

    variables: Variables
    labels: jax.Array
    means: jax.Array


def schedule(config: Config, n: int) -> Schedule:
    """There are no windows."""
    del config
    return Schedule(min(1, n), 1, 0, "sequential")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Clusters the embedding, scaled to unit length.

    Raises:
      UsageError: there are fewer than n_neighbors + 1 images, or too many for average linkage.
    """
    arrays = network.init(key) if variables is None else variables
    features = unit_features(network, arrays, images)
    labels = _labels(config, features)
    return State(arrays, labels, cluster_means(features, labels, config.clusters))


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The embedding, scaled to unit length; float32 (n, d)."""
    del config
    return unit_features(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest cluster mean.

    Images of the run may have been put into another cluster than the one with the nearest mean.
    """
    return nearest(embed(config, network, state, images), state.means)


def unit_features(network: Network, variables: Variables, images: jax.Array) -> jax.Array:
    """The embedding of images with each row scaled to unit length, float32 (n, d)."""
    return unit(encoded(network, variables, images))


def _labels(config: Config, features: jax.Array) -> jax.Array:
    """The clusters of features of unit length, float32 (n, d); int32 (n,)."""
    n = features.shape[0]
    linkage = config.linkage
    result = jax.ShapeDtypeStruct((n,), jnp.int32)
    if linkage == "average":
        if n > MOST_SAMPLES:
            raise UsageError(f"images: must be at most {MOST_SAMPLES} for average linkage, got {n}")
        return on_host(lambda x: average_linkage(x, config.clusters), result, features)
    graph = knn_digraph(features, config.n_neighbors, config.a)
    initial = initial_clusters(graph)
    if linkage == "gdl":
        return first_numbered(merge(graph, initial, config.clusters, no_merges(n))[0])

    def merged(neighbors, weights, labels):
        return merge_paths(neighbors, weights, labels, config.clusters, linkage)

    return on_host(merged, result, graph.neighbors, graph.weights, initial)


def on_host(
    function: Callable[..., np.ndarray], result: jax.ShapeDtypeStruct, *arrays: jax.Array
) -> jax.Array:
    """Calls a function of NumPy arrays from a compiled program.

    Seeds that run one after the other, or together, share one call where their arrays are the same.

    Args:
      function: gives an array of the result's shape.
      result: shape and dtype of what comes back.
      arrays: the function's arguments.
    """

    def call(*arrays):
        return np.asarray(function(*map(np.asarray, arrays)), result.dtype)

    return jax.pure_callback(call, result, *arrays, vmap_method="sequential")


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,  # There are no windows, and so no steps.
    embed,
    predict,
    finish=self_training.kept_labels,
    name="linkage",
    deterministic=True,
    centers="means",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="ac-link",
        kind="linkage",
        about="average linkage on pixels",
        reference="Yang, Parikh, Batra 2016, table 3",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(linkage="average"),
        caution="on digits, USPS and COIL-20 ac-link scores below k-means on pixels",
    ),
    Method(
        name="ac-gdl",
        kind="linkage",
        about="graph degree linkage on pixels (Zhang et al. 2012)",
        reference="Zhang, Wang, Zhao, Tang 2012",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(linkage="gdl"),
    ),
    Method(
        name="ac-pic",
        kind="linkage",
        about="linkage by path integral on pixels (Zhang et al. 2013)",
        reference="Zhang, Zhao, Wang 2013",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(linkage="path"),
    ),
    Method(
        name="ac-zell",
        kind="linkage",
        about="linkage by zeta function on pixels (Zhao and Tang 2008)",
        reference="Zhao, Tang 2008",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(linkage="zeta"),
    ),
)
