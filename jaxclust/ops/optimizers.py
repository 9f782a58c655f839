"""The optimisers the papers name, from config fields."""

from collections.abc import Callable
from typing import Any, Literal

import jax
import optax

from jaxclust.errors import UsageError

Name = Literal["adam", "sgd"]


def make(
    name: Name,
    learning_rate: float,
    momentum: float,
    nesterov: bool = False,
    bias_rate: float = 1.0,
) -> optax.GradientTransformation:
    """Adam (beta 0.9, 0.999), which takes the first two alone, or SGD with heavy-ball momentum as in Keras and Caffe.

    Args:
      name: "adam" or "sgd".
      learning_rate: step size.
      momentum: of SGD, in [0, 1).
      nesterov: SGD's momentum in Nesterov's form.
      bias_rate: factor on SGD's step size for leaves named "bias".

    Raises:
      ValueError: an unknown name.
    """
    if name == "adam":
        return optax.adam(learning_rate)
    if name != "sgd":
        raise UsageError(f"optimizer: must be adam or sgd, got {name!r}")
    steps = optax.sgd(learning_rate, momentum=momentum, nesterov=nesterov)
    if bias_rate == 1:
        return steps

    def factor(path, update):
        return bias_rate * update if path[-1] == jax.tree_util.DictKey("bias") else update

    return optax.chain(
        steps, optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(factor, updates))
    )


def check(config) -> None:
    """Refuses optimiser and batch fields that cannot work: ValueError with name, rule and value."""
    if config.optimizer not in ("adam", "sgd"):
        raise UsageError(f"optimizer: must be adam or sgd, got {config.optimizer!r}")
    if not config.learning_rate > 0:
        raise UsageError(f"learning_rate: must be above 0, got {config.learning_rate}")
    if not 0 <= config.momentum < 1:
        raise UsageError(f"momentum: must be in [0, 1), got {config.momentum}")
    if config.batch < 1:
        raise UsageError(f"batch: must be at least 1, got {config.batch}")


def check_bias_rate(bias_rate: float) -> None:
    """Refuses a factor on the biases' step size that is not above 0: UsageError."""
    if not bias_rate > 0:
        raise UsageError(f"bias_rate: must be above 0, got {bias_rate}")


def gradient_step(
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any], tuple[jax.Array, Any]],
    trained: Any,
    opt_state: optax.OptState,
) -> tuple[Any, optax.OptState, jax.Array, Any]:
    """One step of an optimizer on a loss.

    Args:
      optimizer: what turns gradients into updates.
      loss: ``loss(trained) -> (value, more)``; the value is a float32 scalar.
      trained: the arrays that are trained, as a tree.
      opt_state: the optimizer's arrays.

    Returns:
      The arrays after the step, the optimizer's arrays after it, and the loss and ``more`` before.
    """
    (value, more), gradient = jax.value_and_grad(loss, has_aux=True)(trained)
    trained, opt_state = apply_gradient(optimizer, gradient, trained, opt_state)
    return trained, opt_state, value, more


def apply_gradient(
    optimizer: optax.GradientTransformation, gradient: Any, trained: Any, opt_state: optax.OptState
) -> tuple[Any, optax.OptState]:
    """The trained arrays and the optimizer's arrays after a step along a known gradient."""
    updates, opt_state = optimizer.update(gradient, opt_state, trained)
    return optax.apply_updates(trained, updates), opt_state
