"""The papers' experiments: every cell has settings and a network for its images, and variants are no two alike."""

import itertools

import pytest

from experiments import ccnn, common, dbc
from jaxclust.algorithms import METHODS


def test_methods_that_pretrain_otherwise_do_not_share_it():
    assert common.pretraining_name(METHODS["dec"]) == common.pretraining_name(METHODS["idec"]) == "sae"
    assert common.pretraining_name(METHODS["dcn"]) == "sae-layerwise"


@pytest.mark.parametrize("start", ccnn.STARTS)
def test_no_two_variants_of_ccnn_are_alike(start):
    found = {variant: ccnn.settings(variant, start, 10) for variant in ccnn.VARIANTS}
    for (one, mine), (other, theirs) in itertools.combinations(found.items(), 2):
        assert (mine[0].network, *mine[1:]) != (theirs[0].network, *theirs[1:]), (one, other)


def test_dbcs_tables_have_a_number_for_methods_they_run():
    published = {name for cells in dbc.PAPER.values() for name in cells}
    assert published == set(dbc.METHODS)
    # Table 3, on the pixels.
    assert dbc.PAPER["mnist"]["dcn"] == (0.58, 0.63)
