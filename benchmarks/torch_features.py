"""The pretrained networks of ``benchmarks.features`` in PyTorch, eager, with batch norm folded."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]
from torch.nn import functional as F  # pyright: ignore[reportMissingImports]

from jaxclust.networks.pretrained import BLOCKS, BLUE_GREEN_RED_MEANS, FIRES


def embedder(name: str, variables: Mapping[str, np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """``embed(images)`` of a network, uint8 (n, h, w, 3) to float32 (n, d).

    Args:
      name: one of ``pretrained.FEATURES``.
      variables: as the network's ``fold`` made them.
    """
    arrays = {key: torch.from_numpy(_kernel(value)) for key, value in variables.items()}
    forward = {"efficientnet-lite0": _lite0, "squeezenet": _squeezenet}[name]

    def embed(images: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2))).float()
        with torch.inference_mode():
            return forward(arrays, x.contiguous(memory_format=torch.channels_last)).numpy()

    return embed


def _kernel(array: np.ndarray) -> np.ndarray:
    """A kernel in PyTorch's order, (out, in, h, w); that of a depthwise one is (c, 1, h, w)."""
    if array.ndim == 2:
        array = array.T[:, :, None, None]
    elif array.ndim == 3:
        array = array.transpose(2, 0, 1)[:, None]
    elif array.ndim == 4:
        array = array.transpose(3, 2, 0, 1)
    return np.ascontiguousarray(array)


def _conv(x: Any, arrays: Mapping[str, Any], name: str, stride: int = 1, groups: int = 1) -> Any:
    """A convolution with TensorFlow's "same" padding."""
    kernel = arrays[f"{name}/kernel"]
    pads = []
    for size, k in zip(x.shape[:1:-1], kernel.shape[:1:-1], strict=True):
        total = max((-(-size // stride) - 1) * stride + k - size, 0)
        pads += [total // 2, total - total // 2]
    even = pads[0] == pads[1] and pads[2] == pads[3]
    padding = (pads[2], pads[0]) if even else 0
    x = x if even else F.pad(x, pads)
    return F.conv2d(x, kernel, arrays[f"{name}/bias"], stride, padding, 1, groups)


def _lite0(arrays: Mapping[str, Any], x: Any) -> Any:
    x = F.relu6(_conv((x - 127) / 128, arrays, "stem", 2))
    for index, block in enumerate(BLOCKS):
        y = x
        if block.expansion > 1:
            y = F.relu6(_conv(y, arrays, f"block{index}/expand"))
        y = F.relu6(_conv(y, arrays, f"block{index}/depthwise", block.stride, y.shape[1]))
        y = _conv(y, arrays, f"block{index}/project")
        x = x + y if block.stride == 1 and block.inputs == block.outputs else y
    return F.relu6(_conv(x, arrays, "head")).mean(dim=(2, 3))


def _squeezenet(arrays: Mapping[str, Any], x: Any) -> Any:
    x = x.flip(1) - torch.tensor(BLUE_GREEN_RED_MEANS)[:, None, None]
    x = F.max_pool2d(F.relu(_conv(x, arrays, "conv1", 2)), 3, 2)
    for name in FIRES:
        squeezed = F.relu(_conv(x, arrays, f"{name}/squeeze1x1"))
        parts = [_conv(squeezed, arrays, f"{name}/{part}") for part in ("expand1x1", "expand3x3")]
        x = F.relu(torch.cat(parts, dim=1))
        if name in ("fire3", "fire5"):
            x = F.max_pool2d(x, 3, 2)
    return x.mean(dim=(2, 3))
