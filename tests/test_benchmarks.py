"""The benchmarks' settings; what takes time is in the benchmarks themselves."""

import pytest

from benchmarks import peers
from jaxclust import fit


@pytest.mark.parametrize("name", peers.PEERS)
def test_every_peer_pretrains_and_clusters_for_the_same_epochs(name):
    n = 1797
    method, config, pretraining = peers.settings(name, n)
    fit.build(method, config, (8, 8, 1))
    for algorithm, settings in ((fit.pretrainer(method), pretraining), (method.algorithm, config)):
        schedule = algorithm.schedule(settings, n)
        assert schedule.steps_per_window * schedule.max_windows == 8 * peers.EPOCHS
        assert (schedule.batch, settings.optimizer, settings.learning_rate) == (256, "adam", 1e-3)
    assert config.restarts == 20


def test_a_peers_settings_are_those_of_one_program():
    assert peers.settings("dcn", 1797)[0].algorithm is peers.settings("dcn", 1797)[0].algorithm
