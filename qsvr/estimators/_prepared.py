"""A fit between its checks and its solution, and many of them solved at once."""

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
    """All that the solution of a fit depends on.

    Attributes
    ----------
    data : TrainingData
    problem : DualProblem
    direct : DirectSolver
    strategy : Strategy
    n_solutions, seed : int
    plan : AccessPlan, optional
        What the fit will cost, where it costs something.
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
        """What fits that are solved together have in common; None for one that is solved alone."""
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
    """A model before its duals are solved.

    Attributes
    ----------
    fits : list of PreparedFit
    complete : callable
        Takes the solutions, None for those that are still to be found, and returns the model.
    """

    fits: Sequence[PreparedFit]
    complete: Callable[[Sequence[DualSolution | None]], Any]


def solve_together(fits: Sequence[PreparedFit], *, n_jobs: int) -> dict[int, DualSolution]:
    """Return the solutions, by position, of the fits that can be solved together.

    Parameters
    ----------
    fits : sequence of PreparedFit
    n_jobs : int
        Threads that anneal and polish; the results do not depend on it.
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
    """Return the models, complete: their duals are solved together where they can be.

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
    """Return what the solution of one dual will cost, or None where the time costs nothing.

    A refinement is planned with all its rounds. How many working sets a decomposition needs is not
    known before, so it must have a limit, which is then charged problem by problem.
    """
    sampler, options = direct.sampler, direct.options
    if not hasattr(sampler, "plan"):
        return None
    name = type(model).__name__
    if working_size is not None and options.get("max_access_time") is None:
        raise ValueError(
            f"sampler_options of {name} must have max_access_time, in seconds, when the samples "
            f"need more than one problem of {working_size} samples each: how many is not known "
            f"before. Set it, for example {{'max_access_time': 5}}, or train a "
            f"{name}Ensemble, whose number of problems is."
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
