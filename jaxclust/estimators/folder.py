"""A fitted estimator's folder: that of its run, and a file of JSON with what the run lacks."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxclust.errors import UsageError
from jaxclust.estimators.tables import Scaling
from jaxclust.runs.files import write_file
from jaxclust.runs.reading import open_run
from jaxclust.runs.run import Run
from jaxclust.types import Method

if TYPE_CHECKING:
    from jaxclust.estimators.clustering import DeepClustering

FILE = "estimator.json"


class Kept(NamedTuple):
    """What a folder says of an estimator.

    Attributes:
      parameters: the arguments of its class.
      attributes: what fitting has set, apart from what follows from the run.
      run: its run.
    """

    parameters: dict[str, Any]
    attributes: dict[str, Any]
    run: Run


def write(estimator: "DeepClustering", path: str | os.PathLike, overwrite: bool) -> None:
    """Writes a fitted estimator, see ``DeepClustering.save``."""
    run = estimator.run_
    if not run.phases and run.directory is None:
        rule = "save: must be of an estimator as fit or load gave it"
        raise UsageError(f"{rule}, got one from a pickle or moved after load")
    scaling = estimator._scaling
    names = getattr(estimator, "feature_names_in_", None)
    counts = estimator._counts
    content = {
        "class": type(estimator).__name__,
        "parameters": _parameters(estimator),
        "n_features_in_": estimator.n_features_in_,
        "feature_names_in_": None if names is None else list(names),
        "inertia_": getattr(estimator, "inertia_", None),
        "scaling": None if scaling is None else [column.tolist() for column in scaling],
        "counts": None if counts is None else counts.tolist(),
    }
    try:
        text = json.dumps(content, indent=2)
    except TypeError as error:
        raise UsageError(f"save: parameters must be plain numbers and words ({error})") from error
    run.save(path, overwrite)
    write_file(Path(path) / FILE, text + "\n")


def _parameters(estimator: "DeepClustering") -> dict[str, Any]:
    """The estimator's parameters as JSON has them; None for a method that is no name."""
    parameters = {name: _plain(value) for name, value in estimator.get_params(False).items()}
    if isinstance(estimator.method, Method):
        parameters["method"] = None
    # What drew the seed is gone; the seed gives the same run again.
    parameters["random_state"] = estimator.run_.seeds[0]
    return parameters


def _plain(value: Any) -> Any:
    """A value with NumPy's scalars as Python's."""
    if isinstance(value, Mapping):
        return {name: _plain(part) for name, part in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def read(name: str, path: str | os.PathLike, method: Method | None) -> Kept:
    """What ``write`` wrote, see ``DeepClustering.load``.

    Args:
      name: the class that it must be of.
      path: the folder.
      method: where the estimator had one that is no name.
    """
    file = Path(path) / FILE
    try:
        content = json.loads(file.read_text())
    except FileNotFoundError:
        raise UsageError(f"load: {path} must hold an estimator, has no {FILE}") from None
    except ValueError as error:
        raise UsageError(f"load: {file} must be an estimator's, is damaged ({error})") from error
    try:
        if content["class"] != name:
            rule = f"load: {path} must hold a {name}"
            raise UsageError(f"{rule}, got one that {content['class']}.load reads")
        parameters = dict(content["parameters"])
        attributes = _attributes(content)
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"load: {file} must be an estimator's, misses {error}") from error
    if "method" in parameters and parameters["method"] is None:
        if method is None:
            raise UsageError(
                f"method: must be given for {path}, whose estimator had no name of one"
            )
        parameters["method"] = method
    elif method is not None:
        raise UsageError(f"method: must not be given for {path}, whose method has a name")
    if parameters.get("image_shape") is not None:
        parameters["image_shape"] = tuple(parameters["image_shape"])
    if method is not None:
        changed = method.with_settings(parameters["settings"] or {})
        method = changed.with_settings({"clusters": parameters["n_clusters"]})
    return Kept(parameters, attributes, open_run(path, method))


def _attributes(content: Mapping[str, Any]) -> dict[str, Any]:
    """What fitting has set, by the attributes' names."""
    attributes: dict[str, Any] = {"n_features_in_": int(content["n_features_in_"])}
    if content["feature_names_in_"] is not None:
        attributes["feature_names_in_"] = np.array(content["feature_names_in_"], object)
    if content["inertia_"] is not None:
        attributes["inertia_"] = float(content["inertia_"])
    scaling = content["scaling"]
    attributes["_scaling"] = None
    if scaling is not None:
        attributes["_scaling"] = Scaling(*(np.array(column, np.float64) for column in scaling))
    counts = content["counts"]
    attributes["_counts"] = None if counts is None else np.array(counts, np.int32)
    return attributes
