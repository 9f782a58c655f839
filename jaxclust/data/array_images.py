"""Arrays of images as people hand them over: where their channels are, and what their values are.

Nothing is guessed. What may mean two things is refused, with what to write for each.
"""

from typing import Any, Literal

import numpy as np

from jaxclust.errors import UsageError

Layout = Literal["nhwc", "nchw"]
LAYOUTS: tuple[Layout, ...] = ("nhwc", "nchw")
ROUNDING = 1e-6
"""How far floats may lie beside [0, 1]."""
CHANNELS = (1, 3, 4)
"""Numbers of channels that pictures have."""


def check_layout(layout: str | None) -> Layout | None:
    """The layout of a name; UsageError where there is none."""
    for known in (None, *LAYOUTS):
        if known == layout:
            return known
    raise UsageError(f"layout: must be one of {', '.join(LAYOUTS)}, got {layout!r}")


def channels_last(images: Any, layout: str | None) -> Any:
    """Images of rank 3 or 4 as (n, h, w, c).

    Args:
      images: (n, h, w), (n, h, w, c) or, with "nchw", (n, c, h, w).
      layout: "nhwc", "nchw", or None where nobody said. Then an array whose last axis is longer
        than 4 while axis 1 has 1, 3 or 4 entries is refused: it looks as if its channels come
        first.

    Raises:
      UsageError: the images have another rank or no entry, or may have their channels first.
    """
    layout = check_layout(layout)
    if images.ndim not in (3, 4):
        hint = "; reshape vectors to their pictures' height and width" if images.ndim == 2 else ""
        rule = "images: must be of rank 3 (n, h, w) or 4 (n, h, w, c)"
        raise UsageError(f"{rule}, got shape {images.shape}{hint}")
    if 0 in images.shape:
        raise UsageError(f"images: must not be empty, got shape {images.shape}")
    if images.ndim == 3:
        return images[..., None]
    if layout == "nchw":
        return images.transpose(0, 2, 3, 1)
    if layout is None and looks_channels_first(images.shape):
        _, c, h, w = images.shape
        first = f"--layout nchw takes them as {h} x {w} with {c} channels"
        last = f"--layout nhwc as {c} x {h} with {w}"
        rule = f"images: must be (n, h, w, c), got {images.shape}, whose channels may come first"
        raise UsageError(f'{rule}; {first}, {last} (in Python layout="nchw" or "nhwc")')
    return images


def looks_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images (n, h, w, c) may be (n, c, h, w)."""
    return len(shape) == 4 and shape[1] in CHANNELS and shape[3] > max(CHANNELS)


def check_kind(dtype: np.dtype, high: float | None = None) -> None:
    """Refuses arrays that are neither bytes nor floats.

    Args:
      dtype: of the images.
      high: the largest value, where it is known, of images from 0.

    Raises:
      UsageError: it is another type; the message says how to convert it.
    """
    if dtype == np.uint8 or np.issubdtype(dtype, np.floating):
        return
    hint = ""
    if dtype.kind == "b" or (dtype.kind in "iu" and high == 1):
        hint = '; convert them by images.astype("float32")'
    elif dtype.kind in "iu" and high is not None and 0 <= high <= 255:
        hint = '; convert them by images.astype("uint8")'
    elif dtype.kind in "iu":
        hint = "; divide them by the largest possible value, as in images / 65535"
    raise UsageError(f"images: must be uint8 in 0..255 or float in [0, 1], got dtype {dtype}{hint}")


def check_values(images: np.ndarray) -> None:
    """Refuses images whose values are not those of their type.

    Args:
      images: not empty.

    Raises:
      UsageError: they are of another type, are bytes of 0 and 1 alone, or are floats that are not
        finite or lie outside of [0, 1].
    """
    if images.dtype.kind in "biu":
        low = images.min()
        high = images.max()
        check_kind(images.dtype, float(high) if low >= 0 else None)
        if high == 1:
            rule = "images: uint8 must be in 0..255, got 0 and 1 alone, which are nearly black"
            raise UsageError(f'{rule}; convert them by images * 255 or images.astype("float32")')
        return
    check_kind(images.dtype)
    finite = np.isfinite(images)
    if not finite.all():
        count = int((~finite).sum())
        rule = "images: must be finite"
        raise UsageError(f"{rule}, got NaN or inf in {count} of {images.size} values")
    low = float(images.min())
    high = float(images.max())
    if low < -ROUNDING or high > 1 + ROUNDING:
        hint = ""
        if low >= 0:
            hint = "; divide them by the largest possible value"
            hint += ", as in images / 255" if high <= 255 else ""
        raise UsageError(f"images: floats must lie in [0, 1], got {low:g} to {high:g}{hint}")
