"""`kill -9` at random moments of a rollout, and the judgement of what came of it."""
