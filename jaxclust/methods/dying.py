"""DEC whose clusters die, which leaves a number of clusters (UNSEEN).

Leiber, Strauß, Schubert, Seidl: Dying Clusters Is All You Need - Deep Clustering With an Unknown
Number of Clusters, ICDM Workshops 2024. DEC starts with more clusters than there may be. After each
pass over the images a cluster dies whose size fell below a share of its first size. The images
that it had at first count from then on for the clusters that they fall to. A second loss pulls
images to their nearest neighbors, and so clusters together. Settings and both losses are those of
the authors' code.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks, pretraining, self_training
from jaxclust.networks.autoencoders import sae
from jaxclust.ops import losses
from jaxclust.ops.assignment import squared_distances
from jaxclust.ops.batches import encoded, epochs_within
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Algorithm, Key, Method, Network, Schedule, Shape, Variables

EMBEDDING = 10
"""Number of features, whatever the number of clusters (authors' code)."""
HIDDEN = (512, 256, 128)
"""Widths of the autoencoder."""


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of the authors' code."""

    clusters: int = 35
    """Number of clusters at the start."""
    threshold: float = 0.5
    """A cluster dies with less than this share of its first size."""
    neighbor_weight: float = 1.0
    """Weight of the loss of nearest neighbors."""
    epochs: int = 150
    """Passes over the images."""
    max_steps: int | None = None
    """Largest number of steps, but at least one pass (ours): large sets need fewer passes. None for
    no limit."""
    batch: int = 256
    """Images per step."""
    learning_rate: float = 1e-4
    """Step size of Adam."""
    restarts: int = 10
    """k-means runs for the first centroids; the best run counts."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "batch", "restarts")
        checks.at_least(self, 0, "epochs")
        if self.max_steps is not None:
            checks.at_least(self, 1, "max_steps")
        checks.positive(self, "learning_rate")
        checks.nonnegative(self, "neighbor_weight")
        checks.in_range(self, 0, 1, "threshold")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: float32, (clusters, d); those of dead clusters stay where they are.
      opt_state: the optimizer's arrays for params and centroids together.
      alive: whether each cluster lives, bool, (clusters,).
      first: the cluster that each image counts for in the first sizes, int32, (n,).
    """

    variables: Variables
    centroids: jax.Array
    opt_state: optax.OptState
    alive: jax.Array
    first: jax.Array


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the total loss.
      clustering: DEC's loss without its weight, the mean over images.
      neighbors: the loss of nearest neighbors without its weight, the mean over images.
    """

    loss: jax.Array
    clustering: jax.Array
    neighbors: jax.Array


class RefreshInfo(NamedTuple):
    """Scalars that describe the clusters.

    Attributes:
      living: number of clusters that live, int32.
    """

    living: jax.Array


def schedule(config: Config, n: int) -> Schedule:
    """A window is a pass over the images, each in a new order."""
    batch = min(config.batch, n)
    steps = math.ceil(n / batch)
    epochs = epochs_within(config.epochs, config.max_steps, steps)
    return Schedule(batch, steps, epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes the first clusters by k-means on the embedding."""
    network_key, centroid_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    centroids = kmeans(centroid_key, features, config.clusters, restarts=config.restarts).centroids
    opt_state = optax.adam(config.learning_rate).init((variables.params, centroids))
    first = _nearest_living(features, centroids, jnp.ones(config.clusters, bool))
    return State(variables, centroids, opt_state, _sizes(first, config.clusters) > 0, first)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on network and centroids.

    The target of DEC's loss comes from the batch.
    """
    del key, rows
    weights = {"clustering": 1.0, "neighbors": config.neighbor_weight}

    def loss(params, centroids):
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        soft = soft_assignment(features, centroids, state.alive)
        terms = {
            "clustering": losses.kl_divergence(_target(soft), soft),
            "neighbors": neighbor_loss(features, state.alive.sum()),
        }
        total, means = losses.weighted(weights, terms)
        return total, (means, stats)

    state, total, means = self_training.update(optax.adam(config.learning_rate), state, loss)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Lets clusters die that have lost too many images."""
    del key
    features = encoded(network, state.variables, images)
    alive, first = deaths(config.threshold, features, state.centroids, state.alive, state.first)
    info = RefreshInfo(alive.sum(dtype=jnp.int32))
    return state._replace(alive=alive, first=first), jnp.asarray(False), info


def deaths(
    threshold: float,
    features: jax.Array,
    centroids: jax.Array,
    alive: jax.Array,
    first: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    """Which clusters live on, and which cluster each image counts for in the first sizes.

    Both sizes sum to the number of images over the clusters that live, so that one of them at least
    has not shrunk, and lives on.

    Args:
      threshold: a cluster dies with less than this share of its first size, or without images.
      features: float32, (n, d).
      centroids: float32, (k, d).
      alive: which clusters live, bool, (k,).
      first: the cluster that each image counts for, one that lives, int32, (n,).

    Returns:
      The same two arrays after this: images that counted for a dead cluster count for the nearest
      one that lives.
    """
    clusters = len(alive)
    sizes = _sizes(_nearest_living(features, centroids, alive), clusters)
    kept = alive & (sizes > 0) & (sizes >= threshold * _sizes(first, clusters))
    later = _nearest_living(features, centroids, kept)
    return kept, jnp.where(kept[first], first, later)


def soft_assignment(features: jax.Array, centroids: jax.Array, alive: jax.Array) -> jax.Array:
    """DEC's soft assignments to the clusters that live, float32 (n, k); 0 for the others.

    Args:
      features: float32, (n, d).
      centroids: float32, (k, d).
      alive: which clusters live, bool, (k,).
    """
    near = jnp.where(alive, 1 / (1 + squared_distances(features, centroids)), 0)
    return near / near.sum(axis=1, keepdims=True)


def neighbor_loss(features: jax.Array, living: jax.Array) -> jax.Array:
    """Mean squared distance to the nearest of a batch, by that between any two of it.

    Args:
      features: of a batch, float32, (n, d), n at least 2.
      living: number of clusters that live, int32, (). Of n images n / living are the nearest,
        rounded down, but one at least. With two clusters or fewer the loss is 0.

    Returns:
      float32, (n,).
    """
    n = len(features)
    distances = squared_distances(features, features)
    others = ~jnp.eye(n, dtype=bool)
    near = jnp.clip(n // jnp.maximum(living, 1), 1, n - 1)
    ranks = jnp.sort(jnp.where(others, jax.lax.stop_gradient(distances), jnp.inf), axis=1)
    farthest = jnp.take(ranks, near - 1, axis=1)[:, None]
    nearest = jnp.where(others & (distances <= farthest), distances, 0).sum(axis=1) / near
    scale = jnp.where(others, distances, 0).sum() / (n * (n - 1))
    return jnp.where(living > 2, nearest / jnp.where(scale > 0, scale, 1), 0)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, float32 (n, 10)."""
    del config
    return encoded(network, state.variables, images)


def finish(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> dict[str, jax.Array]:
    """The nearest cluster that lives."""
    del key
    features = embed(config, network, state, images)
    return {"": _nearest_living(features, state.centroids, state.alive)}


def _network(shape: Shape, embedding: int) -> Network:
    """The autoencoder, as wide whatever the number of clusters."""
    del embedding
    return sae(shape, EMBEDDING, HIDDEN)


def _target(soft: jax.Array) -> jax.Array:
    """DEC's target of a batch; that of a dead cluster is 0."""
    soft = jax.lax.stop_gradient(soft)
    sharp = soft**2 / jnp.maximum(soft.sum(axis=0), jnp.finfo(soft.dtype).tiny)
    return sharp / sharp.sum(axis=1, keepdims=True)


def _nearest_living(features: jax.Array, centroids: jax.Array, alive: jax.Array) -> jax.Array:
    distances = jnp.where(alive, squared_distances(features, centroids), jnp.inf)
    return jnp.argmin(distances, axis=1).astype(jnp.int32)


def _sizes(labels: jax.Array, clusters: int) -> jax.Array:
    return jnp.zeros(clusters, jnp.int32).at[labels].add(1)


ALGORITHM = Algorithm(
    Config, schedule, init, step, embed, refresh=refresh, finish=finish, name="dying"
)
METHOD = Method(
    name="dying",
    about="DEC whose clusters die (UNSEEN, Leiber et al. 2024)",
    reference="Leiber, Strauß, Schubert, Seidl 2024",
    algorithm=ALGORITHM,
    network=_network,
    config=Config(threshold=0.85, max_steps=1500),
    pretrainer=pretraining.ALGORITHM,
    pretraining=pretraining.Config(epochs=100, max_steps=2000),
)
"""It is in no list of methods: ``runs.number`` counts the clusters that live in the end. The
threshold was chosen on digits and USPS (docs/without-labels.md)."""
