"""Layer-wise pretraining of a stacked autoencoder, as in DCN: each layer on its own, then all of them together."""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxclust.errors import UsageError
from jaxclust.methods import pretraining
from jaxclust.ops import losses, optimizers
from jaxclust.ops.batches import scaled
from jaxclust.types import Algorithm, Key, Network, Schedule, Variables


@dataclasses.dataclass(frozen=True)
class Config:
    """Defaults: DCN's code for MNIST (Yang et al. 2017).

    Its step size is 1e-4 on pixels times 5.1; on pixels in [0, 1] the same step is 5.1^2 times as large.
    """

    epochs: int = 250
    """Passes over the images for each layer, and then as many for all layers together (authors' code)."""
    batch: int = 256
    """Images per step (authors' code)."""
    optimizer: optimizers.Name = "sgd"
    """SGD (authors' code)."""
    learning_rate: float = 2.6e-3
    """Step size of a layer on its own (authors' code, see above)."""
    momentum: float = 0.9
    """Momentum of SGD (authors' code)."""
    together_rate: float = 0.25
    """Step size for all layers together over that (ours: the authors', 1, blows up at once, see docs/deviations.md)."""
    nesterov: bool = True
    """SGD's momentum in Nesterov's form for all layers together; a layer on its own has heavy ball (authors' code)."""
    bias_rate: float = 2 / 5.1**2
    """SGD's step size of biases over that of weights (authors' code: 2 on pixels times 5.1)."""
    reconstruction: Literal["mean", "sum"] = "sum"
    """Squared error averaged over inputs, or summed (authors' code)."""
    layers: int = 4
    """Layers of the encoder, as ``networks.tied_sae`` has."""
    burn_in: int = 1000
    """Steps on each layer alone before SGD's momentum sets in (authors' code)."""
    decay_steps: int = 20_000
    """Steps on each layer alone after which the step size falls to a tenth, again and again (authors' code)."""

    def __post_init__(self):
        optimizers.check(self)
        optimizers.check_bias_rate(self.bias_rate)
        if self.epochs < 0:
            raise UsageError(f"epochs: must be at least 0, got {self.epochs}")
        if self.reconstruction not in ("mean", "sum"):
            raise UsageError(f"reconstruction: must be mean or sum, got {self.reconstruction!r}")
        for name, least in (("layers", 1), ("burn_in", 0), ("decay_steps", 1)):
            if getattr(self, name) < least:
                raise UsageError(f"{name}: must be at least {least}, got {getattr(self, name)}")
        if not 0 < self.together_rate < float("inf"):
            raise UsageError(f"together_rate: must be above 0 and finite, got {self.together_rate}")


class State(NamedTuple):
    """The network's arrays, the optimiser's, the epochs done and the steps on the present layer, both int32."""

    variables: Variables
    opt_state: optax.OptState
    epochs: jax.Array
    steps: jax.Array


Info = pretraining.Info
embed = pretraining.embed


def _optimizer(config: Config, nesterov: bool = False) -> optax.GradientTransformation:
    return optimizers.make(
        config.optimizer, config.learning_rate, config.momentum, nesterov, config.bias_rate
    )


def schedule(config: Config, n: int) -> Schedule:
    """A window is an epoch."""
    return pretraining.schedule(config, n)._replace(max_windows=config.epochs * (config.layers + 1))


def init(
    config: Config, network: Network, key: Key, variables: Variables | None, images: jax.Array
) -> State:
    """A fresh network, or the given ``variables``.

    Raises:
      ValueError: the network is no ``networks.tied_sae`` of ``config.layers`` layers.
    """
    del images
    variables = network.init(key) if variables is None else variables
    numbers = range(1, config.layers + 1)
    wanted = {f"encoder{i}": {"kernel", "bias"} for i in numbers} | {
        f"decoder{i}": {"bias"} for i in numbers
    }
    if {name: set(layer) for name, layer in variables.params.items()} != wanted:
        found = ", ".join(
            f"{name} ({', '.join(layer)})" for name, layer in variables.params.items()
        )
        raise UsageError(
            f"layers: the network must be tied_sae with {config.layers} layers, got {found or 'none'}"
        )
    return State(variables, _optimizer(config).init(variables.params), jnp.int32(0), jnp.int32(0))


def refresh(
    config: Config, network: Network, key: Key, state: State, images: jax.Array
) -> tuple[State, jax.Array, tuple]:
    """Counts the epoch; a layer starts without the momentum of the one before."""
    del network, key, images
    epochs = state.epochs + 1
    ended = epochs % config.epochs == 0
    state = state._replace(
        opt_state=_fresh_where(ended, config, state),
        epochs=epochs,
        steps=jnp.where(ended, 0, state.steps),
    )
    return state, jnp.asarray(False), _NoInfo()


def _fresh_where(condition: jax.Array, config: Config, state: State) -> optax.OptState:
    """The optimiser's arrays, as at a start where the condition holds."""
    fresh = _optimizer(config).init(state.variables.params)
    return jax.tree.map(lambda new, old: jnp.where(condition, new, old), fresh, state.opt_state)


class _NoInfo(NamedTuple):
    pass


def step(
    config: Config, network: Network, key: Key, state: State, batch: jax.Array, rows: jax.Array
) -> tuple[State, Info]:
    """One gradient step on a layer's reconstruction of its own inputs (half the error), or on that of the images."""
    del key, rows

    def layer(i, params):
        maps = network.activations(Variables(params, state.variables.stats), batch)
        inputs = scaled(batch).reshape(batch.shape[0], -1) if i == 1 else maps[f"encoder{i - 1}"]
        inputs = jax.lax.stop_gradient(inputs)
        # The embedding and the reconstructed images have no activation, the layers between have ReLU.
        kernel = params[f"encoder{i}"]["kernel"]
        hidden = inputs @ kernel + params[f"encoder{i}"]["bias"]
        hidden = hidden if i == config.layers else jax.nn.relu(hidden)
        output = hidden @ kernel.T + params[f"decoder{i}"]["bias"]
        return _loss(config, output if i == 1 else jax.nn.relu(output), inputs) / 2

    def together(params):
        reconstruction, _, _ = network.reconstruct(
            Variables(params, state.variables.stats), batch, True
        )
        return _loss(config, reconstruction, scaled(batch))

    parts = [lambda params, i=i: layer(i, params) for i in range(1, config.layers + 1)]
    branches = [jax.value_and_grad(part) for part in (*parts, together)]
    params = state.variables.params
    stage = jnp.minimum(state.epochs // config.epochs, config.layers)
    value, gradient = jax.lax.switch(stage, branches, params)
    alone = stage < config.layers
    opt_state = state.opt_state
    if config.optimizer == "sgd":
        # Without the gradients before, SGD is as with a momentum of 0.
        opt_state = _fresh_where(alone & (state.steps < config.burn_in), config, state)
    heavy_ball, at_last = _optimizer(config), _optimizer(config, config.nesterov)
    updates, opt_state = jax.lax.cond(
        alone, heavy_ball.update, at_last.update, gradient, opt_state, params
    )
    rate = jnp.where(alone, 0.1 ** ((state.steps + 1) // config.decay_steps), config.together_rate)
    params = optax.apply_updates(params, jax.tree.map(lambda update: rate * update, updates))
    variables = state.variables._replace(params=params)
    return state._replace(variables=variables, opt_state=opt_state, steps=state.steps + 1), Info(
        value
    )


def _loss(config, output, target):
    scale = target[0].size if config.reconstruction == "sum" else 1
    return scale * jnp.mean(losses.squared_error(output, target))


ALGORITHM = Algorithm(Config, schedule, init, step, embed, refresh=refresh, name="layerwise")
