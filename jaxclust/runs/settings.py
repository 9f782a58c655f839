"""A run's settings: what decides its numbers, as ``config.json`` keeps them."""

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

from jaxclust.data.array_images import check_layout
from jaxclust.data.datasets import Dataset, Fingerprint
from jaxclust.data.listing import FOLDERS, NONE
from jaxclust.data.picture_sets import Reading
from jaxclust.data.pictures import check_resize
from jaxclust.engine.checkpoint import settings_from_json, settings_json
from jaxclust.errors import UsageError, reading
from jaxclust.methods.registry import METHODS, deterministic
from jaxclust.runs.kinds import is_kind, is_number, wrong_kinds
from jaxclust.types import Json, Method, checked_setting

BESIDE = frozenset(("seeds", "over", "preset", "origin"))
"""Settings that cannot change a seed's result: which seeds ran, how they ran together, what the
settings are called and where the inputs were."""
CONTENT = "content"
"""Entry of ``origin`` with a digest of a stream's files, whose ``data`` goes by names and sizes."""
OPTIONAL = ("features", "weights", "stream", "order")
_KINDS = {
    "method": str,
    "data": dict,
    "seeds": list,
    "over": str,
    "config": dict,
    "pretraining": dict | None,
}
"""What ``config.json`` must have."""
_MORE = {
    "preset": str,
    "features": str | None,
    "weights": str | None,
    "stream": int | None,
    "order": int | None,
    "origin": dict | None,
}
"""What it may have."""
_DATA = {"name": str, "shape": list}
_ORIGIN = {
    **dict.fromkeys(("data", "size", "labels", "resize", "layout", "features"), str),
    **dict.fromkeys(("no_labels", "strict"), bool),
    "features_sha256": str,
    "images": dict,
    "features_scale": list,
}


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
        layout = self.origin.get("layout")
        layout = check_layout(None if layout is None else str(layout))
        return Reading(resize=check_resize(resize), labels=labels, layout=layout)

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
    if reading.layout is not None:
        origin["layout"] = reading.layout
    if reading.strict:
        origin["strict"] = True
    return origin


def fingerprint_json(data: Fingerprint) -> dict[str, Json]:
    """A set's fingerprint as files keep it."""
    values: dict[str, Json] = dict(data._asdict())
    values["shape"] = list(data.shape)
    return values


def data_json(settings: Settings, other: Settings) -> dict[str, Json]:
    """The images of a run as a file holds them, without a name that decides nothing.

    Args:
      settings: of the run.
      other: of another run; where its images have the same content, their names do not matter.
    """
    same = settings.data.sha256 and settings.data.sha256 == other.data.sha256
    return fingerprint_json(settings.data._replace(name="") if same else settings.data)


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
    if not path.exists():
        raise UsageError(f"run: {directory} must hold a run, has no config.json")
    with reading(f"run: {path} must be a run's settings, is damaged", path):
        values = json.loads(path.read_text("utf-8"))
    wrong = _wrong_settings(values)
    if wrong:
        rule = f"run: {path} must be a run's settings"
        raise UsageError(f"{rule}, lacks a sound {', '.join(wrong)}")
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


def _wrong_settings(values: Any) -> list[str]:
    """The names of what a run's settings lack, or have of another kind."""
    if not isinstance(values, dict):
        return ["entry"]
    wrong = wrong_kinds(values, _KINDS)
    wrong += wrong_kinds(values, {name: kind for name, kind in _MORE.items() if name in values})
    if wrong:
        return wrong
    wrong = [f"data.{name}" for name in wrong_kinds(values["data"], _DATA)]
    for name in ("dtype", "sha256"):
        if not isinstance(values["data"].get(name, ""), str):
            wrong.append(f"data.{name}")
    origin = values.get("origin") or {}
    kinds = {name: kind for name, kind in _ORIGIN.items() if name in origin}
    wrong += [f"origin.{name}" for name in wrong_kinds(origin, kinds)]
    if wrong:
        return wrong
    shape = values["data"]["shape"]
    if len(shape) != 4 or not all(is_kind(side, int) and side > 0 for side in shape):
        wrong.append("data.shape")
    seeds = values["seeds"]
    whole = all(is_kind(seed, int) and 0 <= seed < 2**31 for seed in seeds)
    if not whole or len(set(seeds)) < len(seeds):
        wrong.append("seeds")
    clusters = values["config"].get("clusters")
    if not is_kind(clusters, int) or clusters < 1:
        wrong.append("config.clusters")
    for part in ("config", "pretraining"):
        numbers = values[part] or {}
        wrong += [
            f"{part}.{name}"
            for name, value in numbers.items()
            if isinstance(value, int | float) and not is_number(value)
        ]
    return wrong


def is_deterministic(settings: Settings) -> bool:
    """Whether a run's method draws no random number, so that all seeds are one run."""
    own = settings.extra.get("own")
    if isinstance(own, dict):
        return own.get("deterministic") is True
    return deterministic(settings.method)


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
    rule = f"run: {where} must hold settings of this version's methods"
    with reading(rule):
        method = METHODS[settings.method]
        config = _config(method.config, settings.config, rule)
        pretraining = None
        if settings.pretraining is not None:
            pretraining = _config(method.pretraining, settings.pretraining, rule)
    return method.replace(config=config, pretraining=pretraining, preset=settings.preset)


def _config(usual: Any, kept: dict[str, Json], rule: str) -> Any:
    """The settings of a file as an object of the type of the usual ones."""
    values = settings_from_json(kept)
    kinds = get_type_hints(type(usual))
    for name in values:
        if name not in kinds:
            raise UsageError(f"{rule}, misses {name!r}")
    return type(usual)(
        **{name: checked_setting(name, kinds[name], value) for name, value in values.items()}
    )
