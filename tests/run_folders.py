"""Runs that nothing has run, in folders and in memory, and ``jaxclust compare`` on them."""

import copy
import json

import numpy as np

from jaxclust.cli.main import main
from jaxclust.data.datasets import Fingerprint
from jaxclust.runs.files import json_lines
from jaxclust.runs.rows import SCORES, Row, row_name
from jaxclust.runs.run import Run
from jaxclust.runs.settings import Settings

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
# Other columns that each row of a finished run has.
COLUMNS = {"preset": "paper", "largest_cluster": 0.1, "seconds": 1.0, "compile_seconds": 2.0}


def rows(method, data, scores, n=100):
    """A row for each seed as a file holds it.

    ``scores`` is {seed: ACC}, where None is a failure; the other metrics are a little lower.
    """
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
            "config_hash": None,  # Rows without one are of any settings, which tests change.
            **COLUMNS,
        }
        for seed, acc in scores.items()
    ]


def make(folder, method, scores, data="usps", n=100, **config):
    """A finished run's folder; ``scores`` as in ``rows``, or a list for seeds 0, 1, ...."""
    scores = scores if isinstance(scores, dict) else dict(enumerate(scores))
    settings = copy.deepcopy(SETTINGS) | {"method": method, "seeds": list(scores)}
    settings["data"] |= {"name": data, "shape": [n, 8, 8, 1]}
    settings["config"] |= config
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(settings))
    (folder / "results.jsonl").write_text(json_lines(rows(method, data, scores, n)))
    return folder


def memory_run(method, labels):
    """A finished run in memory, of images without labels.

    ``labels`` are int32 (seeds, n), -1 throughout for a failed seed, or {labeling: labels}.
    """
    labelings = labels if isinstance(labels, dict) else {"": labels}
    seeds, n = next(iter(labelings.values())).shape
    data = Fingerprint("array", (n, 8, 8, 1), "uint8", "0" * 64)
    settings = Settings(method, "paper", data, tuple(range(seeds)), "map", {"clusters": 10}, None)
    lines = []
    for name, own in labelings.items():
        for seed in range(seeds):
            failed = bool(np.all(own[seed] < 0))
            row = Row(
                method=row_name(method, name),
                data="array",
                seed=seed,
                n=n,
                clusters=10,
                failed=7 if failed else None,
                failed_phase="cluster" if failed else None,
            )
            lines.append(row)
    return Run(settings, tuple(lines), labelings, {})


def compare(capsys, *arguments, form="json"):
    """What ``jaxclust compare`` prints, as JSON or text."""
    assert main(["compare", *map(str, arguments), "--format", form]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    return json.loads(out) if form == "json" else out


def error(capsys, *arguments):
    """The one line with which ``jaxclust compare`` refuses."""
    assert main(["compare", *map(str, arguments)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1, err
    return err
