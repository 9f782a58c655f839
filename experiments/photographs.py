"""Deep methods beside k-means on the features of a pretrained network.

The pictures of photos-10 and the features of EfficientNet-Lite0, which has seen ImageNet's labels.
Every method has its default settings, and trains its own network on the features.
"""

from collections.abc import Iterator

from experiments import rows, runner, tables
from experiments.experiment import Experiment, Part, Request
from experiments.papers.ccnn.imagenet import load
from jaxclust.engine import fit as engine
from jaxclust.methods import registry
from jaxclust.runs import feature_inputs

RESULTS = rows.RESULTS / "photographs.jsonl"
DATA = ("photos-10",)
FEATURES = "efficientnet-lite0"
SEEDS = range(5)
METHODS = ("kmeans", "ac-gdl", "sae-kmeans", "dec", "idec", "dcn", "dkm")


def cells(request: Request) -> Iterator[runner.Cell]:
    """Each method on the features of each set."""
    for data in request.data:
        pictures = load(data)
        dataset = feature_inputs.replaced(pictures, FEATURES)[0]._replace(name=data)
        for name in request.methods:
            method = registry.method(name, clusters=dataset.classes)
            place = request.folder / data
            options = engine.Options(
                directory=place / name,
                pretrained=place / runner.pretraining_folder(method),
            )
            key = {"data": data, "method": name, "input": FEATURES}
            # Methods that do not depend on the seed have one row.
            seeds = SEEDS[:1] if method.algorithm.deterministic else SEEDS
            yield runner.Cell(RESULTS, key, dataset, method, seeds, request, options, "default")


def run(request: Request) -> bool:
    """Runs the cells that have no rows; False where time ran out."""
    return runner.run_all(cells(request))


def text() -> str:
    """A line for each method: ACC and NMI over the seeds."""
    found = rows.read(RESULTS)
    lines = [["data", "features", "method", "seeds", "ACC", "NMI", "least ACC"]]
    for data in DATA:
        for name in METHODS:
            cell = [row for row in found if (row.data, row.method) == (data, name)]
            if not cell:
                continue
            known = [row.acc for row in cell if row.acc is not None]
            scores = [tables.interval([row.acc for row in cell])]
            scores.append(tables.interval([row.nmi for row in cell]))
            least = f"{min(known):.4f}" if known else "-"
            lines.append([data, FEATURES, name, str(len(cell)), *scores, least])
    return tables.aligned(lines)


EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(
            "deep methods on the features of a pretrained network",
            run,
            {"data": DATA, "methods": METHODS},
        )
    },
)
