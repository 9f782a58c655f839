"""The papers' experiments: every cell has settings and a network for its images, and variants are no two alike."""

import argparse
import itertools
import subprocess
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


def test_ccnns_variants_of_one_network_are_pretrained_once_before_their_cells(tmp_path, monkeypatch):
    ran = []
    monkeypatch.setattr(ccnn, "RESULTS", tmp_path / "rows.jsonl")
    monkeypatch.setattr(
        ccnn.subprocess, "run", lambda command, check: ran.append(command) or subprocess.CompletedProcess(command, 0)
    )
    ccnn.run(options(variants="ccnn,baseline-i,plain ccnn"))
    cells = [command[5] + " --pretrain" * ("--pretrain" in command) for command in ran]
    assert cells == ["ccnn --pretrain", "ccnn", "baseline-i", "plain ccnn --pretrain", "plain ccnn"]


def test_a_cell_of_ccnn_has_what_its_clustering_took(tmp_path, monkeypatch, digits, few_digits):
    for name, value in (("SEEDS", {"digits": (0,)}), ("RESULTS", tmp_path / "rows"), ("CURVES", tmp_path / "curves")):
        monkeypatch.setattr(ccnn, name, value)
    few = digits._replace(images=few_digits[0][:60], labels=few_digits[1][:60])
    monkeypatch.setattr(ccnn, "dataset_of", lambda name: few)
    cell = ("digits", "baseline-iii", "random", "map", tmp_path, 1e6)
    ccnn.pretrain(*cell)
    made = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "digits" / "random" / "ccnn").rglob("*"))
    assert made
    assert ccnn.run_cell(*cell)
    assert made == [(path, time) for path, time in made if path.stat().st_mtime_ns == time]
    (row,) = common.rows(ccnn.RESULTS)
    assert 0 < row["clustering_seconds"] <= row["seconds"]
    assert row["clustering_peak_mb"] > 100
    shown = ccnn.tables().splitlines()[1].split()
    assert shown[-2:] == [f"{row['clustering_seconds']:.1f}", str(row["clustering_peak_mb"])]


def test_ccnns_rows_from_before_have_no_time_in_table_iii(monkeypatch):
    row = {"data": "usps", "variant": "ccnn", "start": "random", "seed": 0, "nmi_sqrt": 0.5, "drift": 1, "length": 4}
    monkeypatch.setattr(ccnn.common, "rows", lambda path: [row | {"seconds": 9.0, "peak_memory_mb": 8}])
    assert ccnn.tables().splitlines()[1].split() == ["usps", "random", "ccnn", "1", "0.5000", "0.2500"]


def test_dbcs_tables_have_a_number_for_methods_they_run():
    published = {name for cells in dbc.PAPER.values() for name in cells}
    assert published == set(dbc.METHODS)
    # Table 3, on the pixels.
    assert dbc.PAPER["mnist"]["dcn"] == (0.58, 0.63)
