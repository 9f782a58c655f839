"""What pictures are made of: images in a grid, PNG files of arrays, features in two dimensions."""

import struct
import zlib

import numpy as np


def grid(images: np.ndarray, columns: int = 10) -> np.ndarray:
    """Images on a light ground, enlarged to at least 28 pixels.

    Args:
      images: uint8 or float in [0, 1], (n, h, w, c); of other than 3 channels the first is shown; n may be 0.
      columns: images in a row.

    Returns:
      uint8 (height, width, 3).
    """
    images = as_colour(images)
    scale = max(1, -(-28 // max(images.shape[1:3])))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    n, height, width = images.shape[:3]
    gap = 2
    lines = max(1, -(-n // columns))
    sheet = np.full((lines * (height + gap) + gap, columns * (width + gap) + gap, 3), 230, np.uint8)
    for place, image in enumerate(images):
        top, left = gap + place // columns * (height + gap), gap + place % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def as_colour(images: np.ndarray) -> np.ndarray:
    """uint8 (n, h, w, 3) of uint8 or float images in [0, 1], (n, h, w, c)."""
    if images.dtype != np.uint8:
        images = np.round(images * 255).astype(np.uint8)
    # Grey and colour are shown; of any other number of channels the first.
    return images if images.shape[-1] == 3 else np.repeat(images[..., :1], 3, axis=-1)


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 (height, width, 3), written as grey where it is."""
    height, width = pixels.shape[:2]
    grey = bool((pixels[..., :1] == pixels).all())
    pixels = pixels[..., :1] if grey else pixels
    # Each line begins with its filter, 0 for none.
    lines = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, -1)], axis=1)

    def part(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if grey else 2, 0, 0, 0)
    parts = (
        part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(lines.tobytes(), 9))
        + part(b"IEND", b"")
    )
    return b"\x89PNG\r\n\x1a\n" + parts


def in_two_dimensions(features: np.ndarray) -> np.ndarray:
    """t-SNE of features (n, d): places (n, 2), the same ones each time."""
    from sklearn.manifold import TSNE

    if np.ptp(features, axis=0).max() == 0:
        # scikit-learn's t-SNE divides by the spread, and crashes; equal points have one place.
        return np.zeros((len(features), 2))
    # Perplexity 30 is scikit-learn's default; it must stay below the number of points.
    perplexity = min(30.0, max(1.0, (len(features) - 1) / 3))
    return TSNE(perplexity=perplexity, init="random", random_state=0).fit_transform(features)
