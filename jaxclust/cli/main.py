"""The command: ``jaxclust fit METHOD --data NAME_OR_PATH --out DIR``, ``jaxclust methods``, ``jaxclust datasets``."""

import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from jaxclust.cli import stdout
from jaxclust.cli.fit import _fit
from jaxclust.cli.predict import _predict
from jaxclust.cli.weights import _weights
from jaxclust.data import datasets
from jaxclust.errors import UsageError
from jaxclust.methods.registry import METHODS

USAGE = """usage: jaxclust fit METHOD --data NAME_OR_PATH --out DIR [options]    cluster images
       jaxclust fit METHOD --help                                  every option of a method
       jaxclust fit --methods A,B --data X,Y --out DIR [options]   every method on every data set
       jaxclust methods                                            what METHOD can be
       jaxclust datasets                                           what NAME can be, and which are here
       jaxclust predict DIR --data NAME_OR_PATH --out LABELS.csv   new images into a run's clusters
       jaxclust weights METHOD --data LABELLED --out W.safetensors  first layers trained on another set's labels
       jaxclust compare RUN... [options]                           which differences the seeds can carry
       jaxclust report RUN... --out FILE.html                      the same and a look into each run, as a page"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit status: 0, or 2 with one line on stderr for what cannot be done."""
    try:
        status = _run(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        return stdout.reader_gone()
    except (ValueError, OSError) as error:
        # A ValueError from elsewhere is a fault of this program, and its traceback is wanted.
        raised = Path(traceback.extract_tb(error.__traceback__)[-1].filename).resolve()
        if isinstance(error, ValueError) and Path(__file__).parent.resolve() not in raised.parents:
            raise
        print(f"jaxclust: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("jaxclust: interrupted; --resume goes on from the last checkpoint", file=sys.stderr)
        return 130


def _run(arguments: list[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help"):
        print(USAGE)
        return 0
    command, *rest = arguments
    if command == "methods":
        for name, method in METHODS.items():
            print(f"{name:12} {method.about} (presets: {', '.join(method.presets)})")
        return 0
    if command == "datasets":
        print(datasets.listing())
        return 0
    if command == "predict":
        return _predict(rest)
    if command == "weights":
        return _weights(rest)
    if command == "compare":
        pass

        return command(rest)
    if command == "report":
        pass

        return command(rest)
    if command != "fit":
        known = "fit, methods, datasets, predict, weights, compare or report"
        raise UsageError(f"command: must be {known}, got {command!r}")
    if not rest or rest[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if rest else 2
    if any(argument.split("=")[0] == "--methods" for argument in rest):
        from jaxclust.cli import sweep

        return sweep.command(rest)
    if "auto" in rest or "--clusters=auto" in rest:
        from jaxclust.cli import choose_clusters

        if choose_clusters.asked(rest):
            return choose_clusters.command(rest[0], rest[1:])
    return _fit(rest[0], rest[1:])


if __name__ == "__main__":
    sys.exit(main())
