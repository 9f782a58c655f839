"""TODO"""

from collections.abc import Callable
from types import ModuleType
from typing import Any, NamedTuple

from jaxclust.methods import pretraining
from jaxclust.types import Network


class Method(NamedTuple):
    """A name people type.

    Attributes:
      about: one line for a list.
      algorithm: a module as in ``types.Algorithm``.
      network: ``network(shape, embedding) -> Network`` for images of shape (h, w, c).
      config: the algorithm's settings in the paper.
      pretraining: the pretraining's settings in the paper, or None where nothing is pretrained.
      presets: by name, what changes against the paper, as fields "name" or "pretraining.name".
    """

    about: str
    algorithm: ModuleType
    network: Callable[[tuple[int, int, int], int], Network]
    config: Any
    pretraining: pretraining.Config | None
    presets: dict[str, dict[str, Any]]
