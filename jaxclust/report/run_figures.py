"""The figures of a run's folder: curves, the embedding, and a sheet of images for each cluster."""

from pathlib import Path

import numpy as np

from jaxclust.data.datasets import Dataset
from jaxclust.report import figures, picture_sheets, renewals
from jaxclust.runs.progress import Bars
from jaxclust.runs.run import Run
from jaxclust.runs.whole import sheet_names

SHEET = 100
"""At most this many images are on a cluster's sheet."""


def draw(
    folder: Path,
    run: Run,
    dataset: Dataset,
    pictures: np.ndarray,
    bars: Bars,
    original: Dataset | None = None,
) -> None:
    """Draws the curves of all seeds, an embedding, and a sheet of images for each cluster.

    Of pictures from files ``clusters.png`` shows all clusters on one sheet first.

    The clusters are those of the consensus, whose numbers name the sheets. The embedding is that of
    the seed that agrees best with the others.

    Args:
      folder: made if missing.
      run: finished, with its phases in memory.
      dataset: what the network was given, n images, with true labels if they are known.
      pictures: the images to show, uint8 or float in [0, 1], (n, h, w, c); the data set's own
        unless it holds features.
      bars: shows progress.
      original: the set of these images; where it was read from files, the sheets show the pictures
        in them with their names.
    """
    draw_curves(folder, run)
    if len(run.failed) == len(run.seeds):
        return
    votes = run.consensus()
    seed = votes.medoid
    labels = votes.labels
    clusters = run.settings.clusters
    from_files = original if original is not None and original.root is not None else None
    chosen = []
    if from_files is not None:
        bars.stage("contact sheet of all clusters")
        path = folder / "clusters.png"
        chosen = picture_sheets.write_overview(path, from_files, labels, clusters)
    n = len(dataset.images)
    sample = np.random.default_rng(0).permutation(n)[: figures.POINTS]
    (features,) = run.apply_to_inputs(dataset.images[sample], [seed], "embed")
    classes = None if dataset.labels is None else dataset.labels[sample]
    bars.stage("t-SNE", note=f"{len(sample):,} points")
    title = f"{dataset.name}: {len(sample):,} images in the embedding of seed {seed}"
    if len(votes.seeds) > 1:
        title += f"\nclusters: consensus of {len(votes.seeds)} seeds"
    class_names = (dataset if original is None else original).class_names
    path = folder / "embedding.png"
    figures.embedding(path, features, labels[sample], classes, title, class_names)
    bars.stage("contact sheets", clusters)
    for cluster, name in enumerate(sheet_names(clusters)):
        path = folder / name
        if from_files is not None:
            rows = chosen[cluster][: picture_sheets.count_each(clusters)]
            picture_sheets.write_sheet(path, from_files, rows.tolist())
        else:
            members = np.flatnonzero(labels == cluster)
            own = np.random.default_rng(cluster).permutation(members)[:SHEET]
            figures.contact_sheet(path, pictures[own])
        bars.step()


def draw_curves(folder: Path, run: Run) -> bool:
    """Draws the curves of all seeds, as far as the run has come.

    Args:
      folder: made if missing.
      run: with its phases in memory.

    Returns:
      Whether there was anything to draw.
    """
    folder.mkdir(exist_ok=True)
    histories = {name: phase.history for name, phase in run.phases.items()}
    note = renewals.sentence(run.settings.config)
    return figures.curves(folder / "curves.png", histories, run.seeds, note)
