"""New images into the clusters of a finished run."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.engine import fit
from jaxclust.methods import pretraining
from jaxclust.methods.registry import METHODS
from jaxclust.runs.rows import read_results
from jaxclust.runs.settings import read_settings
from jaxclust.types import Method, Prediction


def predict(directory: Path, images: np.ndarray, seed: int | None = None) -> tuple[int, Prediction]:
    """Clusters images as a finished run does; those it was fitted on get the labels they got there.

    Args:
      directory: the run's folder, as ``jaxclust fit`` makes it.
      images: uint8 or float32 in [0, 1], (n, h, w, c), h, w and c as in the run.
      seed: whose clusters; None for the run's first seed that did not fail.

    Returns:
      The seed, and the prediction as NumPy arrays.

    Raises:
      ValueError: the folder holds no finished run, its checkpoint cannot be used, the images are of another shape, or
        the seed is not one of the run's or failed.
    """
    settings = read_settings(directory)
    method, config, pretraining = configuration(settings, directory)
    if not (directory / "results.jsonl").exists():
        raise ValueError(
            f"run: {directory} must be finished, has no results.jsonl; fit with --resume goes on"
        )
    shape = tuple(settings["data"]["shape"])
    if images.shape[1:] != shape[1:]:
        raise ValueError(
            f"images: must be of shape (n, {', '.join(map(str, shape[1:]))}), got {images.shape}"
        )
    failed = {row["seed"] for row in read_results(directory) if row["failed"] is not None}
    sound = [each for each in settings["seeds"] if each not in failed]
    if not sound:
        raise ValueError(f"seed: all seeds of {directory} failed")
    seed = sound[0] if seed is None else seed
    if seed not in sound:
        raise ValueError(
            f"seed: must be one of {', '.join(map(str, sound))} of {directory}, got {seed}"
        )
    seeds, place = tuple(settings["seeds"]), directory / "checkpoint"
    lanes = [seeds.index(seed)]
    predicted = fit.applied(
        method, config, pretraining, shape, seeds, place, lanes, images, "predict"
    )
    return seed, Prediction(*(leaf[0] for leaf in predicted))


def configuration(
    settings: dict[str, Any], directory: Path
) -> tuple[Method, Any, pretraining.Config | None]:
    """A run's method and settings out of its ``config.json``; ValueError where they are not this version's."""
    try:
        method = METHODS[settings["method"]]
        config = type(method.config)(**settings["config"])
        given = settings["pretraining"]
        pretraining = None if given is None else dataclasses.replace(method.pretraining, **given)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"run: {directory} must hold settings of this version's methods, misses {error}"
        ) from error
    return method, config, pretraining


def table(names: Iterable[str | int], predicted: Prediction) -> str:
    """CSV, a line an image: its name, cluster, probability and distance."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *Prediction._fields])
    for name, cluster, probability, distance in zip(names, *predicted, strict=True):
        writer.writerow([name, int(cluster), f"{probability:.6g}", f"{distance:.6g}"])
    return text.getvalue()
