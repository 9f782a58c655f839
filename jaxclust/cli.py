"""The command: ``jaxclust fit METHOD --data NAME_OR_PATH --out DIR``, ``jaxclust methods``, ``jaxclust datasets``."""

import contextlib
import dataclasses
import io
import itertools
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import numpy as np
import tyro
from tqdm import tqdm

from jaxclust import datasets, events, fit, record, train
from jaxclust.algorithms import METHODS, configured

MOST_SEEDS = 1000
USAGE = """usage: jaxclust fit METHOD --data NAME_OR_PATH --out DIR [options]    cluster images
       jaxclust fit METHOD --help                                  every option of a method
       jaxclust fit --methods A,B --data X,Y --out DIR [options]   every method on every data set
       jaxclust methods                                            what METHOD can be
       jaxclust datasets                                           what NAME can be, and which are here
       jaxclust predict DIR --data NAME_OR_PATH --out LABELS.csv   new images into a run's clusters
       jaxclust compare RUN... [options]                           which differences the seeds can carry
       jaxclust report RUN... --out FILE.html                      the same and a look into each run, as a page"""


@dataclasses.dataclass(frozen=True)
class _Common:
    data: str
    """A named set (see jaxclust datasets), a folder of images, or a path to an .npz with `images` or an .npy."""
    out: Path
    """Folder for settings, results, labels, history, checkpoints and figures; must not exist."""
    seeds: str = "5"
    """How many (5: seeds 0 to 4), or which (0,3,7; or 3, for that one)."""
    size: str | None = None
    """Height,width to which a folder's images are scaled and cropped, or one number for both."""
    features: str | None = None
    """Features in the images' place: dsift-pca, or the path of an .npy file with a row for each image."""
    preset: str = "paper"
    """paper: the published settings; quick: fewer pretraining epochs, nothing else."""
    over: Literal["auto", "vmap", "map", "shard"] = "auto"
    """How seeds run: together, one after the other, or spread over devices (on a CPU: over its cores)."""
    max_seconds: float | None = None
    """Stop after this long with a checkpoint, to go on with --resume."""
    pretrained: Path | None = None
    """Folder of a run whose finished pretraining (same data, seeds, settings) is used instead of a new one."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in the folder."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Delete an earlier run's files in the folder."""
    baseline: bool = True
    """Run k-means on the same pixels with the same seeds, for comparison."""
    figures: bool = True
    """Draw curves, embedding and contact sheets."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the history as TensorBoard event files too, a folder a seed, when the command ends or stops."""


@dataclasses.dataclass(frozen=True)
class _Predict:
    directory: tyro.conf.Positional[Path]
    """A finished run's folder."""
    data: str
    """Images of the run's height, width and channels: a named set or a path."""
    out: Path
    """The .csv file to write: image, cluster, probability, distance (Euclidean, to the centroid in the embedding)."""
    seed: int | None = None
    """Whose clusters; the run's first seed that did not fail, unless given."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Replace the file where it exists."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 with one line on stderr for what cannot be done."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(USAGE)
            return 0
        command, *rest = arguments
        if command == "methods":
            for name, method in METHODS.items():
                print(f"{name:12} {method.about} (presets: {', '.join(method.presets)})")
            return 0
        if command == "datasets":
            print(datasets.listing())
            return 0
        if command == "predict":
            return _predict(rest)
        if command == "compare":
            from jaxclust import compare

            return compare.command(rest)
        if command == "report":
            from jaxclust import report

            return report.command(rest)
        if command != "fit":
            raise ValueError(f"command: must be fit, methods, datasets, predict, compare or report, got {command!r}")
        if not rest or rest[0] in ("-h", "--help"):
            print(USAGE)
            return 0 if rest else 2
        if any(argument.split("=")[0] == "--methods" for argument in rest):
            from jaxclust import sweep

            return sweep.command(rest)
        if "auto" in rest or "--clusters=auto" in rest:
            from jaxclust import auto

            if auto.asked(rest):
                return auto.command(rest[0], rest[1:])
        return _fit(rest[0], rest[1:])
    except (ValueError, OSError) as error:
        # A ValueError from elsewhere is a fault of this program, and its traceback is wanted.
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
        if isinstance(error, ValueError) and Path(__file__).parent.resolve() not in raised.parents:
            raise
        print(f"jaxclust: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxclust: interrupted; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parse(method: str, arguments: list[str]) -> tuple[_Common, Any, Any]:
    """The common flags, the method's settings and its pretraining's, each setting a flag."""
    preset = _tyro(
        dataclasses.make_dataclass("Preset", [("preset", str, "paper")]),
        arguments,
        return_unknown_args=True,
        add_help=False,
    )[0].preset
    config, pretraining = configured(method, preset)
    fields = [("config", Annotated[type(config), tyro.conf.arg(name="")], config)]
    if pretraining is not None:
        fields.append(("pretraining", type(pretraining), pretraining))
    parsed = _tyro(
        dataclasses.make_dataclass("Arguments", fields, bases=(_Common,), frozen=True),
        arguments,
        prog=f"jaxclust fit {method}",
        description=METHODS[method].about,
    )
    return parsed, parsed.config, getattr(parsed, "pretraining", None)


def _tyro(kind: type, arguments: list[str], **options: Any) -> Any:
    """``tyro.cli``, its boxed complaint made one line."""
    complaint = io.StringIO()
    try:
        with contextlib.redirect_stderr(complaint):
            return tyro.cli(kind, args=arguments, **options)
    except SystemExit as end:
        if not end.code:
            raise
        # A title, the complaint and further help, parted by rules; where stdout is not UTF-8 they are drawn in ASCII.
        lines = [line.strip("│ ") for line in complaint.getvalue().splitlines()[1:]]
        lines = itertools.dropwhile(_is_rule, lines)
        message = " ".join(itertools.takewhile(lambda line: not _is_rule(line), lines))
        raise ValueError(message) from None


def _is_rule(line: str) -> bool:
    return set(line) <= set("─-╰╯")


def _seeds(text: str) -> tuple[int, ...]:
    """ "5" is 0 to 4; "0,3,7" those three; "3," that one."""
    rule = f"seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0, got {text!r}"
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isdecimal() for part in parts):
        raise ValueError(rule)
    numbers = tuple(int(part) for part in parts)
    if "," not in text:
        if not 1 <= numbers[0] <= MOST_SEEDS:
            raise ValueError(f"{rule}; a count is at most {MOST_SEEDS}, and {text}, with a comma is that one seed")
        return tuple(range(numbers[0]))
    if len(set(numbers)) < len(numbers) or max(numbers) >= 2**31:
        raise ValueError(rule)
    return numbers


def _size(text: str | None) -> tuple[int, int] | None:
    """ "64" is 64 by 64; "48,42" is 48 high and 42 wide."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise ValueError(f"size: must be one number, or height,width such as 48,42, got {text!r}")
    return int(parts[0]), int(parts[-1])


def _fit(name: str, arguments: list[str]) -> int:
    if name not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(METHODS)}, got {name!r}")
    method = METHODS[name]
    common, config, pretraining = _parse(name, arguments)
    seeds = _seeds(common.seeds)
    if common.max_seconds is not None and not common.max_seconds > 0:
        raise ValueError(f"max-seconds: must be above 0, got {common.max_seconds}")
    dataset = datasets.load(common.data, _size(common.size))
    pictures = dataset.images
    if common.features is not None:
        from jaxclust import features

        dataset = features.replaced(dataset, common.features)
    if not any(argument.split("=")[0] == "--clusters" for argument in arguments):
        if dataset.classes is None:
            raise ValueError(f"clusters: must be given, since {dataset.name} has no labels")
        config = dataclasses.replace(config, clusters=max(dataset.classes, 2))
    datasets.check_clusters(dataset, config.clusters)
    if getattr(method.config, "max_steps", None) == 0 and config.max_steps > 0:
        raise ValueError(f"max-steps: must be 0 for {name}, which only runs k-means, got {config.max_steps}")
    over = _over(common.over, len(seeds))
    fit.build(method, config, dataset.images.shape[1:])
    wanted = record.settings(name, common.preset, dataset, seeds, over, config, pretraining)
    if common.features is not None:
        wanted["features"] = Path(common.features).name
    if common.pretrained is not None and common.pretrained.resolve() == common.out.resolve():
        raise ValueError(f"pretrained: must be another folder than out, got {common.pretrained}")
    pretrained = None if common.pretrained is None else _pretrained(common.pretrained, wanted, method.network)
    record.open_run(common.out, wanted, common.resume, common.overwrite)
    results = common.out / "results.jsonl"
    if results.exists():
        print(f"{common.out} is finished already")
        _print_table(common.out)
        return 0

    with _Bars() as bars:
        done = fit.fit(
            method,
            config,
            pretraining,
            dataset.images,
            seeds,
            over=over,
            directory=common.out / "checkpoint",
            pretrained=pretrained,
            max_seconds=common.max_seconds,
            progress=bars.show,
        )
        steps = _steps(method, config, pretraining, len(dataset.images))
        record.write(common.out / "history.csv", record.history_csv(done, seeds, steps))
        if common.tensorboard:
            events.write(common.out / "tensorboard", done, seeds, steps)
        if not done.finished:
            bars.close()
            print(f"stopped after {common.max_seconds:g} s with a checkpoint; go on with --resume")
            return 0
        for labeling, labels in zip(["", *list(done.labelings)[1:]], done.labelings.values(), strict=True):
            record.write_labels(common.out / f"{record.row_name('labels', labeling)}.npy", labels)
        rows = record.rows(wanted, dataset, done, steps["cluster"])
        if common.baseline and name != "kmeans":
            record.write_rows(common.out / "baseline.jsonl", _baseline(dataset, config.clusters, seeds, over, bars))
        # Rows before pictures: whatever becomes of those, the results are there.
        record.write_rows(results, rows)
        if common.figures:
            _figures(common.out / "figures", method, config, dataset, pictures, done, seeds, bars)
    _print_table(common.out)
    for row in rows:
        if row["largest_cluster"] is not None and row["largest_cluster"] > record.COLLAPSED:
            share = f"one cluster holds {100 * row['largest_cluster']:.0f} % of the images"
            print(f"jaxclust: warning: seed {row['seed']} collapsed, {share}", file=sys.stderr)
    return 0


def _predict(arguments: list[str]) -> int:
    from jaxclust.predict import predict, table

    options = _tyro(_Predict, arguments, prog="jaxclust predict", description="New images into a run's clusters.")
    if options.out.is_dir() or (options.out.exists() and not options.overwrite):
        raise ValueError(f"out: must not exist without --overwrite, nor be a folder, got {options.out}")
    if not options.out.parent.is_dir():
        raise ValueError(f"out: must be in a folder that exists, got {options.out}")
    settings = record.read_settings(options.directory)
    if settings.get("features") is not None:
        raise ValueError(f"run: must be on images to take new ones, {options.directory} is on {settings['features']}")
    height, width, channels = settings["data"]["shape"][1:]
    dataset = datasets.load(options.data, (height, width), channels, least=1)
    seed, predicted = predict(options.directory, dataset.images, options.seed)
    record.write(options.out, table(dataset.files or range(len(dataset.images)), predicted))
    print(f"{len(dataset.images):,} images into the clusters of seed {seed}: {options.out}")
    return 0


def _over(asked: str, seeds: int) -> train.Over:
    """The fastest way to run the seeds here, unless one is asked for; "shard" makes a device of each CPU core."""
    if asked in ("auto", "shard") and seeds > 1:
        # A backend that has started, as in a notebook, keeps the devices it has.
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", min(os.cpu_count() or 1, seeds))
    return train.fastest(seeds) if asked == "auto" else asked


def _pretrained(directory: Path, wanted: dict[str, Any], network: Callable) -> Path:
    """The checkpoints of another run, if its pretraining is the one wanted here."""
    found = record.read_settings(directory)
    if not (directory / "results.jsonl").exists() or not (directory / "checkpoint" / "pretrain").is_dir():
        raise ValueError(f"pretrained: must be a finished run with a pretraining of its own, got {directory}")
    names = ("data", "seeds", "over", "pretraining")
    theirs, ours = ({name: one[name] for name in names} for one in (found, wanted))
    theirs["clusters"], ours["clusters"] = found["config"]["clusters"], wanted["config"]["clusters"]
    theirs["network"], ours["network"] = METHODS[found["method"]].network.__name__, network.__name__
    differing = record.differences(theirs, ours)
    if differing:
        raise ValueError(f"pretrained: {directory} must hold the same pretraining, differs in {'; '.join(differing)}")
    return directory / "checkpoint"


def _steps(method: Any, config: Any, pretraining: Any, n: int) -> dict[str, int]:
    """Steps in a window of each phase."""
    steps = {"cluster": method.algorithm.schedule(config, n).steps_per_window}
    if pretraining is not None:
        steps["pretrain"] = fit.pretraining_of(method).schedule(pretraining, n).steps_per_window
    return steps


def _baseline(
    dataset: datasets.Dataset, clusters: int, seeds: Sequence[int], over: train.Over, bars: "_Bars"
) -> list[dict[str, Any]]:
    """Rows of k-means on the pixels."""
    config, _ = configured("kmeans", clusters=clusters)
    wanted = record.settings("kmeans", "paper", dataset, seeds, over, config, None)
    bars.stage("k-means on pixels")
    done = fit.fit(METHODS["kmeans"], config, None, dataset.images, seeds, over=over)
    return record.rows(wanted, dataset, done, 1)


def _figures(
    folder: Path,
    method: Any,
    config: Any,
    dataset: datasets.Dataset,
    pictures: np.ndarray,
    done: fit.Fit,
    seeds: Sequence[int],
    bars: "_Bars",
) -> None:
    """Curves of all seeds; embedding and contact sheets, of the pictures, of the first that did not fail."""
    try:
        from jaxclust import plots
    except ImportError:
        print("jaxclust: no figures without matplotlib: pip install 'jaxclust[plots]'", file=sys.stderr)
        return
    folder.mkdir(exist_ok=True)
    plots.curves(folder / "curves.png", {name: phase.history for name, phase in done.phases.items()}, seeds)
    lane = next((lane for lane, failed in enumerate(done.failed) if failed is None), None)
    if lane is None:
        return
    labels, n = done.labels[lane], len(dataset.images)
    network = fit.build(method, config, dataset.images.shape[1:])
    state = jax.tree.map(lambda leaf: np.asarray(leaf[lane]), done.phases["cluster"].runs.state)
    some = np.random.default_rng(0).permutation(n)[: plots.POINTS]
    features = np.asarray(
        jax.jit(method.algorithm.embed, static_argnums=(0, 1))(config, network, state, dataset.images[some])
    )
    classes = None if dataset.labels is None else dataset.labels[some]
    bars.stage("t-SNE", note=f"{len(some):,} points")
    title = f"{dataset.name}, seed {seeds[lane]}: {len(some):,} images"
    plots.embedding(folder / "embedding.png", features, labels[some], classes, title)
    bars.stage("contact sheets", config.clusters)
    digits = len(str(config.clusters - 1))
    for cluster in range(config.clusters):
        members = np.flatnonzero(labels == cluster)
        chosen = np.random.default_rng(cluster).permutation(members)[:100]
        plots.contact_sheet(folder / f"cluster-{cluster:0{digits}d}.png", pictures[chosen])
        bars.step()


def _print_table(directory: Path) -> None:
    rows = record.read_rows(directory / "results.jsonl")
    baseline = directory / "baseline.jsonl"
    first = rows[0]
    run = f"{first['n']:,} images, {first['clusters']} clusters, preset {first['preset']}"
    print(f"{record.read_settings(directory)['method']} on {first['data']}: {run}")
    rows += record.read_rows(baseline) if baseline.exists() else []
    print(
        record.table(
            [[row for row in rows if row["method"] == name] for name in dict.fromkeys(r["method"] for r in rows)]
        )
    )
    print("seconds: the run's wall-clock time without compilation, divided by its seeds; compile s: the whole run's")
    print(f"files: {directory}")


class _Bars:
    """Progress on stderr: one bar a phase."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> "_Bars":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def show(self, phase: str, event: train.Event | None) -> None:
        if event is None:
            self.stage({"pretrain": "pretraining", "cluster": "clustering"}.get(phase, phase), note="compiling")
            return
        bar = self._bar
        bar.total = event.schedule.max_windows
        bar.n = int(np.max(event.runs.window))
        last = {name: event.history[name][-1] for name in ("loss", "changed") if name in event.history}
        bar.set_postfix_str(
            f"{', '.join(f'{name} {value:.3g}' for name, value in last.items())}; "
            f"{int(event.done.sum())} of {event.done.size} seeds done",
            refresh=False,
        )
        bar.refresh()

    def stage(self, name: str, total: int | None = None, note: str = "") -> None:
        self.close()
        self._bar = tqdm(total=total, desc=name, postfix=note or None, file=sys.stderr, leave=True, dynamic_ncols=True)

    def step(self) -> None:
        self._bar.update()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


if __name__ == "__main__":
    sys.exit(main())
