"""What a folder of groups remembers: ``group.json``."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from jaxclust.errors import UsageError, reading
from jaxclust.runs.files import write_file
from jaxclust.types import Json

STATE = "group.json"
_KINDS = {
    "settings": dict,
    "pictures": str,
    "folder": str,
    "view": dict,
    "added": list,
    "inputs": str,
    "finished": bool,
    "exports": list,
    "vectors": str,
    "groups": int,
    "number": list,
    "names": list,
    "notes": list,
}


@dataclasses.dataclass(frozen=True)
class State:
    """How far the work in a folder has come.

    Attributes:
      settings: what decides the groups: ``Options.settings``.
      pictures: a digest of the pictures' names and sizes.
      folder: where the pictures are.
      view: how the groups are shown: ``Options.view``.
      added: where pictures are that were added.
      inputs: a digest of what else was read: files of features and labels, times of change of the
        pictures, and the pictures that were added.
      finished: whether all files are written.
      exports: files for maps that were written.
      vectors: a digest of the pictures' vectors; "" before they are known.
      groups: number of groups; 0 before it is known.
      number: sentences about an estimated number.
      names: of the groups.
      notes: sentences for the summary.
    """

    settings: dict[str, Json]
    pictures: str
    folder: str
    view: dict[str, Json]
    added: tuple[str, ...] = ()
    inputs: str = ""
    finished: bool = False
    exports: tuple[str, ...] = ()
    vectors: str = ""
    groups: int = 0
    number: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def same_groups(self, other: "State") -> bool:
        """Whether two states have the same groups: of the same pictures, by the same settings."""
        return (self.settings, self.pictures) == (other.settings, other.pictures)


def write_state(out: Path, state: State) -> None:
    """Writes the state of a folder, which is made if it is not there.

    Raises:
      UsageError: the folder cannot be written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_file(out / STATE, json.dumps(dataclasses.asdict(state), indent=2) + "\n")
    except OSError as error:
        rule = "out: must be a folder that can be written to"
        raise UsageError(f"{rule}, got {out} ({error.strerror})") from error


def read_state(out: Path) -> State | None:
    """The state of a folder of groups; None where it is none.

    Raises:
      UsageError: the file is damaged.
    """
    path = out / STATE
    if not path.exists():
        return None
    rule = f"out: {path} must be as it was written"
    with reading(rule, path):
        values: Any = json.loads(path.read_text())
    whole = isinstance(values, dict) and values.keys() == _KINDS.keys()
    if not whole or not all(type(values[name]) is kind for name, kind in _KINDS.items()):
        raise UsageError(f"{rule}, has other entries")
    for name, kind in _KINDS.items():
        if kind is list:
            values[name] = tuple(map(str, values[name]))
    return State(**values)
