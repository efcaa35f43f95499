"""Deterministic simulation: one seed gives sources, clock, faults and crashes of a live run."""

from eventtime.testing.simulation.life import Broken, Survived, simulate
from eventtime.testing.simulation.soak import Soaked, soak

__all__ = ("Broken", "Soaked", "Survived", "simulate", "soak")
