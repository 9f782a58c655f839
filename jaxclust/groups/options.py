"""What can be asked of ``group``, and what is refused before any work."""

import dataclasses
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jaxclust.data.archives import is_archive
from jaxclust.data.features import DSIFT_PCA
from jaxclust.data.pictures import RESIZES, Resize
from jaxclust.errors import UsageError
from jaxclust.runs.embedders import is_embedder

if TYPE_CHECKING:
    from jaxclust.types import Json  # JAX takes seconds, and the command reads defaults here.

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
      features: a name that ``runs.features`` knows; "dsift-pca"; or the path of an .npy or .parquet
        file with a row for each picture.
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
      export: a .parquet file for interactive maps; one that the folder wrote before is replaced.
      strict: refuse damaged pictures in place of leaving them out.
      overwrite: delete an earlier result in ``out`` once the new one can be made. Corrections are
        set aside.
      max_seconds: stop after this long; the same call goes on.
    """

    folder: Path
    clusters: int | None = None
    features: str = FEATURES
    seeds: int = SEEDS
    resize: Resize = "crop"
    out: Path | None = None
    add: tuple[Path, ...] = ()
    edits: Path | None = None
    labels: Path | Literal["none"] | None = None
    levels: bool = False
    outliers: bool = False
    placing: Placing | None = None
    export: Path | None = None
    strict: bool = False
    overwrite: bool = False
    max_seconds: float | None = None

    def settings(self) -> "dict[str, Json]":
        """What decides which groups there are, beside the pictures."""
        return {
            "clusters": self.clusters,
            "features": self.features,
            "seeds": self.seeds,
            "resize": self.resize,
        }

    def view(self) -> "dict[str, Json]":
        """What decides how the groups are shown."""
        return {
            "labels": None if self.labels is None else str(self.labels),
            "levels": self.levels,
            "outliers": self.outliers,
        }


def check(options: Options) -> None:
    """Refuses options that cannot be carried out, before anything is read or written.

    Raises:
      UsageError: an option breaks its rule.
    """
    for path in (options.folder, *options.add):
        if not path.exists():
            name = "folder" if path == options.folder else "add"
            rule = f"{name}: must be a folder of pictures, an archive or a table that exists"
            raise UsageError(f"{rule}, got {path}")
    for name, known in (("resize", RESIZES), ("placing", (None, "link", "copy"))):
        if getattr(options, name) not in known:
            raise UsageError(f"{name}: must be one of {known}, got {getattr(options, name)!r}")
    sources = (options.folder, *options.add)
    if options.placing == "link" and any(map(is_archive, sources)):
        raise UsageError("link: must be of files on disk, got an archive; --copy can")
    of_these_alone = options.features == DSIFT_PCA or options.features.endswith(".npy")
    if options.add and not is_embedder(options.features) and of_these_alone:
        rule = "add: must come with the features of a network or a .parquet file"
        raise UsageError(f"{rule}, got {options.features}, which has none of other pictures")
    if options.clusters is not None and options.clusters < 2:
        raise UsageError(f"clusters: must be at least 2, got {options.clusters}")
    if options.seeds < 2:
        raise UsageError(f"seeds: must be at least 2, which vote, got {options.seeds}")
    if options.max_seconds is not None and not options.max_seconds > 0:
        raise UsageError(f"max-seconds: must be above 0, got {options.max_seconds}")
    _check_export(options)
    for name in ("edits", "labels"):
        path = getattr(options, name)
        if isinstance(path, Path) and not path.is_file():
            raise UsageError(f"{name}: must be a .csv file that exists, got {path}")
    if options.out is not None and options.out.exists() and not options.out.is_dir():
        raise UsageError(f"out: must be a folder, got {options.out}")


def _check_export(options: Options) -> None:
    """Refuses a file for a map that cannot be made."""
    path = options.export
    if path is None:
        return
    if path.suffix != ".parquet" or not path.parent.is_dir():
        raise UsageError(f"export: must be a .parquet file in a folder that exists, got {path}")
    inputs = [options.folder, *options.add, Path(options.features)]
    if isinstance(options.labels, Path):
        inputs.append(options.labels)
    if path.resolve() in [other.resolve() for other in inputs]:
        raise UsageError(f"export: must be another file than what is read, got {path}")
    if importlib.util.find_spec("pyarrow") is None:
        raise UsageError("export: needs pyarrow: pip install 'jaxclust[photos]'")


def check_out(out: Path, sources: Iterable[Path]) -> None:
    """Refuses a folder for the results among the pictures, or one that cannot be written to.

    Args:
      out: the folder, which need not exist.
      sources: where pictures are read.

    Raises:
      UsageError: it cannot be.
    """
    for source in sources:
        if _inside(out, source):
            rule = f"out: must not be in the pictures' folder, {source}"
            reason = "where its pictures would be read as pictures later"
            raise UsageError(f"{rule}, {reason}, got {out}")
    there = next(path for path in (out, *out.resolve().parents) if path.exists())
    if not os.access(there, os.W_OK):
        raise UsageError(f"out: must be a folder that can be written to, got {out}")


def parent_of_results(folder: Path) -> Path:
    """The current directory, or the one beside the pictures if the current one is among them."""
    here = Path.cwd()
    return folder.resolve().parent if _inside(here, folder) else here


def _inside(path: Path, folder: Path) -> bool:
    return folder.is_dir() and path.resolve().is_relative_to(folder.resolve())
