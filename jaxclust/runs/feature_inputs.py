"""Features in the images' place: those of a run, and those of new images for it."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from jaxclust.data import datasets, listing, pictures
from jaxclust.data import features as array_features
from jaxclust.data.datasets import Dataset
from jaxclust.data.features import Scale
from jaxclust.errors import UsageError, reading
from jaxclust.runs.embedders import ONNX, is_embedder
from jaxclust.runs.features import Pictures, features_of, features_of_images
from jaxclust.runs.settings import Settings

Count = Callable[[str, int, int], None]
"""``count(name, done, total)`` shows how far something is."""


def replaced(dataset: Dataset, which: str, count: Count | None = None) -> tuple[Dataset, Scale]:
    """The set with features in the images' place.

    Args:
      dataset: the images. Where they come from a folder, a network gets its files in its own size.
      which: "efficientnet-lite0" or "squeezenet"; "onnx:" with the path of a network;
        "dsift-pca"; or the path of an .npy or .parquet file.
      count: is told how many pictures a network has seen.

    Returns:
      A set whose ``images`` are float32, (n, h, w, 1), and whose name says which features they are;
      and what the features were divided by.

    Raises:
      UsageError: there are no such features, or not of each image, or they cannot be clustered.
    """
    features = _of_any(dataset, which, count)
    scale = array_features.scale_of(features)
    return array_features.with_vectors(dataset, which, features, scale), scale


def of_new_images(settings: Settings, images: np.ndarray | Dataset) -> np.ndarray:
    """What the network of a run takes of new images: they themselves, or their features.

    Args:
      settings: of the run, which ``takes_new_images``.
      images: a data set; or uint8 or float in [0, 1], (m, h, w) or (m, h, w, c). They are of the
        run's size, or of any size for a run on a network's features.

    Returns:
      The images, or features, float32 (m, h', w', 1), divided by what the run's own features were
      divided by.

    Raises:
      UsageError: the images are of another shape, the features cannot be computed or are of another
        shape, or the run does not say what they were divided by.
    """
    shape = tuple(settings.data.shape[1:])
    if not isinstance(images, Dataset):
        images = np.asarray(images)
        layout = settings.reading.layout
        if settings.features is None:  # The run's own shape says where the channels are.
            first = images.shape[1:] == (shape[2], *shape[:2]) != shape
            layout = "nchw" if first else "nhwc"
        images = datasets.checked("images", images, least=1, layout=layout)
    if settings.features is None:
        if images.images.shape[1:] != shape:
            expected = ", ".join(map(str, shape))
            raise UsageError(f"images: must be of shape (n, {expected}), got {images.images.shape}")
        return datasets.checked(images.name, images.images, least=1, layout="nhwc").images
    which = str(settings.origin.get("features", settings.features))
    known = settings.origin.get("features_sha256")
    if known is not None and own_network(which) != known:
        rule = f"features: {which} must be the network that the run had"
        raise UsageError(f"{rule}, its file is another one now")
    features = _of_any(images, which, None)
    inputs = array_features.with_vectors(images, which, features, _scale(settings)).images
    if inputs.shape[1:] != shape:
        rule = f"features: {which} must be of the run's shape {shape}"
        raise UsageError(f"{rule}, got {inputs.shape[1:]}")
    return inputs


def _scale(settings: Settings) -> Scale:
    """What a run's features were divided by."""
    kept = settings.origin.get("features_scale")
    numbers: list[float] = []
    if isinstance(kept, list):
        numbers = [float(number) for number in kept if isinstance(number, int | float)]
    if len(numbers) != 2 or not all(number > 0 for number in numbers):
        rule = "run: origin must hold the two numbers that its features were divided by"
        raise UsageError(f"{rule}, got {kept}")
    return Scale(*numbers)


def own_network(which: str) -> str | None:
    """SHA-256 of a user's own network; None for other features.

    Raises:
      UsageError: its file cannot be read.
    """
    if not which.startswith(ONNX):
        return None
    path = Path(which.removeprefix(ONNX).partition("?")[0])
    with reading(f"features: {path} must be a file that can be read", path):
        return hashlib.sha256(path.read_bytes()).hexdigest()


def short_name(which: str) -> str:
    """What a run's settings call its features: a file without its folder."""
    if which.startswith(ONNX):
        return ONNX + Path(which.removeprefix(ONNX)).name
    return Path(which).name


def takes_new_images(settings: Settings) -> bool:
    """Whether a run is on images, or on features that can be computed of new images alone."""
    return settings.features is None or is_embedder(str(settings.features))


def _of_any(dataset: Dataset, which: str, count: Count | None) -> np.ndarray:
    """Features of each image of a set, unscaled, (n, d)."""
    if not is_embedder(which):
        return array_features.vectors(dataset, which)

    def progress(done: int, total: int, _: float) -> None:
        if count is not None:
            count(f"features {short_name(which)}", done, total)

    if dataset.root is None or dataset.files is None:
        return features_of_images(which, dataset.images, progress)
    found = features_of(which, _pictures(dataset, dataset.root), progress)
    if found.unreadable:
        place, reason = next(iter(found.unreadable.items()))
        rule = "features: every image must be readable"
        raise UsageError(f"{rule}, got {dataset.files[place]} ({reason})")
    return found.values


def _pictures(dataset: Dataset, root: Path) -> Pictures:
    """The files of a folder, an archive or a table, as they are there."""
    files = dataset.files or ()
    listed = listing.listing(root, listing.NONE)
    places = {name: place for place, name in enumerate(listed.files)}

    def content(index: int) -> bytes:
        return listed.content(places[files[index]])

    def decode(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
        return pictures.decode(content, shape, dataset.resize)

    return Pictures(files, content, decode, dataset.resize)
