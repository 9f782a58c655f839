"""The optimisers the papers name, from config fields."""

from typing import Literal

import jax
import optax

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
        raise ValueError(f"optimizer: must be adam or sgd, got {name!r}")
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
        raise ValueError(f"optimizer: must be adam or sgd, got {config.optimizer!r}")
    if not config.learning_rate > 0:
        raise ValueError(f"learning_rate: must be above 0, got {config.learning_rate}")
    if not 0 <= config.momentum < 1:
        raise ValueError(f"momentum: must be in [0, 1), got {config.momentum}")
    if not getattr(config, "bias_rate", 1) > 0:
        raise ValueError(f"bias_rate: must be above 0, got {config.bias_rate}")
    if config.batch < 1:
        raise ValueError(f"batch: must be at least 1, got {config.batch}")
