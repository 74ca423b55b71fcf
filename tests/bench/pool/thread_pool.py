"""The three-component update of `fleet demo` by DMTF's `redfish` and `redfish_utilities` in 50 threads: what a good script looks like.

Runs in the bench's own environment and imports nothing of Fleetwave: `python thread_pool.py VARS.json`.
"""

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import redfish
from redfish_utilities.managers import manager_reset  # type: ignore[import-not-found]  # in the bench's own environment
from redfish_utilities.systems import get_system, system_reset  # type: ignore[import-not-found]
from redfish_utilities.update import get_firmware_inventory, multipart_push_update  # type: ignore[import-not-found]

_THREADS = 50
_LOOKS = 2000
"""How often anything is polled before it is given up."""


class NodeUpdate:
    """One node, from reading its versions to having seen the wanted ones."""

    def __init__(self, address: str, settings: dict[str, Any], password: str) -> None:
        """`address`: ADDRESS:PORT; `settings`: what the bench wrote; raises what `redfish` raises."""
        self._address = address
        self._settings = settings
        self._password = password
        self._poll_s = float(settings["poll_s"])
        self._bmc: Any = self._log_in()

    def run(self) -> str:
        """Update, activate, verify; what became of it, in a word."""
        try:
            if self._lacking():
                self._update()
                self._activate()
            return "failed" if self._lacking() else "done"
        finally:
            self._bmc.logout()

    def _update(self) -> None:
        for component in self._settings["components"].values():
            reply = multipart_push_update(self._bmc, component["image"], targets=component["targets"] or None)
            self._follow(reply)

    def _follow(self, reply: Any) -> None:
        """As redfish_utilities.poll_task_monitor does, but waiting in the hall's time: that one sleeps for Retry-After as it is."""
        for _ in range(_LOOKS):
            if not reply.is_processing:
                break
            time.sleep(self._poll_s)
            reply = reply.monitor(self._bmc)
        if reply.dict.get("TaskState") != "Completed":
            raise RuntimeError(f"{self._address}: task is {reply.dict.get('TaskState')}")

    def _activate(self) -> None:
        manager_reset(self._bmc, "BMC", "ForceRestart")
        time.sleep(self._poll_s)
        self._bmc = self._come_back()
        system_reset(self._bmc, "DGX", "GracefulShutdown")
        self._power("Off")
        system_reset(self._bmc, "DGX", "On")
        self._power("On")
        for _ in range(_LOOKS):
            if not self._lacking():
                break
            time.sleep(self._poll_s)

    def _come_back(self) -> Any:
        for _ in range(_LOOKS):
            try:
                bmc = self._log_in()
                if bmc.get("/redfish/v1/Managers/HGX_BMC_0").status == 200:  # the baseboard is back, too
                    return bmc
                bmc.logout()
            except Exception:  # noqa: BLE001, S110  half a dozen classes mean "not yet" while a BMC starts
                pass
            time.sleep(self._poll_s)
        raise RuntimeError(f"{self._address}: did not return")

    def _power(self, wanted: str) -> None:
        for _ in range(_LOOKS):
            if get_system(self._bmc, "DGX").dict["PowerState"] == wanted:
                return
            time.sleep(self._poll_s)
        raise RuntimeError(f"{self._address}: host is not {wanted}")

    def _lacking(self) -> dict[str, str]:
        shown = {item["Id"]: item.get("Version") for item in get_firmware_inventory(self._bmc)}
        return {item: version for item, version in self._settings["wanted"].items() if shown.get(item) != version}

    def _log_in(self) -> Any:
        bmc = redfish.redfish_client(
            base_url=f"https://{self._address}",
            username=self._settings["bmc_user"],
            password=self._password,
            cafile=self._settings["ca_file"],
            timeout=60,
            max_retry=0,  # it would send a POST again
        )
        bmc.login(auth=redfish.AuthMethod.SESSION)
        return bmc


def _one(address: str, settings: dict[str, Any], password: str) -> str:
    try:
        return NodeUpdate(address, settings, password).run()
    except Exception as error:  # noqa: BLE001  one node's end must not be that of the others
        print(f"{address}: {type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201
        return "failed"


def main() -> int:
    """All nodes; 0 if each ended at the wanted versions."""
    settings = json.loads(Path(sys.argv[1]).read_text())
    password = Path(settings["password_file"]).read_text().strip()
    with ThreadPoolExecutor(_THREADS) as pool:
        ends = list(pool.map(lambda address: _one(address, settings, password), settings["addresses"]))
    return 0 if set(ends) == {"done"} else 1


if __name__ == "__main__":
    sys.exit(main())
