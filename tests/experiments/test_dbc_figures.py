"""DBC's figures 3 to 8 are those of a run."""

import dataclasses

import numpy as np
import pytest

from experiments import figures as shared
from experiments.experiment import Request
from experiments.papers.dbc import cells, figures
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.evaluation import metrics
from jaxclust.methods import registry


@pytest.fixture
def drawn(monkeypatch, tmp_path):
    """The figures that are saved, by name; their files are in a folder of the test."""
    kept = {}
    save = shared.save

    def keep(figure, path, *more):
        kept[path.stem] = figure
        save(figure, path, *more)

    monkeypatch.setattr(shared, "save", keep)
    monkeypatch.setattr(figures, "FOLDER", tmp_path / "figures")
    return kept


@pytest.mark.slow
def test_figures_are_drawn_from_a_run(tmp_path, monkeypatch, digits, drawn):
    few = digits._replace(images=digits.images[:80], labels=digits.labels[:80])
    pretraining = dataclasses.replace(registry.get("dbc").pretraining, epochs=1)
    for name in ("dbc", "fcae-kmeans"):
        method = registry.get(name).replace(pretraining=pretraining)
        monkeypatch.setitem(registry.METHODS, name, method)
    small = registry.method("dbc", clusters=10, max_epochs=2, batch=40)
    monkeypatch.setattr(figures, "method_of", lambda variant, clusters: small)
    monkeypatch.setitem(cells.SEEDS, "digits", (0, 1))
    monkeypatch.setattr(figures, "curves", lambda data: None)
    monkeypatch.setattr(datasets, "load", lambda name: few)
    taken = []
    snapshots = figures.snapshots
    keep = lambda *arguments: taken.append(snapshots(*arguments)) or taken[0]  # noqa: E731
    monkeypatch.setattr(figures, "snapshots", keep)
    figures.draw(Request(data=("digits",), over="map", folder=tmp_path))
    assert sorted(name.split("-")[1] for name in drawn) == ["3", "4", "5", "6", "7", "8"]
    assert all((figures.FOLDER / f"{name}.png").stat().st_size > 5_000 for name in drawn)
    assert list(taken[0]) == [0, 1, 2]
    # The first point is k-means on the pretrained features, the last what ``fit`` ends with.
    done = engine.fit(small, few.images, (0,), engine.Options(over="map"))
    np.testing.assert_array_equal(taken[0][2].labels, done.labels[0])
    np.testing.assert_allclose(taken[0][1].scores.sum(axis=1), 1, rtol=1e-5)
    # Figure 3: at a score of one half R is S, and the loss is 0; the two terms add up to it.
    lines = drawn["figure-3-loss"].axes[0].lines[:3]
    first, second, total = (line.get_ydata() for line in lines)
    np.testing.assert_allclose(first + second, total, atol=1e-5)
    assert abs(total[len(total) // 2]) < 1e-3 < total[20]
    snapshot_scores = [snapshot.scores for snapshot in taken[0].values()]
    shares = [np.mean((scores > 0.8) | (scores < 0.02)) for scores in snapshot_scores]
    titles = [f"epoch {epoch}: {100 * share:.0f} %" for epoch, share in enumerate(shares)]
    assert titles_of(drawn["figure-6-scores-digits"]) == titles
    snapshot_labels = [snapshot.labels for snapshot in taken[0].values()]
    accuracies = [metrics.accuracy(few.labels, labels) for labels in snapshot_labels]
    titles = [f"epoch {epoch}: ACC {acc:.3f}" for epoch, acc in enumerate(accuracies)]
    assert titles_of(drawn["figure-7-tsne-digits"]) == titles


def titles_of(figure):
    """The titles of a figure's panels."""
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    return [title for title in titles if title]


def test_wrong_images_are_those_of_another_class_than_their_clusters(drawn):
    images = np.arange(6, dtype=np.uint8).reshape(6, 1, 1, 1) * np.ones((1, 2, 2, 1), np.uint8)
    few = datasets.Dataset("six", images, np.array([0, 0, 0, 1, 1, 1], np.int32))
    given = np.array([1, 1, 0, 0, 0, 1])
    sure = np.array([0.9, 0.9, 0.7, 0.9, 0.9, 0.55])
    scores = np.where(given[:, None] == np.arange(2), sure[:, None], 1 - sure[:, None])
    figures.wrong(few, {3: figures.Snapshot(np.zeros((6, 1)), scores, given)})
    # The last is wrong too, with a score below .6.
    (figure,) = drawn.values()
    shown = [axes.images[0].get_array()[0, 0] for axes in figure.axes if axes.images]
    assert shown == [2]
