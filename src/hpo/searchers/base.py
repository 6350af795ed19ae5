"""The one method that a scheduler needs to get new configurations."""

from __future__ import annotations

from typing import Protocol

from hpo.trial import Config


class Searcher(Protocol):
    """Proposes configurations.

    A searcher without a model should draw from its seed and the trial's number alone, so that a
    replayed search, or one on more workers, tries the same configurations.
    """

    def propose(self, trial_id: int) -> Config | None:
        """Return the configuration of trial `trial_id`, None when there are no more."""
        ...
