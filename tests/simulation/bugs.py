# ruff: noqa: E501 (lines of the product stand as they are)
"""The planted bugs: what each does, and the lines that it replaces. See simulation.planted."""

from simulation.bug import Bug, Edit
from simulation.bugs_pacing import PACING
from simulation.doubts import DOUBTS

PLANTED: tuple[Bug, ...] = (
    Bug(
        name="lease-dropped",
        why="two processes may own one rollout",
        edits=(
            Edit(
                "fleet/journal/lease.py",
                "    try:\n        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)\n    except BlockingIOError:\n        return False\n    return True",
                "    return True",
            ),
        ),
    ),
    Bug(
        name="resend-on-timeout",
        why="an effect whose answer was lost is sent again",
        edits=(
            Edit(
                "fleet/drivers/redfish/channel.py",
                '            raise OutcomeUnknown(effect, f"{self.base}: {effect}: no answer came: {error}") from None',
                "            return await self._once(method, path, body=body, headers=headers, read_s=read_s)",
            ),
        ),
    ),
    Bug(
        name="trust-task-status",
        why="what the task says is the verdict; versions are not read",
        edits=(
            Edit(
                "playbooks/steps/firmware.py",
                "                lacking = _lacking(flashed, (await ctx.observe()).items)\n",
                '                lacking = ""\n',
            ),
        ),
    ),
    Bug(
        name="skip-is-a-pass",
        why="a part that shows another version counts as done",
        edits=(
            Edit(
                "inventory/baseline.py",
                "return not (self.differing or self.absent or self.missing)",
                "return not self.missing",
            ),
        ),
    ),
    Bug(
        name="unmet-is-a-pass",
        why="the second check of a step decides nothing",
        edits=(
            Edit(
                "fleet/runner.py",
                "        if not isinstance(verified, Met):",
                "        if not isinstance(verified, Met | type(verified)):",
            ),
        ),
    ),
    Bug(
        name="rack-cap-forgotten",
        why="racks are no domain",
        edits=(
            Edit(
                "fleet/policy/rules.py",
                'single = (("rack", self.rack), ("tenant"',
                'single = (("tenant"',
            ),
        ),
    ),
    Bug(
        name="feed-cap-forgotten",
        why="feeds are no domain",
        edits=(
            Edit(
                "fleet/policy/rules.py",
                'several = (("feed", self.feeds), ("leaf"',
                'several = (("leaf"',
            ),
        ),
    ),
    Bug(
        name="quarantined-not-out",
        why="a quarantined node counts no more against its rack",
        edits=(
            Edit(
                "fleet/policy/standing.py",
                "    return node.status in ACTIVE or node.status is NodeStatus.QUARANTINED",
                "    return node.status in ACTIVE",
            ),
        ),
    ),
    Bug(
        name="in-flight-off-by-one",
        why="one node more than allowed",
        edits=(
            Edit(
                "fleet/policy/pacing.py",
                "if choice.in_flight >= rules.caps.max_in_flight:",
                "if choice.in_flight > rules.caps.max_in_flight:",
            ),
            Edit(
                "fleet/policy/pacing.py",
                "choice.in_flight + len(unit) > rules.caps.max_in_flight:",
                "choice.in_flight > rules.caps.max_in_flight:",
            ),
        ),
    ),
    Bug(
        name="cap-off-by-one",
        why="one node more than a rack may lose",
        edits=(
            Edit(
                "fleet/policy/pacing.py", "if choice.out[key] + count > cap:", "if choice.out[key] + count > cap + 1:"
            ),
        ),
    ),
    Bug(
        name="cap-not-within-batch",
        why="nodes admitted together do not see one another",
        edits=(
            Edit(
                "fleet/policy/pacing.py",
                "            self.out.update(self.rules.domains[node].groups())\n",
                "",
            ),
        ),
    ),
    Bug(
        name="budget-off-by-one",
        why="one failure more than tolerated",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "    if new > caps.failure_budget:",
                "    if new > caps.failure_budget + 1:",
            ),
        ),
    ),
    Bug(
        name="budget-forgets-accepted",
        why="failures before a resume are taken for accepted for ever",
        edits=(
            Edit(
                "fleet/engine.py",
                "accepted = self._state.failures if seen else self._state.accepted_failures",
                "accepted = 10**6",
            ),
        ),
    ),
    Bug(
        name="canary-ignored",
        why="a failed canary does not stop the rollout",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "canary = order[: caps.waves[0]] if len(caps.waves) > 1 and state.wave == 0 else ()",
                "canary: tuple[str, ...] = ()",
            ),
        ),
    ),
    Bug(
        name="wave-does-not-wait",
        why="the next wave opens while one is under way",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "        if all(state.nodes[node].status in TERMINAL for node in members):\n            return _next_wave",
                "        if True:\n            return _next_wave",
            ),
        ),
    ),
    Bug(
        name="wave-forgotten",
        why="nodes of later waves start with the first",
        edits=(
            Edit("fleet/policy/admission.py", "    members = order[: caps.waves[state.wave]]", "    members = order"),
        ),
    ),
    Bug(
        name="approval-skipped",
        why="no wave waits for a person",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "    if wave in caps.approve and wave not in state.approved:",
                "    if wave in caps.approve and wave not in state.approved and wave > 99:",
            ),
        ),
    ),
    Bug(
        name="bake-skipped",
        why="no time between waves",
        edits=(Edit("fleet/policy/admission.py", "    if now < ended + caps.bake_s:", "    if now < ended:"),),
    ),
    Bug(
        name="window-forgotten",
        why="nodes start outside the window",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "    if caps.window is not None and not caps.window.open_at(now):\n        return _closed(caps.window, now)\n    ended",
                "    ended",
            ),
        ),
        first=290,
    ),
    Bug(
        name="window-forgotten-by-nodes",
        why="a node that is taken over outside the window goes on",
        edits=(
            Edit(
                "fleet/timebox.py",
                "        if self._window is None or key in self._granted:",
                "        if self._window is None or self._granted is not None:",
            ),
        ),
    ),
    Bug(
        name="pause-ignored",
        why="a pause holds nobody",
        edits=(
            Edit(
                "fleet/gate.py",
                "        while self._mode is Mode.PAUSED:\n            await self._changed.wait()\n",
                "",
            ),
        ),
    ),
    Bug(
        name="abort-ignored",
        why="an abort stops nobody",
        edits=(
            Edit("fleet/gate.py", "        if self._mode is Mode.ABORT:\n            raise Aborted(self._why)\n", ""),
        ),
    ),
    Bug(
        name="halt-ignored",
        why="a halt stops nobody",
        edits=(
            Edit("fleet/gate.py", "        if self._mode is Mode.PARK:\n            raise Parked(self._why)\n", ""),
        ),
    ),
    Bug(
        name="pause-too-late",
        why="the gate is asked before the last look, not after",
        edits=(
            Edit(
                "playbooks/steps/waiting.py",
                "        seen = await look()\n        asked = ctx.clock.now()\n        await ctx.safe_point()\n",
                "        await ctx.safe_point()\n        seen = await look()\n        asked = ctx.clock.now()\n",
            ),
        ),
    ),
    Bug(
        name="identity-forgotten",
        why="nobody asks which machine answers",
        edits=(
            Edit(
                "fleet/context.py",
                "        serial, uuid = await self.bmc.identify()\n",
                "        serial, uuid = self._planned.serial, self._planned.uuid\n",
            ),
        ),
    ),
    Bug(
        name="intent-after-effect",
        why="the journal hears of an effect when it has happened",
        edits=(
            Edit(
                "fleet/context.py",
                "                await self._recorder.record(ev.IntentRecorded(node=self._name, effect=key, detail=intent))\n                result = await self._attempt(key, act, intent, reconcile)\n",
                "                result = await self._attempt(key, act, intent, reconcile)\n                await self._recorder.record(ev.IntentRecorded(node=self._name, effect=key, detail=intent))\n",
            ),
        ),
    ),
    Bug(
        name="unknown-is-absent",
        why="no answer means that it did not happen",
        edits=(
            Edit(
                "fleet/context.py",
                "            return await self._settle(key, str(unknown), intent, reconcile)\n",
                "            return None\n",
            ),
        ),
    ),
    Bug(
        name="crash-is-absent",
        why="what a dead process announced did not happen",
        edits=(
            Edit(
                "fleet/context.py",
                "                result = await self._settle(key, why, known.detail, reconcile)\n",
                "                result = None\n",
            ),
        ),
    ),
    Bug(
        name="crash-is-done",
        why="an image that a dead process announced has arrived",
        edits=(
            Edit(
                "playbooks/steps/firmware.py",
                "            return await find_submission(ctx, target, intent, staged_over=bool(self.always))",
                '            return {"task": None, "note": "", "at": float(intent["at"])}',
            ),
        ),
    ),
    Bug(
        name="refusal-is-absent",
        why="any fault means that the effect did not happen",
        edits=(
            Edit(
                "fleet/context.py",
                "            if refusal.reason in _REFUSALS or undone:",
                "            if refusal.reason in Reason:",
            ),
        ),
    ),
    Bug(
        name="double-activation",
        why="a reset is sent twice",
        edits=(
            Edit(
                "playbooks/steps/power.py",
                "        try:\n            await reset()\n",
                "        try:\n            await reset()\n            await reset()\n",
            ),
        ),
    ),
    Bug(
        name="confirm-unread",
        why="nodes are confirmed without a look",
        edits=(
            Edit(
                "playbooks/steps/firmware.py",
                "        for read in range(timings.settle_reads):\n            if read:",
                "        for read in range(0):\n            if read:",
            ),
        ),
    ),
    Bug(
        name="settle-skipped",
        why="one read is enough",
        edits=(
            Edit(
                "playbooks/steps/firmware.py",
                "        for read in range(timings.settle_reads):\n            if read:",
                "        for read in range(1):\n            if read:",
            ),
        ),
    ),
    Bug(
        name="alive-tasks-ignored",
        why="power is touched while a task runs",
        edits=(
            Edit(
                "playbooks/steps/waiting.py",
                "            if readiness.enabled and not readiness.alive:",
                "            if readiness.enabled:",
            ),
        ),
    ),
    Bug(
        name="vanished-is-over",
        why="a task that is gone has ended",
        edits=(Edit("playbooks/steps/firmware.py", "_PATIENCE = 3.0", "_PATIENCE = 0.0"),),
    ),
    Bug(
        name="host-left-off",
        why="nobody turns the host on again",
        edits=(
            Edit(
                "playbooks/steps/power.py",
                "    await ctx.clock.sleep(ctx.bmc.profile.timings.off_dwell_s)\n    await host_on(ctx)\n",
                "    await ctx.clock.sleep(ctx.bmc.profile.timings.off_dwell_s)\n",
            ),
            Edit(
                "playbooks/steps/power.py",
                "    await host_on(ctx)\n    if changed is not None:\n",
                "    if changed is not None:\n",
            ),
        ),
    ),
    Bug(
        name="way-back-wrong-image",
        why="the way back flashes the goal again",
        edits=(
            Edit(
                "fleet/runner.py",
                'StepSpec(UPDATE, {"target": back[component], "always"',
                'StepSpec(UPDATE, {"target": component, "always"',
            ),
        ),
    ),
    Bug(
        name="way-back-leaves-staged",
        why="a new image that waits is not overwritten on the way back",
        edits=(Edit("fleet/runner.py", '"always": "staged" if staged else ""', '"always": ""'),),
    ),
    Bug(
        name="way-back-unasked",
        why="nodes go back although the playbook says to hold them",
        edits=(
            Edit(
                "fleet/runner.py",
                "        if self._around.plan.caps.on_failure is not OnFailure.ROLL_BACK_NODE or fault.reason in HANDS_OFF:",
                "        if fault.reason in HANDS_OFF:",
            ),
        ),
    ),
    Bug(
        name="force-left-on",
        why="ForceUpdate stays set",
        edits=(
            Edit(
                "playbooks/steps/firmware.py",
                "                if order.force:\n                    await _restore_soon(ctx)\n",
                "                pass\n",
            ),
            Edit(
                "playbooks/steps/firmware.py",
                "        if target.downgrade:\n            await again(ctx, 10, 60.0, lambda: _restored(ctx), _still_forced)\n",
                "",
            ),
        ),
    ),
    Bug(
        name="session-leaked",
        why="sessions are not deleted",
        edits=(
            Edit(
                "fleet/drivers/redfish/access.py",
                '        reply = await self.channel.send("DELETE", uri, None, effect="logout")\n        return reply.status in OK or reply.status in GONE or reply.status == UNAUTHORISED',
                "        return bool(uri)",
            ),
        ),
    ),
    Bug(
        name="leftovers-kept",
        why="sessions of dead processes stay",
        edits=(
            Edit(
                "fleet/reach.py",
                "    gone = await bmc.clear_sessions(leftovers)\n",
                "    gone = frozenset(leftovers)\n",
            ),
        ),
    ),
    Bug(
        name="session-unannounced",
        why="a session is made before the journal knows",
        edits=(
            Edit(
                "fleet/drivers/redfish/access.py",
                "        await self._ledger.opening(context)\n        reply = await self._asked(sessions, login, context)",
                "        reply = await self._asked(sessions, login, context)",
            ),
        ),
    ),
    Bug(
        name="lockout-forgotten",
        why="a wrong password is tried as often as one likes",
        edits=(Edit("fleet/attempts.py", "LIMIT = 3\n", "LIMIT = 30\n"),),
    ),
    Bug(
        name="token-in-journal",
        why="the journal holds the session's token",
        edits=(
            Edit(
                "fleet/drivers/redfish/access.py",
                "        await self._ledger.opened(uri, context)\n",
                '        await self._ledger.opened(f"{uri}#{token}", context)\n',
            ),
        ),
    ),
    Bug(
        name="stone-skipped",
        why="stepping stones are not flashed",
        edits=(Edit("fleet/recipe.py", "        return [*chain, goal]\n", "        return [goal]\n"),),
    ),
    Bug(
        name="uncertain-forgotten",
        why="a node that a crash left uncertain is never taken up again",
        edits=(
            Edit(
                "fleet/engine.py",
                "            if node.status in ACTIVE and name not in running and not self._held(node):",
                "            if node.status in ACTIVE and node.status is not NodeStatus.UNCERTAIN and name not in running and not self._held(node):",
            ),
        ),
    ),
    Bug(
        name="disk-full-ignored",
        why="without a journal the work goes on",
        edits=(
            Edit(
                "fleet/engine.py",
                "        for recorded in await self._journal.append(self.state.rollout, *events):",
                "        try:\n            kept = await self._journal.append(self.state.rollout, *events)\n        except Exception:\n            return\n        for recorded in kept:",
            ),
        ),
    ),
    Bug(
        name="restart-is-failure",
        why="a BMC that restarts by itself is given up when a process comes back",
        edits=(
            Edit(
                "fleet/runner.py",
                "        if self._ctx.state.effects:\n            # It may",
                "        if any(effect.result is None for effect in self._ctx.state.effects.values()):\n            # It may",
            ),
        ),
        first=400,
    ),
    Bug(
        name="given-up-forgotten",
        why="the way back trusts a task that says Cancelled",
        edits=(Edit("fleet/runner.py", ' or f"{key}/{GIVEN_UP}" in state.effects', ""),),
        first=5030,
    ),
    *DOUBTS,
    *PACING,
)
