"""DCN: a deep clustering network with k-means in its embedding.

Yang, Fu, Sidiropoulos, Hong: Towards K-means-friendly Spaces: Simultaneous Deep Learning and Clustering, ICML 2017.
Algorithm 1: for each mini-batch a step of SGD on the network towards reconstruction and the fixed centroids (eq. 11),
then the nearest centroids under the new network (eq. 8), then the centroids, sample by sample at a rate of 1 / count
(eq. 12). The paper's lambda / 2 is ``clustering_weight`` here, as in the authors' code.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import pretraining_layerwise, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.autoencoders import tied_sae
from jaxclust.ops import losses, optimizers
from jaxclust.ops.assignment import nearest, nearest_centroid
from jaxclust.ops.batches import encoded, scaled
from jaxclust.ops.kmeans import kmeans, running_means
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: the authors' code for MNIST."""

    clusters: int = 10
    """Number of clusters k; also the width of the embedding (authors' code)."""
    clustering_weight: float = 1.0
    """Weight of the squared distance to the sample's centroid (authors' code: beta)."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstruction (authors' code: lbd)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """Squared error averaged over inputs, or summed (eq. 9)."""
    epochs: int = 50
    """Passes over the images (authors' code)."""
    counts: int = 100
    """Samples that each centroid counts as having seen before the first (authors' code)."""
    restarts: int = 10
    """k-means runs for the first centroids, the best kept (authors' code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "sgd"
    """SGD (section 4.1)."""
    learning_rate: float = 6.5e-4
    """Step size: a quarter of the authors', as in the pretraining of all layers together (``layerwise.Config``)."""
    momentum: float = 0.9
    """Momentum of SGD (authors' code)."""
    nesterov: bool = True
    """SGD's momentum in Nesterov's form (authors' code)."""
    bias_rate: float = 2 / 5.1**2
    """SGD's step size of biases over that of weights (authors' code: 2 on pixels times 5.1)."""

    def __post_init__(self):
        optimizers.check(self)
        optimizers.check_bias_rate(self.bias_rate)
        if self.clusters < 2:
            raise UsageError(f"clusters: must be at least 2, got {self.clusters}")
        if self.reconstruction not in ("mean", "sum"):
            raise UsageError(f"reconstruction: must be mean or sum, got {self.reconstruction!r}")
        for name, least in (("epochs", 0), ("counts", 0), ("restarts", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        for name in ("clustering_weight", "reconstruction_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(
                    f"{name}: must be at least 0 and finite, got {getattr(self, name)}"
                )


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: M, float32, (clusters, d).
      counts: samples each centroid has seen, int32, (clusters,).
      labels: s, each sample's centroid when it was last seen, int32, (n,).
      before: the labels at the last epoch's end, int32, (n,).
      opt_state: of the params.
    """

    variables: Variables
    centroids: jax.Array
    counts: jax.Array
    labels: jax.Array
    before: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """float32 scalars of a batch: the total loss, and the mean over images of each term, unweighted."""

    loss: jax.Array
    reconstruction: jax.Array
    clustering: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(
        config.optimizer, config.learning_rate, config.momentum, config.nesterov, config.bias_rate
    )


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch, in a new order: sorted images would come a class at a time."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """k-means on the embedding of all images (section 4.2)."""
    network_key, kmeans_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    features = encoded(network, variables, images)
    found = kmeans(kmeans_key, features, config.clusters, restarts=config.restarts)
    counts = jnp.full((config.clusters,), config.counts, jnp.int32)
    opt_state = _optimizer(config).init(variables.params)
    return State(variables, found.centroids, counts, found.labels, found.labels, opt_state)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One turn of Algorithm 1: network, assignments, centroids."""
    del key
    target = scaled(batch)
    centers = state.centroids[state.labels[rows]]
    scale = target[0].size if config.reconstruction == "sum" else 1
    weights = {
        "reconstruction": config.reconstruction_weight * scale,
        "clustering": config.clustering_weight,
    }

    def loss(params):
        reconstruction, features, stats = network.reconstruct(
            Variables(params, state.variables.stats), batch, True
        )
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
    """How the epoch's labels stand; nothing but the number of epochs ends a run."""
    del network, key, images
    info = self_training.change(state.before, state.labels, config.clusters)
    return state._replace(before=state.labels), jnp.asarray(False), info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest centroid in the embedding."""
    return nearest(embed(config, network, state, images), state.centroids)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, refresh=refresh, name="dcn")

METHODS = (
    Method(
        "dcn",
        "Deep Clustering Network (Yang et al. 2017)",
        "Yang, Fu, Sidiropoulos, Hong 2017",
        ALGORITHM,
        tied_sae,
        Config(),
        pretrainer=pretraining_layerwise.ALGORITHM,
        pretraining=pretraining_layerwise.Config(),
        presets={"paper": {}, "quick": {"pretraining.epochs": 25}},
    ),
)
