"""All methods by name; a method is looked up here and given its settings."""

from collections.abc import Mapping
from typing import Any

from jaxclust.errors import UsageError, did_you_mean
from jaxclust.methods import (
    aec,
    agglomerative,
    best,
    ccnn,
    ccnn_variants,
    cnn_cm,
    dbc,
    dcec,
    dcn,
    dctl,
    den,
    dkm,
    infinite_ensemble,
    jule,
    landmarks,
    nmf_deep,
    nmf_locality,
    sparse_deep,
    spectral,
    spectral_embedded,
)
from jaxclust.types import PRETRAINING, Method

METHODS: dict[str, Method] = {
    method.name: method
    for module in (
        *(best, dcec, dbc, ccnn, ccnn_variants, agglomerative, spectral, landmarks),
        *(spectral_embedded, nmf_locality, nmf_deep, infinite_ensemble),
        *(jule, dctl, dcn, dkm, sparse_deep, aec, den, cnn_cm),
    )
    for method in module.METHODS
}
"""Every method at its default settings, by name; presets and own settings change them."""


def names() -> tuple[str, ...]:
    """The names that ``get``, ``method`` and the command accept."""
    return tuple(METHODS)


def get(name: str) -> Method:
    """A method at its default settings.

    Args:
      name: one of ``names()``.

    Raises:
      UsageError: there is no such method.
    """
    if isinstance(name, str) and name in METHODS:
        return METHODS[name]
    hint = did_you_mean(str(name), METHODS)
    raise UsageError(f"method: must be one of {', '.join(METHODS)}, got {name!r}{hint}")


def method(
    name: str,
    preset: str = "default",
    pretraining: Mapping[str, Any] | None = None,
    **settings: Any,
) -> Method:
    """A method by name, with a preset and own settings.

    Args:
      name: one of ``names()``.
      preset: "default" is what scored best on the sets that it was chosen on (docs/methods.md);
        "paper" has the settings of the published result; "quick" is the default with fewer epochs.
        Some methods have more presets, which ``jaxclust methods`` lists.
      pretraining: settings of the pretraining, by name.
      **settings: settings of the method, by name; ``clusters`` is the number of clusters.

    Raises:
      UsageError: a name, preset or setting is unknown, or a value breaks the rule of its setting.
    """
    chosen = get(name)
    if preset not in chosen.presets:
        hint = did_you_mean(str(preset), chosen.presets)
        rule = f"preset: must be one of {', '.join(chosen.presets)}"
        raise UsageError(f"{rule}, got {preset!r}{hint}")
    of_pretraining = {PRETRAINING + key: value for key, value in (pretraining or {}).items()}
    changes = {**chosen.presets[preset], **settings, **of_pretraining}
    return chosen.with_settings(changes).replace(preset=preset)


def deterministic(name: str) -> bool:
    """Whether a method of this name exists and draws no random number."""
    return name in METHODS and METHODS[name].algorithm.deterministic
