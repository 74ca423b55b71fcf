"""Planted bugs of what is done when nobody knows: was the image taken, is a POST over, what waits for the next reset."""

from simulation.bug import Bug, Edit

DOUBTS: tuple[Bug, ...] = (
    Bug(
        name="copy-unsettled",
        why="what a dead process announced of a copy is left open when both slots are equal by then",
        edits=(
            Edit(
                "playbooks/steps/slots.py",
                '                if not told and ctx.announced("copy"):\n',
                "                if False:\n",
            ),
            Edit("fleet/runner.py", "        if unsettled := [", "        if unsettled := [] and ["),
        ),
        first=150,
    ),
    Bug(
        name="log-ignored",
        why="nobody asks the BMC's log whether the image came",
        edits=(
            Edit(
                "playbooks/steps/arrived.py",
                "    return await ctx.bmc.log_since(target.component, LogMark(**mark), frozenset(versions))\n",
                '    return LogVerdict(says=LogSays.SILENT, why="")\n',
            ),
        ),
    ),
    Bug(
        name="log-unread-is-silent",
        why="a log that cannot be read is taken for one that says nothing",
        edits=(
            Edit(
                "fleet/drivers/redfish/eventlog.py",
                '        return LogVerdict(says=LogSays.CANNOT_TELL, why=f"its log cannot be read: {unread}")',
                '        return LogVerdict(says=LogSays.SILENT, why=f"its log cannot be read: {unread}")',
            ),
        ),
    ),
    Bug(
        name="log-cleared-is-silent",
        why="a log that was cleared is taken for one that says nothing",
        edits=(
            Edit("fleet/drivers/redfish/eventlog.py", "    if not whole:\n", "    if False:\n"),
            Edit(
                "fleet/drivers/redfish/eventlog.py",
                "    if not _told_before(entries, mark, log):\n",
                "    if False:\n",
            ),
        ),
    ),
    Bug(
        name="no-log-is-silent",
        why="where no log is known, an image that may have come is handed over again",
        edits=(
            Edit(
                "playbooks/steps/arrived.py",
                "        return LogVerdict(says=LogSays.CANNOT_TELL, why=why)",
                "        return LogVerdict(says=LogSays.SILENT, why=why)",
            ),
        ),
    ),
    Bug(
        name="post-cut",
        why="the host is switched off in its first POST",
        edits=(
            Edit(
                "playbooks/steps/hosts.py",
                "    if not ctx.announced(effect):\n        await post_over(ctx)\n",
                "",
            ),
        ),
    ),
    Bug(
        name="way-back-unactivated",
        why="the way back ends when the old image is handed over",
        edits=(
            Edit(
                "fleet/runner.py",
                '        specs.append(StepSpec(ACTIVATE, {"block": "back", **({"always": "staged"} if staged else {})}))\n',
                "",
            ),
        ),
    ),
)
