"""The product's virtual clock, under the name that the tests have always used."""

from fleet.twin.clock import START, WALL, VirtualClock

__all__ = ["START", "WALL", "VirtualClock"]
