"""How busy the workers are, and what they do while models predict.

While an annealer, or a model on this machine, predicts, the workers keep training. The figure that
counts is the utilisation of the workers: the time that they trained, divided by the time that they
had, from the first job of the run to its end.

>>> meter = OverlapMeter(n_workers=2)
>>> meter.change(10.0, training=+2)  # two segments start
>>> meter.change(14.0, predicting=+1)  # a prediction starts
>>> meter.change(15.0, training=-1)  # one worker is idle until the prediction ends
>>> meter.change(16.0, predicting=-1, training=+1)
>>> figures = meter.until(20.0)
>>> figures.predicting, figures.workers_waited
(2.0, 1.0)
>>> figures.utilisation
0.95
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

NOTE = "overlap"
"""Kind of the journal's notes with these figures."""

RESUMED = "resumed"
"""Kind of the journal's note of a resumption."""


@dataclass(frozen=True)
class Overlap:
    """Figures of a run, or of its part since it was last resumed.

    Attributes
    ----------
    predictions : int, default=0
        Predictions that ended.
    seconds : float, default=0.0
        Time from the first job to the end.
    capacity : float, default=0.0
        Worker-seconds in total.
    training : float, default=0.0
        Worker-seconds with a segment running.
    predicting : float, default=0.0
        Seconds with at least one prediction running.
    workers_waited : float, default=0.0
        Worker-seconds without a segment while a prediction was running.
    """

    predictions: int = 0
    seconds: float = 0.0
    capacity: float = 0.0
    training: float = 0.0
    predicting: float = 0.0
    workers_waited: float = 0.0

    @property
    def utilisation(self) -> float | None:
        """Worker-seconds with a segment running, divided by all; None before the first job."""
        return None if self.capacity <= 0 else self.training / self.capacity

    def plus(self, other: Overlap) -> Overlap:
        """Return the sum of the figures of two parts of a run."""
        return Overlap(*map(operator.add, astuple(self), astuple(other)))

    def to_note(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        return {"what": NOTE, **{name: round(value, 4) for name, value in asdict(self).items()}}

    @classmethod
    def of_notes(cls, notes: Iterable[Mapping[str, Any]]) -> Overlap:
        """Add up the parts of a run: the last figures before each resumption, and the last.

        Parameters
        ----------
        notes : iterable of Mapping
            Notes of a journal, in order; those of another kind are ignored.
        """
        total, part = Overlap(), Overlap()
        for note in notes:
            if note.get("what") == RESUMED:
                total, part = total.plus(part), Overlap()
            elif note.get("what") == NOTE:
                part = cls(**{field.name: note[field.name] for field in fields(cls)})
        return total.plus(part)

    def line(self) -> str:
        """Return the figures as one line of text; empty before the first job."""
        if self.utilisation is None:
            return ""
        line = f"Utilisation: {self.utilisation:.1%} of {self.capacity:.4g} worker-seconds"
        if self.predictions:
            line += f"; {self.predictions} predictions took {self.predicting:.3g} s"
        return line


class OverlapMeter:
    """Computes the figures from the times at which jobs start and end.

    Parameters
    ----------
    n_workers : int
        Number of segments that can train at the same time.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._now: float | None = None
        self._training = 0
        self._predicting = 0
        self._sums = Overlap()

    def change(self, now: float, *, training: int = 0, predicting: int = 0) -> None:
        """Record that jobs started or ended.

        Parameters
        ----------
        now : float
            Seconds on a monotonic clock.
        training, predicting : int, default=0
            Change of the number of running segments and of running predictions.
        """
        self._advance(now)
        self._training += training
        self._predicting += predicting
        if predicting < 0:
            self._sums = self._sums.plus(Overlap(predictions=-predicting))

    def until(self, now: float) -> Overlap:
        """Return the figures up to the time `now`."""
        self._advance(now)
        return self._sums

    def _advance(self, now: float) -> None:
        seconds = 0.0 if self._now is None else now - self._now
        self._now = now
        busy = min(self._training, self._n_workers)
        predicting = seconds if self._predicting > 0 else 0.0
        self._sums = self._sums.plus(
            Overlap(
                seconds=seconds,
                capacity=seconds * self._n_workers,
                training=seconds * busy,
                predicting=predicting,
                workers_waited=predicting * (self._n_workers - busy),
            )
        )
