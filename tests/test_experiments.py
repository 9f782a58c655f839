"""The papers' experiments: every cell has settings and a network for its images, and variants are no two alike."""

import argparse
import itertools
from pathlib import Path

import pytest

from experiments import ccnn, common, dbc
from jaxclust import record
from jaxclust.algorithms import METHODS


def test_methods_that_pretrain_otherwise_do_not_share_it():
    assert common.pretraining_name(METHODS["dec"]) == common.pretraining_name(METHODS["idec"]) == "sae"
    assert common.pretraining_name(METHODS["dcn"]) == "sae-layerwise"


@pytest.mark.parametrize("start", ccnn.STARTS)
def test_no_two_variants_of_ccnn_are_alike(start):
    found = {variant: ccnn.settings(variant, start, 10) for variant in ccnn.VARIANTS}
    for (one, mine), (other, theirs) in itertools.combinations(found.items(), 2):
        assert (mine[0].network, *mine[1:]) != (theirs[0].network, *theirs[1:]), (one, other)


def options(**changes):
    """Of CCNN's first cell on digits."""
    usual = {"data": "digits", "variants": "ccnn", "starts": "random", "over": "map", "max_seconds": 1e6}
    return argparse.Namespace(**usual | {"folder": Path("nowhere")} | changes)


@pytest.mark.parametrize("over", ["map", "vmap"])
def test_ccnns_rows_of_other_settings_do_not_pass_for_a_cell(tmp_path, monkeypatch, digits, over):
    ran = []
    monkeypatch.setattr(ccnn.subprocess, "run", lambda command, check: ran.append(command))
    monkeypatch.setattr(ccnn, "RESULTS", tmp_path / "rows.jsonl")
    made = record.digest(ccnn.record_of(digits, "ccnn", "random", "map"))
    common.add(ccnn.RESULTS, [{"data": "digits", "variant": "ccnn", "start": "random", "config_hash": made}])
    if over == "map":
        ccnn.run(options())
    else:
        with pytest.raises(ValueError, match="rows: .* has digits, ccnn, random with other settings"):
            ccnn.run(options(over=over))
    assert not ran


def test_dbcs_tables_have_a_number_for_methods_they_run():
    published = {name for cells in dbc.PAPER.values() for name in cells}
    assert published == set(dbc.METHODS)
    # Table 3, on the pixels.
    assert dbc.PAPER["mnist"]["dcn"] == (0.58, 0.63)
