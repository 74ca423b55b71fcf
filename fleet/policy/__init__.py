"""May node n start now? Pure: no clock, no I/O, no async."""
