"""A finished run's networks, back from its checkpoint."""

import functools
import hashlib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust import checkpoint, fit, pretrain, train
from jaxclust.algorithms import METHODS


def features(folder: Path, settings: dict[str, Any], images: np.ndarray, rows: np.ndarray, lanes: list[int]) -> list:
    """The embedding of some images under some of a run's seeds.

    Args:
      folder: of a finished run.
      settings: its ``config.json``.
      images: the run's, uint8 or float32 (n, h, w, c).
      rows: of the images to embed, int (m,).
      lanes: places of the seeds in the run.

    Returns:
      For each lane float32 (m, d).

    Raises:
      ValueError: the run has no checkpoint that can be read, or another version of this program wrote it.
    """
    if settings["method"] not in METHODS:
        raise ValueError(f"run: {folder} must be of a method known here, got {settings['method']!r}")
    method = METHODS[settings["method"]]
    config = type(method.config)(**settings["config"])
    network = fit.build(method, config, images.shape[1:])
    keys = jax.vmap(jax.random.key)(jnp.array(settings["seeds"], jnp.uint32))
    variables = None
    if settings["pretraining"] is not None:
        begin = functools.partial(train.start, pretrain, pretrain.Config(**settings["pretraining"]), network, "map")
        variables = jax.eval_shape(begin, (keys, None), images).state.variables
    begin = functools.partial(train.start, method.algorithm, config, network, "map")
    about = {
        "network": [method.network.__name__, *images.shape[1:], config.clusters],
        "images": [len(images), hashlib.sha256(images.tobytes()).hexdigest()],
        "seeds": settings["seeds"],
        "over": settings["over"],
        "pretraining": settings["pretraining"],
        "config": settings["config"],
    }
    found = checkpoint.restore(
        folder / "checkpoint" / "cluster", about, jax.eval_shape(begin, (keys, variables), images)
    )
    if found is None:
        raise ValueError(f"run: {folder} must have a checkpoint to embed images, has none")
    states = found[0].state
    states = jax.tree.map(lambda leaf: leaf[jnp.array(lanes)], states)
    return list(np.asarray(train.apply(method.algorithm, config, network, "map", states, images[rows], "embed")))
