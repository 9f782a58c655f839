"""What the seeds of a run say together: the votes on each image, in one numbering of clusters.

Each seed numbers its clusters in its own way, and a run's labels keep these numbers. People are
shown the numbers of the consensus: those of the seed that agrees best with the others, to which the
clusters of the other seeds are matched. They follow from the labels alone.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxclust.evaluation import agreement, metrics
from jaxclust.runs.files import write_csv
from jaxclust.types import Prediction

CLUSTERS_CSV = "clusters.csv"
"""The file of a run's folder with the consensus of its seeds."""


class Consensus(NamedTuple):
    """What most seeds say of each image.

    A run keeps its consensus, so that its arrays cannot be written to.

    Attributes:
      labels: the cluster with most votes, int32 (n,), numbered as in the seed ``medoid``; -1 for an
        image that could not be read. Where clusters have equally many votes, the one of ``medoid``
        wins, then the lowest.
      share: that cluster's share of the seeds' votes, float64 (n,), in [0, 1]; 0 for an image that
        could not be read.
      seeds: the seeds that vote, which are those that did not fail.
      seed_labels: the clusters of each of these seeds in the numbering of ``labels``, int32
        (seeds, n), -1 for an image that could not be read.
      numbering: the number that each seed's own clusters have here, int32 (seeds, clusters):
        cluster c of the seed at place i is cluster ``numbering[i, c]``.
      medoid: the seed that agrees best with the others; the first of equals.
      agreement: adjusted Rand index of each pair of seeds, float64 (seeds, seeds).
    """

    labels: np.ndarray
    share: np.ndarray
    seeds: tuple[int, ...]
    seed_labels: np.ndarray
    numbering: np.ndarray
    medoid: int
    agreement: np.ndarray

    def scores(self, labels: np.ndarray) -> dict[str, float]:
        """Scores of the consensus against true classes, over the images that could be read.

        Args:
          labels: true classes, integers (n,), -1 for an image whose class is not known, which the
            scores leave out.

        Returns:
          ``acc``, ``nmi``, ``nmi_sqrt``, ``nmi_max`` and ``ari``; nothing where no class is known.
        """
        return metrics.known_scores(labels, self.labels)[0]

    def numbered(self, each: Prediction, seeds: Sequence[int]) -> Prediction:
        """Predictions of some seeds in the numbering of the consensus.

        Args:
          each: predictions with a leading axis of seeds, in each seed's own numbering.
          seeds: of these predictions.
        """
        places = [self.seeds.index(seed) for seed in seeds]
        cluster = np.asarray(each.cluster)
        return _prediction(
            np.stack(
                [self.numbering[place][own] for place, own in zip(places, cluster, strict=True)]
            ),
            each.probability,
            each.distance,
        )

    def vote(self, each: Prediction) -> Prediction:
        """The votes of the consensus's seeds on new images.

        Args:
          each: predictions of all ``seeds`` with a leading axis, in the numbering of the consensus.

        Returns:
          The cluster with most votes, by the rule of ``labels``. Its ``probability`` is its share
          of the votes, and its ``distance`` the mean over the seeds that voted for it.
        """
        cluster = np.asarray(each.cluster)
        place = self.seeds.index(self.medoid)
        chosen, share = agreement.most_votes(cluster, place, self.numbering.shape[1])
        distance = mean_of_voters(chosen, cluster, np.asarray(each.distance))
        return _prediction(chosen, share.astype(np.float32), distance)


def mean_of_voters(chosen: np.ndarray, cluster: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean of a value over the seeds that voted for each image's cluster.

    Args:
      chosen: the cluster of each image, int (n,), for which one seed or more voted.
      cluster: the cluster that each seed gives it, int (seeds, n).
      values: of each seed, float (seeds, n).

    Returns:
      float32 (n,).
    """
    voted = cluster == chosen
    return (np.where(voted, values, 0).sum(axis=0) / voted.sum(axis=0)).astype(np.float32)


def _prediction(*fields: Any) -> Prediction:
    """A prediction of NumPy arrays."""
    return Prediction(*fields)


def make_consensus(labels: np.ndarray, seeds: Sequence[int], clusters: int) -> Consensus:
    """The consensus of seeds, none of which failed.

    Args:
      labels: clusters in each seed's own numbering, int (seeds, n); an image that could not be read
        has -1 in all seeds.
      seeds: at least one.
      clusters: number of clusters.
    """
    n = labels.shape[1]
    readable = agreement.readable(labels)
    known = labels if readable.size == n else labels[:, readable]
    matrix = agreement.agreement(known)
    place = agreement.medoid(matrix)
    numbering = np.stack([agreement.numbering(own, known[place], clusters) for own in known])
    numbered = np.stack([own[old] for own, old in zip(numbering, known, strict=True)])
    votes, share = agreement.most_votes(numbered, place, clusters)
    if readable.size < n:
        votes, numbered = (_spread(values, readable, n, -1) for values in (votes, numbered))
        share = _spread(share, readable, n, 0)
    for array in (votes, share, numbered, numbering, matrix):
        array.setflags(write=False)
    return Consensus(votes, share, tuple(seeds), numbered, numbering, seeds[place], matrix)


def _spread(values: np.ndarray, places: np.ndarray, n: int, rest: int) -> np.ndarray:
    """Values of some of n images, (..., m), at their places; (..., n), elsewhere ``rest``."""
    whole = np.full((*values.shape[:-1], n), rest, values.dtype)
    whole[..., places] = values
    return whole


def cluster_columns(
    labels: np.ndarray,
    share: np.ndarray,
    each: Mapping[int, np.ndarray],
    predicted: Prediction | None = None,
) -> dict[str, np.ndarray]:
    """The columns of a table of votes, by name.

    Args:
      labels: the cluster of each image with most votes, int (n,).
      share: its share of the votes, float (n,).
      each: the clusters of each seed, int (n,), by seed.
      predicted: what these seeds say of the images, with a leading axis of seeds. Its means over
        the seeds that voted for an image's cluster become the columns ``probability`` and
        ``distance``, which a table without it lacks.
    """
    columns = {"cluster": labels, "share": share}
    if predicted is not None:
        clusters = np.stack(list(each.values()))
        for name in ("probability", "distance"):
            values = np.asarray(getattr(predicted, name))
            columns[name] = mean_of_voters(labels, clusters, values)
    return columns | {f"seed_{seed}": own for seed, own in each.items()}


def write_clusters(
    path: Path, called: Callable[[int], str | int], columns: Mapping[str, np.ndarray]
) -> None:
    """Writes a table with a line for each image: its name, its cluster, and what each seed says.

    Args:
      path: the .csv file.
      called: gives the name of the image at a place.
      columns: as ``cluster_columns`` gives them. The line of an image whose cluster is -1, which
        could not be read, is empty after its name.
    """
    write_csv(path, ["image", *columns], _lines(called, columns))


def _lines(
    called: Callable[[int], str | int], columns: Mapping[str, np.ndarray]
) -> Iterator[Sequence[str | int]]:
    """The table's lines; their numbers become objects block by block, which saves memory."""
    for start in range(0, len(columns["cluster"]), agreement.BLOCK):
        block = [_cells(values[start : start + agreement.BLOCK]) for values in columns.values()]
        for place, (cluster, *others) in enumerate(zip(*block, strict=True), start):
            if cluster < 0:
                yield [called(place), *[""] * len(columns)]
            else:
                yield [called(place), cluster, *others]


def _cells(values: np.ndarray) -> list[Any]:
    """A column's values as a table has them: integers, and other numbers with six digits."""
    if values.dtype.kind == "f":
        return [f"{value:.6g}" for value in values.tolist()]
    return values.tolist()
