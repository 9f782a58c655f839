"""Arrays from pickled files of known content, without running anything that a pickle names.

The unpickler knows a handful of names and refuses all others. It is for files whose SHA-256 is
known, not for those that a user hands over. PyTorch's old format is five pickles (a magic number, a
version, the machine's sizes, the tensors, the storages' keys), then the numbers of each storage.
PyTorch is not needed.
"""

import collections
import io
import pickle
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C
"""The first pickle of PyTorch's old format."""
VERSION = 1001
"""The second one."""


class _Tensor(NamedTuple):
    """A view of a storage whose numbers come later in the file.

    Attributes:
      storage: the storage's key and data type.
      offset: place of the first number.
      shape: of the tensor.
      strides: in numbers, not bytes.
    """

    storage: tuple[str, str]
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _DataType:
    """Stands for ``numpy.dtype``: plain little-endian numbers alone."""

    def __init__(self, code: str, *_: Any) -> None:
        if code not in ("f4", "f8", "i4", "i8"):
            raise pickle.UnpicklingError(f"data type {code!r} is not allowed")
        self.code = code

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] != "<":
            raise pickle.UnpicklingError(f"byte order {state[1]!r} is not allowed")


class _Array:
    """Stands for an array, of which a pickle gives shape, type and bytes as its state."""

    value: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, data_type, columns_first, content = state
        numbers = np.frombuffer(content, f"<{data_type.code}")
        self.value = numbers.reshape(shape, order="F" if columns_first else "C")


_ALLOWED: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): lambda *parts: _Tensor(*parts[:4]),
    ("torch", "FloatStorage"): "<f4",
    ("torch", "LongStorage"): "<i8",
    ("numpy.core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy._core.multiarray", "_reconstruct"): lambda *_: _Array(),
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _DataType,
}
"""What stands in the place of each name that a pickle may have."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"name {module_name}.{global_name} is not allowed")
        return _ALLOWED[module_name, global_name]

    def persistent_load(self, pid: Any) -> Any:
        kind, data_type, key, *_ = pid
        if kind != "storage":
            raise pickle.UnpicklingError(f"persistent id {kind!r} is not allowed")
        return key, data_type


def torch_tensors(content: bytes) -> dict[str, np.ndarray]:
    """The tensors of a state dict in PyTorch's old format.

    Args:
      content: the file's bytes.

    Returns:
      float32 or int64, by name.

    Raises:
      pickle.UnpicklingError: the content is no such file, or names what is not allowed.
    """
    file = io.BytesIO(content)
    start = [_Unpickler(file).load() for _ in range(2)]
    if start != [MAGIC, VERSION]:
        raise pickle.UnpicklingError(f"must begin with PyTorch's magic number, got {start}")
    sizes = _Unpickler(file).load()
    if sizes.get("little_endian") is not True:
        raise pickle.UnpicklingError("must be little-endian")
    tensors = _Unpickler(file).load()
    keys = _Unpickler(file).load()
    types = dict(tensor.storage for tensor in tensors.values())
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        data_type = np.dtype(types[key])
        storages[key] = np.frombuffer(file.read(count * data_type.itemsize), data_type)
    return {name: _view(tensor, storages[tensor.storage[0]]) for name, tensor in tensors.items()}


def _view(tensor: _Tensor, storage: np.ndarray) -> np.ndarray:
    """A copy of a tensor's numbers."""
    last = sum((n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True))
    if not 0 <= tensor.offset <= tensor.offset + last < len(storage):
        raise pickle.UnpicklingError("a tensor must lie in its storage")
    strides = [step * storage.itemsize for step in tensor.strides]
    view = np.lib.stride_tricks.as_strided(storage[tensor.offset :], tensor.shape, strides)
    return np.array(view)


def numpy_arrays(content: bytes) -> dict[str, list[np.ndarray]]:
    """The lists of arrays in a pickled dict.

    Args:
      content: the file's bytes.

    Raises:
      pickle.UnpicklingError: the content names what is not allowed.
    """
    lists = _Unpickler(io.BytesIO(content)).load()
    return {name: [array.value for array in arrays] for name, arrays in lists.items()}
