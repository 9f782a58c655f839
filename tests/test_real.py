"""Real images, real widths: the methods beat k-means on the same pixels, with the same seeds."""

import dataclasses

import numpy as np
import pytest

from jaxclust import fit, metrics
from jaxclust.algorithms import METHODS, configured

SEEDS = (0, 1)
MARGIN = 0.04  # of NMI, over the mean of the seeds


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """Where the methods share one pretraining."""
    return tmp_path_factory.mktemp("pretraining")


def mean_nmi(name, digits, pretrained=None, **changes):
    config, pretraining = configured(name, "quick", clusters=10)
    config = dataclasses.replace(config, **changes)
    done = fit.fit(METHODS[name], config, pretraining, digits.images, SEEDS, over="shard", pretrained=pretrained)
    assert done.failed == [None, None]
    return np.mean([metrics.nmi(digits.labels, labels) for labels in done.labels])


@pytest.fixture(scope="module")
def baseline(digits):
    return mean_nmi("kmeans", digits)


@pytest.mark.parametrize("name", ["dcec", "dec-conv"])
def test_convolutional_methods_beat_k_means_on_digits(name, digits, shared, baseline):
    assert mean_nmi(name, digits, shared) > baseline + MARGIN


def test_jule_beats_k_means_on_digits(digits, baseline):
    # The loss of the authors' code: eq. (11) as printed, without a margin, wants more epochs than these.
    loss = {"negatives": "random", "margin": 0.2, "gamma": 1.0}
    assert mean_nmi("jule", digits, **loss) > baseline + MARGIN
