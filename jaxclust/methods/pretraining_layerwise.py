"""Pretraining of a stacked autoencoder as in DCN: each layer on its own, then all layers together.

It is one more algorithm for the driver.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import checks, pretraining
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import batch_size, encoded, scaled
from jaxclust.ops.moved_images import Augment, augmented
from jaxclust.types import NEW, PRETRAINING, Algorithm, Key, Network, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Settings; the defaults are those of DCN's code for MNIST (Yang et al. 2017).

    The code's step size is 1e-4 on pixels times 5.1. On pixels in [0, 1] the same step needs a step
    size that is 5.1^2 times as large.
    """

    epochs: int = 250
    """Passes over the images for each layer, and as many for all layers together (authors'
    code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "sgd"
    """SGD (authors' code)."""
    learning_rate: float = 2.6e-3
    """Step size for a layer on its own (authors' code, on pixels in [0, 1])."""
    momentum: float = 0.9
    """Momentum of SGD (authors' code)."""
    together_rate: float = 0.25
    """Step size for all layers together, divided by that for a layer on its own (ours: with the
    authors' value of 1 the loss diverges at once, see docs/methods/others.md)."""
    nesterov: bool = True
    """Nesterov's form of SGD's momentum for all layers together; a layer on its own has the
    heavy-ball form (authors' code)."""
    bias_rate: float = 2 / 5.1**2
    """SGD's step size for biases, divided by that for weights (authors' code: 2 on pixels times
    5.1)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """The squared error is averaged over inputs, or summed (authors' code)."""
    layers: int = 4
    """Layers of the encoder, as many as ``networks.tied_sae`` has."""
    burn_in: int = 1000
    """Steps on each layer alone without SGD's momentum, at its beginning (authors' code)."""
    decay_steps: int = 20_000
    """Steps on each layer alone after which the step size falls to a tenth, again and again
    (authors' code)."""
    least_steps: int | None = dataclasses.field(default=None, metadata=NEW)
    """Steps that a pass over few images has at least: their batch is smaller, down to 32 images
    (ours). None for the batch as it is."""
    augment: Augment = dataclasses.field(default="none", metadata=NEW)
    """How steps change their images at random: "affine" turns and shifts them, unless a side
    has fewer than 16 pixels (DEC-DA)."""

    def __post_init__(self):
        optimizers.check(self)
        optimizers.check_bias_rate(self.bias_rate)
        checks.at_least(self, 0, "epochs", "burn_in")
        checks.choices(self)
        checks.at_least(self, 1, "layers", "decay_steps")
        checks.positive(self, "together_rate")
        if self.least_steps is not None:
            checks.at_least(self, 1, "least_steps")


class State(NamedTuple):
    """What the next step needs.

    Attributes:
      variables: the network's arrays.
      opt_state: the optimizer's arrays.
      epochs: number of epochs done, int32.
      steps: number of steps done on the present layer, int32.
    """

    variables: Variables
    opt_state: optax.OptState
    epochs: jax.Array
    steps: jax.Array


Info = pretraining.Info


class RefreshInfo(NamedTuple):
    """An epoch's end reports nothing."""


def _optimizer(config: Config, nesterov: bool = False) -> optax.GradientTransformation:
    return optimizers.make(
        config.optimizer, config.learning_rate, config.momentum, nesterov, config.bias_rate
    )


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    batch = batch_size(n, config.batch, config.least_steps)
    return Schedule(batch, -(-n // batch), config.epochs * (config.layers + 1), "shuffled")


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """Starts from a fresh network, or from the given ``variables``.

    Raises:
      UsageError: the network is not a ``networks.tied_sae`` of ``config.layers`` layers.
    """
    del images
    variables = network.init(key) if variables is None else variables
    numbers = range(1, config.layers + 1)
    encoders = {f"encoder{i}": {"kernel", "bias"} for i in numbers}
    decoders = {f"decoder{i}": {"bias"} for i in numbers}
    layers = {name: set(layer) for name, layer in variables.params.items()}
    if layers != encoders | decoders:
        names = [f"{name} ({', '.join(layer)})" for name, layer in variables.params.items()]
        rule = f"layers: the network must be tied_sae with {config.layers} layers"
        raise UsageError(f"{rule}, got {', '.join(names) or 'none'}")
    return State(variables, _optimizer(config).init(variables.params), jnp.int32(0), jnp.int32(0))


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, RefreshInfo]:
    """Counts the epoch; a layer starts without the momentum of the layer before."""
    del network, key, images
    epochs = state.epochs + 1
    ended = epochs % config.epochs == 0
    state = state._replace(
        opt_state=_fresh_where(ended, config, state),
        epochs=epochs,
        steps=jnp.where(ended, 0, state.steps),
    )
    return state, jnp.asarray(False), RefreshInfo()


def _fresh_where(condition: jax.Array, config: Config, state: State) -> optax.OptState:
    """The optimizer's arrays; where the condition holds, those of a start."""
    fresh = _optimizer(config).init(state.variables.params)
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), fresh, state.opt_state)


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """Makes one gradient step on a layer's reconstruction of its own inputs, or of the images.

    The loss of a layer on its own is half the squared error (authors' code).
    """
    del rows
    batch = augmented(config.augment, key, batch)
    activations = network.activations
    reconstruct = network.reconstruct
    # ``init`` refuses every network but ``tied_sae``, which has both functions.
    assert activations is not None
    assert reconstruct is not None

    def layer(i, params):
        maps = activations(Variables(params, state.variables.stats), batch)
        inputs = scaled(batch).reshape(batch.shape[0], -1) if i == 1 else maps[f"encoder{i - 1}"]
        inputs = jax.lax.stop_gradient(inputs)
        # The embedding and the reconstructed images have no activation; the layers between have
        # ReLU.
        kernel = params[f"encoder{i}"]["kernel"]
        hidden = inputs @ kernel + params[f"encoder{i}"]["bias"]
        hidden = hidden if i == config.layers else jax.nn.relu(hidden)
        output = hidden @ kernel.T + params[f"decoder{i}"]["bias"]
        return _loss(config, output if i == 1 else jax.nn.relu(output), inputs) / 2

    def together(params):
        reconstruction, _, _ = reconstruct(Variables(params, state.variables.stats), batch, True)
        return _loss(config, reconstruction, scaled(batch))

    parts = [lambda params, i=i: layer(i, params) for i in range(1, config.layers + 1)]
    branches = [jax.value_and_grad(part) for part in (*parts, together)]
    params = state.variables.params
    stage = jnp.minimum(state.epochs // config.epochs, config.layers)
    value, gradient = jax.lax.switch(stage, branches, params)
    alone = stage < config.layers
    opt_state = state.opt_state
    if config.optimizer == "sgd":
        # SGD that has forgotten the gradients before is SGD with a momentum of 0.
        opt_state = _fresh_where(alone & (state.steps < config.burn_in), config, state)
    heavy_ball = _optimizer(config)
    for_all_layers = _optimizer(config, config.nesterov)
    updates, opt_state = jax.lax.cond(
        alone, heavy_ball.update, for_all_layers.update, gradient, opt_state, params
    )
    rate = jnp.where(alone, 0.1 ** ((state.steps + 1) // config.decay_steps), config.together_rate)
    params = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
    variables = state.variables._replace(params=params)
    state = state._replace(variables=variables, opt_state=opt_state, steps=state.steps + 1)
    return state, Info(value)


def _loss(config: Config, output: jax.Array, target: jax.Array) -> jax.Array:
    """The squared error of a batch, the mean over images."""
    scale = target[0].size if config.reconstruction == "sum" else 1
    return scale * jnp.mean(losses.squared_error(output, target))


def embed(config: Config, network: Network, state: State, images: jax.Array) -> jax.Array:
    """The features, float32 (n, d)."""
    del config
    return encoded(network, state.variables, images)


ALGORITHM = Algorithm(Config, schedule, init, step, embed, refresh=refresh, name="layerwise")

DEFAULT = Config(epochs=10, optimizer="adam", learning_rate=1e-3, together_rate=1.0, least_steps=32)
"""Settings with a step that does not grow with the number of pixels and their brightness."""
PAPER = checks.changes(DEFAULT, Config(), PRETRAINING)
"""What a preset changes to have the settings of DCN's code instead, by their names in a method."""
