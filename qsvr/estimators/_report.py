"""What a fit says about itself."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from qsvr.exceptions import CoarseEncodingWarning
from qsvr.problem.encoding import FixedPointEncoding

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["summary", "warn_if_coarse"]


def warn_if_coarse(model: QSVR, encoding: FixedPointEncoding) -> None:
    """Warn where the energy misses more than half of what the bound allows."""
    gap = model.energy_ - model.relaxation_bound_
    if gap <= 0.5 * abs(model.relaxation_bound_):
        return
    level = float(encoding.width.max()) * float(np.diff(encoding.grid).max())
    warnings.warn(
        f"the best energy found, {model.energy_:.4g}, is far above the bound of "
        f"{model.relaxation_bound_:.4g}: {model.n_bits} bits make levels of {level:.3g} in a box "
        f"of C={encoding.width.max():.4g}, too coarse for these targets, or the sampler got "
        "stuck. Use refinement (n_refinements=10), more bits (n_bits=8), a smaller C, or more "
        "reads.",
        CoarseEncodingWarning,
        stacklevel=3,
    )


def summary(model: QSVR) -> str:
    """Return one line on how good the solve was."""
    info = model.sampler_info_
    gap = model.energy_ - model.relaxation_bound_
    sets = f"{model.n_iter_} QUBOs, the last of " if model.n_iter_ > 1 else ""
    return (
        f"[QSVR] {sets}{info['n_variables']} variables, {info['n_reads']} reads by "
        f"{info['sampler']} in {info['sampling_time']:.3g} s; energy {model.energy_:.6g} (raw "
        f"{info['raw_energies'].min():.6g}), at most {gap:.3g} above the best possible; "
        f"{len(model.solutions_.energies)} solutions combined, "
        f"{model.n_support_[0]} support vectors"
    )
