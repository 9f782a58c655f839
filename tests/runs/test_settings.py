"""Settings that come back from a run's folder are those of the method that ran."""

import json

import numpy as np
import pytest

import jaxclust as jc
from jaxclust.cli.main import main
from jaxclust.data.datasets import Fingerprint
from jaxclust.errors import UsageError
from jaxclust.methods import registry
from jaxclust.methods.registry import METHODS
from jaxclust.runs.settings import make_settings, method_of

CHEAP = {
    "kmeans": {},
    "ac-link": {},
    "sc-ls": {},
    "n-cuts": {},
    "nmf-lp": {"iterations": 20},
    "nmf-d": {"layers": [12, 8], "layer_iterations": 5, "iterations": 20},
    "iec": {"partitions": 5},
    "tsc-d": {"atoms": 16, "epochs": 1, "dictionary_rounds": 1},
}
"""Methods that take moments, with settings as a file has them."""


@pytest.mark.parametrize("name", METHODS)
def test_settings_of_a_file_are_the_methods_own_again(name):
    method = METHODS[name]
    data = Fingerprint("few", (20, 8, 8, 1), "uint8", "")
    settings = make_settings(method, "default", data, (0,), "map")
    kept = json.loads(json.dumps(settings.to_json()))
    assert kept == settings.to_json()
    again = method_of(settings, "runs/few")
    assert (again.config, again.pretraining) == (method.config, method.pretraining)
    hash((again.config, again.pretraining))


@pytest.mark.parametrize("name", CHEAP)
def test_a_saved_run_predicts_and_embeds(name, few_digits, tmp_path):
    images = few_digits[0][:80]
    run = jc.fit(jc.method(name, **CHEAP[name]), images, clusters=4, seeds=2)
    run.save(tmp_path / "run")
    opened = jc.open_run(tmp_path / "run")
    for each in (run, opened):
        assert each.predict(images[:7]).cluster.shape == (7,)
        assert len(each.embed(images[:7])) == 7
    np.testing.assert_array_equal(opened.embed(images), run.embed(images))
    np.testing.assert_array_equal(opened.predict(images).cluster, run.predict(images).cluster)


def test_the_command_draws_figures_of_a_method_with_a_list_of_widths(data, tmp_path):
    words = f"fit nmf-d --data {data} --out {tmp_path / 'run'} --seeds 2 --no-baseline"
    assert main(f"{words} --preset quick --over map".split()) == 0
    assert list((tmp_path / "run").rglob("embedding.png"))


@pytest.mark.parametrize("value", [5, "ab", [4, 2.5], [True, 3], None])
def test_a_list_of_widths_holds_whole_numbers(value):
    with pytest.raises(UsageError, match="layers: must be a list of int, got "):
        registry.method("nmf-d", layers=value)
    assert registry.method("nmf-d", layers=[8, 4]).config.layers == (8, 4)
