"""What an estimator is given: its method, its seeds, and X as images or as a table."""

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import validate_data

from jaxclust.errors import UsageError
from jaxclust.estimators import tables
from jaxclust.methods import registry
from jaxclust.runs.plan import MOST_SEEDS
from jaxclust.types import Method

if TYPE_CHECKING:
    from jaxclust.estimators.clustering import DeepClustering


def chosen(estimator: "DeepClustering") -> Method | None:
    """The method without the settings; None where there is none of this name."""
    method = estimator.method
    if isinstance(method, Method):
        return method
    return registry.METHODS.get(method) if isinstance(method, str) else None


def method_of(estimator: "DeepClustering") -> Method:
    """The method with the settings, but for the number of clusters.

    Raises:
      UsageError: there is no such method, or a setting breaks its rule.
    """
    settings = estimator.settings or {}
    if "clusters" in settings:
        rule = f"settings: must be those of {estimator.method}, n_clusters apart"
        raise UsageError(f"{rule}, got 'clusters'")
    if isinstance(estimator.method, Method):
        return estimator.method.with_settings(settings)
    return registry.method(estimator.method, estimator.preset).with_settings(settings)


def takes_tables(estimator: "DeepClustering") -> bool:
    """Whether the rows of a table may be anything: not pixels, and for no network of images."""
    method = chosen(estimator)
    if estimator.image_shape is not None or method is None:
        return False
    return tables.takes_tables(method.network)


def seeds_of(random_state: Any, count: Any) -> range:
    """The seeds that an estimator's parameters ask for.

    Args:
      random_state: the first seed, or what draws it: a ``RandomState``, or None for NumPy's own.
      count: how many.

    Raises:
      UsageError: they are no such values.
    """
    if not isinstance(count, int | np.integer) or count < 1:
        raise UsageError(f"n_init: must be an integer of at least 1, got {count!r}")
    if count > MOST_SEEDS:
        raise UsageError(f"n_init: must be at most {MOST_SEEDS}, got {count!r}")
    first = random_state
    if first is None or isinstance(first, np.random.RandomState):
        first = check_random_state(first).randint(2**31 - count)
    rule = "random_state: must be an integer of at least 0"
    if not isinstance(first, int | np.integer):
        raise UsageError(f"{rule}, a RandomState or None, got {first!r}")
    if first < 0:
        raise UsageError(f"{rule}, got {first!r}")
    return range(int(first), int(first) + int(count))


def checked(estimator: "DeepClustering", X: Any, fitting: bool) -> np.ndarray:
    """X as an array, whose rows are images where ``image_shape`` says so.

    Args:
      estimator: keeps the width and the names of a table's columns when it is fitted, and refuses
        other ones later.
      X: images, or numbers of rank 2.
      fitting: whether it is being fitted.

    Returns:
      (n, d), (n, h, w) or (n, h, w, c).

    Raises:
      UsageError: X is not of the shape that ``image_shape`` asks for.
      ValueError: a table breaks scikit-learn's rules, or a TypeError where it is sparse.
    """
    shape = estimator.image_shape
    if not hasattr(X, "ndim"):
        X = np.asarray(X)
    if X.ndim > 2:
        X = np.asarray(X)
        if shape is not None:
            raise UsageError(_image_rule(shape, X.shape))
        if fitting:
            vars(estimator).pop("feature_names_in_", None)
        return X
    X = validate_data(estimator, X, reset=fitting, ensure_min_samples=2 if fitting else 1)
    if shape is None:
        return X
    if X.shape[1] != np.prod(shape):
        raise UsageError(_image_rule(shape, X.shape))
    return X.reshape(-1, *shape)


def _image_rule(shape: tuple[int, ...], got: tuple[int, ...]) -> str:
    return f"X: must be of shape (n, {np.prod(shape)}) for image_shape, got {got}"
