"""``DeepClustering``: the same numbers as ``fit``, and scikit-learn's habits."""

import functools
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler

import jaxclust as jc
from jaxclust.engine import fit
from jaxclust.estimators import CCNN, DBC, DCEC, DEC, DeepClustering, KMeans
from jaxclust.evaluation import agreement
from jaxclust.methods import registry


@pytest.fixture(scope="module")
def fitted(few_digits):
    estimator = DeepClustering("kmeans", 5, n_init=3, random_state=2, settings={"restarts": 1})
    return estimator.fit(few_digits[0])


def test_labels_are_the_votes_of_the_seeds(fitted, few_digits):
    method = registry.method("kmeans", clusters=5, restarts=1)
    run = fit.fit(method, few_digits[0], (2, 3, 4))
    np.testing.assert_array_equal(fitted.run_.labels, run.labels)
    middle = agreement.medoid(agreement.agreement(run.labels))
    assert fitted.seed_ == 2 + middle
    # The seed that agrees best gives the numbers, and each image the cluster of most seeds.
    np.testing.assert_array_equal(fitted.all_labels_[middle], run.labels[middle])
    assert fitted.all_labels_.shape == (3, 300)
    share = (fitted.all_labels_ == fitted.labels_).mean(axis=0)
    np.testing.assert_allclose(fitted.share_, share)
    assert (share[fitted.labels_ != run.labels[middle]] == 2 / 3).all()
    assert fitted.n_features_in_ == 64


def test_predict_and_transform_go_together(fitted, few_digits):
    np.testing.assert_array_equal(fitted.predict(few_digits[0]), fitted.labels_)
    assert fitted.predict(few_digits[0][:1]) == fitted.labels_[:1]
    features = fitted.transform(few_digits[0])
    assert (features.shape, features.dtype) == ((300, 64), np.float32)


def test_a_table_of_pixels_in_a_pipeline(fitted, few_digits):
    flat = few_digits[0].reshape(300, 64).astype(np.float32)
    settings = fitted.get_params(deep=False) | {"image_shape": (8, 8)}
    pipeline = make_pipeline(
        FunctionTransformer(lambda x: x / np.float32(255)), DeepClustering(**settings)
    )
    np.testing.assert_array_equal(pipeline.fit_predict(flat), fitted.labels_)


def test_a_clone_is_unfitted_with_the_same_settings(fitted):
    other = clone(fitted)
    assert other.get_params() == fitted.get_params()
    with pytest.raises(ValueError, match="not fitted"):
        other.predict(np.zeros((2, 8, 8)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "nope"}, "method: must be one of best"),
        ({"n_clusters": 1}, "^n_clusters: must be at least 2, got 1"),
        ({"n_init": 0}, "n_init: must be an integer of at least 1, got 0"),
        ({"random_state": -1}, "random_state: must be an integer of at least 0, got -1"),
        ({"settings": {"gama": 1}}, "settings: kmeans has .*, got 'gama'; did you mean gamma?"),
        ({"settings": {"pretraining.epochs": 1}}, "got 'pretraining.epochs'"),
        ({"settings": {"clusters": 4}}, "n_clusters apart, got 'clusters'"),
        ({"n_clusters": 2.7}, "^n_clusters: must be int, got 2.7"),
        (
            {"image_shape": (8, 8)},
            r"X: must be of shape \(n, 64\) for image_shape, got \(5, 8, 8\)",
        ),
    ],
)
def test_bad_arguments(settings, message):
    images = np.random.default_rng(0).integers(0, 255, (5, 8, 8), dtype=np.uint8)
    with pytest.raises(ValueError, match=message):
        DeepClustering(**({"method": "kmeans", "n_clusters": 2} | settings)).fit(images)


def test_other_images_are_refused(fitted):
    with pytest.raises(ValueError, match=r"X: must be of shape \(n, 8, 8, 1\), got \(2, 9, 8, 1\)"):
        fitted.predict(np.zeros((2, 9, 8), np.uint8))


def blobs(n=60, d=4):
    """A table with three groups far apart, of either sign and any size."""
    rng = np.random.default_rng(0)
    centers = 100 * rng.normal(size=(3, d))
    return centers[np.arange(n) % 3] + rng.normal(size=(n, d))


SMALL_DEC = jc.method("dec").replace(network=functools.partial(jc.networks.sae, hidden=(8,)))
SMALL = {"max_steps": 4, "pretraining.epochs": 1}


@pytest.fixture(scope="module")
def dec():
    """Two seeds of DEC with a small network on a frame with names."""
    frame = pd.DataFrame(blobs(), columns=list("abcd"))
    estimator = DeepClustering(SMALL_DEC, 3, n_init=2, settings=SMALL, scale="standard")
    return estimator.fit(frame), frame


@pytest.fixture(scope="module")
def moved():
    """k-means on a table, one seed, after two mini-batches."""
    estimator = KMeans(3, scale="minmax", settings={"restarts": 1})
    return estimator.partial_fit(blobs()[:30]).partial_fit(blobs()[30:])


def test_images_get_the_labels_of_fit(few_digits):
    images = few_digits[0][:80]
    run = jc.fit(SMALL_DEC.with_settings(SMALL), images, clusters=5, seeds=[3, 4], progress=False)
    estimator = DeepClustering(SMALL_DEC, 5, n_init=2, random_state=3, settings=SMALL).fit(images)
    np.testing.assert_array_equal(estimator.run_.labels, run.labels)
    np.testing.assert_array_equal(estimator.labels_, run.consensus().labels)
    np.testing.assert_array_equal(estimator.predict(images), run.predict(images).cluster)
    np.testing.assert_array_equal(estimator.transform(images), run.embed(images, estimator.seed_))


def test_a_table_gets_the_labels_that_its_features_file_gets(tmp_path, few_digits):
    table = blobs()
    np.save(tmp_path / "x.npy", table)
    images = few_digits[0][: len(table)]
    features = tmp_path / "x.npy"
    run = jc.fit("kmeans", images, clusters=3, seeds=2, features=features, progress=False)
    estimator = KMeans(3, n_init=2).fit(table)
    np.testing.assert_array_equal(estimator.all_labels_, run.consensus().seed_labels)


def test_kmeans_has_its_centers_and_inertia_in_the_units_of_the_table():
    table = blobs()
    for scale in ("minmax", "standard", None):
        estimator = KMeans(3, scale=scale).fit(table)
        means = np.stack([table[estimator.labels_ == c].mean(axis=0) for c in range(3)])
        np.testing.assert_allclose(estimator.cluster_centers_, means, rtol=1e-4, atol=1e-3)
        inertia = ((table - means[estimator.labels_]) ** 2).sum()
        assert estimator.inertia_ == pytest.approx(inertia, rel=1e-3)
        assert (estimator.labels_ == estimator.labels_[np.arange(60) % 3]).all()


def test_predict_scales_as_fit_has_learned():
    table = blobs()
    estimator = KMeans(3, scale="minmax").fit(table)
    np.testing.assert_array_equal(estimator.predict(table[:7]), estimator.labels_[:7])
    features = estimator.transform(table)
    np.testing.assert_allclose(features, MinMaxScaler().fit_transform(table), atol=1e-6)
    np.testing.assert_allclose(KMeans(3, scale="standard").fit(table).transform(table).std(0), 1)
    # None divides by one number.
    quotients = KMeans(3).fit(table).transform(table) / table
    np.testing.assert_allclose(quotients, quotients[0, 0], rtol=1e-5)


def test_floats_that_a_scaler_leaves_beside_one_are_taken(few_digits):
    images = few_digits[0] / 255.0
    images[0, 0, 0] += 1.0000000000000002 - images[0, 0, 0]
    images[0, 0, 1] = -1e-9
    KMeans(5).fit(images)
    images[0, 0, 0] = 1.0001
    with pytest.raises(ValueError, match=r"floats must lie in \[0, 1\], got -1e-09 to 1.0001"):
        KMeans(5).fit(images)


def test_frames_in_and_out(dec):
    estimator, frame = dec
    assert not hasattr(estimator, "inertia_")
    assert list(estimator.feature_names_in_) == list("abcd")
    out = clone(estimator).set_output(transform="pandas").fit(frame).transform(frame)
    assert list(out.columns) == [f"deepclustering{i}" for i in range(3)]
    assert list(estimator.get_feature_names_out()) == list(out.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        estimator.predict(frame.rename(columns={"a": "z"}))


def test_probabilities_are_votes_or_soft_assignments(dec):
    estimator, frame = dec
    votes = estimator.predict_proba(frame)
    share = (estimator.all_labels_[..., None] == np.arange(3)).mean(axis=0)
    np.testing.assert_allclose(votes, share, atol=2e-6)
    np.testing.assert_allclose(votes.sum(axis=1), 1, rtol=1e-6)
    single = clone(estimator).set_params(n_init=1).fit(frame)
    soft = single.predict_proba(frame)
    np.testing.assert_array_equal(soft.argmax(axis=1), single.predict(frame))
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(soft.max(axis=1), single.run_.predictions.probability[0], rtol=1e-4)
    distances = np.linalg.norm(single.transform(frame)[:, None] - single.cluster_centers_, axis=2)
    np.testing.assert_array_equal(distances.argmin(axis=1), single.predict(frame))
    assert hasattr(DBC(3), "predict_proba")
    assert not hasattr(CCNN(3), "predict_proba")
    assert hasattr(CCNN(3, n_init=2), "predict_proba")


def test_random_states_draw_the_seed():
    table = blobs()
    drawn = KMeans(3, random_state=np.random.RandomState(5)).fit(table).run_.seeds
    assert drawn == KMeans(3, random_state=np.random.RandomState(5)).fit(table).run_.seeds
    first = KMeans(3, random_state=None, n_init=2).fit(table).run_.seeds
    assert first[1] == first[0] + 1
    assert first != KMeans(3, random_state=None, n_init=2).fit(table).run_.seeds
    with pytest.raises(ValueError, match="at least 0, a RandomState or None, got 0.5"):
        KMeans(3, random_state=0.5).fit(table)


def test_a_grid_search_sets_single_settings():
    estimator = KMeans(3, settings={"tolerance": 0.1})
    other = clone(estimator).set_params(settings__restarts=2, scale="minmax")
    assert other.settings == {"tolerance": 0.1, "restarts": 2}
    assert estimator.settings == {"tolerance": 0.1}
    table = blobs()
    grid = {"kmeans__settings__restarts": [1, 2], "kmeans__n_clusters": [2, 3]}
    pipeline = make_pipeline(MinMaxScaler(), KMeans())
    search = GridSearchCV(pipeline, grid, scoring="adjusted_rand_score", cv=2, error_score="raise")
    search.fit(table, np.arange(60) % 3)
    assert search.best_params_["kmeans__n_clusters"] == 3
    assert search.best_score_ == 1


def test_a_pickle_holds_what_predictions_need(dec, few_digits, tmp_path):
    estimator, frame = dec
    other = pickle.loads(pickle.dumps(estimator))
    np.testing.assert_array_equal(other.predict(frame), estimator.labels_)
    np.testing.assert_array_equal(other.transform(frame), estimator.transform(frame))
    with pytest.raises(ValueError, match="save: must be of an estimator as fit or load gave it"):
        other.save("nowhere")
    # It was 12.9 MB with every seed, both phases and the optimizer's arrays, whatever the steps.
    of_images = DCEC(5, settings={"pretraining.epochs": 0, "max_steps": 0, "restarts": 1})
    joblib.dump(of_images.fit(few_digits[0][:60]), tmp_path / "dcec.joblib")
    assert (tmp_path / "dcec.joblib").stat().st_size < 12.9e6 / 4
    loaded = joblib.load(tmp_path / "dcec.joblib")
    np.testing.assert_array_equal(loaded.predict(few_digits[0][:60]), of_images.labels_)
    deep = DEC(5, settings=SMALL | {"restarts": 1}).fit(few_digits[0][:60])
    whole = len(pickle.dumps(deep.run_))
    assert len(pickle.dumps(deep)) < whole / 4
    assert deep.run_.phases  # The estimator itself keeps all.


def test_saved_and_loaded_without_pickle(dec, tmp_path):
    estimator, frame = dec
    estimator.save(tmp_path / "dec")
    other = DeepClustering.load(tmp_path / "dec", SMALL_DEC)
    np.testing.assert_array_equal(other.predict(frame), estimator.labels_)
    np.testing.assert_array_equal(other.transform(frame), estimator.transform(frame))
    for name in ("labels_", "share_", "all_labels_", "cluster_centers_", "feature_names_in_"):
        np.testing.assert_array_equal(getattr(other, name), getattr(estimator, name))
    mine = estimator.get_params()
    theirs = other.get_params()
    assert {**mine, "method": None} == {**theirs, "method": None}
    other.save(tmp_path / "again")
    again = DeepClustering.load(tmp_path / "again", SMALL_DEC)
    np.testing.assert_array_equal(again.predict(frame), estimator.labels_)
    with pytest.raises(ValueError, match="method: must be given for"):
        DeepClustering.load(tmp_path / "dec")
    with pytest.raises(ValueError, match="must hold a DEC, got one that DeepClustering.load"):
        DEC.load(tmp_path / "dec")
    with pytest.raises(ValueError, match="must not exist"):
        estimator.save(tmp_path / "dec")


def test_moved_centers_are_saved(moved, tmp_path):
    moved.save(tmp_path / "kmeans")
    other = KMeans.load(tmp_path / "kmeans")
    table = blobs()
    np.testing.assert_array_equal(other.predict(table), moved.predict(table))
    np.testing.assert_array_equal(other.cluster_centers_, moved.cluster_centers_)
    assert hasattr(moved, "inertia_")
    assert not hasattr(other, "inertia_")  # The run's labels are those of other rows.
    other.partial_fit(table)
    assert other._progress.counts.sum() == 120
    with pytest.raises(ValueError, match="or a loaded one after partial_fit"):
        other.save(tmp_path / "more")


def test_a_folder_that_holds_no_estimator_is_refused(moved, tmp_path):
    with pytest.raises(ValueError, match="must hold an estimator, has no estimator.json"):
        KMeans.load(tmp_path)
    for text, message in (("{", "is damaged"), ("{}", "is damaged .'class'"), ("[]", "is damaged")):
        (tmp_path / "estimator.json").write_text(text)
        with pytest.raises(ValueError, match=message):
            KMeans.load(tmp_path)
    moved.run_.save(tmp_path / "run")
    with pytest.raises(ValueError, match="has no estimator.json"):
        KMeans.load(tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "robust"}, "scale: must be minmax, standard or None, got 'robust'"),
        ({"n_clusters": 2.7}, "^n_clusters: must be int, got 2.7"),
        ({"n_clusters": 61}, "^n_clusters: must be at most the number of images, 60, got 61"),
        ({"n_init": 2000}, "n_init: must be at most 1000, got 2000"),
        ({"max_seconds": 0}, "max_seconds: must be above 0, got 0"),
        ({"method": "dcec"}, "X: must be images, or a table of pixels with image_shape, for dcec"),
        ({"image_shape": (2, 3)}, r"X: must be of shape \(n, 6\) for image_shape, got \(60, 4\)"),
    ],
)
def test_bad_arguments_with_a_table(changes, message):
    with pytest.raises(ValueError, match=message):
        DeepClustering(**({"method": "kmeans", "n_clusters": 3} | changes)).fit(blobs())


def test_images_and_tables_are_not_mixed(few_digits):
    estimator = KMeans(3).fit(blobs())
    with pytest.raises(
        ValueError, match=r"X: must be a table as in fit, got shape \(300, 8, 8, 1\)"
    ):
        estimator.predict(few_digits[0])
    with pytest.raises(ValueError, match="scale: must be None for images, got 'minmax'"):
        KMeans(3, scale="minmax").fit(few_digits[0])


def test_verbose_shows_progress(capsys):
    KMeans(3, verbose=True).fit(blobs())
    assert "clustering" in capsys.readouterr().err
