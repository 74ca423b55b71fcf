"""A hall in memory, on a clock that nobody waits for: the product's own engine, runner and drivers, without sockets and without time."""
