"""k-means on a deep autoencoder that is pretrained layer by layer, and AEC, which trains it on.

Song, Liu, Huang, Wang, Tan: Auto-encoder Based Data Clustering, CIARP 2013. An autoencoder learns
to reconstruct its images and to bring their features near to the centroids of their clusters, both
at once. After each pass the centroids become the means of their clusters, and then each image goes
to its nearest centroid.
"""

import dataclasses
from functools import partial
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import (
    checks,
    dcec,
    pretraining_layerwise,
    self_training,
    start_values,
)
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import tied_sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import cluster_means, means_or, nearest_centroid
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import (
    Algorithm,
    Key,
    Method,
    Network,
    Schedule,
    Variables,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; "authors' code" is their MATLAB code for MNIST."""

    clusters: int = 10
    """Number of clusters k, which is also the width of the embedding (authors' code)."""
    clustering_weight: float = 0.1
    """Weight of the squared distance to an image's centroid, lambda (authors' code: .1)."""
    terms: start_values.Terms = "relative"
    """Each term is divided by its value at the start (ours), or is the sum over pixels or
    features (paper)."""
    epochs: int = 60
    """Passes over the images (authors' code: 60)."""
    start: Literal["kmeans", "random"] = "kmeans"
    """The first labels: of k-means on the features (ours), or at random, the same number of images
    for each cluster (authors' code)."""
    restarts: int = 10
    """k-means runs for the first labels; the best run counts (ours)."""
    tolerance: float = 0.0
    """Stop once less than this fraction of the labels changed in an epoch (ours); 0 never stops."""
    batch: int = 256
    """Images per step (ours; authors' code: 1,000)."""
    least_steps: int | None = 32
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images
    (ours). None for the batch as it is."""
    optimizer: optimizers.Name = "adam"
    """Adam (ours; authors' code: conjugate gradients, three line searches a batch)."""
    learning_rate: float = 1e-4
    """Step size (ours)."""
    momentum: float = 0.9
    """Momentum of SGD (ours)."""
    augment: Augment = "none"
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). Labels and centroids come from the images as they are."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 0, "epochs")
        checks.at_least(self, 1, "restarts")
        checks.nonnegative(self, "clustering_weight")
        checks.in_range(self, 0, 1, "tolerance")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


class Units(NamedTuple):
    """What each term of the loss is divided by, float32.

    Attributes:
      reconstruction: its value at the start, or 1.
      clustering: its value at the start, or 1.
    """

    reconstruction: jax.Array
    clustering: jax.Array


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: c, float32, (clusters, d).
      labels: the cluster of each image at the end of the last epoch, int32, (n,).
      units: what each term of the loss is divided by.
      opt_state: the optimizer's arrays for the params.
    """

    variables: Variables
    centroids: jax.Array
    labels: jax.Array
    units: Units
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the total loss.
      reconstruction: the squared error, summed over pixels, the mean over images.
      clustering: the squared distance to the centroid, the mean over images.
    """

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes the first labels, and centroids as the means of their features.

    Raises:
      UsageError: the network has no decoder, or there are fewer images than clusters.
    """
    reconstruct = checks.decoder(network, "aec")
    network_key, label_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    if len(images) < config.clusters:
        raise UsageError(f"images: must be at least {config.clusters}, got {len(images)}")
    if config.start == "kmeans":
        found = kmeans(label_key, features, config.clusters, config.restarts)
        labels = found.labels
        centroids = found.centroids
    else:
        numbers = jnp.arange(features.shape[0], dtype=jnp.int32) % config.clusters
        labels = jax.random.permutation(label_key, numbers)
        centroids = cluster_means(features, labels, config.clusters)
    units = Units(jnp.float32(1), jnp.float32(1))
    if config.terms == "relative":
        distance = jnp.mean(_distances(features, centroids[labels]))
        units = Units(
            start_values.reconstruction(reconstruct, variables, images),
            start_values.positive(distance),
        )
    opt_state = _optimizer(config).init(variables.params)
    return State(variables, centroids, labels, units, opt_state)


def _distances(features: jax.Array, centers: jax.Array) -> jax.Array:
    return jnp.sum(jnp.square(features - centers), axis=1)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the network; labels and centroids stay."""
    reconstruct = checks.decoder(network, "aec")
    inputs = augmented(config.augment, key, batch)
    target = scaled(inputs)
    centers = state.centroids[state.labels[rows]]
    weights = {
        "reconstruction": 1 / state.units.reconstruction,
        "clustering": config.clustering_weight / state.units.clustering,
    }

    def loss(params):
        variables = Variables(params, state.variables.stats)
        output, features, stats = reconstruct(variables, inputs, True)
        error = start_values.summed_error(output, target)
        distance = _distances(features, centers)
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": distance})
        return total, (means, stats)

    params, opt_state, total, (means, stats) = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    state = state._replace(variables=Variables(params, stats), opt_state=opt_state)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Makes the centroids the means of their clusters, and then finds the nearest centroids.

    A cluster without images keeps its centroid. The run stops when less than ``tolerance`` of the
    labels changed.
    """
    del key
    features = self_training.embed(config, network, state, images)
    centroids = means_or(features, state.labels, state.centroids)
    labels = nearest_centroid(features, centroids)
    info = self_training.change(state.labels, labels, config.clusters)
    state = state._replace(centroids=centroids, labels=labels)
    return state, info.changed < config.tolerance, info


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    self_training.embed,
    self_training.nearest_centroids,
    refresh=refresh,
    name="aec",
    centers="centroids",
    soft=self_training.student_t,
)

_DEFAULT = Config(clustering_weight=1.0, epochs=30)
_PAPER = Config(terms="plain", start="random", batch=1000, least_steps=None)

METHODS = (
    Method(
        name="dae-kmeans",
        kind="features",
        about="k-means on a deep autoencoder pretrained layer by layer",
        reference="Li et al. 2017, table 3",
        algorithm=dcec.KMEANS,
        network=tied_sae,
        config=dcec.Config(max_steps=0),
        pretrainer=pretraining_layerwise.ALGORITHM,
        pretraining=pretraining_layerwise.DEFAULT,
        presets={
            "default": {},
            "paper": pretraining_layerwise.PAPER,
            "quick": {"pretraining.epochs": 5},
        },
    ),
    Method(
        name="aec",
        about="Autoencoder based clustering (Song et al. 2013)",
        reference="Song, Liu, Huang, Wang, Tan 2013",
        algorithm=ALGORITHM,
        network=partial(tied_sae, hidden=(1000, 250, 50)),
        config=_DEFAULT,
        pretrainer=pretraining_layerwise.ALGORITHM,
        pretraining=pretraining_layerwise.DEFAULT,
        presets={
            "default": {},
            "paper": {**checks.changes(_DEFAULT, _PAPER), **pretraining_layerwise.PAPER},
            "quick": {"epochs": 10, "pretraining.epochs": 5},
        },
    ),
)
