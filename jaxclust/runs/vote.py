"""The images on which all seeds agree teach the others: ``jc.vote`` and ``jaxclust vote``.

An image is disputed where not all seeds give it the same cluster. Two classifiers, the pupils, are
trained on disjoint halves of the undisputed images, with their clusters as labels. A disputed image
gets the cluster that both pupils give it; where they differ it keeps the seeds' vote. Undisputed
images keep theirs.

Pupils repeat the errors that all seeds share, and may add their own. So nothing is changed unless
the seeds themselves back it (``backing``). No true label is looked at.
"""

import functools
from dataclasses import replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.engine import driver
from jaxclust.engine.phase import Hook
from jaxclust.engine.weights import pixels_digest
from jaxclust.errors import UsageError
from jaxclust.evaluation import agreement
from jaxclust.methods import pupil
from jaxclust.methods.pretraining_supervised import with_labels
from jaxclust.networks.autoencoders import cae
from jaxclust.runs.consensus import Consensus
from jaxclust.runs.run import Run

LEAST_SEEDS = 3
"""With fewer seeds there is no vote of the others that a left-out seed could contradict."""
FEATURES = 128
"""Width of the pupils' features."""
LEAST_TAUGHT = 2
"""Undisputed images that each cluster must have, so that each pupil has seen one."""


class Backing(NamedTuple):
    """How often a left-out seed sides with the pupils, and how often with the other seeds' vote.

    Each seed is left out once. The cases are the images that are disputed among the other seeds,
    and to which both pupils give the same cluster, another one than the vote of the other seeds.

    Attributes:
      cases: number of such images, over all seeds.
      pupils: in how many of them the seed's cluster is that of the pupils.
      seeds: in how many of them it is that of the other seeds' vote.
    """

    cases: int
    pupils: int
    seeds: int


class Vote(NamedTuple):
    """The seeds' vote, in which pupils may have decided about disputed images.

    Attributes:
      labels: clusters, int32 (n,), in the numbering of the run's ``consensus``.
      share: share of the seeds' votes for that cluster, float64 (n,), 0 where only the pupils are
        for it.
      changed: where ``labels`` differs from the consensus, bool (n,).
      disputed: where not all seeds agree, bool (n,).
      pupils: the clusters that the pupils give, int32 (2, n); (0, n) where none were trained.
      backing: what decided whether the pupils' clusters were taken; None without pupils.
      why_not: why the pupils decided nothing, a clause; "" where they did.
    """

    labels: np.ndarray
    share: np.ndarray
    changed: np.ndarray
    disputed: np.ndarray
    pupils: np.ndarray
    backing: Backing | None
    why_not: str


def vote(run: Run, images: np.ndarray | Dataset, progress: Hook | None = None) -> Vote:
    """Lets the images on which the seeds of a run agree teach the others.

    The same run gives the same result: the random numbers come from its first seed.

    Args:
      run: finished, with three seeds or more that did not fail, on images in memory.
      images: the run's own: the data set that it was given, or its array where that had no labels.
      progress: see ``engine.phase.Hooks``; the phases are "pupil 1" and "pupil 2".

    Raises:
      UsageError: the run or the images break these rules, or a training met a NaN or inf.
    """
    check(run)
    pixels = own_images(run, images)
    votes = run.consensus()
    why_not = reason_not_to_teach(votes)
    if why_not:
        return decide(votes, np.empty((0, len(pixels)), np.int32), why_not)
    return decide(votes, train(votes, pixels, run.seeds[0], pupil.Config(), progress))


def check(run: Run) -> None:
    """Refuses a run that pupils cannot be trained for, before its images are looked for.

    Raises:
      UsageError: the run is not finished, fewer than three of its seeds did not fail, or it is on
        features or a stream.
    """
    where = "" if run.directory is None else f"{run.directory} "
    if not run.finished:
        raise UsageError(f"run: {where}must be finished, was stopped before its end")
    if run.settings.features is not None:
        rule = f"run: {where}must be on images, which can be turned and shifted"
        raise UsageError(f"{rule}, is on {run.settings.features}")
    if run.settings.stream is not None:
        raise UsageError(f"run: {where}must be on images in memory, is on a stream")
    sound = len(run.kept_lanes())
    if sound < LEAST_SEEDS:
        rule = f"run: {where}must have {LEAST_SEEDS} seeds or more that did not fail"
        raise UsageError(f"{rule}, got {sound}")


def own_images(run: Run, images: np.ndarray | Dataset) -> np.ndarray:
    """The images of a run, (n, h, w, c), once it is known that they are its own.

    Raises:
      UsageError: they are others.
    """
    own = run.settings.data
    rule = f"images: must be the run's own, of {own.name}"
    dataset = images
    if not isinstance(dataset, Dataset):
        layout = run.settings.reading.layout
        dataset = datasets.checked("images", np.asarray(images), least=1, layout=layout)
    if dataset.images.shape != own.shape:
        raise UsageError(f"{rule}, of shape {tuple(own.shape)}, got {dataset.images.shape}")
    if own.sha256 not in (datasets.fingerprint(dataset).sha256, pixels_digest(dataset.images)):
        more = "" if isinstance(images, Dataset) else " (give the data set if it has labels)"
        raise UsageError(f"{rule}{more}, got images with another checksum")
    return dataset.images


def disputed(votes: Consensus) -> np.ndarray:
    """Where not all seeds agree, bool (n,)."""
    return (votes.seed_labels != votes.labels).any(axis=0)


def reason_not_to_teach(votes: Consensus) -> str:
    """Why pupils need not or cannot be trained, a clause; "" where they can."""
    doubtful = disputed(votes)
    if not doubtful.any():
        return "all seeds agree on every image"
    clusters = votes.numbering.shape[1]
    sizes = np.bincount(votes.labels, minlength=clusters)
    taught = np.bincount(votes.labels[~doubtful], minlength=clusters)
    short = np.flatnonzero((sizes > 0) & (taught < LEAST_TAUGHT))
    if short.size:
        count = f"{taught[short[0]]} image" + ("" if taught[short[0]] == 1 else "s")
        return f"the seeds agree on {count} of cluster {short[0]}, too few to teach it"
    return ""


def halves(labels: np.ndarray, places: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint halves of some images, with half of each cluster in either.

    Args:
      labels: clusters of all images, int (n,).
      places: the images to divide, int (m,), m at least 2.
      seed: decides which image comes into which half.

    Returns:
      Places, int (m // 2,) each: of an odd number one image is left out.
    """
    drawn = np.random.default_rng(seed).permutation(places)
    drawn = drawn[np.argsort(labels[drawn], kind="stable")]
    half = len(drawn) // 2
    return drawn[::2][:half], drawn[1::2][:half]


def train(
    votes: Consensus,
    images: np.ndarray,
    seed: int,
    config: pupil.Config,
    progress: Hook | None = None,
) -> np.ndarray:
    """Trains two pupils on disjoint halves of the undisputed images.

    Args:
      votes: of the seeds.
      images: uint8 or float32 in [0, 1], (n, h, w, c).
      seed: decides the halves and the pupils' first weights.
      config: how they are trained; ``clusters`` becomes that of the votes.
      progress: see ``vote``.

    Returns:
      The cluster that each pupil gives each image, int32 (2, n).

    Raises:
      UsageError: a training met a NaN or inf.
    """
    config = replace(config, clusters=votes.numbering.shape[1])
    program = driver.Program(pupil.ALGORITHM, config, cae(images.shape[1:], FEATURES), "map")
    on_device = jnp.asarray(images)
    keys = jax.random.split(jax.random.key(seed))
    found = []
    parts = halves(votes.labels, np.flatnonzero(~disputed(votes)), seed)
    for number, places in enumerate(parts, 1):
        own = on_device[places]
        begun = driver.begin(program, keys[number - 1 : number], None, own)
        states = with_labels(begun.lanes.state, jnp.asarray(votes.labels[places]))
        begun = begun._replace(lanes=begun.lanes._replace(state=states))

        callbacks = []
        if progress is not None:
            progress(f"pupil {number}", None)
            callbacks = [functools.partial(progress, f"pupil {number}")]
        done = driver.train(program, begun, own, callbacks=callbacks)
        if int(done.lanes.failed[0]) >= 0:
            rule = "learning_rate: must be lower"
            raise UsageError(f"{rule}, {config.learning_rate} led to NaN or inf")
        predicted = driver.apply(program, done.lanes.state, on_device, "predict")
        found.append(np.asarray(predicted.cluster)[0])
    return np.stack(found)


def decide(votes: Consensus, pupils: np.ndarray, why_not: str = "") -> Vote:
    """The clusters of all images from the votes of the seeds and what the pupils say.

    Args:
      votes: of the seeds.
      pupils: the clusters that the pupils give, int (pupils, n); (0, n) where none were trained.
      why_not: why none were trained.
    """
    doubtful = disputed(votes)
    labels = votes.labels.copy()
    backed = None
    if len(pupils):
        backed = backing(votes, pupils)
        if backed.pupils > backed.seeds:
            taken = doubtful & (pupils == pupils[0]).all(axis=0)
            labels[taken] = pupils[0][taken]
        else:
            why_not = "a seed that is left out sides with the other seeds rather than with pupils"
    share = (votes.seed_labels == labels).mean(axis=0)
    return Vote(labels, share, labels != votes.labels, doubtful, pupils, backed, why_not)


def backing(votes: Consensus, pupils: np.ndarray) -> Backing:
    """Whether the seeds themselves back what pupils say of disputed images.

    A left-out seed is no perfect judge: it shares errors with the other seeds, which favors their
    vote.

    Args:
      votes: of three seeds or more.
      pupils: the clusters that the pupils give, int (pupils, n).
    """
    agreed = (pupils == pupils[0]).all(axis=0)
    clusters = votes.numbering.shape[1]
    medoid = votes.seeds.index(votes.medoid)
    total = np.zeros(3, int)
    for place, own in enumerate(votes.seed_labels):
        # The most central seed decides between equally many votes, or the first of the others.
        first = 0 if place == medoid else medoid - (place < medoid)
        others = np.delete(votes.seed_labels, place, axis=0)
        chosen, share = agreement.most_votes(others, first, clusters)
        cases = (share < 1) & agreed & (chosen != pupils[0])
        sides = (cases, cases & (own == pupils[0]), cases & (own == chosen))
        total += [np.count_nonzero(side) for side in sides]
    return Backing(*total.tolist())
