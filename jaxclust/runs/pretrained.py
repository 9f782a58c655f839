"""The pretraining of another run, used again."""

from pathlib import Path

from jaxclust.engine.checkpoint import differences
from jaxclust.engine.devices import same_bits
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS
from jaxclust.runs.folder import is_finished
from jaxclust.runs.settings import Settings, data_json, read_settings
from jaxclust.types import Json, Method, network_name


def checkpoints(directory: Path, settings: Settings, method: Method, out: Path | None) -> Path:
    """The folder of checkpoints of a run with the pretraining that another run needs.

    Args:
      directory: the run whose pretraining is used.
      settings: of the run that needs it.
      method: of the run that needs it.
      out: the folder of the run that needs it, or None.

    Raises:
      UsageError: the folder is the run's own, holds no finished run with a pretraining of its own,
        or one with another pretraining.
    """
    if out is not None and directory.resolve() == out.resolve():
        raise UsageError(f"pretrained: must be another folder than out, got {directory}")
    kept = read_settings(directory)
    place = directory / "checkpoint" / "pretrain"
    if not is_finished(directory) or not place.is_dir() or not any(place.iterdir()):
        rule = "pretrained: must be a finished run with a pretraining of its own"
        raise UsageError(f"{rule}, got {directory}")
    needed = _deciding(settings, kept, network_name(method.network))
    differing = differences(_deciding(kept, settings, _network_of(kept)), needed)
    if differing:
        rule = f"pretrained: {directory} must hold the same pretraining"
        raise UsageError(f"{rule}, differs in {'; '.join(differing)}")
    return directory / "checkpoint"


def _network_of(settings: Settings) -> Json:
    """The name of a run's network; None where this version has no such method."""
    own = settings.extra.get("own")
    if isinstance(own, dict):
        return own.get("network")
    if settings.method not in METHODS:
        return None
    return network_name(METHODS[settings.method].network)


def _deciding(settings: Settings, other: Settings, network: Json) -> dict[str, Json]:
    """What decides a pretraining's numbers, as far as it is compared with another run's."""
    return {
        "data": data_json(settings, other),
        "seeds": list(settings.seeds),
        "over": same_bits(settings.over),
        "pretraining": settings.pretraining,
        "weights": settings.weights,
        "clusters": settings.clusters,
        "network": network,
    }
