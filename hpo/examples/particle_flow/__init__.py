"""Particle flow: events, a detector simulation, a reader of the public data, and the network."""

from hpo.examples.particle_flow.delphes import read_delphes
from hpo.examples.particle_flow.detector import simulate_events
from hpo.examples.particle_flow.events import Events

__all__ = ["Events", "read_delphes", "simulate_events"]
