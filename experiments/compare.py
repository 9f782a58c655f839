"""Every method at its default on several sets: what beats k-means on pixels?

Rows that are there count, and so do those that the papers' experiments have of the same settings:
only the seeds that are missing run. Each method is tested against k-means, and each data set is a
family of its own. All pairs on all sets would be a family of over 1,000 comparisons, in which ten
seeds could show nothing. For the same reason those in LATER_FAMILIES have families of their own.
"""

import functools
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from experiments import rows, runner
from experiments.experiment import Experiment, Part, Request
from experiments.papers.ccnn import cells as ccnn
from experiments.papers.dbc import cells as dbc
from experiments.papers.dcec import cells as dcec
from experiments.papers.jule import cells as jule
from jaxclust.comparison import tables
from jaxclust.comparison.compare import comparison
from jaxclust.comparison.options import Options
from jaxclust.comparison.types import Comparison, DataSetComparison
from jaxclust.data import datasets
from jaxclust.data.datasets import Dataset
from jaxclust.errors import UsageError
from jaxclust.evaluation import metrics
from jaxclust.methods import best, registry
from jaxclust.report.write import write_report
from jaxclust.runs import collect
from jaxclust.runs.cells import Cell
from jaxclust.runs.folder import RESULTS as FINISHED
from jaxclust.runs.folder import is_finished
from jaxclust.runs.reading import open_run
from jaxclust.runs.rows import Row, row_name
from jaxclust.runs.settings import digest, make_settings
from jaxclust.types import PRETRAINING, Schedule

RESULTS = rows.RESULTS / "compare.jsonl"
CONSENSUS = rows.RESULTS / "consensus.jsonl"
"""What the seeds of a run say together, beside the mean of the seeds."""
SEEDS = {"digits": 10, "usps": 10, "mnist-test": 5, "coil20-32": 5, "fashion-mnist-test": 5}
"""Number of seeds on each data set."""
BASELINE = "kmeans"
BUILT = tuple(
    name
    for name, method in registry.METHODS.items()
    if not (method.needs_weights or method in best.METHODS)
)
"""Methods that need no file of weights; ``experiments.best`` has those of ``methods.best``."""
METHOD_OF = {
    row_name(name, labeling): name
    for name in BUILT
    for labeling in registry.get(name).algorithm.labelings
}
"""The method of each name that rows have."""
NAMES = tuple(METHOD_OF)
"""What their rows are called."""
SPECTRAL = tuple(name for name in BUILT if registry.get(name).kind == "spectral")
FACTORS = ("nmf-lp", "nmf-d", "iec", "tsc-d")
AUTOENCODERS = ("dae-kmeans", "aec", "den", "cnn-cm")
LATER_FAMILIES = (SPECTRAL, FACTORS, AUTOENCODERS)
"""Methods that came when the others had been compared: with them ten seeds could show nothing. Each
group is a family of its own."""
LATER = tuple(name for family in LATER_FAMILIES for name in family)
PLANNED = sum(name not in LATER for name in METHOD_OF.values()) - 1
"""Comparisons of the other methods with BASELINE on a data set. They are corrected for also where a
method does not fit the images."""
OTHERS: tuple[tuple[Path, Callable[[Row], bool]], ...] = (
    (dcec.RESULTS, lambda row: True),
    (dbc.RESULTS, lambda row: True),
    (jule.RESULTS, lambda row: (row.input, row.variant) == (jule.PIXELS, "default")),
    (
        ccnn.RESULTS,
        lambda row: row.variant in ccnn.TABLE_2 and row.extra["start"] == "reconstruction",
    ),
)
"""The papers' experiments, and which of their rows have the settings of their preset alone."""


OF_THE_SCHEDULE = {"update_epochs", "least_steps"}
"""Settings that decide the schedule and nothing else."""


@functools.cache  # The tables ask for it for each row, and ask often.
def is_default(name: str, preset: str, n: int) -> bool:
    """Whether a preset gives the same numbers as the default on n images.

    It does where it has the same settings, or others of the schedule that give the same one.
    """
    presets = registry.get(name).presets
    if preset not in presets:
        return False
    differing = {setting.removeprefix(PRETRAINING) for setting in presets[preset]}
    return differing <= OF_THE_SCHEDULE and _schedules(name, preset, n) == _schedules(
        name, "default", n
    )


def _schedules(name: str, preset: str, n: int) -> list[Schedule]:
    """The schedules of a method's phases."""
    phases = registry.method(name, preset).phases()
    return [algorithm.schedule(config, n) for _, algorithm, config in phases]


def at_default(row: Row) -> bool:
    """Whether a row has the numbers of its method's default."""
    name = METHOD_OF.get(row.method)
    return name is not None and is_default(name, row.preset or "", row.n)


def present(more: Iterable[Row] = ()) -> list[Row]:
    """A row for each data set, method and seed that has one; the comparison's own come first.

    Args:
      more: rows that come last, as of a run that repeats what is there.

    Raises:
      UsageError: a seed has two rows of the same settings with other scores.
    """
    found = rows.read(RESULTS)
    for path, counts in OTHERS:
        found += [row for row in rows.read(path) if counts(row)]
    kept: dict[tuple[str, str, int], Row] = {}
    for row in (*found, *more):
        if row.seed >= SEEDS.get(row.data, 0) or not at_default(row):
            continue
        first = kept.setdefault((row.data, row.method, row.seed), row)
        if first.config_hash == row.config_hash and first.outcome() != row.outcome():
            where = f"{row.data}, {row.method}, seed {row.seed}"
            rule = f"rows: {where} must have one score in {RESULTS.parent}"
            raise UsageError(f"{rule}, got two of the same settings")
    return list(kept.values())


def missing(dataset: Dataset, methods: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """The seeds that methods lack on a data set; no entry for a method that lacks none.

    Raises:
      UsageError: the rows that are there have other settings.
    """
    there = present()
    lacking = {}
    for name in methods:
        # The first of several labelings stands for all.
        title = row_name(name, registry.get(name).algorithm.labelings[0])
        cell = rows.of_cell(there, dataset.name, title)
        n = len(dataset.images)
        presets = [x for x in registry.get(name).presets if is_default(name, x, n)]
        known = {config_hash(dataset, name, preset) for preset in presets}
        if {row.config_hash for row in cell} - known:
            rule = f"rows: {dataset.name}, {title} must have the settings of the method"
            raise UsageError(f"{rule}, has others")
        seeds = set(range(SEEDS[dataset.name])) - {row.seed for row in cell}
        if seeds:
            lacking[name] = tuple(sorted(seeds))
    return lacking


def config_hash(dataset: Dataset, name: str, preset: str = "default") -> str:
    """The config hash of a method's rows on a data set under a preset."""
    method = registry.method(name, preset, clusters=dataset.classes)
    return digest(make_settings(method, preset, datasets.fingerprint(dataset), (), ""))


def fitting(dataset: Dataset, methods: Sequence[str]) -> list[str]:
    """The methods whose networks take the images; the others are named on stderr."""
    found = []
    for name in methods:
        try:
            registry.method(name, clusters=dataset.classes).build(dataset.images.shape[1:])
            found.append(name)
        except UsageError as error:
            print(f"{dataset.name}: without {name}, {error}", file=sys.stderr)
    return found


def run_set(data: str, methods: Sequence[str], request: Request, page: bool = False) -> bool:
    """Runs what is missing on a data set, and adds the rows of what is finished.

    Methods that lack the same seeds run together and share their pretraining. Where some seeds are
    there already, they run in a folder of those that are not.

    Args:
      data: the data set's name.
      methods: names.
      request: for the folder and the deadline.
      page: whether each method needs a run of all seeds in the folder, since no row has labels.

    Returns:
      False where time ran out.
    """
    dataset = datasets.load(data)
    methods = fitting(dataset, methods)
    lacking = missing(dataset, methods)
    everything = tuple(range(SEEDS[data]))
    asked = dict(lacking)
    if page:
        for name in methods:
            if not is_finished(request.folder / data / name):
                asked[name] = everything
    for seeds in dict.fromkeys(asked.values()):
        left = request.deadline - time.monotonic()
        if left <= 0:
            return False
        out = request.folder
        if seeds != everything:
            out = out / f"seeds-{'-'.join(map(str, seeds))}"
        names = [name for name in methods if asked.get(name) == seeds]
        # Finished cells are skipped there.
        listed = [name for name in methods if name in names or is_finished(out / data / name)]
        # The comma at the end says that these are seeds, not how many.
        numbers = f"{','.join(map(str, seeds))},"
        words = ["fit", "--methods", ",".join(listed), "--data", data, "--seeds", numbers]
        words += ["--out", str(out), "--no-figures"]
        if left != float("inf"):
            words += ["--max-seconds", f"{left:.3f}"]
        runner.jaxclust([*words, "--resume"] if out.exists() else words)
        for name in names:
            if is_finished(out / data / name):
                _add(dataset, name, out / data / name, lacking.get(name, ()))
    return True


def _add(dataset: Dataset, name: str, folder: Path, seeds: Sequence[int]) -> None:
    """Adds the rows of some seeds of a finished run.

    Raises:
      UsageError: the run has other settings, or other scores than the rows that are there.
    """
    made = rows.read(folder / FINISHED)
    if {row.config_hash for row in made} - {config_hash(dataset, name)}:
        rule = f"rows: {folder / FINISHED} must have the settings of the method"
        raise UsageError(f"{rule}, has others; delete that run")
    rows.add(RESULTS, [row for row in made if row.seed in seeds])
    present(made)
    if {row.seed for row in made} == set(range(SEEDS[dataset.name])):
        keep_consensus(dataset, name, folder)


def keep_consensus(dataset: Dataset, name: str, folder: Path) -> None:
    """Adds the scores of a run's consensus, in place of those of the same data and method."""
    run = open_run(folder)
    if len(run.failed) == len(run.seeds):
        return
    scores = metrics.scores(runner.labels_of(dataset), run.consensus().labels)
    line = {"data": dataset.name, "method": name, "seeds": len(run.seeds)}
    line |= {"config_hash": config_hash(dataset, name), **scores}
    rows.put(CONSENSUS, [line])


def grouped(found: Iterable[Row]) -> list[Cell]:
    """A cell for each data set and method."""
    cells: dict[tuple[str, str], Cell] = {}
    for row in found:
        key = (row.data, row.method)
        cells.setdefault(key, Cell(*key, {})).rows[row.seed] = row
    return list(cells.values())


def against_baseline(cells: Sequence[Cell], notes: Sequence[str] = ()) -> Comparison:
    """Each method against BASELINE, each data set a family; arguments as of ``comparison``.

    A family is planned for all methods of each group of LATER_FAMILIES that the cells have one of,
    and for all other methods where they have one of these.
    """
    compared = {METHOD_OF[cell.method] for cell in cells} - {BASELINE}
    planned = sum(len(family) for family in LATER_FAMILIES if compared.intersection(family))
    planned += PLANNED * (not compared or not compared <= set(LATER))
    options = Options(baseline=BASELINE, family="data", planned=planned)
    return comparison(cells, options, notes)


def results(
    data: Collection[str] = tuple(SEEDS), methods: Collection[str] | None = None
) -> Comparison | None:
    """The comparison of the rows of some methods on some sets; None without rows.

    Sets and methods are in their order here; without ``methods`` it has all but LATER.
    """
    if methods is None:
        methods = [name for name in BUILT if name not in LATER]
    sets = list(SEEDS)
    found = [row for row in present() if row.data in data and METHOD_OF[row.method] in methods]
    found.sort(key=lambda row: (sets.index(row.data), NAMES.index(row.method)))
    return against_baseline(grouped(found)) if found else None


def later_results(family: Sequence[str]) -> Comparison | None:
    """The comparison of one of LATER_FAMILIES; None where none of its methods has rows."""
    found = results(methods=(BASELINE, *family))
    if found is None or all(name == BASELINE for one in found.data for name in _names(one)):
        return None
    return found


def _names(data: DataSetComparison) -> list[str]:
    return [summary.method for summary in data.methods]


def text(form: str = "text") -> str:
    """The comparison as a table, and those of LATER_FAMILIES; empty without rows."""
    found = [results(), *map(later_results, LATER_FAMILIES)]
    return "\n\n".join(tables.FORMATS[form](one) for one in found if one is not None)


def run(request: Request, page: bool = False) -> bool:
    """Runs what is missing on each data set; False where time ran out."""
    methods = dict.fromkeys((BASELINE, *request.methods))
    return all(run_set(data, tuple(methods), request, page) for data in request.data)


def write_page(request: Request) -> bool:
    """Writes the report of the comparison, with a look into the runs that are asked for.

    Runs that are not in the folder are made.

    Raises:
      UsageError: time ran out, or the runs have other scores than the rows.
    """
    from jaxclust.cli.report import check_out  # Here, since what reads results needs no tyro.

    out = request.out
    if out is None:
        raise UsageError("out: must name the page, got none")
    check_out(out, overwrite=True)
    if not run(request, page=True) or time.monotonic() > request.deadline:
        raise UsageError(f"out: {out} is not written, some runs wait for more time")
    methods = dict.fromkeys((BASELINE, *request.methods))
    folders = [request.folder / data / name for data in request.data for name in methods]
    looked, notes = collect.read([str(folder) for folder in folders if is_finished(folder)])
    known = {(row.data, row.method, row.seed): row.outcome() for row in present()}
    for row in (row for cell in looked for row in cell.rows.values()):
        if known.get((row.data, row.method, row.seed)) != row.outcome():
            where = f"{row.data}, {row.method}, seed {row.seed}"
            rule = f"folder: {request.folder} must have the scores of the rows"
            raise UsageError(f"{rule}, has others of {where}")
    write_report(out, results(request.data, methods), looked, notes)
    return True


def print_text(request: Request) -> bool:
    """Prints the comparison in the format that is asked for."""
    print(text(request.format))
    return True


_NAMES = {"data": SEEDS, "methods": BUILT}
EXPERIMENT = Experiment(
    RESULTS,
    text,
    {
        "": Part(f"what is missing; {BASELINE} always runs too", run, _NAMES),
        "page": Part("the report with a look into runs", write_page, _NAMES, {}, ("out",)),
    },
    table=Part("the comparison", print_text, flags=("format",), prints=False),
)
