"""Weights of a network's first layers, read from and written to .safetensors files of PyTorch."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxclust.errors import UsageError, reading
from jaxclust.networks.backbones import Names
from jaxclust.networks.ccnn import torch_names
from jaxclust.types import Network, NetworkFactory, Variables
from jaxclust.whole_files import whole

TRAINED_ON = "jaxclust.trained_on"
"""In a file's metadata, the SHA-256 of the images whose labels trained the weights."""
TRAINED_ON_FOLDER = "jaxclust.trained_on_folder"
"""The SHA-256 of the files' names and sizes, where these images were in a folder."""
TRAINED_ON_SET = "jaxclust.trained_on_set"
"""The name of the named set, where these images were one."""


class TrainedOn(NamedTuple):
    """The images that trained the weights of a file; a field is None where the file lacks it.

    Attributes:
      images: SHA-256 of the images.
      folder: SHA-256 of the names and sizes of the files that the images were in.
      named_set: name of the named set that the images were.
    """

    images: str | None = None
    folder: str | None = None
    named_set: str | None = None


NOTHING = TrainedOn()


class Weights(NamedTuple):
    """The weights in a file.

    Attributes:
      arrays: float32, by the path in ``Variables``, ("params" or "stats", module, ..., array).
      digest: SHA-256 of the arrays.
      trained_on: the images that trained them.
    """

    arrays: dict[tuple[str, ...], np.ndarray]
    digest: str
    trained_on: TrainedOn


def read(path: str | os.PathLike, factory: NetworkFactory, network: Network) -> Weights:
    """Reads a network's backbone from a file, and its adaptation layers if the file has them.

    The tensors have torchvision's names ("features.0.weight" of AlexNet, "layer1.0.conv1.weight" of
    ResNet-18) for these networks, and the names that ``write`` gives for the others. Further
    tensors, such as those of a classifier, are ignored.

    Args:
      path: the file.
      factory: made the network.
      network: the arrays must have its shapes.

    Returns:
      The arrays, in the layout of this package.

    Raises:
      UsageError: the file does not exist or cannot be read, or layers are missing, have another
        shape, or are not finite floats; each of them is named.
    """
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"weights: {path} must be a .safetensors file, and is not there")
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    required, optional = torch_names(factory, shapes)
    places, tensors, metadata = _tensors(path, required, optional, shapes)
    # A float64 beyond the range of float32 becomes infinite, and is refused below.
    with np.errstate(over="ignore"):
        singles = {name: tensor.astype(np.float32) for name, tensor in tensors.items()}
    unusable = [
        name
        for name, tensor in sorted(tensors.items())
        if not np.issubdtype(tensor.dtype, np.floating) or not np.isfinite(singles[name]).all()
    ]
    if unusable:
        rule = f"{path} must hold floats finite in float32, has others in {', '.join(unusable)}"
        raise UsageError(f"weights: {rule}")
    arrays = {places[name]: _from_torch(tensor) for name, tensor in singles.items()}
    digest = hashlib.sha256(
        b"".join(repr(place).encode() + arrays[place].tobytes() for place in sorted(arrays))
    )
    trained_on = TrainedOn(
        *(metadata.get(name) for name in (TRAINED_ON, TRAINED_ON_FOLDER, TRAINED_ON_SET))
    )
    return Weights(arrays, digest.hexdigest(), trained_on)


def check_place(path: str | os.PathLike) -> None:
    """Refuses a path at which no new file can be written.

    Raises:
      UsageError: the file exists, or its folder does not.
    """
    if Path(path).exists():
        raise UsageError(f"out: must not exist, got {path}")
    if not Path(path).absolute().parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {path}")


def check_room(path: str | os.PathLike, factory: NetworkFactory, variables: Variables) -> None:
    """Refuses a disk that has no room for a network's backbone, before it is trained.

    Args:
      path: the file that ``write`` is to make.
      factory: made the network.
      variables: the network's arrays, of any values.

    Raises:
      UsageError: as from ``write``. No file is left.
    """
    probe = Path(path).with_name(f".{Path(path).name}.room")
    write(probe, factory, variables)
    probe.unlink()


def write(
    path: str | os.PathLike,
    factory: NetworkFactory,
    variables: Variables,
    trained_on: TrainedOn = NOTHING,
) -> None:
    """Writes a network's backbone to a file that ``read`` takes.

    The adaptation layers are not written, since their widths depend on the number of clusters.

    Args:
      path: the file, which must not exist.
      factory: made the network.
      variables: the network's arrays.
      trained_on: the images that trained them, which the file records.

    Raises:
      UsageError: the file exists, or cannot be written.
    """
    from safetensors.numpy import save

    path = Path(path)
    check_place(path)
    leaves = _flat(variables)
    tensors = {
        name: _to_torch(np.asarray(leaves[place]))
        for name, place in torch_names(factory, variables)[0].items()
    }
    entries = {
        TRAINED_ON: trained_on.images,
        TRAINED_ON_FOLDER: trained_on.folder,
        TRAINED_ON_SET: trained_on.named_set,
    }
    metadata = {name: value for name, value in entries.items() if value is not None}
    rule = f"weights: {path} must be in a folder that can be written to"
    with reading(rule), whole(path) as beside:
        beside.write_bytes(save(tensors, metadata))


def placed(variables: Variables, weights: Weights) -> Variables:
    """The variables with the arrays of a file in their places.

    Args:
      variables: a network's arrays, which may have a leading axis of lanes.
      weights: what ``read`` gave; every lane gets the same arrays.
    """
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)
    new = []
    for path, leaf in leaves:
        array = weights.arrays.get(_place(path))
        if array is None:
            new.append(leaf)
        else:
            new.append(jax.numpy.broadcast_to(jax.numpy.asarray(array), leaf.shape))
    return jax.tree.unflatten(tree, new)


def _tensors(
    path: Path, required: Names, optional: Names, shapes: Variables
) -> tuple[Names, dict[str, np.ndarray], Mapping[str, str]]:
    """The tensors of a file that belong to a network.

    Args:
      path: the file.
      required: names that the file must hold.
      optional: names that it may hold, all of them or none.
      shapes: of the network's arrays.

    Returns:
      The names and places of the tensors, the tensors, and the file's metadata.

    Raises:
      UsageError: the file cannot be read, or tensors are missing or have another shape.
    """
    from safetensors import safe_open

    expected = _flat(shapes)
    rule = f"weights: {path} must be a readable .safetensors file"
    with reading(rule, path), safe_open(path, framework="numpy") as file:
        present = set(file.keys())
        metadata = file.metadata() or {}
        places = required | (optional if optional.keys() & present else {})
        faults = []
        missing = sorted(places.keys() - present)
        if missing:
            faults.append(f"misses {', '.join(missing)}")
        wrong = []
        for name in sorted(places.keys() & present):
            shape = tuple(file.get_slice(name).get_shape())
            needed = _torch_shape(expected[places[name]].shape)
            if shape != needed:
                wrong.append(f"{name} {shape} instead of {needed}")
        if wrong:
            faults.append(f"has {', '.join(wrong)}")
        if faults:
            rule = f"{path} must hold every layer in the network's shape"
            raise UsageError(f"weights: {rule}, {' and '.join(faults)}")
        return places, {name: file.get_tensor(name) for name in places}, metadata


def _flat(variables: Variables) -> dict[tuple[str, ...], Any]:
    """The arrays by their paths."""
    return {_place(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables)}


def _place(path: tuple[Any, ...]) -> tuple[str, ...]:
    """A leaf's path as names; the first is a NamedTuple's field, the others are keys of dicts."""
    return path[0].name, *(key.key for key in path[1:])


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape


def _from_torch(array: np.ndarray) -> np.ndarray:
    """Turns kernels (o, c, kh, kw) into (kh, kw, c, o); vectors stay."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _to_torch(array: np.ndarray) -> np.ndarray:
    """Turns kernels (kh, kw, c, o) into (o, c, kh, kw); vectors stay."""
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
