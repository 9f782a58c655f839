"""The settings of an estimator's method as parameters: listed by name, and changed one by one."""

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from jaxclust.errors import UsageError
from jaxclust.estimators import inputs
from jaxclust.types import PRETRAINING

if TYPE_CHECKING:
    from jaxclust.estimators.clustering import DeepClustering

SETTING = "settings__"
"""Prefix that a setting has as a parameter of ``get_params`` and ``set_params``."""


def listed(estimator: "DeepClustering") -> dict[str, object]:
    """All settings of the method with their present values, by the names of parameters.

    The values are those of the preset, changed by the estimator's ``settings``, which only ``fit``
    checks. There are none where the estimator's method has no known name.
    """
    method = inputs.chosen(estimator)
    if method is None:
        return {}
    given = estimator.settings if isinstance(estimator.settings, Mapping) else {}
    preset = estimator.preset if isinstance(estimator.preset, str) else ""
    values = {**method.presets.get(preset, {}), **given}
    params: dict[str, object] = {}
    for name in method.settings():
        bare = name.removeprefix(PRETRAINING)
        config = method.config if bare == name else method.pretraining
        params[SETTING + name.replace(".", "__")] = values.get(name, getattr(config, bare))
    params.pop(f"{SETTING}clusters")  # It is n_clusters.
    return params


def changed(
    estimator: "DeepClustering", params: Mapping[str, Any], new_only: bool
) -> Mapping[str, Any] | None:
    """The estimator's ``settings`` with some of them changed.

    Args:
      estimator: where the other parameters are set already.
      params: values by the names that ``listed`` gives.
      new_only: leave out those whose values are the present ones, so that
        ``set_params(**get_params())`` changes nothing.

    Raises:
      UsageError: the method has no such setting.
    """
    known = listed(estimator)
    for name in params:
        if known and name not in known:
            rule = f"{name}: must be a setting of {inputs.chosen_name(estimator)}"
            raise UsageError(f"{rule}, which get_params lists{_did_you_mean(name, known)}")
    named = {
        name.removeprefix(SETTING).replace("__", "."): value
        for name, value in params.items()
        if not (new_only and name in known and value == known[name])
    }
    if not named:
        return estimator.settings
    return {**(estimator.settings or {}), **named}


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of a refusal: the settings whose names are near, or nothing."""
    word = name.removeprefix(SETTING)
    bare = [other.removeprefix(SETTING) for other in known]
    last = word.rpartition("__")[2]
    same = [other for other in bare if other.rpartition("__")[2] == last]
    near = dict.fromkeys([*same, *difflib.get_close_matches(word, bare)])
    names = " or ".join(SETTING + other for other in near)
    return f"; did you mean {names}?" if names else ""
