"""Training of a trunk on the labels of one set, so that another set is clustered from its weights.

It is one more algorithm for the driver. CCNN's paper takes conv1 to conv5 from an AlexNet that was
trained on ImageNet (section III.A); here another set stands in the place of ImageNet.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks
from jaxclust.ops import optimizers
from jaxclust.ops.batches import encoded
from jaxclust.types import Algorithm, Key, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; all defaults are ours, because the paper takes its weights from AlexNet."""

    clusters: int = 10
    """Number of classes of the set."""
    epochs: int = 10
    """Passes over the images."""
    batch: int = 256
    """Images per step."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults."""
    learning_rate: float = 1e-3
    """Step size."""
    momentum: float = 0.9
    """Momentum of SGD."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 1, "epochs")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      classifier: a dense layer, {"kernel" (d, k), "bias" (k,)}, float32.
      labels: the classes of all images, int32 (n,); zeros until ``with_labels`` sets them.
      opt_state: the optimizer's arrays.
    """

    variables: Variables
    classifier: dict[str, jax.Array]
    labels: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch, float32.

    Attributes:
      loss: the cross-entropy in nats, the mean over images.
      accuracy: share of the images that are classified correctly.
    """

    loss: jax.Array
    accuracy: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Starts from a fresh network, or from the given ``variables``, with a fresh classifier.

    The state has no labels yet.
    """
    return first_state(_optimizer(config), config.clusters, network, key, variables, images)


def first_state(
    optimizer: optax.GradientTransformation,
    clusters: int,
    network: Network,
    key: Key,
    variables: Variables | None,
    images: jax.Array,
) -> State:
    """A fresh network, or the given ``variables``, with a fresh classifier and no labels yet."""
    network_key, classifier_key = jax.random.split(key)
    arrays = network.init(network_key) if variables is None else variables
    width = jax.eval_shape(lambda: network.encode(arrays, images[:1], False)[0]).shape[1]
    kernel = jax.nn.initializers.glorot_uniform()(classifier_key, (width, clusters), jnp.float32)
    classifier = {"kernel": kernel, "bias": jnp.zeros(clusters, jnp.float32)}
    opt_state = optimizer.init((arrays.params, classifier))
    return State(arrays, classifier, jnp.zeros(images.shape[0], jnp.int32), opt_state)


def with_labels(state: State, labels: jax.Array) -> State:
    """A state, or lanes of states, with the classes of the images.

    Args:
      state: as ``init`` or the driver's ``begin`` makes it.
      labels: int32, (n,).
    """
    return state._replace(
        labels=jnp.broadcast_to(jnp.asarray(labels, jnp.int32), state.labels.shape)
    )


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the cross-entropy of a batch."""
    del key
    labels = state.labels[rows]

    def loss(trained):
        params, classifier = trained
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        value, accuracy = cross_entropy(logits_of(classifier, features), labels)
        return value, (stats, accuracy)

    trained = (state.variables.params, state.classifier)
    trained, opt_state, value, (stats, accuracy) = optimizers.gradient_step(
        _optimizer(config), loss, trained, state.opt_state
    )
    params, classifier = trained
    variables = Variables(params, stats)
    return State(variables, classifier, state.labels, opt_state), Info(value, accuracy)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The most probable class and its probability.

    There are no centroids, so that the distance is zero.
    """
    features = embed(config, network, state, images)
    return prediction(logits_of(state.classifier, features))


def logits_of(classifier: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    """The logits of a dense layer, float32 (n, k), for features, float32 (n, d)."""
    return features @ classifier["kernel"] + classifier["bias"]


def cross_entropy(logits: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The mean cross-entropy in nats, and the share of samples classified correctly.

    Args:
      logits: float32, (n, k).
      labels: int32, (n,), in 0..k-1.
    """
    accuracy = jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
    values = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    return jnp.mean(values), accuracy


def prediction(logits: jax.Array) -> Prediction:
    """The most probable class of each sample and its probability; the distance is zero.

    Args:
      logits: float32, (n, k).
    """
    probability = jnp.max(jax.nn.softmax(logits), axis=1)
    return Prediction(
        jnp.argmax(logits, axis=1).astype(jnp.int32), probability, jnp.zeros_like(probability)
    )


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, name="pretraining_supervised")
