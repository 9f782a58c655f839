"""Deep image clustering in JAX, for many seeds at once.

``load`` reads images, ``fit`` clusters them, ``method`` chooses and changes a method. ``compare``
says which differences between methods can be claimed, ``open_run`` reads a run back. ``vote``
lets the images on which a run's seeds agree decide about the others. ``group`` sorts a folder of
pictures into groups. ``DeepClustering`` has scikit-learn's interface. ``jaxclust.types`` has the
other types that a method of one's own needs, ``jaxclust.errors`` what is raised for bad input,
``jaxclust.methods`` the algorithms and pretrainings, each as its module's
``ALGORITHM`` and ``Config``.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.2.0.dev0"

if TYPE_CHECKING:
    from jaxclust import data, estimators, methods, networks, ops
    from jaxclust.comparison.compare import compare
    from jaxclust.data.datasets import load
    from jaxclust.estimators import DeepClustering
    from jaxclust.groups.group import group
    from jaxclust.methods.registry import method
    from jaxclust.runs.fit import fit
    from jaxclust.runs.reading import open_run
    from jaxclust.runs.run import Run
    from jaxclust.runs.vote import vote
    from jaxclust.types import Algorithm, Method, Network

_HOMES = {
    "load": "jaxclust.data.datasets",
    "fit": "jaxclust.runs.fit",
    "method": "jaxclust.methods.registry",
    "compare": "jaxclust.comparison.compare",
    "open_run": "jaxclust.runs.reading",
    "group": "jaxclust.groups.group",
    "DeepClustering": "jaxclust.estimators",
    "Method": "jaxclust.types",
    "Network": "jaxclust.types",
    "Algorithm": "jaxclust.types",
    "Run": "jaxclust.runs.run",
    "vote": "jaxclust.runs.vote",
}
_PACKAGES = ("methods", "networks", "ops", "data", "estimators")

__all__ = [
    "Algorithm",
    "DeepClustering",
    "Method",
    "Network",
    "Run",
    "__version__",
    "compare",
    "data",
    "estimators",
    "fit",
    "group",
    "load",
    "method",
    "methods",
    "networks",
    "open_run",
    "ops",
    "vote",
]


def __getattr__(name: str) -> Any:
    """Loads a name when it is first used: ``import jaxclust`` alone loads neither JAX nor more."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"jaxclust.{name}")
    raise AttributeError(f"module 'jaxclust' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
