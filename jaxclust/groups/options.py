"""What can be asked of ``group``, and what is refused before any work."""

import dataclasses
from pathlib import Path
from typing import Literal

from jaxclust.errors import UsageError
from jaxclust.types import Json

SEEDS = 10
"""Seeds that vote unless another number is asked for."""
FEATURES = "efficientnet-lite0"
"""Features unless others are asked for: they were best on ``photos-10``."""
Placing = Literal["link", "copy"]


@dataclasses.dataclass(frozen=True)
class Options:
    """How pictures are grouped, and what is written.

    Attributes:
      folder: the pictures: a folder, a .zip or .tar file, or a .csv or .parquet table of paths.
      clusters: number of groups; None to estimate it.
      features: a name that ``runs.features`` knows.
      seeds: how many seeds vote.
      resize: how a picture is brought to the square that a network needs.
      out: the folder to write; None for NAME-groups in the current directory.
      add: more pictures that are put into the groups there are.
      edits: a file of corrections that the gallery saved.
      labels: a .csv of files and kinds that names groups; None for the folders' names as classes to
        compare with; "none" to ignore them.
      levels: whether there are coarser and finer groups, too.
      outliers: whether pictures that fit no group are set apart.
      placing: whether each group gets a folder of links or copies.
      export: a .parquet file for interactive maps.
      strict: refuse damaged pictures in place of leaving them out.
      resume: refuse to begin anew.
      overwrite: delete an earlier result in ``out``.
      max_seconds: stop after this long; the same call goes on.
    """

    folder: Path
    clusters: int | None = None
    features: str = FEATURES
    seeds: int = SEEDS
    resize: Literal["crop", "pad", "stretch"] = "crop"
    out: Path | None = None
    add: tuple[Path, ...] = ()
    edits: Path | None = None
    labels: Path | Literal["none"] | None = None
    levels: bool = False
    outliers: bool = False
    placing: Placing | None = None
    export: Path | None = None
    strict: bool = False
    resume: bool = False
    overwrite: bool = False
    max_seconds: float | None = None

    def settings(self) -> dict[str, Json]:
        """What decides which groups there are, beside the pictures."""
        return {
            "clusters": self.clusters,
            "features": self.features,
            "seeds": self.seeds,
            "resize": self.resize,
        }

    def view(self) -> dict[str, Json]:
        """What decides how the groups are shown."""
        return {
            "labels": None if self.labels is None else str(self.labels),
            "levels": self.levels,
            "outliers": self.outliers,
        }


def check(options: Options) -> None:
    """Refuses options that cannot be carried out.

    Raises:
      UsageError: an option breaks its rule.
    """
    for path in (options.folder, *options.add):
        if not path.exists():
            name = "folder" if path == options.folder else "add"
            rule = f"{name}: must be a folder of pictures, an archive or a table that exists"
            raise UsageError(f"{rule}, got {path}")
    if options.clusters is not None and options.clusters < 2:
        raise UsageError(f"clusters: must be at least 2, got {options.clusters}")
    if options.seeds < 2:
        raise UsageError(f"seeds: must be at least 2, which vote, got {options.seeds}")
    if options.max_seconds is not None and not options.max_seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {options.max_seconds}")
    if options.export is not None and options.export.suffix != ".parquet":
        raise UsageError(f"export: must be the path of a .parquet file, got {options.export}")
    for name in ("edits", "labels"):
        path = getattr(options, name)
        if isinstance(path, Path) and not path.is_file():
            raise UsageError(f"{name}: must be a .csv file that exists, got {path}")
    out = options.out
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"out: must be a folder, got {out}")
    if out is not None and _inside(out, options.folder):
        rule = f"out: must not be in the pictures' folder, {options.folder}"
        raise UsageError(f"{rule}, where its pictures would be read as pictures later, got {out}")


def parent_of_results(folder: Path) -> Path:
    """The current directory, or the one beside the pictures if the current one is among them."""
    here = Path.cwd()
    return folder.resolve().parent if _inside(here, folder) else here


def _inside(path: Path, folder: Path) -> bool:
    return folder.is_dir() and path.resolve().is_relative_to(folder.resolve())
