"""A method with other parts and other settings, and the names of networks."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from jaxclust.engine import fit
from jaxclust.errors import UsageError
from jaxclust.methods import dcec, registry
from jaxclust.networks import cae, sae
from jaxclust.types import network_name

SMALL = partial(sae, hidden=(16,))


def test_a_replaced_step_is_the_one_that_runs(few_digits):
    """With a step that changes nothing, DCEC ends where k-means on the same features does."""

    def still(config, network, key, state, batch, rows):
        return state, dcec.step(config, network, key, state, batch, rows)[1]

    settings = {"restarts": 2, "pretraining": {"epochs": 0}}
    lengths = {"max_steps": 4, "update_interval": 2, "tolerance": 0.0, "learning_rate": 0.05}
    method = registry.method("dcec", clusters=4, **settings, **lengths).replace(network=SMALL)
    unmoved = method.replace(name="unmoved", step=still)
    assert (unmoved.name, method.name) == ("unmoved", "dcec")
    assert unmoved.algorithm.step is still
    assert unmoved.algorithm._replace(step=dcec.step) == method.algorithm == dcec.ALGORITHM
    kmeans = registry.method("cae-kmeans", clusters=4, **settings).replace(network=SMALL)
    images = few_digits[0][:100]
    labels = {
        name: fit.fit(one, images, (0,), fit.Options(over="map")).labels
        for name, one in (("unmoved", unmoved), ("kmeans", kmeans), ("dcec", method))
    }
    np.testing.assert_array_equal(labels["unmoved"], labels["kmeans"])
    assert (labels["dcec"] != labels["kmeans"]).any()


def test_parts_that_do_not_exist_are_refused():
    with pytest.raises(UsageError, match="replace: must be of about, .*, step, .*, got 'stepp'"):
        registry.get("dcec").replace(stepp=dcec.step)


def test_settings_change_the_config_and_the_pretraining():
    method = registry.get("dcec")
    changed = method.with_settings({"gamma": 1, "clusters": np.int64(4), "pretraining.epochs": 3})
    assert changed.config == dataclasses.replace(method.config, gamma=1.0, clusters=4)
    assert type(changed.config.gamma) is float
    assert type(changed.config.clusters) is int
    assert changed.pretraining == dataclasses.replace(method.pretraining, epochs=3)
    assert (changed.clusters, changed.clusters_given) == (4, True)
    assert not method.clusters_given
    assert registry.method("dcec", gamma=1, clusters=4, pretraining={"epochs": 3}) == changed


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("dcec", {"gama": 1.0}, r"settings: dcec has .*, got 'gama'; did you mean gamma\?"),
        (
            "dcec",
            {"pretraining.epoch": 1},
            r"got 'pretraining.epoch'; did you mean pretraining.epochs\?",
        ),
        ("kmeans", {"pretraining.epochs": 1}, "settings: kmeans has .*, got 'pretraining.epochs'"),
        ("dcec", {"batch": 2.7}, "batch: must be int, got 2.7"),
        ("dcec", {"batch": True}, "batch: must be int, got True"),
        ("dcec", {"gamma": "much"}, "gamma: must be float, got 'much'"),
        ("dcec", {"pretraining.epochs": 1.5}, "pretraining.epochs: must be int, got 1.5"),
        ("dcec", {"gamma": -1.0}, "gamma: must be at least 0, got -1.0"),
        ("kmeans", {"max_steps": 5}, "max_steps: must stay 0 for kmeans, got 5"),
        ("dcn", {"nesterov": 1}, "nesterov: must be bool, got 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(name, settings, message):
    with pytest.raises(UsageError, match=message):
        registry.get(name).with_settings(settings)


def test_networks_have_names():
    assert network_name(cae) == "cae"
    assert network_name(SMALL) == "sae(hidden=(16,))"
    assert network_name(partial(SMALL, (8, 8, 1))) == "sae((8, 8, 1), hidden=(16,))"
    assert network_name(partial(sae)) == "sae()"
