"""What the estimators refuse, and that they stay as they were then."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

import jaxclust as jc
from jaxclust.errors import UsageError
from jaxclust.estimators import DeepClustering, KMeans, states

ONCE = {"restarts": 1}


def table(n=40, d=4):
    """Numbers in two groups far apart."""
    rng = np.random.default_rng(0)
    return 10.0 * (np.arange(n) % 2)[:, None] + rng.normal(size=(n, d))


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ({"n_clusters": 90}, table(d=3)),
        ({"settings": {"gama": 1}}, 1000 * table()),
        ({}, np.ones((5, 4))),
        ({}, np.full((5, 4), np.nan)),
        ({}, np.zeros((5, 2, 2), np.float32) + 2),
        ({"max_seconds": 0}, 1000 * table()),
    ],
)
def test_a_fit_that_fails_leaves_the_estimator_as_it_was(parameters, given):
    frame = pd.DataFrame(table(), columns=list("abcd"))
    estimator = KMeans(2, settings=ONCE, scale="minmax").fit(frame)
    before = dict(vars(estimator))
    labels = estimator.predict(frame)
    estimator.set_params(**parameters)
    with pytest.raises(ValueError, match=":|NaN"):
        estimator.fit(given)
    np.testing.assert_array_equal(estimator.predict(frame), labels)
    after = vars(estimator)
    assert set(after) == set(before)
    assert all(after[name] is before[name] for name in before if name not in parameters)


def test_errors_name_the_arguments_of_the_class():
    with pytest.raises(ValueError, match="^n_clusters: must be at most the number of images, 40"):
        KMeans(90, settings=ONCE).fit(table())
    with pytest.raises(ValueError, match="^X: must differ between rows, got the same 4 for all"):
        KMeans(2, settings=ONCE).fit(np.ones((5, 4)))


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The folder of k-means on a frame with names."""
    folder = tmp_path_factory.mktemp("saved") / "kmeans"
    frame = pd.DataFrame(table(), columns=list("abcd"))
    KMeans(2, settings=ONCE, scale="minmax").partial_fit(frame).save(folder)
    return folder


def test_a_loaded_estimator_whose_folder_is_gone_is_not_saved(saved, tmp_path):
    shutil.copytree(saved, tmp_path / "first")
    loaded = KMeans.load(tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "moved")
    with pytest.raises(ValueError, match="^save: the folder .* must still be there, got .*first"):
        loaded.save(tmp_path / "second")
    assert not (tmp_path / "second").exists()
    KMeans.load(tmp_path / "moved").save(tmp_path / "second")
    assert KMeans.load(tmp_path / "second").n_features_in_ == 4


def test_parameters_that_changed_since_fit_are_not_saved(saved, tmp_path):
    loaded = KMeans.load(saved).set_params(n_clusters=3)
    with pytest.raises(ValueError, match="must be those of fit, n_clusters 2, got 3; fit again"):
        loaded.save(tmp_path / "second")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_features_in_", "x", "invalid literal"),
        ("n_features_in_", 5, "n_features_in_ must be 4, got 5"),
        ("feature_names_in_", ["a", "b"], "feature_names_in_ must be 4 names"),
        ("inertia_", "many", "could not convert"),
        ("inertia_", [1], "float"),
        ("scaling", [[0.0], [1.0]], "scaling must be two times 4 numbers"),
        ("scaling", [[0.0] * 4], "factor"),
        ("scaling", [[0.0] * 4, [0.0] * 4], "its factors above 0"),
        ("counts", [[1, 2, 3]], "counts must be of shape"),
        ("counts", [[-1, 2]], "counts must be of shape"),
        ("counts", [[10**30, 2]], "int"),
        ("batches", -1, "batches must be at least 0, got -1"),
        ("batches", "many", "invalid literal"),
        ("parameters", [], "parameters must be image_shape"),
        ("parameters", {"n_clusters": 2}, "parameters must be image_shape"),
        ("parameters.n_clusters", 3, "n_clusters 2, got 3"),
        ("parameters.n_init", 2, "n_init 1, got 2"),
        ("parameters.image_shape", 4, "not iterable"),
        ("parameters.image_shape", [4], "image_shape: must be None or a tuple"),
        ("parameters.settings", [1], "settings must be by name"),
        ("parameters.extra", 1, "parameters must be image_shape"),
    ],
)
def test_a_damaged_file_is_refused(saved, tmp_path, name, value, message):
    shutil.copytree(saved, tmp_path / "copy")
    file = tmp_path / "copy" / "estimator.json"
    content = json.loads(file.read_text())
    *outer, last = name.split(".")
    (content[outer[0]] if outer else content)[last] = value
    file.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=rf"estimator.json .* is damaged \(.*{message}"):
        KMeans.load(tmp_path / "copy")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "estimator.json").mkdir()
    with pytest.raises(UsageError, match="is damaged"):
        KMeans.load(tmp_path)


def test_of_tied_votes_the_chosen_cluster_has_the_largest_share():
    cluster = np.array([[2, 0, 1], [0, 0, 2]])
    chosen = np.array([2, 0, 1])
    shares = states.shares(cluster, chosen, 3)
    np.testing.assert_array_equal(shares.argmax(axis=1), chosen)
    np.testing.assert_allclose(shares, [[0.5, 0, 0.5], [1, 0, 0], [0, 0.5, 0.5]], atol=2e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)


def test_predict_is_the_largest_probability_of_two_seeds():
    rows = np.random.default_rng(1).normal(size=(200, 3))
    estimator = KMeans(6, n_init=2, settings=ONCE).fit(rows)
    assert (estimator.share_ == 0.5).any()
    largest = estimator.predict_proba(rows).argmax(axis=1)
    np.testing.assert_array_equal(largest, estimator.predict(rows))


@pytest.mark.parametrize("scale", [None, "minmax", "standard"])
def test_huge_numbers_are_refused(scale):
    rule = r"^X: must have no value beyond 1e\+150 .* got one of size 1\.\d+e\+30[67]"
    for factor in (1e306, -1e306):
        with pytest.raises(UsageError, match=rule):
            KMeans(2, settings=ONCE, scale=scale).fit(factor * table())
    estimator = KMeans(2, settings=ONCE, scale=scale).fit(table())
    for predicted in (estimator.predict, estimator.predict_proba, estimator.transform):
        with pytest.raises(UsageError, match=r"^X: must have scaled rows .* of size 1\.\d+e\+26"):
            predicted(1e25 * table())
    assert np.isfinite(estimator.predict_proba(1e15 * table())).all()


@pytest.mark.parametrize("scale", [None, "minmax", "standard"])
def test_large_numbers_are_clustered(scale):
    estimator = KMeans(2, settings=ONCE, scale=scale).fit(1e148 * table())
    assert np.isfinite(estimator.inertia_)
    assert (estimator.labels_ == estimator.labels_[np.arange(40) % 2]).all()


def test_names_of_an_arrow_table_are_kept():
    pyarrow = pytest.importorskip("pyarrow")
    rows = table()
    arrow = pyarrow.table({name: rows[:, i] for i, name in enumerate("abcd")})
    estimator = KMeans(2, settings=ONCE).fit(arrow)
    assert list(estimator.feature_names_in_) == list("abcd")
    np.testing.assert_array_equal(estimator.predict(arrow), estimator.labels_)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(arrow.select(["b", "a", "c", "d"]))


def test_a_preset_needs_the_name_of_a_method():
    with pytest.raises(UsageError, match="^preset: must come with a method's name, got 'quick'"):
        DeepClustering(jc.method("dec"), 2, preset="quick").fit(table())


@pytest.mark.parametrize("shape", [4, (4,), (-2, -2), (2, 2.0), (2, True), (1, 1, 2, 2), "ab"])
def test_an_image_shape_that_is_none_is_refused(shape):
    with pytest.raises(UsageError, match="^image_shape: must be None or a tuple of two or three"):
        KMeans(2, image_shape=shape, settings=ONCE).fit(np.abs(table()) / 100)
