"""What a login to a node's OS says, and whether it reached the machine that the plan was made for."""

from fleet.edges import CommandResult, HostShell
from fleet.errors import NodeFault, Reason, Transient
from fleet.step import NodeContext

COMMAND_S = 30.0
_SERIAL = "/sys/class/dmi/id/product_serial"


async def text_of(shell: HostShell, path: str) -> str:
    """What a file holds. Raises Transient where it cannot be read."""
    result: CommandResult = await shell.run(("cat", path), timeout_s=COMMAND_S)
    if result.exit_status != 0:
        words = " ".join(result.stderr.decode(errors="replace").split())[:120]
        raise Transient(f"cat {path} ended with {result.exit_status}{f': {words}' if words else ''}")
    return result.stdout.decode(errors="replace")


async def require_this_machine(ctx: NodeContext, shell: HostShell) -> str:
    """The serial that DMI shows, stripped; empty proves nothing. IDENTITY_MISMATCH where it is not the planned one (F57)."""
    serial = (await text_of(shell, _SERIAL)).strip()
    planned, _ = ctx.planned_identity()
    if planned and serial and serial.casefold() != planned.casefold():
        raise NodeFault(
            Reason.IDENTITY_MISMATCH, f"the login reached a machine with serial {serial}, not {planned} (F57)"
        )
    return serial
