"""Images in a grid, and PNG files of arrays."""

import struct
import zlib

import numpy as np


def grid(images: np.ndarray, columns: int = 10) -> np.ndarray:
    """Images on a light ground, enlarged to at least 28 pixels a side.

    Args:
      images: uint8 or float in [0, 1], (n, h, w, c). Three channels are shown in color; of any
        other number the first is shown in gray. n may be 0.
      columns: images in a row.

    Returns:
      uint8 (height, width, 3).
    """
    images = as_color(images)
    scale = max(1, -(-28 // max(images.shape[1:3])))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width = images.shape[:3]
    gap = 2
    lines = max(1, -(-n // columns))
    sheet = np.full((lines * (height + gap) + gap, columns * (width + gap) + gap, 3), 230, np.uint8)
    for place, image in enumerate(images):
        top = gap + place // columns * (height + gap)
        left = gap + place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def as_color(images: np.ndarray) -> np.ndarray:
    """Images as uint8 (n, h, w, 3).

    Args:
      images: uint8 or float in [0, 1], (n, h, w, c), c as in ``grid``.
    """
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    return images if images.shape[-1] == 3 else np.repeat(images[..., :1], 3, axis=-1)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 (height, width, 3) pixels; gray pixels are stored as gray."""
    height, width = pixels.shape[:2]
    gray = bool((pixels[..., :1] == pixels).all())
    pixels = pixels[..., :1] if gray else pixels
    # Each line begins with its filter, 0 for none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)
    header = struct.pack(">IIBBBBB", width, height, 8, 0 if gray else 2, 0, 0, 0)
    parts = _part(b"IHDR", header)
    parts += _part(b"IDAT", zlib.compress(lines.tobytes(), 9))
    parts += _part(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def _part(kind: bytes, content: bytes) -> bytes:
    """A chunk of a PNG file: length, kind, content, checksum."""
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum
