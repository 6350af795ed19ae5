"""Opening a model's sampler, and what a fit will cost where the sampler's time costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qsvr._parameters import name_of
from qsvr.samplers import Sampler, open_sampler
from qsvr.samplers.base import check_options
from qsvr.samplers.dwave.cost import AccessPlan

if TYPE_CHECKING:
    from qsvr.estimator import QSVR

__all__ = ["access_plan", "open_for"]


def open_for(model: QSVR) -> tuple[Sampler, dict[str, Any]]:
    """Return the model's sampler and the options for each of its problems.

    Raises
    ------
    ValueError
        If the sampler does not take an option.
    """
    sampler, options = open_sampler(model.sampler, model.sampler_options)
    # A service's problems cost time each, so that its options say how many reads one has.
    more = {"num_reads"} if hasattr(sampler, "plan") else frozenset[str]()
    check_options(name_of(model.sampler), options, sampler.parameters | more)
    return sampler, options


def access_plan(
    model: QSVR,
    sampler: Sampler,
    options: dict[str, Any],
    *,
    num_reads: int,
    n_variables: int,
    working_size: int | None,
) -> AccessPlan | None:
    """Return what the fit will cost, or None where the sampler's time costs nothing.

    A refinement is planned with all its rounds. How many working sets a decomposition needs is not
    known before, so it must have a limit, which is then charged problem by problem.

    Raises
    ------
    ValueError
        If a decomposition on a sampler that costs time has no ``max_access_time``.
    """
    if not hasattr(sampler, "plan"):
        return None
    if working_size is not None and options.get("max_access_time") is None:
        raise ValueError(
            f"sampler_options of {type(model).__name__} must have max_access_time, in seconds, "
            f"when the samples need more than one problem of {working_size} samples each: how many "
            "is not known before. Set it, for example {'max_access_time': 5}, or train a "
            "QSVREnsemble, whose number of problems is."
        )
    n_problems = 1 if working_size is not None else 1 + model.n_refinements
    per_sample = 2 * model.n_bits
    size = n_variables if working_size is None else per_sample * working_size
    plan: AccessPlan | None = sampler.plan(
        size, n_problems=n_problems, num_reads=num_reads, options=options
    )
    if model.verbose and plan is not None:
        print(f"[{type(model).__name__}] estimate: {plan}")
    return plan
