"""A task-specific deep architecture (Wang, Chang, Zhou, Wang, Huang 2016): TSC-D of JULE's tables.

A network is a few unrolled steps of sparse coding, and starts as these steps with a learned
dictionary. Gradient steps then train all of it, and the centers of the clusters, to be sure of each
image's cluster: the entropy of the soft assignments falls. Images should spread over all clusters:
the entropy of the mean assignment of a batch counts against the loss.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks, self_training
from jaxclust.methods.self_training import RefreshInfo
from jaxclust.networks.sparse import is_unrolled, of_dictionary, unrolled
from jaxclust.ops import optimizers, sparse_coding
from jaxclust.ops.assignment import nearest, nearest_centroid, squared_distances
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.kmeans import kmeans
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.ops.neighbor_graph import unit
from jaxclust.types import Algorithm, Key, Method, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; we could not get the paper's numbers, and these are ours."""

    clusters: int = 10
    """Number of clusters."""
    atoms: int = 128
    """Atoms of the dictionary, and features of an image."""
    stages: int = 2
    """Unrolled steps after the first."""
    penalty: float = 0.1
    """lambda of the sparse coding; images have unit length."""
    dictionary_rounds: int = 10
    """Turns of codes and atoms that learn the dictionary."""
    sharpness: float = 3.0
    """Assignments are a softmax of minus this times the squared distances to the centers, divided
    by their mean to the nearest center at the start."""
    balance: float = 1.0
    """Weight of the entropy of a batch's mean assignment; 0 lets all images join one cluster."""
    epochs: int = 50
    """Passes over the images."""
    batch: int = 256
    """Images per step."""
    optimizer: optimizers.Name = "adam"
    """Adam, or SGD."""
    learning_rate: float = 1e-4
    """Step size."""
    momentum: float = 0.9
    """Momentum of SGD."""
    least_steps: int | None = 32
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images.
    None for the batch as it is."""
    tolerance: float = 1e-3
    """Stop once less than this fraction of the labels changed in an epoch; 0 never stops."""
    augment: Augment = "none"
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""
    restarts: int = 10
    """Starts of the k-means that gives the first centers; the best counts."""

    def __post_init__(self):
        optimizers.check(self)
        checks.choices(self)
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "atoms", "stages", "restarts")
        checks.at_least(self, 0, "dictionary_rounds", "epochs")
        checks.positive(self, "penalty", "sharpness")
        checks.nonnegative(self, "balance")
        checks.in_range(self, 0, 1, "tolerance")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


ISTA_STEPS = 30
"""Steps of sparse coding in each turn that learns the dictionary."""


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      centroids: float32, (clusters, atoms), in the unit of the features.
      unit: what the network's codes are divided by, the root of the mean squared distance to the
        nearest center at the start; float32, ().
      labels: the labels at the end of the last epoch, int32, (n,).
      opt_state: the optimizer's arrays for params and centroids together.
    """

    variables: Variables
    centroids: jax.Array
    unit: jax.Array
    labels: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the total loss.
      entropy: of the assignments, the mean over images, in nats.
      spread: entropy of the mean assignment, in nats.
    """

    loss: jax.Array
    entropy: jax.Array
    spread: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def network_settings(config: Config) -> Mapping[str, object]:
    """What ``networks.sparse.unrolled`` takes from the settings."""
    return {"atoms": config.atoms, "stages": config.stages}


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Makes centers of the codes, after it has learned a dictionary.

    There is no dictionary where ``variables`` are given, or where the network is another one than
    ``networks.sparse.unrolled``: such a network starts as it draws itself.
    """
    network_key, dictionary_key, centroid_key = jax.random.split(key, 3)
    if variables is None:
        variables = network.init(network_key)
        if is_unrolled(variables.params, config.stages):
            x = unit(scaled(images).reshape(images.shape[0], -1))
            rounds = (config.dictionary_rounds, ISTA_STEPS)
            atoms = sparse_coding.dictionary(
                dictionary_key, x, config.atoms, config.penalty, rounds
            )
            params = of_dictionary(atoms, config.penalty, config.stages)
            variables = variables._replace(params=params)
    codes = encoded(network, variables, images)
    result = kmeans(centroid_key, codes, config.clusters, config.restarts)
    length = jnp.sqrt(jnp.maximum(result.inertia / codes.shape[0], 1e-12))
    centroids = result.centroids / length
    opt_state = _optimizer(config).init((variables.params, centroids))
    return State(variables, centroids, length, result.labels, opt_state)


def _logs(config: Config, features: jax.Array, centroids: jax.Array) -> jax.Array:
    """Logarithms of the soft assignments, float32 (n, clusters)."""
    return jax.nn.log_softmax(-config.sharpness * squared_distances(features, centroids), axis=1)


def assignments(config: Config, features: jax.Array, centroids: jax.Array) -> jax.Array:
    """The soft assignments that are trained, float32 (n, clusters).

    Args:
      config: the settings.
      features: as ``embed`` gives them, float32, (n, atoms).
      centroids: of the state, float32, (clusters, atoms).
    """
    return jnp.exp(_logs(config, features, centroids))


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on network and centers."""
    del rows
    batch = augmented(config.augment, key, batch)

    def loss(params, centroids):
        variables = Variables(params, state.variables.stats)
        codes, stats = network.encode(variables, batch, True)
        # Entropies of logarithms: the derivative of p log p is infinite where p underflows to 0.
        logs = _logs(config, codes / state.unit, centroids)
        entropy = -jnp.mean(jnp.sum(jnp.exp(logs) * logs, axis=1))
        of_mean = jax.nn.logsumexp(logs, axis=0) - jnp.log(jnp.float32(logs.shape[0]))
        spread = -jnp.sum(jnp.exp(of_mean) * of_mean)
        means = {"entropy": entropy, "spread": spread}
        return entropy - config.balance * spread, (means, stats)

    state, total, means = self_training.update(_optimizer(config), state, loss)
    return state, Info(total, **means)


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Compares the epoch's labels with those of the epoch before."""
    del key
    labels = nearest_centroid(embed(config, network, state, images), state.centroids)
    info = self_training.change(state.labels, labels, config.clusters)
    return state._replace(labels=labels), info.changed < config.tolerance, info


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The codes in the unit of the state, float32 (n, atoms)."""
    del config
    return encoded(network, state.variables, images) / state.unit


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The nearest center among the codes."""
    features = embed(config, network, state, images)
    return nearest(features, state.centroids, partial(assignments, config))


ALGORITHM = Algorithm(
    Config,
    schedule,
    init,
    step,
    embed,
    predict,
    refresh=refresh,
    name="sparse-deep",
    centers="centroids",
    soft=assignments,
    network_settings=network_settings,
)

METHODS = (
    Method(
        name="tsc-d",
        about="unrolled sparse coding, trained to be sure of each image's cluster",
        reference="Wang, Chang, Zhou, Wang, Huang 2016",
        algorithm=ALGORITHM,
        network=unrolled,
        config=Config(),
        presets={"default": {}, "paper": {}, "quick": {"epochs": 10}},
    ),
)
