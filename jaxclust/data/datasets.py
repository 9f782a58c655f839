"""Image sets: by name, from a user's .npz or .npy file or folder; and the checks every set passes before any work."""

import hashlib
import lzma
import os
import struct
import tokenize
import zipfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.data import image_folder, tfds
from jaxclust.errors import UsageError


class Named(NamedTuple):
    """A set that has a name.

    Attributes:
      file: an .npz in the folder that $JAXCLUST_DATA names; None for one that ships with scikit-learn.
      n: number of images.
      shape: (h, w, c).
      classes: number of classes.
      source: where it is from.
      license: as stated there.
      sha256: ``content`` of the set.
      last: how many images at the file's end are the set, None for all.
      tfds: name in tensorflow-datasets and the splits that make up the set; None if it is not there, or not provably
        the same.
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


SETS = {
    "digits": Named(
        None, 1797, (8, 8, 1), 10, "UCI optical digits, test part", "none stated",
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
NAMES = tuple(SETS)
_ARRAYS = (".npz", ".npy")


def names() -> tuple[str, ...]:
    """The names that ``load`` and the command's --data take."""
    return NAMES


class Fingerprint(NamedTuple):
    """What tells one set of images from another.

    Attributes:
      name: the set's name.
      shape: (n, h, w, c).
      dtype: of the images, such as "uint8".
      sha256: SHA-256 of the images' and labels' bytes; of a stream, ``Source.digest``.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    sha256: str


class Dataset(NamedTuple):
    """Images to cluster.

    Attributes:
      name: as typed for a named set, the file's stem or the folder's name otherwise.
      images: uint8 in 0..255 or float32 in [0, 1], (n, h, w, c).
      labels: true classes for scoring, int32 (n,) in 0..classes-1, or None.
      files: the images' names relative to the folder they were read from, or None.
      folder_digest: ``image_folder.listing_digest`` of that folder, or None.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None
    files: tuple[str, ...] | None = None
    folder_digest: str | None = None

    def __repr__(self) -> str:
        n, *shape = self.images.shape
        size = " x ".join(map(str, shape))
        classes = "without labels" if self.labels is None else f"{self.classes} classes"
        return f"Dataset {self.name}: {n:,} images of {size}, {self.images.dtype}, {classes}"

    @property
    def classes(self) -> int | None:
        """Number of classes, None without labels."""
        return None if self.labels is None else len(np.unique(self.labels))


def load(
    name: str | os.PathLike,
    size: tuple[int, int] | None = None,
    channels: int | None = None,
    least: int = 2,
) -> Dataset:
    """A set by name, or from a path.

    A path is an .npz file with ``images`` and, if known, ``labels``; an .npy file of images; or a folder of image
    files, whose rules ``folders`` states. A name comes before a folder called so; ./NAME is the folder.

    "digits" ships with scikit-learn; its 0..16 become uint8 0..255. The other names are files in the folder that
    $JAXCLUST_DATA names, or, where the file is missing, come through tensorflow-datasets if it has them: with the
    same images and labels in another order.

    Args:
      name: one of ``NAMES`` or a path.
      size: (height, width) that the images must have. Those of a folder are scaled and cropped to it.
      channels: colour channels that the images must have. Those of a folder are turned to grey (1) or RGB (3).
      least: how many images of a path there must be; fewer than 2 cannot be clustered, but predicted.

    Raises:
      ValueError: an unknown name, a missing or unreadable file, a named set that is not the one known under this name,
        images that ``checked`` refuses, or that lack the size or channels asked for.
      OSError: a folder cannot be listed.
    """
    name = os.fspath(name)
    path = Path(name)
    if name not in SETS and path.is_dir():
        images, labels, files = image_folder.read(path, size, channels)
        return checked(path.resolve().name, images, labels, least)._replace(
            files=files, folder_digest=image_folder.listing_digest(path, files)
        )
    if name in SETS:
        dataset = _named(name)
    elif path.suffix in _ARRAYS:
        dataset = checked(path.stem, *_read(path), least)
    else:
        raise UsageError(
            f"data: must be one of {', '.join(NAMES)}, a folder of images, "
            f"or a path to an .npz or .npy file, got {name!r}"
        )
    shape = dataset.images.shape
    wanted = (*(size or shape[1:3]), channels or shape[3])
    if wanted != shape[1:]:
        raise UsageError(
            f"images: must be of shape (n, {', '.join(map(str, wanted))}), got {shape}; "
            "only a folder's images are scaled"
        )
    return dataset


def _named(name: str) -> Dataset:
    known = SETS[name]
    if known.file is None:
        from sklearn.datasets import load_digits

        digits = load_digits()
        dataset = checked(
            name, np.round(digits.images * (255 / 16)).astype(np.uint8), digits.target
        )
        origin = "scikit-learn"
    elif (path := _path(known)) is not None:
        images, labels = _read(path)
        part = slice(None) if known.last is None else slice(-known.last, None)
        dataset = checked(name, images[part], None if labels is None else labels[part])
        origin = str(path)
    else:
        folder = os.environ.get("JAXCLUST_DATA")
        needs = f"data: {name} needs the environment variable JAXCLUST_DATA to name a folder with {known.file}"
        needs += f" ({folder} has none)" if folder else " (it is not set)"
        if known.tfds is None:
            raise UsageError(needs)
        try:
            dataset = checked(name, *tfds.read(*known.tfds))
        except tfds.Unavailable as error:
            raise UsageError(f"{needs}; or tensorflow-datasets, which {error}") from error
        origin = "tensorflow-datasets"
    if content(dataset) != known.sha256:
        raise UsageError(
            f"data: {origin} must hold the images and labels known as {name}: {known.n} of shape {known.shape}, "
            f"SHA-256 {known.sha256}; got {dataset.images.shape}, {content(dataset)}"
        )
    return dataset


def _path(known: Named) -> Path | None:
    """The set's file, if it is there."""
    folder = os.environ.get("JAXCLUST_DATA")
    path = Path(folder, known.file) if folder and known.file else None
    return path if path is not None and path.is_file() else None


def content(dataset: Dataset) -> str:
    """SHA-256 of a labelled set's images with their labels, whatever their order: that of the rows' sorted digests."""
    labels = dataset.labels if dataset.labels is not None else np.full(len(dataset.images), -1)
    rows = zip(dataset.images, labels.astype("<i4"), strict=True)
    digests = sorted(
        hashlib.sha256(image.tobytes() + label.tobytes()).digest() for image, label in rows
    )
    head = f"{dataset.images.shape[1:]} {dataset.images.dtype.str}".encode()
    return hashlib.sha256(head + b"".join(digests)).hexdigest()


UNREADABLE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    SyntaxError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    MemoryError,
    OverflowError,
    RuntimeError,
)
"""What NumPy raises on damaged, encrypted or pickled files, and on those whose header claims more than memory holds."""


def _read(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Images and labels of a file of arrays; never unpickles."""
    if not path.is_file():
        raise UsageError(f"data: {path} must be a file, and is not there")
    try:
        with path.open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                return loaded, None
            names = loaded.files
            arrays = {name: loaded[name] for name in names if name in ("images", "labels")}
    except UNREADABLE as error:
        raise UsageError(
            f"data: {path} must be a readable {path.suffix} file of plain arrays ({error})"
        ) from error
    if "images" not in arrays:
        raise UsageError(f"data: {path} must hold an array 'images', got {names}")
    return arrays["images"], arrays.get("labels")


def checked(
    name: str, images: np.ndarray, labels: np.ndarray | None = None, least: int = 2
) -> Dataset:
    """A set of arrays that can be clustered.

    Args:
      name: how results call it.
      images: uint8 in 0..255 or float in [0, 1]; (n, h, w) or (n, h, w, c).
      labels: integers (n,), any values; renumbered from 0 in sorted order. Or None.
      least: how many images there must be.

    Raises:
      ValueError: images or labels break their rule.
    """
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4:
        raise UsageError(
            f"images: must be of rank 3 (n, h, w) or 4 (n, h, w, c), got shape {images.shape}"
        )
    if 0 in images.shape:
        raise UsageError(f"images: must not be empty, got shape {images.shape}")
    if len(images) < least:
        raise UsageError(f"images: must be at least {least}, got {len(images)}")
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating):
            raise UsageError(
                f"images: must be uint8 in 0..255 or float in [0, 1], got dtype {images.dtype}"
            )
        if not np.isfinite(images).all():
            count = int((~np.isfinite(images)).sum())
            raise UsageError(
                f"images: must be finite, got NaN or inf in {count} of {images.size} values"
            )
        low, high = float(images.min()), float(images.max())
        if low < 0 or high > 1:
            raise UsageError(f"images: floats must lie in [0, 1], got {low:g} to {high:g}")
        images = images.astype(np.float32)
    if labels is not None:
        if labels.shape != images.shape[:1]:
            raise UsageError(
                f"labels: must have shape ({len(images)},) like the images, got {labels.shape}"
            )
        if not np.issubdtype(labels.dtype, np.integer):
            raise UsageError(f"labels: must be integers, got dtype {labels.dtype}")
        labels = np.unique(labels, return_inverse=True)[1].astype(np.int32)
    return Dataset(name, np.ascontiguousarray(images), labels)


def family(data: str) -> str | None:
    """Of a named set, also as tfds:NAME/SPLIT: the same where one is a part or other version of another; else None."""
    name = (
        data.removeprefix("tfds:").partition("/")[0].replace("_", "-")
        if data.startswith("tfds:")
        else data
    )
    return name.partition("-")[0] if name in NAMES else None


def check_clusters(images: np.ndarray, clusters: int, of: str = "") -> None:
    """Refuses a number of clusters that these images, (n, h, w, c), called ``of``, cannot have: ValueError."""
    if clusters < 2:
        raise UsageError(f"clusters: must be at least 2, got {clusters}")
    if clusters > len(images):
        raise UsageError(
            f"clusters: must be at most the number of images{of}, {len(images)}, got {clusters}"
        )
    distinct = set()
    for image in images:
        distinct.add(image.tobytes())
        if len(distinct) >= clusters:
            return
    raise UsageError(
        f"clusters: must be at most the number of distinct images{of}, {len(distinct)}, got {clusters}"
    )


def fingerprint(dataset: Dataset) -> Fingerprint:
    """What tells a set from others."""
    digest = hashlib.sha256(dataset.images.tobytes())
    digest.update(b"" if dataset.labels is None else dataset.labels.tobytes())
    images = dataset.images
    return Fingerprint(dataset.name, images.shape, str(images.dtype), digest.hexdigest())


def table() -> str:
    """The named sets as a table: size, origin, and whether they are here."""
    rows = [("name", "images", "shape", "classes", "source", "license", "here")]
    for name, known in SETS.items():
        if known.file is None:
            here = "ships with scikit-learn"
        elif _path(known) is not None:
            here = "yes"
        else:
            here = "no, tensorflow-datasets" if known.tfds else "no"
        shape = "x".join(map(str, known.shape))
        rows.append(
            (name, f"{known.n:,}", shape, str(known.classes), known.source, known.license, here)
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(_aligned, row, widths, range(len(row)))).rstrip() for row in rows]
    folder = os.environ.get("JAXCLUST_DATA")
    lines.append(
        f"here: as a file in $JAXCLUST_DATA, {folder}"
        if folder
        else "here: as a file in $JAXCLUST_DATA, not set"
    )
    return "\n".join(lines)


def _aligned(cell: str, width: int, column: int) -> str:
    return cell.rjust(width) if column in (1, 3) else cell.ljust(width)
