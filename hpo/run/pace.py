"""How far a run is, and how long the rest of it takes, by the throughput of the last minutes.

>>> pace = Pace()
>>> for second, done in ((0, 0), (60, 1), (61, 2), (62, 3), (63, 4)):  # a slow start
...     pace.add(second, done)
>>> pace.left(63, total=14)
10.0
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

_WINDOW = 30.0
"""Least seconds that the throughput is measured over."""
_SHARE = 0.25
"""Share of the time since the first progress that it is measured over, if that is longer."""
_FEWEST = 3
"""Least number of samples that it is measured with, the first one included."""


class Pace:
    """Estimates the time left from the throughput of the last minutes.

    What was done before the first call, and the time until something more was done, do not count:
    the start of workers and the first compilation do not count for the pace of the search.
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque()  # (seconds, done), both increasing
        self._before: float | None = None  # done at the first call
        self._first = 0.0

    def add(self, now: float, done: float) -> None:
        """Take note of what is done by now.

        Parameters
        ----------
        now : float
            Seconds on a monotonic clock.
        done : float
            Amount done; less than before starts anew.
        """
        if self._before is None:
            self._before = done
        last = self._samples[-1][1] if self._samples else self._before
        if done < last:
            self._samples.clear()
            self._before = done
        if done <= last:
            return
        if not self._samples:
            self._first = now
        self._samples.append((now, done))
        window = max(_WINDOW, _SHARE * (now - self._first))
        while len(self._samples) > _FEWEST and self._samples[0][0] < now - window:
            self._samples.popleft()

    def left(self, now: float, total: float) -> float | None:
        """Return the seconds until the total is done; None until that is known.

        Parameters
        ----------
        now : float
            Seconds on a monotonic clock.
        total : float
            Amount to be done in all.
        """
        if len(self._samples) < _FEWEST:
            return None
        (begin, before), (end, done) = self._samples[0], self._samples[-1]
        if end <= begin:
            return None
        # Nothing arrives between two reports. Once the next one is late, the pace is lower.
        gap = (end - begin) / (len(self._samples) - 1)
        waited = max(0.0, now - end)
        late = max(0.0, waited - gap)
        rate = (done - before) / (end - begin + late)
        return max(0.0, (total - done) / rate - min(waited, gap))


@dataclass(frozen=True)
class Extent:
    """How much of a run is done.

    Attributes
    ----------
    fraction : float
        Part that is done, from 0 to 1.
    left : float or None
        Seconds left; None until that is known.
    """

    fraction: float
    left: float | None


def extent(parts: Sequence[tuple[float, float, Pace]], now: float) -> Extent | None:
    """Return how much of a run is done that ends with the first of its limits.

    Parameters
    ----------
    parts : sequence of (float, float, Pace)
        For each limit: what is done, the total, and its pace.
    now : float
        Seconds on a monotonic clock.

    Returns
    -------
    Extent or None
        None for a run without a limit.
    """
    if not parts:
        return None
    fraction = max(done / total if total > 0 else 1.0 for done, total, _ in parts)
    known = [left for _, total, pace in parts if (left := pace.left(now, total)) is not None]
    return Extent(min(1.0, max(0.0, fraction)), min(known, default=None))
