"""A run's settings: what decides its numbers, as ``config.json`` keeps them."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxclust.data.datasets import Dataset, Fingerprint
from jaxclust.data.listing import FOLDERS, NONE
from jaxclust.data.picture_sets import Reading
from jaxclust.data.pictures import check_resize
from jaxclust.engine.checkpoint import settings_from_json, settings_json
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS, deterministic
from jaxclust.types import Json, Method

BESIDE = frozenset(("seeds", "over", "preset", "origin"))
"""Settings that cannot change a seed's result: which seeds ran, how they ran together, what the
settings are called and where the inputs were."""
CONTENT = "content"
"""Entry of ``origin`` with a digest of a stream's files, whose ``data`` goes by names and sizes."""
OPTIONAL = ("features", "weights", "stream", "order")


@dataclasses.dataclass(frozen=True)
class Settings:
    """A run's settings.

    Attributes:
      method: the method's name.
      preset: the name of its preset.
      data: what the network was given.
      seeds: the run's seeds.
      over: how they ran, see ``engine.driver.Program``.
      config: the method's settings, as files keep them.
      pretraining: those of its pretraining, or None.
      features: what stood in the images' place, such as "dsift-pca".
      weights: digest of the weights that the network's first layers began with.
      stream: of a streamed run the number of images in a block.
      order: of a streamed run the seed that decided the order of the blocks.
      extra: further entries that decide the numbers.
      origin: where the run's inputs were, by the names of the command's options.
    """

    method: str
    preset: str
    data: Fingerprint
    seeds: tuple[int, ...]
    over: str
    config: dict[str, Json]
    pretraining: dict[str, Json] | None
    features: Json = None
    weights: Json = None
    stream: int | None = None
    order: int | None = None
    extra: dict[str, Json] = dataclasses.field(default_factory=dict)
    origin: dict[str, Json] = dataclasses.field(default_factory=dict)

    @property
    def clusters(self) -> int:
        """Number of clusters."""
        clusters = self.config["clusters"]
        assert isinstance(clusters, int)  # Reading and making settings check it.
        return clusters

    @property
    def reading(self) -> Reading:
        """How the run's pictures were read, apart from their size."""
        labels = NONE if self.origin.get("no_labels") else str(self.origin.get("labels", FOLDERS))
        resize = str(self.origin.get("resize", "crop"))
        return Reading(resize=check_resize(resize), labels=labels)

    @property
    def images_at_once(self) -> int:
        """Number of images that a window sees: those of a stream's block, or all."""
        return self.data.shape[0] if self.stream is None else self.stream

    def to_json(self) -> dict[str, Json]:
        """As ``config.json`` has them, without ``origin``."""
        values: dict[str, Json] = {
            "method": self.method,
            "preset": self.preset,
            "data": fingerprint_json(self.data),
            "seeds": list(self.seeds),
            "over": self.over,
            "config": self.config,
            "pretraining": self.pretraining,
        }
        for name in OPTIONAL:
            if getattr(self, name) is not None:
                values[name] = getattr(self, name)
        return values | self.extra


def read_from(data: Dataset) -> dict[str, Json]:
    """Where a set's pictures are and how they were read, as ``origin`` has it.

    A set that was not read from a folder, an archive or a table says nothing.
    """
    origin: dict[str, Json] = {}
    if data.root is not None:
        origin["data"] = str(data.root)
    if data.resize != "crop":
        origin["resize"] = data.resize
    reading = data.reading
    if reading is None:
        return origin
    if reading.size is not None:
        origin["size"] = ",".join(map(str, reading.size))
    if reading.labels == NONE:
        origin["no_labels"] = True
    elif reading.labels != FOLDERS:
        origin["labels"] = str(reading.labels)
    if reading.strict:
        origin["strict"] = True
    return origin


def fingerprint_json(data: Fingerprint) -> dict[str, Json]:
    """A set's fingerprint as files keep it."""
    values: dict[str, Json] = dict(data._asdict())
    values["shape"] = list(data.shape)
    return values


def make_settings(
    method: Method, preset: str, data: Fingerprint, seeds: Sequence[int], over: str, **more: Any
) -> Settings:
    """The settings of a run of a method.

    Args:
      method: with its config and pretraining.
      preset: the name of the preset they are of.
      data: of the images.
      seeds: of the run.
      over: how they run.
      **more: further fields of ``Settings``.
    """
    pretraining = None if method.pretraining is None else settings_json(method.pretraining)
    config = settings_json(method.config)
    seeds = tuple(int(seed) for seed in seeds)
    return Settings(method.name, preset, data, seeds, over, config, pretraining, **more)


def deciding(settings: Settings) -> dict[str, Json]:
    """The settings that decide a seed's result."""
    return {name: value for name, value in settings.to_json().items() if name not in BESIDE}


def digest(settings: Settings) -> str:
    """A short hash of what decides a seed's result.

    It is the same for runs of other seeds, which may stand in one table.
    """
    text = json.dumps(deciding(settings), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def read_settings(directory: Path) -> Settings:
    """The settings in a run's folder.

    Raises:
      UsageError: there is no ``config.json``, or it is damaged.
    """
    path = directory / "config.json"
    try:
        values = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(f"run: {directory} must hold a run, has no config.json") from None
    except ValueError as error:
        raise UsageError(f"run: {path} must be a run's settings, is damaged ({error})") from error
    if not _is_settings(values):
        raise UsageError(f"run: {path} must be a run's settings, got something else")
    known = {field.name for field in dataclasses.fields(Settings)} - {"extra"}
    data = values["data"]
    return Settings(
        method=values["method"],
        preset=values.get("preset", "paper"),
        data=Fingerprint(
            data["name"], tuple(data["shape"]), data.get("dtype", ""), data.get("sha256", "")
        ),
        seeds=tuple(values["seeds"]),
        over=values["over"],
        config=values["config"],
        pretraining=values["pretraining"],
        **{name: values[name] for name in OPTIONAL if name in values},
        extra={name: value for name, value in values.items() if name not in known},
        origin=values.get("origin") or {},
    )


def _is_settings(values: Any) -> bool:
    """Whether the content of a file can be a run's settings."""
    kinds = {
        "method": str,
        "data": dict,
        "seeds": list,
        "over": str,
        "config": dict,
        "pretraining": dict | None,
    }
    if not isinstance(values, dict) or wrong_kinds(values, kinds):
        return False
    data = values["data"]
    if not isinstance(data.get("name"), str) or not isinstance(data.get("shape"), list):
        return False
    if not isinstance(values.get("preset", ""), str):
        return False
    if not isinstance(values.get("origin") or {}, dict):
        return False
    numbers = [values["config"].get("clusters"), *values["seeds"], *data["shape"]]
    return all(type(number) is int for number in numbers)


def is_deterministic(settings: Settings) -> bool:
    """Whether a run's method draws no random number, so that all seeds are one run."""
    own = settings.extra.get("own")
    if isinstance(own, dict):
        return own.get("deterministic") is True
    return deterministic(settings.method)


def wrong_kinds(row: Mapping[str, Any], kinds: Mapping[str, Any]) -> list[str]:
    """The names in ``kinds`` that a row lacks, or has of another kind."""
    return [name for name, kind in kinds.items() if not isinstance(row.get(name, ...), kind)]


def method_of(settings: Settings, where: Path | str) -> Method:
    """A run's method with the run's settings.

    Args:
      settings: of the run.
      where: the run's folder, for the message.

    Raises:
      UsageError: the settings are not those of a method of this version.
    """
    if "own" in settings.extra:
        rule = f"method: must be given for {where}"
        reason = f"its method {settings.method} has functions or a network of its own"
        raise UsageError(f"{rule}, since {reason}")
    try:
        method = METHODS[settings.method]
        config = type(method.config)(**settings_from_json(settings.config))
        pretraining = None
        if settings.pretraining is not None:
            values = settings_from_json(settings.pretraining)
            pretraining = type(method.pretraining)(**values)
    except (KeyError, TypeError) as error:
        rule = f"run: {where} must hold settings of this version's methods"
        raise UsageError(f"{rule}, misses {error}") from error
    return method.replace(config=config, pretraining=pretraining, preset=settings.preset)
