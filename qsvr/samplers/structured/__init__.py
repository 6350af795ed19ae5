"""The default sampler: annealing that knows the structure of the dual's QUBO."""

from qsvr.samplers.structured.annealer import StructuredAnnealer

__all__ = [
    "StructuredAnnealer",
]
