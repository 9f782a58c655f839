"""On real images and at real widths, methods beat k-means on the same pixels with the same seed."""

import pytest

from jaxclust.engine import fit
from jaxclust.evaluation import metrics
from jaxclust.methods import registry

MARGIN = 0.04
"""Difference of NMI that counts as better."""


def nmi(name, digits, **settings):
    """The NMI of seed 0 with the preset "quick" and some other settings."""
    method = registry.method(name, "quick", clusters=10, **settings)
    done = fit.fit(method, digits.images, (0,))
    assert done.failed == [None]
    return metrics.nmi(digits.labels, done.labels[0])


@pytest.fixture(scope="module")
def baseline(digits):
    """The NMI of k-means on pixels."""
    return nmi("kmeans", digits)


@pytest.mark.slow
def test_dcec_beats_k_means_on_digits(digits, baseline):
    assert nmi("dcec", digits, max_steps=700) > baseline + MARGIN


def test_dbc_beats_k_means_on_digits(digits, baseline):
    assert nmi("dbc", digits, max_epochs=15, pretraining={"epochs": 5}) > baseline + MARGIN


def test_jule_beats_k_means_on_digits(digits, baseline):
    """With the loss of the Torch code: eq. (11) as printed, without a margin, needs more epochs."""
    loss = {"negatives": "random", "margin": 0.2, "gamma": 1.0}
    assert nmi("jule", digits, epochs=1, **loss) > baseline + MARGIN
