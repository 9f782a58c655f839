"""Features of pictures by a network: decoded ahead in threads, in batches, each content once."""

import contextlib
import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from jaxclust.data.features import cache_folder
from jaxclust.data.pictures import Unreadable
from jaxclust.errors import UsageError
from jaxclust.runs import feature_cache
from jaxclust.runs.embedders import Embedder, identity_of, open_embedder
from jaxclust.runs.feature_cache import Cache, Place

FLUSH = 512
"""Number of pictures after which features are written to the cache."""
PIXEL_RULE = "pixels-1"
"""How ``features_of_images`` brings an image to a network's size; see there."""

Progress = Callable[[int, int, float], None]
"""``progress(done, total, pictures a second)``."""


class Pictures(NamedTuple):
    """Pictures that are read one by one.

    Attributes:
      files: their names.
      content: gives the bytes of the picture at a place.
      decode: ``decode(bytes, (h, w, 3))`` gives uint8 (h, w, 3), RGB; raises ``Unreadable``.
      rule: names how ``decode`` brings a picture to a size. Features are kept apart by it.
    """

    files: Sequence[str]
    content: Callable[[int], bytes]
    decode: Callable[[bytes, tuple[int, int, int]], np.ndarray]
    rule: str


class Features(NamedTuple):
    """Features of the pictures that could be read.

    Attributes:
      values: float32 (m, d).
      rows: their places among all pictures, int64 (m,), ascending.
      unreadable: places of the others, and why each cannot be read.
    """

    values: np.ndarray
    rows: np.ndarray
    unreadable: dict[int, str]


class _Read(NamedTuple):
    """A picture that was read.

    Attributes:
      key: SHA-256 of its content.
      pixels: uint8 (h, w, 3), or None where its features are known.
    """

    key: bytes
    pixels: np.ndarray | None


def features_of(name: str, pictures: Pictures, progress: Progress | None = None) -> Features:
    """Features of pictures by a network.

    They are kept in the cache folder by the SHA-256 of each picture's content, so that each is
    computed once, whatever is asked for later and whenever this ends. A few batches are in memory
    at a time.

    Args:
      name: as for ``embedders.open_embedder``.
      pictures: what to read.
      progress: is told how many pictures are done, from time to time.

    Raises:
      UsageError: there is no such network, or its weights are not installed.
    """
    embedder = open_embedder(name)
    folder = cache_folder() / "features"
    identity = identity_of(embedder.identity, pictures.rule)[:16]
    label = "".join(c if c.isalnum() else "-" for c in name.rpartition("/")[2][:40])
    cache = Cache(folder / f"{label}-{identity}", embedder.dimension)
    return _computed(embedder, pictures, cache, progress or (lambda *_: None))


def features_of_images(
    name: str, images: np.ndarray, progress: Progress | None = None
) -> np.ndarray:
    """Features of images in memory by a network.

    Gray is repeated to three channels and a fourth channel is dropped. Floats are rounded to 8
    bits. Images are scaled to the network's size with Pillow's bilinear filter, which smooths as it
    makes smaller; the longer side is cropped around its center.

    Args:
      name: as for ``features_of``.
      images: uint8 or float32 in [0, 1], (n, h, w, c), c of 1, 3 or 4.
      progress: as for ``features_of``.

    Returns:
      float32, (n, d).

    Raises:
      UsageError: as from ``features_of``, or the images have another number of channels.
    """
    channels = images.shape[3]
    if channels not in (1, 3, 4):
        rule = f"features: {name} needs images of 1, 3 or 4 channels"
        raise UsageError(f"{rule}, got {channels}")
    head = f"{images.shape[1:3]} {min(channels, 3)}\n".encode()

    def content(index: int) -> bytes:
        image = images[index]
        if image.dtype != np.uint8:
            image = np.round(image * 255).astype(np.uint8)
        return head + np.ascontiguousarray(image[..., :3]).tobytes()

    def decode(content: bytes, shape: tuple[int, int, int]) -> np.ndarray:
        pixels = np.frombuffer(content, np.uint8, offset=len(head))
        return _fitted(pixels.reshape(*images.shape[1:3], -1), shape)

    files = [str(index) for index in range(len(images))]
    return features_of(name, Pictures(files, content, decode, PIXEL_RULE), progress).values


def _fitted(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    from PIL import Image, ImageOps

    picture = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image).convert("RGB")
    fitted = ImageOps.fit(picture, (shape[1], shape[0]), method=Image.Resampling.BILINEAR)
    return np.asarray(fitted)


def _computed(embedder: Embedder, pictures: Pictures, cache: Cache, progress: Progress) -> Features:
    """Features of pictures, from the cache where they are in it."""
    total = len(pictures.files)
    values = np.empty((total, embedder.dimension), np.float32)
    known = feature_cache.index(cache)
    first: dict[bytes, int] = {}
    copies: dict[int, int] = {}
    stored: dict[int, Place] = {}
    unreadable: dict[int, str] = {}
    begin = time.monotonic()

    def fresh() -> Generator[tuple[int, _Read]]:
        """The pictures whose features must be computed; sorts all others."""
        shape = embedder.shape
        for place, read in _read_ahead(pictures, shape, known, 4 * embedder.batch):
            if isinstance(read, str):
                unreadable[place] = read
            elif read.key in first:
                copies[place] = first[read.key]
            else:
                first[read.key] = place
                if read.pixels is None:
                    stored[place] = known[read.key]
                else:
                    yield place, read
            done = place + 1
            if done % embedder.batch == 0 or done == total:
                progress(done, total, done / max(time.monotonic() - begin, 1e-9))

    _embed_all(embedder, fresh(), cache, values)
    lost = feature_cache.read(cache, stored, values)
    if lost:  # Files went away or were damaged since their keys were read.
        again = _again(pictures, embedder.shape, sorted(lost), unreadable)
        _embed_all(embedder, again, cache, values)
    for place, source in copies.items():
        if source in unreadable:
            unreadable[place] = unreadable[source]
        values[place] = values[source]
    rows = np.setdiff1d(np.arange(total), np.array(list(unreadable), np.int64))
    return Features(values if len(rows) == total else values[rows], rows, unreadable)


def _read_ahead(
    pictures: Pictures, shape: tuple[int, int, int], known: Mapping[bytes, Place], ahead: int
) -> Iterator[tuple[int, _Read | str]]:
    """All pictures in their order, or why each cannot be read; threads read and decode ahead."""

    def read(place: int) -> _Read | str:
        return _read(pictures, place, shape, known)

    waiting: deque[Future[_Read | str]] = deque()
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        try:
            for place in range(len(pictures.files)):
                waiting.append(threads.submit(read, place))
                if len(waiting) > ahead:
                    yield place - ahead, waiting.popleft().result()
            while waiting:
                yield len(pictures.files) - len(waiting), waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _read(
    pictures: Pictures, place: int, shape: tuple[int, int, int], known: Mapping[bytes, Place]
) -> _Read | str:
    """A picture, decoded unless its features are known; or why it cannot be read."""
    try:
        content = pictures.content(place)
        key = hashlib.sha256(content).digest()
        return _Read(key, None if key in known else pictures.decode(content, shape))
    except Unreadable as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)


def _again(
    pictures: Pictures,
    shape: tuple[int, int, int],
    places: Sequence[int],
    unreadable: dict[int, str],
) -> Generator[tuple[int, _Read]]:
    """The pictures at some places, decoded; what cannot be read any more is noted."""
    for place in places:
        read = _read(pictures, place, shape, {})
        if isinstance(read, str):
            unreadable[place] = read
        else:
            yield place, read


def _embed_all(
    embedder: Embedder, reads: Generator[tuple[int, _Read]], cache: Cache, values: np.ndarray
) -> None:
    """Writes the features of decoded pictures into the rows of ``values`` and into the cache."""
    batch: list[tuple[int, _Read]] = []
    unwritten: list[tuple[int, bytes]] = []

    def embed() -> None:
        pixels = np.stack([read.pixels for _, read in batch if read.pixels is not None])
        features = embedder.embed(pixels)
        if not np.isfinite(features).all():
            rule = f"features: {embedder.name} must give finite numbers"
            places = ", ".join(str(place) for place, _ in batch)
            raise UsageError(f"{rule}, got NaN or inf for one of the pictures {places}")
        values[[place for place, _ in batch]] = features
        unwritten.extend((place, read.key) for place, read in batch)
        batch.clear()

    def flush() -> None:
        if unwritten:
            rows = [values[place] for place, _ in unwritten]
            feature_cache.write(cache, [key for _, key in unwritten], rows)
            unwritten.clear()

    try:
        with contextlib.closing(reads):
            for place, read in reads:
                batch.append((place, read))
                if len(batch) == embedder.batch:
                    embed()
                    if len(unwritten) >= FLUSH:
                        flush()
        if batch:
            embed()
    finally:
        flush()
