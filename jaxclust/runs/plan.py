"""How a run is carried out, and what is refused before it begins."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np

from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.data.sources import Source
from jaxclust.engine import blocks, refusals
from jaxclust.engine import fit as engine
from jaxclust.engine.devices import Over
from jaxclust.engine.peers import Peers
from jaxclust.errors import UsageError
from jaxclust.networks.ccnn import ON_IMAGENET
from jaxclust.networks.torch_weights import Weights
from jaxclust.runs.start_weights import IMAGENET
from jaxclust.types import Json, Method

FEW = 5
"""The number of seeds where nobody gave one and more would take long."""
MOST_SEEDS = 1000
"""The largest number of seeds that a count can ask for."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a run is carried out and where it is kept.

    Attributes:
      seeds: distinct, at least one.
      over: how seeds run, see ``engine.driver.Program``; None for the fastest way here, or the one
        with which the run in ``out`` began.
      out: the run's folder; None to keep the run in memory.
      choose_seeds: whether nobody gave the seeds, so that ``seed_count.with_usual_seeds`` may.
      find_out: choose the folder by ``folder.default_folder``; ``out`` is then its parent.
      resume: go on with a run of the same settings in the folder.
      overwrite: delete an earlier run's files in the folder.
      features: what stands in the images' place, see ``feature_inputs.replaced``.
      weights: a .safetensors file with the network's first layers, or ``start_weights.IMAGENET``.
      pretrained: folder of a finished run whose pretraining is used.
      max_seconds: stop after this long.
      figures: whether the caller draws a finished run's figures, without which it is not whole.
      table: write ``clusters.csv``.
      baseline: run k-means on the same input with the same seeds, and keep its rows beside.
      data: what the user called the images.
      origin: where the run's inputs are, for the record.
      peers: the place of this process among those of the run; None where it is the only one.
      in_sweep: whether the run is one of a sweep, which itself says what its seeds can show.
    """

    seeds: tuple[int, ...]
    over: Over | None = None
    out: Path | None = None
    choose_seeds: bool = False
    find_out: bool = False
    resume: bool = False
    overwrite: bool = False
    features: str | None = None
    weights: Path | None = None
    pretrained: Path | None = None
    max_seconds: float | None = None
    table: bool = True
    baseline: bool = False
    figures: bool = False
    data: str = ""
    origin: dict[str, Json] = dataclasses.field(default_factory=dict)
    peers: Peers | None = None
    in_sweep: bool = False


def seeds_of(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """Seeds from a count or a list.

    Args:
      seeds: how many (3: seeds 0, 1, 2), or which.

    Raises:
      UsageError: the count is below 1 or above MOST_SEEDS, or the list is empty or has a number
        twice, one below 0 or one that is not whole.
    """
    rule = "seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0"
    if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            raise UsageError(f"{rule}; a count is at most {MOST_SEEDS}, got {seeds}")
        return tuple(range(int(seeds)))
    if not isinstance(seeds, Sequence | np.ndarray) or isinstance(seeds, str | bytes):
        raise UsageError(f"{rule}, got {seeds!r}")
    listed = list(seeds)
    whole = all(type(seed) is int or isinstance(seed, np.integer) for seed in listed)
    if not listed or not whole or len(set(listed)) < len(listed):
        raise UsageError(f"{rule}, got {listed}")
    if min(listed) < 0 or max(listed) >= 2**31:
        raise UsageError(f"{rule}, got {listed}")
    return tuple(int(seed) for seed in listed)


def with_clusters(method: Method, data: Dataset | Source, clusters: int | None) -> Method:
    """The method with a number of clusters.

    Args:
      method: the method.
      data: the images; the number of their classes is taken where ``clusters`` is None.
      clusters: at least 2, or None.

    Raises:
      UsageError: the number cannot be, or is not given for images without labels.
    """
    if clusters is None:
        if data.labels is None:
            raise UsageError(f"clusters: must be given, since {data.name} has no labels")
        clusters = max(int(data.labels.max()) + 1, 2)
    return method.with_settings({"clusters": clusters})


def check_weights_given(method: Method, plan: Plan) -> None:
    """Refuses to start a network from nothing that needs weights from a file.

    Raises:
      UsageError: the method needs weights, and the plan has none.
    """
    if method.needs_weights and plan.weights is None and method.preset != "random":
        given = f"be {IMAGENET}" if method.network in ON_IMAGENET else "be given"
        rule = f"weights: must {given} for {method.name}"
        raise UsageError(f"{rule}, or --preset random for fresh ones, got none")


def check_plan(method: Method, data: Dataset | Source, plan: Plan) -> None:
    """Refuses a plan that contradicts itself or its method, before images are looked at.

    Raises:
      UsageError: an entry of the plan breaks its rule.
    """
    seconds = plan.max_seconds
    if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
        raise UsageError(f"max_seconds: must be above 0, got {seconds!r}")
    check_weights_given(method, plan)
    if method.algorithm.predict is None and method.algorithm.finish is None:
        raise UsageError(f"method: must have predict or finish, got {method.name} without")
    if not isinstance(data, Source):
        return
    if plan.out is None:
        raise UsageError("out: must be given for a stream, whose labels are written to a file")
    for name in ("features", "pretrained", "baseline"):
        if getattr(plan, name):
            raise UsageError(f"{name}: must not be given with stream")


def check_images(method: Method, data: Dataset | Source, plan: Plan, over: Over) -> dict[str, int]:
    """Refuses images that the method cannot cluster, before any long work.

    Args:
      method: with its settings.
      data: the images, their features or a stream.
      plan: how they are clustered.
      over: how seeds run.

    Returns:
      The settings that only a stream has, by name.

    Raises:
      UsageError: something breaks its rule.
    """
    if not isinstance(data, Source):
        datasets.check_clusters(data.images, method.clusters)
        shape = jax.ShapeDtypeStruct(data.images.shape, data.images.dtype)
        refusals.check(method, shape, over)
        refusals.check_values(method, data.images)
        return {}
    blocks.check(method, data)
    size = blocks.block_size(method, data)
    refusals.check(method, jax.ShapeDtypeStruct((size, *data.shape[1:]), data.dtype), over)
    # The first centroids are images of the first block, which holds only readable ones. All seeds
    # share the blocks, whose order the first seed decides.
    first = next(data.blocks(size, blocks.order_of(plan.seeds[0], 0)))
    datasets.check_clusters(first, method.clusters, " in the first block")
    return {"stream": size, "order": plan.seeds[0]}


def check_weights(weights: Weights, data: Dataset | Source, plan: Plan) -> None:
    """Refuses weights that the labels of the images have trained.

    Args:
      weights: as read.
      data: the images, not their features.
      plan: how they are clustered.

    Raises:
      UsageError: the weights know these images' labels.
    """
    if isinstance(data, Source):
        engine.check_weights(weights, data.digest, data=plan.data)
        return
    digest = engine.pixels_digest(data.images)
    engine.check_weights(weights, digest, data.folder_digest, data=plan.data)
