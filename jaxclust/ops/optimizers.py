"""The optimizers that the papers name, made from the fields of a config."""

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
    """Makes Adam, or SGD with heavy-ball momentum as in Keras and Caffe.

    Adam has beta 0.9 and 0.999, and uses none of the arguments after ``learning_rate``.

    Args:
      name: "adam" or "sgd".
      learning_rate: step size.
      momentum: momentum of SGD, in [0, 1).
      nesterov: whether SGD's momentum has Nesterov's form.
      bias_rate: factor on SGD's step size for leaves named "bias".

    Raises:
      UsageError: the name is neither "adam" nor "sgd".
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


def check(config: Any) -> None:
    """Refuses optimizer and batch settings that cannot work.

    Args:
      config: has ``optimizer``, ``learning_rate``, ``momentum`` and ``batch``.

    Raises:
      UsageError: ``optimizer`` is neither adam nor sgd, ``learning_rate`` is not above 0,
        ``momentum`` is not in [0, 1) or ``batch`` is below 1.
    """
    if config.optimizer not in ("adam", "sgd"):
        raise UsageError(f"optimizer: must be adam or sgd, got {config.optimizer!r}")
    if not config.learning_rate > 0:
        raise UsageError(f"learning_rate: must be above 0, got {config.learning_rate}")
    if not 0 <= config.momentum < 1:
        raise UsageError(f"momentum: must be in [0, 1), got {config.momentum}")
    if config.batch < 1:
        raise UsageError(f"batch: must be at least 1, got {config.batch}")


def check_bias_rate(bias_rate: float) -> None:
    """Refuses a factor on the step size of biases that cannot work.

    Raises:
      UsageError: the factor is not above 0.
    """
    if not bias_rate > 0:
        raise UsageError(f"bias_rate: must be above 0, got {bias_rate}")


def gradient_step(
    optimizer: optax.GradientTransformation,
    loss: Callable[[Any], tuple[jax.Array, Any]],
    trained: Any,
    opt_state: optax.OptState,
) -> tuple[Any, optax.OptState, jax.Array, Any]:
    """Takes one step of an optimizer on a loss.

    Args:
      optimizer: turns gradients into updates.
      loss: ``loss(trained) -> (value, more)``, where the value is float32, (), and ``more`` is
        anything else that the caller needs.
      trained: the arrays that are trained, as a tree.
      opt_state: the optimizer's arrays.

    Returns:
      The trained arrays and the optimizer's arrays after the step, and the loss and ``more``
      before it.
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
