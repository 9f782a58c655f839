"""Locality preserving non-negative factors (Cai, He, Wang, Bao, Han 2009): NMF-LP of JULE's tables.

Each image is near to a sum of k parts with weights of at least 0, and images that are neighbors
should have similar weights; ``ops.nmf`` has the objective and its steps. k-means on the weights
makes the clusters.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp

from jaxclust.methods import checks, factors, self_training
from jaxclust.methods.factors import Signed
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import pixels
from jaxclust.ops import nmf
from jaxclust.ops.assignment import cluster_means, nearest
from jaxclust.ops.batches import encoded
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.neighbor_graph import nearest_neighbors, unit
from jaxclust.ops.nmf import Edges
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables

OF_OTHERS = 30
"""Steps that give the weights of images under known parts."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of the authors' code, but for ``iterations``."""

    clusters: int = 10
    """Number of clusters, and of parts."""
    locality: float = 100.0
    """lambda, the weight of the graph (authors' code: 100); 0 is the factorization of Lee and
    Seung."""
    n_neighbors: int = 5
    """Neighbors of an image in the graph, those with the largest cosine."""
    iterations: int = 100
    """Steps of both factors (JULE's code: 50)."""
    start: Literal["random", "kmeans"] = "random"
    """Both factors are drawn at random, or come from k-means."""
    weight: Literal["equal", "cut"] = "equal"
    """Images count the same, or by the inverse of their product with the sum of all images (the
    authors' NCW)."""
    signed: Signed = "refuse"
    """Values below 0 are refused, or each value is split into its positive and its negative part
    (ours)."""
    restarts: int = 10
    """Starts of the k-means that makes the clusters; the best counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "n_neighbors", "iterations", "restarts")
        checks.nonnegative(self, "locality")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      parts: U, columns sum to 1, float32, (d, k).
      weights: V, the weights of the parts in each image, float32, (n, k).
      importance: how much each image counts, float32, (n,), with the mean 1.
      edges: the graph; one edge without weight for each image where ``locality`` is 0.
      labels: int32, (n,).
      centroids: means of the clusters in the weights without a graph, which new images have too,
        scaled to unit length; float32, (k, k).
    """

    variables: Variables
    parts: jax.Array
    weights: jax.Array
    importance: jax.Array
    edges: Edges
    labels: jax.Array
    centroids: jax.Array


class Info(NamedTuple):
    """Scalars of a step, float32.

    Attributes:
      loss: the objective, the mean over images, before the step.
      divergence: of the images from their sums of parts, as it counts in the objective.
      roughness: how far neighbors' weights differ, without the factor lambda.
    """

    loss: jax.Array
    divergence: jax.Array
    roughness: jax.Array


def schedule(config: Config, n: int) -> Schedule:
    """A step is one iteration on all images."""
    return factors.schedule(config.iterations, n)


def _values(config: Config, network: Network, variables: Variables, images: jax.Array) -> jax.Array:
    return factors.parts(encoded(network, variables, images), config.signed)


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes the graph and the first factors.

    Raises:
      UsageError: there are fewer than n_neighbors + 1 images, or the network is not pixels and
        ``signed`` does not split its values.
    """
    factors.check_network(network, images, config.signed)
    network_key, part_key, weight_key, label_key = jax.random.split(key, 4)
    arrays = network.init(network_key) if variables is None else variables
    x = _values(config, network, arrays, images)
    n, d = x.shape
    if config.locality > 0:
        edges = graph(x, config.n_neighbors)
    else:
        edges = Edges(jnp.zeros((n, 1), jnp.int32), jnp.zeros((n, 1), jnp.float32))
    if config.start == "random":
        parts = jax.random.uniform(part_key, (d, config.clusters), jnp.float32, 0.01, 1)
        weights = jax.random.uniform(weight_key, (n, config.clusters), jnp.float32, 0.01, 1)
    else:
        start = kmeans(part_key, x, config.clusters, 1)
        parts = jnp.maximum(start.centroids.T, 0) + 1e-3
        weights = jax.nn.one_hot(start.labels, config.clusters, dtype=jnp.float32) + 0.2
    parts = parts / jnp.sum(parts, axis=0)
    # Each image's weights sum to the sum of its values, as they do at the end.
    weights = weights * (jnp.sum(x, axis=1) / jnp.sum(weights, axis=1))[:, None]
    result = kmeans(label_key, unit(weights), config.clusters, 1)
    importance = _importance(config, x)
    return State(arrays, parts, weights, importance, edges, result.labels, result.centroids)


def graph(x: jax.Array, n_neighbors: int) -> Edges:
    """The edges to the neighbors with the largest cosine.

    All weigh 1, but those of images without light, which have no direction: they weigh 0.

    Args:
      x: values, float32, (n, d).
      n_neighbors: edges from each image.
    """
    _, neighbors = nearest_neighbors(unit(x), n_neighbors)
    lit = jnp.any(x != 0, axis=1)
    weights = (lit[:, None] & lit[neighbors]).astype(jnp.float32)
    return Edges(neighbors, weights)


def _importance(config: Config, x: jax.Array) -> jax.Array:
    if config.weight == "equal":
        return jnp.ones(x.shape[0], jnp.float32)
    sums = x @ jnp.sum(x, axis=0)
    # An image without light has no product, and counts like the mean of all.
    inverse = jnp.where(sums > 0, jnp.mean(sums) / jnp.maximum(sums, nmf.LEAST), 1)
    return inverse / jnp.mean(inverse)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One iteration: the weights, and then the parts."""
    del key, rows  # The batch has all images in their order.
    x = _values(config, network, state.variables, batch)
    of_images = state.importance * nmf.divergence(x, state.parts, state.weights)
    divergence = jnp.mean(of_images)
    roughness = nmf.roughness(state.edges, state.weights) / x.shape[0]
    edges = state.edges if config.locality > 0 else None
    weights = nmf.updated_v(x, state.parts, state.weights, state.importance, edges, config.locality)
    parts = nmf.updated_u(x, state.parts, weights, state.importance)
    info = Info(divergence + config.locality * roughness, divergence, roughness)
    return state._replace(parts=parts, weights=weights), info


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Makes the clusters of the weights; the run does not stop early."""
    rows = unit(state.weights)
    labels, _, info = factors.relabeled(config, key, state.labels, rows)
    own = embed(config, network, state, images)
    state = state._replace(labels=labels, centroids=cluster_means(own, labels, config.clusters))
    return state, jnp.asarray(False), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Weights of the parts without a graph, scaled to unit length; float32 (n, k)."""
    x = _values(config, network, state.variables, images)
    return unit(nmf.coefficients(x, state.parts, OF_OTHERS))


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The cluster whose mean in the weights without a graph is nearest.

    Images of the run may be in another cluster, since their neighbors had a say in their weights.
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
    name="nmf-locality",
    centers="centroids",
    soft=self_training.student_t,
    check_values=factors.check_values,
)

METHODS = (
    Method(
        name="nmf-lp",
        kind="factors",
        about="locality preserving non-negative factors of pixels",
        reference="Cai, He, Wang, Bao, Han 2009",
        algorithm=ALGORITHM,
        network=pixels,
        config=Config(locality=10.0),
        presets={
            "default": {},
            # The row of JULE's table: its code has no graph.
            "paper": {"locality": 0, "iterations": 50, "weight": "cut"},
            "quick": {"iterations": 40},
        },
    ),
)
