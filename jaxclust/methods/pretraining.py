"""Pretraining of an autoencoder on the reconstruction of its images, all layers together.

It is one more algorithm for the driver, run before the one that clusters.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.methods import checks
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import batch_size, encoded, epochs_within, scaled
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import NEW, Algorithm, Key, Network, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are the pretraining of DCEC's CAE (Guo et al. 2017, section 4.2)."""

    epochs: int = 200
    """Passes over the images, each in a new order (section 4.2; Keras shuffles by default)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults for the CAE, SGD for the SAE (section 4.2)."""
    learning_rate: float = 1e-3
    """Step size (Adam's default; 0.01 for the SGD of the SAE)."""
    momentum: float = 0.9
    """Momentum of SGD (section 4.2)."""
    reconstruction: Literal["mean", "sum"] = "mean"
    """The squared error is averaged over pixels (authors' code) or summed (eq. 4)."""
    least_steps: int | None = dataclasses.field(default=None, metadata=NEW)
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images
    (ours). None for the batch as it is."""
    max_steps: int | None = dataclasses.field(default=None, metadata=NEW)
    """Largest number of steps, but at least one pass (ours): large sets need fewer passes. None for
    no limit."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""

    def __post_init__(self):
        optimizers.check(self)
        checks.at_least(self, 0, "epochs")
        for name in ("least_steps", "max_steps"):
            if getattr(self, name) is not None:
                checks.at_least(self, 1, name)
        checks.choices(self)


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      opt_state: the optimizer's arrays.
    """

    variables: Variables
    opt_state: optax.OptState


class Info(NamedTuple):
    """Scalars of a batch.

    Attributes:
      loss: the reconstruction loss, float32.
    """

    loss: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    steps = -(-n // batch)
    epochs = epochs_within(config.epochs, config.max_steps, steps)
    return Schedule(batch, steps, epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Starts from a fresh network, or from the given ``variables``.

    Raises:
      UsageError: the network has no decoder.
    """
    del images
    checks.decoder(network, "pretraining")
    variables = network.init(key) if variables is None else variables
    return State(variables, _optimizer(config).init(variables.params))


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on the reconstruction of a batch (eq. 1 and 4)."""
    del rows
    batch = augmented(config.augment, key, batch)
    reconstruct = checks.decoder(network, "pretraining")
    target = scaled(batch)
    scale = target[0].size if config.reconstruction == "sum" else 1

    def loss(params):
        variables = Variables(params, state.variables.stats)
        reconstruction, _, stats = reconstruct(variables, batch, True)
        return scale * jnp.mean(losses.squared_error(reconstruction, target)), stats

    params, opt_state, value, stats = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    return State(Variables(params, stats), opt_state), Info(value)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, name="pretraining")
