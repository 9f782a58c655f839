"""Images read one at a time, for sets larger than memory.

They come from an .npy file, a folder, or a split of tensorflow-datasets.
"""

import contextlib
import hashlib
import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxclust.data import array_images, known_labels, listing, picture_sets, pictures, tfds
from jaxclust.data.array_images import Layout
from jaxclust.data.content_digest import content_digest
from jaxclust.data.datasets import Fingerprint
from jaxclust.data.picture_sets import Reading
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError, reading

PREFETCH = 1
"""Number of blocks read ahead."""
SET = "tfds:"
"""Prefix of a name in tensorflow-datasets."""
DRAWS = 64
"""How many images are drawn to stand in for one that cannot be read."""
DIGESTED = 16 * 2**20
"""Bytes of a file that are held at once to compute its digest."""


class Source:
    """Images by their place, as Grain reads them.

    Attributes:
      name: how results call the set.
      shape: (n, h, w, c).
      dtype: uint8 or float32.
      labels: true classes for scoring, int32 (n,), -1 where one is not known; or None.
      class_names: the classes' names by their number, or None where they have none.
      content: a digest of what the files hold where ``digest`` goes by names and sizes, or "".
      digest: SHA-256 that tells one set from another.
      called: ``called(i)`` is the name of image i.
      summary: one line on pictures that are streamed and files that were left out, or "".
      notes: sentences about the images that a reader of results has to know.
    """

    def __init__(
        self,
        fingerprint: Fingerprint,
        labels: np.ndarray | None,
        read: Callable[[int], np.ndarray],
        called: Callable[[int], str] = str,
        summary: str = "",
    ):
        """Makes a source.

        Args:
          fingerprint: name, shape, dtype and digest.
          labels: as the attribute.
          read: ``read(i)`` gives image i, (h, w, c), or raises Unreadable.
          called: as the attribute.
          summary: as the attribute.
        """
        self._fingerprint = fingerprint
        self.name = fingerprint.name
        self.shape = fingerprint.shape
        self.dtype = np.dtype(fingerprint.dtype)
        self.digest = fingerprint.sha256
        self.labels = labels
        self.called = called
        self.summary = summary
        self.class_names: tuple[str, ...] | None = None
        self.content = ""
        self.notes: tuple[str, ...] = ()
        self._read = read
        # Grain reads from more than one thread.
        self._lock = threading.Lock()
        self._lost: set[int] = set()
        self._skipped = 0

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: int) -> np.ndarray:
        """Image ``index``, (h, w, c).

        Another image stands in for one that cannot be read; ``index`` alone decides which.

        Raises:
          UsageError: no image can be read.
        """
        index = int(index)
        n = len(self)
        # Drawn, so that damaged images in a row do not all become the one behind them. Where hardly
        # any image can be read, all are tried in their order.
        following = ((index + i) % n for i in range(1, n))
        for place in itertools.chain((index,), _drawn(index, n), following):
            if place not in self._lost:
                try:
                    return self._read(place)
                except Unreadable:
                    with self._lock:
                        self._lost.add(place)
            with self._lock:
                self._skipped += 1
        raise UsageError(f"data: must have a readable image, {self.name} has none")

    @property
    def skipped(self) -> int:
        """How often an image was skipped so far."""
        return self._skipped

    def read(self, index: int) -> np.ndarray:
        """Image ``index``, (h, w, c).

        Raises:
          Unreadable: it cannot be read.
        """
        return self._read(index)

    def blocks(self, size: int, seed: int, first: int = 0) -> Iterator[np.ndarray]:
        """Blocks without end, each epoch in a new order that the seed decides.

        Args:
          size: images in a block; one may hold the end of an epoch and the beginning of the next.
          seed: decides the orders.
          first: the block to begin with: the same as that many calls of ``next`` later.

        Yields:
          Images, (size, h, w, c).
        """
        import grain.python as grain

        shuffled = grain.MapDataset.source(self).shuffle(seed=seed).repeat()
        batches = shuffled.batch(size, batch_fn=np.stack)
        options = grain.ReadOptions(num_threads=1, prefetch_buffer_size=PREFETCH)
        reader = iter(batches.to_iter_dataset(options))
        reader.set_state({"next_index": first})
        return reader

    def in_order(self, size: int) -> Iterator[tuple[np.ndarray, dict[int, str]]]:
        """All images once, in their order.

        Args:
          size: images in a block.

        Yields:
          A block, (size, h, w, c), of which the last one is filled up with zeros. And the places in
          the set of its images that could not be read, which are zeros too, with the reasons.
        """
        for first in range(0, len(self), size):
            block = np.zeros((size, *self.shape[1:]), self.dtype)
            lost: dict[int, str] = {}
            for index in range(first, min(first + size, len(self))):
                try:
                    block[index - first] = self._read(index)
                except Unreadable as error:
                    lost[index] = str(error)
            yield block, lost

    def fingerprint(self) -> Fingerprint:
        """What tells the set from others."""
        return self._fingerprint


def _drawn(index: int, n: int) -> Iterator[int]:
    draw = np.random.default_rng(index)
    return (int(draw.integers(n)) for _ in range(DRAWS))


def open_source(
    data: str, size: tuple[int, int] | None = None, reading: Reading | None = None
) -> Source:
    """Opens a set without holding it.

    Args:
      data: an .npy file of images, uint8 or float in [0, 1], (n, h, w) or (n, h, w, c), by the
        rules of ``array_images``. Images with NaN or inf cannot be read there. Or a
        folder, an archive or a table of pictures, by the rules of ``listing`` and
        ``picture_sets``, whose files' names are held, about 100 bytes each. Or tfds:NAME or
        tfds:NAME/SPLIT, of tensorflow-datasets, split "train" unless given.
      size: (height, width) to which pictures are brought.
      reading: how pictures are read, in the place of ``size``.

    Raises:
      UsageError: ``data`` is none of these, or nothing in it can be read.
    """
    reading = reading or Reading(size)
    path = Path(data)
    if data.startswith(SET):
        source = _set(data)
    elif listing.is_listed(path):
        return _pictures(path, reading)
    elif path.suffix == ".npy":
        source = _array(path, reading.layout)
    else:
        files = f"an .npy file, a folder, archive or table of pictures, or {SET}NAME"
        raise UsageError(f"data: must be {files} to be streamed, got {data!r}")
    if reading.size is not None and reading.size != source.shape[1:3]:
        rule = f"size: must be {source.shape[1:3]} as in {data}, only a folder's images are scaled"
        raise UsageError(f"{rule}, got {reading.size}")
    if reading.labels != listing.FOLDERS:
        rule = "labels: must be those of the set for a stream that is no folder of pictures"
        raise UsageError(f"{rule}, got {reading.labels}")
    return source


def _array(path: Path, layout: Layout | None) -> Source:
    """An .npy file, which stays on disk."""
    if not path.exists():
        raise UsageError(f"data: {path} must be a file, and is not there")
    rule = f"data: {path} must be a readable .npy file of a plain array"
    with reading(rule, path):
        # Mapped, not read: its pages are the file's own and no memory of this process.
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise UsageError(f"{rule}, got an archive")
    array = array_images.channels_last(array, layout)
    array_images.check_kind(array.dtype)
    shape = array.shape

    def read(index: int) -> np.ndarray:
        image = np.array(array[index])
        if image.dtype == np.uint8:
            return image
        if not np.isfinite(image).all():
            raise Unreadable("NaN or inf")
        return np.clip(image.astype(np.float32), 0, 1)

    digest = hashlib.sha256()
    rows = max(DIGESTED // max(array[0].nbytes, 1), 1)
    low = np.inf
    high = -np.inf
    for first in range(0, len(array), rows):
        part = np.ascontiguousarray(array[first : first + rows])
        digest.update(part.data)
        if part.dtype != np.uint8:  # Images with NaN or inf are skipped and named later.
            part = part[np.isfinite(part).all(axis=(1, 2, 3))]
        if len(part):
            low = min(low, part.min())
            high = max(high, part.max())
    if low <= high:  # Some image can be read.
        array_images.check_values(np.array([low, high], array.dtype))
    dtype = "uint8" if array.dtype == np.uint8 else "float32"
    return Source(Fingerprint(path.stem, shape, dtype, digest.hexdigest()), None, read)


def _pictures(path: Path, reading: Reading) -> Source:
    """A folder, an archive or a table of pictures."""
    surveyed = picture_sets.survey(path, reading)
    listed = surveyed.listed
    # Names and sizes stand for the pixels, which would have to be read.
    digest = picture_sets.listing_digest(listed)
    shape = (len(listed.files), *surveyed.shape)
    fingerprint = Fingerprint(surveyed.name, shape, "uint8", digest)
    labels, class_names = picture_sets.numbered_labels(listed.labels, listed.classes)
    called = listed.files.__getitem__
    source = Source(fingerprint, labels, surveyed.read, called, surveyed.summary)
    source.class_names = class_names
    source.notes = surveyed.notes
    source.content = content_digest(listed, reading.progress)
    return source


def _set(data: str) -> Source:
    """A split of tensorflow-datasets."""
    name, _, split = data.removeprefix(SET).partition("/")
    try:
        # Undecoded: labels alone are then read in a moment, and a damaged image can be skipped.
        (examples,) = tfds.sources(name, (split or "train",), encoded=True)
    except tfds.Unavailable as error:
        raise UsageError(f"data: {data} needs tensorflow-datasets, which {error}") from error
    channels, labeled = _features(data, examples)
    shape = (len(examples), *_first_readable(data, examples, channels).shape)

    def read(index: int) -> np.ndarray:
        image = pictures.decode_unscaled(examples[index]["image"], channels)
        if image.shape != shape[1:]:
            raise Unreadable(f"shape {image.shape} instead of {shape[1:]}")
        return image

    labels = None
    if labeled:
        classes = (int(example["label"]) for example in examples)
        values = np.fromiter(classes, np.int64, len(examples))
        labels, _ = known_labels.numbered(values)
    digest = hashlib.sha256(f"{data} {shape}".encode()).hexdigest()
    return Source(Fingerprint(name, shape, "uint8", digest), labels, read)


def _features(data: str, examples: Any) -> tuple[int, bool]:
    """Channels of the images of a set, and whether it has labels.

    Raises:
      UsageError: its images are not of 8 bits and one or three channels.
    """
    features = examples.dataset_info.features
    if "image" not in features:
        names = ", ".join(sorted(features.keys()))
        raise UsageError(f"data: {data} must have images, got {names}")
    image = features["image"]
    channels = image.shape[-1]
    if np.dtype(image.np_dtype) != np.uint8 or len(image.shape) != 3 or channels not in (1, 3):
        rule = f"data: {data} must have images of 8 bits, gray or RGB"
        raise UsageError(f"{rule}, got {np.dtype(image.np_dtype)} of shape {image.shape}")
    return channels, "label" in features


def _first_readable(data: str, examples: Sequence[tfds.Example], channels: int) -> np.ndarray:
    """The first image of a set that can be read."""
    for example in examples:
        with contextlib.suppress(Unreadable):
            return pictures.decode_unscaled(example["image"], channels)
    raise UsageError(f"data: must have a readable image, {data} has none")
