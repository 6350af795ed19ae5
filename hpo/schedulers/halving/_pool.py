"""Fully trained curves of each rung, shared by brackets so that timing does not matter.

A bracket may use the curves of the brackets before it and its own, never those of a later one, and
it waits until the earlier ones have handed in theirs.  So a prediction is trained on the same
curves in the same order whatever the number of workers and the order of their reports.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hpo.trial import Curve


@dataclass
class _Shelf:
    """The curves of one resource: what each bracket gave, and what is due."""

    due: list[int] = field(default_factory=list)  # brackets with this rung, in order
    points: dict[int, tuple[int, ...]] = field(default_factory=dict)  # of each bracket
    given: dict[int, tuple[Curve, ...]] = field(default_factory=dict)
    first_missing: int = 0  # position in `due`


class CurvePool:
    """Curves by resource and bracket.

    Parameters
    ----------
    max_curves : int
        At most so many curves, the latest, train one predictor.
    """

    def __init__(self, max_curves: int) -> None:
        self._max_curves = max_curves
        self._shelves: dict[int, _Shelf] = {}

    def expect(self, bracket: int, resource: int, points: tuple[int, ...]) -> None:
        """Announce that a bracket, opened now, will give curves of this length."""
        shelf = self._shelves.setdefault(resource, _Shelf())
        shelf.due.append(bracket)
        shelf.points[bracket] = points

    def give(self, bracket: int, resource: int, curves: tuple[Curve, ...]) -> None:
        """Hand in a bracket's curves, all at once; a second time changes nothing."""
        shelf = self._shelves[resource]
        shelf.given.setdefault(bracket, curves)
        while (
            shelf.first_missing < len(shelf.due) and shelf.due[shelf.first_missing] in shelf.given
        ):
            shelf.first_missing += 1

    def ready(self, bracket: int, resource: int) -> bool:
        """Tell whether all brackets before this one have handed in theirs."""
        shelf = self._shelves[resource]
        return shelf.first_missing >= len(shelf.due) or shelf.due[shelf.first_missing] >= bracket

    def curves(self, bracket: int, resource: int) -> tuple[Curve, ...]:
        """Return the curves of the brackets up to and including this one, oldest first."""
        shelf = self._shelves[resource]
        found: list[Curve] = []
        for owner in reversed([b for b in shelf.due if b <= bracket]):
            found[:0] = shelf.given.get(owner, ())
            if len(found) >= self._max_curves:
                break
        return tuple(found[-self._max_curves :])

    def first_curves(
        self, bracket: int, resource: int, point: int, min_curves: int
    ) -> tuple[Curve, ...]:
        """Return the curves there were when this prediction could first be trained."""
        shelf = self._shelves[resource]
        for owner in shelf.due:
            if owner < bracket and point in shelf.points[owner]:
                curves = self.curves(owner, resource)
                if len(curves) >= min_curves:
                    return curves
        return self.curves(bracket, resource)
