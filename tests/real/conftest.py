"""What takes minutes, Debian packages or PyPI runs by `make test-real`; `make test` runs what a plain machine can in seconds."""

import os

_LONG = ["test_drained_rollout.py", "test_kubernetes.py", "test_slurm.py", "test_validators.py"]
collect_ignore = [] if os.environ.get("FLEET_TEST_REAL") else _LONG
