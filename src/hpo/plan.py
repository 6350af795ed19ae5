"""The schedule that savings are measured against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hpo.brackets import hyperband_brackets
from hpo.trial import Event


@dataclass(frozen=True)
class Plan:
    """The schedule that a run is measured against: plain Hyperband with the same settings.

    Attributes
    ----------
    max_resource, reduction_factor : int
        R and eta.
    """

    max_resource: int
    reduction_factor: int

    @property
    def epochs(self) -> int:
        """Resource units that plain Hyperband spends."""
        brackets = hyperband_brackets(self.max_resource, self.reduction_factor)
        return sum(bracket.epochs for bracket in brackets)

    def saved(self, events: Sequence[Event]) -> int:
        """Return the units that decisions within rounds have saved against training them out."""
        brackets = hyperband_brackets(self.max_resource, self.reduction_factor)
        saved = 0
        for event in events:
            if event.kind == "decision" and event.bracket < len(brackets):
                rungs = brackets[event.bracket].rungs
                end = rungs[min(event.rung, len(rungs) - 1)].resource
                saved += len(event.dropped) * max(0, end - event.resource)
        return saved
