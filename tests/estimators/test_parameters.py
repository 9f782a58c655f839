"""The settings of the method among the parameters: listed, changed, searched."""

import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

import jaxclust as jc
from jaxclust.errors import UsageError
from jaxclust.estimators import DEC, DeepClustering, KMeans


def test_settings_are_listed_with_their_present_values():
    shallow = set(DEC(3).get_params(deep=False))
    assert not any(name.startswith("settings__") for name in shallow)
    params = DEC(3, settings={"gamma": 0.5}).get_params()
    assert params["settings__gamma"] == 0.5
    assert params["settings__pretraining__epochs"] == 100
    assert "settings__clusters" not in params
    names = {
        "settings__" + name.replace(".", "__")
        for name in jc.method("dec").settings()
        if name != "clusters"
    }
    assert set(params) == shallow | names
    assert DEC(3, preset="quick").get_params()["settings__pretraining__epochs"] == 50
    assert DeepClustering(jc.method("dec", gamma=0.2), 3).get_params()["settings__gamma"] == 0.2
    # Settings that define k-means are none that may be changed.
    assert "settings__max_steps" not in KMeans(3).get_params()
    pipeline = make_pipeline(MinMaxScaler(), DEC(3))
    assert pipeline.get_params()["dec__settings__pretraining__epochs"] == 100


def test_each_listed_setting_can_be_set():
    estimator = DEC(3)
    for name in estimator.get_params():
        if name.startswith("settings__"):
            assert clone(estimator).set_params(**{name: 7}).get_params()[name] == 7
    assert estimator.set_params(settings__pretraining__epochs=3, n_clusters=4) is estimator
    assert estimator.settings == {"pretraining.epochs": 3}
    assert estimator.n_clusters == 4


def test_setting_what_was_listed_changes_nothing():
    estimator = DEC(3, settings={"gamma": 0.5})
    estimator.set_params(**estimator.get_params())
    assert estimator.settings == {"gamma": 0.5}
    assert DEC(3).set_params(**DEC(3).get_params()).settings is None
    assert clone(estimator).get_params() == estimator.get_params()
    # What is asked for alone stays, also where it is the preset's value.
    assert DEC(3).set_params(settings__gamma=1.0).settings == {"gamma": 1.0}


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("gama", "did you mean settings__gamma"),
        ("epochs", "did you mean settings__pretraining__epochs"),
        ("pretraining__epoch", "did you mean settings__pretraining__epochs"),
        ("clusters", "which get_params lists"),
        ("zzz", "which get_params lists$"),
    ],
)
def test_a_setting_that_there_is_not_is_refused_with_near_names(name, near):
    estimator = DEC(3)
    with pytest.raises(UsageError, match=f"^settings__{name}: must be a setting of dec, .*{near}"):
        estimator.set_params(n_clusters=9, **{f"settings__{name}": 1})
    assert estimator.n_clusters == 3
    with pytest.raises(ValueError, match="Invalid parameter 'n_cluster' for estimator DEC"):
        estimator.set_params(n_cluster=4)


def test_an_unknown_method_lists_no_settings_until_fit_refuses_it():
    estimator = DeepClustering("nope", 3)
    assert estimator.get_params() == estimator.get_params(deep=False)
    assert estimator.set_params(settings__gamma=1).settings == {"gamma": 1}
    assert estimator.set_params(method="dec").get_params()["settings__gamma"] == 1
