"""What JULE's experiment does beside running methods: settings, images of another network's shape,
tables, and what it reads from checkpoints."""

import dataclasses
from unittest import mock

import numpy as np
import pytest

from experiments import figures as shared
from experiments import rows, runner
from experiments.experiment import Request
from experiments.papers.jule import cells, features, figures, tables
from jaxclust.data import datasets
from jaxclust.engine import fit as engine
from jaxclust.engine.clocks import Stopwatch
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics, stats
from jaxclust.ops import linkage
from jaxclust.ops.graph_linkage import Criterion


@pytest.mark.parametrize("variant", cells.VARIANTS)
def test_every_variant_is_a_setting(variant):
    config = cells.method_of(variant, 10).config
    assert config.clusters == 10
    changes = cells.changes(variant)
    assert all(getattr(config, name) == value for name, value in changes.items())
    assert bool(changes) == (variant != "printed")


def test_images_take_the_size_and_the_channels_of_another_set():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    smaller = features.resized(images, (14, 14, 3))
    assert (smaller.shape, smaller.dtype) == ((3, 14, 14, 3), np.uint8)
    assert abs(smaller.mean() - images.mean()) < 2
    assert (smaller[..., 0] == smaller[..., 2]).all()
    np.testing.assert_array_equal(features.resized(images, (28, 28, 1)), images)
    color = np.stack([images[..., 0], np.zeros((3, 28, 28), np.uint8), images[..., 0]], axis=3)
    gray = features.resized(color, (28, 28, 1))
    np.testing.assert_allclose(gray, images * (2 / 3), atol=0.51)


def test_a_seed_that_has_its_row_is_skipped_and_the_others_run(tmp_path, monkeypatch, digits):
    monkeypatch.setattr(features, "RESULTS", tmp_path / "jule.jsonl")
    rows.add(features.RESULTS, [row(digits, "kmeans", digits.labels, cells.UNIT_PIXELS)])
    request = Request(data=("digits",), methods=("kmeans",), deadline=0.0)
    assert not features.run(request, cells.UNIT_PIXELS)
    assert features.run(request._replace(deadline=float("inf")), cells.UNIT_PIXELS)
    made = rows.read(features.RESULTS)
    assert [one.seed for one in made] == [0, 1, 2]
    assert [one.acc == 1 for one in made] == [True, False, False]
    assert {(one.input, one.variant) for one in made} == {(cells.UNIT_PIXELS, None)}


def row(dataset, name, labels, source, variant=None, seed=0):
    """The row of a clustering of a data set."""
    made = features.row(dataset, name, seed, labels, Stopwatch())
    return dataclasses.replace(made, input=source, variant=variant)


def test_tables_from_rows(digits, monkeypatch):
    labels = digits.labels
    wrong = (labels + 1) % 10
    usps = digits._replace(name="usps-11000")
    mnist = digits._replace(name="mnist-test")
    made = [
        row(digits, "kmeans", labels, cells.UNIT_PIXELS),
        row(digits, "kmeans", wrong, cells.FEATURES, "paper"),
        row(digits, "ac-gdl", wrong, cells.FEATURES, "torch"),
        row(digits, "jule-rc", labels, cells.PIXELS, "paper"),
        row(digits, "jule-rc", labels // 2, cells.PIXELS, "torch"),
        row(usps, "top-2", labels, "features of mnist-test", "torch"),
        row(usps, "top-1", labels, "features of mnist-test", "torch"),
        row(mnist, "top-2", labels, "features of usps-11000", "paper"),
    ]
    monkeypatch.setattr(rows, "read", lambda path: made)
    third, fourth, fourth_of_torch, torch, transfer = (
        part.splitlines() for part in tables.text().split("\n\n")
    )
    assert [line.split()[1] for line in third[2:]] == ["kmeans", "jule-rc"]
    assert [line.split()[1] for line in fourth[2:]] == ["kmeans"]
    assert fourth_of_torch[0].endswith("features, torch")
    assert [line.split()[1] for line in fourth_of_torch[2:]] == ["ac-gdl"]
    typed = "--local-above 100 --gamma 1.0 --negatives random --margin 0.2 --no-restart-rate"
    assert torch[0] == f"JULE, torch: --preset printed {typed}"
    assert torch[2].split()[:3] == ["digits", "jule-rc", "1"]
    # The interval is for the mean of the paper's three runs.
    sf = [
        row(digits, "jule-sf", np.roll(labels, seed), cells.PIXELS, "paper", seed)
        for seed in range(3)
    ]
    made.extend(sf)
    low, high = stats.prediction_interval(
        [one.nmi_sqrt for one in sf], 3, bounds=stats.SCORE_BOUNDS["nmi_sqrt"]
    )
    assert f"[{low:.3f}, {high:.3f}]" in tables.text()
    assert [" ".join(line.split()) for line in transfer[2:]] == [
        "transfer mnist-test to usps-11000, torch top-1 1 1.0000 0.9070",
        "transfer mnist-test to usps-11000, torch top-2 1 1.0000 0.9080",
        "transfer usps-11000 to mnist-test top-2 1 1.0000",
    ]


@pytest.fixture(scope="module")
def few(few_digits):
    """240 digits."""
    return datasets.Dataset("digits", few_digits[0][:240], few_digits[1][:240])


@pytest.fixture(scope="module")
def short(tmp_path_factory, few):
    """A request for a short run that has ended, while the experiment knows its variant."""
    folder = tmp_path_factory.mktemp("jule")
    changes = {"epochs": 1, "batch": 40, "n_neighbors": 10}
    with pytest.MonkeyPatch.context() as patch:
        for module in (cells, features):
            patch.setattr(module, "RESULTS", folder / "jule.jsonl")
        patch.setitem(cells.VARIANTS, "short", cells.Variant(changes=changes))
        patch.setitem(cells.SEEDS, "digits", range(2))
        patch.setattr(datasets, "load", lambda name: few)
        request = Request(data=("digits",), variants=("short",), over="map", folder=folder)
        cell = cells.cell_of(few, "short", request)
        assert runner.run_all([cell])
        yield request


@pytest.mark.slow
def test_the_rows_say_what_they_are_of(short):
    made = rows.read(cells.RESULTS)
    assert {row.method for row in made} == {"jule-rc", "jule-sf"}
    assert {(row.preset, row.variant, row.input) for row in made} == {
        ("printed", "short", "pixels")
    }


@pytest.mark.slow
def test_features_are_those_that_rc_was_merged_on(short, few):
    made = rows.read(cells.RESULTS)
    rc = [row.nmi_sqrt for row in made if row.method == "jule-rc"]
    assert rc[0] != rc[1]
    for seed in range(2):
        network, variables = features.restored(few, "short", seed, short)
        (found,) = features.embedded(network, variables, few.images, ["features"])
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
        criterion = Criterion(local_weight=1.0)
        merged = linkage.graph_degree_linkage(found, 10, n_neighbors=10, criterion=criterion)
        score = metrics.scores(few.labels, merged[0])["nmi_sqrt"]
        assert score == pytest.approx(rc[seed], abs=1e-4)


@pytest.mark.slow
def test_a_failed_seed_has_no_features(short, few, monkeypatch):
    restore = engine.restore

    def failing(*given):
        return restore(*given)._replace(failed=np.array([-1, 3]))

    monkeypatch.setattr(engine, "restore", failing)
    rule = "features: seed 1 of digits, short must have ended, failed at step 3"
    with pytest.raises(UsageError, match=rule):
        features.restored(few, "short", 1, short)


@pytest.mark.slow
def test_transfer_has_a_row_for_each_layer_and_seed(short, few, monkeypatch):
    monkeypatch.setattr(cells, "TRANSFERS", (("digits", "digits"),))
    assert not features.transfer(short._replace(deadline=0.0))
    for _ in range(2):  # The second finds the rows of the first.
        assert features.transfer(short)
    made = [row for row in rows.read(cells.RESULTS) if row.input == "features of digits"]
    layers = ("data", "top", "top-1")
    expected = [(layer, seed) for seed in range(2) for layer in layers]
    assert [(row.method, row.seed) for row in made] == expected
    network, variables = features.restored(few, "short", 1, short)
    block = np.asarray(network.activations(variables, few.images)["block1"])
    inputs = ((few.images, made[3]), (block, made[5]))
    for found, made_of in inputs:
        vectors = features.unit(found)
        criterion = Criterion(local_weight=1.0)
        labels, _ = linkage.graph_degree_linkage(vectors, 10, criterion=criterion)
        score = metrics.scores(few.labels, labels)["nmi_sqrt"]
        assert made_of.nmi_sqrt == pytest.approx(score, abs=1e-4)


@pytest.mark.slow
def test_figure_1_shows_the_run_of_seed_0(short, few, capsys, monkeypatch):
    axes = pytest.importorskip("mpl_toolkits.mplot3d", reason="pictures need matplotlib").Axes3D
    monkeypatch.setattr(shared, "FOLDER", short.folder)
    with mock.patch.object(axes, "scatter", autospec=True, side_effect=axes.scatter) as scatter:
        figures.draw(short)
    assert (short.folder / "jule" / "digits-short.png").stat().st_size > 10_000
    assert capsys.readouterr().out.splitlines()[-1] == "digits: 10 clusters"
    colors = [call.kwargs["c"] for call in scatter.call_args_list]
    assert len(colors) == 3
    method = cells.method_of("short", 10)
    place = short.folder / "digits" / "short"
    lanes = engine.restore(method, few.images.shape, (0, 1), place)
    labels = np.unique(np.asarray(lanes.state.labels[0]), return_inverse=True)[1]
    np.testing.assert_array_equal(colors[-1], labels)
    np.testing.assert_array_equal(colors[0], few.labels)
