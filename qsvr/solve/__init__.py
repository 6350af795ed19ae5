"""From a dual to its solutions: one QUBO, refinement, or decomposition."""

from qsvr.solve.decomposition import DecompositionSolver
from qsvr.solve.direct import DirectSolver, DualSolution
from qsvr.solve.refinement import RefinementRound, RefinementSolver, WarmStart
from qsvr.solve.strategy import DualProblem, Strategy

__all__ = [
    "DecompositionSolver",
    "DirectSolver",
    "DualProblem",
    "DualSolution",
    "RefinementRound",
    "RefinementSolver",
    "Strategy",
    "WarmStart",
]
