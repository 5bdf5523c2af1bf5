"""`python -m src.main`: starts the service from a checkout, like `modelwatch serve`, without installing the package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))


def main() -> int:
    """Serves until it is stopped; takes the options of `modelwatch serve`."""
    from modelwatch.cli import main as run

    return run(["serve", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
