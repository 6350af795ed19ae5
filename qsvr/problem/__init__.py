"""The optimisation problem: kernel, dual, encoding, QUBO, and local search."""

from qsvr.problem.data import TrainingData, split_rows, target_unit
from qsvr.problem.dual import LargeDual, Relaxation, SVRDual, one_sided, two_sided
from qsvr.problem.encoding import MAX_BITS, FixedPointEncoding
from qsvr.problem.kernel_rows import KernelRows
from qsvr.problem.kernels import KERNEL_NAMES, Kernel, KernelFunction, check_kernel, symmetric
from qsvr.problem.local_search import polish
from qsvr.problem.objective import (
    is_comparable,
    loss_gap,
    lowest_average,
    primal_intercept,
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
from qsvr.problem.spectrum import PSD_METHODS, Spectrum, is_indefinite

__all__ = [
    "KERNEL_NAMES",
    "MAX_BITS",
    "PSD_METHODS",
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
    "Spectrum",
    "TrainingData",
    "canonical",
    "check_kernel",
    "duality_gap",
    "lowest_average",
    "exact_energy",
    "is_comparable",
    "is_indefinite",
    "lowest_distinct",
    "one_sided",
    "polish",
    "primal_intercept",
    "loss_gap",
    "split_rows",
    "symmetric",
    "target_unit",
    "training_objective",
    "two_sided",
]
