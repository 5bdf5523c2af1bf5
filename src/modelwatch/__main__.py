"""`python -m modelwatch`: the command line; without a command it starts the service, like `modelwatch serve`."""

import sys

from modelwatch.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["serve"]))
