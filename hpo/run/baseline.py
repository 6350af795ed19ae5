"""Plain Hyperband with the settings of a run, against which savings are measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.brackets import Bracket, hyperband_brackets
from hpo.trial import TrialStatus, TrialSummary


@dataclass(frozen=True)
class HyperbandBaseline:
    """Cost of plain Hyperband, and the resource that a run saved relative to it.

    Attributes
    ----------
    max_resource, reduction_factor : int
        R and eta.
    iterations : int, default=1
        Number of times that all brackets are run.
    rounds : bool, default=True
        Whether the run has Hyperband's rounds, so that the saving of a stopped trial is known at
        once; otherwise whatever is not spent is saved.
    min_resource : int, default=1
        Least resource of a rung.
    """

    max_resource: int
    reduction_factor: int
    iterations: int = 1
    rounds: bool = True
    min_resource: int = 1

    @property
    def brackets(self) -> tuple[Bracket, ...]:
        """Brackets of one iteration, the one with the most trials first."""
        return hyperband_brackets(self.max_resource, self.reduction_factor, self.min_resource)

    @property
    def epochs(self) -> int:
        """Resource units that plain Hyperband spends."""
        return self.iterations * sum(bracket.epochs for bracket in self.brackets)

    def saved(self, trials: Sequence[TrialSummary]) -> int:
        """Return the units saved by stopping trials within a round.

        Plain Hyperband trains every trial that enters a round to the end of the round. A run
        without rounds has saved what it has not spent.
        """
        if not self.rounds:
            return max(0, self.epochs - sum(len(trial.losses) for trial in trials))
        brackets = self.brackets
        saved = 0
        for trial in trials:
            if trial.status is TrialStatus.STOPPED:
                rungs = brackets[trial.bracket % len(brackets)].rungs
                end = rungs[min(trial.rung, len(rungs) - 1)].resource
                saved += max(0, end - len(trial.losses))
        return saved

    def spent_by_now(self, trials: Sequence[TrialSummary]) -> int | None:
        """Return the units that plain Hyperband would have spent by now on the same trials.

        These are the units trained, and those saved by stopping trials within a round. For a run
        without rounds it is not defined: what the same trials would have cost depends on rounds
        that it does not have.
        """
        if not self.rounds:
            return None
        return sum(len(trial.losses) for trial in trials) + self.saved(trials)
