"""A classifier that is taught the clusters of some images, for the votes of ``runs.vote``.

It is one more algorithm for the driver. It has DCEC's encoder, a dense layer and dropout, and sees
its images turned and shifted at random, so that it learns what the images of a cluster have in
common and not their pixels.
Mahon, Lukasiewicz: Selective Pseudo-Label Clustering, KI 2021 (SPC), trains on the images on which
an ensemble agrees.
"""

import dataclasses

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks
from jaxclust.methods.pretraining_supervised import (
    Info,
    State,
    cross_entropy,
    first_state,
    logits_of,
    prediction,
)
from jaxclust.ops import optimizers
from jaxclust.ops.batches import encoded
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import Algorithm, Key, Network, Params, Prediction, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings, chosen on digits and USPS."""

    clusters: int = 10
    """Number of clusters."""
    epochs: int = 20
    """Passes over the images."""
    least_steps: int = 700
    """Steps that the training of few images has at least; there are more passes then."""
    batch: int = 128
    """Images per step."""
    learning_rate: float = 1e-3
    """Step size of Adam at the start; it falls to 0 as a half cosine."""
    dropout: float = 0.5
    """Share of the features that a step sets to 0."""
    augment: Augment = "affine"
    """How steps change their images at random: "affine" turns and shifts them."""

    def __post_init__(self):
        checks.at_least(self, 2, "clusters")
        checks.at_least(self, 1, "epochs", "least_steps", "batch")
        checks.positive(self, "learning_rate")
        checks.in_range(self, 0, 0.99, "dropout")
        checks.choices(self)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    steps = -(-n // batch)
    return Schedule(batch, steps, max(config.epochs, -(-config.least_steps // steps)), "shuffled")


def _optimizer(config: Config, n: int) -> optax.GradientTransformation:
    own = schedule(config, n)
    steps = own.steps_per_window * own.max_windows
    return optax.adam(optax.cosine_decay_schedule(config.learning_rate, steps))


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Starts from a fresh network, or from the given ``variables``.

    ``pretraining_supervised.with_labels`` sets the labels.
    """
    optimizer = _optimizer(config, images.shape[0])
    return first_state(optimizer, config.clusters, network, key, variables, images)


def _logits(classifier: dict[str, jax.Array], features: jax.Array) -> jax.Array:
    return logits_of(classifier, jax.nn.relu(features))


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the cross-entropy of a batch."""
    move_key, drop_key = jax.random.split(key)
    batch = augmented(config.augment, move_key, batch)
    labels = state.labels[rows]

    def loss(trained: tuple[Params, dict[str, jax.Array]]):
        params, classifier = trained
        features, stats = network.encode(Variables(params, state.variables.stats), batch, True)
        kept = jax.random.bernoulli(drop_key, 1 - config.dropout, features.shape)
        logits = _logits(classifier, jnp.where(kept, features / (1 - config.dropout), 0))
        value, accuracy = cross_entropy(logits, labels)
        return value, (stats, accuracy)

    (params, classifier), opt_state, value, (stats, accuracy) = optimizers.gradient_step(
        _optimizer(config, state.labels.shape[0]),
        loss,
        (state.variables.params, state.classifier),
        state.opt_state,
    )
    variables = Variables(params, stats)
    return State(variables, classifier, state.labels, opt_state), Info(value, accuracy)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


def predict(config: Config, network: Network, state: State, images: jax.Array) -> Prediction:
    """The most probable cluster and its probability.

    There are no centroids, so that the distance is zero.
    """
    return prediction(_logits(state.classifier, embed(config, network, state, images)))


ALGORITHM = Algorithm(Config, schedule, init, step, embed, predict, name="pupil")
