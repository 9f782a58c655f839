"""Training a trunk on a set's labels, to cluster another set from its weights: one more algorithm for the driver.

CCNN's paper pretrains conv1 to conv5 as part of AlexNet on ImageNet (section III.A); another set may stand there.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.ops import optimizers
from jaxclust.ops.batches import encoded
from jaxclust.types import Algorithm, Key, Network, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Ours throughout: the paper takes its weights from AlexNet."""

    clusters: int = 10
    """Classes of the set."""
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
        if self.epochs < 1:
            raise UsageError(f"epochs: must be at least 1, got {self.epochs}")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      classifier: a dense layer, {"kernel" (d, k), "bias" (k,)}, float32.
      labels: classes of all images, int32 (n,); zeros until ``with_labels``.
      opt_state: the optimiser's arrays.
    """

    variables: Variables
    classifier: dict[str, jax.Array]
    labels: jax.Array
    opt_state: optax.OptState


class Info(NamedTuple):
    """float32 scalars of a batch: cross-entropy in nats, and the part of the images classified rightly."""

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
    """A fresh network, or the given ``variables``, and a fresh classifier; without labels yet."""
    network_key, classifier_key = jax.random.split(key)
    variables = network.init(network_key) if variables is None else variables
    width = jax.eval_shape(lambda: network.encode(variables, images[:1], False)[0]).shape[1]
    kernel = jax.nn.initializers.glorot_uniform()(
        classifier_key, (width, config.clusters), jnp.float32
    )
    classifier = {"kernel": kernel, "bias": jnp.zeros(config.clusters, jnp.float32)}
    opt_state = _optimizer(config).init((variables.params, classifier))
    return State(variables, classifier, jnp.zeros(images.shape[0], jnp.int32), opt_state)


def with_labels(state: State, labels: jax.Array) -> State:
    """The state, or lanes of states, for images of these classes, int32 (n,)."""
    return state._replace(
        labels=jnp.broadcast_to(jnp.asarray(labels, jnp.int32), state.labels.shape)
    )


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on the cross-entropy of a batch."""
    del key
    labels = state.labels[rows]

    def loss(trained):
        params, classifier = trained
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        logits = features @ classifier["kernel"] + classifier["bias"]
        right = jnp.mean(jnp.argmax(logits, axis=1) == labels, dtype=jnp.float32)
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, labels)), (
            stats,
            right,
        )

    trained = (state.variables.params, state.classifier)
    trained, opt_state, value, (stats, right) = optimizers.gradient_step(
        _optimizer(config), loss, trained, state.opt_state
    )
    params, classifier = trained
    variables = Variables(params, stats)
    return State(variables, classifier, state.labels, opt_state), Info(value, right)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The likeliest class and its probability; there are no centroids, and the distance is zero."""
    logits = (
        embed(config, network, state, images) @ state.classifier["kernel"]
        + state.classifier["bias"]
    )
    probability = jnp.max(jax.nn.softmax(logits), axis=1)
    return Prediction(
        jnp.argmax(logits, axis=1).astype(jnp.int32), probability, jnp.zeros_like(probability)
    )


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, name="pretraining_supervised")
