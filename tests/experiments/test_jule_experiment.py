"""What JULE's experiment does beside running methods: its settings, images of another network's shape, its tables."""

import argparse
from unittest import mock

import numpy as np
import pytest

from benchmarks import linkage
from experiments import common, jule, jule_features, jule_settings
from jaxclust.data import datasets
from jaxclust.engine import fit
from jaxclust.evaluation import metrics, stats
from jaxclust.methods.registry import METHODS
from jaxclust.ops import linkage


@pytest.mark.parametrize("variant", jule.VARIANTS)
def test_every_variant_is_a_setting(variant):
    dataset, config = jule.settings("digits", variant)
    assert config.clusters == dataset.classes == 10
    assert all(getattr(config, name) == value for name, value in jule.VARIANTS[variant].items())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--variants", "paper,best", "--table"], "variants: must be of paper, .*, got 'best'"),
        (["--data", "cifar"], "data: must be of digits, .*, got 'cifar'"),
        (
            ["--features", "--methods", "jule"],
            "methods: must be of kmeans, ac-link, .*, for features, got 'jule'",
        ),
    ],
)
def test_arguments_are_refused_before_anything_runs(arguments, message, monkeypatch):
    monkeypatch.setattr("sys.argv", ["jule", *arguments])
    monkeypatch.setattr(datasets, "load", lambda name: pytest.fail("something ran"))
    with pytest.raises(ValueError, match=message):
        jule.main()


def test_images_take_the_size_and_the_channels_of_another_set():
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28, 1), dtype=np.uint8)
    smaller = jule_features.fitted(images, (14, 14, 3))
    assert (smaller.shape, smaller.dtype) == ((3, 14, 14, 3), np.uint8)
    assert abs(smaller.mean() - images.mean()) < 2
    assert (smaller[..., 0] == smaller[..., 2]).all()
    np.testing.assert_array_equal(jule_features.fitted(images, (28, 28, 1)), images)
    colour = np.stack([images[..., 0], np.zeros((3, 28, 28), np.uint8), images[..., 0]], axis=3)
    np.testing.assert_allclose(
        jule_features.fitted(colour, (28, 28, 1)), images * (2 / 3), atol=0.51
    )


def test_the_benchmark_measures_digits():
    neighbours, gdl, criterion = linkage.measure("digits", 1)
    assert [row["what"] for row in (neighbours, gdl, criterion)] == ["neighbours", "gdl", "jule"]
    assert gdl["nmi_sqrt"] == pytest.approx(0.907, abs=5e-4)
    assert all(
        row["seconds"] > 0 and row["initial"] == neighbours["initial"] for row in (gdl, criterion)
    )


def test_a_seed_that_has_its_row_is_skipped_and_the_others_run(tmp_path, monkeypatch, digits):
    monkeypatch.setattr(jule_settings, "RESULTS", tmp_path / "jule.jsonl")
    common.add(
        jule_settings.RESULTS,
        [jule_features.row(digits, "kmeans", "pixels", 0, digits.labels, 1.0)],
    )
    assert not jule_features.run(["digits"], ["kmeans"], None, "paper", deadline=0.0)
    assert jule_features.run(["digits"], ["kmeans"], None, "paper", deadline=float("inf"))
    rows = common.rows(jule_settings.RESULTS)
    assert [row["seed"] for row in rows] == [0, 1, 2]
    assert [row["acc"] == 1 for row in rows] == [True, False, False]


def test_tables_from_rows(digits, monkeypatch):
    labels = digits.labels
    rows = [
        jule_features.row(digits, "kmeans", "pixels", 0, labels, 1.0),
        jule_features.row(digits, "kmeans", "features", 0, (labels + 1) % 10, 1.0),
        jule_features.row(digits, "ac-gdl", "features, code", 0, (labels + 1) % 10, 1.0),
        jule_features.row(digits, "jule-rc", "paper", 0, labels, 1.0),
        jule_features.row(digits, "jule-rc", "code", 0, labels // 2, 1.0),
        jule_features.row(
            digits, "top-2", "transfer mnist-test to usps-11000, code", 0, labels, 1.0
        ),
        jule_features.row(
            digits, "top-1", "transfer mnist-test to usps-11000, code", 0, labels, 1.0
        ),
        jule_features.row(digits, "top-2", "transfer usps-11000 to mnist-test", 0, labels, 1.0),
    ]
    monkeypatch.setattr(common, "rows", lambda path: rows)
    third, fourth, fourth_of_code, code, transfer = (
        part.splitlines() for part in jule.tables().split("\n\n")
    )
    assert [line.split()[1] for line in third[2:]] == ["kmeans", "jule-rc"]
    assert [line.split()[1] for line in fourth[2:]] == ["kmeans"]
    assert fourth_of_code[0].endswith("features, code")
    assert [line.split()[1] for line in fourth_of_code[2:]] == ["ac-gdl"]
    typed = "--negatives random --margin 0.2 --gamma 1.0 --local-above 100 --no-restart-rate"
    assert code[0] == f"JULE, code: {typed}"
    assert code[2].split()[:3] == ["digits", "jule-rc", "1"]
    # The interval is for the mean of the paper's three runs.
    sf = [
        jule_features.row(digits, "jule-sf", "paper", seed, np.roll(labels, seed), 1.0)
        for seed in range(3)
    ]
    rows.extend(sf)
    low, high = stats.prediction_interval([row["nmi_sqrt"] for row in sf], 3)
    assert f"[{low:.3f}, {high:.3f}]" in jule.tables()
    assert [" ".join(line.split()) for line in transfer[2:]] == [
        "transfer mnist-test to usps-11000, code top-1 1 1.0000 0.9070",
        "transfer mnist-test to usps-11000, code top-2 1 1.0000 0.9080",
        "transfer usps-11000 to mnist-test top-2 1 1.0000",
    ]


@pytest.fixture(scope="module")
def short(tmp_path_factory, few_digits):
    """The folder of a short run's checkpoints, for as long as the experiment knows that variant; its rows beside it."""
    few = datasets.Dataset("digits", few_digits[0][:240], few_digits[1][:240])
    folder = tmp_path_factory.mktemp("jule")
    with pytest.MonkeyPatch.context() as patch:
        for module in (jule, jule_settings):
            patch.setattr(module, "RESULTS", folder / "jule.jsonl")
        patch.setitem(jule.VARIANTS, "short", {"epochs": 1, "batch": 40, "n_neighbors": 10})
        patch.setitem(jule.SEEDS, "digits", range(2))
        patch.setattr(datasets, "load", lambda name: few)
        assert jule.run_jule(
            "digits", "short", argparse.Namespace(over="map", folder=folder), float("inf")
        )
        yield folder


def test_features_are_those_that_rc_was_merged_on(short):
    images, classes = datasets.load("digits").images, datasets.load("digits").labels
    rc = [row["nmi_sqrt"] for row in common.rows(jule.RESULTS) if row["method"] == "jule-rc"]
    assert rc[0] != rc[1]
    for seed in range(2):
        (features,) = jule_features.embedded("digits", "short", seed, images, short, ["features"])
        np.testing.assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-5)
        labels, _ = linkage.graph_degree_linkage(features, 10, n_neighbors=10, local_weight=1.0)
        assert metrics.scores(classes, labels)["nmi_sqrt"] == pytest.approx(rc[seed], abs=1e-4)


def test_a_failed_seed_has_no_features(short, monkeypatch):
    restored = fit.restored
    monkeypatch.setattr(
        fit, "restored", lambda *given: restored(*given)._replace(failed=np.array([-1, 3]))
    )
    with pytest.raises(
        ValueError, match="features: seed 1 of digits, short must have ended, failed at step 3"
    ):
        jule_features.restored("digits", "short", 1, short)


def test_transfer_has_a_row_a_layer_and_a_seed(short, monkeypatch):
    monkeypatch.setattr(jule_features, "TRANSFERS", (("digits", "digits"),))
    assert not jule_features.transfer(["digits"], short, "short", deadline=0.0)
    for _ in range(2):  # The second finds the rows of the first.
        assert jule_features.transfer(["digits"], short, "short", deadline=float("inf"))
    rows = [
        row
        for row in common.rows(jule.RESULTS)
        if row["preset"] == "transfer digits to digits, short"
    ]
    assert [(row["method"], row["seed"]) for row in rows] == [
        (layer, seed) for seed in range(2) for layer in ("data", "top", "top-1")
    ]
    images, classes = datasets.load("digits").images, datasets.load("digits").labels
    network, variables = jule_features.restored("digits", "short", 1, short)
    block = np.asarray(network.activations(variables, images)["block1"]).reshape(len(images), -1)
    for features, made in ((images.reshape(len(images), -1), rows[3]), (block, rows[5])):
        labels, _ = linkage.graph_degree_linkage(jule_features.unit(features), 10, local_weight=1.0)
        assert made["nmi_sqrt"] == pytest.approx(
            metrics.scores(classes, labels)["nmi_sqrt"], abs=1e-4
        )


def test_figure_1_shows_the_run_of_seed_0(short, capsys):
    axes = pytest.importorskip("mpl_toolkits.mplot3d", reason="pictures need matplotlib").Axes3D
    with mock.patch.object(axes, "scatter", autospec=True, side_effect=axes.scatter) as scatter:
        jule_features.figure(short / "figure.png", "digits", "short")
    assert (short / "figure.png").stat().st_size > 10_000
    assert capsys.readouterr().out.splitlines()[-1] == "digits: 10 clusters"
    colours = [call.kwargs["c"] for call in scatter.call_args_list]
    assert len(colours) == 3
    config, shape = jule.settings("digits", "short")[1], datasets.load("digits").images.shape
    state = fit.restored(
        METHODS["jule"], config, None, shape, (0, 1), short / "digits" / "short"
    ).state
    np.testing.assert_array_equal(
        colours[-1], np.unique(np.asarray(state.labels[0]), return_inverse=True)[1]
    )
    np.testing.assert_array_equal(colours[0], datasets.load("digits").labels)
