"""A fitted estimator's folder: that of its run, and a file of JSON with what the run lacks."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from jaxclust.errors import UsageError, reading
from jaxclust.estimators import inputs
from jaxclust.estimators.batches import Progress
from jaxclust.estimators.tables import Scaling
from jaxclust.methods import registry
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
    attributes: dict[str, object]
    run: Run


def write(estimator: "DeepClustering", path: str | os.PathLike, overwrite: bool) -> None:
    """Writes a fitted estimator, see ``DeepClustering.save``."""
    run = estimator.run_
    if not run.phases and run.directory is None:
        rule = "save: must be of an estimator as fit or load gave it"
        raise UsageError(f"{rule}, got one from a pickle, or a loaded one after partial_fit")
    if run.directory is not None and not run.phases and not (run.directory / "checkpoint").is_dir():
        rule = "save: the folder from which the estimator was loaded must still be there"
        raise UsageError(f"{rule}, got {run.directory} without a checkpoint")
    parameters = _parameters(estimator)
    changed = _differing(type(estimator), parameters, run)
    if changed:
        raise UsageError(f"save: parameters must be those of fit, {changed}; fit again")
    scaling = estimator._scaling
    names = getattr(estimator, "feature_names_in_", None)
    progress = estimator._progress
    content = {
        "class": type(estimator).__name__,
        "parameters": parameters,
        "n_features_in_": estimator.n_features_in_,
        "feature_names_in_": None if names is None else list(names),
        # That of a later batch belongs to other rows than the run's labels.
        "inertia_": None if progress.batches else getattr(estimator, "inertia_", None),
        "scaling": None if scaling is None else [column.tolist() for column in scaling],
        "batches": progress.batches,
        "counts": None if progress.counts is None else progress.counts.tolist(),
    }
    try:
        text = json.dumps(content, indent=2)
    except TypeError as error:
        raise UsageError(f"save: parameters must be plain numbers and words ({error})") from error
    run.save(path, overwrite)
    write_file(Path(path) / FILE, text + "\n")


def _parameters(estimator: "DeepClustering") -> dict[str, object]:
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


def _differing(cls: type["DeepClustering"], parameters: Mapping[str, Any], run: Run) -> str:
    """In which parameter an estimator differs from its run; "" where in none."""
    clusters = run.settings.clusters
    if parameters["n_clusters"] != clusters:
        return f"n_clusters {clusters}, got {parameters['n_clusters']}"
    if parameters["n_init"] != len(run.seeds):
        return f"n_init {len(run.seeds)}, got {parameters['n_init']}"
    method = parameters.get("method", getattr(cls, "method", None))
    if method is None or isinstance(method, Method):
        return ""
    chosen = registry.METHODS.get(method) if isinstance(method, str) else None
    if chosen is None or chosen.name != run.settings.method:
        return f"method {run.settings.method}, got {method!r}"
    return ""


def read(cls: type["DeepClustering"], path: str | os.PathLike, method: Method | None) -> Kept:
    """What ``write`` wrote, see ``DeepClustering.load``.

    Args:
      cls: the class that it must be of.
      path: the folder.
      method: where the estimator had one that is no name.
    """
    file = Path(path) / FILE
    if not file.exists():
        raise UsageError(f"load: {path} must hold an estimator, has no {FILE}")
    with reading(f"load: {file} must be an estimator's, is damaged", file):
        content = json.loads(file.read_text())
        name = content["class"]
        if name == cls.__name__:
            try:
                parameters = _checked_parameters(cls, content["parameters"])
                attributes = _attributes(content)
            except UsageError as error:  # It names a parameter, and not the file.
                raise _damaged(file, error) from error
    if name != cls.__name__:
        rule = f"load: {path} must hold a {cls.__name__}"
        raise UsageError(f"{rule}, got one that {name}.load reads")
    if "method" in parameters and parameters["method"] is None:
        if method is None:
            raise UsageError(
                f"method: must be given for {path}, whose estimator had no name of one"
            )
        parameters["method"] = method
    elif method is not None:
        raise UsageError(f"method: must not be given for {path}, whose method has a name")
    if method is not None:
        changed = method.with_settings(parameters["settings"] or {})
        method = changed.with_settings({"clusters": parameters["n_clusters"]})
    run = open_run(path, method)
    wrong = _differing(cls, parameters, run) or _misfit(attributes, run)
    if wrong:
        raise _damaged(file, wrong)
    return Kept(parameters, attributes, run)


def _damaged(file: Path, reason: object) -> UsageError:
    return UsageError(f"load: {file} must be an estimator's, is damaged ({reason})")


def _checked_parameters(cls: type["DeepClustering"], kept: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a class as a file has them.

    Raises:
      ValueError: they are those of no such class, or cannot be its arguments.
    """
    names = cls._get_param_names()
    if sorted(kept) != sorted(names):
        raise ValueError(f"parameters must be {', '.join(names)}, got {', '.join(kept)}")
    parameters = dict(kept)
    if not isinstance(parameters["settings"], dict | None):
        raise ValueError(f"settings must be by name, got {parameters['settings']!r}")
    if parameters["image_shape"] is not None:
        parameters["image_shape"] = tuple(parameters["image_shape"])
        inputs.check_image_shape(parameters["image_shape"])
    return parameters


def _misfit(attributes: Mapping[str, Any], run: Run) -> str:
    """Which attribute cannot belong to a run; "" where all can."""
    width = math.prod(run.settings.data.shape[1:])
    if attributes["n_features_in_"] != width:
        return f"n_features_in_ must be {width}, got {attributes['n_features_in_']}"
    names = attributes.get("feature_names_in_")
    if names is not None and names.shape != (width,):
        return f"feature_names_in_ must be {width} names, got {names.shape}"
    scaling = attributes["_scaling"]
    if scaling is not None:
        if any(column.shape != (width,) for column in scaling):
            return f"scaling must be two times {width} numbers"
        if not (np.isfinite(scaling).all() and (scaling.factor > 0).all()):
            return "scaling must be finite, and its factors above 0"
    batches, counts = attributes["_progress"]
    if batches < 0:
        return f"batches must be at least 0, got {batches}"
    shape = (len(run.kept_lanes()), run.settings.clusters)
    if counts is not None and (counts.shape != shape or (counts < 0).any()):
        return f"counts must be of shape {shape} and at least 0, got {counts.shape}"
    return ""


def _attributes(content: Mapping[str, Any]) -> dict[str, object]:
    """What fitting has set, by the attributes' names.

    Raises:
      ValueError: they are no such numbers.
    """
    attributes: dict[str, object] = {"n_features_in_": int(content["n_features_in_"])}
    if content["feature_names_in_"] is not None:
        attributes["feature_names_in_"] = np.array(content["feature_names_in_"], object)
    if content["inertia_"] is not None:
        attributes["inertia_"] = float(content["inertia_"])
    scaling = content["scaling"]
    attributes["_scaling"] = None
    if scaling is not None:
        attributes["_scaling"] = Scaling(*(np.array(column, np.float64) for column in scaling))
    counts = content["counts"]
    counts = None if counts is None else np.array(counts, np.int32)
    attributes["_progress"] = Progress(int(content["batches"]), counts)
    return attributes
