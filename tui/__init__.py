"""How to watch a rollout and stop it."""
