"""DKM: deep k-means, truly joint by a softmax in the place of the assignments.

Moradi Fard, Thonet, Gaussier: Deep k-Means: Jointly Clustering with k-Means and Learning Representations, Pattern
Recognition Letters 2020. For a sample's embedding h and centroids r_k, f their squared distance:

  L = mean over samples of [ ||x - A(x)||^2 + lambda sum_k f(h, r_k) softmax_k(-alpha f(h, r)) ]

by gradient steps on network and centroids together. DKM^p pretrains, takes k-means's centroids and a constant alpha;
DKM^a starts at random, and alpha grows.
"""

import dataclasses
import math
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import dcec, pretraining, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest, nearest_centroid
from jaxclust.ops.batches import encoded, scaled
from jaxclust.ops.kmeans import kmeans
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: DKM^p in the authors' code, for MNIST and USPS."""

    clusters: int = 10
    """Number of clusters k; also the width of the embedding (authors' code)."""
    clustering_weight: float = 1.0
    """lambda (authors' code)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """Squared error averaged over inputs, or summed (the paper's g)."""
    annealing: bool = False
    """Whether alpha grows from ``alpha`` by 2^(1 / log(i + 1)^2) at its i-th change, or stays."""
    alpha: float = 1000.0
    """Inverse temperature (DKM^p), or the first one (DKM^a: 0.1)."""
    alphas: int = 20
    """Values of alpha (authors' code; DKM^a has 40)."""
    epochs_per_alpha: int = 5
    """Passes over the images for each value (authors' code)."""
    start: Literal["kmeans", "uniform"] = "kmeans"
    """The first centroids: of k-means on the embedding (DKM^p), or uniform in [-1, 1] (DKM^a)."""
    restarts: int = 10
    """k-means runs for the first centroids, the best kept (scikit-learn's default, which the authors' code has)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults (authors' code)."""
    learning_rate: float = 1e-3
    """Step size (Adam's default)."""
    momentum: float = 0.9
    """Momentum of SGD."""

    def __post_init__(self):
        optimizers.check(self)
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if self.reconstruction not in ("mean", "sum"):
            raise UsageError(f"reconstruction: must be mean or sum, got {self.reconstruction!r}")
        if self.start not in ("kmeans", "uniform"):
            raise UsageError(f"start: must be kmeans or uniform, got {self.start!r}")
        for name in ("alphas", "epochs_per_alpha", "restarts"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name}: must be at least 1, got {getattr(self, name)}")
        for name in ("clustering_weight", "alpha"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(
                    f"{name}: must be at least 0 and finite, got {getattr(self, name)}"
                )


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: R, float32, (clusters, d).
      labels: int32, (n,), at the last epoch's end.
      epochs: done, int32.
      opt_state: of params and centroids together.
    """

    variables: Variables
    centroids: jax.Array
    labels: jax.Array
    epochs: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """float32 scalars of a batch: the total loss, and the mean over images of each term, unweighted."""

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def temperatures(config: Config) -> tuple[float, ...]:
    """The values of alpha, in turn (section 3.2: alpha_(i + 1) = 2^(1 / log(i)^2) alpha_i)."""
    found = [config.alpha]
    for i in range(1, config.alphas):
        found.append(found[-1] * (2 ** (1 / math.log(i + 1) ** 2) if config.annealing else 1))
    return tuple(found)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.alphas * config.epochs_per_alpha, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Centroids of k-means on the embedding of all images, or at random."""
    network_key, centroid_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    if config.start == "kmeans":
        centroids = kmeans(
            centroid_key, features, config.clusters, restarts=config.restarts
        ).centroids
    else:
        shape = (config.clusters, features.shape[1])
        centroids = jax.random.uniform(centroid_key, shape, jnp.float32, -1, 1)
    opt_state = _optimizer(config).init((variables.params, centroids))
    return State(
        variables, centroids, nearest_centroid(features, centroids), jnp.int32(0), opt_state
    )


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on network and centroids."""
    del key, rows
    target = scaled(batch)
    scale = target[0].size if config.reconstruction == "sum" else 1
    weights = {"reconstruction": scale, "clustering": config.clustering_weight}
    alphas = jnp.array(temperatures(config), jnp.float32)
    alpha = alphas[jnp.minimum(state.epochs // config.epochs_per_alpha, config.alphas - 1)]

    def loss(params, centroids):
        reconstruction, features, stats = network.reconstruct(
            Variables(params, state.variables.stats), batch, True
        )
        error = losses.squared_error(reconstruction, target)
        distance = losses.soft_kmeans(features, centroids, alpha)
        total, means = losses.weighted(weights, {"reconstruction": error, "clustering": distance})
        return total, (means, stats)

    state, total, means = self_training.update(_optimizer(config), state, loss)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Counts the epoch, and how the labels stand; nothing but the number of epochs ends a run."""
    del key
    labels = nearest_centroid(embed(config, network, state, images), state.centroids)
    info = self_training.change(state.labels, labels, config.clusters)
    return state._replace(labels=labels, epochs=state.epochs + 1), jnp.asarray(False), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid in the embedding."""
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, refresh=refresh, name="dkm")

# The authors' code pretrains by Adam for 50 epochs on the sum over pixels; its AEKM is k-means
# after the same pretraining.
_SAE = {
    "pretrainer": pretraining.ALGORITHM,
    "pretraining": pretraining.Config(epochs=50, reconstruction="sum"),
    "presets": {"paper": {}, "quick": {"pretraining.epochs": 10}},
}
_ANNEALED = Config(annealing=True, alpha=0.1, alphas=40, clustering_weight=0.1, start="uniform")

METHODS = (
    Method(
        "dkm",
        "Deep k-Means, pretrained (Fard et al. 2020)",
        "Moradi Fard, Thonet, Gaussier 2020",
        ALGORITHM,
        sae,
        Config(),
        **_SAE,
    ),
    Method(
        "dkm-annealed",
        "Deep k-Means with annealing, not pretrained (Fard et al. 2020)",
        "Moradi Fard, Thonet, Gaussier 2020",
        ALGORITHM,
        sae,
        _ANNEALED,
    ),
    Method(
        "aekm",
        "k-means on the features of DKM's autoencoder",
        "Moradi Fard, Thonet, Gaussier 2020",
        dcec.KMEANS,
        sae,
        dcec.Config(max_steps=0, restarts=10),
        **_SAE,
    ),
)
