"""Run as a file: python tests/simulation/run.py --help; part of `make soak`."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from simulation.command import main  # noqa: E402 (found by the line above)

if __name__ == "__main__":
    sys.exit(main())
