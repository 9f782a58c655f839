"""Predictions as a table."""

from collections.abc import Iterable

from jaxclust.data.csv_cells import csv_text
from jaxclust.types import Prediction


def prediction_csv(names: Iterable[str | int], predicted: Prediction) -> str:
    """CSV with a line for each image: its name, cluster, probability and distance.

    Args:
      names: the images' file names or places.
      predicted: of as many images.
    """
    lines = [
        [name, int(cluster), f"{probability:.6g}", f"{distance:.6g}"]
        for name, cluster, probability, distance in zip(names, *predicted, strict=True)
    ]
    return csv_text([["image", *Prediction._fields], *lines])
