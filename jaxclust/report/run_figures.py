"""The figures of a run's folder: curves, the embedding, and a sheet of images for each cluster."""

from pathlib import Path

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.report import figures
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run

SHEET = 100
"""At most this many images are on a cluster's sheet."""


def draw(folder: Path, run: Run, dataset: Dataset, pictures: np.ndarray, bars: Bars) -> None:
    """Draws the curves of all seeds, an embedding, and a sheet of images for each cluster.

    The clusters are those of the consensus, whose numbers name the sheets. The embedding is that of
    the seed that agrees best with the others.

    Args:
      folder: made if missing.
      run: finished, with its phases in memory.
      dataset: what the network was given, n images, with true labels if they are known.
      pictures: the images to show, uint8 or float in [0, 1], (n, h, w, c); the data set's own
        unless it holds features.
      bars: shows progress.
    """
    folder.mkdir(exist_ok=True)
    histories = {name: phase.history for name, phase in run.phases.items()}
    figures.curves(folder / "curves.png", histories, run.seeds)
    if len(run.failed) == len(run.seeds):
        return
    votes = run.consensus()
    seed = votes.medoid
    labels = votes.labels
    n = len(dataset.images)
    sample = np.random.default_rng(0).permutation(n)[: figures.POINTS]
    (features,) = run.apply_to_inputs(dataset.images[sample], [seed], "embed")
    classes = None if dataset.labels is None else dataset.labels[sample]
    bars.stage("t-SNE", note=f"{len(sample):,} points")
    title = f"{dataset.name}: {len(sample):,} images in the embedding of seed {seed}"
    if len(votes.seeds) > 1:
        title += f"\nclusters: consensus of {len(votes.seeds)} seeds"
    figures.embedding(folder / "embedding.png", features, labels[sample], classes, title)
    clusters = run.settings.clusters
    bars.stage("contact sheets", clusters)
    digits = len(str(clusters - 1))
    for cluster in range(clusters):
        members = np.flatnonzero(labels == cluster)
        chosen = np.random.default_rng(cluster).permutation(members)[:SHEET]
        figures.contact_sheet(folder / f"cluster-{cluster:0{digits}d}.png", pictures[chosen])
        bars.step()
