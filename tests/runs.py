"""Folders of runs, written without running anything."""

import copy
import json

from jaxclust import record

SETTINGS = {
    "method": "dcec",
    "preset": "paper",
    "data": {"name": "usps", "shape": [100, 8, 8, 1], "dtype": "uint8", "sha256": "0" * 64},
    "seeds": [],
    "over": "map",
    "config": {"clusters": 10, "gamma": 0.1},
    "pretraining": None,
}


def rows(method, data, scores, n=100):
    """A row a seed, from {seed: ACC} where None is a failure; the other metrics are a little lower."""
    return [
        {
            "method": method,
            "data": data,
            "seed": seed,
            **{name: None if acc is None else acc - 0.01 * k for k, name in enumerate(record.SCORES)},
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
    record.write_rows(folder / "results.jsonl", rows(method, data, scores, n))
    return folder
