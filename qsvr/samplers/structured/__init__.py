"""The default sampler: annealing with moves that fit the structure of the dual's QUBO."""

from qsvr.samplers.structured.annealer import StructuredAnnealer

__all__ = [
    "StructuredAnnealer",
]
