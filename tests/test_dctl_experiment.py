"""DCTL's experiments: every cell has settings that can be, and the open fields of the config are each changed once."""

import dataclasses
import inspect
import re

from experiments import dctl as experiment
from jaxclust import fit
from jaxclust.algorithms import METHODS, dctl


def test_every_cell_has_settings_and_a_network_for_its_input():
    for name in (*experiment.TABLE_1, *experiment.TABLE_2, *(f"open-{name}" for name in experiment.OPEN)):
        key, config, pretraining = experiment.settings(name, "quick", 38)
        assert config.clusters == 38
        assert (pretraining is None) == (METHODS[key].pretraining is None)
        fit.build(METHODS[key], config, (48, 42, 1) if name.endswith("-pixels") else (15, 20, 1))


def test_what_the_paper_leaves_open_is_changed_each_once():
    source = inspect.getsource(dctl.Config)
    fields = [field.name for field in dataclasses.fields(dctl.Config)]
    said = dict(re.findall(r'^    (\w+): [^\n]*\n    """(.*?)"""', source, flags=re.M | re.S))
    assert set(said) == set(fields)
    # Adam and its closed form for codes are both P1's solvers, and changed too.
    wanted = {name for name in fields if "(open" in said[name]} | {"z_update", "residual"}
    changed = {field for changes in experiment.OPEN.values() for field in changes}
    assert changed == wanted


def test_tables_print_from_rows(tmp_path, monkeypatch):
    rows = [
        {"data": "yaleb", "method": method, "seed": seed, "acc": 0.1 + 0.1 * shift, "nmi": 0.2, "ari": 0.0}
        | {"seconds": 2.0 + shift, "failed": None, "input": "a grid"}
        for shift, method in enumerate(("kmeans", "dctl"))
        for seed in range(3)
    ]
    monkeypatch.setattr(experiment.common, "rows", lambda path: rows)
    text = experiment.tables()
    assert re.search(r"yaleb +dctl less kmeans +acc \+0\.1000 \[\+0\.1000, \+0\.1000\] over 3 seeds", text)
    assert re.search(r"yaleb +dctl +3\.0 s +1\.5 times k-means", text)
