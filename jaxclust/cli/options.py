"""The flags of ``jaxclust fit``: those of every method, and each setting of the chosen one."""

import contextlib
import dataclasses
import io
import itertools
import os
from pathlib import Path
from typing import Annotated, Any, Literal

import jax
import tyro

from jaxclust.data import datasets, sources
from jaxclust.engine import driver
from jaxclust.errors import UsageError
from jaxclust.methods.registry import FROM_FILE, METHODS, configured

MOST_SEEDS = 1000


@dataclasses.dataclass(frozen=True)
class Common:
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
    over: Literal["auto", "vmap", "map", "shard", "data"] = "auto"
    """How seeds run: together, one after the other, spread over devices (on a CPU: over its cores), or one after the
    other with each batch spread over them."""
    max_seconds: float | None = None
    """Stop after this long with a checkpoint, to go on with --resume."""
    pretrained: Path | None = None
    """Folder of a run whose finished pretraining (same data, seeds, settings) is used instead of a new one."""
    weights: Path | None = None
    """A .safetensors file with the network's first layers: torchvision's, or one of jaxclust weights. They stand in
    place of the pretraining, unless --pretraining.epochs is given too."""
    stream: tyro.conf.FlagCreatePairsOff[bool] = False
    """Read the images block by block: an .npy file, a folder or tfds:NAME larger than memory (CCNN's methods)."""
    resume: tyro.conf.FlagCreatePairsOff[bool] = False
    """Go on with the run in the folder from its last checkpoint, or from the start where it has none."""
    overwrite: tyro.conf.FlagCreatePairsOff[bool] = False
    """Delete an earlier run's files in the folder."""
    baseline: bool = True
    """Run k-means on the same pixels with the same seeds, for comparison; not of a stream."""
    figures: bool = True
    """Draw curves, embedding and contact sheets; not of a stream."""
    tensorboard: tyro.conf.FlagCreatePairsOff[bool] = False
    """Write the history as TensorBoard event files too, a folder a seed, when the command ends or stops."""


def parse(method: str, arguments: list[str]) -> tuple[Common, Any, Any]:
    """The common flags, the method's settings and its pretraining's, each setting a flag."""
    preset = one_line(
        dataclasses.make_dataclass("Preset", [("preset", str, "paper")]),
        arguments,
        return_unknown_args=True,
        add_help=False,
    )[0].preset
    config, pretraining = configured(method, preset)
    fields = [("config", Annotated[type(config), tyro.conf.arg(name="")], config)]
    if pretraining is not None:
        fields.append(("pretraining", type(pretraining), pretraining))
    parsed = one_line(
        dataclasses.make_dataclass("Arguments", fields, bases=(Common,), frozen=True),
        arguments,
        prog=f"jaxclust fit {method}",
        description=METHODS[method].about,
    )
    _check_out(parsed)
    if method in FROM_FILE and parsed.weights is None and parsed.preset != "random":
        raise UsageError(
            f"weights: must be given for {method}, or --preset random for fresh ones, got none"
        )
    if parsed.weights is not None and pretraining is not None:
        asked = any(argument.split("=")[0] == "--pretraining.epochs" for argument in arguments)
        if not asked:
            return parsed, parsed.config, dataclasses.replace(parsed.pretraining, epochs=0)
    return parsed, parsed.config, getattr(parsed, "pretraining", None)


def _check_out(common: Common) -> None:
    """ValueError for a new output folder among the images: its pictures would be read as images the next time."""
    data = Path(common.data).resolve()
    if (
        not common.resume
        and common.data not in datasets.NAMES
        and data.is_dir()
        and common.out.resolve().is_relative_to(data)
    ):
        raise UsageError(f"out: must not be in the images' folder, {common.data}, got {common.out}")


def check_data(common: Common) -> None:
    """ValueError where the data are neither a named set nor there; for whoever starts a process for each run."""
    streamed = common.stream and common.data.startswith(sources.SET)
    if common.data not in datasets.NAMES and not streamed and not Path(common.data).exists():
        raise UsageError(
            f"data: must be one of {', '.join(datasets.NAMES)} or a path that exists, got {common.data!r}"
        )


def origin(common: Common) -> dict[str, str]:
    """Where a run's inputs are, as asked for: ``compare.commands.repeat`` asks for them again."""
    asked = {name: getattr(common, name) for name in ("data", "size", "features", "weights")}
    return {name: str(value) for name, value in asked.items() if value is not None}


def one_line(kind: type, arguments: list[str], **options: Any) -> Any:
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
        raise UsageError(message) from None


def _is_rule(line: str) -> bool:
    return set(line) <= set("─-╰╯")


def seeds(text: str) -> tuple[int, ...]:
    """ "5" is 0 to 4; "0,3,7" those three; "3," that one."""
    rule = f"seeds: must be a count from 1 or a list such as 0,3,7 of distinct numbers from 0, got {text!r}"
    parts = [part.strip() for part in text.removesuffix(",").split(",")]
    if not all(part.isdecimal() for part in parts):
        raise UsageError(rule)
    numbers = tuple(int(part) for part in parts)
    if "," not in text:
        if not 1 <= numbers[0] <= MOST_SEEDS:
            raise UsageError(
                f"{rule}; a count is at most {MOST_SEEDS}, and {text}, with a comma is that one seed"
            )
        return tuple(range(numbers[0]))
    if len(set(numbers)) < len(numbers) or max(numbers) >= 2**31:
        raise UsageError(rule)
    return numbers


def size(text: str | None) -> tuple[int, int] | None:
    """ "64" is 64 by 64; "48,42" is 48 high and 42 wide."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() for part in parts) or len(parts) > 2:
        raise UsageError(f"size: must be one number, or height,width such as 48,42, got {text!r}")
    return int(parts[0]), int(parts[-1])


def over(asked: str, seeds: int) -> driver.Over:
    """The fastest way to run the seeds here, unless one is asked for; "shard" makes a device of each CPU core."""
    cores = os.cpu_count() or 1
    if asked == "data" or (asked in ("auto", "shard") and seeds > 1):
        # A backend that has started, as in a notebook, keeps the devices it has.
        with contextlib.suppress(RuntimeError):
            jax.config.update(
                "jax_num_cpu_devices", cores if asked == "data" else min(cores, seeds)
            )
    return driver.fastest(seeds) if asked == "auto" else asked
