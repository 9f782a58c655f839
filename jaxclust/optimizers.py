"""The optimisers the papers name, from config fields."""

from typing import Literal

import optax

Name = Literal["adam", "sgd"]


def make(name: Name, learning_rate: float, momentum: float) -> optax.GradientTransformation:
    """Adam (beta 0.9, 0.999; ``momentum`` is not used), or SGD with heavy-ball momentum as in Keras and Caffe.

    Args:
      name: "adam" or "sgd".
      learning_rate: step size.
      momentum: of SGD, in [0, 1).

    Raises:
      ValueError: an unknown name.
    """
    if name == "adam":
        return optax.adam(learning_rate)
    if name == "sgd":
        return optax.sgd(learning_rate, momentum=momentum)
    raise ValueError(f"optimizer: must be adam or sgd, got {name!r}")


def check(config) -> None:
    """Refuses optimiser and batch fields that cannot work: ValueError with name, rule and value."""
    if config.optimizer not in ("adam", "sgd"):
        raise ValueError(f"optimizer: must be adam or sgd, got {config.optimizer!r}")
    if not config.learning_rate > 0:
        raise ValueError(f"learning_rate: must be above 0, got {config.learning_rate}")
    if not 0 <= config.momentum < 1:
        raise ValueError(f"momentum: must be in [0, 1), got {config.momentum}")
    if config.batch < 1:
        raise ValueError(f"batch: must be at least 1, got {config.batch}")
