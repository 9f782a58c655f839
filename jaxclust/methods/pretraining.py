"""Reconstruction pretraining of an autoencoder, end to end: one more algorithm for the driver."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import encoded, scaled
from jaxclust.types import Algorithm, Key, Network, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: the CAE's pretraining in DCEC (Guo et al. 2017, section 4.2)."""

    epochs: int = 200
    """Passes over the images; a pass draws a new order (section 4.2; the shuffle is Keras's default)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "adam"
    """Adam with its defaults for the CAE, SGD for the SAE (section 4.2)."""
    learning_rate: float = 1e-3
    """Step size (Adam's default; the SAE's SGD has 0.01)."""
    momentum: float = 0.9
    """Momentum of SGD (section 4.2)."""
    reconstruction: Literal["mean", "sum"] = "mean"
    """Squared error averaged over pixels (authors' code) or summed (eq. 4)."""

    def __post_init__(self):
        optimizers.check(self)
        if self.epochs < 0:
            raise UsageError(f"epochs: must be at least 0, got {self.epochs}")
        if self.reconstruction not in ("mean", "sum"):
            raise UsageError(f"reconstruction: must be mean or sum, got {self.reconstruction!r}")


class State(NamedTuple):
    """The network's arrays and the optimiser's."""

    variables: Variables
    opt_state: optax.OptState


class Info(NamedTuple):
    """float32 scalars: the loss of a batch."""

    loss: jax.Array


def _optimizer(config: Config) -> optax.GradientTransformation:
    return optimizers.make(config.optimizer, config.learning_rate, config.momentum)


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = min(config.batch, n)
    return Schedule(batch, -(-n // batch), config.epochs, "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """A fresh network, or the given ``variables``."""
    del images
    if network.reconstruct is None:
        raise UsageError("network: pretraining needs a decoder, got a network without reconstruct")
    variables = network.init(key) if variables is None else variables
    return State(variables, _optimizer(config).init(variables.params))


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on the reconstruction of a batch (eq. 1 and 4)."""
    del key, rows
    target = scaled(batch)
    scale = target[0].size if config.reconstruction == "sum" else 1

    def loss(params):
        reconstruction, _, stats = network.reconstruct(
            Variables(params, state.variables.stats), batch, True
        )
        return scale * jnp.mean(losses.squared_error(reconstruction, target)), stats

    params, opt_state, value, stats = optimizers.gradient_step(
        _optimizer(config), loss, state.variables.params, state.opt_state
    )
    return State(Variables(params, stats), opt_state), Info(value)


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """Features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, name="pretraining")
