"""What a scheduler needs to get new configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from hpo.trial import Config, Curve


class Searcher(Protocol):
    """Proposes configurations.

    A searcher without a model should draw from its seed and the trial's number alone, so that a
    replayed search, or one on more workers, tries the same configurations.
    """

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None when there are no more."""
        ...


@runtime_checkable
class LearningSearcher(Searcher, Protocol):
    """A searcher that learns from what was trained.

    ``propose`` gives what it tries before anything is known.
    """

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, fewer where there are no more.

        The same curves, `n` and seed give the same configurations: nothing is remembered from one
        call to the next.

        Parameters
        ----------
        curves : sequence of Curve
            What was trained.
        n : int
            Configurations to give.
        max_resource : int
            Units of a whole training.
        seed : int
        """
        ...


@runtime_checkable
class RewardedSearcher(Searcher, Protocol):
    """A searcher that is told what became of each of its proposals."""

    def observe(self, trial_id: int, loss: float) -> None:
        """Take in the `loss` at the end of trial `trial_id`, known or predicted, or infinity."""
        ...
