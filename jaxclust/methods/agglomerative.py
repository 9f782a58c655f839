"""Agglomerative clustering of a fixed embedding, such as pixels: the AC- rows of JULE's tables 3 and 4.

Nothing is trained and nothing random: a run is its ``init``, the same for every seed.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops.assignment import cluster_means, nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.graph_linkage import merge, no_merges
from jaxclust.ops.linkage import MOST_SAMPLES, average_linkage, merge_paths
from jaxclust.ops.neighbor_graph import first_numbered, initial_clusters, knn_digraph, unit
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: graph degree linkage as JULE's table 3 runs it, on features of unit length."""

    clusters: int = 10
    """Number of clusters."""
    linkage: Literal["gdl", "average", "path", "zeta"] = "gdl"
    """Graph degree linkage, average linkage, path integral, zeta function."""
    n_neighbors: int = 20
    """Nearest neighbours in the graph (JULE, table 2); average linkage has none."""
    a: float = 1.0
    """Scale of sigma^2 (JULE, table 2)."""

    def __post_init__(self):
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if self.linkage not in ("gdl", "average", "path", "zeta"):
            raise UsageError(f"linkage: must be gdl, average, path or zeta, got {self.linkage!r}")
        if self.n_neighbors < 1:
            raise UsageError(f"n_neighbors: must be at least 1, got {self.n_neighbors}")
        if not 0 < self.a < math.inf:
            raise UsageError(f"a: must be above 0 and finite, got {self.a}")


class State(NamedTuple):
    """The network's arrays, labels int32 (n,), and the clusters' means float32 (k, d)."""

    variables: Variables
    labels: jax.Array
    means: jax.Array


def schedule(config: Config, n: int) -> Schedule:
    """No windows."""
    del config
    return Schedule(min(1, n), 1, 0, "sequential")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """The clustering of the embedding, scaled to unit length.

    Raises:
      ValueError: fewer than n_neighbors + 1 images, or too many for average linkage.
    """
    variables = network.init(key) if variables is None else variables
    features = _features(network, variables, images)
    n = features.shape[0]
    if config.linkage == "average":
        if n > MOST_SAMPLES:
            raise UsageError(f"images: must be at most {MOST_SAMPLES} for average linkage, got {n}")
        labels = _on_host(lambda x: average_linkage(x, config.clusters), n, features)
    else:
        graph = knn_digraph(features, config.n_neighbors, config.a)
        initial = initial_clusters(graph)
        if config.linkage == "gdl":
            labels = first_numbered(merge(graph, initial, config.clusters, no_merges(n))[0])
        else:
            arguments = (graph.neighbors, graph.weights, initial)
            labels = _on_host(
                lambda *these: merge_paths(*these, config.clusters, config.linkage), n, *arguments
            )
    return State(variables, labels, cluster_means(features, labels, config.clusters))


def finish(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> dict[str, jax.Array]:
    """The labels, int32 (n,)."""
    del config, network, key, images
    return {"": state.labels}


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The embedding, of unit length; float32 (n, d)."""
    del config
    return _features(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest cluster mean, also for images of the run, which may belong to another cluster."""
    return nearest(embed(config, network, state, images), state.means)


def _on_host(function, n, *arrays) -> jax.Array:
    """``function`` of NumPy arrays, called from a compiled program; int32 (n,)."""

    def call(*arrays):
        return np.asarray(function(*map(np.asarray, arrays)), np.int32)

    return jax.pure_callback(
        call, jax.ShapeDtypeStruct((n,), jnp.int32), *arrays, vmap_method="sequential"
    )


def _features(network: Network, variables: Variables, images: jax.Array) -> jax.Array:
    features = encoded(network, variables, images)
    return unit(features)


# There are no windows and so no steps: init is the whole run.
ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,
    embed,
    predict,
    finish=finish,
    name="linkage",
    deterministic=True,
)

METHODS = (
    Method(
        "ac-link",
        "average linkage on pixels",
        "Yang, Parikh, Batra 2016, table 3",
        ALGORITHM,
        pixels,
        Config(linkage="average"),
    ),
    Method(
        "ac-gdl",
        "graph degree linkage on pixels (Zhang et al. 2012)",
        "Zhang, Wang, Zhao, Tang 2012",
        ALGORITHM,
        pixels,
        Config(linkage="gdl"),
    ),
    Method(
        "ac-pic",
        "linkage by path integral on pixels (Zhang et al. 2013)",
        "Zhang, Zhao, Wang 2013",
        ALGORITHM,
        pixels,
        Config(linkage="path"),
    ),
    Method(
        "ac-zell",
        "linkage by zeta function on pixels (Zhao and Tang 2008)",
        "Zhao, Tang 2008",
        ALGORITHM,
        pixels,
        Config(linkage="zeta"),
    ),
)
