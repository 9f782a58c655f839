"""How the kernel of a convolution moves over its maps."""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from jax import lax

Padding = Literal["SAME", "VALID"]


class Window(NamedTuple):
    """The kernel of a layer, as it is written in a paper.

    Attributes:
      size: (rows, columns) of the kernel, or one number for both.
      stride: step in both directions, in pixels.
      padding: "SAME" pads the maps with zeros, "VALID" does not; see ``convolution.conv``.
    """

    size: int | tuple[int, int]
    stride: int = 1
    padding: Padding = "SAME"

    @property
    def pair(self) -> tuple[int, int]:
        """(rows, columns) of the kernel."""
        return (self.size, self.size) if isinstance(self.size, int) else self.size


class Geometry(NamedTuple):
    """How a kernel moves over a large map and what small map it gives.

    The large map is a convolution's input, the small one its output. All of this is known before
    compilation.

    Attributes:
      stride: step in both directions, in pixels.
      kernel: (rows, columns) of the kernel.
      pads: zeros above, below, left and right of the large map, in pairs as lax takes them.
      large: (rows, columns) of the large map.
      small: (rows, columns) of the small map.
    """

    stride: int
    kernel: tuple[int, int]
    pads: tuple[tuple[int, int], tuple[int, int]]
    large: tuple[int, int]
    small: tuple[int, int]


def geometry_of(
    large: Sequence[int], kernel: Sequence[int], stride: int, padding: Padding
) -> Geometry:
    """The geometry of a convolution.

    Args:
      large: (rows, columns) of its input.
      kernel: (rows, columns) of its kernel.
      stride: step in both directions, in pixels.
      padding: see ``convolution.conv``.
    """
    rows, columns = lax.padtype_to_pads(large, kernel, (stride, stride), padding)
    pads = (rows, columns)
    height, width = (
        (size + sum(pad) - k) // stride + 1
        for size, pad, k in zip(large, pads, kernel, strict=True)
    )
    return Geometry(stride, (kernel[0], kernel[1]), pads, (large[0], large[1]), (height, width))
