"""How well training and predicting went on at the same time (the hybrid workflow).

While an annealer, or a model on this machine, predicts, the workers train on. Two figures say how
well that worked: how long the predictor had nothing to do, and how many worker-seconds were idle
while a prediction was under way.

>>> meter = OverlapMeter(n_workers=2)
>>> meter.change(10.0, training=+2)  # two segments start
>>> meter.change(14.0, predicting=+1)  # a prediction starts
>>> meter.change(15.0, training=-1)  # one worker has nothing to do before the prediction comes
>>> meter.change(16.0, predicting=-1)
>>> figures = meter.until(20.0)
>>> figures.predicting, figures.predictor_waited, figures.workers_waited
(2.0, 8.0, 1.0)
>>> figures.overlap
0.75
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

NOTE = "overlap"
"""What a journal's notes of these figures are called."""

RESUMED = "resumed"
"""What a journal's note of a run that goes on is called."""


@dataclass(frozen=True)
class Overlap:
    """Figures of a run, or of the part of it since it was last resumed.

    Attributes
    ----------
    predictions : int
        Predictions that came back.
    seconds : float
        From the first job to the end.
    capacity : float
        Worker-seconds that there were.
    training : float
        Worker-seconds in which a segment was under way.
    predicting : float
        Seconds in which at least one prediction was under way.
    covered : float
        Of these, the seconds in which at least one worker trained.
    available : float
        Worker-seconds that there were while a prediction was under way.
    workers_waited : float
        Of these, the worker-seconds without a segment.
    """

    predictions: int = 0
    seconds: float = 0.0
    capacity: float = 0.0
    training: float = 0.0
    predicting: float = 0.0
    covered: float = 0.0
    available: float = 0.0
    workers_waited: float = 0.0

    @property
    def predictor_waited(self) -> float:
        """Seconds in which the predictor had nothing to do."""
        return self.seconds - self.predicting

    @property
    def overlap(self) -> float | None:
        """Share of the workers that trained, on average, while a prediction was under way.

        1 where no worker waited, 0 where all did; None without predictions.
        """
        return None if self.available <= 0 else 1 - self.workers_waited / self.available

    def plus(self, other: Overlap) -> Overlap:
        """Return the figures of two parts of a run together."""
        return Overlap(
            *(mine + its for mine, its in zip(astuple(self), astuple(other), strict=True))
        )

    def to_note(self) -> dict[str, Any]:
        """Return plain values for the journal."""
        plain = {name: _short(value) for name, value in asdict(self).items()}
        return {"what": NOTE, **plain}

    @classmethod
    def of_notes(cls, notes: Iterable[Mapping[str, Any]]) -> Overlap:
        """Add up the parts of a run: the last figures before each resumption, and the last.

        Parameters
        ----------
        notes : iterable of Mapping
            Of a journal, in order; other notes than these figures are passed over.
        """
        total, part = Overlap(), Overlap()
        for note in notes:
            if note.get("what") == RESUMED:
                total, part = total.plus(part), Overlap()
            elif note.get("what") == NOTE:
                part = cls(**{field.name: note[field.name] for field in fields(cls)})
        return total.plus(part)

    def line(self) -> str:
        """Return the figures as a line for people; empty without predictions."""
        if self.overlap is None:
            return ""
        return (
            f"Overlap: {self.predictions} predictions took {self.predicting:.3g} s of "
            f"{self.seconds:.3g} s, with training going on in {self.covered:.3g} s of them; the "
            f"predictor waited {self.predictor_waited:.3g} s, workers waited "
            f"{self.workers_waited:.3g} of {self.capacity:.3g} worker-seconds for predictions"
        )


class OverlapMeter:
    """Adds up figures from the moments at which jobs start and end.

    Parameters
    ----------
    n_workers : int
        Segments that can train at the same time.
    """

    def __init__(self, n_workers: int) -> None:
        self._n_workers = n_workers
        self._now: float | None = None
        self._training = 0
        self._predicting = 0
        self._sums = Overlap()

    def change(self, now: float, *, training: int = 0, predicting: int = 0) -> None:
        """Take in that jobs started or ended.

        Parameters
        ----------
        now : float
            Seconds on a clock that never goes back.
        training, predicting : int
            Change of the number of segments, and of predictions, under way.
        """
        self._pass(now)
        self._training += training
        self._predicting += predicting
        if predicting < 0:
            self._sums = self._sums.plus(Overlap(predictions=-predicting))

    def until(self, now: float) -> Overlap:
        """Return the figures up to a moment."""
        self._pass(now)
        return self._sums

    def _pass(self, now: float) -> None:
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
                covered=predicting if busy > 0 else 0.0,
                available=predicting * self._n_workers,
                workers_waited=predicting * (self._n_workers - busy),
            )
        )


def _short(value: float) -> float:
    return round(value, 4) if isinstance(value, float) else value
