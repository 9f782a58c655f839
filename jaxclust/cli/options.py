"""The options of ``jaxclust fit METHOD``: those of every method, and each setting of the method."""

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import tyro

from jaxclust.cli import signals
from jaxclust.cli.numbers import seeds, size
from jaxclust.cli.parse import FLAT, Switch, parse, parse_known
from jaxclust.cli.plain_text import plain
from jaxclust.data import datasets, listing, picture_sets, sources
from jaxclust.data.array_images import Layout
from jaxclust.data.picture_sets import Reading
from jaxclust.data.pictures import Resize
from jaxclust.errors import UsageError, did_you_mean
from jaxclust.methods import registry
from jaxclust.runs import number
from jaxclust.runs.plan import FEW, Plan, check_weights_given, seeds_of
from jaxclust.runs.repeat import flag_name
from jaxclust.runs.sweeps import STABILITY
from jaxclust.types import PRETRAINING, Json, Method

CHOICES = (*number.CRITERIA, STABILITY)
"""What the number of clusters can be chosen by."""
RUNS = Path("runs")
"""Where runs go for which nobody named a folder."""


def _clusters(words: list[str]) -> int | str:
    (word,) = words
    if word != "auto" and not word.removeprefix("-").isdecimal():
        raise ValueError(f"must be a whole number or auto, got {word!r}")
    return word if word == "auto" else int(word)


Clusters = Annotated[
    int | Literal["auto"] | None,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="K|auto",
        instance_from_str=_clusters,
        is_instance=lambda value: value is None or value == "auto" or isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]


@dataclasses.dataclass(frozen=True)
class Options:
    """What can be said of a run of any method.

    Attributes:
      data: A named set (jaxclust datasets lists them), or pictures, or arrays. Pictures are in a
        folder, a .zip or .tar(.gz) archive, or a .csv or .parquet table (columns file and
        label). Arrays are an .npz file with an array "images" (and "labels", if known), or an
        .npy file of images.
      clusters: Number of clusters; auto takes one of --cluster-range by a criterion. Without
        it: the number of classes of labeled images.
      cluster_range: Numbers of clusters that --clusters auto tries (2,20 unless given).
      criterion: What --clusters auto goes by (merges unless given). merges: clusters of like
        size in the merges of graph degree linkage. spectrum: the largest gap of the spectrum of
        a graph of neighbors. alignment: eigenvectors that turn to the axes. silhouette: that of
        k-means above that of random vectors. bic: Gaussian mixtures. These look at pixels or
        --features once. dying: the clusters that live in the end when DEC begins with 35 and
        those that shrink die; it takes minutes. stability: a run for each number, of which the
        one counts on which the seeds agree best.
      seeds: How many seeds (5: seeds 0 to 4), or which (0,3,7; or 3, with a comma for that
        one). Without it: 10 if they are forecast to take less than two minutes, and 5 otherwise;
        5 with --methods and --clusters auto.
      out: Folder for the run's files; it must not exist. Without it: runs/METHOD-DATA,
        where the same command goes on with its run, and other settings get a folder of
        their own.
      preset: Settings to begin with. default: what scored best on digits; paper: those of the
        published result; quick: the default with fewer epochs; jaxclust methods lists more.
      size: Size to which pictures are brought; one number for both.
      resize: How pictures get to their size. crop: scaled until they cover it, their middle cut
        out; pad: scaled until they fit, their border's mean color around; stretch.
      labels: A table with the columns file and label, whose labels are the classes; a folder's
        name is a class without it.
      no_labels: Do not take folders for classes.
      layout: Where the channels of arrays are: nhwc for (n, h, w, c), nchw for (n, c, h, w).
        Without it arrays that may be either are refused.
      strict: Refuse pictures that cannot be read, which are left out otherwise.
      features: Features that stand in the images' place. efficientnet-lite0 and squeezenet:
        those of networks trained on ImageNet with its labels; onnx:FILE: those of your own
        network; dsift-pca; or an .npy or .parquet file with a row for each image.
      weights: A .safetensors file with the network's first layers: torchvision's, or one
        that jaxclust weights wrote; imagenet for ccnn-squeezenet and ccnn-lite0. They replace
        the pretraining; with --pretraining.epochs N the network is pretrained from them.
      pretrained: Folder of a finished run whose pretraining is used; it must have the same
        data, seeds and pretraining settings.
      stream: Read the images in blocks, for sets larger than memory: an .npy file, a folder
        or tfds:NAME. Only CCNN's methods can.
      over: How seeds run. vmap: together; map: one after the other; shard: spread over
        devices (on a CPU over its cores); data: one after the other, each batch spread over
        devices. auto takes what measured fastest.
      distributed: Run in several processes, of which each is given this same command. They find
        each other under SLURM, Open MPI and Kubernetes, or by the three options that follow.
      coordinator: Address at which process 0 waits for the others, where nothing else says it.
      processes: How many processes there are.
      process: The number of this process, from 0. Process 0 writes the run's folder.
      max_seconds: Stop after this long with a checkpoint; --resume goes on from there.
      resume: Go on with the run in the folder from its last checkpoint, or from its start.
      overwrite: Delete an earlier run's files in the folder, and nothing else in it.
      baseline: Run k-means on the same images with the same seeds for comparison; not of a
        stream.
      figures: Draw curves, the embedding and a sheet of images for each cluster; not of a
        stream.
      tensorboard: Also write the history as TensorBoard event files, a folder for each
        seed.
      cache: Keep compiled programs for the next command, in $JAXCLUST_CACHE or ~/.cache/jaxclust.
      quiet: Show no progress and no table; warnings stay.
    """

    data: Annotated[str, tyro.conf.arg(metavar="NAME_OR_PATH")]
    clusters: Clusters = None
    cluster_range: Annotated[str | None, tyro.conf.arg(metavar="LOW,HIGH")] = None
    criterion: Annotated[str | None, tyro.conf.arg(metavar="|".join(CHOICES))] = None
    seeds: Annotated[str | None, tyro.conf.arg(metavar="N|LIST")] = None
    out: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    preset: str = "default"
    size: Annotated[str | None, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = None
    resize: Resize = "crop"
    layout: Layout | None = None
    labels: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    no_labels: Switch = False
    strict: Switch = False
    features: Annotated[str | None, tyro.conf.arg(metavar="NAME_OR_FILE")] = None
    weights: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    pretrained: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    stream: Switch = False
    over: Literal["auto", "vmap", "map", "shard", "data"] = "auto"
    distributed: Switch = False
    coordinator: Annotated[str | None, tyro.conf.arg(metavar="HOST:PORT")] = None
    processes: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    process: Annotated[int | None, tyro.conf.arg(metavar="I")] = None
    max_seconds: Annotated[float | None, tyro.conf.arg(metavar="SECONDS")] = None
    resume: Switch = False
    overwrite: Switch = False
    baseline: bool = True
    figures: bool = True
    tensorboard: Switch = False
    cache: bool = True
    quiet: Switch = False


class Request(NamedTuple):
    """What the words after ``jaxclust fit METHOD`` ask for.

    Attributes:
      options: those of every method.
      method: the method with its settings; the number of clusters is set where it was given, and
        2 where it is to be chosen.
      plan: how the run is carried out.
    """

    options: Options
    method: Method
    plan: Plan


@dataclasses.dataclass(frozen=True)
class _First:
    """The options that decide the defaults of others."""

    preset: str = "default"
    weights: Path | None = None
    stream: Switch = False


def read(name: str, words: list[str]) -> Request:
    """Reads the words after ``jaxclust fit METHOD``.

    Args:
      name: the method's name.
      words: its options.

    Raises:
      UsageError: there is no such method, option or value, or two of them contradict each other.
      SystemExit: the words ask for help, which has been printed.
    """
    prog = f"jaxclust fit {name}"
    first, _ = parse_known(_First, words, prog, add_help=False)
    method = registry.method(name, first.preset)
    parts = {"config": method.config}
    if method.pretraining is not None:
        parts["pretraining"] = method.pretraining
        if first.weights is not None:
            # The weights stand in the pretraining's place.
            parts["pretraining"] = dataclasses.replace(method.pretraining, epochs=0)
    fields = [_field(part, config) for part, config in parts.items()]
    kind = dataclasses.make_dataclass("Arguments", fields, bases=(Options,), frozen=True)
    # A stream has no baseline and no figures unless they are asked for, which is refused later.
    usual = kind(data=tyro.MISSING, baseline=not first.stream, figures=not first.stream)
    options: Any = parse(kind, words, prog, f"{method.about}.", usual)
    settings: dict[str, object] = {}
    for part, config in parts.items():
        prefix = "" if part == "config" else PRETRAINING
        for field in dataclasses.fields(config):
            settings[prefix + field.name] = getattr(getattr(options, part), field.name)
    settings.pop("clusters")
    if options.clusters is not None:
        # Other settings are checked with the least number here, and in each run with its own.
        settings["clusters"] = 2 if options.clusters == "auto" else options.clusters
    method = method.with_settings(settings)
    plan = _plan(options)
    check_weights_given(method, plan)
    return Request(options, method, plan)


def with_few_seeds(request: Request) -> Request:
    """A request of several runs or steps: their seeds are the same few unless they are given."""
    if request.options.seeds is not None:
        return request
    given = dataclasses.replace(request.options, seeds=str(FEW))
    plan = dataclasses.replace(request.plan, choose_seeds=False)
    return request._replace(options=given, plan=plan)


def _field(part: str, config: Any) -> tuple[str, Any, Any]:
    """Name, type and default of a field with the settings of a method or of its pretraining.

    The type does not check the values, which ``Method.with_settings`` checks together, and hides
    the number of clusters, which is an option of every method.
    """
    fields = dataclasses.fields(config)
    values = {field.name: getattr(config, field.name) for field in fields}
    others: list[tuple[str, Any, Any]] = [
        (field.name, Annotated[field.type, tyro.conf.arg(name=flag_name(field))], field.default)
        for field in fields
        if "flag" in field.metadata
    ]
    if "clusters" in values:
        others.append(("clusters", tyro.conf.Suppress[int], 0))
    kind = dataclasses.make_dataclass(
        type(config).__name__,
        others,
        bases=(type(config),),
        namespace={"__post_init__": lambda self: None},
        frozen=True,
    )
    return part, Annotated[kind, FLAT] if part == "config" else kind, kind(**values)


def _plan(options: Options) -> Plan:
    """How a run is carried out, from the options that need no image to be checked."""
    if options.cluster_range is not None and options.clusters != "auto":
        rule = "cluster-range: must come with --clusters auto"
        raise UsageError(f"{rule}, got {options.cluster_range!r} without")
    if options.criterion is not None and options.clusters != "auto":
        rule = "criterion: must come with --clusters auto"
        raise UsageError(f"{rule}, got {options.criterion!r} without")
    if options.criterion is not None and options.criterion not in CHOICES:
        rule = f"criterion: must be one of {', '.join(CHOICES)}"
        hint = did_you_mean(options.criterion, CHOICES)
        raise UsageError(f"{rule}, got {options.criterion!r}{hint}")
    if options.resume and options.overwrite:
        raise UsageError("resume: must not be given together with overwrite")
    check_seconds(options.max_seconds)
    out = RUNS if options.out is None else options.out
    _check_out(options, out)
    if options.no_labels and options.labels is not None:
        raise UsageError(f"labels: must not be given with --no-labels, got {options.labels}")
    return Plan(
        seeds=seeds_of(FEW) if options.seeds is None else seeds(options.seeds),
        choose_seeds=options.seeds is None,
        over=None if options.over == "auto" else options.over,
        out=out,
        find_out=options.out is None,
        resume=options.resume,
        overwrite=options.overwrite,
        features=options.features,
        weights=options.weights,
        pretrained=options.pretrained,
        max_seconds=options.max_seconds,
        baseline=options.baseline,
        figures=options.figures and importlib.util.find_spec("matplotlib") is not None,
        data=options.data,
        origin=_origin(options),
        in_sweep=signals.PARENT in os.environ,
    )


def _origin(options: Options) -> dict[str, Json]:
    """What a run keeps of where its inputs were and how its pictures were read."""
    origin: dict[str, Json] = {}
    for name in ("data", "size", "labels", "layout", "features", "weights"):
        if getattr(options, name) is not None:
            origin[name] = str(getattr(options, name))
    if options.resize != "crop":
        origin["resize"] = options.resize
    for name in ("no_labels", "strict"):
        if getattr(options, name):
            origin[name] = True
    return origin


def _check_out(options: Options, out: Path) -> None:
    """Refuses a new folder among the images, where its figures would be read as images later."""
    if options.resume or options.data in datasets.NAMES:
        return
    data = os.path.realpath(options.data)  # Path.resolve has no word for links that go round.
    if os.path.isdir(data) and Path(os.path.realpath(out)).is_relative_to(data):
        raise UsageError(f"out: must not be in the images' folder, {options.data}, got {out}")


def check_data(options: Options) -> None:
    """Refuses images that are neither a named set nor there.

    Raises:
      UsageError: there are no such images. ``datasets.load`` says so, too: this is for commands
        that start a process for each run.
    """
    streamed = options.stream and options.data.startswith(sources.SET)
    if options.data not in datasets.NAMES and not streamed and not Path(options.data).exists():
        rule = f"data: must be one of {', '.join(datasets.NAMES)} or a path that exists"
        hint = did_you_mean(options.data, datasets.NAMES)
        raise UsageError(f"{rule}, got {options.data!r}{hint}")


def reading(options: Options) -> Reading:
    """How the options say that pictures are read.

    Raises:
      UsageError: the size is none.
    """
    labels: str | Path = listing.NONE if options.no_labels else listing.FOLDERS
    return Reading(
        size(options.size),
        resize=options.resize,
        labels=labels if options.labels is None else options.labels,
        strict=options.strict,
        progress=not options.quiet,
        layout=options.layout,
    )


def tell(summary: str, unreadable: Mapping[str, str], quiet: bool) -> None:
    """Prints what was read and which files could not be read, on stderr.

    Args:
      summary: one line, which ``quiet`` leaves out; or "".
      unreadable: names and reasons; stderr names the first ten.
      quiet: whether warnings alone are printed.
    """
    if summary and not quiet:
        print(f"jaxclust: {plain(summary)}", file=sys.stderr)
    if unreadable:
        count = f"left out {len(unreadable)} that could not be read"
        names = plain(picture_sets.named(unreadable))
        print(f"jaxclust: warning: {count}: {names}", file=sys.stderr)


def check_seconds(seconds: float | None) -> None:
    """Refuses a time that is not above 0: UsageError."""
    if seconds is not None and not seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {seconds}")
