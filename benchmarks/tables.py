"""Tables of numbers, clustered as a user of scikit-learn types it: ``python -m benchmarks.tables``.

``KMeans`` and ``DEC`` of ``jaxclust.estimators`` run beside scikit-learn's ``KMeans`` and ClustPy's
``DEC``, each with its own defaults and seeds 0, 1 and 2. Wine's columns are brought to mean 0 and
variance 1 for all four. Digits are their 64 pixels in [0, 1]. The features of photos-10 are those
of EfficientNet-Lite0, divided for ClustPy by their root mean square, as jaxclust does by itself. A
row is appended to ``experiments/results/tables.jsonl`` for each set and program that has none, of
those that ``--data`` and ``--programs`` name.

ClustPy 0.0.3 is installed as for ``benchmarks.peers``.
"""

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.cluster import KMeans as ScikitKMeans
from sklearn.datasets import load_digits, load_wine
from sklearn.metrics import adjusted_rand_score
from sklearn.preprocessing import StandardScaler

from benchmarks.peers import check_installed, silence, stand_in
from benchmarks.rows import append_row, read_rows
from jaxclust.data import datasets
from jaxclust.engine.clocks import Stopwatch
from jaxclust.estimators import DEC, KMeans
from jaxclust.runs import feature_inputs

SEEDS = (0, 1, 2)
FEATURES = "efficientnet-lite0"


def wine() -> tuple[np.ndarray, np.ndarray]:
    """178 wines, 13 measurements, float64 (178, 13) of mean 0 and variance 1; three cultivars."""
    loaded: Any = load_wine()
    return StandardScaler().fit_transform(loaded.data), loaded.target


def digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels of 1,797 digits, float64 (1797, 64) in [0, 1]."""
    loaded: Any = load_digits()
    return loaded.data / 16, loaded.target


def photographs() -> tuple[np.ndarray, np.ndarray]:
    """Features of 3,000 photographs of ten kinds, float32 (3000, 1280), with mean square 1."""
    pictures = datasets.load(Path(os.environ["JAXCLUST_DATA"]) / "photos-10", channels=3)
    dataset, _ = feature_inputs.replaced(pictures, FEATURES)
    assert dataset.labels is not None
    return dataset.images.reshape(len(dataset.images), -1), dataset.labels


SETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {
    "wine": wine,
    "digits": digits,
    "photos-10": photographs,
}


def clustpy_dec(table: np.ndarray, clusters: int, seed: int) -> np.ndarray:
    """Labels of ClustPy's DEC."""
    from clustpy import deep  # pyright: ignore[reportMissingImports]

    model = deep.DEC(clusters, device="cpu", random_state=seed)
    with silence():
        model.fit(table.astype(np.float32))
    return np.asarray(model.labels_)


PROGRAMS: dict[str, Callable[[np.ndarray, int, int], np.ndarray]] = {
    "KMeans": lambda table, k, seed: KMeans(k, random_state=seed).fit_predict(table),
    "scikit-learn KMeans": lambda table, k, seed: ScikitKMeans(k, random_state=seed).fit_predict(
        table
    ),
    "DEC": lambda table, k, seed: DEC(k, random_state=seed).fit_predict(table),
    "ClustPy DEC": clustpy_dec,
}


def main() -> None:
    """Runs what has no row, and prints and keeps the rows."""
    parser = argparse.ArgumentParser(description="Tables, as a user of scikit-learn clusters them.")
    parser.add_argument("--data", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    given = parser.parse_args()
    if any("ClustPy" in program for program in given.programs):
        check_installed(parser)
        stand_in()
    known = {(row["data"], row["program"]) for row in read_rows("tables")}
    for data in given.data:
        missing = [program for program in given.programs if (data, program) not in known]
        if not missing:
            continue
        table, classes = SETS[data]()
        for program in missing:
            cluster = PROGRAMS[program]
            watch = Stopwatch()
            labels = [cluster(table, len(np.unique(classes)), seed) for seed in SEEDS]
            times = watch.read()
            row = {
                "data": data,
                "program": program,
                "seeds": list(SEEDS),
                "ari": [round(adjusted_rand_score(classes, found), 6) for found in labels],
                "seconds": round(times.seconds + times.compile_seconds, 1),
            }
            append_row("tables", row)
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
