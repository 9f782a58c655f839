"""What modules of this folder share."""

import pytest

from jaxclust.data import datasets


@pytest.fixture(scope="module")
def fingerprints_once():
    """Takes the fingerprint of the same arrays once, for settings of every method on one set."""
    fingerprint, kept = datasets.fingerprint, {}

    def asked(dataset):
        key = (dataset.name, id(dataset.images), id(dataset.labels))
        if key not in kept:
            kept[key] = (dataset, fingerprint(dataset))  # The arrays live on, and so do their ids.
        return kept[key][1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(datasets, "fingerprint", asked)
        yield
