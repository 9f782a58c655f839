"""CNN-CM: a CNN that is trained on a connection matrix of salient clusters, round by round.

CCNN's paper (Hsu, Lin 2018) compares with it in its tables II and III. Its section II says in two
sentences what it is. A connection matrix lets side information into the training of a CNN, and a
full k-means on the learned features then makes the clusters. In each round here mini-batch k-means
on the features finds clusters. The images nearest to their centroids, the salient ones, are
connected with those of the same cluster and with no others. The CNN is trained until the cosines
between the features are that matrix.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax

from jaxclust import networks
from jaxclust.methods import ccnn, checks, pretraining, self_training
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest
from jaxclust.ops.batches import batch_size, encoded
from jaxclust.ops.kmeans import KMeans, lloyd
from jaxclust.ops.kmeans_minibatch import minibatch_kmeans
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.ops.neighbor_graph import unit
from jaxclust.ops.products import dot
from jaxclust.types import (
    Algorithm,
    Key,
    Method,
    Network,
    Prediction,
    Schedule,
    Variables,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; all are ours, since CCNN's paper says none of them."""

    clusters: int = 10
    """Number of clusters k, which is also the width of the features."""
    rounds: int = 5
    """Rounds of clustering and training."""
    round_epochs: int = 2
    """Passes over the images in a round."""
    salient: float = 0.25
    """Share of each cluster's images, the nearest to its centroid, that are connected."""
    kmeans_batch: int = 256
    """Images in a mini-batch of k-means."""
    kmeans_steps: int = 100
    """Mini-batches of k-means in a round."""
    restarts: int = 4
    """Runs of mini-batch k-means in a round; the best run counts."""
    batch: int = 128
    """Images per step, whose connection matrix the network learns."""
    least_steps: int | None = None
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images.
    None for the batch as it is."""
    optimizer: optimizers.Name = "adam"
    """Adam, or SGD."""
    learning_rate: float = 1e-5
    """Step size."""
    momentum: float = 0.9
    """Momentum of SGD."""
    augment: Augment = "none"
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). The clusters come from the images as they are."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 0, "rounds", "kmeans_steps")
        checks.at_least(self, 1, "round_epochs", "restarts")
        # k-means++ of a run of mini-batch k-means looks at three mini-batches.
        checks.at_least(self, -(-self.clusters // 3), "kmeans_batch")
        checks.positive(self, "salient")
        checks.in_range(self, 0, 1, "salient")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: of the full k-means on the features, float32, (clusters, d).
      labels: of the full k-means, int32, (n,).
      connected: the cluster of each salient image in mini-batch k-means, -1 for the others, int32,
        (n,). Two images are connected where it is the same, and not -1.
      opt_state: the optimizer's arrays for the params.
    """

    variables: Variables
    centroids: jax.Array
    labels: jax.Array
    connected: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the mean of the two terms.
      together: the mean of (1 - cosine)^2 over connected pairs of images.
      apart: the mean of cosine^2 over pairs of salient images that are not connected.
    """

    loss: jax.Array
    together: jax.Array
    apart: jax.Array


class RefreshInfo(NamedTuple):
    """Scalars at the end of a round.

    Attributes:
      changed_pairs: fraction of the pairs of images that were in one cluster and are not now, or
        the other way round, float32. Clusters are numbered anew in each round.
      empty_clusters: number of clusters without an image, int32.
      largest_cluster: share of the images in the largest cluster, float32.
    """

    changed_pairs: jax.Array
    empty_clusters: jax.Array
    largest_cluster: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is a round."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, config.round_epochs * -(-n // batch), config.rounds, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Finds the first clusters.

    Raises:
      UsageError: there are fewer images than clusters.
    """
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = unit(encoded(network, variables, images))
    full, connected = clusters_of(config, kmeans_key, features)
    opt_state = _optimizer(config).init(variables.params)
    return State(variables, full.centroids, full.labels, connected, opt_state)


def clusters_of(config: Config, key: Key, features: jax.Array) -> tuple[KMeans, jax.Array]:
    """Mini-batch k-means, its salient images, and the full k-means from its centroids.

    Args:
      config: the settings.
      key: a typed key, ().
      features: float32, (n, d).

    Returns:
      The full k-means; and the cluster of each salient image in mini-batch k-means, -1 for the
      others, int32 (n,).
    """
    sizes = (config.clusters, config.kmeans_batch, config.kmeans_steps)
    runs = jax.vmap(lambda key: minibatch_kmeans(key, features, *sizes))(
        jax.random.split(key, config.restarts)
    )
    best = jnp.argmin(runs.inertia)
    centroids = runs.centroids[best]
    labels = runs.labels[best]
    distances = jnp.sum(jnp.square(features - centroids[labels]), axis=1)
    chosen = salient(labels, distances, config.clusters, config.salient)
    return lloyd(features, centroids), jnp.where(chosen, labels, -1)


def salient(labels: jax.Array, distances: jax.Array, clusters: int, share: float) -> jax.Array:
    """Whether an image is among the given share of its cluster that is nearest to the centroid.

    Args:
      labels: int32, (n,), in 0..clusters-1.
      distances: squared distances to the centroid, float32, (n,).
      clusters: number of clusters.
      share: of each cluster's images, above 0 and at most 1; a cluster has at least one.

    Returns:
      bool, (n,).
    """
    n = labels.shape[0]
    sizes = jnp.zeros(clusters, jnp.int32).at[labels].add(1)
    first = jnp.cumsum(sizes) - sizes
    numbers = jnp.arange(n, dtype=jnp.int32)
    _, _, order = lax.sort((labels, distances, numbers), num_keys=2, is_stable=True)
    ranks = jnp.zeros(n, jnp.int32).at[order].set(numbers) - first[labels]
    return ranks < jnp.ceil(share * sizes[labels])


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the connection matrix of the batch's salient images."""
    batch = augmented(config.augment, key, batch)
    connected = state.connected[rows]

    def loss(params):
        variables = Variables(params, state.variables.stats)
        features, stats = network.encode(variables, batch, True)
        terms = connection_terms(features, connected)
        total, means = losses.weighted({"together": 0.5, "apart": 0.5}, terms)
        return total, (means, stats)

    params, opt_state, total, (means, stats) = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    state = state._replace(variables=Variables(params, stats), opt_state=opt_state)
    return state, Info(total, **means)


def connection_terms(features: jax.Array, connected: jax.Array) -> dict[str, jax.Array]:
    """The squared differences between the cosines of features and the connection matrix.

    Connected pairs and the others count the same, whatever their numbers. An image is no pair with
    itself.

    Args:
      features: float32, (b, d).
      connected: the cluster of each salient image, -1 for the others, int32, (b,).

    Returns:
      "together", the mean over connected pairs, and "apart", that over the other pairs of salient
      images; float32, (), 0 where there are no such pairs.
    """
    squared = jnp.sum(jnp.square(features), axis=1, keepdims=True)
    # Features that are all 0 have no direction, and the gradient 0.
    rows = jnp.where(squared > 0, features * lax.rsqrt(jnp.where(squared > 0, squared, 1)), 0)
    cosines = dot(rows, rows.T)
    known = connected >= 0
    pairs = known[:, None] & known & ~jnp.eye(connected.shape[0], dtype=bool)
    same = connected[:, None] == connected
    return {
        "together": _mean_where(pairs & same, jnp.square(1 - cosines)),
        "apart": _mean_where(pairs & ~same, jnp.square(cosines)),
    }


def _mean_where(chosen: jax.Array, values: jax.Array) -> jax.Array:
    number = jnp.sum(chosen, dtype=jnp.float32)
    return jnp.sum(jnp.where(chosen, values, 0)) / jnp.maximum(number, 1)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Finds clusters anew in the new features."""
    features = embed(config, network, state, images)
    full, connected = clusters_of(config, key, features)
    pairs = changed_pairs(state.labels, full.labels, config.clusters)
    change = self_training.change(state.labels, full.labels, config.clusters)
    info = RefreshInfo(pairs, change.empty_clusters, change.largest_cluster)
    state = state._replace(centroids=full.centroids, labels=full.labels, connected=connected)
    return state, jnp.bool_(False), info


def changed_pairs(old: jax.Array, new: jax.Array, clusters: int) -> jax.Array:
    """The fraction of all ordered pairs of images on which two clusterings disagree.

    A pair of an image with itself counts, too. It is 1 minus the Rand index of such pairs.

    Args:
      old: int32, (n,), in 0..clusters-1.
      new: int32, (n,), in 0..clusters-1.
      clusters: number of clusters.

    Returns:
      float32, ().
    """
    table = jnp.zeros((clusters, clusters), jnp.float32).at[old, new].add(1) / old.shape[0]
    rows = jnp.sum(jnp.square(jnp.sum(table, axis=1)))
    columns = jnp.sum(jnp.square(jnp.sum(table, axis=0)))
    return jnp.maximum(rows + columns - 2 * jnp.sum(jnp.square(table)), 0)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, scaled to unit length as in the connection matrix, float32 (n, d)."""
    del config
    return unit(encoded(network, state.variables, images))


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid of the full k-means in the embedding."""
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="cnn-cm",
    centers="centroids",
    soft=self_training.student_t,
)

METHODS = (
    Method(
        name="cnn-cm",
        about="CNN with a connection matrix of salient clusters, which CCNN compares with",
        reference="Hsu, Lin 2018, section II",
        algorithm=ALGORITHM,
        network=networks.ccnn,
        config=Config(),
        pretrainer=pretraining.ALGORITHM,
        pretraining=ccnn.PRETRAINING_DEFAULT,
        presets={
            "default": {},
            "paper": {},
            "quick": {"rounds": 2, "pretraining.epochs": 20},
            "random": {"pretraining.epochs": 0},
        },
    ),
)
