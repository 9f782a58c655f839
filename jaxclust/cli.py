"""The command: ``jaxclust fit METHOD --data NAME_OR_PATH --out DIR``, ``jaxclust methods``, ``jaxclust datasets``."""

import dataclasses
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import tyro

from jaxclust import datasets, events, fit, flags, record, stdout, summary, train, weights
from jaxclust.algorithms import METHODS, configured
from jaxclust.progress import Bars

USAGE = """usage: jaxclust fit METHOD --data NAME_OR_PATH --out DIR [options]    cluster images
       jaxclust fit METHOD --help                                  every option of a method
       jaxclust fit --methods A,B --data X,Y --out DIR [options]   every method on every data set
       jaxclust methods                                            what METHOD can be
       jaxclust datasets                                           what NAME can be, and which are here
       jaxclust predict DIR --data NAME_OR_PATH --out LABELS.csv   new images into a run's clusters
       jaxclust weights METHOD --data LABELLED --out W.safetensors  first layers trained on another set's labels
       jaxclust compare RUN... [options]                           which differences the seeds can carry
       jaxclust report RUN... --out FILE.html                      the same and a look into each run, as a page"""


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


@dataclasses.dataclass(frozen=True)
class _Weights:
    data: str
    """A labelled set: a name (see jaxclust datasets), a folder with a sub-folder for each class, or an .npz."""
    out: Path
    """The .safetensors file to write; must not exist."""
    seed: int = 0
    """Of the first weights and the order of the images."""
    epochs: int = 10
    """Passes over the images."""
    learning_rate: float = 1e-3
    """Adam's step size."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 with one line on stderr for what cannot be done."""
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return stdout.reader_gone()
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


def _run(arguments: list[str]) -> int:
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
    if command == "weights":
        return _weights(rest)
    if command == "compare":
        from jaxclust import compare

        return compare.command(rest)
    if command == "report":
        from jaxclust import report

        return report.command(rest)
    if command != "fit":
        known = "fit, methods, datasets, predict, weights, compare or report"
        raise ValueError(f"command: must be {known}, got {command!r}")
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


def _fit(name: str, arguments: list[str]) -> int:
    if name not in METHODS:
        raise ValueError(f"method: must be one of {', '.join(METHODS)}, got {name!r}")
    method = METHODS[name]
    common, config, pretraining = flags.parse(name, arguments)
    seeds = flags.seeds(common.seeds)
    if common.max_seconds is not None and not common.max_seconds > 0:
        raise ValueError(f"max-seconds: must be above 0, got {common.max_seconds}")
    given = {argument.split("=")[0] for argument in arguments}
    if common.stream:
        from jaxclust import stream

        return stream.command(name, common, config, pretraining, given)
    dataset = datasets.load(common.data, flags.size(common.size))
    pictures, origin = dataset.images, flags.origin(common)
    if common.features is not None:
        from jaxclust import features

        origin["images"] = datasets.fingerprint(dataset)
        dataset = features.replaced(dataset, common.features)
    if "--clusters" not in given:
        if dataset.classes is None:
            raise ValueError(f"clusters: must be given, since {dataset.name} has no labels")
        config = dataclasses.replace(config, clusters=max(dataset.classes, 2))
    datasets.check_clusters(dataset.images, config.clusters)
    if getattr(method.config, "max_steps", None) == 0 and config.max_steps > 0:
        raise ValueError(f"max-steps: must be 0 for {name}, which only runs k-means, got {config.max_steps}")
    over = flags.over(common.over, len(seeds))
    network = fit.build(method, config, dataset.images.shape[1:])
    wanted = record.settings(name, common.preset, dataset, seeds, over, config, pretraining)
    if common.features is not None:
        wanted["features"] = Path(common.features).name
    first = None if common.weights is None else weights.read(common.weights, method.network, network)
    if first is not None:
        fit.check_weights(first, fit.pixels_digest(pictures), dataset.listing, data=common.data)
        wanted["weights"] = first.digest
    if common.pretrained is not None and common.pretrained.resolve() == common.out.resolve():
        raise ValueError(f"pretrained: must be another folder than out, got {common.pretrained}")
    pretrained = None if common.pretrained is None else _pretrained(common.pretrained, wanted, method.network)
    images = jax.ShapeDtypeStruct(dataset.images.shape, dataset.images.dtype)
    fit.check(method, config, pretraining, images, over)
    record.open_run(common.out, wanted, common.resume, common.overwrite, origin)
    if summary.finished(common.out):
        return 0

    with Bars() as bars:
        done = fit.fit(
            method,
            config,
            pretraining,
            dataset.images,
            seeds,
            over=over,
            directory=common.out / "checkpoint",
            pretrained=pretrained,
            weights=first,
            max_seconds=common.max_seconds,
            progress=bars.show,
        )
        steps = fit.steps_per_window(method, config, pretraining, len(dataset.images))
        record.write(common.out / "history.csv", record.history_csv(done, seeds, steps))
        if common.tensorboard:
            events.write(common.out / "tensorboard", done, seeds, steps)
        if not done.finished:
            bars.close()
            print(f"stopped after {common.max_seconds:g} s with a checkpoint; go on with --resume")
            return 0
        for labeling, file in record.labelings(name).items():
            record.write_labels(common.out / file, done.labelings[labeling])
        rows = record.rows(wanted, dataset, done, steps["cluster"])
        if common.baseline and name != "kmeans":
            record.write_rows(common.out / "baseline.jsonl", _baseline(dataset, config.clusters, seeds, over, bars))
        # Rows before pictures: whatever becomes of those, the results are there.
        record.write_rows(common.out / "results.jsonl", rows)
        if common.figures:
            folder = common.out / "figures"
            try:
                _figures(folder, method, config, dataset, pictures, done, seeds, bars)
            except OSError as error:
                raise ValueError(f"figures: {folder} must be writable, got {error}; the results are there") from error
    summary.conclude(common.out)
    return 0


def _predict(arguments: list[str]) -> int:
    from jaxclust.predict import predict, table

    options = flags.one_line(
        _Predict, arguments, prog="jaxclust predict", description="New images into a run's clusters."
    )
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


def _weights(arguments: list[str]) -> int:
    from jaxclust import supervised, transfer
    from jaxclust.networks.ccnn import TRANSFERABLE

    able = [name for name, method in METHODS.items() if method.network.__name__ in TRANSFERABLE]
    if not arguments or arguments[0] not in able:
        raise ValueError(f"method: must be one of {', '.join(able)}, got {arguments[0] if arguments else 'none'!r}")
    name, *rest = arguments
    options = flags.one_line(
        _Weights, rest, prog=f"jaxclust weights {name}", description="First layers trained on a set's labels."
    )
    weights.check_place(options.out)
    dataset = datasets.load(options.data)
    config = supervised.Config(epochs=options.epochs, learning_rate=options.learning_rate)
    accuracy = transfer.write(options.out, METHODS[name].network, dataset, config, options.seed)
    print(f"{options.out}: {name}'s backbone, trained on the labels of {dataset.name}, accuracy {accuracy:.4f}")
    return 0


def _pretrained(directory: Path, wanted: dict[str, Any], network: Callable) -> Path:
    """The checkpoints of another run, if its pretraining is the one wanted here."""
    found = record.read_settings(directory)
    place = directory / "checkpoint" / "pretrain"
    if not (directory / "results.jsonl").exists() or not place.is_dir() or not any(place.iterdir()):
        raise ValueError(f"pretrained: must be a finished run with a pretraining of its own, got {directory}")
    names = ("data", "seeds", "over", "pretraining", "weights")
    theirs, ours = ({name: one.get(name) for name in names} for one in (found, wanted))
    theirs["clusters"], ours["clusters"] = found["config"]["clusters"], wanted["config"]["clusters"]
    theirs["network"], ours["network"] = METHODS[found["method"]].network.__name__, network.__name__
    differing = record.differences(theirs, ours)
    if differing:
        raise ValueError(f"pretrained: {directory} must hold the same pretraining, differs in {'; '.join(differing)}")
    return directory / "checkpoint"


def _baseline(
    dataset: datasets.Dataset, clusters: int, seeds: Sequence[int], over: train.Over, bars: Bars
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
    bars: Bars,
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


if __name__ == "__main__":
    sys.exit(main())
