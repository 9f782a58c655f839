"""Weights of a network's first layers from a .safetensors file in PyTorch's layout, and the other way round."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxclust.errors import UsageError
from jaxclust.networks.ccnn import torch_names
from jaxclust.types import Network, Variables

TRAINED_ON = "jaxclust.trained_on"
"""In a file's metadata: SHA-256 of the images whose labels trained it."""
TRAINED_ON_FOLDER = "jaxclust.trained_on_folder"
"""Likewise, where the images were a folder's: SHA-256 of its files' names and sizes."""
TRAINED_ON_SET = "jaxclust.trained_on_set"
"""Likewise, where they were a named set: its name."""


class TrainedOn(NamedTuple):
    """What trained the weights of a file; each is None where the file does not say it.

    Attributes:
      images: SHA-256 of the images whose labels trained them.
      folder: SHA-256 of the names and sizes of the files that the images were in.
      named_set: the named set that the images were.
    """

    images: str | None = None
    folder: str | None = None
    named_set: str | None = None


NOTHING = TrainedOn()


class Weights(NamedTuple):
    """What a file gave.

    Attributes:
      arrays: float32, by the path in ``Variables``, ("params" or "stats", module, ..., array).
      digest: SHA-256 of the arrays.
      trained_on: what trained them.
    """

    arrays: dict[tuple[str, ...], np.ndarray]
    digest: str
    trained_on: TrainedOn


def read(path: str | os.PathLike, factory: Callable[..., Network], network: Network) -> Weights:
    """Reads the layers of a network that a file holds: its backbone, and its adaptation layers if they are there.

    The names are torchvision's ("features.0.weight" of AlexNet, "layer1.0.conv1.weight" of ResNet-18) for those
    networks, those that ``write`` gives for the others. Further tensors, as of a classifier, are left alone.

    Args:
      path: the file.
      factory: that made the network.
      network: whose shapes the arrays must have.

    Returns:
      The arrays, in our layout.

    Raises:
      ValueError: the file is not there or cannot be read, or layers are missing, of another shape, not of floats or
        not finite; each is named.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise UsageError(f"weights: {path} must be a .safetensors file, and is not there")
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    (required, optional), expected = torch_names(factory, shapes), _flat(shapes)
    try:
        with safe_open(path, framework="numpy") as file:
            present, metadata = set(file.keys()), file.metadata() or {}
            extra = optional if optional.keys() & present else {}
            wanted = required | extra
            missing = sorted(wanted.keys() - present)
            shapes = {
                name: tuple(file.get_slice(name).get_shape()) for name in wanted.keys() & present
            }
            wrong = [
                f"{name} {shape} instead of {theirs}"
                for name, shape in sorted(shapes.items())
                if shape != (theirs := _torch_shape(expected[wanted[name]].shape))
            ]
            faults = [f"misses {', '.join(missing)}"] * bool(missing) + [
                f"has {', '.join(wrong)}"
            ] * bool(wrong)
            if faults:
                raise UsageError(
                    f"weights: {path} must hold every layer in the network's shape, {' and '.join(faults)}"
                )
            arrays = {name: file.get_tensor(name) for name in wanted}
    except (SafetensorError, OSError, TypeError) as error:
        raise UsageError(
            f"weights: {path} must be a readable .safetensors file ({error})"
        ) from error
    with np.errstate(over="ignore"):  # A float64 beyond float32's range is not finite there.
        singles = {name: array.astype(np.float32) for name, array in arrays.items()}
    unsound = sorted(
        name
        for name, array in arrays.items()
        if not np.issubdtype(array.dtype, np.floating) or not np.isfinite(singles[name]).all()
    )
    if unsound:
        raise UsageError(
            f"weights: {path} must hold floats finite in float32, has others in {', '.join(unsound)}"
        )
    ours = {wanted[name]: _from_torch(array) for name, array in singles.items()}
    digest = hashlib.sha256(
        b"".join(repr(place).encode() + ours[place].tobytes() for place in sorted(ours))
    )
    said = (metadata.get(name) for name in (TRAINED_ON, TRAINED_ON_FOLDER, TRAINED_ON_SET))
    return Weights(ours, digest.hexdigest(), TrainedOn(*said))


def check_place(path: str | os.PathLike) -> None:
    """Refuses a file to write that exists, or whose folder does not: ValueError."""
    if Path(path).exists():
        raise UsageError(f"out: must not exist, got {path}")
    if not Path(path).absolute().parent.is_dir():
        raise UsageError(f"out: must be in a folder that exists, got {path}")


def write(
    path: str | os.PathLike,
    factory: Callable[..., Network],
    variables: Variables,
    trained_on: TrainedOn = NOTHING,
) -> None:
    """Writes a network's backbone as ``read`` takes it; its adaptation layers stay, which are k wide.

    Args:
      path: the file, which must not exist.
      factory: that made the network.
      variables: its arrays.
      trained_on: what trained them; the file keeps it.

    Raises:
      ValueError: the file exists, or cannot be written.
    """
    from safetensors.numpy import save_file

    path, leaves = Path(path), _flat(variables)
    check_place(path)
    arrays = {
        name: _to_torch(np.asarray(leaves[place]))
        for name, place in torch_names(factory, variables)[0].items()
    }
    about = {
        TRAINED_ON: trained_on.images,
        TRAINED_ON_FOLDER: trained_on.folder,
        TRAINED_ON_SET: trained_on.named_set,
    }
    beside = path.with_name(f".{path.name}.part")
    try:
        save_file(
            arrays, beside, {name: value for name, value in about.items() if value is not None}
        )
        os.replace(beside, path)
    except OSError as error:
        raise UsageError(
            f"weights: {path} must be in a folder that can be written to ({error.strerror})"
        ) from error


def placed(variables: Variables, weights: Weights) -> Variables:
    """``variables`` with the arrays of a file in their places; a leading axis of lanes stays."""
    leaves, tree = jax.tree_util.tree_flatten_with_path(variables)
    new = []
    for path, leaf in leaves:
        array = weights.arrays.get(_place(path))
        new.append(
            leaf if array is None else jax.numpy.broadcast_to(jax.numpy.asarray(array), leaf.shape)
        )
    return jax.tree.unflatten(tree, new)


def _flat(variables: Variables) -> dict[tuple[str, ...], Any]:
    return {_place(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(variables)}


def _place(path) -> tuple[str, ...]:
    """A leaf's path as names; the first is a NamedTuple's field, the others are keys of dicts."""
    return path[0].name, *(key.key for key in path[1:])


def _torch_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (shape[3], shape[2], *shape[:2]) if len(shape) == 4 else shape


def _from_torch(array: np.ndarray) -> np.ndarray:
    """Kernels (o, c, kh, kw) to (kh, kw, c, o); vectors as they are."""
    return array.transpose(2, 3, 1, 0) if array.ndim == 4 else array


def _to_torch(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array.transpose(3, 2, 0, 1)) if array.ndim == 4 else array
