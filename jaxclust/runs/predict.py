"""Predictions as a table."""

import csv
import io
from collections.abc import Iterable

from jaxclust.types import Prediction


def prediction_csv(names: Iterable[str | int], predicted: Prediction) -> str:
    """CSV with a line for each image: its name, cluster, probability and distance.

    Args:
      names: the images' file names or places.
      predicted: of as many images.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["image", *Prediction._fields])
    for name, cluster, probability, distance in zip(names, *predicted, strict=True):
        writer.writerow([name, int(cluster), f"{probability:.6g}", f"{distance:.6g}"])
    return text.getvalue()
