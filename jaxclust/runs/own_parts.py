"""Methods with functions or networks of their own, as the record of a run names them."""

import functools
from collections.abc import Callable
from typing import Any

from jaxclust.methods.registry import METHODS
from jaxclust.types import PRETRAINING, Algorithm, Json, Method, network_name


def own_parts(method: Method) -> dict[str, Json]:
    """What a method has that the package's method of its name has not.

    The record of a run keeps it, so that nobody takes the run for one of the package's method.
    Functions are known by their names alone.

    Args:
      method: the method.

    Returns:
      Nothing for a method of the package, whatever its settings are. Otherwise under "own" the
      names of its algorithm, network and labelings, and whether it is deterministic. Then the name
      of each function that the package's algorithm of this name does not have, or "none" for one
      that it has and the method lacks.
    """
    known = METHODS.get(method.name)
    parts = (method.algorithm, method.network, method.pretrainer)
    if known is not None and parts == (known.algorithm, known.network, known.pretrainer):
        return {}
    own: dict[str, Json] = {
        "algorithm": method.algorithm.name,
        "network": network_name(method.network),
        "labelings": list(method.algorithm.labelings),
    }
    if method.algorithm.deterministic:
        own["deterministic"] = True
    own |= _own_functions(method.algorithm, "")
    if method.pretrainer is not None:
        own |= _own_functions(method.pretrainer, PRETRAINING)
    return {"own": own}


def _own_functions(algorithm: Algorithm, prefix: str) -> dict[str, Json]:
    """Names of the functions that the package's algorithm of the same name does not have."""
    known = _algorithms().get(algorithm.name)
    usual = {} if known is None else known._asdict()
    own: dict[str, Json] = {}
    for name, value in algorithm._asdict().items():
        if callable(value) and value is not usual.get(name):
            own[prefix + name] = _function_name(value)
        elif value is None and usual.get(name) is not None:
            own[prefix + name] = "none"
    return own


def _algorithms() -> dict[str, Algorithm]:
    """The package's algorithms by name, those that pretrain among them."""
    algorithms = {method.algorithm.name: method.algorithm for method in METHODS.values()}
    for method in METHODS.values():
        if method.pretrainer is not None:
            algorithms[method.pretrainer.name] = method.pretrainer
    return algorithms


def _function_name(function: Callable[..., Any]) -> str:
    """A function's module and name; with its arguments where it is a ``functools.partial``."""
    if isinstance(function, functools.partial):
        given = [repr(value) for value in function.args]
        given += [f"{name}={value!r}" for name, value in function.keywords.items()]
        return f"{_function_name(function.func)}({', '.join(given)})"
    named: Any = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"
