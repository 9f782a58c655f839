"""The papers' experiments: every cell has settings and a network for its images, and variants are no two alike."""

from experiments import common, dbc
from jaxclust.algorithms import METHODS


def test_methods_that_pretrain_otherwise_do_not_share_it():
    assert common.pretraining_name(METHODS["dec"]) == common.pretraining_name(METHODS["idec"]) == "sae"
    assert common.pretraining_name(METHODS["dcn"]) == "sae-layerwise"


def test_dbcs_tables_have_a_number_for_methods_they_run():
    published = {name for cells in dbc.PAPER.values() for name in cells}
    assert published == set(dbc.METHODS)
    # Table 3, on the pixels.
    assert dbc.PAPER["mnist"]["dcn"] == (0.58, 0.63)
