"""Burn-in, judged: pure functions from what a tool printed to a verdict that is PASS only where everything was seen to pass."""
