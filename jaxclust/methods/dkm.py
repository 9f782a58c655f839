"""DKM: deep k-means, in which a softmax replaces the hard assignments.

Moradi Fard, Thonet, Gaussier: Deep k-Means: Jointly Clustering with k-Means and Learning
Representations, Pattern Recognition Letters 2020. For a sample's embedding h, centroids r_k and the
squared distance f between them:

    L = mean over samples of [ ||x - A(x)||^2 + lambda sum_k f(h, r_k) softmax_k(-alpha f(h, r)) ]

Gradient steps train network and centroids together. DKM^p pretrains the network, starts from the
centroids of k-means, and has a constant alpha. DKM^a starts at random, and its alpha grows.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks, dcec, pretraining, renewals, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest_centroid
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import NEW, Algorithm, Key, Method, Network, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of DKM^p in the authors' code, for MNIST and USPS."""

    clusters: int = 10
    """Number of clusters k, which is also the width of the embedding (authors' code)."""
    clustering_weight: float = 1.0
    """lambda (authors' code)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """The squared error is averaged over inputs, or summed (the paper's g)."""
    annealing: bool = False
    """Whether alpha grows from ``alpha`` by a factor of 2^(1 / log(i + 1)^2) at its i-th change, or
    stays."""
    alpha: float = 1000.0
    """Inverse temperature (DKM^p), or the first one (DKM^a: 0.1)."""
    alphas: int = 20
    """Number of values of alpha (authors' code; 40 for DKM^a)."""
    epochs_per_alpha: int = 5
    """Passes over the images for each value of alpha (authors' code)."""
    start: Literal["kmeans", "graph", "uniform"] = "kmeans"
    """The initial centroids: k-means on the embedding (DKM^p), graph degree linkage (ours), or
    uniform in [-1, 1] (DKM^a)."""
    restarts: int = 10
    """k-means runs for the initial centroids; the best run counts (scikit-learn's default, which
    the authors' code uses)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults (authors' code)."""
    learning_rate: float = 1e-3
    """Step size (Adam's default)."""
    momentum: float = 0.9
    """Momentum of SGD."""
    least_steps: int | None = dataclasses.field(default=None, metadata=NEW)
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images
    (ours). None for the batch as it is."""
    tolerance: float = dataclasses.field(default=0.0, metadata=NEW)
    """Stop once less than this fraction of the labels changed in an epoch, at the last alpha; 0
    never stops (ours)."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""
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
        renewals.check(self, self.alphas * self.epochs_per_alpha)
        checks.at_least(self, 2, "clusters")
        checks.choices(self)
        checks.at_least(self, 1, "alphas", "epochs_per_alpha", "restarts")
        checks.nonnegative(self, "clustering_weight", "alpha")
        checks.in_range(self, 0, 1, "tolerance")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: R, float32, (clusters, d).
      labels: the labels at the end of the last epoch, int32, (n,).
      epochs: number of epochs done, int32.
      opt_state: the optimizer's arrays for params and centroids together.
    """

    variables: Variables
    centroids: jax.Array
    labels: jax.Array
    epochs: jax.Array
    opt_state: optax.OptState


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
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def temperatures(config: Config) -> tuple[float, ...]:
    """The values of alpha in their order.

    Section 3.2 has alpha_(i + 1) = 2^(1 / log(i)^2) alpha_i.
    """
    values = [config.alpha]
    for i in range(1, config.alphas):
        values.append(values[-1] * (2 ** (1 / math.log(i + 1) ** 2) if config.annealing else 1))
    return tuple(values)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.alphas * config.epochs_per_alpha, "shuffled")


def _renewal(config: Config, images: jax.Array) -> renewals.Renewal:
    n = images.shape[0]
    return renewals.renewal(config, _optimizer(config), schedule(config, n), n)


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes centroids from the embedding of all images, or draws them at random."""
    network_key, centroid_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    renewal = _renewal(config, images)
    renewals.check_network(renewal, network)
    if config.start == "uniform":
        shape = (config.clusters, features.shape[1])
        centroids = jax.random.uniform(centroid_key, shape, jnp.float32, -1, 1)
    else:
        centroids, _ = renewals.clusters_of(renewal, centroid_key, features)
    opt_state = _optimizer(config).init((variables.params, centroids))
    labels = nearest_centroid(features, centroids)
    return State(variables, centroids, labels, jnp.int32(0), opt_state)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on network and centroids."""
    del rows
    batch = augmented(config.augment, key, batch)
    reconstruct = checks.decoder(network, "dkm")
    target = scaled(batch)
    scale = target[0].size if config.reconstruction == "sum" else 1
    weights = {"reconstruction": scale, "clustering": config.clustering_weight}
    alphas = jnp.array(temperatures(config), jnp.float32)
    alpha = alphas[jnp.minimum(state.epochs // config.epochs_per_alpha, config.alphas - 1)]

    def loss(params, centroids):
        variables = Variables(params, state.variables.stats)
        reconstruction, features, stats = reconstruct(variables, batch, True)
        error = losses.squared_error(reconstruction, target)
        distance = losses.soft_kmeans(features, centroids, alpha)
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": distance})
        return total, (means, stats)

    state, total, means = self_training.update(_optimizer(config), state, loss)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Counts the epoch, and compares its labels with those of the epoch before.

    The run stops when less than ``tolerance`` of the labels changed; while alpha grows, it does
    not.
    """
    epochs = state.epochs + 1
    renewal = _renewal(config, images)
    if renewal.repeats:
        _, state, _ = renewals.renewed(renewal, network, key, epochs, state, images)
    labels = nearest_centroid(self_training.embed(config, network, state, images), state.centroids)
    info = self_training.change(state.labels, labels, config.clusters)
    first = config.epochs_per_alpha * (config.alphas - 1) if config.annealing else 0
    stop = (info.changed < config.tolerance) & (epochs > first) & renewals.may_stop(renewal, epochs)
    return state._replace(labels=labels, epochs=epochs), stop, info


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    self_training.embed,
    self_training.nearest_centroids,
    refresh=refresh,
    name="dkm",
    centers="centroids",
    soft=self_training.student_t,
)

_DEFAULT = Config(tolerance=1e-3)
_PRETRAINING = pretraining.Config(epochs=50, reconstruction="sum", least_steps=32)
_ANNEALED = Config(
    annealing=True, alpha=0.1, alphas=40, clustering_weight=0.1, start="uniform", least_steps=32
)
_PRETRAINING_PRESETS = {
    "default": {},
    "paper": {"pretraining.least_steps": None},
    "quick": {"pretraining.epochs": 10},
}

_DKM = Method(
    name="dkm",
    about="Deep k-Means, pretrained (Fard et al. 2020)",
    reference="Moradi Fard, Thonet, Gaussier 2020",
    algorithm=ALGORITHM,
    network=sae,
    config=_DEFAULT,
    pretrainer=pretraining.ALGORITHM,
    # The authors' code pretrains by Adam for 50 epochs on the sum over pixels.
    pretraining=_PRETRAINING,
    presets={
        "default": {},
        "paper": {"tolerance": 0.0, "pretraining.least_steps": None},
        "quick": {"epochs_per_alpha": 1, "pretraining.epochs": 10},
    },
)

METHODS = (
    _DKM,
    Method(
        name="dkm-annealed",
        about="Deep k-Means with annealing, not pretrained (Fard et al. 2020)",
        reference="Moradi Fard, Thonet, Gaussier 2020",
        algorithm=ALGORITHM,
        network=sae,
        config=_ANNEALED,
        presets={
            "default": {},
            "paper": {"least_steps": None},
            "quick": {"epochs_per_alpha": 1},
        },
        caution="on digits dkm-annealed scores below k-means on pixels",
    ),
    # The authors' AEKM is k-means after the same pretraining.
    _DKM.replace(
        name="aekm",
        kind="features",
        about="k-means on the features of DKM's autoencoder",
        algorithm=dcec.KMEANS,
        config=dcec.Config(max_steps=0, restarts=10),
        presets=_PRETRAINING_PRESETS,
    ),
)
