"""DCN: a deep clustering network with k-means in its embedding.

Yang, Fu, Sidiropoulos, Hong: Towards K-means-friendly Spaces: Simultaneous Deep Learning and
Clustering, ICML 2017. Algorithm 1 does three things for each mini-batch. It makes a step of SGD
on the network towards reconstruction and the fixed centroids (eq. 11). It finds the nearest
centroids under the new network (eq. 8). It moves the centroids, sample by sample, at a rate of
1 / count (eq. 12). The paper's lambda / 2 is ``clustering_weight`` here, as in the authors' code.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks, pretraining_layerwise, renewals, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import tied_sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest_centroid
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.kmeans_minibatch import running_means
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import (
    NEW,
    Algorithm,
    Key,
    Method,
    Network,
    Schedule,
    Variables,
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of the authors' code for MNIST."""

    clusters: int = 10
    """Number of clusters k, which is also the width of the embedding (authors' code)."""
    clustering_weight: float = 1.0
    """Weight of the squared distance to a sample's centroid (beta in the authors' code)."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstruction (lbd in the authors' code)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """The squared error is averaged over inputs, or summed (eq. 9)."""
    epochs: int = 50
    """Passes over the images (authors' code)."""
    counts: int = 100
    """Number of samples that each centroid counts as seen before the first (authors' code)."""
    restarts: int = 10
    """k-means runs for the initial centroids; the best run counts (authors' code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "sgd"
    """SGD (section 4.1)."""
    learning_rate: float = 6.5e-4
    """Step size: a quarter of the authors', as in the pretraining of all layers together
    (``pretraining_layerwise.Config``)."""
    momentum: float = 0.9
    """Momentum of SGD (authors' code)."""
    nesterov: bool = True
    """SGD's momentum in Nesterov's form (authors' code)."""
    bias_rate: float = 2 / 5.1**2
    """SGD's step size for biases, divided by that for weights (authors' code: 2 on pixels times
    5.1)."""
    least_steps: int | None = dataclasses.field(default=None, metadata=NEW)
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images
    (ours). None for the batch as it is."""
    tolerance: float = dataclasses.field(default=0.0, metadata=NEW)
    """Stop once less than this fraction of the labels changed in an epoch (ours);
    0 never stops."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA). Labels and centroids come from the images as they are."""
    start: renewals.Start = dataclasses.field(default="kmeans", metadata=NEW)
    """The initial centroids: k-means on the embedding, or graph degree linkage (ours)."""
    graph_windows: int | None = dataclasses.field(default=None, metadata=NEW)
    """Number of epochs after which graph degree linkage makes the centroids anew (ours); None for
    never."""
    reset_epochs: int | None = dataclasses.field(default=None, metadata=NEW)
    """Epochs after which the weights are partly drawn anew (BRB has 20), at most a quarter of the
    run; None for never."""
    reset_share: float = dataclasses.field(default=0.2, metadata=NEW)
    """Share of the weights that a reset draws anew (BRB)."""

    def __post_init__(self):
        optimizers.check(self)
        renewals.check(self, self.epochs)
        optimizers.check_bias_rate(self.bias_rate)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 0, "epochs", "counts")
        checks.at_least(self, 1, "restarts")
        checks.nonnegative(self, "clustering_weight", "reconstruction_weight")
        checks.in_range(self, 0, 1, "tolerance")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: M, float32, (clusters, d).
      counts: number of samples that each centroid has seen, int32, (clusters,).
      labels: s, the centroid of each sample when it was last seen, int32, (n,).
      before: the labels at the end of the epoch before, int32, (n,).
      opt_state: the optimizer's arrays for the params.
      windows: number of epochs so far, int32; None where nothing depends on it.
    """

    variables: Variables
    centroids: jax.Array
    counts: jax.Array
    labels: jax.Array
    before: jax.Array
    opt_state: optax.OptState
    windows: jax.Array | None = None


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the total loss.
      reconstruction: the reconstruction loss without its weight, the mean over images.
      clustering: the clustering loss without its weight, the mean over images.
    """

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(
        config.optimizer, config.learning_rate, config.momentum, config.nesterov, config.bias_rate
    )


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch.

    Each epoch has a new order: images that are sorted by class would come one class at a time.
    """
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def _renewal(config: Config, images: jax.Array) -> renewals.Renewal:
    n = images.shape[0]
    return renewals.renewal(config, None, schedule(config, n), n)


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes centroids and labels from the embedding of all images (section 4.2)."""
    network_key, centroid_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    renewal = _renewal(config, images)
    renewals.check_network(renewal, network)
    centroids, labels = renewals.clusters_of(renewal, centroid_key, features)
    opt_state = _optimizer(config).init(variables.params)
    windows = jnp.int32(0) if renewal.repeats else None
    return State(variables, centroids, _counts(config), labels, labels, opt_state, windows)


def _counts(config: Config) -> jax.Array:
    return jnp.full((config.clusters,), config.counts, jnp.int32)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one turn of Algorithm 1: network, assignments, centroids."""
    reconstruct = checks.decoder(network, "dcn")
    inputs = augmented(config.augment, key, batch)
    target = scaled(inputs)
    centers = state.centroids[state.labels[rows]]
    scale = target[0].size if config.reconstruction == "sum" else 1
    weights = {
        "reconstruction": config.reconstruction_weight * scale,
        "clustering": config.clustering_weight,
    }

    def loss(params):
        variables = Variables(params, state.variables.stats)
        reconstruction, features, stats = reconstruct(variables, inputs, True)
        error = losses.squared_error(reconstruction, target)
        distance = jnp.sum(jnp.square(features - centers), axis=1)
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": distance})
        return total, (means, stats)

    params, opt_state, total, (means, stats) = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    variables = Variables(params, stats)
    features, _ = network.encode(variables, batch, False)
    labels = nearest_centroid(features, state.centroids)
    centroids, counts = running_means(state.centroids, state.counts, features, labels)
    state = state._replace(
        variables=variables, centroids=centroids, counts=counts, opt_state=opt_state
    )
    return state._replace(labels=state.labels.at[rows].set(labels)), Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Compares the epoch's labels with those of the epoch before.

    The run stops when less than ``tolerance`` of them changed.
    """
    may_stop = jnp.asarray(True)
    if state.windows is not None:
        windows = state.windows + 1
        due, state, labels = renewals.renewed(
            _renewal(config, images), network, key, windows, state, images
        )
        state = state._replace(
            labels=jnp.where(due, labels, state.labels),
            counts=jnp.where(due, _counts(config), state.counts),
            windows=windows,
        )
        may_stop = renewals.may_stop(_renewal(config, images), windows)
    info = self_training.change(state.before, state.labels, config.clusters)
    stop = may_stop & (info.changed < config.tolerance)
    return state._replace(before=state.labels), stop, info


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    self_training.embed,
    self_training.nearest_centroids,
    refresh=refresh,
    name="dcn",
    centers="centroids",
    soft=self_training.student_t,
)

# Adam's step does not grow with the number of pixels and their brightness. That of the paper's SGD
# does: it ends in NaN on COIL-20.
_DEFAULT = Config(optimizer="adam", learning_rate=1e-4, tolerance=1e-3)

METHODS = (
    Method(
        name="dcn",
        about="Deep Clustering Network (Yang et al. 2017)",
        reference="Yang, Fu, Sidiropoulos, Hong 2017",
        algorithm=ALGORITHM,
        network=tied_sae,
        config=_DEFAULT,
        pretrainer=pretraining_layerwise.ALGORITHM,
        pretraining=pretraining_layerwise.DEFAULT,
        presets={
            "default": {},
            "paper": {
                **checks.changes(_DEFAULT, Config()),
                **pretraining_layerwise.PAPER,
            },
            "quick": {"epochs": 20, "pretraining.epochs": 5},
        },
    ),
)
