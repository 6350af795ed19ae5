"""The methods that a scheduler needs to get new configurations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from hpo.trial import Config, Curve


class Searcher(Protocol):
    """Proposes configurations.

    A searcher without a model should draw from its seed and the trial's number alone, so that a
    replayed search, or one on more workers, tries the same configurations.
    """

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None when there are no more."""


class LearningSearcher(Searcher, Protocol):
    """A searcher that learns from what was trained."""

    def suggest(
        self, curves: Sequence[Curve], n: int, *, max_resource: int, seed: int
    ) -> list[Config]:
        """Return `n` new configurations, deterministic in what it is given.

        Parameters
        ----------
        curves : sequence of Curve
            Of all trials so far, of different lengths.
        n : int
            How many.
        max_resource : int
            Units that a trial is trained at most.
        seed : int
            Of all random choices.
        """
        ...
