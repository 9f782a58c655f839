"""The experiment on ``best``: its variants, its rows, and the vote of seeds from several groups."""

import dataclasses
import functools

import numpy as np
import pytest

import jaxclust as jc
from experiments import best, rows, runner
from experiments.experiment import Request
from jaxclust.data import datasets
from jaxclust.evaluation import metrics
from jaxclust.methods import registry
from jaxclust.runs.consensus import make_consensus

small_network = functools.partial(jc.networks.sae, hidden=(32,))
SMALL = {"max_steps": 4, "update_interval": 2, "pretraining.epochs": 1, "graph_windows": None}


@pytest.mark.parametrize("variant", best.VARIANTS)
def test_a_variant_differs_from_its_method_in_what_it_names(variant):
    name, changes = best.VARIANTS[variant]
    usual = registry.get(name)
    changed = usual.with_settings(changes)
    before = dataclasses.asdict(usual.config) | {
        f"pretraining.{key}": value for key, value in dataclasses.asdict(usual.pretraining).items()
    }
    after = dataclasses.asdict(changed.config) | {
        f"pretraining.{key}": value
        for key, value in dataclasses.asdict(changed.pretraining).items()
    }
    assert {key for key in before if before[key] != after[key]} == set(changes)


@pytest.fixture(scope="module")
def ran(few_digits, tmp_path_factory):
    """The rows and votes of four seeds in two groups, and the labels of each group."""
    folder = tmp_path_factory.mktemp("best")
    data = datasets.Dataset("few", *few_digits)
    method = registry.get("best").replace(network=small_network).with_settings(SMALL)
    fits = []

    def fit(cell):
        fits.append(runner_fit(cell))
        return fits[-1]

    runner_fit = runner.fit
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(best, "RESULTS", folder / "rows.jsonl")
        patch.setattr(best, "VOTES", folder / "votes.jsonl")
        patch.setattr(best, "SEEDS", {"few": 4})
        patch.setattr(best, "LANES", {"few": 2})
        patch.setattr(datasets, "load", {"few": data}.get)
        patch.setattr(registry, "method", lambda *_, **given: method.with_settings(given))
        patch.setattr(runner, "fit", fit)
        request = Request(data=("few",), variants=("best",), folder=folder / "runs")
        assert not best.run(request._replace(deadline=0.0))
        assert best.run(request)
        count = len(fits)
        assert best.run(request)
        assert len(fits) == count
        text = best.text()
        made = rows.read(best.RESULTS)
        votes = rows.read_lines(best.VOTES)
    return made, votes, text, [done.labels for done in fits if done.finished], few_digits[1]


@pytest.mark.slow
def test_seeds_of_all_groups_have_rows_and_vote_together(ran):
    made, votes, _, labels, truth = ran
    assert sorted(row.seed for row in made) == [0, 1, 2, 3]
    (line,) = votes
    assert (line["data"], line["variant"], line["seeds"], line["failed"]) == ("few", "best", 4, 0)
    consensus = make_consensus(np.concatenate(labels), range(4), 10)
    assert line["acc"] == round(metrics.accuracy(truth, consensus.labels), 6)
    central = metrics.accuracy(truth, np.concatenate(labels)[consensus.medoid])
    assert line["central_acc"] == round(central, 6)


@pytest.mark.slow
def test_the_table_has_the_least_seed_and_the_vote(ran):
    made, (line,), text, _, _ = ran
    assert f"{min(row.acc for row in made):.4f}" in text
    assert f"{line['acc']:.4f}" in text
