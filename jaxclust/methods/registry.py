"""All methods by name, and how one is looked up and set."""

import difflib
from collections.abc import Mapping
from typing import Any

from jaxclust.errors import UsageError
from jaxclust.methods import agglomerative, ccnn, dbc, dcec, dcn, dctl, dkm, jule
from jaxclust.types import PRETRAINING, Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (dcec, dbc, ccnn, agglomerative, jule, dctl, dcn, dkm)
    for method in module.METHODS
}
"""Every method at its paper's settings; further methods and variants are made from these."""


def names() -> tuple[str, ...]:
    """The names that ``method`` and the command take."""
    return tuple(METHODS)


def get(name: str) -> Method:
    """A method at its paper's settings.

    Raises:
      UsageError: there is no such method.
    """
    if name in METHODS:
        return METHODS[name]
    near = difflib.get_close_matches(str(name), METHODS, 1)
    hint = f"; did you mean {near[0]}?" if near else ""
    raise UsageError(f"method: must be one of {', '.join(METHODS)}, got {name!r}{hint}")


def method(
    name: str, preset: str = "paper", pretraining: Mapping[str, Any] | None = None, **settings: Any
) -> Method:
    """A method by name, under a preset and with some settings changed.

    Args:
      name: one of ``names()``.
      preset: "paper" is the published settings; "quick" has fewer epochs and nothing else; some
        methods have more, which ``jaxclust methods`` lists.
      pretraining: settings of the pretraining, by name.
      **settings: settings of the method, by name; ``clusters`` is the number of clusters.

    Raises:
      UsageError: an unknown name, preset or setting, or a value that breaks a setting's rule.
    """
    found = get(name)
    if preset not in found.presets:
        raise UsageError(f"preset: must be one of {', '.join(found.presets)}, got {preset!r}")
    of_pretraining = {PRETRAINING + key: value for key, value in (pretraining or {}).items()}
    return found.with_settings({**found.presets[preset], **settings, **of_pretraining})


def deterministic(name: str) -> bool:
    """Whether a method of this name draws no random number; False for one that is not here."""
    return name in METHODS and METHODS[name].algorithm.deterministic
