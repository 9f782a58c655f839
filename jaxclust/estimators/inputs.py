"""What an estimator is given: its method, its seeds, and X as images or as a table."""

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.estimators import tables
from jaxclust.methods import registry
from jaxclust.runs import feature_inputs
from jaxclust.runs.fit import chosen_method
from jaxclust.runs.plan import MOST_SEEDS
from jaxclust.types import Method

if TYPE_CHECKING:
    from jaxclust.estimators.clustering import DeepClustering

NAMES = {"clusters": "n_clusters", "images": "X", "features": "X"}
"""What an estimator calls the arguments of ``jaxclust.fit``."""

OF_FRAMES = ("__dataframe__", "__arrow_c_stream__")
"""What frames of pyarrow and polars have, which have names of columns but no ``ndim``."""


@contextlib.contextmanager
def own_names() -> Iterator[None]:
    """Lets a ``UsageError`` name the estimator's argument, not the one of ``jaxclust.fit``."""
    try:
        yield
    except UsageError as error:
        name, colon, rule = str(error).partition(":")
        if not colon or name not in NAMES:
            raise
        if name == "features":
            rule = rule.replace("between images", "between rows")
        raise UsageError(f"{NAMES[name]}:{rule}") from error


@contextlib.contextmanager
def unchanged_on_error(estimator: "DeepClustering") -> Iterator[None]:
    """Lets an estimator keep all that it has learned where fitting it again fails."""
    before = dict(vars(estimator))
    try:
        with own_names():
            yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def chosen(estimator: "DeepClustering") -> Method | None:
    """The method without the settings; None where there is none of this name."""
    method = estimator.method
    if isinstance(method, Method):
        return method
    return registry.METHODS.get(method) if isinstance(method, str) else None


def chosen_name(estimator: "DeepClustering") -> str:
    """What the method is called."""
    method = estimator.method
    return method.name if isinstance(method, Method) else str(method)


def method_of(estimator: "DeepClustering") -> Method:
    """The method with the settings, but for the number of clusters.

    Raises:
      UsageError: there is no such method, or a setting breaks its rule.
    """
    settings = estimator.settings or {}
    if "clusters" in settings:
        rule = f"settings: must be those of {estimator.method}, n_clusters apart"
        raise UsageError(f"{rule}, got 'clusters'")
    preset = None if estimator.preset == "default" else estimator.preset
    return chosen_method(estimator.method, preset).with_settings(settings)


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
      UsageError: ``image_shape`` is none, or X is not of the shape that it asks for.
      ValueError: a table breaks scikit-learn's rules, or a TypeError where it is sparse.
    """
    shape = estimator.image_shape
    check_image_shape(shape)
    if not any(hasattr(X, name) for name in ("ndim", *OF_FRAMES)):
        X = np.asarray(X)
    if getattr(X, "ndim", 2) > 2:
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


def check_image_shape(shape: Any) -> None:
    """Refuses an ``image_shape`` that is no shape of images.

    Raises:
      UsageError: it is neither None nor two or three integers from 1.
    """
    if shape is None:
        return
    sides = shape if isinstance(shape, tuple | list) else ()
    whole = all(isinstance(side, int | np.integer) and not isinstance(side, bool) for side in sides)
    if len(sides) not in (2, 3) or not whole or min(sides) < 1:
        rule = "image_shape: must be None or a tuple of two or three integers from 1"
        raise UsageError(f"{rule}, got {shape!r}")


def _image_rule(shape: tuple[int, ...], got: tuple[int, ...]) -> str:
    return f"X: must be of shape (n, {np.prod(shape)}) for image_shape, got {got}"


def to_cluster(estimator: "DeepClustering", X: Any) -> Dataset:
    """The images or rows to cluster; the estimator learns how rows are scaled.

    Args:
      estimator: keeps what ``checked`` says, and the scaling, which is None for images.
      X: as for ``DeepClustering.fit``.

    Raises:
      UsageError: X is neither images nor a table that the method takes.
    """
    X = checked(estimator, X, fitting=True)
    estimator._scaling = None
    if X.ndim != 2:
        if estimator.scale is not None:
            raise UsageError(f"scale: must be None for images, got {estimator.scale!r}")
        layout = None if estimator.image_shape is None else "nhwc"
        data = datasets.checked("X", X, layout=layout)
        estimator.n_features_in_ = int(np.prod(data.images.shape[1:]))
        return data
    if not takes_tables(estimator):
        rule = "X: must be images, or a table of pixels with image_shape"
        raise UsageError(f"{rule}, for {method_of(estimator).name}, got shape {X.shape}")
    estimator._scaling = tables.learned(estimator.scale, X)
    return Dataset("X", tables.as_images(X, estimator._scaling), None)


def of_new(estimator: "DeepClustering", X: Any) -> np.ndarray:
    """What the network of a fitted estimator takes of new images or rows.

    Args:
      estimator: fitted.
      X: as for ``DeepClustering.predict``.

    Raises:
      UsageError: X is not of the size of what the estimator was fitted to.
      NotFittedError: ``fit`` was not called.
    """
    check_is_fitted(estimator, "labels_")
    X = checked(estimator, X, fitting=False)
    if estimator._scaling is None:
        with own_names():
            return feature_inputs.of_new_images(estimator.run_.settings, X)
    if X.ndim != 2:
        raise UsageError(f"X: must be a table as in fit, got shape {X.shape}")
    return tables.as_images(X, estimator._scaling)
