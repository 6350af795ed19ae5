"""Checks of a `QSVR`'s parameters before a fit."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

import numpy as np

from qsvr._typing import FloatArray
from qsvr._validation import check_choice, check_integer, check_real
from qsvr.model.combination import COMBINATIONS
from qsvr.model.intercept import INTERCEPTS
from qsvr.problem.encoding import MAX_BITS, FixedPointEncoding

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["check_parameters", "encoding_of", "name_of"]


def check_parameters(model: QSVR) -> None:
    """Raise ValueError for the first parameter of a QSVR that cannot be used."""
    owner = type(model).__name__
    check_integer(
        owner, "n_bits", model.n_bits, low=1, high=MAX_BITS,
        hint="2 to 3 bits suit an annealer, 8 bits agree with scikit-learn's SVR.",
    )  # fmt: skip
    _check_box(model, owner)
    check_real(owner, "epsilon", model.epsilon)
    check_integer(owner, "degree", model.degree, low=0)
    check_real(owner, "coef0", model.coef0, low=-np.inf, strict=True)
    if model.equality_penalty != "scale":
        check_real(
            owner, "equality_penalty", model.equality_penalty,
            hint="'scale' chooses it from the kernel.",
        )  # fmt: skip
    check_real(owner, "overlap_penalty", model.overlap_penalty)
    check_integer(owner, "num_reads", model.num_reads, low=1)
    check_integer(owner, "n_solutions", model.n_solutions, low=1)
    check_integer(owner, "n_refinements", model.n_refinements, low=0)
    if model.max_variables not in ("auto", None):
        check_integer(
            owner, "max_variables", model.max_variables, low=1,
            hint="'auto' takes the sampler's capacity, None allows one QUBO only.",
        )  # fmt: skip
    check_real(owner, "tol", model.tol, strict=True)
    check_integer(owner, "max_iter", model.max_iter, low=1)
    check_real(owner, "cache_size", model.cache_size, strict=True)
    check_choice(owner, "combination", model.combination, COMBINATIONS)
    check_real(owner, "combination_fraction", model.combination_fraction, high=1.0)
    check_choice(owner, "intercept", model.intercept, INTERCEPTS)


def _check_box(model: QSVR, owner: str) -> None:
    if model.base is None:
        check_real(
            owner, "C", model.C, strict=True,
            hint="C='implied' needs base, whose weights imply the box.",
        )  # fmt: skip
        return
    check_real(owner, "base", model.base, strict=True)
    check_real(owner, "exponent_shift", model.exponent_shift, low=-np.inf, strict=True)
    implied = FixedPointEncoding.implied_box(model.n_bits, model.base, model.exponent_shift)
    is_number = isinstance(model.C, Real)
    if model.C != "implied" and not (is_number and np.isclose(model.C, implied, rtol=1e-9)):
        raise ValueError(
            f"C of {owner} must be 'implied' or {implied:.12g} when base is given, because the "
            f"bits' weights base ** (i - exponent_shift) add up to it; got {model.C!r}. Leave "
            "base out to choose C freely."
        )


def name_of(sampler: object) -> str:
    """Return a sampler's name for messages."""
    if sampler is None:
        return "structured"
    return sampler if isinstance(sampler, str) else type(sampler).__name__


def encoding_of(model: QSVR, weight: FloatArray) -> FixedPointEncoding:
    """Return the encoding of all coefficients; its widths are the boxes."""
    if model.base is None:
        return FixedPointEncoding.for_box(weight * float(model.C), model.n_bits)
    return FixedPointEncoding.from_base(
        weight, model.n_bits, base=model.base, exponent_shift=model.exponent_shift
    )
