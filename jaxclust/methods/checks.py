"""Rules that several methods share, for their settings and for their network.

A ``Config`` checks its fields in ``__post_init__``.
"""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args, get_origin

import jax

from jaxclust.errors import UsageError
from jaxclust.types import Network, Variables

Reconstruct = Callable[[Variables, jax.Array, bool], tuple[jax.Array, jax.Array, dict]]
"""``Network.reconstruct`` of a network that has a decoder."""


def changes(usual: Any, other: Any, prefix: str = "") -> dict[str, object]:
    """The settings of a config that differ from another's, as a preset has them.

    Args:
      usual: the default config.
      other: a config of the same type.
      prefix: ``types.PRETRAINING`` for settings of a pretraining.
    """
    names = [field.name for field in dataclasses.fields(usual)]
    return {
        prefix + name: getattr(other, name)
        for name in names
        if getattr(other, name) != getattr(usual, name)
    }


def at_least(config: Any, least: float, *names: str) -> None:
    """Refuses settings below a least value, and NaN.

    Args:
      config: the frozen dataclass that is being made.
      least: the smallest value that is allowed.
      *names: the fields that have to keep the rule.

    Raises:
      UsageError: a field is below ``least``.
    """
    for name in names:
        value = getattr(config, name)
        if not value >= least:
            raise UsageError(f"{name}: must be at least {least}, got {value}")


def positive(config: Any, *names: str) -> None:
    """Refuses settings that are not above 0 and finite.

    Args:
      config: the frozen dataclass that is being made.
      *names: the fields that have to keep the rule.

    Raises:
      UsageError: a field is at most 0, infinite or NaN.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 < value < math.inf:
            raise UsageError(f"{name}: must be above 0 and finite, got {value}")


def nonnegative(config: Any, *names: str) -> None:
    """Refuses settings that are not at least 0 and finite.

    Args:
      config: the frozen dataclass that is being made.
      *names: the fields that have to keep the rule.

    Raises:
      UsageError: a field is below 0, infinite or NaN.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < math.inf:
            raise UsageError(f"{name}: must be at least 0 and finite, got {value}")


def in_range(config: Any, low: float, high: float, *names: str) -> None:
    """Refuses settings outside a closed interval.

    Args:
      config: the frozen dataclass that is being made.
      low: the smallest value that is allowed.
      high: the largest value that is allowed.
      *names: the fields that have to keep the rule.

    Raises:
      UsageError: a field is below ``low`` or above ``high``, or NaN.
    """
    for name in names:
        value = getattr(config, name)
        if not low <= value <= high:
            raise UsageError(f"{name}: must be in [{low}, {high}], got {value}")


def below_one(config: Any, *names: str) -> None:
    """Refuses settings that are not in [0, 1).

    Args:
      config: the frozen dataclass that is being made.
      *names: the fields that have to keep the rule.

    Raises:
      UsageError: a field is below 0, at least 1, or NaN.
    """
    for name in names:
        value = getattr(config, name)
        if not 0 <= value < 1:
            raise UsageError(f"{name}: must be in [0, 1), got {value}")


def in_words(choices: Sequence[str]) -> str:
    """Two choices as "a or b", more of them as "a, b or c"."""
    return " or ".join((", ".join(choices[:-1]), choices[-1]))


def as_list(choices: Sequence[str]) -> str:
    """Choices as "one of a, b, c"."""
    return f"one of {', '.join(choices)}"


def choices(config: Any, phrase: Callable[[Sequence[str]], str] = in_words) -> None:
    """Refuses settings that are none of the values in the ``Literal`` of their field.

    Args:
      config: the frozen dataclass that is being made; all of its ``Literal`` fields are checked.
      phrase: how the message lists the values.

    Raises:
      UsageError: a field has another value.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if get_origin(field.type) is Literal and value not in get_args(field.type):
            known = phrase(get_args(field.type))
            raise UsageError(f"{field.name}: must be {known}, got {value!r}")


def only(config: Any, name: str, value: str, condition: str) -> None:
    """Refuses every value of a setting but one, which another setting asks for.

    Args:
      config: the frozen dataclass that is being made.
      name: the field that has to keep the rule.
      value: the one value that is allowed.
      condition: the other setting, for the message.

    Raises:
      UsageError: the field has another value.
    """
    actual = getattr(config, name)
    if actual != value:
        raise UsageError(f"{name}: must be {value} {condition}, got {actual!r}")


def decoder(network: Network, algorithm: str) -> Reconstruct:
    """The function with which a network encodes and decodes images.

    Args:
      network: the network that an algorithm was given.
      algorithm: the algorithm's name, for the message.

    Raises:
      UsageError: the network has no decoder.
    """
    if network.reconstruct is None:
        rule = f"network: {algorithm} needs a decoder"
        raise UsageError(f"{rule}, got a network without reconstruct")
    return network.reconstruct
