"""The schedule that savings are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.brackets import hyperband_brackets, hyperband_epochs
from hpo.trial import TrialStatus, TrialSummary


@dataclass(frozen=True)
class HyperbandBaseline:
    """Plain Hyperband with the settings of a run.

    Attributes
    ----------
    max_resource, reduction_factor : int
        R and eta.
    iterations : int
        How often all brackets are run.
    rounds : bool
        Whether the run has Hyperband's rounds, so that what a stopped trial saved can be told at
        once; otherwise what is not spent is saved.
    """

    max_resource: int
    reduction_factor: int
    iterations: int = 1
    rounds: bool = True

    @property
    def epochs(self) -> int:
        """Resource units that plain Hyperband spends."""
        return self.iterations * hyperband_epochs(self.max_resource, self.reduction_factor)

    def saved(self, trials: Sequence[TrialSummary]) -> int:
        """Return the units that were saved by stopping trials within a round.

        Plain Hyperband trains every trial that enters a round to the round's end. A run without
        rounds has saved what it has not spent.
        """
        if not self.rounds:
            return max(0, self.epochs - sum(len(trial.losses) for trial in trials))
        brackets = hyperband_brackets(self.max_resource, self.reduction_factor)
        saved = 0
        for trial in trials:
            if trial.status is TrialStatus.STOPPED:
                rungs = brackets[trial.bracket % len(brackets)].rungs
                end = rungs[min(trial.rung, len(rungs) - 1)].resource
                saved += max(0, end - len(trial.losses))
        return saved
