"""Checks of the problem that follows from parameters and data, and of predictions."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Integral
from typing import Any

import numpy as np

from qsvr._typing import FloatArray
from qsvr.exceptions import CapacityError, CoarseEncodingWarning, IndefiniteKernelWarning
from qsvr.problem import LargeDual, SVRDual, is_comparable, is_indefinite, loss_gap
from qsvr.samplers import AccessPlan
from qsvr.solve import DualProblem

__all__ = [
    "check_finite",
    "check_magnitudes",
    "check_psd",
    "check_start",
    "check_unrefined",
    "check_whole",
    "warn_if_coarse",
    "warn_if_indefinite",
]

# Beyond this loss, in standard deviations of y, R2 is off by up to a tenth.
_COARSE = 0.1
# Beyond this, products of three numbers overflow.
_LARGEST = 1e100


def check_psd(owner: str, psd: str | None, working_size: int | None) -> None:
    """Raise ValueError if ``psd`` needs a kernel matrix that is never computed."""
    if psd is not None and working_size is not None:
        raise ValueError(
            f"psd of {owner} must be None for decomposition into working sets (here of "
            f"{working_size} samples), because it needs the whole kernel matrix; got {psd!r}. Set "
            "max_variables=None, use fewer samples, or correct the matrix and pass it with "
            "kernel='precomputed'."
        )


def check_start(owner: str, b: FloatArray, n_samples: int) -> None:
    """Raise ValueError if the previous solution has another number of samples."""
    if b.size != n_samples:
        raise ValueError(
            f"warm_start of {owner} requires as many samples as in the previous fit, {b.size}; got "
            f"{n_samples}. Set warm_start=False to start from the beginning."
        )


def check_unrefined(owner: str, n_refinements: object) -> None:
    """Raise ValueError if rounds of refinement are requested and there is no sampler."""
    if isinstance(n_refinements, Integral) and int(n_refinements) > 0:
        raise ValueError(
            f"n_refinements of {owner} must be 0 for fit_samples; got {n_refinements}. Each round "
            "needs a sampler. Set it to 0 or 'auto', or use fit."
        )


def check_whole(owner: str, values: Mapping[str, Any], *, n_samples: int, n_sides: int = 2) -> None:
    """Raise unless the parameters define one repeatable problem of ``n_samples`` samples.

    ``n_sides`` is the number of coefficients per sample that have bits.
    """
    seed, most = values["random_state"], values["max_variables"]
    if values["combination_fraction"] and not isinstance(seed, Integral):
        raise ValueError(
            f"random_state of {owner} must be an integer with combination_fraction, so that the "
            "same samples are held out when the problem is made and when its samples are read; "
            f"got {seed!r}."
        )
    n_variables = n_sides * values["n_bits"] * n_samples
    if isinstance(most, Integral) and n_variables > int(most):
        raise CapacityError(
            f"the problem of {n_samples} samples has {n_variables} binary variables, and "
            f"max_variables of {owner} is {most}. Set it to None, or use fewer samples or bits."
        )


def check_magnitudes(owner: str, dual: SVRDual | LargeDual) -> None:
    """Raise ValueError if squares or energies of a dual leave the range of floating point."""
    y, largest_C = float(np.abs(dual.y).max()), float(dual.box.max())
    C = largest_C * dual.y.size
    kernel = np.abs(dual.kernel_matrix).max() if isinstance(dual, SVRDual) else 0.0
    lower = "Lower it."
    target = (
        "Scale y, or set normalize_y=True, with which C and epsilon are in units of its deviation."
    )
    magnitudes = [
        (float(kernel), "the kernel", "Lower degree, gamma or coef0, or scale X."),
        (dual.equality_penalty, "equality_penalty", lower),
        (dual.overlap_penalty, "overlap_penalty", lower),
        (dual.epsilon, "epsilon", target),
        (y, "y", target),
        (largest_C, "C", f"{lower} Above the largest coefficient it has no effect."),
    ]
    magnitude, name, remedy = max(magnitudes)
    if magnitude > _LARGEST:
        raise ValueError(
            f"{name} of {owner} reaches {magnitude:.3g}, whose square overflows; it must be at "
            f"most {_LARGEST:.0e}. {remedy}"
        )
    energy = C * max(kernel * C, dual.equality_penalty * C, dual.overlap_penalty * C, y)
    if energy > _LARGEST**2:
        raise ValueError(
            f"C of {owner}, {largest_C:.3g}, makes energies up to {energy:.3g} with a "
            f"kernel up to {kernel:.3g}, which overflow. Lower C, or scale X or the kernel."
        )
    if largest_C < 1.0 / _LARGEST:
        raise ValueError(
            f"C of {owner} reaches {largest_C:.3g}, whose square is 0 in floating point. Raise it, "
            "or set normalize_y=True, so that it is in units of the standard deviation of y."
        )
    if dual.epsilon < y < 1.0 / _LARGEST:
        raise ValueError(
            f"y of {owner} differs from its median by at most {y:.3g}, whose square is 0 in "
            "floating point. Scale it, or set normalize_y=True."
        )


def check_finite(prediction: FloatArray, kernel: FloatArray) -> None:
    """Raise ValueError for predictions that are not finite."""
    if not np.isfinite(prediction).all():
        raise ValueError(
            f"predictions are not finite: the kernel of X with the support vectors has values up "
            f"to {np.abs(kernel).max():.3g}. Scale X as in fit, or lower degree or gamma."
        )


def warn_if_indefinite(dual: SVRDual | LargeDual, psd: str | None) -> None:
    """Warn of negative eigenvalues larger than rounding errors, if they are not corrected."""
    if psd is not None or not isinstance(dual, SVRDual):
        return
    lowest = dual.smallest_curvature
    if is_indefinite(lowest, dual.kernel_matrix):
        warnings.warn(
            f"the kernel matrix is indefinite: its lowest eigenvalue is {lowest:.4g}, with a mean "
            f"diagonal of {np.diag(dual.kernel_matrix).mean():.4g}. The dual is not convex: "
            "solutions may be local minima and the relaxation bound is loose. Set psd='clip' or "
            "psd='shift', or choose another kernel.",
            IndefiniteKernelWarning,
            stacklevel=3,
        )


def warn_if_coarse(
    problem: DualProblem, objective: float, plan: AccessPlan | None, *, can_refine: bool
) -> None:
    """Warn if the training objective is much worse than that of the exact dual's solution.

    Parameters
    ----------
    problem : DualProblem
    objective : float
        Training objective of the combination.
    plan : AccessPlan, optional
        Estimated cost of the fit; None for samplers that cost nothing.
    can_refine : bool
        Whether there is a sampler for further rounds.
    """
    dual, encoding = problem.dual, problem.encoding
    if not isinstance(dual, SVRDual) or not dual.is_convex:  # the relaxation says little then
        return
    gap, is_known = loss_gap(dual, objective), is_comparable(dual, _COARSE)
    if gap <= _COARSE and is_known:
        return
    level = float(encoding.width.max()) * float(np.diff(encoding.grid).max())
    if plan is not None:
        seconds = 10 * plan.seconds_per_problem
        refine = f"n_refinements=10, which submits 10 more problems ({seconds:.3g} s of access), "
    else:
        refine = "n_refinements=10, " if can_refine else ""
    more_bits = "" if encoding.n_bits >= 8 else "more bits (n_bits=8), "
    excess = (
        f"the training loss is on average {gap:.2g} standard deviations of y above the "
        "lowest possible one"
    )
    if not is_known:
        excess = "the distance of the training loss from the lowest possible one is not known"
        more_bits += "scaled features (StandardScaler), "
    warnings.warn(
        f"{excess}: levels of {level:.3g} in a box of C={encoding.width.max():.4g} are too "
        f"coarse for these targets, or the samples are poor. Use {refine}{more_bits}a smaller C, "
        "or more reads.",
        CoarseEncodingWarning,
        stacklevel=4,
    )
