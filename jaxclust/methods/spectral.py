"""Spectral clustering of a fixed embedding, such as pixels: rows of JULE's tables 3 and 4.

Three methods differ in the affinities and in what is made of the eigenvectors: Ng, Jordan and Weiss
2001; self-tuning, Zelnik-Manor and Perona 2004; normalized cuts, Shi and Malik 2000. Nothing is
trained. The graph and its eigenvectors draw no random number, and the seeds share them: a seed is
the start of the k-means, or of the discretization, that makes clusters of them.

The papers have affinities of all pairs. Here the graph has the nearest neighbors alone, unless
``graph`` is "full", which at most ``ops.spectral.MOST_FULL`` images can have.
"""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.methods import checks, self_training
from jaxclust.methods.agglomerative import (
    State,
    embed,
    on_host,
    predict,
    schedule,
    unit_features,
)
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import spectral
from jaxclust.ops.assignment import cluster_means
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.neighbor_graph import nearest_neighbors
from jaxclust.ops.rotation import discretized
from jaxclust.types import Algorithm, Key, Method, Network, Variables

if TYPE_CHECKING:
    from scipy import sparse

Assign = Literal["kmeans", "discretize"]
"""What makes clusters of eigenvectors; see ``partition``."""
LEAST_DEGREE = 1e-6
"""Degrees below this part of their mean count as so large, since a row is divided by their root."""
Scale = Literal["global", "local"]
"""Width of the affinities: one for all, or one for each image (Zelnik-Manor, Perona 2004)."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of ``sc-njw``."""

    clusters: int = 10
    """Number of clusters, and of eigenvectors."""
    graph: Literal["neighbors", "full"] = "neighbors"
    """Affinities to the nearest neighbors, or of all pairs (the papers)."""
    n_neighbors: int = 10
    """Nearest neighbors of an image in the graph."""
    scale: Scale = "global"
    """One width for all affinities, or one for each image."""
    a: float = 0.25
    """With the global scale sigma^2 is this times the mean squared distance in the graph. An
    affinity is ``exp(-d^2 / sigma^2)``, where Ng, Jordan and Weiss have 2 sigma^2."""
    scale_neighbor: int = 7
    """With the local scale the neighbor whose distance is an image's scale (Zelnik-Manor, Perona,
    section 2)."""
    rows: Literal["unit", "degrees"] = "unit"
    """Rows of eigenvectors are scaled to unit length (Ng, Jordan, Weiss), or divided by the root of
    the image's degree, which makes generalized eigenvectors (Shi, Malik, eq. 7)."""
    assign: Assign = "kmeans"
    """k-means on the rows, or the discretization of Yu and Shi 2003."""
    restarts: int = 10
    """Starts of k-means; the best counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "n_neighbors", "scale_neighbor", "restarts")
        checks.positive(self, "a")


class Assigns(Protocol):
    """Settings that say how eigenvectors become clusters."""

    @property
    def clusters(self) -> int: ...

    @property
    def assign(self) -> Assign: ...

    @property
    def restarts(self) -> int: ...


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Clusters the embedding, scaled to unit length.

    Raises:
      UsageError: there are fewer than n_neighbors + 1 images, or too many for a full graph.
    """
    arrays = network.init(key) if variables is None else variables
    features = unit_features(network, arrays, images)
    vectors = _vectors(config, features)
    labels = partition(config, key, vectors)
    means = cluster_means(features, labels, config.clusters)
    # Where the eigen-solver failed, so does the seed.
    means = jnp.where(jnp.all(jnp.isfinite(vectors)), means, jnp.nan)
    return State(arrays, labels, means)


def partition(config: Assigns, key: Key, vectors: jax.Array) -> jax.Array:
    """Clusters of the rows of eigenvectors, float32 (n, k); int32 (n,)."""
    if config.assign == "discretize":
        return discretized(key, vectors).labels
    return kmeans(key, vectors, config.clusters, config.restarts).labels


def solved(
    function: Callable[..., np.ndarray], shape: tuple[int, ...], *arrays: jax.Array
) -> jax.Array:
    """What an eigen-solver on the host gives, float32 of a shape; see ``agglomerative.on_host``.

    Where it does not converge, a warning says so and the result is NaN, so that the seeds fail.
    """

    def call(*arrays):
        try:
            return function(*arrays)
        except spectral.NotConverged as error:
            spectral.warn(str(error))
            return np.full(shape, np.nan)

    return on_host(call, jax.ShapeDtypeStruct(shape, jnp.float32), *arrays)


def neighbor_graph(
    squared: np.ndarray, neighbors: np.ndarray, scale: Scale, a: float, scale_neighbor: int
) -> "sparse.csr_array":
    """The symmetric graph of nearest neighbors; arguments as of ``Config`` and ``ops.spectral``."""
    if scale == "local":
        weights = spectral.local_weights(squared, neighbors, scale_neighbor)
    else:
        weights = spectral.gaussian(squared, a * squared.mean(dtype=np.float64))
    return spectral.symmetric(neighbors, weights)


def _vectors(config: Config, features: jax.Array) -> jax.Array:
    """The rows that become clusters, float32 (n, k); NaN where the eigen-solver fails."""
    n = features.shape[0]
    if config.graph == "full":
        if n > spectral.MOST_FULL:
            rule = f"images: must be at most {spectral.MOST_FULL} for a full graph"
            raise UsageError(f"{rule}, got {n}")
        return solved(lambda x: _rows(config, x, _full(config, x)), (n, config.clusters), features)
    squared, neighbors = nearest_neighbors(features, config.n_neighbors)

    def embedding(x, squared, neighbors):
        if not np.isfinite(x).all():
            return np.full((n, config.clusters), np.nan)
        options = (config.scale, config.a, config.scale_neighbor)
        return _rows(config, x, neighbor_graph(squared, neighbors, *options))

    return solved(embedding, (n, config.clusters), features, squared, neighbors)


def _full(config: Config, x: np.ndarray) -> np.ndarray:
    rank = config.scale_neighbor if config.scale == "local" else None
    return spectral.full_affinity(x, config.a, rank)


def _rows(config: Config, x: np.ndarray, graph: "sparse.csr_array | np.ndarray") -> np.ndarray:
    """Rows of the graph's eigenvectors, scaled as the method has them."""
    spectrum = spectral.leading(graph, config.clusters)
    for sentence in spectral.cautions(spectrum, config.clusters):
        spectral.warn(sentence)
    if config.rows == "degrees":
        # An image without edges has no degree to divide by, and keeps its row.
        mean = max(spectrum.degrees.mean(), 1e-300)
        degrees = np.where(spectrum.degrees > 0, spectrum.degrees, mean)
        lengths = np.sqrt(np.maximum(degrees / mean, LEAST_DEGREE))
        generalized = spectrum._replace(vectors=spectrum.vectors / lengths[:, None])
        return spectral.joined(generalized, x).vectors
    vectors = spectral.joined(spectrum, x).vectors
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1), 1e-12)[:, None]


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    None,  # There are no windows, and so no steps.
    embed,
    predict,
    finish=self_training.kept_labels,
    name="spectral",
    centers="means",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="sc-njw",
        kind="spectral",
        about="spectral clustering of pixels (Ng, Jordan, Weiss 2001)",
        reference="Ng, Jordan, Weiss 2001",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(),
        presets={"default": {}, "paper": {"graph": "full", "a": 0.05}, "quick": {}},
    ),
    Method(
        name="sc-st",
        kind="spectral",
        about="self-tuning spectral clustering of pixels, with local scales",
        reference="Zelnik-Manor, Perona 2004",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(scale="local", n_neighbors=8),
        presets={"default": {}, "paper": {"graph": "full"}, "quick": {}},
        caution="on USPS the accuracy of sc-st is below that of k-means on pixels",
    ),
    Method(
        name="n-cuts",
        kind="spectral",
        about="normalized cuts of pixels",
        reference="Shi, Malik 2000",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(a=0.5, rows="degrees"),
        presets={
            "default": {},
            "paper": {"graph": "full", "a": 0.05, "assign": "discretize"},
            "quick": {},
        },
    ),
)
