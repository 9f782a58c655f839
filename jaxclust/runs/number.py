"""How many clusters images have, by criteria that look at them once, before a method runs.

They look at the pixels, or at the features that stand in the images' place, scaled to unit length.
On an autoencoder's embedding of digits and USPS they were no nearer (docs/without-labels.md). Only
``dying`` trains a network.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from jaxclust.engine import fit as engine
from jaxclust.errors import UsageError
from jaxclust.evaluation.mixtures import bic
from jaxclust.evaluation.silhouettes import WITHIN, choose_number
from jaxclust.evaluation.spectrum import gaps
from jaxclust.evaluation.vectors import fit_projection, project, sampled, unit_length
from jaxclust.methods.dying import METHOD
from jaxclust.ops.graph_linkage import History, merge, no_merges
from jaxclust.ops.merge_sizes import balance
from jaxclust.ops.neighbor_graph import Graph, initial_clusters, knn_digraph, nearest_neighbors
from jaxclust.ops.rotation import alignment_qualities
from jaxclust.ops.spectral import NotConverged, leading, local_weights, symmetric

SAMPLE = 10_000
"""Images that are drawn where there are more."""
NEIGHBORS = (10, 15, 20)
"""The spectra of graphs of so many neighbors are averaged (chosen on digits and USPS)."""
LEAST_BALANCE = 2 / 3
"""The smallest cluster must have this share of the mean size (chosen on digits and USPS)."""
CLOSE = 0.9
"""A second best number with this share of the best one's gap is nearly as good."""

LOCAL_NEIGHBORS = 10
"""Neighbors in the graph of ``alignment`` (chosen on digits and USPS)."""
LOCAL_SCALE = 7
"""The neighbor whose distance is an image's scale there (Zelnik-Manor, Perona 2004)."""
AS_GOOD = 0.001
"""The largest number within this of the best alignment counts (the authors' code)."""

START = 35
"""Clusters with which ``dying`` begins where the range ends below (the authors' number)."""
SEEDS = 3
"""Seeds of ``dying``, of which the middle number counts."""


class Estimate(NamedTuple):
    """A number of clusters, and what speaks for it.

    Attributes:
      clusters: the number.
      values: what the criterion says of each number that was tried, in rising order.
      sentences: how sure the number is, for people to read.
    """

    clusters: int
    values: Mapping[int, float]
    sentences: tuple[str, ...]


def spectrum(vectors: np.ndarray, numbers: range) -> Estimate:
    """The number after which the spectrum of the graph of neighbors has its largest gap.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from.
    """
    several = []
    for count in NEIGHBORS:
        graph = _graph(vectors, min(count, len(vectors) - 1))
        several.append(gaps(np.asarray(graph.neighbors), np.asarray(graph.weights), numbers))
    values = {number: float(np.mean([one[number] for one in several])) for number in numbers}
    best = max(values, key=lambda number: values[number])
    each = sorted({max(one, key=lambda number: one[number]) for one in several})
    alone = f"the graphs of {', '.join(map(str, NEIGHBORS))} neighbors alone say"
    lines = [
        f"{best} clusters: the largest gap of the graph's spectrum comes after {best} eigenvalues, "
        f"{values[best]:.0%} of all gaps{_second(values, best)}; "
        f"{alone} {', '.join(map(str, each))}."
    ]
    others = [value for number, value in values.items() if number != best]
    if max(others, default=0.0) >= CLOSE * values[best]:
        lines.append("The second best is nearly as good: the number is not sure.")
    return Estimate(best, values, tuple(lines))


def alignment(vectors: np.ndarray, numbers: range) -> Estimate:
    """The number of eigenvectors that a rotation brings nearest to the axes.

    This is the estimate of self-tuning spectral clustering (Zelnik-Manor, Perona 2004, section 3):
    as many eigenvectors as there are groups can be rotated so that each row has one entry alone.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from.

    Raises:
      UsageError: the eigen-solver did not converge.
    """
    count = min(LOCAL_NEIGHBORS, len(vectors) - 1)
    near = jax.jit(nearest_neighbors, static_argnums=1)(vectors, count)
    squared, neighbors = map(np.asarray, near)
    graph = symmetric(neighbors, local_weights(squared, neighbors, LOCAL_SCALE))
    try:
        spectrum = leading(graph, numbers[-1])
    except NotConverged as error:
        raise UsageError(f"criterion: must be another one, got alignment, but {error}") from error
    values = alignment_qualities(spectrum.vectors, numbers)
    top = max(values.values())
    best = max(number for number, value in values.items() if value >= top - AS_GOOD)
    line = f"{best} clusters: as many eigenvectors of the graph turn to the axes with a quality of "
    line += f"{values[best]:.3f} of 1; of all numbers within {AS_GOOD} of the best, {top:.3f}, "
    return Estimate(best, values, (f"{line}the largest is taken.",))


def merges(vectors: np.ndarray, numbers: range) -> Estimate:
    """The largest number of clusters of like size in the merges of graph degree linkage.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from.
    """
    graph = _graph(vectors, min(NEIGHBORS[-1], len(vectors) - 1))
    labels, history = jax.jit(_all_merges)(graph)
    pairs = np.asarray(history.pairs)[: int(history.count)]
    values = balance(np.asarray(labels), pairs, numbers)
    balanced = [number for number, value in values.items() if value >= LEAST_BALANCE]
    best = max(balanced) if balanced else max(values, key=lambda number: values[number])
    asked = f"the smallest cluster is asked to have {LEAST_BALANCE:.0%} of the mean size"
    line = f"{best} clusters: {asked}; with {best} it has {values[best]:.0%}"
    line += f", with {best + 1} it has {values[best + 1]:.0%}." if best + 1 in values else "."
    lines = [line]
    if not balanced:
        lines.append("No number reaches that, so that the number is a guess.")
    return Estimate(best, values, tuple(lines))


def silhouette(vectors: np.ndarray, numbers: range) -> Estimate:
    """The number whose silhouette is furthest above that of random vectors.

    As in ``jaxclust group`` it looks at 64 principal components; see ``evaluation.silhouettes``.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from.
    """
    number = choose_number(project(fit_projection(vectors), vectors), numbers=numbers)
    values = number.differences
    best = number.groups
    top = max(values, key=lambda number: values[number])
    lines = [
        f"{best} clusters: their mean silhouette is {values[best]:.3f} above that of random "
        f"vectors; {top} have the largest with {values[top]:.3f}, and the smallest number within "
        f"{WITHIN} of it is taken."
    ]
    if not number.supported:
        lines.append("No number stands out: the images may have no clear clusters.")
    return Estimate(best, values, tuple(lines))


def mixtures(vectors: np.ndarray, numbers: range) -> Estimate:
    """The number of Gaussians whose mixture has the lowest BIC.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from.
    """
    values = bic(vectors, numbers)
    best = min(values, key=lambda number: values[number])
    negated = {number: -value for number, value in values.items()}
    second = max((n for n in negated if n != best), key=lambda n: negated[n], default=None)
    line = f"{best} clusters: a mixture of {best} Gaussians has the lowest BIC"
    if second is not None:
        line += f", by {values[second] - values[best]:.3f} an image; second best is {second}"
    return Estimate(best, values, (f"{line}.",))


def dying(vectors: np.ndarray, numbers: range) -> Estimate:
    """The number of clusters that live after a training in which they die (UNSEEN).

    It begins with ``START`` clusters, or with the largest of ``numbers`` if that is more. See
    ``methods.dying``.

    Args:
      vectors: float32 (n, d), of unit length.
      numbers: the numbers to choose from; another number becomes the nearest end.

    Raises:
      UsageError: every seed met a NaN or inf.
    """
    clusters = max(numbers[-1], min(START, len(vectors) // 5))
    images = ((vectors - vectors.mean()) / vectors.std())[:, None, None]
    method = METHOD.with_settings({"clusters": clusters})
    done = engine.fit(method, images, tuple(range(SEEDS)))
    alive = np.asarray(done.phases["cluster"].lanes.state.alive)
    living = [int(own.sum()) for own, failed in zip(alive, done.failed, strict=True) if not failed]
    if not living:
        raise UsageError("criterion: must be another one, got dying, whose seeds met NaN or inf")
    best = min(max(sorted(living)[len(living) // 2], numbers[0]), numbers[-1])
    each = ", ".join(map(str, living))
    lines = [
        f"{best} clusters: of {clusters} clusters {each} lived in the end, a number for each of "
        f"{len(living)} seeds, and the middle one counts."
    ]
    if max(living) - min(living) > 2:
        lines.append("The seeds differ by more than two: the number is not sure.")
    shares = {number: living.count(number) / len(living) for number in numbers}
    return Estimate(best, shares, tuple(lines))


CRITERIA: Mapping[str, Callable[[np.ndarray, range], Estimate]] = {
    "merges": merges,
    "spectrum": spectrum,
    "alignment": alignment,
    "silhouette": silhouette,
    "bic": mixtures,
    "dying": dying,
}
"""The criteria by the names that people type."""
DEFAULT = "merges"
"""With ``spectrum`` the nearest on digits and USPS, and there the same when the range is longer
(docs/without-labels.md)."""


def estimate(criterion: str, images: np.ndarray, numbers: range) -> Estimate:
    """The number of clusters of images by a criterion.

    Of more than ``SAMPLE`` images so many are drawn, the same ones each time.

    Args:
      criterion: of ``CRITERIA``.
      images: pixels or features, (n, ...), finite.
      numbers: the numbers to choose from, at least two in a row, from 2.

    Returns:
      The estimate; its sentences say so where the end of ``numbers`` was taken.

    Raises:
      UsageError: there is no such criterion, there are too few images for the numbers, or a
        training failed.
    """
    if criterion not in CRITERIA:
        raise UsageError(f"criterion: must be one of {', '.join(CRITERIA)}, got {criterion!r}")
    vectors = _vectors(images)
    most = len(np.unique(vectors, axis=0)) // 5
    if numbers[-1] > most:
        rule = f"cluster-range: must end at most at a fifth of the different images, {most}"
        raise UsageError(f"{rule}, got {numbers[0]},{numbers[-1]}")
    found = CRITERIA[criterion](vectors, numbers)
    if found.clusters not in (numbers[0], numbers[-1]):
        return found
    end = "smallest" if found.clusters == numbers[0] else "largest"
    more = f"That is the {end} number that was tried: try another range, too."
    return found._replace(sentences=(*found.sentences, more))


def _second(values: Mapping[int, float], best: int) -> str:
    """Which number is the best of the others, as the end of a sentence; the larger the better."""
    others = {number: value for number, value in values.items() if number != best}
    if not others:
        return ""
    second = max(others, key=lambda number: others[number])
    return f", the best of the others is {second} with {others[second]:.0%}"


def _vectors(images: np.ndarray) -> np.ndarray:
    """A sample of the images as vectors of unit length, float32 (n, d); zeros stay zeros."""
    images = sampled(images, SAMPLE)
    return unit_length(images.reshape(len(images), -1).astype(np.float32))


def _graph(vectors: np.ndarray, neighbors: int) -> Graph:
    """The graph of nearest neighbors that graph degree linkage merges."""
    return jax.jit(knn_digraph, static_argnums=1)(vectors, neighbors)


def _all_merges(graph: Graph) -> tuple[jax.Array, History]:
    """The first clusters of graph degree linkage, int32 (n,), and the merges down to one."""
    labels = initial_clusters(graph)
    return labels, merge(graph, labels, 1, no_merges(len(labels)))[1]
