"""What a fit will cost, before anything is submitted; and what it has cost.

`AccessPlan` is the estimate of a whole fit: problems times the solver's own estimate for one.
`AccessBudget` is the account of one fit: every submission, retries included, is charged before it
is sent, and refused where it would exceed the limit.

>>> plan = AccessPlan(n_problems=6, seconds_per_problem=0.03)
>>> str(plan)
'6 problems of 0.03 s: 0.18 s of access time'
>>> plan.times(5).seconds
0.8999999999999999
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace

from qsvr.exceptions import CostLimitError

__all__ = ["AccessBudget", "AccessPlan"]


@dataclass(frozen=True)
class AccessPlan:
    """Problems that a fit will submit, and the access time that they will take.

    Attributes
    ----------
    n_problems : int
    seconds_per_problem : float
        The solver's own estimate: QPU access time, or run time of a hybrid solver.
    """

    n_problems: int
    seconds_per_problem: float

    @property
    def seconds(self) -> float:
        """Access time of all problems."""
        return self.n_problems * self.seconds_per_problem

    def times(self, n: int) -> AccessPlan:
        """Return the plan of ``n`` such fits: members of an ensemble, folds of a search."""
        return replace(self, n_problems=n * self.n_problems)

    def check(self, max_access_time: float | None) -> None:
        """Check the plan against a limit.

        Parameters
        ----------
        max_access_time : float or None
            In seconds.

        Raises
        ------
        CostLimitError
            If the plan takes longer.
        """
        if max_access_time is not None and self.seconds > max_access_time:
            raise CostLimitError(
                f"max_access_time={max_access_time:g} s is less than what this fit is estimated "
                f"to take: {self}. Nothing was submitted. Raise max_access_time, or lower "
                "num_reads, n_refinements or the number of members."
            )

    def __str__(self) -> str:
        problems = "1 problem" if self.n_problems == 1 else f"{self.n_problems} problems"
        return (
            f"{problems} of {self.seconds_per_problem:.3g} s: {self.seconds:.3g} s of access time"
        )


class AccessBudget:
    """Account of access time in one fit: estimates are charged, actual times replace them.

    Parameters
    ----------
    max_access_time : float, default=None
        Limit in seconds.

    Attributes
    ----------
    seconds : float
        Access time spent: as reported for answers, as estimated for the rest.
    n_submitted : int
        Problems submitted.
    """

    def __init__(self, max_access_time: float | None = None) -> None:
        self.max_access_time = max_access_time
        self.seconds = 0.0
        self.n_submitted = 0
        self._lock = threading.Lock()

    def charge(self, estimate: float) -> None:
        """Charge the estimate of one submission, in seconds.

        Raises
        ------
        CostLimitError
            If it would exceed the limit; then nothing is to be submitted.
        """
        with self._lock:
            total = self.seconds + estimate
            limit = self.max_access_time
            if limit is not None and total > limit * (1.0 + 1e-9):
                raise CostLimitError(
                    f"max_access_time={limit:g} s would be exceeded: {self.seconds:.3g} s in "
                    f"{self.n_submitted} problems are spent and the next one takes "
                    f"{estimate:.3g} s. It was not submitted. Raise max_access_time or ask for "
                    "fewer reads or rounds."
                )
            self.seconds = total
            self.n_submitted += 1

    def refund(self, estimate: float) -> None:
        """Take back the estimate charged for a submission that was certainly not taken."""
        with self._lock:
            self.seconds -= estimate
            self.n_submitted -= 1

    def settle(self, estimate: float, actual: float) -> None:
        """Replace an estimate by the actual access time that the service reported."""
        with self._lock:
            self.seconds += actual - estimate
