"""Folders of runs, written without running anything, and ``jaxclust compare`` on them."""

import copy
import json

from jaxclust.cli.main import main
from jaxclust.runs.files import write_rows
from jaxclust.runs.rows import SCORES

SETTINGS = {
    "method": "dcec",
    "preset": "paper",
    "data": {"name": "usps", "shape": [100, 8, 8, 1], "dtype": "uint8", "sha256": "0" * 64},
    "seeds": [],
    "over": "map",
    "config": {"clusters": 10, "gamma": 0.1},
    "pretraining": None,
}
# ACC of seeds 0 to 7 of two methods that differ.
GOOD = [0.80, 0.81, 0.79, 0.82, 0.80, 0.83, 0.81, 0.78]
BAD = [0.70, 0.72, 0.69, 0.71, 0.73, 0.70, 0.72, 0.68]


def rows(method, data, scores, n=100):
    """A row a seed, from {seed: ACC} where None is a failure; the other metrics are a little lower."""
    return [
        {
            "method": method,
            "data": data,
            "seed": seed,
            **{name: None if acc is None else acc - 0.01 * k for k, name in enumerate(SCORES)},
            "n": n,
            "clusters": 10,
            "failed": 7 if acc is None else None,
            "failed_phase": "cluster" if acc is None else None,
            "config_hash": method,
        }
        for seed, acc in scores.items()
    ]


def make(folder, method, scores, data="usps", n=100, **config):
    """A finished run; ``scores`` as in ``rows``, or a list for seeds 0, 1, ...."""
    scores = scores if isinstance(scores, dict) else dict(enumerate(scores))
    settings = copy.deepcopy(SETTINGS) | {"method": method, "seeds": list(scores)}
    settings["data"] |= {"name": data, "shape": [n, 8, 8, 1]}
    settings["config"] |= config
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    write_rows(folder / "results.jsonl", rows(method, data, scores, n))
    return folder


def compare(capsys, *arguments, form="json"):
    assert main(["compare", *map(str, arguments), "--format", form]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out) if form == "json" else out


def error(capsys, *arguments):
    assert main(["compare", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    return err
