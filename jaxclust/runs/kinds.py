"""What the values of a file of JSON must be, before anything uses them."""

import math
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin

LARGEST = 2**53
"""No number of a file is larger: beyond, floats are no whole numbers any more."""


def wrong_kinds(values: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[str]:
    """The names in ``kinds`` that are missing, or have a value of another kind.

    Args:
      values: an object of JSON.
      kinds: a type by each name, such as ``int | None`` or ``list``. A truth value is no number,
        and a number is finite and at most ``LARGEST`` in size.
    """
    return [name for name, kind in kinds.items() if not is_kind(values.get(name, ...), kind)]


def is_kind(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of a type; see ``wrong_kinds``."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return any(is_kind(value, part) for part in get_args(kind))
    if kind is None or kind is type(None):
        return value is None
    if kind in (int, float):
        number = isinstance(value, int if kind is int else int | float)
        return number and not isinstance(value, bool) and is_number(value)
    return isinstance(value, kind if origin is None else origin)


def is_number(value: int | float) -> bool:
    """Whether a number is finite and at most ``LARGEST`` in size."""
    return abs(value) <= LARGEST if isinstance(value, int) else math.isfinite(value)
