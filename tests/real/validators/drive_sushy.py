"""Run by the validators' own Python: sushy updates a DGX of the hall by SimpleUpdate and power-cycles its host.

Arguments: base URL, password file, CA file, image URL. Prints one line and exits 0 when both are done.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import sushy
from sushy import auth

DEADLINE_S = 60.0
ENDS = (sushy.TASK_STATE_COMPLETED, sushy.TASK_STATE_EXCEPTION)


def main() -> None:
    """Update, off, on; every state as sushy reads it."""
    url, password, ca, image = sys.argv[1:]
    login = auth.SessionAuth(username="admin", password=Path(password).read_text().strip())
    root = sushy.Sushy(url, auth=login, verify=ca)
    monitor = root.get_update_service().simple_update(image)
    until(lambda: monitor.get_task().task_state in ENDS)  # not its monitor: "processing" is over too early for sushy
    task = monitor.get_task()
    system = root.get_system("/redfish/v1/Systems/DGX")
    system.reset_system(sushy.RESET_TYPE_FORCE_OFF)
    until(lambda: power(system) == sushy.POWER_STATE_OFF)
    system.reset_system(sushy.RESET_TYPE_ON)
    until(lambda: power(system) == sushy.POWER_STATE_ON)
    print(f"sushy: task {task.task_state.value} {task.task_status.value}, host {power(system).value}")  # noqa: T201  a command speaks
    login.close()


def power(system: sushy.resources.system.system.System) -> sushy.PowerState:
    """The power state, read anew."""
    system.refresh(force=True)
    return system.power_state


def until(true: Callable[[], object]) -> None:
    """Ask until it is so."""
    end = time.monotonic() + DEADLINE_S
    while not true():
        if time.monotonic() > end:
            sys.exit(f"not so after {DEADLINE_S:.0f} s")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
