"""Real images, real widths: the methods beat k-means on the same pixels, with the same seed."""

import dataclasses

import pytest

from jaxclust.engine import fit
from jaxclust.evaluation import metrics
from jaxclust.methods.registry import METHODS, configured

pytestmark = pytest.mark.optimized

MARGIN = 0.04  # of NMI


def nmi(name, digits, **changes):
    config, pretraining = configured(name, "quick", clusters=10)
    config = dataclasses.replace(config, **changes)
    done = fit.fit(METHODS[name], config, pretraining, digits.images, (0,))
    assert done.failed == [None]
    return metrics.nmi(digits.labels, done.labels[0])


@pytest.fixture(scope="module")
def baseline(digits):
    return nmi("kmeans", digits)


def test_dcec_beats_k_means_on_digits(digits, baseline):
    assert nmi("dcec", digits, max_steps=700) > baseline + MARGIN


def test_dbc_beats_k_means_on_digits(digits, baseline):
    assert nmi("dbc", digits) > baseline + MARGIN


def test_jule_beats_k_means_on_digits(digits, baseline):
    # The loss of the Torch code: eq. (11) as printed, without a margin, wants more epochs than these.
    loss = {"negatives": "random", "margin": 0.2, "gamma": 1.0}
    assert nmi("jule", digits, **loss) > baseline + MARGIN
