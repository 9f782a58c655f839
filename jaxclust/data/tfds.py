"""Sets that tensorflow-datasets has, without importing TensorFlow here.

It downloads and prepares a set once, in $TFDS_DATA_DIR or ~/tensorflow_datasets; for that it wants TensorFlow and
importlib_resources, which it does not require itself. Reading what is prepared needs neither, nor a connection.
"""

import contextlib
import importlib.util
import os
import sys
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

CONNECT_SECONDS = 10


class Unavailable(Exception):
    """Says what tensorflow-datasets lacks to give a set."""


def read(name: str, splits: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, in the order in which tensorflow-datasets keeps them.

    Args:
      name: of the set there.
      splits: whose images follow each other.

    Returns:
      Images, uint8 (n, h, w, c), and labels, int64 (n,).

    Raises:
      Unavailable: the set is not prepared and lacks packages or a connection to be, or is there as TFRecords.
    """
    examples = [example for source in sources(name, splits) for example in source]
    return np.stack([one["image"] for one in examples]), np.array(
        [one["label"] for one in examples], np.int64
    )


def sources(
    name: str, splits: tuple[str, ...], encoded: bool = False
) -> list[Sequence[dict[str, Any]]]:
    """Each split's examples by their place, read one at a time; prepares the set where it must.

    Args:
      name: as for ``read``.
      splits: likewise.
      encoded: whether each "image" is left as its file's bytes.

    Raises:
      Unavailable: as for ``read``; the set may also not exist.
    """
    import tensorflow_datasets as tfds

    where = {"data_dir": os.environ.get("TFDS_DATA_DIR")}
    how = {"file_format": "array_record"}
    # What it prints as it goes belongs on stderr.
    with contextlib.redirect_stdout(sys.stderr):
        try:
            builder = tfds.builder(name, **where, **how)
        except ValueError as error:
            # Prepared there before, as TFRecords, which only TensorFlow reads.
            raise Unavailable(
                f"has {name} in another form: set TFDS_DATA_DIR to another folder ({error})"
            ) from error
        if not Path(builder.data_path).exists():
            _check_preparable(builder.URL)
        try:
            decoders = {"image": tfds.decode.SkipDecoding()} if encoded else None
            return tfds.data_source(
                name, split=list(splits), decoders=decoders, **where, builder_kwargs=how
            )
        except (OSError, tfds.download.DownloadError) as error:
            raise Unavailable(f"could not get {name} ({error})") from error


def _check_preparable(address: str) -> None:
    import requests

    lacking = []
    if any(
        importlib.util.find_spec(package) is None
        for package in ("tensorflow", "importlib_resources")
    ):
        lacking.append("pip install tensorflow-cpu importlib_resources")
    try:
        # Any answer will do. tensorflow-datasets itself tries for more than three minutes where there is none.
        requests.head(address, timeout=CONNECT_SECONDS)
    except requests.RequestException:
        lacking.append(f"a connection to {urllib.parse.urlsplit(address).hostname}")
    if lacking:
        raise Unavailable(f"needs, to prepare it once: {'; '.join(lacking)}")
