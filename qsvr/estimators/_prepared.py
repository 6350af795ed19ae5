"""Prepared fits: data that were checked and duals that are not solved yet, one or many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from qsvr._text import say
from qsvr.problem import TrainingData
from qsvr.samplers import AccessPlan
from qsvr.solve import DirectSolver, DualProblem, DualSolution, Strategy

__all__ = ["Begun", "PreparedFit", "access_plan", "solve_together", "solved_together"]


@dataclass(frozen=True, eq=False)
class PreparedFit:
    """A fit that is ready to be solved.

    Attributes
    ----------
    data : TrainingData
    problem : DualProblem
    direct : DirectSolver
    strategy : Strategy
    n_solutions, seed : int
    plan : AccessPlan, optional
        Estimated cost; None for samplers that cost nothing.
    """

    data: TrainingData
    problem: DualProblem
    direct: DirectSolver
    strategy: Strategy
    n_solutions: int
    seed: int
    plan: AccessPlan | None

    def solve(self) -> DualSolution:
        """Solve the dual."""
        return self.strategy.solve(
            self.direct, self.problem, n_solutions=self.n_solutions, seed=self.seed
        )

    @property
    def group(self) -> Hashable | None:
        """Key shared by fits that can be solved together; None for a fit that is solved alone."""
        direct = self.direct
        alone = self.problem.working_size is not None or direct.deadline is not None
        if alone or not direct.takes_stacks:
            return None
        options = repr(sorted(direct.options.items()))
        return (
            direct.sampler, direct.num_reads, direct.polish, options, self.strategy,
            self.n_solutions,
        )  # fmt: skip


@dataclass(frozen=True)
class Begun:
    """A model whose duals are not solved yet.

    Attributes
    ----------
    fits : list of PreparedFit
    complete : callable
        Takes the solutions, with None for those that must still be found, and returns the model.
    """

    fits: Sequence[PreparedFit]
    complete: Callable[[Sequence[DualSolution | None]], Any]


def solve_together(fits: Sequence[PreparedFit], *, n_jobs: int) -> dict[int, DualSolution]:
    """Return the solutions of the fits that can be solved together, by index.

    Parameters
    ----------
    fits : sequence of PreparedFit
    n_jobs : int
        Number of threads for annealing and polish. The results do not depend on it.
    """
    found: dict[int, DualSolution] = {}
    groups: dict[Hashable, list[int]] = {}
    for m, fit in enumerate(fits):
        if fit.group is not None:
            groups.setdefault(fit.group, []).append(m)
    for members in groups.values():
        first = fits[members[0]]
        solutions = first.strategy.solve_all(
            replace(first.direct, n_jobs=n_jobs),
            [fits[m].problem for m in members],
            n_solutions=first.n_solutions,
            seeds=[fits[m].seed for m in members],
        )
        found.update(zip(members, solutions, strict=True))
    return found


def solved_together(begun: Sequence[Begun], *, n_jobs: int) -> list[Any]:
    """Return the fitted models. Their duals are solved together if possible.

    Parameters
    ----------
    begun : sequence of Begun
    n_jobs : int
        As for `solve_together`.
    """
    found = solve_together([fit for each in begun for fit in each.fits], n_jobs=n_jobs)
    models, first = [], 0
    for each in begun:
        solutions = [found.get(first + n) for n in range(len(each.fits))]
        models.append(each.complete(solutions))
        first += len(each.fits)
    return models


def access_plan(
    model: Any, direct: DirectSolver, n_samples: int, working_size: int | None
) -> AccessPlan | None:
    """Return the estimated cost of solving one dual, or None if the sampler costs nothing.

    The estimate has all rounds of a refinement. The number of working sets of a decomposition is
    not known in advance, so a limit is required, against which each problem is charged.
    """
    sampler, options = direct.sampler, direct.options
    if not hasattr(sampler, "plan"):
        return None
    name = type(model).__name__
    if working_size is not None and options.get("max_access_time") is None:
        raise ValueError(
            f"sampler_options of {name} must have max_access_time, in seconds, when the samples "
            f"need more than one problem of {working_size} samples, because the number of problems "
            f"is not known in advance. Set it, for example {{'max_access_time': 5}}, or train a "
            f"{name}Ensemble, whose number of problems is known."
        )
    n_refinements = 0 if model.n_refinements == "auto" else int(model.n_refinements)
    plan: AccessPlan | None = sampler.plan(
        model._n_sides * model.n_bits * (working_size or n_samples),  # noqa: SLF001
        n_problems=1 if working_size else 1 + n_refinements,
        num_reads=direct.num_reads,
        options=options,
    )
    if model.verbose and plan is not None:
        say(f"[{name}] estimate: {plan}")
    return plan
