"""Opening a model's sampler, and what a fit will cost where the sampler's time costs anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from joblib import effective_n_jobs

from qsvr.estimators._parameters import name_of
from qsvr.samplers import Sampler, open_sampler
from qsvr.samplers.base import check_options
from qsvr.samplers.budget import AccessPlan
from qsvr.solve.direct import DirectSolver

if TYPE_CHECKING:
    from qsvr.estimators.svr import QSVR

__all__ = ["access_plan", "check_members_plan", "direct_solver", "open_for"]


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


def direct_solver(model: QSVR, sampler: Sampler, options: dict[str, Any]) -> DirectSolver:
    """Return the solver of one problem, with the options of `open_for`."""
    rest = dict(options)
    num_reads = rest.pop("num_reads", model.num_reads)
    return DirectSolver(sampler, num_reads, model.polish, effective_n_jobs(model.n_jobs), rest)


def access_plan(
    model: QSVR, direct: DirectSolver, n_variables: int, working_size: int | None
) -> AccessPlan | None:
    """Return what the fit will cost, or None where the sampler's time costs nothing.

    A refinement is planned with all its rounds. How many working sets a decomposition needs is not
    known before, so it must have a limit, which is then charged problem by problem.

    Raises
    ------
    ValueError
        If a decomposition on a sampler that costs time has no ``max_access_time``.
    """
    sampler, options = direct.sampler, direct.options
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
    size = n_variables if working_size is None else 2 * model.n_bits * working_size
    plan: AccessPlan | None = sampler.plan(
        size, n_problems=n_problems, num_reads=direct.num_reads, options=options
    )
    if model.verbose and plan is not None:
        print(f"[{type(model).__name__}] estimate: {plan}")
    return plan


def check_members_plan(model: QSVR, n_members: int, n_samples: int) -> None:
    """Check the access time of all members of an ensemble before the first one is fitted.

    Raises
    ------
    CostLimitError
        If it exceeds ``max_access_time``.
    """
    sampler, options = open_for(model)
    direct = direct_solver(model, sampler, options)
    plan = access_plan(model, direct, 2 * model.n_bits * n_samples, None)
    if plan is not None:
        plan.times(n_members).check(direct.options.get("max_access_time"))
