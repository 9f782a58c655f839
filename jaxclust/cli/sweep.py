"""``jaxclust fit --methods A,B --data X,Y``: every method on every data set, with the same seeds.

Each cell runs in a process of its own, so that a cell that crashes, or that the system kills,
leaves the others. Methods of one network and the same pretraining share it.
"""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from jaxclust.cli import cluster, options, workers
from jaxclust.cli.cells import Start, run_cell
from jaxclust.cli.options import RUNS, Request
from jaxclust.cli.parse import Switch, parse_known
from jaxclust.data import archives, array_files, datasets, sources, tables
from jaxclust.engine.checkpoint import settings_json
from jaxclust.errors import UsageError, did_you_mean
from jaxclust.methods.registry import METHODS, deterministic
from jaxclust.runs.folder import check_out, delete_runs, is_finished
from jaxclust.runs.lock import held
from jaxclust.runs.plan import FEW
from jaxclust.runs.seed_count import can_show
from jaxclust.runs.settings import read_settings
from jaxclust.runs.sweeps import SWEEP, UNFINISHED, SweepCell, read_sweep, write_sweep
from jaxclust.runs.whole import is_whole
from jaxclust.types import network_name

ABOUT = """One method: jaxclust fit METHOD --data NAME_OR_PATH. Its options are listed by
jaxclust fit METHOD --help, and all methods by jaxclust methods.

Several: jaxclust fit --methods A,B --data X,Y runs every method on every data set, with the same
seeds. When a run crashes, the others go on. Methods of one network and the same pretraining share
it. Beside the options below you can give those of one method: an option goes to each method that
has it, and an option with a method's name, such as --dcec.gamma 0.2, to this method alone.
There is no baseline beside each run; k-means on pixels is a method like others."""


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be said of a sweep as a whole.

    Attributes:
      methods: Names of methods; jaxclust methods lists them.
      data: Named sets or paths.
      out: Folder of all cells, OUT/DATA/METHOD, and cells.jsonl; it must not exist. Without it:
        runs/sweep, where the same command goes on with its cells, and other options get a folder
        of their own.
      max_seconds: Stop all cells after this long together; --resume goes on from there.
      resume: Skip finished cells, and go on with the others.
      overwrite: Delete earlier runs of the same cells.
      scheduler: Address of a Dask cluster that runs the cells, such as tcp://10.0.0.1:8786; local
        starts one on this machine. Without it the cells run one after the other.
      quiet: Show no progress and no table; warnings stay.
    """

    methods: Annotated[str, tyro.conf.arg(metavar="A,B")]
    data: Annotated[str, tyro.conf.arg(metavar="X,Y")]
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    resume: Switch = False
    overwrite: Switch = False
    scheduler: Annotated[str | None, tyro.conf.arg(metavar="ADDRESS|local")] = None
    quiet: Switch = False


def command(words: list[str]) -> int:
    """Runs the cells that are not finished.

    Args:
      words: what follows ``jaxclust fit``.

    Returns:
      The exit status: 0, or 1 if a cell failed.

    Raises:
      UsageError: the options cannot be carried out.
    """
    given, rest = parse_known(Options, words, "jaxclust fit", ABOUT)
    options.check_seconds(given.max_seconds)
    if given.scheduler is not None:
        workers.check(given.scheduler)
    plan = _plan(given, rest)
    out = given.out
    resume = given.resume
    if out is None:
        out = free_folder(RUNS / "sweep", lambda folder: _same_options(plan, folder))
        resume = resume or (out.exists() and not given.overwrite)
    check_out(out, resume, given.overwrite)
    with held(out):
        plan = _run(plan, out, dataclasses.replace(given, resume=resume))
    if not given.quiet:
        for cell in plan:
            reason = f": {cell.reason}" if cell.status == "failed" else ""
            print(f"{cell.data:12} {cell.method:12} {cell.status}{reason}")
    if any(cell.status == "finished" for cell in plan):
        print(f"jaxclust compare {out} compares them")
    if any(cell.status in UNFINISHED for cell in plan):
        print(f"out of time; {goes_on(given.overwrite)}")
    return 1 if any(cell.status == "failed" for cell in plan) else 0


def goes_on(overwrite: bool) -> str:
    """How a command of several runs that was stopped is taken up again."""
    instead = " in place of --overwrite" if overwrite else ""
    return f"the same command with --resume{instead} goes on"


def free_folder(first: Path, same: Callable[[Path], bool]) -> Path:
    """The first of FIRST, FIRST-2, ... that does not exist, or holds runs of the same command.

    Args:
      first: the folder to begin with.
      same: whether a folder that exists holds runs of the same command.
    """
    others = (first.with_name(f"{first.name}-{number}") for number in itertools.count(2))
    folders = itertools.chain([first], others)
    return next(folder for folder in folders if not folder.exists() or same(folder))


def _same_options(plan: Sequence[SweepCell], folder: Path) -> bool:
    """Whether the cells that a folder has of a plan have the plan's options."""
    if not (folder / SWEEP).exists():
        return False
    earlier = {cell.folder: cell.arguments for cell in read_sweep(folder / SWEEP)}
    return all(earlier.get(cell.folder, cell.arguments) == cell.arguments for cell in plan)


def _plan(given: Options, rest: list[str]) -> list[SweepCell]:
    """All cells; every option is read here once, so that a wrong one is refused at once."""
    methods = given.methods.split(",")
    paths = given.data.split(",")
    names = [data_name(path) for path in paths]
    for what, listed in (("methods", methods), ("data", names)):
        if len(set(listed)) < len(listed):
            raise UsageError(f"{what}: must be distinct, got {','.join(listed)}")
    for method in methods:
        if method not in METHODS:
            rule = f"methods: must be of {', '.join(METHODS)}"
            raise UsageError(f"{rule}, got {method!r}{did_you_mean(method, METHODS)}")
    assigned = _assign(rest, methods)
    cells = []
    for path, name in zip(paths, names, strict=True):
        for method in methods:
            own = [word for owners, words in assigned if method in owners for word in words]
            folder = Path(name) / method
            arguments = ["--data", path, "--no-baseline", *own]
            out = RUNS / "sweep" if given.out is None else given.out
            request = options.read(method, [*arguments, "--out", str(out / folder)])
            request = options.with_few_seeds(request)
            options.check_data(request.options)
            if request.options.clusters == "auto":
                raise UsageError("clusters: must be a number with --methods, got auto")
            if request.options.distributed:
                rule = "distributed: must be with one method; --scheduler spreads several"
                raise UsageError(f"{rule}, got it with --methods")
            cells.append(
                SweepCell(
                    data=name,
                    method=method,
                    folder=str(folder),
                    arguments=arguments,
                    shares=_shares(request),
                )
            )
    return cells


def _shares(request: Request) -> str | None:
    """What cells must agree in to share a pretraining; None for a cell that has none to share."""
    given, method, _ = request
    if method.pretraining is None or given.stream:
        return None
    # A number of clusters that is not given is the data's own.
    clusters = given.clusters if isinstance(given.clusters, int) else None
    network = (network_name(method.network), clusters)
    # Other seeds, weights or inputs have another pretraining.
    inputs = (given.seeds, given.over, str(given.weights), str(given.features), given.size)
    if given.resize != "crop":  # Cells of old versions do not name it.
        inputs = (*inputs, given.resize)
    return str((network, inputs, tuple(settings_json(method.pretraining).values())))


def data_name(data: str) -> str:
    """The name that a data set gives to a folder."""
    if data.startswith(sources.SET):
        return data.removeprefix(sources.SET).replace("/", "-")
    if data in datasets.NAMES:
        return data
    path = Path(data).resolve()
    if archives.is_archive(path):
        return archives.stem(path)
    files = (*array_files.ENDINGS, *tables.ENDINGS)
    return path.stem if path.suffix in files and not path.is_dir() else path.name


def _assign(words: list[str], methods: list[str]) -> list[tuple[list[str], list[str]]]:
    """The methods that each option goes to, and the option with its values."""
    groups: list[list[str]] = []
    for word in words:
        if word.startswith("--"):
            groups.append([word])
        elif groups:
            groups[-1].append(word)
        else:
            raise UsageError(f"fit: must have options alone after --methods, got {word!r}")
    assigned = []
    for group in groups:
        flag, equals, value = group[0][2:].partition("=")
        prefix, dot, bare = flag.partition(".")
        if dot and prefix in METHODS:
            if prefix not in methods:
                raise UsageError(f"--{flag}: must be of a method in --methods, got {prefix}")
            assigned.append(([prefix], [f"--{bare}{equals}{value}", *group[1:]]))
            continue
        setting = flag.removeprefix("no-").replace("-", "_")
        owners = [method for method in methods if setting in METHODS[method].settings()]
        if not owners and any(setting in method.settings() for method in METHODS.values()):
            rule = f"--{flag}: must be an option of a method in --methods"
            raise UsageError(f"{rule}, got {', '.join(methods)}")
        assigned.append((owners or methods, group))
    return assigned


def _run(plan: list[SweepCell], out: Path, given: Options) -> list[SweepCell]:
    """Runs the cells in turn, keeps ``cells.jsonl`` up to date, and returns how each ended."""
    # With --overwrite only what is asked for runs anew; cells beside it stay.
    earlier = {cell.folder: cell for cell in read_sweep(out / SWEEP)}
    cells = [_as_before(cell, earlier, out) for cell in plan] if given.resume else list(plan)
    seeds: list[str | None] = []
    if any(cell.status != "finished" for cell in cells):
        seeds = [_seeds_given(cell) for cell in cells]
        _say_beforehand(cells, seeds, given)
    with contextlib.ExitStack() as stack:
        client = None
        if given.scheduler is not None and seeds:
            # Before anything is deleted or written: there may be no cluster.
            client = stack.enter_context(workers.connected(given.scheduler, len(cells)))
        if given.overwrite:
            # At once: beside cells that still wait no old run is to be taken for theirs.
            delete_runs([out / cell.folder for cell in plan])
        _run_cells(cells, (seeds, earlier), (out, given), client)
    return cells


def _run_cells(
    cells: list[SweepCell],
    before: tuple[list[str | None], dict[str, SweepCell]],
    where: tuple[Path, Options],
    client: Any,
) -> None:
    """Runs cells that are not finished, and puts how each ended in its place.

    Args:
      cells: all cells of the command.
      before: their seeds as typed, empty where all are finished, and the cells that the folder's
        file had.
      where: the folder, and the command's options.
      client: of a cluster; None to run the cells here.
    """
    seeds, earlier = before
    out, given = where
    start = Start.within(given.max_seconds, given.quiet)
    planned = {cell.folder for cell in cells}
    others = [cell for folder, cell in earlier.items() if folder not in planned]
    write_sweep(out / SWEEP, others + cells)

    def ended(number: int, cell: SweepCell) -> None:
        cells[number] = cell
        write_sweep(out / SWEEP, others + cells)

    # The same seeds for every method.
    mores = [["--seeds", str(FEW)] if text is None else [] for text in seeds]
    if client is not None:
        folders = [_pretrained(cell, others + cells, out) for cell in cells]
        jobs = cluster.plan_jobs(cells, mores, folders)
        cluster.run(jobs, client, (out, given.max_seconds, given.quiet), ended)
        return
    for number, cell in enumerate(cells):
        if cell.status != "finished":
            shared = _pretrained(cell, others + cells, out)
            more = ["--pretrained", str(shared)] if shared else []
            ended(number, run_cell(cell, out / cell.folder, start, [*more, *mores[number]]))


def _seeds_given(cell: SweepCell) -> str | None:
    """The seeds of a cell as they were typed; None where they were not."""
    request = options.read(cell.method, [*cell.arguments, "--out", cell.folder])
    return request.options.seeds


def _say_beforehand(
    cells: Sequence[SweepCell], seeds: Sequence[str | None], given: Options
) -> None:
    """Says on stderr what the number of seeds can show, where methods are to be compared."""
    methods = [name for name in given.methods.split(",") if not deterministic(name)]
    sets = len(given.data.split(","))
    family = sets * len(methods) * (len(methods) - 1) // 2
    if given.quiet or not family:
        return
    typed = [
        text or str(FEW) for cell, text in zip(cells, seeds, strict=True) if cell.method in methods
    ]
    fewest = min(len(options.seeds(text)) for text in typed)
    print(f"jaxclust: {can_show(fewest, family)}", file=sys.stderr)


def _as_before(cell: SweepCell, earlier: dict[str, SweepCell], out: Path) -> SweepCell:
    """A cell as an earlier start left it, if it is finished; else the cell as planned."""
    known = earlier.get(cell.folder)
    if known is None or known.status != "finished":
        return cell
    folder = out / cell.folder
    if known.arguments != cell.arguments:
        rule = f"resume: {folder} must be finished with the same options"
        raise UsageError(f"{rule}, see {out / SWEEP}")
    if not (folder / "config.json").exists():
        return known if is_finished(folder) else cell
    _check_preset(folder, cell.arguments)
    return known if is_whole(folder, read_settings(folder)) else cell


def _check_preset(folder: Path, arguments: Sequence[str]) -> None:
    """Refuses a finished cell of another preset: version 0.1 began with "paper"."""
    flag = "--preset"
    asked = arguments[arguments.index(flag) + 1] if flag in arguments else "default"
    kept = read_settings(folder).preset
    if kept != asked:
        rule = f"resume: {folder} must be of the preset {asked}"
        raise UsageError(f"{rule}, was made with {kept!r}")


def _pretrained(cell: SweepCell, cells: Sequence[SweepCell], out: Path) -> Path | None:
    """The folder of a finished cell, also one of an earlier start, with a cell's pretraining."""
    for other in cells if cell.shares is not None else ():
        folder = out / other.folder
        # The same file, not only the same name.
        same = other.shares == cell.shares and other.arguments[:2] == cell.arguments[:2]
        if other.status == "finished" and same and (folder / "checkpoint" / "pretrain").is_dir():
            return folder
    return None
