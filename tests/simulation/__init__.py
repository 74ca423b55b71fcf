"""Deterministic simulation: one seed is one history of the real engine, runner, driver and policy over a hall in memory."""
