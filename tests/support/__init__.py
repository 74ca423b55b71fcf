"""What several test packages share: a virtual clock, a modelled machine, plans made by the real planner."""
