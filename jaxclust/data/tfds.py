"""Sets that tensorflow-datasets has, without importing TensorFlow here.

tensorflow-datasets downloads and prepares a set once, in $TFDS_DATA_DIR or ~/tensorflow_datasets.
For that it needs TensorFlow and importlib_resources, which it does not require itself. Reading what
is prepared needs neither of them, nor a connection.
"""

import contextlib
import importlib.util
import os
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

CONNECT_SECONDS = 10


class Example(TypedDict):
    """An image of a set.

    Attributes:
      image: uint8 (h, w, c), or the bytes of its file where they are asked for.
      label: its class; only in a set that has labels.
    """

    image: Any
    label: int


class Unavailable(Exception):
    """Says what tensorflow-datasets lacks to give a set."""


def read(name: str, splits: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, in the order in which tensorflow-datasets keeps them.

    Args:
      name: of the set there.
      splits: those whose images follow each other.

    Returns:
      Images, uint8 (n, h, w, c), and labels, int64 (n,).

    Raises:
      Unavailable: the set is not prepared, and a package or a connection to prepare it is missing;
        or it is there as TFRecords.
    """
    examples = [example for source in sources(name, splits) for example in source]
    images = np.stack([example["image"] for example in examples])
    return images, np.array([example["label"] for example in examples], np.int64)


def sources(name: str, splits: tuple[str, ...], encoded: bool = False) -> list[Sequence[Example]]:
    """Each split's examples by their place, read one at a time; prepares the set where it must.

    Args:
      name: as for ``read``.
      splits: as for ``read``.
      encoded: whether each "image" is left as its file's bytes.

    Raises:
      Unavailable: as for ``read``; the set may also not exist.
    """
    import tensorflow_datasets

    tfds: Any = tensorflow_datasets
    folder = os.environ.get("TFDS_DATA_DIR")
    # What it prints as it goes belongs on stderr.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            builder = tfds.builder(name, data_dir=folder, file_format="array_record")
        except ValueError as error:
            # It was prepared there before, as TFRecords, which only TensorFlow reads.
            reason = f"has {name} in another form: set TFDS_DATA_DIR to another folder"
            raise Unavailable(f"{reason} ({error})") from error
        if not Path(builder.data_path).exists():
            _check_preparable(builder.URL)
        try:
            return tfds.data_source(
                name,
                split=list(splits),
                decoders={"image": tfds.decode.SkipDecoding()} if encoded else None,
                data_dir=folder,
                builder_kwargs={"file_format": "array_record"},
            )
        except (OSError, tfds.download.DownloadError) as error:
            raise Unavailable(f"could not get {name} ({error})") from error


def _check_preparable(address: str) -> None:
    """Refuses to prepare a set without the packages or the connection that it takes."""
    import requests

    lacking = []
    packages = ("tensorflow", "importlib_resources")
    if any(importlib.util.find_spec(package) is None for package in packages):
        lacking.append("pip install tensorflow-cpu importlib_resources")
    try:
        # Any answer will do. Where there is none, tensorflow-datasets tries for more than three
        # minutes.
        requests.head(address, timeout=CONNECT_SECONDS)
    except requests.RequestException:
        lacking.append(f"a connection to {urllib.parse.urlsplit(address).hostname}")
    if lacking:
        raise Unavailable(f"needs, to prepare it once: {'; '.join(lacking)}")
