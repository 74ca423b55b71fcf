"""Planted bugs of pacing by evidence: each a replacement of lines of the product that a check must catch."""

from simulation.bug import Bug, Edit

PACING: tuple[Bug, ...] = (
    Bug(
        name="one-box-forgotten",
        why="more than one node starts before any has succeeded",
        edits=(
            Edit(
                "fleet/policy/pacing.py",
                "    if not any(item.clean for item in found.strata.values()):\n",
                "    if False:\n",
            ),
        ),
    ),
    Bug(
        name="one-box-of-a-stratum-forgotten",
        why="a kind of node that has shown nothing widens with the others",
        edits=(
            Edit(
                "fleet/policy/pacing.py",
                "        if choice.exposed[stratum] and not found.stratum(stratum).clean:\n",
                "        if False:\n",
            ),
        ),
    ),
    Bug(
        name="risk-doubled",
        why="twice as many nodes may be broken as was asked for",
        edits=(
            Edit(
                "fleet/policy/pacing.py",
                "    if choice.spent + cost > rules.caps.risk:\n",
                "    if choice.spent + cost > 2 * rules.caps.risk:\n",
            ),
        ),
    ),
    Bug(
        name="batch-is-free",
        why="nodes admitted together do not count against the risk",
        edits=(
            Edit("fleet/policy/pacing.py", "                self.spent += self.bound(stratum)\n", ""),
            Edit("fleet/policy/pacing.py", "                self.exposed[stratum] += 1\n", "                pass\n"),
        ),
    ),
    Bug(
        name="evidence-ignored",
        why="nothing halts a rollout that is paced by evidence",
        edits=(
            Edit(
                "fleet/policy/admission.py",
                "    if not rules.caps.risk or not (found.signatures or found.unprovoked):\n",
                "    if True:\n",
            ),
        ),
    ),
    Bug(
        name="failures-are-no-evidence",
        why="the bound of a kind forgets its failures",
        edits=(
            Edit(
                "fleet/policy/standing.py",
                "            stratum.failed += bool(new.intents)\n",
                "            stratum.failed += 0\n",
            ),
        ),
        first=700,
    ),
    Bug(
        name="young-is-proven",
        why="a success counts whole at once although it has to ripen",
        edits=(
            Edit(
                "fleet/policy/standing.py",
                "        return self.fresh * math.exp(-max(0.0, now - self.fresh_at) / bake_s) if bake_s > 0 else 0.0\n",
                "        return 0.0\n",
            ),
        ),
    ),
)
