"""The sets that have a name: where they are from, and what tells them from others."""

import os
from pathlib import Path
from typing import NamedTuple


class Named(NamedTuple):
    """A set that has a name.

    Attributes:
      file: an .npz file in the folder that $JAXCLUST_DATA names; None for a set that ships with
        scikit-learn.
      n: number of images.
      shape: (h, w, c).
      classes: number of classes.
      source: where it is from.
      license: as stated there.
      sha256: ``datasets.content`` of the set.
      last: how many images at the file's end are the set, None for all.
      tfds: name in tensorflow-datasets and the splits that make up the set; None if the set is not
        there, or is not provably the same.
    """

    file: str | None
    n: int
    shape: tuple[int, int, int]
    classes: int
    source: str
    license: str
    sha256: str
    last: int | None = None
    tfds: tuple[str, tuple[str, ...]] | None = None

    @property
    def path(self) -> Path | None:
        """The set's file; None where it is not there."""
        folder = os.environ.get("JAXCLUST_DATA")
        if not folder or self.file is None:
            return None
        path = Path(folder, self.file)
        return path if path.is_file() else None


SETS = {
    "digits": Named(
        None, 1797, (8, 8, 1), 10, "UCI digits, test part", "none stated",
        "4fd0356a1324d27b757332ed19059043d633117bbd6581a2f55cd70d834c6bae",
    ),
    "mnist": Named(
        "mnist.npz", 70000, (28, 28, 1), 10, "LeCun et al.", "none stated",
        "0e589422adb8bfcd4a3f45a10fbc84ceba1694f17a7d32c0eed934097b117d7b",
        tfds=("mnist", ("train", "test")),
    ),
    "mnist-test": Named(
        "mnist.npz", 10000, (28, 28, 1), 10, "LeCun et al., test part", "none stated",
        "b2ec52e7c541012836bb1b370a585cf08a3cbfc3290777bcfaec44fda8a7dbb2",
        last=10_000, tfds=("mnist", ("test",)),
    ),
    "fashion-mnist": Named(
        "fashion_mnist.npz", 70000, (28, 28, 1), 10, "Zalando", "MIT",
        "c9baae59508ff0d28b496f3f2e9375436d5ff2156918db9a013a2176af830017",
        tfds=("fashion_mnist", ("train", "test")),
    ),
    "fashion-mnist-test": Named(
        "fashion_mnist.npz", 10000, (28, 28, 1), 10, "Zalando, test part", "MIT",
        "1b6e3ac1d59c9ba3ea21e04ef66f4b1e9c2e78d328f1901b5951685ce562b156",
        last=10_000, tfds=("fashion_mnist", ("test",)),
    ),
    "usps": Named(
        "usps_9298.npz", 9298, (16, 16, 1), 10, "USPS zip.train, zip.test", "none stated",
        "91b166b83f37e243b448558b35cff8f628e1eac692a425221919056856607ad5",
    ),
    "usps-11000": Named(
        "usps_11000.npz", 11000, (16, 16, 1), 10, "USPS, Roweis's version", "none stated",
        "3966d4e19b4616882bfd6ec1f98953ff09399cd6757c6f0529e7beccc0d172f1",
    ),
    "coil20": Named(
        "coil20.npz", 1440, (128, 128, 1), 20, "Columbia CAVE", "none stated",
        "e2b2751f0b0fa45680d1e340cbdcc8e7b164b72ea6524e0f55a13ef6ec6c4bb9",
    ),
    "coil20-32": Named(
        "coil20_32.npz", 1440, (32, 32, 1), 20, "coil20, 4x4 means", "none stated",
        "2f36b555a0aec1c4d3d6916e7202c37c3dee803af4b2f8c65d956c245c751c4a",
    ),
    "coil100-32": Named(
        "coil100_32.npz", 7200, (32, 32, 3), 100, "Columbia CAVE, 4x4 means", "none stated",
        "1eedd2cc01f794fbd30e10a1d29fe5959042d0fb9680dff649b3a83913106dcc",
    ),
    "yaleb": Named(
        "yaleb_48x42.npz", 2432, (48, 42, 1), 38, "Extended Yale B, cropped", "research use",
        "c57345d4897f9bb2deac483fb6aacc60ae10048b16bada0392ab66ecd2152293",
    ),
}  # fmt: skip
