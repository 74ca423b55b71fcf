"""`make soak`; see soak.command. Run it as a file: python tests/soak/soak.py --help."""

import sys
from pathlib import Path

sys.path[0] = str(Path(__file__).parents[1])

from soak.command import main  # noqa: E402 (found by the line above)

if __name__ == "__main__":
    sys.exit(main())
