"""Skill of a predictor over the decisions of a run, as texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median
from typing import Self

from hpo.trial import Event

_SCALE = "1: perfect, 0: as good as keeping the last value"


@dataclass(frozen=True)
class Skill:
    """Cross-validated skill of a run's predictor.

    It has no lower bound: late in a training, when losses hardly change, the squared error of
    keeping the last value is close to zero, and a single curve that is predicted badly yields a
    skill far below zero. The median over the decisions is hardly affected.

    Attributes
    ----------
    median, lowest, highest : float
        Over the decisions.
    n_decisions : int
        Number of decisions at which it was measured.

    Examples
    --------
    >>> from hpo.run.skill import Skill
    >>> from hpo.trial import Event
    >>> Skill.of([Event("decision", 0, 0, 1, skill=0.5)]).short()
    '+0.50 (cross-validated, 1 decision; 0: as good as the last value)'
    """

    median: float
    lowest: float
    highest: float
    n_decisions: int

    @classmethod
    def of(cls, events: Iterable[Event]) -> Self | None:
        """Return the skill over these events; None if none of them has a skill."""
        skills = [event.skill for event in events if event.skill is not None]
        return cls(median(skills), min(skills), max(skills), len(skills)) if skills else None

    def short(self) -> str:
        """Return it for a progress display."""
        what = "1 decision" if self.n_decisions == 1 else f"median of {self.n_decisions} decisions"
        text = skill_text(self.median)
        return f"{text} (cross-validated, {what}; 0: as good as the last value)"

    def line(self) -> str:
        """Return it as a line of a summary."""
        line = f"Predictor, cross-validated: median skill {skill_text(self.median)} of "
        if self.n_decisions == 1:
            line += "1 decision"
        else:
            spread = f"from {skill_text(self.lowest)} to {skill_text(self.highest)}"
            line += f"{self.n_decisions} decisions, {spread}"
        return f"{line} ({_SCALE if self.lowest >= 0 else _SCALE + ', below 0: worse'})"


def realised_line(skill: float, n_predictions: int) -> str:
    """Return the skill of predictions against true losses as a line of a summary.

    Parameters
    ----------
    skill : float
    n_predictions : int
        Number of predictions whose trials were trained to the predicted unit.
    """
    what = "1 prediction" if n_predictions == 1 else f"{n_predictions} predictions"
    return (
        f"Predictor, against true losses: skill {skill_text(skill)} of {what}; "
        "only promising trials are trained on to where their loss was predicted"
    )


def skill_text(skill: float) -> str:
    """Return a skill as text; those below -10 are not written out.

    >>> skill_text(0.25), skill_text(-123.0), skill_text(-0.001)
    ('+0.25', 'below -10', '+0.00')
    """
    # The sum is 0.0 where the rounded skill is -0.0.
    return f"{round(skill, 2) + 0.0:+.2f}" if skill > -10 else "below -10"
