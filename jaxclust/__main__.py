"""``python -m jaxclust``: the command."""

import sys

from jaxclust.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
