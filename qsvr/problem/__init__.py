"""The optimisation problem: kernel, dual, encoding, QUBO, and descent on it."""

from qsvr.problem.data import TrainingData, split_rows
from qsvr.problem.dual import LargeDual, Relaxation, SVRDual
from qsvr.problem.encoding import MAX_BITS, FixedPointEncoding
from qsvr.problem.kernel_rows import KernelRows
from qsvr.problem.kernels import KERNEL_NAMES, Kernel, KernelFunction, symmetric
from qsvr.problem.local_search import polish
from qsvr.problem.objective import (
    lowest_average,
    primal_intercept,
    relative_loss_gap,
    training_objective,
)
from qsvr.problem.optimality import (
    Conditions,
    canonical,
    duality_gap,
    exact_energy,
)
from qsvr.problem.qubo import SVRQubo
from qsvr.problem.samples import Samples, lowest_distinct

__all__ = [
    "KERNEL_NAMES",
    "MAX_BITS",
    "Conditions",
    "FixedPointEncoding",
    "Kernel",
    "KernelFunction",
    "KernelRows",
    "LargeDual",
    "Relaxation",
    "SVRDual",
    "SVRQubo",
    "Samples",
    "TrainingData",
    "canonical",
    "duality_gap",
    "lowest_average",
    "exact_energy",
    "lowest_distinct",
    "polish",
    "primal_intercept",
    "relative_loss_gap",
    "split_rows",
    "symmetric",
    "training_objective",
]
