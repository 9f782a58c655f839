"""What ``group`` returns, and how it is printed."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from jaxclust.data.listing import shown as plain
from jaxclust.errors import UsageError, reading
from jaxclust.groups import files as written
from jaxclust.groups.files import Shown
from jaxclust.groups.partition import Partition, largest_first
from jaxclust.groups.state import State
from jaxclust.runs.files import read_csv

LISTED = 40
"""Groups that the summary lists; the page and the table have all."""


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Groups:
    """Groups of pictures.

    Attributes:
      directory: the folder of results.
      files: names of the n pictures that could be read, relative to the pictures' folder.
      shown: their groups; None where the work was stopped before its end.
      unreadable: files that gave no picture, with the reason.
      notes: sentences about the pictures and the groups.
    """

    directory: Path
    files: tuple[str, ...]
    shown: Shown | None = None
    unreadable: Mapping[str, str] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether the work came to its end."""
        return self.shown is not None

    @property
    def labels(self) -> np.ndarray:
        """The group of each picture, int32 (n,), 0 is the first; -1 fits no group.

        Raises:
          UsageError: the work was stopped before its end.
        """
        return self._shown().partition.groups

    @property
    def sure(self) -> np.ndarray:
        """How sure the group of each picture is, float64 (n,), in [0, 1]: see ``Partition``."""
        return self._shown().partition.sure

    @property
    def names(self) -> tuple[str, ...]:
        """The name of each group, "" where it has none."""
        return self._shown().names

    def _shown(self) -> Shown:
        if self.shown is None:
            rule = "groups: must be finished; the same call of group goes on"
            raise UsageError(f"{rule}, {self.directory} was stopped before its end")
        return self.shown

    def __repr__(self) -> str:
        if self.shown is None:
            return f"stopped before the end; the same command goes on, in {self.directory}"
        partition = self.shown.partition
        lines = []
        k = len(self.shown.names)
        rows = [("group", "pictures", "sure", "doubtful", "most typical")]
        for group in range(k):
            own = np.flatnonzero(partition.groups == group)
            if not own.size:
                continue
            first = own[self.shown.typical[own].argmin()]
            name = f"{group} {self.shown.names[group]}".strip()
            sure = f"{partition.sure[own].mean():.0%}"
            doubtful = f"{int((~partition.certain[own]).sum()):,}"
            rows.append((name, f"{own.size:,}", sure, doubtful, plain(self.files[first])))
        hidden = len(rows) - 1 - LISTED
        rows = rows[: LISTED + 1]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.ljust(width) if place in (0, 4) else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            lines.append("  ".join(cells).rstrip())
        if hidden > 0:
            lines.append(f"and {hidden} smaller groups")
        apart = int((partition.groups < 0).sum())
        if apart:
            lines.append(f"{apart:,} pictures fit no group")
        return "\n".join([*lines, *self.notes])


def read_result(out: Path, state: State) -> Groups:
    """The groups of a finished folder.

    Args:
      out: the folder.
      state: what it remembers.

    Raises:
      UsageError: the table is not there or is damaged.
    """
    path = out / written.TABLE
    with reading(f"out: {path} must be as it was written; delete {out} to begin again"):
        lines = read_csv(path)
        groups = np.array([int(line["group"] or -1) for line in lines], np.int32)
        sure = np.array([float(line["sure"]) for line in lines])
        distance = np.array([float(line["distance"]) for line in lines])
        certain = np.array([line["certain"] == "yes" for line in lines], bool)
        typical = np.array([int(line["typical"] or 0) for line in lines])
        levels = {
            name: largest_first(np.array([int(line[name]) for line in lines]))
            for name in ("coarse", "fine")
            if lines and name in lines[0]
        }
        if not (np.isfinite(sure).all() and np.isfinite(distance).all()):
            raise ValueError("a number is not finite")
        if lines and not (groups.min() >= -1 and groups.max() < max(len(state.names), 1)):
            raise ValueError("a group is not there")
    partition = Partition(groups, sure, distance, certain)
    shown = Shown(partition, state.names, typical, levels)
    files = tuple(line["file"] for line in lines)
    return Groups(out, files, shown, _read_unreadable(out), state.notes)


def _read_unreadable(out: Path) -> dict[str, str]:
    path = out / written.UNREADABLE
    if not path.exists():
        return {}
    return {line["file"]: line["reason"] for line in read_csv(path)}
