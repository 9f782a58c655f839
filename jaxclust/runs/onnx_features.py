"""Features by a user's own network in an ONNX file.

The name is ``onnx:FILE``, with settings after a question mark where the usual ones do not fit:
``onnx:model.onnx?size=224&mean=0.485,0.456,0.406&std=0.229,0.224,0.225&output=features``.

- The network takes one input of rank 4, (n, 3, h, w) or (n, h, w, 3); its shape says which.
  ``size`` is needed where height and width are not fixed.
- A float input gets RGB in [0, 1], less ``mean``, divided by ``std`` (0 and 1 unless given). A
  uint8 input gets 0..255.
- The weights must be in the file itself.
- ``output`` names the output, the first one unless given. A map (n, d, h, w) or, where the input is
  (n, h, w, 3), (n, h, w, d) is averaged over space; all else is flattened.
"""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.errors import UsageError, reading

SETTINGS = ("size", "mean", "std", "output")
LARGEST_SIDE = 2048
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
}
BATCH = 16


class OnnxNetwork(NamedTuple):
    """A network in an ONNX file.

    Attributes:
      shape: (h, w, 3) of the pictures that it takes.
      dimension: number of features.
      digest: SHA-256 of the file.
      embed: features, float32 (n, dimension), of pictures, uint8 (n, h, w, 3).
    """

    shape: tuple[int, int, int]
    dimension: int
    digest: str
    embed: Callable[[np.ndarray], np.ndarray]


class _Input(NamedTuple):
    """What the network's input is.

    Attributes:
      name: of the input.
      shape: (h, w, 3) of a picture.
      channels_first: whether it is (n, 3, h, w).
      count: number of pictures where it is fixed, or None.
      data_type: NumPy's.
    """

    name: str
    shape: tuple[int, int, int]
    channels_first: bool
    count: int | None
    data_type: Any


def open_network(address: str) -> OnnxNetwork:
    """Loads a network.

    Args:
      address: the file's path, with settings after a question mark.

    Raises:
      UsageError: onnxruntime is not installed, the file is no network that it runs, or the settings
        or the network's input and output are not as the module states.
    """
    path, settings = parse(address)
    content, session = _session(path)
    given = _input(session, path, settings)
    outputs = [output.name for output in session.get_outputs()]
    output = settings.get("output", outputs[0])
    if output not in outputs:
        rule = f"features: output must be one of {', '.join(outputs)} of {path}"
        raise UsageError(f"{rule}, got {output!r}")
    mean = _numbers(settings, "mean", 0.0)
    deviation = _numbers(settings, "std", 1.0)
    if not (deviation > 0).all():
        raise UsageError(f"features: std must be above 0, got {settings['std']}")
    whole = given.data_type == np.uint8
    if whole and ("mean" in settings or "std" in settings):
        raise UsageError(f"features: mean and std must not be given for {path}, which takes uint8")

    def embed(images: np.ndarray) -> np.ndarray:
        x = images if whole else (images.astype(np.float32) / 255 - mean) / deviation
        x = x.astype(given.data_type)
        if given.channels_first:
            x = x.transpose(0, 3, 1, 2)
        parts = []
        step = given.count or max(len(x), 1)
        for start in range(0, len(x), step):
            part = x[start : start + step]
            padded = np.zeros((step, *x.shape[1:]), x.dtype)
            padded[: len(part)] = part
            (found,) = session.run([output], {given.name: padded})
            parts.append(_vectors(np.asarray(found), step, given.channels_first, path)[: len(part)])
        return np.concatenate(parts)

    with reading(f"features: {path} must run on {given.shape}"):
        dimension = embed(np.zeros((1, *given.shape), np.uint8)).shape[1]
    return OnnxNetwork(given.shape, dimension, hashlib.sha256(content).hexdigest(), embed)


def parse(address: str) -> tuple[Path, dict[str, str]]:
    """The path and the settings of an address.

    Raises:
      UsageError: a setting is unknown, there twice or without a value.
    """
    path, _, query = address.partition("?")
    settings: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = part.partition("=")
        if name not in SETTINGS or name in settings or not value:
            rule = f"features: must have each of {', '.join(SETTINGS)} once, as in size=224"
            raise UsageError(f"{rule}, got {part!r}")
        settings[name] = value
    return Path(path), settings


def _session(path: Path) -> tuple[bytes, Any]:
    """The file's bytes, and the network ready to run on the CPU."""
    try:
        import onnxruntime
    except ImportError:
        rule = "features: onnx needs ONNX Runtime"
        raise UsageError(f"{rule}: pip install 'jaxclust[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    with reading(f"features: {path} must be a readable ONNX file", path):
        content = path.read_bytes()
        # From its bytes: their digest then stands for all weights, none of which lie beside it.
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        return content, session


def _input(session: Any, path: Path, settings: Mapping[str, str]) -> _Input:
    inputs = session.get_inputs()
    rule = f"features: {path} must take one input (n, 3, h, w) or (n, h, w, 3)"
    if len(inputs) != 1 or len(inputs[0].shape) != 4:
        raise UsageError(f"{rule}, takes {[list(each.shape) for each in inputs]}")
    # A side that is not fixed is a name or None.
    fixed = [side if isinstance(side, int) and side > 0 else None for side in inputs[0].shape]
    channels_first = fixed[1] == 3
    if not channels_first and fixed[3] != 3:
        raise UsageError(f"{rule}, takes {list(inputs[0].shape)}")
    data_type = _TYPES.get(inputs[0].type)
    if data_type is None:
        rule = f"features: {path} must take {', '.join(_TYPES)}"
        raise UsageError(f"{rule}, takes {inputs[0].type}")
    size = _size(settings)
    sides = fixed[2:] if channels_first else fixed[1:3]
    if size is None and None in sides:
        rule = f"features: {path} has no fixed size and needs one"
        raise UsageError(f"{rule}, as in onnx:{path}?size=224")
    if size is not None and any(side not in (None, size) for side in sides):
        rule = f"features: size must be that of {path}, {sides[0]} x {sides[1]}"
        raise UsageError(f"{rule}, got {size}")
    height, width = (side or size or 0 for side in sides)
    return _Input(inputs[0].name, (height, width, 3), channels_first, fixed[0], data_type)


def _vectors(found: np.ndarray, n: int, channels_first: bool, path: Path) -> np.ndarray:
    """A network's output as float32 (n, d)."""
    if found.ndim < 2 or len(found) != n or not np.issubdtype(found.dtype, np.floating):
        rule = f"features: {path} must give a row of floats for each picture"
        raise UsageError(f"{rule}, gives {found.dtype} {found.shape} for {n}")
    if found.ndim == 4:
        found = found.mean(axis=(2, 3) if channels_first else (1, 2))
    return found.reshape(n, -1).astype(np.float32)


def _size(settings: Mapping[str, str]) -> int | None:
    text = settings.get("size")
    if text is None:
        return None
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_SIDE:
        raise UsageError(f"features: size must be from 1 to {LARGEST_SIDE}, got {text!r}")
    return int(text)


def _numbers(settings: Mapping[str, str], name: str, usual: float) -> np.ndarray:
    """One number, or one for each of red, green and blue; float32 (3,)."""
    text = settings.get(name)
    if text is None:
        return np.full(3, usual, np.float32)
    try:
        numbers = np.array([float(part) for part in text.split(",")], np.float32)
    except ValueError:
        numbers = np.array([], np.float32)
    if len(numbers) not in (1, 3) or not np.isfinite(numbers).all():
        raise UsageError(f"features: {name} must be one number or three, got {text!r}")
    return np.broadcast_to(numbers, 3)
