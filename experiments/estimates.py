"""Which number of clusters each criterion of ``--clusters auto`` takes, beside the classes.

The criteria look at no label. Each row has a data set, a criterion and a range of numbers. The rule
of each criterion and the default were chosen on digits and USPS; the other sets are reported.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable

import numpy as np

from experiments import rows, tables
from experiments.clusters import RESULTS as STABILITIES
from experiments.experiment import Experiment, Part, Request
from experiments.papers.ccnn import imagenet
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.evaluation import agreement
from jaxclust.evaluation.silhouettes import choose_number
from jaxclust.runs import feature_inputs
from jaxclust.runs.fit import fit
from jaxclust.runs.number import CRITERIA, estimate
from jaxclust.types import Json

RESULTS = rows.RESULTS / "estimates.jsonl"
PHOTOS = "photos-10"
DATA = ("digits", "usps", "mnist-test", "coil20-32", PHOTOS)
FEATURES = "efficientnet-lite0"
"""What the photographs are looked at by; the other sets by their pixels."""
UMAP = "umap silhouette"
UMAP_PACKAGE = "umap"
"""umap-learn, which need not be installed; without it there are no such rows."""
STABILITY = "stability"
RANGES = ("2,20", "2,40")
SEEDS = 5
Choose = Callable[[np.ndarray, range], int]


def text() -> str:
    """A line a data set and range: the number that each criterion takes, and the classes."""
    taken = {
        (line["data"], line["range"], line["criterion"]): str(line["chosen"])
        for line in rows.read_lines(RESULTS)
    }
    classes = {line["data"]: str(line["classes"]) for line in rows.read_lines(RESULTS)}
    for line in rows.read_lines(STABILITIES):
        # Its range was 2 to 30. All that it takes of these sets is below 20.
        if line["method"] == "kmeans":
            taken.setdefault((line["data"], "2,20", STABILITY), str(line["chosen"]))
    heads = [*CRITERIA, UMAP, STABILITY]
    lines = [["data", "range", "classes", *heads]]
    for given in RANGES:
        for data in DATA:
            numbers = [taken.get((data, given, head), "-") for head in heads]
            if any((data, given, head) in taken for head in CRITERIA):
                lines.append([data, given, classes[data], *numbers])
    return tables.aligned(lines)


def run(request: Request) -> bool:
    """Makes the rows that are missing; False where time ran out."""
    done = {(line["data"], line["range"], line["criterion"]) for line in rows.read_lines(RESULTS)}
    for given in RANGES:
        low, high = map(int, given.split(","))
        for data in request.data:
            for criterion, choose in _criteria(data, given).items():
                if (data, given, criterion) in done:
                    continue
                if time.monotonic() >= request.deadline:
                    return False
                dataset = load(data)
                start = time.monotonic()
                chosen = choose(dataset.images, range(low, high + 1))
                seconds = round(time.monotonic() - start, 1)
                line: dict[str, Json] = {"data": data, "criterion": criterion, "range": given}
                line |= {"vectors": FEATURES if data == PHOTOS else "pixels"}
                line |= {"chosen": chosen, "classes": dataset.classes, "seconds": seconds}
                rows.append(RESULTS, [line])
    return True


def load(data: str) -> Dataset:
    """A data set; of the photographs their features."""
    if data != PHOTOS:
        return datasets.load(data)
    return feature_inputs.replaced(imagenet.load(PHOTOS), FEATURES)[0]


def _criteria(data: str, given: str) -> dict[str, Choose]:
    """What chooses a number of clusters, by its name."""

    def by(name: str) -> Choose:
        return lambda images, numbers: estimate(name, images, numbers).clusters

    criteria = {name: by(name) for name in CRITERIA}
    if given == RANGES[0]:
        if importlib.util.find_spec(UMAP_PACKAGE) is not None:
            criteria[UMAP] = in_umap
        if data == PHOTOS:  # ``experiments.clusters`` has that of the other sets.
            criteria[STABILITY] = stable
    return criteria


def in_umap(images: np.ndarray, numbers: range) -> int:
    """The number by ``jaxclust group``'s rule in five dimensions of a UMAP."""
    # By its name, since the package need not be installed where types are checked, either.
    umap = importlib.import_module(UMAP_PACKAGE)
    vectors = images.reshape(len(images), -1).astype(np.float32)
    reduced = umap.UMAP(n_components=5, min_dist=0.0, random_state=0).fit_transform(vectors)
    return choose_number(np.asarray(reduced, np.float32), numbers=numbers).groups


def stable(images: np.ndarray, numbers: range) -> int:
    """The largest number at which seeds of k-means agree within .01 of the best."""
    # Pixels and features are at least 0. ``fit`` takes arrays up to 1, and k-means has no unit.
    scaled = images / max(1, images.max())
    known = {}
    for number in numbers:
        labels = fit("kmeans", scaled, clusters=number, seeds=SEEDS, progress=False).labels
        known[number] = float(agreement.stability(agreement.agreement(labels)).mean())
    return agreement.best_clusters(known)


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {"": Part("the rows that are missing", run, {"data": DATA}, {"data": DATA})},
)
