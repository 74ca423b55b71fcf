"""``python -m fleet.sim --boxes FILE.json --directory DIR``: a hall as a process."""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from fleet.sim.faults import FaultBook, FaultError, load_faults
from fleet.sim.hall import Hall, HallSpec
from fleet.sim.layout import HallError, read_layout

try:
    import uvloop
except ImportError:  # a hall without it works, and takes more memory per connection
    uvloop = None  # type: ignore[assignment]  # the module or nothing

_FAILED = 1


def main(arguments: list[str] | None = None) -> int:
    """Run a hall until SIGTERM, SIGINT or POST /quit; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fleet.sim", description="The simulated hall of Fleetwave.")
    parser.add_argument(
        "--boxes", type=Path, required=True, help="JSON: boxes, or a mapping of boxes, switches, pdus, links, breakers"
    )
    parser.add_argument("--directory", type=Path, required=True, help="where hall.json and the others are written")
    parser.add_argument("--speed", type=float, default=600.0, help="simulated seconds per real second")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--faults", type=Path, help="fault file (YAML)")
    parser.add_argument("--user", default="admin")
    options = parser.parse_args(arguments)
    try:
        layout = read_layout(json.loads(options.boxes.read_text()), str(options.boxes))
        spec = HallSpec(
            boxes=layout.boxes,
            switches=layout.switches,
            pdus=layout.pdus,
            links=layout.links,
            breakers=layout.breakers,
            directory=options.directory,
            speed=options.speed,
            seed=options.seed,
            faults=load_faults(options.faults) if options.faults else FaultBook(),
            user=options.user,
        )
        with asyncio.Runner(loop_factory=uvloop.new_event_loop if uvloop else None) as runner:
            runner.run(_serve(spec))
    except (HallError, FaultError, OSError, ValueError) as wrong:
        print(f"fleet.sim: {wrong}", file=sys.stderr)  # noqa: T201  a command speaks
        return _FAILED
    return 0


async def _serve(spec: HallSpec) -> None:
    async with Hall(spec) as hall:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, hall.stop)
        print(f"hall ready: {len(hall.faces)} BMCs, {spec.directory / 'hall.json'}", file=sys.stderr)  # noqa: T201  a command speaks
        await hall.serve_forever()


if __name__ == "__main__":
    sys.exit(main())
