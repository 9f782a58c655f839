"""TODO"""

from collections.abc import Sequence
from pathlib import Path

from jaxclust.cli.compare import Parser, add_options
from jaxclust.comparison.compare import UNSCORED, comparison, with_scores
from jaxclust.comparison.options import Options, check_options
from jaxclust.data import datasets, sources
from jaxclust.errors import UsageError
from jaxclust.report.write import consensus_csv, write
from jaxclust.runs import collect
from jaxclust.runs.files import write_file


def command(arguments: Sequence[str]) -> int:
    """Writes the page and returns the exit status; ValueError for what cannot be reported."""
    parser = Parser(prog="jaxclust report", description=__doc__.split("``: ")[1])
    parser.add_argument("runs", nargs="+", metavar="RUN", help=collect.RUNS)
    parser.add_argument("--out", required=True, type=Path, help="the .html file; must not exist")
    parser.add_argument(
        "--consensus",
        type=Path,
        metavar="FILE.csv",
        help="also write the seeds' consensus: each image's cluster and votes",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace earlier files")
    parser.add_argument(
        "--data",
        action="append",
        default=[],
        metavar="PATH",
        help="a run's images, if they have no name of their own",
    )
    add_options(parser)
    options = parser.parse_args(arguments, namespace=Options())
    check_options(options)
    check_out(options.out, options.overwrite)
    if options.consensus is not None:
        check_out(options.consensus, options.overwrite, "consensus", ".csv")
    for path in options.data:
        if (
            path not in datasets.NAMES
            and not path.startswith(sources.SET)
            and not Path(path).exists()
        ):
            raise UsageError(f"data: must be a named set or a path that exists, got {path!r}")
    found, notes = collect.read(options.runs)
    scored, unscored = with_scores(found, options.metric)
    if not scored:
        notes.append(UNSCORED.format(unscored))
    table = comparison(found, options, notes) if scored else None
    looks = write(options.out, table, found, [] if table else notes, options.data)
    if options.consensus is not None:
        write_file(options.consensus, consensus_csv(looks))
        print(f"wrote {options.consensus}")
    return 0


def check_out(out: Path, overwrite: bool, name: str = "out", suffix: str = ".html") -> None:
    """ValueError where a page, or the command's other file, must not be written."""
    if out.suffix != suffix:
        raise UsageError(f"{name}: must end in {suffix}, got {out}")
    if out.exists() and not overwrite:
        raise UsageError(f"{name}: must not exist without --overwrite, got {out}")
    if not out.resolve().parent.is_dir():
        raise UsageError(f"{name}: must be in a folder that exists, got {out}")
