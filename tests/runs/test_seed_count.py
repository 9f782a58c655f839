"""The usual number of seeds, and what a number of seeds can show."""

import dataclasses
import json

import numpy as np
import pytest

from jaxclust.cli import options
from jaxclust.data.datasets import Dataset, fingerprint
from jaxclust.methods import registry
from jaxclust.runs import seed_count
from jaxclust.runs.plan import Plan
from jaxclust.runs.settings import make_settings
from run_folders import SETTINGS

CHOOSE = Plan(seeds=(0, 1, 2, 3, 4), choose_seeds=True)


def images(n=1797, side=8, channels=1):
    return Dataset("digits", np.zeros((n, side, side, channels), np.uint8), None)


def count(name, data, plan=CHOOSE, preset="default", **settings):
    method = registry.method(name, preset, **settings)
    chosen, line = seed_count.with_usual_seeds(method, data, plan)
    return len(chosen.seeds), line or ""


def test_ten_seeds_where_they_take_less_than_two_minutes():
    number, line = count("cae-kmeans", images())
    assert number == 10
    assert line == "10 seeds are forecast to take about 1 minute on two cores, so that 10 run"
    number, line = count("dec", images())
    assert number == 5
    assert line.endswith("so that 5 run; --seeds 10 runs them all the same")
    assert "about 7 minutes" in line
    assert count("kmeans", images())[0] == 10
    assert count("kmeans", images(70_000, 28))[0] == 5


def test_what_is_not_measured_has_five():
    assert count("ac-gdl", images())[0] == 5  # It draws no random number.
    assert count("cae-kmeans", images(), preset="paper")[0] == 5
    own = registry.method("cae-kmeans").replace(step=lambda *parts: None)
    assert len(seed_count.with_usual_seeds(own, images(), CHOOSE)[0].seeds) == 5
    slow = registry.method("cae-kmeans", pretraining={"epochs": 5000})
    assert len(seed_count.with_usual_seeds(slow, images(), CHOOSE)[0].seeds) == 5


def test_seeds_that_are_given_or_begun_stay(tmp_path):
    given = Plan(seeds=(0, 1, 2))
    assert seed_count.with_usual_seeds(registry.method("kmeans"), images(), given) == (given, None)
    (tmp_path / "config.json").write_text(json.dumps(SETTINGS | {"seeds": [0, 1, 7]}))
    begun = dataclasses.replace(CHOOSE, out=tmp_path, resume=True)
    chosen, line = seed_count.with_usual_seeds(registry.method("kmeans"), images(), begun)
    assert (chosen.seeds, line) == ((0, 1, 7), None)


def test_a_run_that_began_with_five_goes_on_with_them(tmp_path):
    method = registry.method("kmeans", clusters=10)
    few = make_settings(method, "default", fingerprint(images()), range(5), "map")
    many = dataclasses.replace(few, seeds=tuple(range(10)))
    plan = dataclasses.replace(CHOOSE, seeds=many.seeds, out=tmp_path, find_out=True)
    assert seed_count.as_begun(plan, many, tmp_path) == (plan, many)
    folder = tmp_path / "kmeans-digits"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(few.to_json() | {"origin": {}}))
    assert seed_count.as_begun(plan, many, tmp_path)[1] == few
    assert seed_count.as_begun(plan, many, tmp_path)[0].seeds == few.seeds
    # What writes over everything has no reason to have few.
    over = dataclasses.replace(plan, overwrite=True)
    assert seed_count.as_begun(over, many, tmp_path) == (over, many)


CLAIM = "show at the 0.05 level that one method beats another"


@pytest.mark.parametrize(
    ("seeds", "family", "line"),
    [
        (1, None, f"with 1 seed no test can {CLAIM}; 6 seeds can"),
        (5, None, f"with 5 seeds no test can {CLAIM}; 6 seeds can"),
        (10, None, f"with 10 seeds a test can {CLAIM}, in 25 comparisons at most"),
        (
            6,
            3,
            f"with 6 seeds no test can {CLAIM}, after correction for 3 comparisons; 7 seeds can",
        ),
        (6, 1, f"with 6 seeds a test can {CLAIM}, after correction for 1 comparison"),
    ],
)
def test_what_seeds_can_show(seeds, family, line):
    assert seed_count.can_show(seeds, family) == line


def test_the_command_leaves_the_choice_open():
    request = options.read("kmeans", ["--data", "digits"])
    assert (request.plan.choose_seeds, len(request.plan.seeds)) == (True, 5)
    assert not options.read("kmeans", ["--data", "digits", "--seeds", "3"]).plan.choose_seeds
    few = options.with_few_seeds(request)
    assert (few.options.seeds, few.plan.choose_seeds) == ("5", False)


def test_each_method_with_seeds_is_measured_but_for_those_on_the_way_to_best_and_large_networks():
    random = {name for name in registry.names() if not registry.get(name).algorithm.deterministic}
    others = {name for name in random if registry.get(name).needs_weights}
    others |= {"dec-da", "dcec-da", "ccnn-alexnet-plain"}
    assert set(seed_count.SECONDS) == random - others
