"""``max_seconds``: what an estimator has of a run that was stopped."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning

import jaxclust as jc
from jaxclust.engine import pieces
from jaxclust.errors import UsageError
from jaxclust.estimators import DeepClustering
from jaxclust.methods import dcec

SMALL = jc.method("dec").replace(network=functools.partial(jc.networks.sae, hidden=(8,)))
SETTINGS = {"pretraining.epochs": 0, "update_interval": 4, "restarts": 1, "tolerance": 0.0}
AT_ONCE = 1e-9
"""Seconds that pass in the first window of each phase, which always ends."""


def blobs(n=60):
    """A table with three groups far apart, of either sign."""
    rng = np.random.default_rng(0)
    centers = 100 * rng.normal(size=(3, 4))
    return centers[np.arange(n) % 3] + rng.normal(size=(n, 4))


def fitted(method=SMALL, settings=None, **parameters):
    settings = SETTINGS | (settings or {})
    return DeepClustering(method, 3, settings=settings, **parameters).fit(blobs())


@pytest.fixture(scope="module")
def stopped():
    rule = r"max_seconds, 1e-09, stopped dec after 1 of at most 10 windows .* last whole window"
    with pytest.warns(ConvergenceWarning, match=rule):
        return fitted(settings={"max_steps": 40}, n_init=2, max_seconds=AT_ONCE)


def test_labels_are_those_of_the_last_whole_window(stopped):
    shorter = fitted(settings={"max_steps": 4}, n_init=2)
    np.testing.assert_array_equal(stopped.all_labels_, shorter.all_labels_)
    np.testing.assert_array_equal(stopped.labels_, shorter.labels_)
    np.testing.assert_allclose(stopped.cluster_centers_, shorter.cluster_centers_, rtol=1e-5)
    np.testing.assert_array_equal(stopped.predict(blobs()), stopped.labels_)
    whole = fitted(settings={"max_steps": 40}, n_init=2)
    assert np.abs(whole.cluster_centers_ - stopped.cluster_centers_).max() > 1e-5


def test_a_stopped_run_is_none_to_save(stopped, tmp_path):
    assert not stopped.run_.finished
    with pytest.raises(UsageError, match="save: must be of a finished run, this one was stopped"):
        stopped.save(tmp_path / "dec")
    assert not (tmp_path / "dec").exists()


def test_a_run_that_is_stopped_before_it_clusters_is_refused():
    with pytest.raises(UsageError, match="max_seconds: must be enough for the pretraining of dec"):
        fitted(settings={"pretraining.epochs": 1000}, max_seconds=AT_ONCE)


def test_a_run_that_is_stopped_in_its_first_window_is_refused(monkeypatch):
    monkeypatch.setattr(pieces, "CALL_SECONDS", 0.0)
    rule = "max_seconds: must be enough for a window of the clustering of dec, got 1e-09"
    with pytest.raises(UsageError, match=rule):
        fitted(settings={"max_steps": 40}, max_seconds=AT_ONCE)


def test_a_method_without_clusters_before_its_end_is_refused():
    def finish(config, network, key, state, images):
        return {"": jnp.full(len(images), -1, jnp.int32)}

    rule = "max_seconds: must be enough for the whole run of dec, which has no 3 clusters before"
    with pytest.raises(UsageError, match=rule):
        fitted(SMALL.replace(finish=finish), {"max_steps": 40}, max_seconds=AT_ONCE)


def test_a_seed_that_failed_before_the_stop_has_no_vote():
    def step(config, network, key, state, batch, rows):
        state, info = dcec.step(config, network, key, state, batch, rows)
        # One of the two seeds has the larger first weight.
        return state, info._replace(loss=jnp.where(state.centroids[0, 0] > 0, jnp.nan, info.loss))

    method = SMALL.replace(step=step)
    with pytest.warns(ConvergenceWarning):
        estimator = fitted(method, {"max_steps": 40}, n_init=6, max_seconds=AT_ONCE)
    lost = [place for place, own in enumerate(estimator.all_labels_) if (own == -1).all()]
    assert lost == [estimator.run_.seeds.index(seed) for seed in estimator.run_.failed]
    assert 0 < len(lost) < 6
    assert set(estimator.run_.failed.values()) == {("cluster", 0)}
    assert estimator.labels_.min() == 0
